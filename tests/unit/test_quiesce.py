"""What is resumed exactly once, whatever the cloud, the commands and signals do."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from keystoneauth1.exceptions import ConnectFailure
from novaclient import exceptions

from rax_scheduled_images_ext.client.images.base import ImageStore
from rax_scheduled_images_ext.client.snapshots import SnapshotRequest
from rax_scheduled_images_ext.errors import (
    ApiError,
    HoldCutShort,
    ImageLost,
    NoSuchImage,
    NoSuchServer,
    ResumeFailed,
    ScheduledImagesError,
    ServerBusy,
    ServerDisappeared,
    SnapshotUnknown,
    TimeLimitReached,
)
from rax_scheduled_images_ext.model.image import (
    HOOK_KEY,
    MARKER_KEY,
    MARKER_VALUE,
    ServerImage,
)
from rax_scheduled_images_ext.model.task_states import (
    COPIED,
    SAFE_STATES,
    STATES,
    UPLOADING,
    Disk,
    ServerState,
    task_state,
)
from rax_scheduled_images_ext.model.volume_snapshots import WHOLE as PROVEN
from rax_scheduled_images_ext.model.volume_snapshots import Proof, Wholeness
from rax_scheduled_images_ext.operations.snapshot.create import Snapshot
from rax_scheduled_images_ext.operations.snapshot.polling import (
    Listener,
    Poller,
    Timeouts,
)
from rax_scheduled_images_ext.operations.snapshot.signals import (
    Interrupted,
    SignalCatcher,
)

pytestmark = pytest.mark.novaclient

SERVER = "b0d90b52-f47a-4f49-bceb-1692053aa52f"
IMAGE = "aebf8b50-86e8-4be3-a3a4-4aed8400434b"
LIMITS = Timeouts(hold=60, total=300, interval=1.5, quiet=10, settling=30)
STATE = st.sampled_from([None, *list(STATES)[1:], "rebooting"])
TROUBLE = st.sampled_from(
    [
        exceptions.ClientException(500, "Internal error"),
        exceptions.Unauthorized(401, "Expired"),
        exceptions.OverLimit(413, "Too many"),
        ConnectFailure("refused"),
        TimeoutError("no answer"),
    ]
)


@dataclass
class Outside:
    """A cloud, a clock and signals that do what a script says."""

    states: list[Any] = field(default_factory=list)
    images: list[Any] = field(default_factory=list)
    create: Any = field(default_factory=lambda: SnapshotRequest(IMAGE))
    namesakes: list[ServerImage] = field(default_factory=list)
    #: At which of the moments that can be interrupted a signal comes.
    signal_at: int | None = None
    #: Seconds that each request takes.
    slow: float = 0.1
    now: float = 1000.0
    done: list[str] = field(default_factory=list)
    moments: int = 0
    #: The metadata of the image: what was sent with it, and what was removed later.
    sent: dict[str, str] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    #: Whether the server boots from a volume, and what its image proves to be.
    on_volumes: bool = False
    proofs: list[Any] = field(default_factory=lambda: [PROVEN])
    seen: list[Proof] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.states, self.images = list(self.states), list(self.images)

    def snapshot(self, state: ServerState | None = None, **options: Any) -> Snapshot:
        poller = Poller(Waits(self), LIMITS, Notes(self), clock=lambda: self.now)
        snapshot = Snapshot(
            Calls(self),  # type: ignore[arg-type]
            Images(self),
            SERVER,
            "monday",
            prove=self.prove,
            poller=poller,
            **{"safe_from": COPIED, **options},
        )
        idle = ServerState(SERVER, "db1", "ACTIVE", "active", None, 1)
        snapshot.prepare(state or replace(idle, boots_from_volume=self.on_volumes))
        self.done.clear()
        return snapshot

    def prove(self, image: ServerImage) -> Proof:
        if image.status != "ACTIVE":
            return Proof(Wholeness.WAITING, f"it is {image.status}")
        proof = played(self.proofs)
        assert isinstance(proof, Proof)
        self.seen.append(proof)
        return proof


@dataclass
class Notes(Listener):
    """Keeps what is told."""

    outside: Outside

    def note(self, text: str) -> None:
        self.outside.notes.append(text)


class Waits(SignalCatcher):
    """Signals and waits as the script has them; everything else is the real thing."""

    def __init__(self, outside: Outside) -> None:
        super().__init__(catch=False)
        self.outside = outside

    def _moment(self, interruptible: bool) -> None:
        self.outside.moments += 1
        if self.outside.moments == self.outside.signal_at:
            self._note(signal.SIGTERM, None)
        if interruptible:
            self.check()

    def sleep(self, seconds: float, *, interruptible: bool = True) -> None:
        self.outside.now += seconds
        self._moment(interruptible)

    def call(
        self, function: Callable[[], Any], seconds: float, *, interruptible: bool = True
    ) -> Any:
        self._moment(interruptible)
        self.outside.now += min(self.outside.slow, seconds)
        if self.outside.slow > seconds:
            raise TimeoutError(f"no response within {seconds:.0f} seconds")
        result = function()
        self._moment(interruptible)
        return result


def played(script: list[Any]) -> Any:
    """Take the next thing of a script; its last one stays."""
    thing = script.pop(0) if len(script) > 1 else (script or [None])[0]
    if isinstance(thing, BaseException):
        raise thing
    return thing


@dataclass
class Calls:
    """The calls of :class:`rax_scheduled_images_ext.client.snapshots.Snapshots`."""

    outside: Outside

    def server(self, server_id: str) -> ServerState:
        self.outside.done.append("look")
        word = played(self.outside.states)
        return ServerState(server_id, "db1", "ACTIVE", "active", word, 1)

    def create_image(
        self, _server_id: str, _name: str, metadata: Any, *_arguments: Any
    ) -> SnapshotRequest:
        self.outside.done.append("create")
        self.outside.sent = dict(metadata)
        if isinstance(self.outside.create, BaseException):
            raise self.outside.create
        begun: SnapshotRequest = self.outside.create
        return begun

    def failure(self, *_arguments: Any) -> str | None:
        return "the disk is full"


@dataclass
class Images(ImageStore):
    """An image store; deleting from it is never right."""

    outside: Outside

    def get(self, image: object) -> ServerImage:
        found = played(self.outside.images)
        assert isinstance(found, ServerImage)
        known = {**self.outside.sent, **found.metadata}
        left = known.keys() - self.outside.removed
        return replace(found, metadata={key: known[key] for key in left})

    def set_metadata(self, image: object, metadata: Any) -> None:
        assert not metadata, "nothing is to be set"

    def delete_metadata(self, image: object, keys: Iterable[str]) -> None:
        self.outside.removed |= set(keys)
        self.outside.done.append(f"unmark {list(keys)}")

    def delete(self, image: object) -> None:
        raise AssertionError("nothing is to be deleted")

    def _list(self, *_arguments: Any) -> Iterator[ServerImage]:
        yield from self.outside.namesakes


def image(status: str = "ACTIVE", **metadata: str) -> ServerImage:
    return ServerImage(IMAGE, "monday", status, server_id=SERVER, metadata=metadata)


def take(outside: Outside, snapshot: Snapshot, **hooks: Any) -> BaseException | None:
    """Take a snapshot; return what it ends with."""

    def hook(name: str) -> Callable[[Snapshot], None]:
        def run(given: Snapshot) -> None:
            assert given is snapshot
            outside.done.append(name)
            outside.now += 2
            if isinstance(hooks.get(name), BaseException):
                raise hooks[name]

        return run

    try:
        with snapshot.taken(hook("before"), hook("after")):
            outside.done.append("block")
            if "block" in hooks:
                raise hooks["block"]
    except (Exception, Interrupted) as error:
        return error
    return None


COPY = ["image_snapshot_pending", "image_snapshot", "image_snapshot"]
WHOLE = [*COPY, "image_pending_upload", "image_uploading", None]
UPLOADED = [*WHOLE[:-1], "image_uploading", None]


def mostly(usual: Any, rare: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw the usual thing three times out of four, so that most runs go far."""
    return st.integers(0, 3).flatmap(lambda n: rare if n == 3 else st.just(usual))


