"""What users get for what is wrong: the exact line, the exit status, no harm done."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from typing import Any

import pytest

from rax_scheduled_images_ext.sandbox import Sandbox

from ..novashell import HAS_IMAGE_COMMANDS, image_commands_are_ours
from .fleet import MYSERVER, NOBODY, add_image, sent
from .interceptor import DROPPED, Interceptor, cut, json_answer, page

IMAGE = "11111111-2222-4333-8444-555555555555"
SCHEDULE = f"/servers/{MYSERVER}/rax-si-image-schedule"
DAYS = "sunday, monday, tuesday, wednesday, thursday, friday, saturday"
RETENTION = (
    "argument <retention>: '{}' is not a retention: a whole number from 1 to 65535"
)
NAME = "argument <{}>: '{}' is not a name or ID of 1 to 255 characters"


@pytest.fixture
def cloud(cloud: Sandbox) -> Sandbox:
    add_image(cloud, "my image", image_id=IMAGE, a="1")
    return cloud


# -- arguments that are wrong in themselves

ENABLE, SHOW = "scheduled-images-enable", "scheduled-images-show"
DISABLE = "scheduled-images-disable"
WRONG_ARGUMENTS: list[tuple[list[str], str]] = [
    *[
        ([ENABLE, "myserver", text], RETENTION.format(text))
        for text in ("0", "-1", "65536", "1.5", "abc", "", " ", "7 ", "1e3", "٣")
    ],
    *[
        (
            [ENABLE, "--day-of-week", day, "myserver", "7"],
            f"argument --day-of-week: '{day}' is not a day of the week: use one of"
            f" {DAYS}",
        )
        for day in ("", "someday", "0", "samedi", "saturday,sunday")
    ],
    (
        [ENABLE, "--day-of-week", "t", "myserver", "7"],
        "argument --day-of-week: 't' is ambiguous: tuesday or thursday",
    ),
    ([ENABLE], "the following arguments are required: <server>, <retention>"),
    ([ENABLE, "myserver"], "the following arguments are required: <retention>"),
    ([ENABLE, "", "7"], NAME.format("server", "")),
    ([DISABLE], "the following arguments are required: <server>"),
    ([DISABLE, ""], NAME.format("server", "")),
    ([SHOW], "the following arguments are required: <server>"),
    ([SHOW, "n" * 256], NAME.format("server", "n" * 256)),
    (
        [SHOW, "\udcff"],
        "argument <server>: '\\udcff' is not a name or ID: it is not text",
    ),
    *[
        (
            [SHOW, "--format", text, "myserver"],
            f"argument --format: '{text}' is not one of table, json, csv, value",
        )
        for text in ("xml", "", "JSON")
    ],
]
WRONG_IMAGE_ARGUMENTS: list[tuple[list[str], str]] = [
    *[
        (
            ["image-list", "--limit", text],
            f"argument --limit: '{text}' is not a limit: a whole number of at least 1",
        )
        for text in ("0", "-1", "1.5", "many", "")
    ],
    (["image-show"], "the following arguments are required: <image>"),
    (["image-show", ""], NAME.format("image", "")),
    (["image-delete"], "the following arguments are required: <image>"),
    (["image-delete", "my image", ""], NAME.format("image", "")),
    (
        ["image-meta"],
        "the following arguments are required: <image>, <action>, <key=value>",
    ),
    (
        ["image-meta", "my image", "set"],
        "the following arguments are required: <key=value>",
    ),
    (
        ["image-meta", "my image", "add", "a=1"],
        "argument <action>: 'add' is not one of set, delete",
    ),
    (
        ["image-meta", "my image", "set", "b=2", "a"],
        "'a' is not in the format of 'key=value'",
    ),
    *[
        (
            ["image-meta", "my image", action, f"{key}=1"],
            f"argument <key=value>: '{key}' is not a metadata key of 1 to 255"
            " characters",
        )
        for action in ("set", "delete")
        for key in ("", "k" * 256)
    ],
    *[
        (
            ["image-meta", "my image", "set", f"{key}=public"],
            f"argument <key=value>: '{key}' is an attribute of the image itself, not"
            " metadata",
        )
        for key in ("visibility", "protected", "name", "owner")
    ],
]


def check_usage_error(nova: Any, cloud: Sandbox, argv: list[str], text: str) -> None:
    result = nova(*argv)
    assert (result.status, result.out) == (2, "")
    assert result.err.splitlines()[-2:] == [
        f"error: {text}",
        f"Try 'nova help {argv[0]}' for more information.",
    ]
    assert sent(cloud) == []


@pytest.mark.parametrize(("argv", "text"), WRONG_ARGUMENTS)
def test_wrong_arguments(nova: Any, cloud: Sandbox, argv: list[str], text: str) -> None:
    check_usage_error(nova, cloud, argv, text)


@image_commands_are_ours
@pytest.mark.parametrize(("argv", "text"), WRONG_IMAGE_ARGUMENTS)
def test_wrong_image_arguments(
    nova: Any, cloud: Sandbox, argv: list[str], text: str
) -> None:
    check_usage_error(nova, cloud, argv, text)


# -- what the cloud does not have

COMMANDS = [[ENABLE, "{}", "7"], [DISABLE, "{}"], [SHOW, "{}"]]
IMAGE_COMMANDS = [
    ["image-show", "{}"],
    ["image-meta", "{}", "set", "a=2"],
    ["image-meta", "{}", "delete", "a"],
    ["image-delete", "{}"],
]
UNKNOWN = ["nosuch", NOBODY, "größe", "a'b", "n" * 255, "..", "%", "my", "in:x"]


def filled(argv: list[str], wanted: str) -> list[str]:
    return [wanted if word == "{}" else word for word in argv]


@pytest.mark.parametrize("argv", COMMANDS)
def test_unknown_servers(nova: Any, argv: list[str]) -> None:
    nova.ok(ENABLE, "myserver", "3")
    unknown = [*UNKNOWN, "myserve", "yserver", "MYSERVER"]
    verb, _, *retention = argv
    result = nova(verb, *unknown, *retention)
    assert (result.status, result.out) == (1, "")
    assert result.err.splitlines() == [
        f"ERROR (CommandError): No server with a name or ID of '{wanted}' exists."
        for wanted in unknown
    ]
    assert nova.ok(SHOW, "myserver") == "Schedule type: Daily\nRetention: 3\n"


@image_commands_are_ours
@pytest.mark.parametrize("wanted", ["nosuch", NOBODY])
@pytest.mark.parametrize("argv", IMAGE_COMMANDS[:3])
def test_unknown_images(nova: Any, argv: list[str], wanted: str) -> None:
    result = nova(*filled(argv, wanted))
    assert (result.status, result.out, result.err) == (
        1,
        "",
        f"ERROR (CommandError): No image with a name or ID of '{wanted}' exists.\n",
    )


@image_commands_are_ours
def test_unknown_images_to_delete(nova: Any) -> None:
    unknown = [*UNKNOWN, "my imag", "MY IMAGE"]
    result = nova("image-delete", *unknown)
    assert (result.status, result.out) == (1, "")
    assert result.err.splitlines() == [
        f"Delete for image {wanted} failed: No image with a name or ID of '{wanted}'"
        " exists."
        for wanted in unknown
    ]
    assert IMAGE in nova.ok("image-list")


@pytest.mark.parametrize("argv", COMMANDS)
def test_two_servers_of_one_name(nova: Any, cloud: Sandbox, argv: list[str]) -> None:
    twins = sorted(cloud.boot("twin").id for _ in range(2))
    result = nova(*filled(argv, "twin"))
    assert (result.status, result.out) == (1, "")
    begin = (
        "ERROR (CommandError): Multiple server matches found for 'twin', use an ID to"
        " be more specific: "
    )
    assert result.err.startswith(begin)
    assert sorted(result.err.removeprefix(begin).strip().split(", ")) == twins


# -- getting in


@pytest.mark.parametrize("argv", [*COMMANDS, ["image-list"]])
def test_wrong_credentials(nova: Any, argv: list[str]) -> None:
    result = nova(*filled(argv, "myserver"), env={"OS_PASSWORD": "wrong-secret"})
    assert (result.status, result.out) == (1, "")
    assert re.fullmatch(
        r"ERROR \(Unauthorized\): The request you have made requires authentication\."
        r" \(HTTP 401\)( \(Request-ID: .*\))?\n",
        result.err,
    )
    assert "wrong-secret" not in result.err


@pytest.mark.parametrize(
    "env",
    [
        {"OS_AUTH_URL": "http://127.0.0.1:1/identity/v3"},
        {"NOVACLIENT_BYPASS_URL": "http://127.0.0.1:1/compute/v2.1"},
    ],
)
@pytest.mark.parametrize("argv", COMMANDS)
def test_no_server_there(nova: Any, argv: list[str], env: dict[str, str]) -> None:
    result = nova(*filled(argv, "myserver"), env=env)
    assert (result.status, result.out) == (1, "")
    assert re.fullmatch(r"ERROR \(\w+\): .*127\.0\.0\.1.*\n", result.err)
    assert "Traceback" not in result.err


@image_commands_are_ours
@pytest.mark.parametrize("argv", [["image-list"], *IMAGE_COMMANDS])
def test_no_image_service_where_the_catalog_says(
    nova: Any, cloud: Sandbox, front: Interceptor, argv: list[str]
) -> None:
    nowhere = b'"http://127.0.0.1:1/image'
    there = f'"{cloud.url}/image'.encode()
    front.change("POST", "/tokens$", lambda content: content.replace(there, nowhere))
    result = nova(*filled(argv, "my image"))
    assert (result.status, result.out) == (1, "")
    assert re.fullmatch(
        r".*Unable to establish connection to http://127\.0\.0\.1:1/image/v2/images.*\n",
        result.err,
    )


# -- a service that answers nonsense

GOOD = '{"image_schedule": {"retention": 3}}'
SAID = "ERROR (UnexpectedAnswer): The compute service answered {} {} with {}, but {}\n"
REFUSED = (
    "ERROR ({}): The compute service refused {} {} without a readable reason"
    " (the content is {}) (HTTP {})\n"
)
NONSENSE = {
    "a page": (page("200 OK"), "the content is text/html, not a JSON object"),
    "half of it": (
        json_answer("200 OK", GOOD[:20]),
        "the content is unreadable, not a JSON object",
    ),
    "nothing": (json_answer("200 OK", ""), "the content is empty, not a JSON object"),
    "a list": (
        json_answer("200 OK", "[1]"),
        "the content is JSON of type list, not a JSON object",
    ),
    "another object": (
        json_answer("200 OK", '{"server": {}}'),
        "without a JSON object 'image_schedule'",
    ),
    "no number": (
        json_answer("200 OK", '{"image_schedule": {"retention": "many"}}'),
        "without a 'retention' that is a number",
    ),
    "no day": (
        json_answer("200 OK", '{"image_schedule": {"retention": 1, "day_of_week": 6}}'),
        "with a 'day_of_week' that is not a day",
    ),
}


@pytest.mark.parametrize("what", NONSENSE)
@pytest.mark.parametrize(("verb", "method"), [(SHOW, "GET"), (ENABLE, "POST")])
def test_a_malformed_schedule(
    nova: Any, front: Interceptor, verb: str, method: str, what: str
) -> None:
    answer, problem = NONSENSE[what]
    front.answer(method, "/rax-si-image-schedule$", answer)
    argv = [verb, "myserver", *(["7"] if verb == ENABLE else [])]
    result = nova(*argv)
    assert (result.status, result.out, result.err) == (
        1,
        "",
        SAID.format(method, SCHEDULE, 200, problem),
    )


def test_a_page_does_not_mean_that_a_schedule_is_gone(
    nova: Any, front: Interceptor
) -> None:
    front.answer("DELETE", "/rax-si-image-schedule$", page("200 OK"))
    result = nova(DISABLE, "myserver")
    assert (result.status, result.out, result.err) == (
        1,
        "",
        SAID.format("DELETE", SCHEDULE, 200, "the content is text/html, not JSON"),
    )


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("missing", [0, 30])
def test_a_connection_that_breaks(
    nova: Any, front: Interceptor, method: str, missing: int
) -> None:
    whole = json_answer("200 OK", GOOD)
    answer = cut(whole, missing) if missing else DROPPED
    front.answer(method, "/rax-si-image-schedule$", answer)
    argv = {"GET": [SHOW, MYSERVER], "POST": [ENABLE, MYSERVER, "7"]}
    result = nova(*argv.get(method, [DISABLE, MYSERVER]))
    assert (result.status, result.out) == (1, "")
    assert re.fullmatch(rf"ERROR \(\w+\): .*{SCHEDULE}: .*\n", result.err)


LISTS = {
    "a page": (page("200 OK"), "the content is text/html, not a JSON object"),
    "an object": (
        json_answer("200 OK", '{"servers": {}}'),
        "without a list of JSON objects 'servers'",
    ),
    "names": (
        json_answer("200 OK", '{"servers": ["myserver"]}'),
        "without a list of JSON objects 'servers'",
    ),
    "no ID": (
        json_answer("200 OK", '{"servers": [{"name": "myserver"}]}'),
        "with a server that has no ID",
    ),
}


@pytest.mark.parametrize(
    ("argv", "what"),
    [(COMMANDS[1], what) for what in LISTS] + [(c, "a page") for c in COMMANDS],
)
def test_a_malformed_list_of_servers(
    nova: Any, front: Interceptor, argv: list[str], what: str
) -> None:
    answer, problem = LISTS[what]
    front.answer("GET", r"/servers\?", answer)
    result = nova(*filled(argv, "myserver"))
    path = "/servers?name=%5Emyserver%24"
    assert (result.status, result.out, result.err) == (
        1,
        "",
        SAID.format("GET", path, 200, problem),
    )
    assert not any(SCHEDULE in line for line in front.log)


def test_an_id_in_an_answer_leads_nowhere_else(nova: Any, front: Interceptor) -> None:
    front.answer(
        "GET",
        r"/servers\?",
        json_answer("200 OK", '{"servers": [{"name": "myserver", "id": ".."}]}'),
    )
    result = nova(DISABLE, "myserver")
    assert (result.status, result.err) == (
        1,
        "ERROR (InvalidValue): '..' cannot be part of a URL\n",
    )
    assert not any(line.startswith("DELETE") for line in front.log)


def test_pages_without_end(nova: Any, front: Interceptor) -> None:
    links = '"servers_links": [{"rel": "next", "href": "http://example.org/?marker=1"}]'
    front.answer(
        "GET", r"/servers\?", json_answer("200 OK", f'{{"servers": [], {links}}}')
    )
    result = nova(DISABLE, "myserver")
    assert (result.status, result.err) == (
        1,
        SAID.format(
            "GET", "/servers?marker=1", 200, "its next page has been read before"
        ),
    )


IMAGE_LISTS = {
    "a page": (page("200 OK"), "the content is text/html, not a JSON object"),
    "no list": (
        json_answer("200 OK", '{"images": null}'),
        "without a list of JSON objects 'images'",
    ),
    "no ID": (
        json_answer("200 OK", '{"images": [{"name": "my image"}]}'),
        "with an image that has no ID",
    ),
}


@image_commands_are_ours
@pytest.mark.parametrize(
    ("argv", "what"),
    [(["image-delete", "{}"], what) for what in IMAGE_LISTS]
    + [(argv, "a page") for argv in (["image-list"], *IMAGE_COMMANDS)],
)
def test_a_malformed_list_of_images(
    nova: Any, front: Interceptor, argv: list[str], what: str
) -> None:
    answer, problem = IMAGE_LISTS[what]
    front.answer("GET", r"/images\?", answer)
    result = nova(*filled(argv, "my image"))
    assert (result.status, result.out) == (1, "")
    assert result.err.endswith(f" with 200, but {problem}\n")
    assert result.err.count("\n") == 1
    assert not any(line.startswith(("PATCH", "DELETE")) for line in front.log)


@image_commands_are_ours
def test_a_page_does_not_mean_that_an_image_has_changed(
    nova: Any, front: Interceptor
) -> None:
    for method in ("PATCH", "DELETE"):
        front.answer(method, "/images/", page("200 OK"))
    for argv in (["meta", IMAGE, "set", "a=2"], ["meta", IMAGE, "delete", "a"]):
        result = nova(f"image-{argv[0]}", *argv[1:])
        assert (result.status, result.out, result.err) == (
            1,
            "",
            "ERROR (UnexpectedAnswer): The image service answered PATCH"
            f" /images/{IMAGE} with 200, but the content is text/html, not a JSON"
            " object\n",
        )
    result = nova("image-delete", IMAGE)
    assert (result.status, result.out, result.err) == (
        1,
        "",
        f"Delete for image {IMAGE} failed: The image service answered DELETE"
        f" /images/{IMAGE} with 200, but the content is text/html, not JSON\n",
    )


# -- a service that refuses

FAULT = '{"computeFault": {"message": "Unexpected API Error.", "code": 500}}'
REFUSALS = {
    "500": (json_answer("500 Oops", FAULT), "Unexpected API Error. (HTTP 500)"),
    "500, several lines": (
        json_answer("500 Oops", FAULT.replace("API", r"\n\u001b[1mAPI<br />")),
        r"Unexpected \x1b[1mAPI Error. (HTTP 500)",
    ),
    "503": (
        page("503 Service Unavailable"),
        "The compute service refused {} without a readable reason (the content"
        " is text/html) (HTTP 503)",
    ),
    "403": (
        json_answer("403 Forbidden", '{"forbidden": {"message": "Not you."}}'),
        "Not you. (HTTP 403)",
    ),
    "409": (
        json_answer("409 Conflict", '["what?"]'),
        "The compute service refused {} without a readable reason (the content"
        " is JSON of type list) (HTTP 409)",
    ),
    "no more tries": (
        json_answer(
            "429 Slow Down", '{"overLimit": {"message": "Slow."}}', Retry_After="0"
        ),
        "Slow.; gave up after 5 tries (HTTP 429)",
    ),
    "too long": (
        json_answer(
            "413 Later", '{"overLimit": {"message": "Slow."}}', Retry_After="3600"
        ),
        "Slow.; it asks to retry in 3600 seconds, which is longer than this client"
        " waits (60 in all) (HTTP 413)",
    ),
}
CLASSES = {"403": "Forbidden", "409": "Conflict", "no more tries": "RateLimit"}


@pytest.mark.parametrize(
    ("method", "argv", "what"),
    [
        *[("DELETE", COMMANDS[1], what) for what in REFUSALS],
        *[("POST", COMMANDS[0], what) for what in ("500", "403", "too long")],
        *[("GET", COMMANDS[2], what) for what in ("500", "403", "too long")],
    ],
)
def test_refusals(
    nova: Any, front: Interceptor, method: str, argv: list[str], what: str
) -> None:
    nova.ok(ENABLE, "myserver", "3")
    answer, text = REFUSALS[what]
    front.answer(method, "/rax-si-image-schedule$", answer)
    result = nova(*filled(argv, "myserver"))
    kind = CLASSES.get(what, "OverLimit" if what == "too long" else "ClientException")
    assert (result.status, result.out, result.err) == (
        1,
        "",
        f"ERROR ({kind}): {text.format(f'{method} {SCHEDULE}')}\n",
    )
    front.rules.clear()
    assert nova.ok(SHOW, "myserver") == "Schedule type: Daily\nRetention: 3\n"


@pytest.mark.parametrize(
    ("argv", "status"),
    [
        *[(COMMANDS[0], status) for status in ("413 Later", "429 Slow Down")],
        *[(c, "503 Busy") for c in (*COMMANDS, ["image-list"], *IMAGE_COMMANDS)],
    ],
)
def test_a_busy_cloud_is_asked_again(
    nova: Any, front: Interceptor, argv: list[str], status: str
) -> None:
    if argv[0].startswith("image") and HAS_IMAGE_COMMANDS:
        pytest.skip("this novaclient has image commands of its own")
    nova.ok(ENABLE, "myserver", "3")
    busy = json_answer(status, "{}", Retry_After="0")
    for method in ("GET", "POST", "PATCH", "DELETE"):
        front.answer(
            method, "/(rax-si-image-schedule$|images|servers[?])", busy, times=2
        )
    wanted = IMAGE if argv[0].startswith("image") else "myserver"
    result = nova(*filled(argv, wanted))
    assert (result.status, result.err) == (0, "")


def test_a_busy_cloud_is_waited_for(nova: Any, front: Interceptor) -> None:
    front.answer(
        "POST",
        "/rax-si-image-schedule$",
        json_answer("503 Busy", "{}", Retry_After="1"),
        times=1,
    )
    before = time.monotonic()
    result = nova(ENABLE, "myserver", "7")
    line = "The compute service is busy: trying again in 1 s\n"
    assert (result.status, result.err) == (0, line)
    assert time.monotonic() - before > 1
    assert [line for line in front.log if "POST" in line and "servers" in line] == [
        f"POST /compute/v2.1{SCHEDULE}"
    ] * 2


# -- debugging


def test_debugging_shows_where_an_error_came_from_and_no_secret(
    cloud: Sandbox,
) -> None:
    # A process of its own: pytest's handlers would keep the shell's from working.
    result = subprocess.run(
        [sys.executable, "-m", "novaclient.shell", "--debug", SHOW, "nosuch"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **cloud.env()},
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("Traceback (most recent call last)") == 1
    line = "ERROR (CommandError): No server with a name or ID of 'nosuch' exists."
    assert line in result.stderr.splitlines()
    assert "GET call to compute" in result.stderr
    assert cloud.env()["OS_PASSWORD"] not in result.stderr
    assert not re.search(r"X-(Auth|Subject)-Token: (?!\{SHA)", result.stderr)
