"""The laws of the rules that say what is kept, and what becomes of images in time."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.errors import InvalidValue
from rax_scheduled_images_ext.model.image import (
    MARKER_KEY,
    MARKER_VALUE,
    SNAPSHOT,
    TYPE_KEY,
    ServerImage,
)
from rax_scheduled_images_ext.model.keep import (
    PERIODS,
    RULES,
    WITHIN,
    Keep,
    parse_keep,
    parse_within,
    period_after,
    period_name,
    period_start,
    read_keep,
)
from rax_scheduled_images_ext.model.outlook import Outlook, Runs
from rax_scheduled_images_ext.model.retention import (
    Decision,
    Reason,
    apply_policy,
    reason,
    surplus,
)
from rax_scheduled_images_ext.model.schedule import HOURS

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@st.composite
def keeps(draw: st.DrawFn, most: int = 6) -> Keep:
    """Draw rules that may be in one schedule."""
    rules = {rule: draw(st.integers(0, most)) for rule in RULES}
    if rules["last"] < 2:
        rules[WITHIN] = 0
    return Keep(**rules) or Keep(last=draw(st.integers(1, most)))


@st.composite
def histories(draw: st.DrawFn) -> list[datetime]:
    """Draw when images were made, the newest first: with gaps, ties and bursts."""
    moment, moments = START + draw(st.integers(0, 9000)) * HOUR, list[datetime]()
    for _ in range(draw(st.integers(0, 40))):
        gap = st.sampled_from([0, 20, 60, 360, 720, 1440, 1440, 10080, 45000])
        moment += draw(gap) * MINUTE
        moments.append(moment)
    return moments[::-1]


def kept(keep: Keep, moments: list[datetime]) -> list[datetime]:
    decided = zip(moments, keep.decide(moments), strict=True)
    return [moment for moment, by in decided if by]


def places(keep: Keep, moments: list[datetime]) -> set[int]:
    return {place for place, by in enumerate(keep.decide(moments)) if by}


@given(keeps(), histories())
def test_after_each_image_is_once_for_all(keep: Keep, moments: list[datetime]) -> None:
    """Nothing that was removed is wanted later."""
    left: list[datetime] = []
    for moment in reversed(moments):
        left = kept(keep, [moment, *left])
    assert left == kept(keep, moments)


@given(keeps(), histories(), st.integers(0, 3000))
def test_a_newer_image_frees_at_most_one_for_each_rule_that_counts(
    keep: Keep, moments: list[datetime], hours: int
) -> None:
    before = kept(keep, moments)
    newer = [(moments[0] if moments else START) + hours * HOUR, *before]
    freed = len(newer) - len(kept(keep, newer))
    if not keep.within_days:
        assert freed <= len(keep.rules)
    assert len(before) - freed + 1 >= 1


@given(keeps(), histories())
def test_rules_keep_the_union_of_what_each_keeps(
    keep: Keep, moments: list[datetime]
) -> None:
    found = places(keep, moments)
    alone = [places(Keep(**{rule: n}), moments) for rule, n in keep.rules.items()]
    assert found == set().union(*alone)
    # The newest always stays.
    assert not moments or 0 in found


@given(keeps(), keeps(), histories())
def test_more_rules_and_greater_numbers_free_nothing(
    keep: Keep, more: Keep, moments: list[datetime]
) -> None:
    both = places(keep | more, moments)
    assert both == places(keep, moments) | places(more, moments)


@given(keeps(), histories(), st.data())
def test_deleting_a_part_of_the_surplus_changes_no_decision(
    keep: Keep, moments: list[datetime], data: st.DataObject
) -> None:
    stay = places(keep, moments)
    gone = (
        data.draw(st.sets(st.sampled_from(sorted(set(range(len(moments))) - stay))))
        if len(stay) < len(moments)
        else set()
    )
    left = [moment for n, moment in enumerate(moments) if n not in gone]
    assert kept(keep, left) == [m for n, m in enumerate(moments) if n in stay]


@given(st.integers(1, 12), histories())
def test_a_lone_last_decides_as_a_number_always_did(
    number: int, moments: list[datetime]
) -> None:
    assert places(Keep(last=number), moments) == set(range(min(number, len(moments))))


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)),
    st.sampled_from(list(PERIODS)),
)
def test_periods_follow_one_another(naive: datetime, rule: str) -> None:
    moment = naive.replace(tzinfo=timezone.utc)
    start, after = period_start(rule, moment), period_after(rule, moment)
    assert start <= moment < after
    number, name = PERIODS[rule], period_name(rule, moment)
    last = after - timedelta.resolution
    assert number(start) == number(moment) == number(last) == number(after) - 1
    assert period_name(rule, start) == period_name(rule, last) == name
    assert period_name(rule, after) != name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "last",
        "last=0",
        "last=8,last=9",
        "within_days=3",
        "last=65536",
        "Last=8",
        "last=8 daily=7",
        "daily=-1",
        "last=8;daily=7",
    ],
)
def test_what_is_not_to_be_kept_is_named(text: str) -> None:
    with pytest.raises(InvalidValue, match=text.partition("=")[0] or "''"):
        parse_keep(text)


def test_what_people_write() -> None:
    assert parse_keep("daily=7, last=08") == Keep(last=8, daily=7)
    assert parse_within("30d") == 30
    for text in ("30", "0d", "d", "30D", "65536d"):
        with pytest.raises(InvalidValue, match=f"'{text}'"):
            parse_within(text)
    for keep in (Keep(), Keep(within_days=3), Keep(last=1, within_days=3)):
        with pytest.raises(InvalidValue):
            keep.checked()


@given(keeps())
def test_rules_as_json(keep: Keep) -> None:
    assert read_keep(keep.rules) == keep


@pytest.mark.parametrize(
    "wrong", [None, [], {}, {"last": 0}, {"last": True}, {"last": "7"}, {"lots": 7}]
)
def test_json_that_is_not_rules_is_named(wrong: object) -> None:
    with pytest.raises(InvalidValue):
        read_keep(wrong)


# -- in time


def image(number: int, created: datetime, *, protected: bool = False) -> ServerImage:
    return ServerImage(
        id=f"image-{number:05d}",
        name=f"Daily-web-{1767225600 + number}",
        status="ACTIVE",
        created=created,
        server_id="mine",
        owner="ours",
        metadata={MARKER_KEY: MARKER_VALUE, TYPE_KEY: SNAPSHOT},
        size=1,
        protected=protected,
    )


@st.composite
def outlooks(draw: st.DrawFn) -> Outlook:
    """Draw the outlook of a server whose images are as some schedule left them."""
    keep = draw(keeps())
    hours = draw(st.sampled_from([*HOURS, 24, 168]))
    moments = draw(histories())
    images = [image(n, each) for n, each in enumerate(reversed(moments))]
    now = (moments[0] if moments else START) + draw(st.integers(0, 100)) * HOUR
    due = now + draw(st.integers(1, 60)) * MINUTE
    decisions = apply_policy(images, "mine", keep, "ours", base_image="image-00001")
    return Outlook(decisions, keep, Runs(due, timedelta(hours=hours)))


@given(outlooks(), st.integers(0, 40))
def test_an_outlook_comes_true(outlook: Outlook, runs: int) -> None:
    """What was made in time, and the retention applied after each, is what it says."""
    assert outlook.runs
    assert outlook.keep
    first = outlook.runs.first
    left = [each.image for each in outlook.decisions]
    ends = {each.image.id: outlook.until(each) for each in outlook.decisions}
    going = {each.image.id for each in outlook.going_next}
    assert {i.id for i in outlook.at(first - MINUTE).images} == {i.id for i in left}
    for number in range(1, runs + 1):
        now = outlook.runs.at(number)
        left.append(image(90_000 + number, now))
        decisions = apply_policy(
            left, "mine", outlook.keep, "ours", base_image="image-00001"
        )
        gone = {each.image.id for each in decisions if each.surplus}
        if number == 1:
            assert gone == going
        assert {key for key in gone if key in ends} == {
            key for key, end in ends.items() if end == now
        }
        left = [each for each in left if each.id not in gone]
        there = outlook.at(now)
        old = {each.id for each in left if each.id in ends}
        assert {each.id for each in there.images} == old
        made = {each.created for each in left if each.id not in ends}
        assert set(there.made) == made
        assert len(there) == len(left)


@given(keeps(40), st.sampled_from([*HOURS, 24, 168]), st.integers(0, 1000))
def test_there_are_never_more_than_the_most(keep: Keep, hours: int, days: int) -> None:
    interval = timedelta(hours=hours)
    outlook = Outlook([], keep, Runs(START, interval))
    assert len(outlook.at(START + days * DAY)) <= keep.most(interval)


@pytest.mark.parametrize(
    ("hours", "keep", "most"),
    [
        (24, Keep(last=7), 7),
        (24, Keep(daily=7, weekly=4, monthly=12), 21),
        (12, Keep(last=14), 14),
        (1, Keep(hourly=24, daily=7, weekly=4, monthly=12), 44),
        (24, Keep(last=2, within_days=30), 30),
        (6, Keep(last=8, within_days=1), 8),
    ],
)
def test_how_many_there_are_at_most(hours: int, keep: Keep, most: int) -> None:
    interval = timedelta(hours=hours)
    assert keep.most(interval) == most
    outlook = Outlook([], keep, Runs(START, interval))
    evenings = [START + day * DAY + 23 * HOUR for day in range(365, 1461)]
    found = [len(outlook.at(evening)) for evening in evenings]
    assert max(found) == most


@pytest.mark.parametrize("year", [2, 9998])
def test_the_end_of_time_is_never(year: int) -> None:
    created = datetime(year, 6, 5, tzinfo=timezone.utc)
    keep = Keep(last=65535, yearly=65535, within_days=65535)
    decisions = apply_policy([image(1, created)], "mine", keep, "ours")
    outlook = Outlook(decisions, keep, Runs(created + DAY, 7 * DAY))
    (decision,) = decisions
    end = outlook.until(decision)
    assert end is None if year == 9998 else end and end > created
    assert outlook.going_next == []


# -- decisions


def test_all_reasons_are_named() -> None:
    keep = Keep(last=2, daily=2, weekly=2, monthly=2, yearly=2, within_days=30)
    days = [0, 3, 4, 60]
    images = [
        image(n, datetime(2026, 1, 5, 6, tzinfo=timezone.utc) - n * DAY) for n in days
    ]
    decisions = apply_policy(images, "mine", keep, "ours")
    assert [(d.reason, reason(d)) for d in decisions] == [
        (
            Reason.RULE,
            "number 1 of the newest 2, daily of 5 January, weekly of week 2, monthly of"
            " January 2026, yearly of 2026, within 30 days",
        ),
        (
            Reason.RULE,
            "last of the newest 2, daily of 2 January, weekly of week 1,"
            " within 30 days",
        ),
        (Reason.RULE, "within 30 days"),
        (Reason.RULE, "monthly of November 2025, yearly of 2025"),
    ]
    (base, gone) = apply_policy(
        [image(5, START), image(6, START + HOUR), image(7, START + 2 * HOUR)],
        "mine",
        Keep(daily=1, weekly=1),
        "ours",
        base_image="image-00006",
    )[1:]
    assert (base.reason, base.surplus) == (Reason.BOOTED_FROM, False)
    assert reason(base) == "no rule keeps it; not deleted: the server boots from it"
    assert (gone.reason, reason(gone)) == (Reason.SURPLUS, "no rule keeps it")


@given(keeps(), histories())
def test_only_what_no_rule_keeps_goes(keep: Keep, moments: list[datetime]) -> None:
    images = [image(n, each) for n, each in enumerate(reversed(moments))]
    decisions = apply_policy(images, "mine", keep, "ours")
    ordered: list[Decision] = sorted(decisions, key=lambda d: str(d.rank).zfill(5))
    assert [bool(d.kept_by) for d in ordered] == [bool(b) for b in keep.decide(moments)]
    gone = surplus(images, "mine", keep, "ours")
    assert {i.id for i in gone} == {d.image.id for d in decisions if not d.kept_by}
