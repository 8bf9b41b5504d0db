"""What is odd in the variables or in clouds.yaml is one line, and no request."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rax_scheduled_images_ext.client.configuration import (
    regions,
)
from rax_scheduled_images_ext.errors import Misconfigured
from rax_scheduled_images_ext.sandbox import Sandbox

from ..serviceshell import Service
from ..shell import Result

AUTH = (
    "auth: {auth_url: 'http://127.0.0.1:9/v3', username: u, password: 'sesame',"
    " project_name: p}"
)


def with_password(value: str) -> str:
    return "clouds: {x: {" + AUTH.replace("'sesame'", value) + "}}"


Run = Callable[..., Result]


@pytest.fixture
def run(cloud: Sandbox, tmp_path: Path) -> Run:
    """Run ``status`` with a clouds.yaml alone, or with other variables."""

    def run(text: bytes | None = None, **variables: str | None) -> Result:
        env: dict[str, str | None] = {**variables}
        if text is not None:
            env |= dict.fromkeys(cloud.env())
            file = tmp_path / "clouds.yaml"
            file.write_bytes(text)
            env |= {"OS_CLOUD": "x", "OS_CLIENT_CONFIG_FILE": str(file)}
        cloud.requests.clear()
        result = Service(cloud)("status", env=env)
        assert not cloud.requests
        return result

    return run


def is_one_line(result: Result, *parts: str) -> None:
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("scheduled-images-service: error: ")
    assert result.err.count("\n") == 1
    for part in parts:
        assert part in result.err
    assert "sesame" not in result.err


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "clouds.yaml must be a mapping"),
        ("[a]", "clouds.yaml must be a mapping"),
        ("word", "clouds.yaml must be a mapping"),
        ("clouds:", "clouds.yaml, clouds must be a mapping"),
        ("clouds: [1]", "clouds.yaml, clouds must be a mapping"),
        ("clouds: {x: }", "clouds, x must be a mapping"),
        ("clouds: {x: sesame}", "clouds, x must be a mapping"),
        ("clouds: {y: {}}", "Cloud x was not found"),
        ("clouds: {x: {auth: }}", "clouds, x, auth must be a mapping"),
        ("clouds: {x: {auth: sesame}}", "clouds, x, auth must be a mapping"),
        ("clouds: {x: {auth: {auth_url: 5}}}", "x, auth, auth_url must be text"),
        (
            "clouds: {x: {auth: {auth_url: 'http://[::1'}}}",
            "is not a URL that starts with",
        ),
        (
            "clouds: {x: {auth: {auth_url: nova}}}",
            "'nova' is not a URL that starts with",
        ),
        (with_password("12"), "x, auth, password must be"),
        (with_password("[s]"), "x, auth, password must be"),
        (with_password(""), "x, auth, password must be"),
        (f"clouds: {{x: {{auth_type: no, {AUTH}}}}}", "x, auth_type must be text"),
        (f"clouds: {{x: {{auth_type: nope, {AUTH}}}}}", "nope could not be found"),
        (f"clouds: {{x: {{regions: abc, {AUTH}}}}}", "x, regions must be a list"),
        (f"clouds: {{x: {{api_timeout: a, {AUTH}}}}}", "cannot be used"),
        ("clouds:\n  x: [sesame\n", "is not YAML in UTF-8: see line 3"),
        ("clouds:\n\tx: sesame", "is not YAML in UTF-8: see line 2"),
        ("clouds: {x: *sesame}", "is not YAML in UTF-8: see line 1"),
    ],
)
def test_odd_files(run: Run, text: str, problem: str) -> None:
    is_one_line(run(text.encode()), problem)


def test_files_that_are_not_text(run: Run) -> None:
    for content in (b"clouds: \xff", b"clouds: \0"):
        is_one_line(run(content), "clouds.yaml is not YAML in UTF-8")


def test_files_that_cannot_be_read(run: Run, tmp_path: Path) -> None:
    for path, why in (
        (tmp_path, "Is a directory"),
        (tmp_path / "none", "No such file"),
    ):
        is_one_line(run(OS_CLIENT_CONFIG_FILE=str(path)), f"cannot read {path}: {why}")


def test_an_unused_file_does_not_matter(
    cloud: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clouds.yaml").write_text("clouds: {y: {}}\n")
    assert Service(cloud)("status").status == 0


def test_variables_of_two_ways_to_log_in(run: Run) -> None:
    is_one_line(
        run(OS_TOKEN="sesame"), "auth_type 'password' does not accept token (OS_TOKEN)"
    )
    for kind in ("token", "v3token"):
        is_one_line(
            run(OS_AUTH_TYPE=kind, OS_TOKEN="sesame"),
            f"auth_type '{kind}' does not accept ",
            "user_domain_name (OS_USER_DOMAIN_NAME)",
        )
    is_one_line(run(OS_AUTH_TYPE="nope"), "The plugin nope could not be found")
    is_one_line(run(OS_AUTH_URL="http://[::1"), "'http://[::1' is not a URL")


def test_the_same_of_a_tick(cloud: Sandbox) -> None:
    result = Service(cloud)("tick", env={"OS_TOKEN": "sesame"})
    is_one_line(result, "does not accept token (OS_TOKEN)")


# -- regions


def configure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, entry: str, **env: str
) -> None:
    file = tmp_path / "clouds.yaml"
    file.write_text(f"clouds: {{x: {{{entry}{AUTH}}}}}\n")
    for name, value in {
        "OS_CLOUD": "x",
        "OS_CLIENT_CONFIG_FILE": str(file),
        **env,
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ("", [""]),
        ("region_name: A, ", ["A"]),
        ("regions: [A, B], ", ["A", "B"]),
        ("regions: [A, {name: B, values: {compute_api_version: '2'}}], ", ["A", "B"]),
        ("regions: [B, A, B], ", ["B", "A"]),
    ],
)
def test_all_regions_of_a_cloud(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, entry: str, found: list[str]
) -> None:
    configure(monkeypatch, tmp_path, entry)
    assert regions("tests") == found


def test_regions_that_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    configure(monkeypatch, tmp_path, "regions: [A, B, C], ", OS_REGION_NAME="B")
    assert regions("tests") == ["B"]
    assert regions("tests", ["C", "A"]) == ["C", "A"]
    with pytest.raises(Misconfigured, match="Region D is not a valid region name"):
        regions("tests", ["D"])


def test_the_variables_are_of_one_region(
    cloud: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cloud.env().items():
        monkeypatch.setenv(name, value)
    assert regions("tests") == ["RegionOne"]
    monkeypatch.delenv("OS_REGION_NAME")
    assert regions("tests") == [""]
