"""The parts of the panel that need neither a cloud nor a browser."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from urllib.parse import urljoin

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from keystoneauth1 import exceptions as keystone

from rax_scheduled_images_ext.client.snapshots import Attempt
from rax_scheduled_images_ext.errors import ApiError, InvalidValue
from rax_scheduled_images_ext.model.freshness import (
    MAX_AGE,
    InventoryServer,
    schedule_status,
)
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.retention import apply_policy
from rax_scheduled_images_ext.model.rights import Rights, likely_rights
from rax_scheduled_images_ext.model.schedule import DAYS, ImageSchedule
from rax_scheduled_images_ext.operations.inventory import Inventory
from rax_scheduled_images_ext.operations.server import ServerDetails
from rax_scheduled_images_ext.panel.addresses import local_address
from rax_scheduled_images_ext.panel.days import Days
from rax_scheduled_images_ext.panel.fleet import Fleet
from rax_scheduled_images_ext.panel.forms import read_name, read_schedule
from rax_scheduled_images_ext.panel.guesses import GuessLimit, network_of
from rax_scheduled_images_ext.panel.jobs import Job, within
from rax_scheduled_images_ext.panel.labels import short_label
from rax_scheduled_images_ext.panel.look import Look, time_zones
from rax_scheduled_images_ext.panel.pages.servers import SORTS, _listing
from rax_scheduled_images_ext.panel.readings import Patience, Reading, Shelf
from rax_scheduled_images_ext.panel.runs import others_of, runs_of
from rax_scheduled_images_ext.panel.settings import EntryTokens
from rax_scheduled_images_ext.panel.words import (
    brief,
    folded,
    in_words,
    named_words,
    signed_out,
)

NOW = datetime(2026, 1, 15, 12, tzinfo=timezone.utc)
PATIENT = Patience(60, 60)


# -- what is known of a cloud


@dataclass
class Source:
    """What is read: a number that grows, or an error; each reading waits to go on."""

    now: float = 0.0
    readings: int = 0
    error: Exception | None = None
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()
        self.known: Reading[int] = Reading(lambda: self.now)

    def read(self, _before: int | None) -> int:
        self.readings += 1
        number = self.readings
        assert self.gate.wait(60)
        if self.error is not None:
            raise self.error
        return number

    def look(self, fresh: float = 8.0, patience: Patience = PATIENT) -> int | None:
        return self.view(fresh, patience)[0]

    def view(
        self, fresh: float = 8.0, patience: Patience = PATIENT
    ) -> tuple[int | None, float, Exception | None]:
        found = self.known.view(self.read, lambda _: fresh, patience)
        return found.value, found.age, found.error


def test_what_is_fresh_is_not_read_again() -> None:
    source = Source()
    assert [source.look(), source.look()] == [1, 1]
    source.now = 7.9
    assert source.view() == (1, 7.9, None)
    source.now = 8.0
    assert source.look() == 2


def test_many_who_look_at_once_share_one_reading() -> None:
    source = Source()
    source.gate.clear()
    seen: list[int | None] = []
    threads = [
        threading.Thread(target=lambda: seen.append(source.look())) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    source.gate.set()
    for thread in threads:
        thread.join()
    assert seen == [1] * 20
    assert source.readings == 1


def test_what_was_known_stays_when_a_reading_fails() -> None:
    source = Source()
    source.look()
    source.now, source.error = 20.0, ApiError(503, "busy")
    assert source.view() == (1, 20.0, source.error)
    # Nobody asks again at once.
    source.now, failed, source.error = 24.0, source.error, None
    assert source.view() == (1, 24.0, failed)
    source.now = 25.0
    assert source.view() == (3, 0.0, None)


def test_one_users_revoked_token_does_not_stop_others() -> None:
    source = Source(error=ApiError(401, "no"))
    assert source.look() is None
    source.error = None
    assert source.look() == 2


def test_what_was_changed_is_read_again_however_fresh() -> None:
    source = Source()
    source.look()
    source.known.changed()
    assert [source.look(), source.look()] == [2, 2]


def test_a_reading_that_began_before_a_change_does_not_count() -> None:
    source = Source()
    source.gate.clear()
    assert source.look(patience=Patience(0, 0)) is None
    source.known.changed()
    source.gate.set()
    assert source.look() == 2


def test_what_takes_long_is_not_waited_for_where_something_is_known() -> None:
    source = Source()
    source.look()
    source.gate.clear()
    source.now = 9.0
    assert source.look(patience=Patience(60, 0)) == 1
    source.gate.set()
    assert source.look() == 2


def test_what_took_long_to_read_is_kept_for_longer() -> None:
    source = Source()

    def slow(_before: int | None) -> int:
        source.now += 3.0
        return source.read(None)

    view = source.known.view
    assert view(slow, lambda _: 8.0, PATIENT).value == 1
    source.now = 3.0 + 14.0
    assert view(slow, lambda _: 8.0, PATIENT).value == 1
    source.now = 3.0 + 15.0
    assert view(slow, lambda _: 8.0, PATIENT).value == 2
    assert view(slow, lambda _: 0.0, PATIENT).value == 3


def test_a_shelf_forgets_what_nobody_looks_at() -> None:
    shelf: Shelf[int] = Shelf(2, 60)
    first = shelf.of("a")
    assert shelf.of("a") is first
    shelf.of("b")
    shelf.of("c")
    assert shelf.of("a") is not first


# -- jobs


def test_a_job_says_what_was_done_and_what_failed() -> None:
    job = Job("Work", "/then", total=3)

    def work(job: Job) -> None:
        job.progress(2, 3)
        job.did("One was done.")
        job.news.append("Another has begun.")
        job.fail("two", ApiError(403, "no"))

    job.start(work)
    assert job.wait(60)
    # Only what was done counts as done.
    assert (job.ended, job.done) == (3, 1)
    assert job.results() == [
        ("done", "One was done.", ""),
        ("news", "Another has begun.", ""),
        ("failed", "Your role does not permit this: no (HTTP 403)", "two"),
    ]


def test_within_a_time() -> None:
    assert within(60, lambda: 1) == 1
    with pytest.raises(ZeroDivisionError):
        within(60, lambda: 1 // 0)
    gate = threading.Event()
    with pytest.raises(TimeoutError, match="no response within 0 seconds"):
        within(0, gate.wait)
    gate.set()


# -- rights, words, tokens and forms


@pytest.mark.parametrize(
    ("roles", "tags", "rights"),
    [
        (("reader",), False, Rights(change=False, disable=False)),
        (("observer", "identity:default"), True, Rights(change=False, disable=False)),
        (("nova:creator",), False, Rights(change=True, disable=False)),
        (("member", "reader"), True, Rights(change=True, disable=True)),
        (("Admin", "member"), False, Rights(change=True, disable=True)),
        (("operator-of-things",), False, Rights(change=True, disable=True)),
        ((), False, Rights(change=True, disable=True)),
    ],
)
def test_rights(roles: tuple[str, ...], tags: bool, rights: Rights) -> None:
    assert likely_rights(roles, kept_as_tags=tags) == rights


@pytest.mark.parametrize(
    ("error", "words", "out"),
    [
        (
            ApiError(409, "busy"),
            "The cloud refuses this as things are now: busy (HTTP 409)",
            False,
        ),
        (
            ApiError(401, "no"),
            "The cloud does not accept the login: no (HTTP 401)",
            True,
        ),
        (keystone.ConnectTimeout("x"), "The cloud did not answer in time", False),
        (
            keystone.ConnectFailure("http://secret"),
            "The connection to the cloud failed",
            False,
        ),
        (
            keystone.Unauthorized("bad"),
            "The cloud does not accept the login: bad (HTTP 401)",
            True,
        ),
        (
            RuntimeError("secret"),
            "Something went wrong in the panel; its log has the details",
            False,
        ),
    ],
)
def test_errors_in_words(error: Exception, words: str, out: bool) -> None:
    assert in_words(error) == words
    assert signed_out(error) == out


def test_the_words_of_the_cloud_are_folded_and_no_others() -> None:
    assert folded(in_words(ApiError(500, "boom: no"))) == (
        "The cloud has an error.",
        "boom: no (HTTP 500)",
    )
    for text in ("it has no schedule", "web1: it is gone"):
        assert folded(text) == (text, "")


@given(st.lists(st.tuples(st.floats(0, 5000), st.sampled_from("wru")), max_size=60))
def test_each_wrong_password_is_waited_for_longer(
    tries: list[tuple[float, str]],
) -> None:
    now, wrong = 0.0, 0
    limit = GuessLimit(lambda: now)
    waited_until = 0.0
    for pause, outcome in tries:
        now += pause
        wait = limit.begin("who")
        assert wait == pytest.approx(max(0.0, waited_until - now))
        assert limit.begin(f"other-{now}") == 0.0
        if wait:
            continue
        if outcome == "r":
            limit.right("who")
            wrong, waited_until = 0, 0.0
        elif outcome == "w":
            wrong += 1
            delay = min(2.0 * 2 ** (wrong - 3), 900.0) if wrong > 2 else 0.0
            waited_until = now + delay
        else:
            limit.unknown("who")
            delay = min(2.0 * 2 ** (wrong - 2), 900.0) if wrong > 2 else 0.0
            waited_until = now + delay


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "20010db800000000"),
        ("2001:db8::2:3:4:5", "20010db800000000"),
        ("2001:db8:0:1::1", "20010db800000001"),
        ("unknown", "unknown"),
        (None, ""),
    ],
)
def test_who_has_many_addresses_is_one(address: str | None, network: str) -> None:
    assert network_of(address) == network


def test_the_token_to_enter_by() -> None:
    renewed: list[str] = []
    tokens = EntryTokens(renewed.append)
    first = tokens.token
    assert not tokens.use("")
    assert not tokens.use("\N{SNOWMAN}")
    assert tokens.use(first)
    assert not tokens.use(first)
    assert renewed == [tokens.token]


@given(
    st.lists(
        st.sampled_from(["/", "\\", "\t", "\r\n", "//", "images", "..", "%2E", "?"])
    )
    | st.lists(st.characters())
)
def test_an_address_to_go_back_to_is_one_of_the_panels_own(parts: list[str]) -> None:
    """As browsers read addresses: without tabs and line ends, a backslash a slash."""
    base = "https://panel.example/images/"
    for address in ("".join(parts), "/images/" + "".join(parts)):
        with Flask("x").test_request_context("/", base_url=base):
            local = local_address(address)
        if local is None:
            continue
        assert local == address
        assert local.isascii()
        assert local.isprintable()
        read = re.sub("[\t\r\n]", "", local).replace("\\", "/")
        read = re.sub("%2e", ".", read, flags=re.IGNORECASE)
        assert urljoin(base, read).startswith(base)


@given(st.integers(1, 65535), st.sampled_from([None, *DAYS]))
def test_a_schedule_comes_back_from_a_form(retention: int, day: str | None) -> None:
    form = {"retention": f" {retention} ", "when": (day or "daily").lower()}
    assert read_schedule(form) == ImageSchedule(retention, day)


@given(st.text())
def test_a_name_is_one_that_an_image_can_have(text: str) -> None:
    try:
        name = read_name({"name": text})
    except InvalidValue:
        return
    assert name == text.strip()
    assert 1 <= len(name) <= 255


# -- the list and the time line


def server(number: int, ages: list[int], retention: int | None) -> Inventory:
    schedule = ImageSchedule(retention) if retention else None
    item = InventoryServer(
        f"id-{number}", f"Server{number}", NOW - timedelta(days=9), schedule
    )
    status = schedule_status(item, images_of(item.id, ages), NOW, MAX_AGE)
    return Inventory(NOW, [status])


def images_of(server_id: str, ages: list[int]) -> list[ServerImage]:
    return [
        ServerImage(
            f"{server_id}-{place}",
            f"Daily-x-{1700000000 + place}",
            "ACTIVE",
            created=NOW - timedelta(hours=age),
            server_id=server_id,
            owner="p",
        )
        for place, age in enumerate(ages)
    ]


fleets = st.lists(
    st.tuples(st.lists(st.integers(0, 500), max_size=3), st.none() | st.integers(1, 9)),
    max_size=230,
)


@given(fleets, st.sampled_from(list(SORTS)), st.booleans(), st.integers(1, 4))
def test_the_pages_have_each_server_once_and_what_is_late_first(
    fleet: list[tuple[list[int], int | None]], sort: str, down: bool, state: int
) -> None:
    found = [
        status
        for number, (ages, retention) in enumerate(fleet)
        for status in server(number, ages, retention).servers
    ]
    servers = Fleet(NOW, found, {})
    asked = {"name": "", "status": "", "sort": f"-{sort}" if down else sort}
    first = _listing(servers, asked, 1)
    rows = [
        row
        for page in range(1, first.pages + 1)
        for row in _listing(servers, asked, page).rows
    ]
    assert sorted(row.server.id for row in rows) == sorted(
        status.server.id for status in found
    )
    assert all(len(_listing(servers, asked, n).rows) <= 100 for n in (1, 2))
    if asked["sort"] == "status":
        stale = [row.stale for row in rows]
        assert stale == sorted(stale, reverse=True)


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=40), st.integers(1, 9))
def test_each_image_has_a_cell_and_only_what_would_be_there_is_missing(
    ages: list[int], retention: int
) -> None:
    schedule = ImageSchedule(retention)
    item = InventoryServer("s", "s", project_id="p", schedule=schedule)
    images = images_of("s", ages)
    details = ServerDetails(
        NOW,
        schedule_status(item, images, NOW, MAX_AGE),
        apply_policy(images, "s", retention, "p"),
    )
    runs = runs_of(details)
    times = [run.time for run in runs]
    assert times == sorted(times)
    cells = [run.image_id for run in (*runs, *others_of(details)) if run.image_id]
    assert sorted(cells) == sorted(image.id for image in images)
    # Of runs without an image no more than the retention are missing.
    missing = [run for run in runs if run.kind == "missing"]
    made = [run.time for run in runs if run.image_id]
    assert all(min(made) < run.time <= NOW for run in missing)
    for run in missing:
        newer = sum(time > run.time for time in made)
        assert newer < retention


def test_attempts_of_a_day_are_one_failure() -> None:
    def at(day: int, hour: int) -> datetime:
        return datetime(2026, 1, day, hour, tzinfo=timezone.utc)

    days = Days(NOW.date())
    attempts = [
        Attempt("e", at(14, 4)),
        *(Attempt(f"{hour}", at(13, hour), f"why {hour}") for hour in (9, 6, 3)),
        Attempt("a", at(12, 3), "No valid host."),
    ]
    days.lacks([], attempts, "web1")
    assert {day.date.day: day.failed for day in days} == {
        13: ["web1: why 9 (3 attempts)"],
        12: ["web1: No valid host."],
    }


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(9998, 1, 1)),
    st.sampled_from(["", "UTC", "Asia/Tokyo"]),
)
def test_all_times_are_written_alike(moment: datetime, zone: str) -> None:
    moment, look = moment.replace(tzinfo=timezone.utc), Look("", zone)
    form = r"\d{4}-\d\d-\d\d \d\d:\d\d (UTC|JST)"
    assert re.fullmatch(form, look.words(moment))
    assert look.words(moment).startswith(look.day(moment))


def test_only_places_are_time_zones() -> None:
    zones = time_zones()
    assert {"UTC", "Europe/Berlin"} <= zones
    assert not zones & {"localtime", "Factory", "posixrules"}
    assert Look.read("dark", "localtime") == Look("dark", "")


@given(st.text())
def test_a_list_has_the_beginning_of_a_text_and_of_each_id(text: str) -> None:
    server_id = "24ade2fe-60d9-4d3e-a02c-c9a6a1b588a6"
    assert len(brief(text)) <= 73
    assert brief(f"Image {server_id} is lost.") == "Image 24ade2fe… is lost."
    label = short_label(text, server_id)
    assert label == text or (len(label) < len(text) and label.endswith("(24ade2fe)"))


@pytest.mark.parametrize(
    ("number", "words"),
    [(1, "s0"), (5, "s0, s1, s2, s3, s4"), (1007, "s0, s1, s2, s3, s4 and 1,002 more")],
)
def test_of_many_names_some_are_written(number: int, words: str) -> None:
    assert named_words([f"s{each}" for each in range(number)]) == words


def test_no_runs_without_images() -> None:
    item = InventoryServer("s", "s")
    details = ServerDetails(NOW, schedule_status(item, [], NOW, MAX_AGE), [])
    assert runs_of(details) == others_of(details) == []
