"""``nova scheduled-images-check``."""

from __future__ import annotations

from typing import Any

from rax_scheduled_images_ext.cli.nova.command import (
    CONSOLE,
    failing_as_one,
    finish,
    open_cloud,
    usage_error,
)
from rax_scheduled_images_ext.console.arguments import NEEDS_UNPROTECTED
from rax_scheduled_images_ext.console.servers import (
    at_full_speed,
    print_check,
    say_unreadable,
)
from rax_scheduled_images_ext.model.verify import LEVELS
from rax_scheduled_images_ext.operations.check import STALE, check


def check_servers(cs: Any, args: Any) -> None:
    """Print servers whose newest scheduled image is too old."""
    if args.policies and not args.unprotected:
        usage_error("scheduled-images-check", NEEDS_UNPROTECTED)
    with at_full_speed():
        with failing_as_one():
            result = check(
                open_cloud(cs),
                name=args.name,
                max_age=args.max_age,
                verified_within=args.verified_within,
                level=LEVELS[args.level],
                unprotected_too=args.unprotected,
                policies=args.policies,
                all_projects=args.all_projects,
            )
        print_check(result, args.format)
        readable = say_unreadable(CONSOLE, result.problems)
    if result.stale:
        raise SystemExit(STALE)
    finish(readable)
