"""Laws of policies: whoever acts by hand wins for good, and nobody is forgotten.

Everything happens as on a cloud: one tag at a time, in any order, and whoever acts may
die in between.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rax_scheduled_images_ext.errors import MalformedTag
from rax_scheduled_images_ext.model.keep import Keep
from rax_scheduled_images_ext.model.policies import (
    LAST_VERSION,
    TAGGABLE,
    Candidate,
    Kind,
    Match,
    Policies,
    PolicyTag,
    SchedulePolicy,
    fingerprint,
    longest_name,
)
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import (
    LONGEST_TAG,
    MARKER_TAG,
    MOST_TAGS,
    OFF_TAG,
    is_own_tag,
    is_schedule_tag,
    read_schedule_tags,
    schedule_tag,
)

SCHEDULES = [
    ImageSchedule(7),
    ImageSchedule(3),
    ImageSchedule(4, "SATURDAY"),
    ImageSchedule(hours=6, keep=Keep(last=8, daily=7)),
]
TAGS = list(map(schedule_tag, SCHEDULES))
MATCHES = [Match(), Match(tags=frozenset({"prod"})), Match(name=re.compile("^db"))]
MARKER = {MARKER_TAG}
VERSIONS = st.integers(1, 3)


@st.composite
def policies(draw: st.DrawFn, prefixes: tuple[str, ...] = ("ops", "web")) -> Policies:
    """Draw a file, of which the last policy may match all."""
    names = draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True))
    return Policies(
        draw(VERSIONS),
        tuple(
            SchedulePolicy(
                name, draw(st.sampled_from(SCHEDULES)), draw(st.sampled_from(MATCHES))
            )
            for name in names
        ),
        draw(st.sampled_from(prefixes)),
        draw(st.sampled_from([Match(), Match(tags=frozenset({"no-images"}))])),
    )


POLICY_TAGS = st.builds(
    lambda name, version, tag: str(PolicyTag(name, version, fingerprint(tag))),
    st.sampled_from(["ops-a", "ops-b", "web-a"]),
    VERSIONS,
    st.sampled_from(TAGS),
)
ANY_TAGS = st.frozensets(
    st.one_of(
        st.sampled_from(
            [MARKER_TAG, OFF_TAG, *TAGS, "prod", "no-images", "scheduled-images:x"]
        ),
        POLICY_TAGS,
    ),
    max_size=6,
)
FULL = frozenset(f"tag{number}" for number in range(47))
SERVERS = st.builds(
    lambda name, tags, more: Candidate(
        "id", name, frozenset({"p"}), "ACTIVE", tags | frozenset(list(FULL)[:more])
    ),
    st.sampled_from(["db1", "web1"]),
    ANY_TAGS,
    st.sampled_from([0, 0, 0, 44, 46, 47]),
)


def requests(file: Policies, server: Candidate) -> list[tuple[str, str]]:
    """The requests of one look at a server, in their order."""
    change = file.decide(server)
    if change is None:
        return []
    return [*(("PUT", t) for t in change.put), *(("DELETE", t) for t in change.take)]


def answered(server: Candidate, request: tuple[str, str]) -> Candidate:
    """The server after a request, as Nova answers it."""
    method, tag = request
    if method == "DELETE":
        return replace(server, tags=server.tags - {tag})
    if len(server.tags) >= MOST_TAGS:
        return server
    return replace(server, tags=server.tags | {tag})


def looked(file: Policies, server: Candidate) -> Candidate:
    for request in requests(file, server):
        server = answered(server, request)
    return server


def settled(server: Candidate, *files: Policies) -> Candidate:
    """The server when no file changes anything any more."""
    for _ in range(20):
        before = server
        for file in files:
            server = looked(file, server)
        if server == before:
            return server
    raise AssertionError(f"no end: {sorted(server.tags)}")


def own(server: Candidate) -> set[str]:
    return set(filter(is_own_tag, server.tags))


def schedule_of(server: Candidate) -> ImageSchedule | None:
    try:
        return read_schedule_tags(server.tags)
    except MalformedTag:
        return None


# -- whatever there is


@given(policies(), SERVERS)
def test_a_second_look_changes_nothing(file: Policies, server: Candidate) -> None:
    after = settled(server, file)
    assert requests(file, after) == []
    # Nor does it take more than two looks.
    assert looked(file, looked(file, server)) == after


@given(policies(), SERVERS)
def test_there_is_one_request_for_each_change(
    file: Policies, server: Candidate
) -> None:
    sent = requests(file, server)
    after = looked(file, server)
    assert len(sent) == len(after.tags ^ server.tags)
    assert all(is_own_tag(tag) for _, tag in sent)


@given(policies(), SERVERS)
def test_a_schedule_without_our_tag_is_never_touched(
    file: Policies, server: Candidate
) -> None:
    known = [PolicyTag.parse(tag) for tag in server.tags]
    ours = [tag for tag in known if tag and file.is_own(tag)]
    if MARKER_TAG in server.tags and not ours:
        assert requests(file, server) == []
    if OFF_TAG in server.tags:
        # At most it is seen to that none is left.
        assert all(method == "DELETE" for method, _ in requests(file, server))
        assert OFF_TAG in settled(server, file).tags


@given(policies(), SERVERS)
def test_a_schedule_never_ends_by_a_policy_and_that_of_others_stays(
    file: Policies, server: Candidate
) -> None:
    before, after = schedule_of(server), schedule_of(settled(server, file))
    if before is None:
        return
    assert after is not None
    known = list(filter(None, map(PolicyTag.parse, server.tags)))
    own_ = list(filter(file.is_own, known))
    schedules = list(filter(is_schedule_tag, server.tags))
    others = [t for t in schedules if not any(each.gave(t) for each in own_)]
    if any(not any(each.gave(t) for each in known) for t in others):
        assert after == read_schedule_tags(
            [MARKER_TAG, *(others if own_ else schedules)]
        )


@given(policies(), SERVERS)
def test_at_every_moment_of_a_move_there_is_a_schedule(
    file: Policies, server: Candidate
) -> None:
    change = file.decide(server)
    if change is None or change.kind is not Kind.MOVE:
        return
    before = schedule_of(server)
    for request in requests(file, server):
        server = answered(server, request)
        assert (schedule_of(server) is None) == (before is None)


@given(policies(), SERVERS)
def test_what_is_given_is_what_the_first_match_says(
    file: Policies, server: Candidate
) -> None:
    change = file.decide(server)
    if change is None or change.kind is not Kind.GIVE:
        return
    after = looked(file, server)
    policy = file.first_match(server)
    assert policy is not None
    assert schedule_of(after) == policy.schedule
    assert own(after) == MARKER | {
        schedule_tag(policy.schedule),
        str(file.tag_of(policy)),
    }
    assert len(after.tags) <= MOST_TAGS


@given(policies(("ops",)), SERVERS, st.sampled_from(["BUILD", "ERROR", None]))
def test_nothing_is_sent_for_servers_whose_tags_cannot_be_changed(
    file: Policies, server: Candidate, status: str | None
) -> None:
    assert status not in TAGGABLE
    assert requests(file, replace(server, status=status)) == []


# -- two files


BARE = st.builds(
    lambda name, tags: Candidate("id", name, frozenset({"p"}), "ACTIVE", tags),
    st.sampled_from(["db1", "web1"]),
    st.frozensets(st.sampled_from(["prod", "no-images", "x"])),
)


@given(policies(("ops",)), policies(("web", "")), BARE)
def test_two_files_leave_the_servers_of_each_other_alone(
    one: Policies, other: Policies, server: Candidate
) -> None:
    for first, second in ((one, other), (other, one)):
        given_ = settled(server, first)
        if given_ != server:
            assert settled(given_, second) == given_
    # On what either has given, the order of looks makes no difference.
    after = settled(server, one, other)
    assert looked(one, looked(other, after)) == looked(other, looked(one, after))


@given(policies(("ops",)), policies(("ops", "web")), BARE, st.data())
def test_two_runners_at_the_same_moment_agree(
    one: Policies, other: Policies, server: Candidate, data: st.DataObject
) -> None:
    """Their requests come in any order; one schedule is left, and one policy's tag."""
    queues = [requests(one, server), requests(other, server)]
    for request in interleaved(queues, data.draw):
        server = answered(server, request)
    if one.prefix == other.prefix and one.version == other.version and one != other:
        # Two files that differ have two versions.
        return
    after = settled(server, one, other)
    if any(queues):
        assert len([t for t in after.tags if is_schedule_tag(t)]) == 1
        assert len(own(after)) == 3
        assert schedule_of(after) is not None