errors = mostly(None, st.one_of(TROUBLE, st.just(ValueError("a mistake"))))
looks = st.lists(st.one_of(STATE, TROUBLE, st.just(NoSuchServer(SERVER))), max_size=20)


@settings(max_examples=4 * settings().max_examples)
@given(
    states=st.one_of(looks, st.integers(0, 6).map(lambda n: WHOLE[:n])),
    images=st.lists(
        st.one_of(
            st.sampled_from(["ACTIVE", "SAVING", "ERROR", "UNKNOWN"]).map(image),
            st.just(image(**{MARKER_KEY: MARKER_VALUE})),
            st.just(NoSuchImage(IMAGE)),
            TROUBLE,
        ),
        min_size=1,
        max_size=10,
    ),
    create=mostly(
        SnapshotRequest(IMAGE),
        st.one_of(
            TROUBLE,
            st.just(SnapshotRequest(None, None, "no answer")),
            st.just(exceptions.Conflict(409, "in task_state")),
            st.just(NoSuchServer(SERVER)),
            st.just(RuntimeError("a mistake")),
        ),
    ),
    before=errors,
    block=errors,
    after=errors,
    signal_at=mostly(None, st.integers(1, 60)),
    slow=mostly(0.1, st.sampled_from([0.0, 3.0, 100.0])),
    safe_from=st.sampled_from(SAFE_STATES),
    found=st.integers(0, 2),
)
def test_after_runs_exactly_once_whatever_happens(
    states: list[Any],
    images: list[Any],
    create: Any,
    before: Exception | None,
    block: Exception | None,
    after: Exception | None,
    signal_at: int | None,
    slow: float,
    safe_from: str,
    found: int,
) -> None:
    outside = Outside(states, images, create)
    snapshot = outside.snapshot(safe_from=safe_from)
    outside.slow, outside.moments, outside.signal_at = slow, 0, signal_at
    outside.namesakes = [image()] * found
    hooks = {"before": before, "after": after}
    if block is not None:
        hooks["block"] = block
    error = take(outside, snapshot, **hooks)
    event(type(error).__name__)

    done = outside.done
    assert done.count("before") == 1
    assert done.count("after") == 1
    assert done.count("create") <= 1
    assert done.index("before") < done.index("after")
    if "create" in done:
        assert done.index("before") < done.index("create") < done.index("after")
    if before is not None:
        assert "create" not in done
        assert snapshot.held is None
    if after is not None:
        assert isinstance(error, ResumeFailed)
        assert error.exit_status == 1
    if snapshot.held is not None:
        assert snapshot.held <= LIMITS.hold + 2 * LIMITS.answer
    if error is None:
        assert snapshot.copied
        assert snapshot.image_id == IMAGE
    if snapshot.copied:
        looks = done[: done.index("after")].count("look")
        seen = [w for w in states[:looks] if w is None or isinstance(w, str)]
        last = seen[-1] if seen else None
        assert last is None or task_state(last).disk.value == "safe"


