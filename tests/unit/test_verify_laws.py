"""Laws of proofs over faults, kills and a second person's changes at every request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from keystoneauth1.exceptions import ClientException

from rax_scheduled_images_ext.errors import ScheduledImagesError
from rax_scheduled_images_ext.model.image import VERIFIED_KEY, ServerImage
from rax_scheduled_images_ext.model.verify import (
    TEST_KEY,
    Finding,
    Level,
    name_of_test,
    verification_of,
)
from rax_scheduled_images_ext.operations import verify as operation
from rax_scheduled_images_ext.operations.verify import Trial, Verified

from .restore_cloud import Killed, Seen, Server, lost
from .verify_cloud import CLOUDS_FAULT, CONSOLE, GUESTS, IMAGES_FAULT, VerifyCloud

MOST = 40
thorough = settings(max_examples=settings().max_examples * 4)

FAULTS: dict[str, tuple[str, Callable[[], Any]]] = {
    "killed before": ("before", Killed),
    "killed after": ("after", Killed),
    "lost before": ("before", lost),
    "lost after": ("after", lost),
    "503 before": ("before", lambda: 503),
    "500 after": ("after", lambda: 500),
    "404 before": ("before", lambda: 404),
}


def _tests(fake: VerifyCloud) -> list[Server]:
    return [each for each in fake.servers.values() if TEST_KEY in each.metadata]


def _image_deleted(fake: VerifyCloud) -> None:
    for image in list(fake.images.values()):
        if image.data == "tuesday":
            del fake.images[image.id]


def _test_deleted(fake: VerifyCloud) -> None:
    for server in _tests(fake):
        del fake.servers[server.id]


def _test_stopped(fake: VerifyCloud) -> None:
    for server in _tests(fake):
        if server.status == "ACTIVE":
            server.status = "SHUTOFF"


def _test_locked(fake: VerifyCloud) -> None:
    for server in _tests(fake):
        server.locked = True


OTHERS = (_image_deleted, _test_deleted, _test_stopped, _test_locked)
faults = st.dictionaries(
    st.integers(0, MOST), st.sampled_from(sorted(FAULTS)), max_size=4
)
others = st.dictionaries(st.integers(0, MOST), st.sampled_from(OTHERS), max_size=2)
clouds = st.builds(
    VerifyCloud,
    st.sampled_from(sorted(GUESTS)),
    st.sampled_from([None, None, None, CLOUDS_FAULT, IMAGES_FAULT]),
)


@dataclass
class Story:
    """A server with two images among others, and what happens at which request."""

    fake: VerifyCloud
    faults: dict[int, str] = field(default_factory=dict)
    others: dict[int, Callable[[VerifyCloud], None]] = field(default_factory=dict)
    dead: bool = False

    def __post_init__(self) -> None:
        self.server = self.fake.add_server("web")
        self.other = self.fake.add_server("other", "theirs")
        self.fake.add_image(self.server.id, "monday", 2)
        self.image = self.fake.add_image(self.server.id, "tuesday", 1)
        self.before = {key: dict(i.properties) for key, i in self.fake.images.items()}
        (self.plan,) = self.fake.plan("web", options=CONSOLE)
        self.fake.seen.clear()
        self.fake.hook = self.hook

    def hook(self, number: int, when: str, seen: Seen) -> Any:
        if self.dead:
            raise Killed
        if when == "before" and number in self.others:
            self.others[number](self.fake)
        if number in self.faults:
            at, fault = FAULTS[self.faults[number]]
            if at == when:
                happened = fault()
                if isinstance(happened, Killed):
                    self.dead = True
                    raise happened
                return happened
        return None

    def run(self) -> Verified | None:
        """Prove the image; None if the program was killed."""
        try:
            self.fake.sweep()
            return self.fake.prove(self.plan, CONSOLE)
        except Killed:
            return None
        except (ScheduledImagesError, ClientException, OSError) as error:
            raise AssertionError("it never fails") from error

    def calm(self) -> None:
        """Let nothing more go wrong."""
        self.faults.clear()
        self.others.clear()
        self.dead = False
        self.fake.pass_time(60)

    def check_requests(self) -> None:
        """See that nothing but the test server and the record was touched."""
        for seen in self.fake.changes():
            if seen.method == "POST" and seen.url == "/servers":
                assert seen.body["server"]["imageRef"] == self.image.id
            elif seen.method == "PATCH":
                assert seen.url == f"/images/{self.image.id}"
                (change,) = seen.body
                assert change["path"] == f"/{VERIFIED_KEY}"
                assert change["value"].startswith(f"{self.image.id}:")
            elif seen.method == "DELETE":
                assert seen.url.startswith("/servers/")
                assert seen.url.rpartition("/")[2] not in self.mine
            else:
                assert list(seen.body) == ["os-getConsoleOutput"]
        assert self.other.disk == "theirs"
        assert self.mine <= self.fake.servers.keys()

    @property
    def mine(self) -> set[str]:
        return {self.server.id, self.other.id}

    def check_truth(self, found: Any) -> None:
        """See that what was concluded is so."""
        guest, fault = self.fake.guest, self.fake.fault
        if found is None:
            return
        level, failed = found.level, found.level is None
        if failed:
            assert fault == IMAGES_FAULT or (fault is None and guest == "broken")
        else:
            assert fault is None
            assert level is Level.BOOTED or guest == "good"


@thorough
@given(clouds, faults, others)
def test_what_is_concluded_is_true_and_nothing_else_is_touched(
    fake: VerifyCloud, wrong: dict[int, str], meanwhile: dict[int, Any]
) -> None:
    story = Story(fake, wrong, meanwhile)
    done = story.run()
    event(done.finding.value if done else "killed")
    if done is not None and done.finding is not Finding.UNKNOWN:
        story.check_truth(done)
    story.check_requests()
    for image in fake.images.values():
        known = verification_of(
            ServerImage(image.id, "", "ACTIVE", metadata=image.properties)
        )
        assert known is None or image is story.image
        story.check_truth(known)
        left = {k: v for k, v in image.properties.items() if k != VERIFIED_KEY}
        assert left == story.before[image.id]


@thorough
@given(clouds, faults, others)
def test_no_test_server_stays(
    fake: VerifyCloud, wrong: dict[int, str], meanwhile: dict[int, Any]
) -> None:
    story = Story(fake, wrong, meanwhile)
    done = story.run()
    story.calm()
    left = _tests(fake)
    if done is not None and left:
        # It is known to whoever has started it.
        assert done.left_id in {each.id for each in left} or "not known" in done.seen
    for server in left:
        server.locked = False
    fake.sweep()
    if done is None:
        # It may still be somebody's.
        assert len(_tests(fake)) == len(left)
    fake.pass_time(CONSOLE.longest + 700)
    fake.sweep()
    assert not _tests(fake)
    story.check_requests()


@given(clouds)
def test_without_trouble_it_is_found_out(fake: VerifyCloud) -> None:
    story = Story(fake)
    done = story.run()
    assert done is not None
    expected = Finding.PROVEN if fake.guest != "broken" else Finding.FAILED
    if fake.fault is not None:
        image = fake.fault == IMAGES_FAULT
        expected = Finding.FAILED if image else Finding.UNKNOWN
    assert done.finding is expected
    assert not _tests(fake)


# -- the laws themselves


def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trial, "_clean_up", lambda _self: None)


def _credulous(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation, "blames_image", lambda _fault: True)


def _greedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation, "image_of_left_behind", lambda *_: "any")
    monkeypatch.setattr(operation, "is_made_by", lambda *_: True)


@pytest.mark.parametrize("patch", [_hasty, _credulous, _greedy])
def test_the_laws_find_a_proof_that_is_broken(
    monkeypatch: pytest.MonkeyPatch, patch: Callable[[pytest.MonkeyPatch], None]
) -> None:
    patch(monkeypatch)
    story = Story(VerifyCloud(fault=CLOUDS_FAULT))
    imitation = story.fake.add_server(name_of_test(story.image.id, "c" * 32))
    done = story.run()
    known = done is not None and done.finding is not Finding.UNKNOWN
    found = bool(_tests(story.fake)) or imitation.id not in story.fake.servers
    if known:
        with pytest.raises(AssertionError):
            story.check_truth(done)
    assert known or found