@given(policies(("ops",)), policies(("web",)), BARE, st.data())
def test_a_look_in_between_takes_no_schedule_away(
    one: Policies, other: Policies, server: Candidate, data: st.DataObject
) -> None:
    """While two files give a schedule, either may see what there is so far.

    What seems to be ended is looked at again, so that does not count.
    """
    queues = [requests(one, server), requests(other, server)]
    wanted, moment = any(queues), data.draw(st.integers(0, 6))
    for number, request in enumerate(interleaved(queues, data.draw)):
        server = answered(server, request)
        if number == moment:
            file = data.draw(st.sampled_from([one, other]))
            change = file.decide(server)
            if change is not None and change.kind is not Kind.END:
                queues.append(requests(file, server))
    if wanted:
        assert schedule_of(settled(server, one, other)) is not None


@given(policies(("ops",)), policies(("ops",)), BARE)
def test_the_newer_file_moves_what_the_older_gave_and_not_back(
    old: Policies, new: Policies, server: Candidate
) -> None:
    if old.version >= new.version:
        return
    after = settled(settled(server, old), new)
    policy = new.first_match(after)
    if policy is not None:
        assert schedule_of(after) == policy.schedule
    assert settled(after, old) == after


def interleaved(
    queues: list[list[tuple[str, str]]], draw: Callable[..., int]
) -> Iterator[tuple[str, str]]:
    """Yield the requests of all in any order that keeps the order of each."""
    while left := [queue for queue in queues if queue]:
        yield left[draw(st.integers(0, len(left) - 1))].pop(0)