@given(st.integers(1, 40), st.lists(STATE, min_size=1, max_size=12))
def test_a_signal_ends_the_hold_and_is_reported(moment: int, states: list[Any]) -> None:
    outside = Outside(states, [image("SAVING")])
    snapshot = outside.snapshot()
    outside.moments, outside.signal_at = 0, moment
    error = take(outside, snapshot)
    assert outside.done.count("after") == 1
    if outside.moments >= moment:
        assert not isinstance(error, ResumeFailed)
    if isinstance(error, Interrupted):
        assert error.exit_status == 143


def test_a_copy_ends_the_hold_and_the_image_is_awaited_later() -> None:
    outside = Outside(WHOLE, [image("SAVING"), image("SAVING"), image()])
    snapshot = outside.snapshot()
    assert take(outside, snapshot) is None
    assert outside.done == ["before", "create", "block", *["look"] * 4, "after"]
    assert snapshot.copied
    assert snapshot.held == pytest.approx(4.5 + 0.2)
    assert snapshot.wait().status == "ACTIVE"


def test_a_failing_before_means_no_snapshot() -> None:
    outside = Outside(WHOLE)
    error = take(outside, outside.snapshot(), before=OSError("no such database"))
    assert str(error) == "no such database"
    assert outside.done == ["before", "after"]


