"""Running the table on a cloud."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

import requests

from . import compute, identity, image, volume
from .answer import Summary, find, summarize
from .case import Case
from .stage import Person, Stage

TABLE: tuple[Case, ...] = (
    *(*identity.CASES, *image.CASES, *compute.CASES),
    # Last, for what it needs would be in the others' lists.
    *volume.CASES,
)

_VERSION_HEADERS = ("OpenStack-API-Version", "X-OpenStack-Nova-API-Version")


def run(
    people: Mapping[str, Mapping[str, str]],
    table: Iterable[Case] = TABLE,
    *,
    sleep: Callable[[float], None] = time.sleep,
    compute: str | None = None,
) -> dict[str, Summary]:
    """Send the table's requests one after the other; return the answers by case.

    :param people: OS_* variables of ``user``, and of ``reader`` and ``stranger`` where
        the cloud has such; cases of people who are not there are left out.
    :param sleep: lets seconds pass; on a cloud whose time stands still, moves it.
    :param compute: where the compute API is, None for where the catalog says.
    :raises StageError: where the servers and images for it cannot be made or removed.
    """
    everyone = {who: Person(environ) for who, environ in people.items()}
    stage = Stage(everyone, sleep, compute)
    known = {*people, "nobody", "liar"}
    with stage.set_up():
        return {case.name: answer(stage, case) for case in table if case.who in known}


def answer(stage: Stage, case: Case) -> Summary:
    """Send the request of a case and reduce its answer."""
    if case.service.startswith("volume"):
        stage.make_volumes()
    if case.idle:
        stage.wait_until_idle()
    headers = stage.fill(case.headers)
    if case.version:
        old, new = case.version, f"{case.service} {case.version}"
        headers |= dict(zip(_VERSION_HEADERS, (new, old), strict=True))
    got = stage.send(
        case.service,
        case.method,
        stage.fill(case.path),
        body=stage.fill(case.body),
        token=_token(stage, case),
        headers=headers,
    )
    for word, path in case.keep.items():
        stage.words[word] = _kept(got, path)
    return summarize(got, stage.normal, case.show, case.deep)


def _token(stage: Stage, case: Case) -> str | None:
    if case.who == "nobody":
        return None
    return "nonsense" if case.who == "liar" else stage.people[case.who].token


def _kept(got: requests.Response, path: str) -> str:
    where, _, rest = path.partition(".")
    if where == "header":
        return got.headers.get(rest, "nothing")
    return str(next(find(got.json(), rest), "nothing"))
