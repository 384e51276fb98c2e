"""One picture of the machine: what is mounted where, what lies on what, and which process holds what.

Taking one reads the whole of /proc and sysfs, whichever drive is asked about, so drives that are looked at in the same
moment share it. A picture is never older than the question: it answers those alone who asked before it was begun.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Generic, TypeVar

from eraser.drives.mounts import HangingPlaces, Mounts, all_mounts
from eraser.drives.processes import Held, all_held
from eraser.drives.stack import Stack
from eraser.drives.sysfs import Host

T = TypeVar("T")

PATIENCE_SECONDS = 2.0
"""How long to wait for another's picture, which takes a fiftieth of a second. Then one is taken without it: nobody waits
long for a thread that the machine keeps."""

GATHER_SECONDS = 0.01
"""How long to wait for others before a picture is taken, again for each who comes meanwhile: drives of one call come within
milliseconds, and a picture costs as much processor time as erasing half a gigabyte."""
GATHER_ROUNDS = 5
"""How often at most: nobody waits long for others."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A machine between two moments."""

    mounts: Mounts
    stack: Stack
    processes: tuple[Held, ...]


def take_picture(host: Host) -> Picture:
    """As the machine is from now on until this returns. Waits for no drive and no file server."""
    mounts = all_mounts(host)
    stack = Stack(host)
    return Picture(mounts, stack, all_held(host, HangingPlaces((*mounts.others, *mounts.ours))))


def picture_from_now_on(host: Host) -> Picture:
    """A picture that was begun after this was called, perhaps shared with others who called in the same moment."""
    return _shared(host)()


@cache
def _shared(host: Host) -> "SharedLook[Picture]":
    return SharedLook(lambda: take_picture(host), gather_seconds=GATHER_SECONDS)


class SharedLook(Generic[T]):
    """Looks once for all who ask while an earlier look is under way, or within `gather_seconds` of each other. Safe to call
    from many threads.

    Whoever calls gets what a look saw that was begun after the call, or its exception.
    """

    def __init__(
        self, look: Callable[[], T], patience_seconds: float = PATIENCE_SECONDS, gather_seconds: float = 0.0
    ) -> None:
        self._look = look
        self._patience_seconds = patience_seconds
        self._gather_seconds = gather_seconds
        self._turn = threading.Lock()
        self._door = threading.Lock()
        self._asking: _Asked[T] | None = None

    @property
    def waiting(self) -> int:
        """How many wait for a look that has not begun."""
        with self._door:
            return self._asking.by if self._asking is not None else 0

    def __call__(self) -> T:
        with self._door:
            asked = self._asking = self._asking or _Asked()
            asked.by += 1
        if not self._turn.acquire(timeout=self._patience_seconds):
            return self._look()
        try:
            if asked.seen is None:
                self._gather(asked)
                with self._door:
                    # Before the look: who asks from here on asks the next one.
                    if self._asking is asked:
                        self._asking = None
                asked.seen = (self._look(),)
            return asked.seen[0]
        finally:
            self._turn.release()

    def _gather(self, asked: "_Asked[T]") -> None:
        """Lets others ask too. What they get is as new as what the first gets: the look has not begun."""
        for _ in range(GATHER_ROUNDS if self._gather_seconds else 0):
            known = asked.by
            time.sleep(self._gather_seconds)
            if asked.by == known:
                return


class _Asked(Generic[T]):
    """Those who share a look, and what it saw, once it has."""

    def __init__(self) -> None:
        self.by = 0
        self.seen: tuple[T] | None = None