def test_a_busy_server_is_not_stopped() -> None:
    outside = Outside([])
    busy = ServerState(SERVER, "db1", "ACTIVE", "active", "image_uploading", 1)
    with pytest.raises(ServerBusy, match=r"db1 is busy \(task_state: image_uploading"):
        outside.snapshot(busy)
    assert outside.done == []


@pytest.mark.parametrize(
    ("outside", "kind", "status", "text"),
    [
        (Outside(COPY), HoldCutShort, 7, "may be inconsistent"),
        (Outside(["rebooting"]), HoldCutShort, 7, "last seen: task_state: rebooting"),
        (Outside([TimeoutError("no")]), HoldCutShort, 7, "last seen: nothing"),
        (Outside([*COPY, NoSuchServer(SERVER)]), ServerDisappeared, 5, "db1 has dis"),
        (
            Outside([*COPY, None], [NoSuchImage(IMAGE)]),
            ImageLost,
            4,
            "is lost: it is gone (the disk is full)",
        ),
        (
            Outside([*COPY, None], [image("SAVING"), image("ERROR")]),
            ImageLost,
            4,
            "is lost: ERROR (the disk is full)",
        ),
        (
            Outside([*COPY, None], [image("SAVING")]),
            TimeLimitReached,
            6,
            "is not ACTIVE within the time limit (last seen: SAVING)"
            " (the disk is full)",
        ),
        (
            Outside([None], create=SnapshotRequest(None, None, "no answer came")),
            SnapshotUnknown,
            1,
            "(no answer came): 0 new images",
        ),
    ],
)
def test_each_way_to_fail_has_its_line_and_status(
    outside: Outside, kind: type[ScheduledImagesError], status: int, text: str
) -> None:
    error = take(outside, outside.snapshot())
    assert isinstance(error, kind)
    assert error.exit_status == status
    assert text in str(error)
    assert outside.done.count("after") == 1


def test_a_lost_answer_is_not_a_failure() -> None:
    lost = SnapshotRequest(None, None, "no answer came")
    outside = Outside(WHOLE, [image("SAVING")], lost)
    snapshot = outside.snapshot()
    outside.namesakes = [image("SAVING")]
    assert take(outside, snapshot) is None
    assert snapshot.image_id == IMAGE
    assert outside.done.index("after") == outside.done.index("create") + 6


def test_a_lost_answer_does_not_take_an_older_image_for_the_new_one() -> None:
    outside = Outside([None], create=SnapshotRequest(None, None, "no answer came"))
    outside.namesakes = [image()]
    error = take(outside, outside.snapshot())
    assert isinstance(error, SnapshotUnknown)


def test_a_quick_snapshot_of_which_nothing_was_seen_is_believed_when_active() -> None:
    outside = Outside([None], [image()])
    assert take(outside, outside.snapshot()) is None
    assert outside.done.count("look") == 1


def test_an_idle_server_is_held_for_a_while_until_it_is_believed() -> None:
    outside = Outside([None, None, *WHOLE], [image("SAVING")])
    snapshot = outside.snapshot()
    assert take(outside, snapshot) is None
    assert outside.done.count("look") == 6


@pytest.mark.parametrize("given", [{}, {MARKER_KEY: MARKER_VALUE}])
def test_an_inherited_mark_goes_and_a_given_one_stays(given: dict[str, str]) -> None:
    outside = Outside(WHOLE, [image("SAVING", **{MARKER_KEY: MARKER_VALUE})])
    assert take(outside, outside.snapshot(metadata=given)) is None
    unmarked = [step for step in outside.done if step.startswith("unmark")]
    assert unmarked == ([] if given else [f"unmark ['{MARKER_KEY}']"])


