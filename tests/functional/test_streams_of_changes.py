"""A few of the commands that change something, with streams that take nothing."""

from __future__ import annotations

from rax_scheduled_images_ext.sandbox import Sandbox

from ..novashell import Nova
from .streams import FEW, Change, cases, check


@cases(FEW)
def test_what_is_done_is_done_and_reported(
    nova: Nova, quick: Sandbox, change: Change, stream: str, kind: str
) -> None:
    check(nova, quick, change, stream, kind)
