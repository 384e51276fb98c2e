"""Passwords: Argon2id off the event loop, and a throttle that stands before it.

A hash takes 64 MiB and 80 ms on purpose. At most two are made at once, and who guesses is told to wait before one is made.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from eraser.console.problems import Busy, TooMany

T = TypeVar("T")

MAX_AT_ONCE = 2
MAX_WAITING = 32
MAX_KEYS = 10_000
"""That a throttle remembers; the oldest are forgotten."""


class Passwords:
    """Makes hashes and compares with them."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._threads = ThreadPoolExecutor(MAX_AT_ONCE, thread_name_prefix="passwords")
        self._waiting = 0
        self._nobodys = ""

    async def hash(self, password: str) -> str:
        """Argon2id's, with its salt and parameters. Raises Busy."""
        return await self._run(lambda: self._hasher.hash(password))

    async def fits(self, password_hash: str, password: str) -> bool:
        """Whether it is the password of this hash. Without a hash it takes as long and is none. Raises Busy."""
        return await self._run(lambda: self._fits(password_hash or self._nobodys_hash(), password)) and bool(
            password_hash
        )

    def is_outdated(self, password_hash: str) -> bool:
        """Whether it was made with other parameters than are used now."""
        return self._hasher.check_needs_rehash(password_hash)

    def close(self) -> None:
        """Ends its threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _nobodys_hash(self) -> str:
        self._nobodys = self._nobodys or self._hasher.hash("nobody's")
        return self._nobodys

    def _fits(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise Busy("too-many-sign-ins", "too many people sign in at once", remedy="Try again in a few seconds.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


@dataclass(slots=True)
class _Count:
    attempts: int
    since: float


class Throttle:
    """So many attempts of one key within so many seconds, then none until they are over. Its memory is bounded."""

    def __init__(self, limit: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counts)

    def wait_seconds(self, key: str) -> float:
        """How long until the next attempt may be made; 0: now."""
        found = self._counts.get(key)
        if found is None or found.attempts < self._limit:
            return 0.0
        return max(0.0, found.since + self._seconds - self._clock())

    def count(self, key: str) -> None:
        """One attempt. Counted before its outcome is known, so that many at once are many."""
        now = self._clock()
        found = self._counts.get(key)
        if found is None or now - found.since >= self._seconds:
            found = self._counts[key] = _Count(0, now)
        found.attempts += 1
        self._counts.move_to_end(key)
        while len(self._counts) > MAX_KEYS:
            self._counts.popitem(last=False)

    def take_back(self, key: str) -> None:
        """It was no guess after all."""
        if (found := self._counts.get(key)) is not None:
            found.attempts -= 1


class GuessLimit:
    """Of one name from one address, of one address, of one name: the first keeps a guesser out without shutting out the
    person whose name is guessed, the others keep out who changes names or addresses.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._pair = Throttle(5, 300.0, clock)
        self._place = Throttle(30, 900.0, clock)
        self._name = Throttle(50, 3600.0, clock)

    def begin(self, name: str, place: str) -> None:
        """Counts an attempt. Raises TooMany, having counted none."""
        wait = max(throttle.wait_seconds(key) for throttle, key in self._keys(name, place))
        if wait > 0:
            raise TooMany(
                "too-many-attempts",
                f"too many wrong passwords: the next is looked at in {wait:.0f} s",
                remedy="Wait; or ask an administrator for a link to set another.",
                seconds=wait,
            )
        for throttle, key in self._keys(name, place):
            throttle.count(key)

    def succeeded(self, name: str, place: str) -> None:
        """The attempt was right."""
        for throttle, key in self._keys(name, place):
            throttle.take_back(key)

    def _keys(self, name: str, place: str) -> Iterable[tuple[Throttle, str]]:
        return (self._pair, f"{place} {name}"), (self._place, place), (self._name, name)