def test_an_image_that_is_left_alone_still_loses_an_inherited_mark() -> None:
    outside = Outside(COPY, [image("SAVING", **{MARKER_KEY: MARKER_VALUE})])
    snapshot = outside.snapshot(safe_from=UPLOADING)
    assert isinstance(take(outside, snapshot), HoldCutShort)
    assert outside.done[-1] == f"unmark ['{MARKER_KEY}', '{HOOK_KEY}']"


@given(
    states=st.one_of(looks, st.integers(0, 7).map(lambda n: UPLOADED[:n])),
    status=st.sampled_from(["ACTIVE", "SAVING"]),
    safe_from=st.sampled_from(SAFE_STATES),
    block=errors,
)
def test_an_image_says_that_its_server_was_held_only_if_that_was_seen(
    states: list[Any], status: str, safe_from: str, block: Exception | None
) -> None:
    outside = Outside(states, [image(status)])
    hooks = {} if block is None else {"block": block}
    take(outside, outside.snapshot(safe_from=safe_from), **hooks)
    says = outside.sent.keys() - outside.removed >= {HOOK_KEY}
    event(f"it says so: {says}")
    done = outside.done
    looked = done[: done.index("after")].count("look")
    seen = [w for w in states[:looked] if w is None or isinstance(w, str)]
    is_seen = status == "ACTIVE" or any(task_state(word).snapshot for word in seen)
    if says:
        assert block is None
        assert safe_from == UPLOADING
        assert is_seen
        last = seen[-1] if seen else None
        assert last is None or task_state(last).disk is Disk.SAFE


@given(
    st.lists(
        st.sampled_from([ConnectFailure("refused"), TimeoutError("none")]), max_size=9
    )
)
def test_what_is_not_true_of_an_image_is_removed_when_the_cloud_is_back(
    troubles: list[Any],
) -> None:
    marked = image("SAVING", **{MARKER_KEY: MARKER_VALUE})
    outside = Outside(COPY, [*troubles, marked])
    mistake = ValueError("a mistake")
    error = take(outside, outside.snapshot(safe_from=UPLOADING), block=mistake)
    assert error is mistake
    assert outside.removed == {MARKER_KEY, HOOK_KEY}


def test_an_image_says_that_its_server_was_held() -> None:
    outside = Outside(UPLOADED, [image("SAVING")])
    assert take(outside, outside.snapshot(safe_from=UPLOADING)) is None
    assert outside.sent[HOOK_KEY].startswith(f"{SERVER}:")
    assert not outside.removed


def test_an_image_says_nothing_if_its_server_was_not_seen_to_make_it() -> None:
    outside = Outside([None] * 30, [image("SAVING")])
    error = take(outside, outside.snapshot(safe_from=UPLOADING))
    assert isinstance(error, TimeLimitReached)
    assert outside.removed == {HOOK_KEY}


# Servers that boot from a volume

CREATING = Proof(Wholeness.WAITING, "its snapshot is creating", is_creating=True)
FAILED = Proof(Wholeness.BROKEN, "its snapshot is error")
MISSING = Proof(Wholeness.BROKEN, "its snapshot is gone", is_missing=True)
HIDDEN = Proof(Wholeness.UNPROVABLE, "no block storage service")
PROOFS = [
    *(PROVEN, FAILED, MISSING, HIDDEN),
    *(replace(each, is_creating=True) for each in (CREATING, FAILED, MISSING, HIDDEN)),
]
BUSY = st.sampled_from(
    [ApiError(503, "Busy"), ConnectFailure("refused"), TimeoutError("no answer")]
)
proofs = st.lists(st.one_of(st.sampled_from(PROOFS), BUSY), min_size=1, max_size=12)


def backed(*script: Any, **more: Any) -> Outside:
    """A server that boots from a volume: Nova is done with its image at once."""
    return Outside([None], [image()], on_volumes=True, proofs=list(script), **more)


