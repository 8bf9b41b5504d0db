"""Commands that change something, with streams that take nothing."""

from __future__ import annotations

from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.streams import Change, cases, check
from ..novashell import Nova


@cases
def test_what_is_done_is_done_and_reported(
    nova: Nova, quick: Sandbox, change: Change, stream: str, kind: str
) -> None:
    check(nova, quick, change, stream, kind)