# -- by hand


def enabled(server: Candidate, tag: str) -> list[tuple[str, str]]:
    """What a client that knows no policies sends to enable a schedule."""
    old = [t for t in sorted(server.tags) if t.startswith("scheduled-images:")]
    return [
        ("PUT", tag),
        *([] if MARKER_TAG in server.tags else [("PUT", MARKER_TAG)]),
        *(("DELETE", each) for each in old if each != tag),
    ]


def disabled(server: Candidate) -> list[tuple[str, str]]:
    """What such a client sends to disable it."""
    old = [t for t in sorted(server.tags) if t.startswith("scheduled-images:")]
    return [("DELETE", MARKER_TAG), *(("DELETE", each) for each in old)]


FILES = policies(("ops",))


@given(FILES, FILES, BARE, st.sampled_from(TAGS), st.data())
def test_an_old_enable_wins_for_good(
    file: Policies, next_: Policies, server: Candidate, tag: str, data: st.DataObject
) -> None:
    """Also during a look, and if the runner dies in it."""
    server = data.draw(st.sampled_from([server, settled(server, file)]))
    if tag in server.tags or any(file.tag_of(each).gave(tag) for each in file.policies):
        return
    sent = requests(file, server)
    alive = sent[: data.draw(st.integers(0, len(sent)))]
    for request in interleaved([enabled(server, tag), [*alive]], data.draw):
        server = answered(server, request)
    after = settled(server, file)
    found = schedule_of(after)
    assert found is not None
    assert found == read_schedule_tags([MARKER_TAG, tag])
    assert own(after) == {MARKER_TAG, tag}
    # No later version of the file takes it.
    newer = replace(next_, version=file.version + 1)
    assert settled(after, newer) == after


