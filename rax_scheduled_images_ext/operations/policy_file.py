"""Reads ``policies.yaml``; every mistake in it is reported with its line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rax_scheduled_images_ext.errors import InvalidPolicies, InvalidValue
from rax_scheduled_images_ext.model.keep import RULES
from rax_scheduled_images_ext.model.policies import (
    LAST_VERSION,
    Match,
    Policies,
    SchedulePolicy,
    longest_name,
)
from rax_scheduled_images_ext.model.schedule import ImageSchedule, read_schedule
from rax_scheduled_images_ext.model.schedule_tags import (
    LONGEST_TAG,
    is_own_tag,
    schedule_tag,
)
from rax_scheduled_images_ext.text import one_line

# The longest file that is read, in bytes.
_LONGEST = 1_000_000
_NAME = re.compile("[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
_LONGEST_PREFIX = 10
_MATCH = ("tags", "metadata", "name", "projects")
_SCHEDULE = ("every", "day_of_week", "at", "keep")


@dataclass
class PolicyFile:
    """The policies of a file, which is read again each time."""

    path: Path
    #: What the policies were read from.
    text: str | None = None
    _policies: Policies | None = None

    def read(self) -> tuple[Policies | None, str | None]:
        """Return the policies, and why the file cannot be used as it is now.

        Of a file with mistakes nothing counts: the policies are those from before, None
        if there are none.
        """
        try:
            text = read_text(self.path)
            if text != self.text:
                self._policies = parse_policies(text, self.path.name)
                self.text = text
        except InvalidPolicies as error:
            return self._policies, str(error)
        return self._policies, None


def read_policies(path: Path) -> Policies:
    """Return the policies of a file.

    :raises InvalidPolicies: with all mistakes in it, or why it cannot be read.
    """
    return parse_policies(read_text(path), path.name)


def read_text(path: Path) -> str:
    """Return what is in a file of policies.

    :raises InvalidPolicies: if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST + 1).decode()
    except OSError as error:
        raise InvalidPolicies([f"{path.name}: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InvalidPolicies([f"{path.name}:{line}: it is not UTF-8"]) from None


def parse_policies(text: str, name: str = "policies") -> Policies:
    """Return the policies in a text.

    :param name: of the file, for messages.
    :raises InvalidPolicies: with all mistakes in it.
    """
    reader = _Reader()
    try:
        if len(text) > _LONGEST:
            raise InvalidPolicies([f"{name}: it has more than {_LONGEST} characters"])
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        found = reader.policies(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        why = " ".join(filter(None, (error.context, error.problem)))
        raise InvalidPolicies([f"{name}:{line}: it is not YAML: {why}"]) from None
    except (yaml.YAMLError, RecursionError) as error:
        kind = str(error) if isinstance(error, yaml.YAMLError) else "it is too deep"
        text = one_line(f"{name}:1: it is not YAML: {' '.join(kind.split())}")
        raise InvalidPolicies([text]) from None
    if found is None or reader.mistakes:
        lines = sorted(reader.mistakes, key=lambda mistake: mistake[0])
        raise InvalidPolicies([one_line(f"{name}:{at}: {why}") for at, why in lines])
    return found


@dataclass
class _Reader:
    """Reads the parts of a file, and notes the mistakes with their lines."""

    mistakes: list[tuple[int, str]] = field(default_factory=list)

    def policies(self, root: Any) -> Policies | None:
        """Read the whole; None for mistakes."""
        parts = self._mapping(
            root, "the file", ("version", "prefix", "policies", "except"), ("version",)
        )
        if parts is None:
            return None
        version = self._read(parts.get("version"), _version)
        prefix = self._read(parts.get("prefix"), _prefix) or ""
        found: list[SchedulePolicy] = []
        names: dict[str, int] = {}
        all_from: int | None = None
        listed = parts.get("policies")
        if listed is None:
            self._note(root, "without 'policies': a list of at least one policy")
        for node in self._items(listed, "policies"):
            if all_from is not None:
                self._note(node, f"never used: line {all_from} matches every server")
            policy = self._policy(node, prefix)
            if policy is None:
                continue
            if policy.name in names:
                line = names[policy.name]
                self._note(node, f"'{policy.name}' is the name of line {line} as well")
            names[policy.name] = _line(node)
            if not policy.match:
                all_from = all_from or _line(node)
            found.append(policy)
        excepted = self._match(parts.get("except"), "except")
        if version is None or excepted is None or not found:
            return None
        return Policies(version, tuple(found), prefix, excepted)

    def _policy(self, node: Any, prefix: str) -> SchedulePolicy | None:
        parts = self._mapping(
            node, "a policy", ("name", "match", "schedule"), ("name", "schedule")
        )
        if parts is None:
            return None
        name = self._read(parts.get("name"), lambda text: _name(text, prefix))
        match = self._match(parts.get("match"), "match")
        schedule = self._schedule(parts.get("schedule"))
        if name is None or match is None or schedule is None:
            return None
        return SchedulePolicy(name, schedule, match)

    def _match(self, node: Any, what: str) -> Match | None:
        """Read what servers must be like; None for mistakes."""
        if node is None:
            return Match()
        before = len(self.mistakes)
        parts = self._mapping(node, what, _MATCH)
        if parts is None:
            return None
        tags = self._texts(parts.get("tags"), "tags", _tag)
        name = self._read(parts.get("name"), _pattern)
        projects = self._texts(parts.get("projects"), "projects", _text)
        metadata: dict[str, str] = {}
        if "metadata" in parts:
            for key, value in self._pairs(parts["metadata"], "metadata"):
                metadata[key.value] = self._read(value, _text) or ""
        if len(self.mistakes) > before:
            return None
        return Match(frozenset(tags), metadata, name, frozenset(projects))

    def _schedule(self, node: Any) -> ImageSchedule | None:
        if node is None:
            return None
        before = len(self.mistakes)
        parts = self._mapping(node, "schedule", _SCHEDULE, ("every", "keep"))
        if parts is None:
            return None
        whole: dict[str, Any] = {
            key: self._read(parts.get(key), _text) for key in _SCHEDULE[:-1]
        }
        rules = self._mapping(parts["keep"], "keep", RULES) if "keep" in parts else None
        whole["keep"] = {
            rule: self._read(number, _whole_number)
            for rule, number in (rules or {}).items()
        }
        if len(self.mistakes) > before:
            return None
        try:
            schedule = read_schedule(
                {key: value for key, value in whole.items() if value is not None}
            )
            schedule_tag(schedule)
        except InvalidValue as error:
            self._note(node, str(error))
            return None
        return schedule

    # -- nodes

    def _mapping(
        self,
        node: Any,
        what: str,
        allowed: Iterable[str],
        required: Iterable[str] = (),
    ) -> dict[str, Any] | None:
        """Return the values of a mapping by key; None for what is no mapping."""
        names = ", ".join(allowed)
        if not isinstance(node, yaml.MappingNode) or not node.value:
            self._note(node, f"{what} must be a mapping with {names}")
            return None
        found = {}
        for key, value in self._pairs(node, what):
            if key.value not in allowed:
                self._note(key, f"'{key.value}' is not one of {names}: {what}")
                continue
            found[key.value] = value
        for name in required:
            if name not in found:
                self._note(node, f"{what} lacks '{name}'")
        return found

    def _pairs(self, node: Any, what: str) -> Iterator[tuple[Any, Any]]:
        """Yield the keys and values of a mapping, each key once."""
        if not isinstance(node, yaml.MappingNode) or not node.value:
            self._note(node, f"{what} must be a mapping of keys to values")
            return
        seen: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._note(key, f"a key of {what} must be text")
                continue
            if key.value in seen:
                line = seen[key.value]
                self._note(key, f"'{key.value}' is in line {line} as well")
                continue
            seen[key.value] = _line(key)
            yield key, value

    def _items(self, node: Any, what: str) -> list[Any]:
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self._note(node, f"{what} must be a list, and not empty")
            return []
        return list(node.value)

    def _texts(self, node: Any, what: str, parse: Callable[[str], str]) -> set[str]:
        read = (self._read(item, parse) for item in self._items(node, what))
        return {text for text in read if text is not None}

    def _read(self, node: Any, parse: Callable[[str], Any]) -> Any:
        """Return what is written at a place, as it is written; None for mistakes."""
        if node is None:
            return None
        if not isinstance(node, yaml.ScalarNode):
            self._note(node, "one value is expected here")
            return None
        try:
            return parse(node.value)
        except ValueError as error:
            self._note(node, str(error))
            return None

    def _note(self, node: Any, mistake: str) -> None:
        self.mistakes.append((_line(node), mistake))


def _line(node: Any) -> int:
    return node.start_mark.line + 1 if node is not None else 1


def _version(text: str) -> int:
    if re.fullmatch("[1-9][0-9]{0,5}", text, re.ASCII):
        return int(text)
    raise ValueError(f"'{text}' is not a version: a number from 1 to {LAST_VERSION}")


def _prefix(text: str) -> str:
    if re.fullmatch(f"[a-z0-9]{{1,{_LONGEST_PREFIX}}}", text, re.ASCII):
        return text
    raise ValueError(f"'{text}' is not a prefix: 1 to {_LONGEST_PREFIX} of a-z and 0-9")


def _name(text: str, prefix: str) -> str:
    most = longest_name(prefix)
    if not _NAME.fullmatch(text) or len(text) > most:
        raise ValueError(
            f"'{text}' is not a name: at most {most} of a-z and 0-9, with single '-'"
            " between them"
        )
    if "-" in text and not prefix:
        raise ValueError(f"'{text}': a name with '-' requires a prefix of the file")
    return text


def _tag(text: str) -> str:
    if not 0 < len(text) <= LONGEST_TAG or re.search("[,/]", text):
        raise ValueError(
            f"'{text}' is not a tag: 1 to {LONGEST_TAG} characters without ',' and '/'"
        )
    if is_own_tag(text):
        raise ValueError(f"'{text}' is a tag of schedules, which policies give")
    return text


def _text(text: str) -> str:
    if not text:
        raise ValueError("a value is missing here")
    return text


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(_text(text))
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"'{text}' is not a regular expression: {error}") from None


def _whole_number(text: str) -> int:
    if re.fullmatch("[0-9]{1,9}", text, re.ASCII):
        return int(text)
    raise ValueError(f"'{text}' is not a whole number")
