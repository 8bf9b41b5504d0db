"""The tour: the same each time, and it fails where a step does."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import Any

import pytest

from rax_scheduled_images_ext.sandbox import Sandbox, cli
from rax_scheduled_images_ext.sandbox.demo import SETTINGS, Demo, DemoFailed

pytestmark = pytest.mark.flow


@pytest.fixture
def early() -> Any:
    """A cloud as the tour starts it."""
    with Sandbox(**SETTINGS) as sandbox:
        yield sandbox


def test_a_command_that_fails_ends_it(early: Sandbox, nova: Any) -> None:
    nova.ok("delete", "myserver", cloud=early)
    with pytest.raises(DemoFailed) as failed:
        Demo(early, lambda _line: None).run()
    assert str(failed.value) == (
        "the tour's step 'nova scheduled-images-enable myserver 7' failed:"
        " ended with status 1"
    )


def test_output_that_is_wrong_ends_it(early: Sandbox, nova: Any) -> None:
    nova.ok("image-create", "web1", "Daily-myserver-1", cloud=early)
    said: list[str] = []
    with pytest.raises(DemoFailed) as failed:
        Demo(early, said.append).run()
    assert str(failed.value) == (
        "the tour's step 'nova image-list' failed: 8 daily images, not 7"
    )
    assert "Daily-myserver-1 " in said[-1]


def test_a_failure_is_one_line_and_status_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sysconfig, "get_path", lambda _name: str(tmp_path))
    assert cli.main(["demo"]) == 1
    assert capsys.readouterr().err == (
        "scheduled-images-sandbox: error: cannot start nova: No such file or"
        " directory\n"
    )
