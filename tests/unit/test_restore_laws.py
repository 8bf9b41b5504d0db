"""Nothing is ever destroyed by a restore: laws over clouds, faults, kills and others.

At every request the program may be killed, an answer may be lost or be an error, with
the request done or not, and somebody else may change the cloud.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from keystoneauth1.exceptions import ClientException

from rax_scheduled_images_ext.errors import ScheduledImagesError
from rax_scheduled_images_ext.model.image import MARKER_KEY, MARKER_VALUE, RUN_KEY
from rax_scheduled_images_ext.model.restore import RestoreOptions
from rax_scheduled_images_ext.operations import restore as operation
from rax_scheduled_images_ext.operations.restore import Restoration, plan_restore

from .restore_cloud import FLAVORS, FakeCloud, Killed, Seen, Server, lost, uuid_of
from .test_restore import AS_NEW, IN_PLACE, KEYS

MOST = 24
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


def _locked(fake: FakeCloud, server: Server) -> None:
    server.locked = True


def _unlocked(fake: FakeCloud, server: Server) -> None:
    server.locked = False


def _resized(fake: FakeCloud, server: Server) -> None:
    server.flavor_id = "2"


def _deleted(fake: FakeCloud, server: Server) -> None:
    fake.servers.pop(server.id, None)


def _image_deleted(fake: FakeCloud, server: Server) -> None:
    for image in list(fake.images.values()):
        if image.data == "tuesday":
            del fake.images[image.id]


def _safety_deleted(fake: FakeCloud, server: Server) -> None:
    for image in list(fake.images.values()):
        if image.name.startswith("before-"):
            del fake.images[image.id]


def _image_mapped(fake: FakeCloud, server: Server) -> None:
    for image in fake.images.values():
        if image.data == "tuesday":
            image.properties["block_device_mapping"] = "[]"


def _stopped(fake: FakeCloud, server: Server) -> None:
    if server.task is None:
        server.status = "SHUTOFF"


def _paused(fake: FakeCloud, server: Server) -> None:
    if server.task is None:
        server.status = "PAUSED"


def _rebuilt(fake: FakeCloud, server: Server) -> None:
    if server.task is None:
        server.image_id = uuid_of(99)


OTHERS = (
    _locked,
    _unlocked,
    _resized,
    _deleted,
    _image_deleted,
    _safety_deleted,
    _image_mapped,
    _stopped,
    _paused,
    _rebuilt,
)
faults = st.dictionaries(
    st.integers(0, MOST), st.sampled_from(sorted(FAULTS)), max_size=3
)
others = st.dictionaries(st.integers(0, MOST), st.sampled_from(OTHERS), max_size=3)


@dataclass
class Story:
    """One server and its images, and what happens at which request."""

    faults: dict[int, str] = field(default_factory=dict)
    others: dict[int, Callable[[FakeCloud, Server], None]] = field(default_factory=dict)
    fake: FakeCloud = field(default_factory=FakeCloud)

    def __post_init__(self) -> None:
        self.server = self.fake.add_server("web")
        self.other = self.fake.add_server("other", "theirs")
        # Booted from a scheduled image, whose marks it hands on.
        self.server.base = {MARKER_KEY: MARKER_VALUE, RUN_KEY: f"{uuid_of(3)}:run"}
        self.fake.add_image(self.server.id, "monday", 2)
        self.fake.add_image(self.server.id, "tuesday", 1)
        self.fake.add_image(self.other.id, "theirs before", 1)
        self.before = dict(self.fake.images)
        self.fake.hook = self.hook

    def hook(self, number: int, when: str, seen: Seen) -> Any:
        if when == "before" and number in self.others:
            self.others[number](self.fake, self.server)
        if number in self.faults:
            at, fault = FAULTS[self.faults[number]]
            if at == when:
                happened = fault()
                if isinstance(happened, Killed):
                    raise happened
                return happened
        return None

    def run(self, options: RestoreOptions) -> str:
        """Run the command once; how it ended."""
        try:
            plan = plan_restore(self.fake.cloud(), "web", options)
            Restoration(self.fake.cloud(), plan, self.fake.poller(200)).run(wait=True)
        except Killed:
            return "killed"
        except (ScheduledImagesError, ClientException, OSError) as error:
            return type(error).__name__
        return "done"

    def calm(self) -> None:
        """Let nothing more go wrong, and all end that was begun."""
        self.faults.clear()
        self.others.clear()
        self.fake.pass_time(300)


def check_rebuilds(story: Story, options: RestoreOptions) -> None:
    """See that a rebuild was sent only when all that it needs had been seen."""
    fake = story.fake
    for number, seen in enumerate(fake.seen):
        if seen.method != "POST" or not seen.body or "rebuild" not in seen.body:
            continue
        wanted = seen.body["rebuild"]
        assert seen.body == {"rebuild": {"imageRef": wanted["imageRef"]}}
        shown: dict[str, Any] = {}
        for earlier in fake.seen[:number]:
            if earlier.method != "GET" or earlier.status != 200 or not earlier.answer:
                continue
            if earlier.url.startswith("/images/"):
                shown[earlier.answer["id"]] = earlier.answer
            if earlier.url == f"/servers/{story.server.id}":
                shown["server"] = earlier.answer["server"]
        image, server = shown[wanted["imageRef"]], shown["server"]
        assert image["status"] == "active"
        assert image["size"] > 0
        assert "block_device_mapping" not in image
        assert not server["locked"]
        assert server["OS-EXT-STS:task_state"] is None
        assert server["image"] != ""
        flavor = FLAVORS[server["flavor"]["id"]]
        assert options.lose_ephemeral or not (flavor["ephemeral"] or flavor["swap"])
        safety = [
            each
            for key, each in shown.items()
            if key != "server" and each["name"].startswith("before-restore-")
        ]
        assert any(each["status"] == "active" and each["size"] for each in safety)


def check_requests(story: Story) -> None:
    """See that nothing is deleted, and nothing else is touched."""
    mine = {story.server.id}
    for seen in story.fake.changes():
        assert seen.method in ("POST", "PATCH"), seen
        if seen.method == "PATCH":
            image_id = seen.url.rpartition("/")[2]
            assert image_id not in story.before, seen
        elif seen.url == "/servers":
            assert set(seen.body) == {"server"}
        else:
            assert seen.url == f"/servers/{next(iter(mine))}/action"
            if "createImage" in seen.body:
                metadata = seen.body["createImage"]["metadata"]
                assert metadata.keys() >= KEYS
                assert metadata[MARKER_KEY] != MARKER_VALUE
            else:
                assert set(seen.body) == {"rebuild"}
    assert story.other.disk == "theirs"
    assert story.fake.servers[story.other.id] is story.other


@thorough
@given(faults, others)
def test_in_place_nothing_is_destroyed(
    wrong: dict[int, str], meanwhile: dict[int, Any]
) -> None:
    story = Story(wrong, meanwhile)
    taken = set(meanwhile.values())
    event(story.run(IN_PLACE))
    story.calm()
    check_rebuilds(story, IN_PLACE)
    check_requests(story)
    if not taken & {_deleted, _safety_deleted, _image_mapped}:
        # What was on the disk is there, or in an image that is whole.
        kept = {i.data for i in story.fake.images.values() if i.status == "active"}
        assert "now" in kept | {story.server.disk}
        assert "monday" in kept


@thorough
@given(faults)
def test_in_place_the_same_command_goes_on(wrong: dict[int, str]) -> None:
    story = Story(wrong)
    for _ in range(4):
        if story.run(IN_PLACE) == "done":
            break
        story.faults = {}
    else:
        raise AssertionError("it never ends")
    story.calm()
    assert story.server.disk == "tuesday"
    assert story.server.task is None
    safety = [i for i in story.fake.images.values() if i.name.startswith("before-")]
    assert "now" in {each.data for each in safety if each.status == "active"}
    check_rebuilds(story, IN_PLACE)
    check_requests(story)


@thorough
@given(faults, others)
def test_as_new_the_old_server_is_not_touched(
    wrong: dict[int, str], meanwhile: dict[int, Any]
) -> None:
    story = Story(wrong, meanwhile)
    event(story.run(AS_NEW))
    story.calm()
    check_requests(story)
    assert story.server.disk == "now"
    assert not [seen for seen in story.fake.changes() if seen.url != "/servers"]


@thorough
@given(faults)
def test_as_new_the_same_command_goes_on_with_one_server(
    wrong: dict[int, str],
) -> None:
    story = Story(wrong)
    for _ in range(4):
        if story.run(AS_NEW) == "done":
            break
        story.faults = {}
    else:
        raise AssertionError("it never ends")
    made = [each for each in story.fake.servers.values() if each.name == "back"]
    assert [(each.disk, each.status) for each in made] == [("tuesday", "ACTIVE")]


servers = st.fixed_dictionaries(
    {
        "flavor_id": st.sampled_from([*FLAVORS, "9"]),
        "status": st.sampled_from(["ACTIVE", "SHUTOFF", "ERROR", "PAUSED", "SHELVED"]),
        "task": st.sampled_from([None, None, "resize_prep", "rebuilding"]),
        "locked": st.booleans(),
        "image_id": st.sampled_from(["", uuid_of(1)]),
    }
)
images = st.lists(
    st.fixed_dictionaries(
        {
            "status": st.sampled_from(["active", "saving", "killed", "queued"]),
            "size": st.sampled_from([None, 0, 1000]),
            "min_disk": st.sampled_from([0, 20, 21]),
            "owner": st.sampled_from(["1" * 32, "2" * 32]),
            "properties": st.sampled_from(
                [{}, {}, {"block_device_mapping": "[]"}, {"block_device_mapping": "?"}]
            ),
        }
    ),
    max_size=4,
)


@thorough
@given(servers, images, st.booleans())
def test_whatever_is_refused_is_refused_before_anything_is_changed(
    about: dict[str, Any], found: list[dict[str, Any]], lose: bool
) -> None:
    fake = FakeCloud()
    server = fake.add_server("web", **about)
    for number, each in enumerate(found):
        properties = {**each["properties"]}
        image = fake.add_image(server.id, f"d{number}", number, properties=properties)
        vars(image).update({k: v for k, v in each.items() if k != "properties"})
    options = RestoreOptions(in_place=True, lose_ephemeral=lose)
    may_be = (
        server.status in ("ACTIVE", "SHUTOFF")
        and server.task is None
        and not server.locked
        and server.image_id != ""
        and (lose or server.flavor_id in ("1", "3"))
    )
    try:
        plan = plan_restore(fake.cloud(), "web", options)
    except ScheduledImagesError:
        event("refused")
        plan = None
    assert not fake.changes()
    if plan is None:
        return
    assert may_be
    image = fake.images[plan.image.id]
    assert (image.status, image.owner) == ("active", "1" * 32)
    assert image.size
    assert "block_device_mapping" not in image.properties
    event("planned")


# -- the laws themselves


def _skip(name: str) -> Callable[[pytest.MonkeyPatch], None]:
    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Restoration, name, lambda *_args, **_more: None)

    return patch


def _unmarked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation, "safety_metadata", lambda _plan, _nonce: {})


def _forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation, "find_cut", lambda *_: None)


def _forgetful_of_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation, "restored_from", lambda *_: None)


@pytest.mark.parametrize(
    ("patch", "wrong", "meanwhile"),
    [
        (_skip("_make_safety_image"), {}, {}),
        (_skip("_check_again"), {}, {}),
        (_unmarked, {}, {}),
        (_forgetful, {20: "killed after"}, {}),
    ],
)
def test_the_laws_find_a_restore_that_is_broken(
    monkeypatch: pytest.MonkeyPatch,
    patch: Callable[[pytest.MonkeyPatch], None],
    wrong: dict[int, str],
    meanwhile: dict[int, Any],
) -> None:
    patch(monkeypatch)
    story = Story(wrong, meanwhile)
    found = []
    for _ in range(3):
        if story.run(IN_PLACE) == "done":
            break
        story.calm()
    try:
        check_rebuilds(story, IN_PLACE)
        check_requests(story)
        safety = [i for i in story.fake.images.values() if i.name.startswith("before-")]
        assert [each.data for each in safety] == ["now"]
    except (AssertionError, KeyError) as broken:
        found.append(broken)
    assert found


def test_the_laws_find_a_second_server(monkeypatch: pytest.MonkeyPatch) -> None:
    _forgetful_of_servers(monkeypatch)
    story = Story({5: "lost after"})
    story.run(AS_NEW)
    assert story.run(AS_NEW) != "done"
