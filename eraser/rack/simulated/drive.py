"""A held image that behaves like a drive: as fast as its kind, gone when it is pulled, and faulty if that is its nature.

Transfers are the real ones. What a faulty drive does wrong is done to its content, or said of it as a drive would say it;
nothing here can make a drive pass.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from eraser.domain.drive import Drive
from eraser.domain.evidence import BadExtent, EndReason, Extent, FlushProof, Operation, TransferReport
from eraser.drives.claim import Activity
from eraser.drives.erasable import ClaimedDrive, RunningTransfer
from eraser.engine.transfer import Order, Snapshot
from eraser.engine.tuning import Tuning
from eraser.errors import DriveError
from eraser.rack.blocking import in_own_thread
from eraser.rack.simulated.images import Nature, Note, Stock

EIO = 5
SECTOR_BYTES = 512
"""Of the kernel's counters, whatever the drive's own."""
HANG_AFTER_SHARE = 0.4
_LOST_BYTES = 64 << 10
_BAD_SECTOR_BYTES = 4096


Forget = Callable[[int, int], None]
"""Puts back what so many bytes from an offset on held before anything was written. Blocks."""


class SimulatedTransfer:
    """A real transfer, held back to the drive's speed."""

    def __init__(self, inner: RunningTransfer, bytes_per_second: int) -> None:
        self._inner = inner
        self._bytes_per_second = bytes_per_second
        self.is_closed = False

    @property
    def flush_proof(self) -> FlushProof:
        return self._inner.flush_proof

    @property
    def has_ended(self) -> bool:
        return self._inner.has_ended

    def snapshot(self) -> Snapshot:
        return self._inner.snapshot()

    def latency_us_buckets(self) -> tuple[int, ...]:
        return self._inner.latency_us_buckets()

    def bad_extents(self, first: int = 0) -> tuple[BadExtent, ...]:
        return self._inner.bad_extents(first)

    def leaves(self) -> tuple[bytes, ...]:
        return self._inner.leaves()

    def pause(self) -> None:
        self._inner.pause()

    def resume(self) -> None:
        self._inner.resume()

    def cancel(self) -> None:
        self._inner.cancel()

    def acknowledge(self, checkpoints: int) -> None:
        self._inner.acknowledge(checkpoints)

    def set_rate_limit(self, bytes_per_second: int) -> None:
        self._inner.set_rate_limit(paced(bytes_per_second, self._bytes_per_second))

    def kill(self, reason: EndReason) -> None:
        self._inner.kill(reason)

    async def changed(self, timeout_seconds: float) -> None:
        await self._inner.changed(timeout_seconds)

    async def finish(self) -> tuple[TransferReport, bool]:
        return await self._inner.finish()

    def close(self) -> None:
        self.is_closed = True
        self._inner.close()


class ForgetfulTransfer(SimulatedTransfer):
    """Of a drive that keeps not all that is written: after the last write some places hold what they held before."""

    def __init__(self, inner: RunningTransfer, note: Note, forget: Forget) -> None:
        super().__init__(inner, note.bytes_per_second)
        self._note = note
        self._forget = forget

    async def finish(self) -> tuple[TransferReport, bool]:
        report, is_free = await super().finish()
        for tenth in (2, 5, 9):
            offset = self._note.size_bytes // 10 * tenth // _LOST_BYTES * _LOST_BYTES
            await in_own_thread(self._forget, offset, _LOST_BYTES)
        return report, is_free


