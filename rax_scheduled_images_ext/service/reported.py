"""What has been reported, in a small file, so that it is reported once.

It decides nothing: if it is lost, the same things are reported again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openstack.config.cloud_region import CloudRegion

# For how many servers each kind is remembered; the oldest are forgotten.
_MOST = 20_000
# No file of ours is longer, in bytes.
_LONGEST = 20_000_000
# The settings of a configuration that say who works where, without secrets.
_IDENTITY = (
    "auth_url",
    "username",
    "user_id",
    "project_name",
    "project_id",
    "project_domain_name",
    "project_domain_id",
    "application_credential_id",
    "application_credential_name",
)


class Reported:
    """What was last reported, by kind and by what it is about.

    :param path: the file that :meth:`save` writes, None for none.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known: dict[str, dict[str, list[Any]]] = {}
        self._saved = ""

    @classmethod
    def load(cls, path: Path | None) -> Reported:
        """Read a file; nothing is remembered if it cannot be read."""
        reported = cls(path)
        if path is None:
            return reported
        with suppress(OSError, ValueError, RecursionError):
            with path.open(encoding="utf-8") as file:
                text = file.read(_LONGEST)
            reported._known = _checked(json.loads(text))
            reported._saved = text
        return reported

    def is_news(self, kind: str, about: str, state: Iterable[Any]) -> bool:
        """Record the state of something; return whether it was different before."""
        known, new = self._known.setdefault(kind, {}), list(state)
        news = known.pop(about, None) != new
        known[about] = new
        while len(known) > _MOST:
            del known[next(iter(known))]
        return news

    def forget(self, kind: str, about: str) -> bool:
        """Forget something; return whether it was known."""
        return self._known.get(kind, {}).pop(about, None) is not None

    def keep(self, kinds: Iterable[str], about: set[str]) -> None:
        """Forget everything of these kinds that is not about these."""
        for kind in kinds:
            known = self._known.get(kind, {})
            for gone in known.keys() - about:
                del known[gone]

    def save(self) -> None:
        """Write the file if it changed; failing to do so does not matter."""
        text = json.dumps(self._known)
        if self._path is None or text == self._saved:
            return
        with suppress(OSError):
            _replace(self._path, text)
            self._saved = text


def default_path(config: CloudRegion, *, all_projects: bool) -> Path | None:
    """Return the file for a runner's work, None if there is no place for it.

    Each cloud, region, project and user has its own.
    """
    state = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        state = os.path.expanduser("~/.local/state")
    if not os.path.isabs(state):
        return None
    auth = {key: str(config.config.get("auth", {}).get(key)) for key in _IDENTITY}
    what = json.dumps([auth, str(config.region_name), all_projects], sort_keys=True)
    digest = hashlib.sha256(what.encode()).hexdigest()[:12]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", str(config.name)).strip(".-")[:40]
    return Path(state, "scheduled-images", f"{name or 'cloud'}-{digest}.json")


def _checked(found: Any) -> dict[str, dict[str, list[Any]]]:
    """Return what was read, if it has the right form.

    :raises ValueError: if not.
    """
    kinds = found.values() if isinstance(found, dict) else [None]
    for kind in kinds:
        states = kind.values() if isinstance(kind, dict) else [None]
        if not all(isinstance(state, list) for state in states):
            raise ValueError("not in the right form")
    return dict(found)


def _replace(path: Path, text: str) -> None:
    """Write a file that only its owner can read, atomically.

    :raises OSError: if that fails.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
