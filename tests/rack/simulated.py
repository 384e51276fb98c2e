"""A drive in memory behind the protocol of `eraser/drives/erasable.py`: with a volatile cache, faults, and outsiders.

Its transfers move on by one checkpoint at each look, and as far ahead of what is on record as real ones may.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from eraser.domain.drive import Drive, Geometry
from eraser.domain.evidence import Access, BadExtent, EndReason, Extent, FlushProof, Operation, TransferReport
from eraser.domain.json_form import Nanoseconds
from eraser.domain.pattern import AesCtrStream, Constant, Pattern
from eraser.drives.claim import Activity
from eraser.engine import _native
from eraser.engine.transfer import Order, Snapshot
from eraser.engine.tuning import Tuning
from eraser.errors import DriveError
from tests.domain.builders import a_drive

SECTOR = 512
UNIT = 512
"""Of the kernel's counters."""


def pattern_bytes(pattern: Pattern, offset: int, length: int) -> bytes:
    out = bytearray(length)
    match pattern:
        case Constant(data):
            _native.constant(data, offset, out)
        case AesCtrStream(seed):
            _native.aes_256_ctr(seed, offset, out)
    return bytes(out)


@dataclass
class SimulatedDrive:
    """`cache` is what it answers, `medium` what a power cut leaves. `trace` names all that is done to it, in order."""

    sectors: int = 64
    proof: FlushProof = FlushProof.KERNEL_SENT
    trace: list[str] = field(default_factory=list)
    bad: set[int] = field(default_factory=set)
    """Sectors that can be neither written nor read."""
    forgetful: set[int] = field(default_factory=set)
    """Sectors that take every write and keep none."""
    is_gone: bool = False
    gone_after_ios: int = -1
    ios: int = 0
    counted_sectors: int = 0
    counted_flushes: int = 0
    boot_id: str = "boot"
    others: tuple[str, ...] = ()
    """Who else uses it."""

    def __post_init__(self) -> None:
        self.cache = bytearray(b"customer" * (self.sectors * SECTOR // 8))
        self.medium = bytearray(self.cache)

    @property
    def drive(self) -> Drive:
        size = self.sectors * SECTOR
        return a_drive(geometry=Geometry(size, SECTOR, SECTOR, size), write_cache="write back")

    async def transfer(self, order: Order, tuning: Tuning, rate_limit: int) -> "SimulatedTransfer":
        return SimulatedTransfer(self, order, tuning)

    def activity(self) -> Activity:
        if self.is_gone:
            raise DriveError("the kernel has it no more", subject="simulated")
        return Activity(self.counted_sectors, 0, self.counted_flushes)

    def other_users(self) -> tuple[str, ...]:
        return self.others

    def close(self) -> None:
        self.trace.append("closed")

    # ---- what transfers do

    def io(self) -> None:
        self.ios += 1
        if self.is_gone or self.ios == self.gone_after_ios:
            self.is_gone = True
            raise DriveError("gone", subject="simulated")

    def write(self, sector: int, data: bytes) -> bool:
        self.io()
        self.counted_sectors += SECTOR // UNIT
        if sector in self.bad:
            return False
        if sector not in self.forgetful:
            self.cache[sector * SECTOR : sector * SECTOR + len(data)] = data
        return True

    def read(self, sector: int) -> bytes | None:
        self.io()
        return None if sector in self.bad else bytes(self.cache[sector * SECTOR : (sector + 1) * SECTOR])

    def flush(self) -> None:
        self.io()
        self.counted_flushes += 1
        self.medium[:] = self.cache
        self.trace.append("flush")

    # ---- what happens to it

    def cut_power(self, seed: int) -> None:
        """Of what was not flushed each sector is kept or not, as the seed says."""
        chance = random.Random(seed)
        for start in range(0, len(self.cache), SECTOR):
            part = slice(start, start + SECTOR)
            if chance.random() < 0.5:
                self.medium[part] = self.cache[part]
        self.cache[:] = self.medium

    def plug_in(self) -> None:
        """The kernel counts anew."""
        self.is_gone = False
        self.gone_after_ios = -1
        self.counted_sectors = self.counted_flushes = 0

    def outsider_writes(self, sector: int) -> None:
        """Somebody else, through the kernel: it counts."""
        self.write(sector, b"outsider" * (SECTOR // 8))


class SimulatedTransfer:
    """One pass. Implements what `JobRun` uses of `eraser.engine.transfer.Transfer`."""

    def __init__(self, drive: SimulatedDrive, order: Order, tuning: Tuning) -> None:
        self._drive = drive
        self._order = order
        self._steps = self._all_steps()
        self._per_checkpoint = tuning.checkpoint_bytes // SECTOR
        self._end: EndReason | None = None
        self._is_cancelled = self._is_paused = False
        self._position = self._start = order.start_position_bytes
        self._checkpoint_position = self._start
        self._checkpoints = self._acknowledged = self._flushes = self._mismatched = self._sent = self._failed = 0
        self._bad: list[BadExtent] = []
        self._leaves: list[bytes] = []
        self._closed = False
        drive.trace.append(f"{order.operation.value} began")

    def _all_steps(self) -> Iterator[tuple[int, int]]:
        sectors = [
            sector
            for extent in self._order.ranges
            for sector in range(extent.offset_bytes // SECTOR, extent.end_bytes // SECTOR)
        ]
        if self._order.reverse:
            sectors.reverse()
        done = self._order.start_position_bytes // SECTOR
        return iter([(sector, (index + 1) * SECTOR) for index, sector in enumerate(sectors)][done:])

    # ---- what it is asked

    def snapshot(self) -> Snapshot:
        return Snapshot(
            is_paused=self._is_paused,
            position_bytes=self._position,
            bytes_done=self._position - self._start,
            retries=0,
            bad_bytes=len(self._bad) * SECTOR,
            mismatched_sectors=self._mismatched,
            checkpoint_position_bytes=self._checkpoint_position,
            checkpoints=self._checkpoints,
            in_flight=0,
            oldest_io_seconds=0.0,
            first_byte=Nanoseconds(1),
        )

    @property
    def flush_proof(self) -> FlushProof:
        return self._drive.proof if self._flushes else FlushProof.NOT_FLUSHED

    @property
    def has_ended(self) -> bool:
        return self._end is not None

    def bad_extents(self, first: int = 0) -> tuple[BadExtent, ...]:
        return tuple(self._bad[first:])

    def leaves(self) -> tuple[bytes, ...]:
        return tuple(self._leaves)

    def latency_us_buckets(self) -> tuple[int, ...]:
        return ()

    # ---- what it is told

    def pause(self) -> None:
        self._is_paused = True

    def resume(self) -> None:
        self._is_paused = False

    def cancel(self) -> None:
        self._is_cancelled = True

    def kill(self, reason: EndReason) -> None:
        self._end = self._end or reason

    def acknowledge(self, checkpoints: int) -> None:
        self._acknowledged = checkpoints

    def set_rate_limit(self, bytes_per_second: int) -> None:
        pass

    async def changed(self, timeout_seconds: float) -> None:
        """Goes on to the next checkpoint: it is always ahead by as much as it may be."""
        if self._end is not None or self._checkpoints > self._acknowledged + 1:
            return
        try:
            self._go_on()
        except DriveError:
            self._end = EndReason.GONE

    def _go_on(self) -> None:
        if self._is_cancelled:
            self._checkpoint()
            self._end = EndReason.CANCELLED
            return
        for _ in range(self._per_checkpoint):
            step = next(self._steps, None)
            if step is None:
                self._checkpoint()
                self._hash()
                self._end = EndReason.COMPLETED
                return
            self._sector(*step)
        self._checkpoint()

    def _sector(self, sector: int, position: int) -> None:
        expected = self._bytes(sector)
        if self._order.operation is Operation.WRITE:
            self._sent += SECTOR
            is_good = self._write(sector, expected)
            self._failed += 0 if is_good else SECTOR
        else:
            found = self._drive.read(sector)
            is_good = found is not None
            self._mismatched += is_good and found != expected
        if not is_good:
            self._bad.append(BadExtent(Extent(sector * SECTOR, SECTOR), self._order.operation, 5))
        self._position = position

    def _bytes(self, sector: int) -> bytes:
        assert self._order.pattern is not None
        return pattern_bytes(self._order.pattern, sector * SECTOR, SECTOR)

    def _write(self, sector: int, data: bytes) -> bool:
        return self._drive.write(sector, data)

    def _checkpoint(self) -> None:
        if self._order.operation is Operation.WRITE:
            self._drive.flush()
            self._flushes += 1
            self._checkpoint_position = self._position
            self._checkpoints += 1

    def _hash(self) -> None:
        if self._order.hash_extent_bytes:
            data = bytes(self._drive.cache)
            extent = self._order.hash_extent_bytes
            self._leaves = [_native.blake3(data[start : start + extent]) for start in range(0, len(data), extent)]

    async def finish(self) -> tuple[TransferReport, bool]:
        assert self._end is not None
        self._drive.trace.append(f"{self._order.operation.value} ended")
        report = TransferReport(
            end=self._end,
            errno=0,
            start_position_bytes=self._start,
            end_position_bytes=self._position,
            bytes_done=self._position - self._start,
            bytes_sent=self._sent,
            failed_bytes_sent=self._failed,
            bad_extents=tuple(self._bad),
            bad_bytes=len(self._bad) * SECTOR,
            retries=0,
            flushes=self._flushes,
            flush_proof=self.flush_proof,
            mismatched_sectors=self._mismatched,
            first_mismatches=(),
            access=Access.NONE,
            block_bytes=SECTOR,
            queue_depth=1,
            started_at="2026-11-24T06:00:00Z",
            first_byte=Nanoseconds(1),
            last_byte=Nanoseconds(2),
        )
        return report, True

    def close(self) -> None:
        self._closed = True
