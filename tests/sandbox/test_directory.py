"""Users and tokens of the sandbox."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.sandbox.backend.directory import Directory


class Wall:
    """A wall clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def directory(wall: Wall) -> Directory:
    return Directory("openstack", 1, lifetime=60, wall=wall)


def issue(directory: Directory) -> str:
    user = directory.users[0]
    return directory.issue(user, user.project, ("password",)).text


def test_a_token_reads_back(directory: Directory) -> None:
    user = directory.users[0]
    token = directory.issue(user, user.project, ("password", "token"))
    assert directory.read(token.text) == token
    assert (token.issued, token.expires) == (1000, 1060)
    assert token.roles == ("admin", "member", "reader")
    unscoped = directory.issue(user, None, ("password",))
    assert directory.read(unscoped.text) == unscoped
    assert unscoped.roles == ()


def test_tokens_expire(directory: Directory, wall: Wall) -> None:
    text = issue(directory)
    wall.now = 1059.9
    assert directory.read(text)
    wall.now = 1060.0
    assert directory.read(text) is None


def test_tokens_outlive_the_process_but_not_the_seed(wall: Wall) -> None:
    text = issue(Directory("openstack", 1, wall=wall))
    assert Directory("openstack", 1, wall=wall).read(text)
    assert Directory("openstack", 2, wall=wall).read(text) is None
    assert Directory("rackspace", 1, wall=wall).read(text) is None


def test_no_two_tokens_are_the_same(directory: Directory) -> None:
    first, second = issue(directory), issue(directory)
    assert first != second
    token = directory.read(first)
    assert token is not None
    directory.revoke(token)
    assert directory.read(first) is None
    assert directory.read(second)


def test_all_tokens_expire_but_those_given_later(
    directory: Directory, wall: Wall
) -> None:
    old = issue(directory)
    # Even if the clock stands still, or is set back.
    for moment in (wall.now, wall.now - 30):
        wall.now = moment
        directory.expire()
        assert directory.read(old) is None
        old = issue(directory)
        assert directory.read(old)


def test_a_changed_token_is_invalid(directory: Directory) -> None:
    packed, _, signature = issue(directory).partition(".")
    claims = json.loads(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
    claims[0] = directory.users[1].id
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    for text in (
        f"{forged}.{signature}",
        f"{packed}.{signature[:-1]}",
        f"{packed}.",
        packed,
        f".{signature}",
    ):
        assert directory.read(text) is None


@given(st.text() | st.none())
def test_other_text_is_not_a_token(text: str | None) -> None:
    assert Directory("openstack", 1).read(text) is None


@pytest.mark.parametrize("face", ["openstack", "rackspace"])
def test_secrets_and_ids_follow_the_seed(face: str) -> None:
    def facts(seed: int) -> tuple[str, ...]:
        made = Directory(face, seed)  # type: ignore[arg-type]
        return made.password, made.api_key, made.users[0].id

    assert facts(1) == facts(1)
    assert set(facts(1)).isdisjoint(facts(2))


@given(st.text() | st.integers() | st.none() | st.lists(st.text()))
def test_no_other_password_will_do(given_: object) -> None:
    directory = Directory("rackspace", 1)
    assert not directory.has_password(given_)
    assert not directory.has_api_key(given_)
    assert directory.has_password(directory.password)
    assert directory.has_api_key(directory.api_key)
    assert not directory.has_password(directory.api_key)


def test_names_and_ids(directory: Directory) -> None:
    assert len({user.id for user in directory.users}) == len(directory.users) == 10
    for user in directory.users:
        assert directory.user(name=user.name) is user
        assert directory.user(key=user.id) is user
        assert directory.project(key=user.project.id) is user.project
    assert directory.user() is None
    assert directory.user(name="nobody") is None
    assert directory.project(name="nothing") is None
