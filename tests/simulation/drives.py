"""Drives that lie, err and hang, and the transfers over them: as `tests.rack.simulated`, but each in a time of its own."""

import asyncio
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from eraser.domain.drive import Drive, Geometry, Identity, SerialSource
from eraser.domain.evidence import EndReason, FlushProof, Operation, TransferReport
from eraser.domain.pattern import Constant, Pattern
from eraser.engine.transfer import Order, Snapshot
from eraser.engine.tuning import Tuning
from eraser.errors import DriveError
from tests.domain.builders import a_drive
from tests.rack.simulated import SECTOR, SimulatedDrive, SimulatedTransfer

if TYPE_CHECKING:
    from tests.simulation.world import Held

STEP_SECONDS = 0.25
"""A transfer moves by a few sectors in so much time."""
TUNING = Tuning(block_bytes=SECTOR, queue_depth=2, checkpoint_bytes=4 * SECTOR, no_progress_seconds=8.0)
EXIT_GRACE_SECONDS = 1.0
ZEROS = bytes(SECTOR)


class StillHangs(Exception):
    """The call does not return yet. Caught by the world, which asks again."""


def name_of(pattern: Pattern) -> bytes:
    """Tells patterns apart."""
    return pattern.data if isinstance(pattern, Constant) else pattern.seed


