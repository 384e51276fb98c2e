"""What happens in the fictional rack: drives come, are waited for, are pulled too early, and go. Told by a seed.

The story sees the station as a person before the rack does, by its picture, and has no other hold on it.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from eraser.domain.bay import BayMap, BayName
from eraser.rack.blocking import in_own_thread
from eraser.rack.simulated.images import MIB, Nature, Note, draw_note
from eraser.rack.simulated.shelf import SimulatedRack
from eraser.rack.view import BaySnapshot, BayState, StationSnapshot

LOOK_SECONDS = 0.25
MAKERS = 2
"""How many drives are filled at once, so that those which are erased keep most of the disk."""

_DONE = (BayState.PASSED, BayState.FAILED, BayState.REFUSED, BayState.HELD, BayState.ASKING)
_PULLED = "pulled"
_FATES: dict[int, Nature | str] = {
    2: Nature.DROPS_WRITES,
    4: _PULLED,
    6: Nature.BAD_SECTORS,
    9: _PULLED,
    11: Nature.HANGS,
}
_ROUND = 16
"""Of so many drives, those of these numbers meet these fates; all others are sound and left alone."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How big, how fast, how patient. Seconds, but for `sizes_mib` and the factor `speed`."""

    sizes_mib: tuple[int, int]
    speed: float
    arrival_seconds: float
    """All bays have their first drive within this time."""
    linger_seconds: float
    gap_seconds: float
    no_progress_seconds: float

    @property
    def least_bytes(self) -> int:
        """No drive is smaller."""
        return self.sizes_mib[0] * MIB

    def within(self, most_bytes: int) -> "Pace":
        """The same with drives no larger than that."""
        least, most = self.sizes_mib
        return replace(self, sizes_mib=(least, max(least, min(most, most_bytes // MIB))))


NORMAL = Pace((64, 512), 0.5, 60.0, 30.0, 10.0, 30.0)
FAST = Pace((16, 64), 1.0, 4.0, 12.0, 3.0, 6.0)


class Story:
    """Plays in one rack. `play` does not end."""

    def __init__(
        self,
        rack: SimulatedRack,
        bay_map: BayMap,
        look: Callable[[], StationSnapshot],
        chance: random.Random,
        pace: Pace,
        *,
        keeps_departed: bool = True,
    ) -> None:
        """Drives that have left are kept for a while to be looked at, unless that takes memory which others need."""
        self._rack = rack
        self._bays = [bay.name for bay in bay_map.bays]
        self._look = look
        self._chance = chance
        self._pace = pace
        self._number = 0
        self._making = asyncio.Semaphore(MAKERS)
        self._left_over: deque[Note] = deque()
        self._serials: set[str] = set()
        self._departed: deque[Note] = deque()
        self._departed_kept = len(self._bays) if keeps_departed else 0

    async def play(self) -> None:
        """Drives that an earlier run left come first: their jobs go on."""
        self._left_over.extend(await in_own_thread(self._rack.stock.left_over))
        self._serials = {note.serial for note in self._left_over}
        async with asyncio.TaskGroup() as tasks:
            for bay in self._bays:
                tasks.create_task(self._play_in(bay, self._chance.uniform(0, self._pace.arrival_seconds)))

    async def _play_in(self, bay: BayName, delay: float) -> None:
        await asyncio.sleep(delay)
        while True:
            note, fate = await self._next_drive()
            self._rack.plug(note, bay)
            if fate == _PULLED:
                await self._pull_too_early(note, bay)
            await self._until(bay, lambda seen: seen.state in _DONE)
            await asyncio.sleep(self._chance.uniform(0.5, 1.5) * self._pace.linger_seconds)
            self._rack.pull(note)
            await self._retire(note)
            await asyncio.sleep(self._chance.uniform(0.5, 1.5) * self._pace.gap_seconds)

    async def _next_drive(self) -> tuple[Note, Nature | str]:
        if self._left_over:
            return self._left_over.popleft(), Nature.SOUND
        fate = _FATES.get(self._number % _ROUND, Nature.SOUND)
        self._number += 1
        nature = fate if isinstance(fate, Nature) else Nature.SOUND
        note = self._draw(nature)
        async with self._making:
            await in_own_thread(self._rack.stock.make, note)
        return note, fate

    def _draw(self, nature: Nature) -> Note:
        """A drive that there has not been: the same seed tells of the same ones as in the run before, which may be here."""
        while (note := draw_note(self._chance, nature, self._pace.sizes_mib, self._pace.speed)).serial in self._serials:
            pass
        self._serials.add(note.serial)
        return note

    async def _pull_too_early(self, note: Note, bay: BayName) -> None:
        """Out in the middle of a write, and back into the same bay a moment later."""
        share = self._chance.uniform(0.2, 0.7)
        await self._until(bay, lambda seen: seen.state in _DONE or _share_done(seen) > share)
        self._rack.pull(note)
        await self._until(bay, lambda seen: seen.state is BayState.EMPTY)
        await asyncio.sleep(self._chance.uniform(0.5, 2.0))
        self._rack.plug(note, bay)

    async def _until(self, bay: BayName, is_so: Callable[[BaySnapshot], bool]) -> None:
        # What was drawn before this moment says nothing of what was done in it.
        await asyncio.sleep(2 * LOOK_SECONDS)
        while not is_so(next(seen for seen in self._look().bays if seen.name == bay)):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)

    async def _retire(self, note: Note) -> None:
        self._departed.append(note)
        while len(self._departed) > self._departed_kept:
            await in_own_thread(self._rack.stock.remove, self._departed.popleft())


def _share_done(seen: BaySnapshot) -> float:
    return seen.done_bytes / seen.total_bytes if seen.state is BayState.WRITING and seen.total_bytes else 0.0
