"""A drive that a job may work on: claimed, and behind a protocol that real drives and simulated ones implement alike."""

import os
from collections.abc import Callable
from typing import Protocol

from eraser.domain.drive import Drive, Transport
from eraser.domain.evidence import BadExtent, EndReason, FlushProof, TransferReport
from eraser.drives.claim import Activity, Claim
from eraser.engine.transfer import Order, Snapshot, Target, Transfer
from eraser.engine.tuning import Tuning


class RunningTransfer(Protocol):
    """One pass that runs: what `eraser.engine.transfer.Transfer` promises, for whoever stands in for it."""

    @property
    def flush_proof(self) -> FlushProof: ...

    @property
    def has_ended(self) -> bool: ...

    def snapshot(self) -> Snapshot: ...

    def latency_us_buckets(self) -> tuple[int, ...]: ...

    def bad_extents(self, first: int = 0) -> tuple[BadExtent, ...]: ...

    def leaves(self) -> tuple[bytes, ...]: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def cancel(self) -> None: ...

    def acknowledge(self, checkpoints: int) -> None: ...

    def set_rate_limit(self, bytes_per_second: int) -> None: ...

    def kill(self, reason: EndReason) -> None: ...

    async def changed(self, timeout_seconds: float) -> None: ...

    async def finish(self) -> tuple[TransferReport, bool]: ...

    def close(self) -> None: ...


class ErasableDrive(Protocol):
    """A drive whose claim we hold: nobody else can take it until `close`, nor after our death while an I/O of it is out.

    `transfer` starts a pass and must be called on the thread of the event loop; one may run at a time. `activity` gives
    counters that only grow while the drive is held, or None for what the kernel does not count (images); `other_users` says
    who else uses the drive now and makes what they wrote go out to it, where it is counted. Both may block.
    """

    @property
    def drive(self) -> Drive: ...

    @property
    def boot_id(self) -> str: ...

    async def transfer(self, order: Order, tuning: Tuning, rate_limit: int) -> RunningTransfer: ...

    def activity(self) -> Activity | None: ...

    def other_users(self) -> tuple[str, ...]: ...

    def close(self) -> None: ...


class ClaimedDrive:
    """A real drive, or an image, behind the protocol."""

    def __init__(self, claim: Claim, *, now_utc: Callable[[], str]) -> None:
        self._claim = claim
        self._now_utc = now_utc

    @property
    def drive(self) -> Drive:
        """As identified while held."""
        return self._claim.drive

    @property
    def boot_id(self) -> str:
        """The kernel's name for this boot."""
        return self._claim.boot_id

    async def transfer(self, order: Order, tuning: Tuning, rate_limit: int) -> Transfer:
        """Starts a pass in its own process, which shares the claim."""
        drive = self.drive
        target = Target(
            fd=self._claim.fd,
            drive_bytes=drive.geometry.capacity_bytes,
            logical_sector_bytes=drive.geometry.logical_sector_bytes,
            physical_sector_bytes=drive.geometry.physical_sector_bytes,
            is_block_device=drive.transport is not Transport.IMAGE,
            flush_trust=flush_trust(drive),
        )
        return await Transfer.start(target, order, tuning, now_utc=self._now_utc, rate_limit=rate_limit)

    def activity(self) -> Activity | None:
        """The kernel's counters; None for an image."""
        return self._claim.activity()

    def other_users(self) -> tuple[str, ...]:
        """Who else uses the drive now, in words. Raises DriveError when it is gone or does not take the flush."""
        uses = self._claim.uses()
        self._claim.flush()  # what those left who are gone again
        return tuple(use.what for use in uses)

    def reopen(self, flags: int) -> int:
        """Another descriptor of the very drive that is held, whatever its path means by now. Raises OSError."""
        return os.open(f"/proc/self/fd/{self._claim.fd}", flags | os.O_CLOEXEC)

    def close(self) -> None:
        """Gives the claim back, as far as no transfer process still shares it."""
        self._claim.close()


def flush_trust(drive: Drive) -> FlushProof:
    """What a flush that returns success is worth on this drive.

    A cache that the kernel calls *write back* gets a flush command. *Write through* is the drive's own word on NVMe (VWC),
    virtio and MMC; for SCSI disks it may be no more than an assumption where the caching mode page could not be read, as
    behind most USB bridges (`sd`: "Assuming drive cache: write through"): there we send the command ourselves.
    """
    if drive.transport is Transport.IMAGE:
        return FlushProof.FILE_SYSTEM
    if drive.write_cache == "write back":
        return FlushProof.KERNEL_SENT
    if drive.transport in (Transport.SATA, Transport.SAS, Transport.USB, Transport.UNKNOWN):
        return FlushProof.COMMAND_SENT
    return FlushProof.NO_VOLATILE_CACHE
