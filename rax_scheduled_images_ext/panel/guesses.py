"""How long a user has to wait after wrong passwords."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

from cachetools import TTLCache

# How many wrong passwords cost nothing, and the seconds to wait after the next ones.
_FREE = 2
_FIRST, _LONGEST = 2.0, 900.0
_MOST = 100_000
_FORGET = 24 * 3600.0


@dataclass
class _Guesses:
    """The wrong passwords for one account from one address."""

    wrong: int = 0
    wait_until: float = 0.0


class GuessLimit:
    """A growing delay after wrong passwords, by account and address together.

    So nobody can lock out another user, who comes from another address.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._all: TTLCache[Hashable, _Guesses] = TTLCache(_MOST, _FORGET, clock)

    def begin(self, who: Hashable) -> float:
        """Record an attempt as if it were wrong; return how many seconds to wait.

        As it is recorded before the result is known, parallel attempts gain nothing.
        """
        with self._lock:
            now = self._clock()
            guesses = self._all.get(who) or _Guesses()
            if guesses.wait_until > now:
                return guesses.wait_until - now
            guesses.wrong += 1
            if guesses.wrong > _FREE:
                delay = _FIRST * 2.0 ** min(guesses.wrong - _FREE - 1, 20)
                guesses.wait_until = now + min(delay, _LONGEST)
            self._all[who] = guesses
            return 0.0

    def right(self, who: Hashable) -> None:
        """Forget the wrong passwords after the right one."""
        with self._lock:
            self._all.pop(who, None)

    def unknown(self, who: Hashable) -> None:
        """Take back an attempt whose result is unknown."""
        with self._lock:
            guesses = self._all.get(who)
            if guesses is not None:
                guesses.wrong = max(0, guesses.wrong - 1)
                if guesses.wrong <= _FREE:
                    guesses.wait_until = 0.0


def network_of(address: str | None) -> str:
    """Return the network of one person: an IPv4 address, or 64 bits of IPv6."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return address or ""
    if isinstance(found, IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return found.packed[:8].hex()
