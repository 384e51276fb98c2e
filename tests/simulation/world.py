"""The world around the station: slots and drives, the kernel's claims and late writes, the host's life and the passing of time.

It goes on while the station's program is down. Everything that happens is told to `diary`, when somebody reads it.
"""

import asyncio
import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass

from eraser.domain.bay import BandwidthDomain, BayMap, Place
from eraser.domain.drive import Drive, same_drive
from eraser.domain.evidence import EndReason
from eraser.drives.claim import Activity
from eraser.drives.guard import UseReason
from eraser.engine.transfer import Order
from eraser.engine.tuning import Tuning
from eraser.errors import DriveError, Refused
from eraser.rack.presence import Sighting
from tests.rack.simulated_time import SimulatedTimeLoop
from tests.simulation.checks import SECOND, Checks
from tests.simulation.drives import FaultyDrive, StillHangs, Work


class Held:
    """A claimed drive: `eraser.drives.erasable.ErasableDrive`."""

    def __init__(self, world: "World", plugging: "Plugging") -> None:
        self.world = world
        self.plugging = plugging
        self.disk = plugging.disk
        self.drive = plugging.disk.drive
        self.boot_id = f"boot {world.boots}, claim {next(world.numbers)}"
        """Names the claim, so that the journal's events can be laid beside what was done through it."""
        self.job_id = ""
        self.is_closed = False
        self.was_counted = False
        """Whether the kernel's counters at its end are on record."""
        self.begun_after_cancel = 0
        """Transfers that began after a person had said that the job is to end."""
        self.work: Work | None = None

    async def transfer(self, order: Order, tuning: Tuning, rate_limit: int) -> Work:
        await asyncio.sleep(0)  # a process takes its time to start: others go on meanwhile
        self.world.checks.transfer_begins(self, order)
        self.work = Work(self, order, tuning, rate_limit)
        self.world.tell(f"{self.job_id}: {order.operation} of drive {self.disk.number} begins")
        return self.work

    def activity(self) -> Activity | None:
        return self.plugging.activity()

    def other_users(self) -> tuple[str, ...]:
        if self.disk.hangs and not self.plugging.is_out:
            raise StillHangs
        self.plugging.activity()
        self.plugging.is_closed_to_others = True  # whoever writes from now on was not there when we looked
        return ()

    def close(self) -> None:
        self.is_closed = True
        self.plugging.give_back(self)

    def die(self) -> None:
        """The program is no more, and with it the transfer's process."""
        self.is_closed = True
        if self.work is not None and not self.work.is_finished and not self.work.has_ended:
            self.work.run_ahead(self.world.chance.randint(0, 2))
            self.work.kill(EndReason.PROCESS_DIED)
        self.plugging.give_back(self)


@dataclass
class _Late:
    sector: int
    data: bytes
    name: bytes
    held: Held


class Plugging:
    """The kernel's object of a drive, from its plugging in to its pulling out."""

    def __init__(self, world: "World", disk: FaultyDrive, bay: str) -> None:
        self._world = world
        self.disk = disk
        self.bay = bay.removesuffix(SECOND)
        self.since = world.now
        self.number = next(world.numbers)
        self.claim: Held | None = None
        self.late: list[_Late] = []
        self.is_closed_to_others = False
        self.is_out = False
        disk.plug_in()
        disk.hangs = disk.flush_fails = False  # it has been without power
        disk.node = world.free_node()
        disk.instance = self.number
        size = disk.sectors * 512
        place = Place(path=f"slot-{self.bay}")
        self.sighting = Sighting(disk.node[5:], disk.node, self.number, self.number, size, False, place)

    def activity(self) -> Activity:
        """What the kernel counts of it."""
        if self.is_out:
            raise DriveError("the kernel has it no more", subject=self.sighting.node)
        return Activity(self.disk.counted_sectors, 0, self.disk.counted_flushes)

    def take(self, held: Held) -> None:
        self.claim = held
        self.is_closed_to_others = False
        self.disk.unread = set(range(self.disk.sectors))

    def give_back(self, held: Held) -> None:
        """The claim is on the descriptor: the kernel keeps it until the last I/O through it has returned."""
        if self.claim is held and held.is_closed and self.is_free_of(held):
            self.claim = None
            self.disk.leave_sight(was_looked_at=held.was_counted)

    def is_free_of(self, held: Held) -> bool:
        """Whether no I/O of it is out."""
        return not any(late.held is held for late in self.late)

    def leave(self, held: Held, sectors: list[tuple[int, bytes]], name: bytes) -> None:
        """Writes that come back some time after their sender died."""
        self.late += [_Late(sector, data, name, held) for sector, data in sectors]
        for _ in sectors:
            self._world.at(self._world.chance.choice((0.05, 0.5, 3.0)), self._land)

    def _land(self) -> None:
        if not self.late or self.is_out:
            return
        if self.disk.hangs:
            self._world.at(1.0, self._land)
            return
        late = self.late.pop(0)
        self._world.tell(f"a late write of {late.held.job_id} lands on drive {self.disk.number}, sector {late.sector}")
        self._world.checks.late_write(self, late.held)
        self.disk.write_pattern(late.sector, late.data, late.name)
        self.give_back(late.held)