class FailingTransfer(SimulatedTransfer):
    """Of a drive with sectors that take no write and give no read; they hold what they held before."""

    def __init__(self, inner: RunningTransfer, note: Note, forget: Forget, operation: Operation) -> None:
        super().__init__(inner, note.bytes_per_second)
        self._forget = forget
        self._operation = operation
        places = [note.size_bytes // 8 * eighth // _BAD_SECTOR_BYTES * _BAD_SECTOR_BYTES for eighth in (1, 3, 6)]
        self._bad = tuple(BadExtent(Extent(place, _BAD_SECTOR_BYTES), operation, EIO) for place in places)

    def snapshot(self) -> Snapshot:
        snapshot = super().snapshot()
        bad = self._bad_up_to(snapshot.position_bytes)
        return replace(snapshot, retries=2 * len(bad), bad_bytes=len(bad) * _BAD_SECTOR_BYTES)

    def bad_extents(self, first: int = 0) -> tuple[BadExtent, ...]:
        return self._bad_up_to(super().snapshot().position_bytes)[first:]

    async def finish(self) -> tuple[TransferReport, bool]:
        report, is_free = await super().finish()
        bad = self._bad_up_to(report.end_position_bytes)
        if self._operation is Operation.WRITE:
            for item in bad:
                extent = item.extent
                await in_own_thread(self._forget, extent.offset_bytes, extent.length_bytes)
        report = replace(
            report, bad_extents=bad, bad_bytes=len(bad) * _BAD_SECTOR_BYTES, retries=report.retries + 2 * len(bad)
        )
        return report, is_free

    def _bad_up_to(self, position: int) -> tuple[BadExtent, ...]:
        return tuple(item for item in self._bad if item.extent.end_bytes <= position)


class HangingTransfer(SimulatedTransfer):
    """Of a drive that takes no more I/O in the middle of a write, whatever it is told, and never gives back the last one."""

    def __init__(self, inner: RunningTransfer, note: Note, no_progress_seconds: float) -> None:
        super().__init__(inner, note.bytes_per_second)
        self._hang_at_bytes = int(note.size_bytes * HANG_AFTER_SHARE)
        self._no_progress_seconds = no_progress_seconds
        self._hangs_since: float | None = None

    def snapshot(self) -> Snapshot:
        snapshot = super().snapshot()
        if self._hangs_since is None:
            return snapshot
        age = asyncio.get_running_loop().time() - self._hangs_since
        return replace(snapshot, is_paused=False, in_flight=1, oldest_io_seconds=age)

    def resume(self) -> None:
        if self._hangs_since is None:
            super().resume()

    def cancel(self) -> None:
        if self._hangs_since is None:
            super().cancel()

    async def changed(self, timeout_seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        if self._hangs_since is None and super().snapshot().position_bytes >= self._hang_at_bytes:
            self._hangs_since = now
            super().pause()
        if self._hangs_since is not None and now - self._hangs_since > self._no_progress_seconds:
            self.kill(EndReason.NO_PROGRESS)
        await super().changed(timeout_seconds)

    async def finish(self) -> tuple[TransferReport, bool]:
        report, is_free = await super().finish()
        return report, is_free and self._hangs_since is None


class SimulatedDrive:
    """A held image behind `ErasableDrive`, under the name of the drive that it stands for."""

    def __init__(
        self, held: ClaimedDrive, drive: Drive, note: Note, stock: Stock, is_plugged: Callable[[], bool]
    ) -> None:
        self._held = held
        self._drive = drive
        self._note = note
        self._stock = stock
        self._is_plugged = is_plugged
        self._forgotten_bytes = 0
        self._transfer: SimulatedTransfer | None = None

    @property
    def drive(self) -> Drive:
        return self._drive

    @property
    def boot_id(self) -> str:
        return self._held.boot_id

    async def transfer(self, order: Order, tuning: Tuning, rate_limit: int) -> RunningTransfer:
        inner = await self._held.transfer(order, tuning, paced(rate_limit, self._note.bytes_per_second))
        self._transfer = self._natural(inner, order.operation, tuning)
        if not self._is_plugged():
            self._transfer.kill(EndReason.GONE)
        return self._transfer

    def _natural(self, inner: RunningTransfer, operation: Operation, tuning: Tuning) -> SimulatedTransfer:
        is_write = operation is Operation.WRITE
        match self._note.nature:
            case Nature.DROPS_WRITES if is_write:
                return ForgetfulTransfer(inner, self._note, self._forget)
            case Nature.BAD_SECTORS:
                return FailingTransfer(inner, self._note, self._forget, operation)
            case Nature.HANGS if is_write:
                return HangingTransfer(inner, self._note, tuning.no_progress_seconds)
        return SimulatedTransfer(inner, self._note.bytes_per_second)

    def pull(self) -> None:
        """Takes it out in the middle of whatever it does."""
        if self._transfer is not None and not self._transfer.is_closed:
            self._transfer.kill(EndReason.GONE)

    def _forget(self, offset: int, length: int) -> None:
        self._stock.remember_markers(self._note, offset, length)
        self._forgotten_bytes += length

    def activity(self) -> Activity | None:
        """The kernel's counters, without what was written to play the drive's fault: a real one would not have told."""
        seen = self._held.activity()
        if seen is None:
            return None
        return replace(seen, sectors_written=seen.sectors_written - self._forgotten_bytes // SECTOR_BYTES)

    def other_users(self) -> tuple[str, ...]:
        if not self._is_plugged():
            raise DriveError("the kernel has it no more", subject=self._held.drive.path)
        return self._held.other_users()

    def close(self) -> None:
        self._held.close()


def paced(rate_limit: int, bytes_per_second: int) -> int:
    """The lower of a limit (0 for none) and what the drive can do."""
    return min(rate_limit, bytes_per_second) if rate_limit else bytes_per_second