@dataclass
class FaultyDrive(SimulatedDrive):
    """A drive with a character. Its faults are sets of sectors, its lies are for the whole drive."""

    number: int = 0
    serial: str = ""
    """Empty: it does not say."""
    unwritable: set[int] = field(default_factory=set)
    unreadable: set[int] = field(default_factory=set)
    stale: set[int] = field(default_factory=set)
    """Sectors that answer what they held before the last write."""
    answers_zeros: bool = False
    wraps_at: int = 0
    """So many sectors there really are; 0 where all are there."""
    hangs: bool = False
    flush_fails: bool = False
    used_by: str = ""
    customer_waits: bool = False
    has_consented: bool = False
    """Whether its customer has agreed, on record: no crash undoes that."""
    deadline: float = math.inf
    woke_at: float = 0.0
    is_hot: bool = False
    node: str = ""
    instance: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.had_before: dict[int, bytes] = {}
        self.history: list[list[bytes]] = [[] for _ in range(self.sectors)]
        """By sector, the patterns that were written since somebody else last wrote there."""
        self.unread = set(range(self.sectors))
        """Sectors that nobody has read since they were last written or out of sight."""
        self.unlooked: list[tuple[int, list[bytes]]] = []
        """What others wrote over while it was held, with the history before: counted, and the counters not read yet."""
        self.was_changed = False
        """Whether somebody else has written to it: then nothing of what was believed need be there."""
        self._drive: Drive | None = None

    @property
    def is_honest(self) -> bool:
        """Whether it does what it says."""
        lies = self.forgetful or self.stale or self.answers_zeros or self.wraps_at
        return not lies

    @property
    def is_sound(self) -> bool:
        """Whether a job on it can pass."""
        return self.is_honest and not (self.bad or self.unwritable or self.unreadable)

    @property
    def drive(self) -> Drive:
        if self._drive is None or self._drive.path != self.node or self._drive.disk_sequence != self.instance:
            source = SerialSource.DRIVE if self.serial else SerialSource.NONE
            size = self.sectors * SECTOR
            self._drive = a_drive(
                path=self.node,
                identity=Identity("Acme", "Spinner", self.serial, source),
                geometry=Geometry(size, SECTOR, SECTOR, size),
                write_cache="write back",
                disk_sequence=self.instance,
            )
        return self._drive

    # ---- what transfers do

    def write_pattern(self, sector: int, data: bytes, name: bytes) -> bool:
        """As `write`, and remembers of which pattern it was."""
        real = sector % self.wraps_at if self.wraps_at else sector
        if sector in self.unwritable:
            self.io()
            self.counted_sectors += 1
            return False
        if sector in self.stale:
            self.had_before[sector] = bytes(self.cache[sector * SECTOR : (sector + 1) * SECTOR])
        if not self.write(real, data):
            return False
        if sector not in self.forgetful:
            self.history[sector].append(name)
        self.unread.add(sector)
        return True

    def read(self, sector: int) -> bytes | None:
        if sector in self.unreadable:
            self.io()
            return None
        found = super().read(sector % self.wraps_at if self.wraps_at else sector)
        self.unread.discard(sector)
        if self.answers_zeros and found is not None:
            return ZEROS
        return self.had_before.get(sector, found)

    def flush(self) -> None:
        if self.flush_fails:
            raise FlushFailed
        if self.proof is FlushProof.ASSUMED:  # nothing was sent
            self.io()
            return
        super().flush()

    # ---- what happens to it

    def somebody_writes(self, sectors: Iterable[int], *, is_counted: bool, is_held: bool = False) -> None:
        """Somebody else, in this host or in another."""
        for sector in sectors:
            part = slice(sector * SECTOR, (sector + 1) * SECTOR)
            self.cache[part] = self.medium[part] = b"customer" * (SECTOR // 8)
            self.had_before.pop(sector, None)  # to answer with our own pattern is a lie that no reading could find
            if is_held:
                self.unlooked.append((sector, self.history[sector]))
            self.history[sector] = []
            self.unread.add(sector)
            self.counted_sectors += is_counted
        self.was_changed = True

    def leave_sight(self, *, was_looked_at: bool) -> None:
        """Of a sight that was cut off nobody reads the counters. What somebody wrote in it, past our claim, and what a later
        pass wrote over, is not known to have been there: the station does not promise to find that.
        """
        if not was_looked_at:
            for sector, before in reversed(self.unlooked):
                self.history[sector] = before + self.history[sector]
        self.unlooked.clear()


class FlushFailed(Exception):
    """The drive could not empty its cache."""


class Work(SimulatedTransfer):
    """One pass over a held drive, by a process that goes on while nobody looks."""

    def __init__(self, held: "Held", order: Order, tuning: Tuning, rate_limit: int) -> None:
        super().__init__(held.disk, order, tuning)
        self.order = order
        self.rate_limit = rate_limit
        self.looked_at = held.world.now
        """When its job was last there for it."""
        self.is_finished = False
        self._held = held
        self._disk = held.disk
        self._no_progress_seconds = tuning.no_progress_seconds
        self._depth = tuning.queue_depth
        self._since_checkpoint = 0
        self._moved_at = held.world.now
        self.advanced_at = held.world.now
        """When it last wrote or read something, or was last seen to have a reason not to."""
        self._chance = held.world.chance
        self._rests = False
        self._in_flight = 0

    @property
    def hung_seconds(self) -> float:
        """How long its oldest I/O has been out."""
        is_stuck = self._disk.hangs and not self._held.plugging.is_out
        return self._held.world.now - self._moved_at if is_stuck else 0.0

    @property
    def has_ended(self) -> bool:
        # Another process: between two looks at its counters it goes on.
        if self._end is None and self._chance.random() < 0.1:
            self._go_on()
        return self._end is not None

    @property
    def is_over(self) -> bool:
        """As `has_ended`, for who only looks on."""
        return self._end is not None

    @property
    def may_stand_still(self) -> bool:
        """Whether it waits for its own drive, for the end of a pause, or for a checkpoint of its own to be on record."""
        return self._disk.hangs or self._is_paused or self._checkpoints > self._acknowledged + 1

    def resume(self) -> None:
        self.note_standstill()
        super().resume()

    def acknowledge(self, checkpoints: int) -> None:
        self.note_standstill()
        super().acknowledge(checkpoints)

    def note_standstill(self) -> None:
        """Whoever may stand still is not asked why it did not go on until now."""
        if self.may_stand_still:
            self.advanced_at = self._held.world.now

    def snapshot(self) -> Snapshot:
        return replace(super().snapshot(), is_paused=self._rests, oldest_io_seconds=self.hung_seconds)

    async def changed(self, timeout_seconds: float) -> None:
        self.looked_at = self._held.world.now
        if self._end is not None:
            return
        await asyncio.sleep(min(timeout_seconds, STEP_SECONDS))
        self.looked_at = now = self._held.world.now
        if self.hung_seconds > self._no_progress_seconds:
            self.kill(EndReason.NO_PROGRESS)
        while self._end is None and self._moved_at + STEP_SECONDS * 0.8 <= now:
            if not self._go_on():
                break

    def kill(self, reason: EndReason) -> None:
        if self._end is None:
            self._end = reason
            self.leave_in_flight()

    def leave_in_flight(self) -> None:
        """The process dies: what is in flight comes back when it comes back, and is on nobody's record."""
        if self._order.operation is not Operation.WRITE or self._held.plugging.is_out:
            return
        steps = [step for _, step in zip(range(self._depth), self._steps, strict=False)]
        self._in_flight = len(steps)
        self._sent += self._in_flight * SECTOR
        self._held.plugging.leave(self._held, [(sector, self._bytes(sector)) for sector, _ in steps], self._name)

    def run_ahead(self, steps: int) -> None:
        """As far as it may come while nobody looks."""
        for _ in range(steps):
            if self._end is not None or self._disk.hangs or not self._go_on():
                return

    def set_rate_limit(self, bytes_per_second: int) -> None:
        self.rate_limit = bytes_per_second

    @property
    def _name(self) -> bytes:
        assert self._order.pattern is not None
        return name_of(self._order.pattern)

    def _go_on(self) -> bool:
        """One step, if it may make one."""
        if self._held.plugging.is_out:
            self._end = EndReason.GONE
            return True
        if self._disk.hangs:
            return False
        self._moved_at = self._held.world.now
        try:
            return self._step()
        except DriveError:
            self._end = EndReason.GONE
        except FlushFailed:
            self._end = EndReason.FLUSH_FAILED
        return True

    def _step(self) -> bool:
        if self._is_cancelled:
            self._checkpoint()
            self._end = EndReason.CANCELLED
            return True
        if self._is_paused:
            if not self._rests:
                self._checkpoint()
            self._rests = True
            return False
        self._rests = False
        if self._checkpoints > self._acknowledged + 1:
            return False
        self.advanced_at = self._held.world.now
        for _ in range(self._chance.randint(1, 3)):
            step = next(self._steps, None)
            if step is None:
                self._checkpoint()
                self._hash()
                self._end = EndReason.COMPLETED
                return True
            self._sector(*step)
            self._since_checkpoint += 1
            if self._since_checkpoint >= self._per_checkpoint:
                self._checkpoint()
        return True

    def _checkpoint(self) -> None:
        self._since_checkpoint = 0
        super()._checkpoint()

    def _write(self, sector: int, data: bytes) -> bool:
        return self._disk.write_pattern(sector, data, self._name)

    async def finish(self) -> tuple[TransferReport, bool]:
        self.is_finished = True
        if not self._held.plugging.is_free_of(self._held):
            await asyncio.sleep(EXIT_GRACE_SECONDS)
        report, _ = await super().finish()
        return report, self._held.plugging.is_free_of(self._held)

    def close(self) -> None:
        self.kill(EndReason.CANCELLED)
        self.is_finished = True
        super().close()