class World:
    """Slots with what is in them, and time. `agenda` is what will happen without the station's doing."""

    def __init__(self, seed: int, *, is_told: bool = False) -> None:
        self.chance = random.Random(seed)
        self.checks = Checks(self)
        self.numbers = itertools.count(1)
        self.slots: dict[str, Plugging] = {}
        self.disks: list[FaultyDrive] = []
        self.boots = 1
        self.loop: SimulatedTimeLoop | None = None
        self.bay_map = BayMap(())
        self.clock_offset = 0.0
        self.disturbed_until = 0.0
        """Until then nobody is expected to be in time: the journal's disk was slow or full."""
        self.diary: list[str] = []
        self._is_told = is_told
        self._clock = 0.0
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self.when_slots_change: Callable[[], None] = lambda: None
        self.when_something_happens: Callable[[str], None] = lambda bay: None
        self.helds: list[Held] = []
        """Claims that are not known to be given back."""

    # ---- time

    @property
    def now(self) -> float:
        return self.loop.now if self.loop is not None else self._clock

    def at(self, seconds: float, action: Callable[[], None]) -> None:
        """Will do it so many seconds from now, whether the station's program runs then or not."""
        when = self.now + seconds
        heapq.heappush(self._agenda, (when, next(self.numbers), action))
        if self.loop is not None:
            self.loop.call_at(when, self._do_due)

    def begin(self, loop: SimulatedTimeLoop) -> None:
        """From now on the loop's time is the world's."""
        self.loop = loop
        for when, _, _ in self._agenda:
            loop.call_at(when, self._do_due)

    def end(self) -> None:
        """The program is no more."""
        self._clock, self.loop = self.now, None

    def rest(self, seconds: float) -> None:
        """Time without the program."""
        until = self._clock + seconds
        while self._agenda and self._agenda[0][0] <= until:
            self._clock = max(self._clock, self._agenda[0][0])
            self._do_due()
        self._clock = until

    def _do_due(self) -> None:
        while self._agenda and self._agenda[0][0] <= self.now:
            heapq.heappop(self._agenda)[2]()

    def tell(self, what: str) -> None:
        """Into the diary."""
        if self._is_told:
            self.diary.append(f"{self.now:9.3f}  {what}")

    # ---- slots

    def free_node(self) -> str:
        """The kernel gives the names of those who are gone to those who come."""
        taken = {plugging.disk.node for plugging in self.slots.values()}
        return next(node for letter in "abcdefghijkl" if (node := f"/dev/sd{letter}") not in taken)

    def plug(self, disk: FaultyDrive, bay: str) -> None:
        assert bay not in self.slots
        self.slots[bay] = Plugging(self, disk, bay)
        self.tell(f"drive {disk.number} ({disk.serial or 'no serial'}) is plugged into {bay} as {disk.node}")
        self.when_slots_change()

    def pull(self, bay: str) -> FaultyDrive:
        plugging = self.slots.pop(bay)
        self._lose_power(plugging)
        self.tell(f"drive {plugging.disk.number} is pulled from {bay}")
        self.when_slots_change()
        return plugging.disk

    def _lose_power(self, plugging: Plugging) -> None:
        disk = plugging.disk
        plugging.is_out = disk.is_gone = True
        disk.used_by = ""
        disk.cut_power(self.chance.getrandbits(32))
        disk.had_before.clear()
        plugging.late.clear()
        if plugging.claim is not None:
            plugging.give_back(plugging.claim)

    def cut_power(self) -> None:
        """The host's: every drive begins anew in its slot. The program is dead already."""
        self.boots += 1
        self.tell("the host loses its power")
        pluggings, self.slots = self.slots, {}
        for bay, plugging in pluggings.items():
            self._lose_power(plugging)
            self.slots[bay] = Plugging(self, plugging.disk, bay)

    def sightings(self) -> dict[str, Sighting]:
        """What the kernel shows now, by name."""
        return {plugging.sighting.name: plugging.sighting for plugging in self.slots.values()}

    def slot_of(self, disk: FaultyDrive) -> str:
        """Where it is; empty if nowhere."""
        return next((bay for bay, plugging in self.slots.items() if plugging.disk is disk), "")

    # ---- `DriveAccess` and `Hold`

    def identify(self, sighting: Sighting) -> Drive:
        plugging = self._by_node(sighting.node)
        if plugging.sighting is not sighting:
            raise DriveError("another drive took its place", subject=sighting.node)
        if plugging.disk.hangs:
            raise StillHangs
        return plugging.disk.drive

    def refuse_if_used(self, drive: Drive) -> None:
        found = self._by_node(drive.path)
        if found.disk.used_by:
            raise Refused("mounted", f"it is mounted at {found.disk.used_by}", subject=drive.path)

    def celsius(self, sighting: Sighting) -> float | None:
        """How warm a drive is."""
        plugging = self._by_node(sighting.node)
        if plugging.disk.hangs:
            raise StillHangs
        return 75.0 if plugging.disk.is_hot else 30.0

    def light(self, sighting: Sighting) -> None:
        return None

    async def blink(self, sighting: Sighting, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def domains(self, sighting: Sighting) -> tuple[BandwidthDomain, ...]:
        return ()

    def hold(self, drive: Drive, *, now_utc: Callable[[], str]) -> Held:
        """As `eraser.drives.claim.claim` does it: alone, and only the drive that was planned."""
        found = self._by_node(drive.path)
        if found.disk.hangs:
            raise StillHangs
        if found.claim is not None:
            reason = UseReason.HELD_BY_UNFINISHED_IO if found.claim.is_closed else UseReason.OPEN
            raise Refused(reason.value, "somebody holds it", subject=drive.path)
        self.refuse_if_used(drive)
        difference = same_drive(drive, found.disk.drive)
        if difference or drive.disk_sequence != found.disk.instance:
            raise Refused("another-drive", f"it is not the drive that was planned: {difference}", subject=drive.path)
        held = Held(self, found)
        found.take(held)
        self.helds = [item for item in self.helds if not item.is_closed]
        self.helds.append(held)
        return held

    def _by_node(self, node: str) -> Plugging:
        for plugging in self.slots.values():
            if plugging.disk.node == node:
                return plugging
        raise DriveError("it is gone", subject=node)