@settings(max_examples=4 * settings().max_examples)
@given(proofs, mostly(None, st.integers(1, 60)), st.booleans())
def test_nothing_is_resumed_while_a_volume_is_copied(
    script: list[Any], signal_at: int | None, lost: bool
) -> None:
    outside = backed(*script)
    snapshot = outside.snapshot()
    if lost:
        outside.create = SnapshotRequest(None, None, "no answer came")
        outside.namesakes = [image()]
    outside.moments, outside.signal_at = 0, signal_at
    at_the_end: list[Proof] = []

    def after(_snapshot: Snapshot) -> None:
        outside.done.append("after")
        at_the_end.extend(outside.seen[-1:])

    error: BaseException | None = None
    try:
        with snapshot.taken(lambda _: None, after):
            pass
    except (Exception, Interrupted) as raised:
        error = raised
    event(type(error).__name__)
    assert outside.done.count("after") == 1
    if snapshot.held is not None:
        assert snapshot.held <= LIMITS.hold + 2 * LIMITS.answer
    if any(proof.is_creating for proof in at_the_end):
        assert isinstance(error, (HoldCutShort, Interrupted)), error
    if not at_the_end and error is None:
        assert any("It cannot be known whether" in note for note in outside.notes)


@settings(max_examples=4 * settings().max_examples)
@given(proofs)
def test_a_wait_returns_a_complete_image_or_says_what_cannot_be_known(
    script: list[Any],
) -> None:
    outside = backed(*script)
    snapshot = outside.snapshot()
    error: BaseException | None = None
    with snapshot.taken(None, None):
        pass
    try:
        found = snapshot.wait()
    except Exception as raised:
        error = raised
    else:
        assert found.status == "ACTIVE"
    event(type(error).__name__)
    last = outside.seen[-1] if outside.seen else None
    said = [each for each in outside.notes if "It cannot be known whether" in each]
    if error is None:
        assert last == PROVEN or (last == HIDDEN and len(said) == 1)
    if isinstance(error, ImageLost):
        assert last is not None
        assert last.wholeness is Wholeness.BROKEN
        assert str(error).endswith(f"will never be complete: {last.reason}; it is kept")
    if isinstance(error, TimeLimitReached):
        assert "is not complete within the time limit" in str(error)


@pytest.mark.parametrize(
    ("script", "kind", "text"),
    [
        ([CREATING, CREATING, PROVEN], None, ""),
        ([MISSING, PROVEN], None, ""),
        ([MISSING], ImageLost, "its snapshot is gone; it is kept"),
        ([CREATING, FAILED], ImageLost, "its snapshot is error; it is kept"),
        ([CREATING], HoldCutShort, "(last seen: its snapshot is creating)"),
        # One of two has failed, the other one is still being made.
        ([replace(FAILED, is_creating=True)] * 3 + [FAILED], ImageLost, "is error"),
        ([CREATING] + [ConnectFailure("down")] * 20 + [PROVEN], None, ""),
        ([CREATING, ConnectFailure("down")], HoldCutShort, "is creating)"),
    ],
)
def test_each_end_of_the_volume_snapshots_of_a_held_server(
    script: list[Any], kind: type[Exception] | None, text: str
) -> None:
    outside = backed(*script)
    snapshot = outside.snapshot()
    error = take(outside, snapshot)
    assert isinstance(error, kind) if kind else error is None
    assert text in str(error or "")
    assert outside.done.count("after") == 1
    assert snapshot.copied is (kind is not HoldCutShort)
    assert not [note for note in outside.notes if "cannot be known" in note]


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ([HIDDEN], "no block storage service"),
        ([ConnectFailure("down")], "its volume snapshots cannot be read"),
    ],
)
def test_volume_snapshots_that_cannot_be_read_keep_no_server_stopped(
    script: list[Any], why: str
) -> None:
    outside = backed(*script)
    snapshot = outside.snapshot()
    assert take(outside, snapshot) is None
    assert snapshot.held is not None
    assert snapshot.held < LIMITS.hold
    said = [note for note in outside.notes if "cannot be known" in note]
    named = f"image {IMAGE} of server db1"
    assert said == [f"It cannot be known whether {named} is complete: {why}"]


def test_the_image_of_a_server_with_a_disk_is_not_asked_for_in_the_hold() -> None:
    outside = Outside(WHOLE, [image()])
    assert take(outside, outside.snapshot()) is None
    assert outside.seen == []
