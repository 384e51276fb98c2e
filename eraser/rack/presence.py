"""Which drives are here, and what of that is news. Pure: what was seen and the time are passed in.

The kernel's messages are hints that something has changed and never the news themselves: a message may be lost, late or
overtaken by the next, what the kernel shows now is the truth. So a drive is compared with what was last seen of it.
"""

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from eraser.domain.bay import Place

SETTLE_SECONDS = 0.1
"""A drive is news when it has stayed so long: contacts bounce, and a bridge shows its drive twice."""
MAX_SETTLE_SECONDS = 5.0
FLAPPING_WINDOW_SECONDS = 60.0
FLAPPING_ARRIVALS = 3
"""So many arrivals at one place within the window, and each further one has to stay twice as long as the one before."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What the kernel shows of one drive at one moment."""

    name: str
    node: str
    instance: int
    """Number of the kernel's object: the same name with another number is another plugging."""
    diskseq: int
    """The kernel's count of media; 0 where it keeps none (before 5.15)."""
    size_bytes: int
    removable: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Arrived:
    """A drive is here, and has been for as long as it takes to settle."""

    drive: Sighting
    flaps: int = 0
    """How often drives arrived at this place within the last minute, without this time."""


@dataclass(frozen=True, slots=True)
class Left:
    """A drive that had arrived is gone. Said at once."""

    drive: Sighting


@dataclass(frozen=True, slots=True)
class Changed:
    """The same device has another medium or another size: whoever it was before, it is to be identified again."""

    before: Sighting
    drive: Sighting


Event = Arrived | Left | Changed


@dataclass(slots=True)
class _Waiting:
    drive: Sighting
    due: float


@dataclass(slots=True)
class Presence:
    """What is here by name, what has not settled yet, and how often each place has seen an arrival."""

    _here: dict[str, Sighting] = field(default_factory=dict)
    _waiting: dict[str, _Waiting] = field(default_factory=dict)
    _arrivals: dict[Place, deque[float]] = field(default_factory=dict)

    @property
    def names(self) -> frozenset[str]:
        """Everything that is here or about to be."""
        return frozenset(self._here) | frozenset(self._waiting)

    def latest(self, name: str) -> Sighting | None:
        """What was last seen of the drive of that name, whether it has settled or not."""
        waiting = self._waiting.get(name)
        return waiting.drive if waiting is not None else self._here.get(name)

    def look(self, names: Collection[str], seen: Mapping[str, Sighting], now: float) -> Iterator[Event]:
        """What has become of the drives of these names; `seen` has those of them that are here now."""
        for name in sorted(names):
            yield from self._look_at(name, seen.get(name), now)

    def settled(self, now: float) -> Iterator[Event]:
        """The drives that have stayed long enough."""
        for name, waiting in sorted(self._waiting.items()):
            if waiting.due <= now:
                del self._waiting[name]
                self._here[name] = waiting.drive
                yield Arrived(waiting.drive, self._count_arrival(waiting.drive.place, now))

    def next_due(self) -> float | None:
        """When the next drive will have settled; None when none is waiting."""
        return min((waiting.due for waiting in self._waiting.values()), default=None)

    def _look_at(self, name: str, now_here: Sighting | None, now: float) -> Iterator[Event]:
        before = self._here.get(name)
        if before is not None and now_here is not None and _is_same_device(before, now_here):
            if (before.diskseq, before.size_bytes) != (now_here.diskseq, now_here.size_bytes):
                self._here[name] = now_here
                yield Changed(before, now_here)
            return
        if before is not None:
            del self._here[name]
            yield Left(before)
        if now_here is None:
            self._waiting.pop(name, None)
            return
        waiting = self._waiting.get(name)
        if waiting is None or not _is_same_device(waiting.drive, now_here):
            self._waiting[name] = _Waiting(now_here, now + self._settle_seconds(now_here.place, now))
        else:
            waiting.drive = now_here

    def _settle_seconds(self, place: Place, now: float) -> float:
        beyond = len(self._recent(place, now)) - FLAPPING_ARRIVALS + 1
        return float(min(MAX_SETTLE_SECONDS, SETTLE_SECONDS * 2 ** max(0, beyond)))

    def _count_arrival(self, place: Place, now: float) -> int:
        recent = self._recent(place, now)
        recent.append(now)
        return len(recent) - 1

    def _recent(self, place: Place, now: float) -> deque[float]:
        times = self._arrivals.setdefault(place, deque(maxlen=64))
        while times and times[0] < now - FLAPPING_WINDOW_SECONDS:
            times.popleft()
        return times


def _is_same_device(before: Sighting, after: Sighting) -> bool:
    """Whether the device itself stayed. Only a removable medium changes under a device that stays: a loop device keeps
    its object from one image to the next."""
    return before.instance == after.instance and (before.diskseq == after.diskseq or after.removable)