@given(FILES, FILES, BARE, st.data())
def test_an_old_disable_wins_for_good(
    file: Policies, next_: Policies, server: Candidate, data: st.DataObject
) -> None:
    """Also while a newer version of the file moves it, and a runner dies in it."""
    server = settled(server, file)
    if MARKER_TAG not in server.tags:
        return
    newer = replace(next_, version=file.version + 1)
    sent = requests(newer, server)
    sent = sent[: data.draw(st.integers(0, len(sent)))]
    for request in interleaved([disabled(server), sent], data.draw):
        server = answered(server, request)
    after = settled(server, newer)
    assert schedule_of(after) is None
    assert own(after) == {OFF_TAG}
    assert settled(after, file, newer) == after


@given(FILES, BARE, st.data())
def test_a_runner_that_dies_leaves_a_schedule_or_none(
    file: Policies, server: Candidate, data: st.DataObject
) -> None:
    """Never one that nobody wanted, and never one that is taken away."""
    sent = requests(file, server)
    for request in sent[: data.draw(st.integers(0, len(sent)))]:
        server = answered(server, request)
    policy = file.first_match(server)
    after = settled(server, file)
    if schedule_of(after) is not None:
        assert policy is not None
        assert schedule_of(after) == policy.schedule


# -- forms


@given(st.integers(1, LAST_VERSION), st.sampled_from(TAGS))
@example(LAST_VERSION, TAGS[0])
def test_a_tag_is_read_as_it_is_written(version: int, tag: str) -> None:
    for prefix in ("", "ops", "a" * 10):
        name = "x" * longest_name(prefix)
        written = PolicyTag(f"{prefix}-{name}" if prefix else name, version, "0a1b2c")
        assert len(str(written)) <= LONGEST_TAG
        assert PolicyTag.parse(str(written)) == written
        assert written.prefix == prefix
    assert not written.gave(tag) or fingerprint(tag) == "0a1b2c"


@pytest.mark.parametrize(
    "tag",
    ["ops-a:01:0a1b2c", "Ops-a:1:0a1b2c", "ops-a:1:0A1B2C", "ops-a:1", "-a:1:0a1b2c"],
)
def test_what_is_no_tag_of_a_policy(tag: str) -> None:
    assert PolicyTag.parse(f"scheduled-images-policy:{tag}") is None


def test_all_that_is_given_must_hold_and_any_exception_counts() -> None:
    server = Candidate(
        "id",
        "db1",
        frozenset({"p", "shop"}),
        "ACTIVE",
        frozenset({"a", "b"}),
        {"t": "x"},
    )
    good: list[dict[str, Any]] = [
        {"tags": frozenset({"a", "b"})},
        {"metadata": {"t": "x"}},
        {"name": re.compile("^db")},
        {"projects": frozenset({"shop", "other"})},
    ]
    bad: list[dict[str, Any]] = [
        {"tags": frozenset({"a", "c"})},
        {"metadata": {"t": "y"}},
        {"name": re.compile("^web")},
        {"projects": frozenset({"other"})},
    ]
    whole = Match(**dict(chain.from_iterable(part.items() for part in good)))
    assert whole.all_hold(server)
    for part, wrong in zip(good, bad, strict=True):
        assert Match(**part).any_holds(server)
        assert not replace(whole, **wrong).all_hold(server)
    assert not Match(**bad[1]).any_holds(server)
    assert Match(tags=frozenset({"a", "c"})).any_holds(server)
    assert not Match().any_holds(server)
    assert Match().all_hold(server)
