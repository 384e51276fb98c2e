"""Holding a drive: nobody else can mount or exclusively open it, and it is still the one that was planned.

The kernel keeps a device's claim until the last I/O of a dead process has returned. That is our fence against late
writes; a claim that is refused is never worked around.
"""

import contextlib
import errno
import fcntl
import os
import stat
import struct
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from eraser.domain.conditions import refuse_unfit
from eraser.domain.drive import Drive, Transport, same_drive
from eraser.drives import guard
from eraser.drives.commands import KernelCourier
from eraser.drives.discovery import LIVE, OpenCourier, identify
from eraser.drives.numbers import BlockNumber
from eraser.drives.sysfs import BlockDevice, Host
from eraser.errors import DriveError, EraserError, Refused

BLKGETDISKSEQ = 0x80081280

# Documentation/block/stat.rst: the places of these counters in `stat`.
_SECTORS_WRITTEN = 6
_SECTORS_DISCARDED = 13
_FLUSHES = 15


@dataclass(frozen=True, slots=True)
class Activity:
    """What reached the drive since it appeared, by whomever, over all its paths, in sectors of 512 bytes.

    `flushes` is None where the kernel does not count them: before 5.5, and for devices without a request queue (zram,
    pmem, the common device of an NVMe drive's paths). Source: `blk_account_io_flush` of the kernel's blk-flush.c.
    """

    sectors_written: int
    sectors_discarded: int
    flushes: int | None


class Claim:
    """One drive, held. Made by `claim`; a context manager. `fd` is open for reading and writing.

    A process that inherits it shares the claim, which lasts until all of them are closed and the last I/O has returned.
    """

    def __init__(self, drive: Drive, fds: tuple[int, ...], boot_id: str, host: Host) -> None:
        self.drive = drive
        self.boot_id = boot_id
        """The kernel's name for this boot: over another one, nobody knows who wrote to the drive meanwhile."""
        self._fds = fds
        self._host = host

    @property
    def fd(self) -> int:
        """The drive's descriptor. Raises DriveError when the claim was closed."""
        if not self._fds:
            raise DriveError("the claim on it was given up", subject=self.drive.path)
        return self._fds[0]

    def uses(self, *, ignoring: Collection[int] = ()) -> tuple[guard.Use, ...]:
        """Who else uses the drive now; `ignoring` are processes that we gave the descriptor to.

        Who only looks into it for a moment (a health monitor, another of our commands) is waited for, and then is nobody.
        """
        return guard.settled(
            lambda: guard.uses(self.drive, self._host, ignoring=ignoring, held_fd=self.fd), guard.SETTLE_SECONDS
        )

    def activity(self) -> Activity | None:
        """The kernel's counters for the drive; None for images, which have none. Raises DriveError when it is gone."""
        return activity_of(self.drive, self._fds, self._host)

    def flush(self) -> None:
        """Makes what anybody wrote through any of its paths go out to the drive. Blocks. Raises DriveError."""
        for fd in self._fds:
            try:
                os.fsync(fd)
            except OSError as error:
                raise DriveError(f"it can't be flushed ({error.strerror})", subject=self.drive.path) from error

    def close(self) -> None:
        """Gives the drive back. May be called again."""
        fds, self._fds = self._fds, ()
        for fd in fds:
            # An error that a late write left behind was or will be reported to whoever flushed.
            with contextlib.suppress(OSError):
                os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def activity_of(drive: Drive, fds: Iterable[int], host: Host = LIVE) -> Activity | None:
    """The kernel's counters for a drive that is open by these descriptors, one for each of its paths; None for images,
    which have none. Raises DriveError when it is gone, or nobody counts.
    """
    if drive.transport is Transport.IMAGE:
        return None
    devices = [_device_of(fd, host, drive.path) for fd in fds]
    counts = [_counters(device, drive.path) for device in devices]
    counts_flushes = all(
        len(count) > _FLUSHES and _has_request_queue(device) for device, count in zip(devices, counts, strict=True)
    )
    return Activity(
        sectors_written=sum(count[_SECTORS_WRITTEN] for count in counts),
        sectors_discarded=sum(count[_SECTORS_DISCARDED] for count in counts),
        flushes=sum(count[_FLUSHES] for count in counts) if counts_flushes else None,
    )


def claim(
    planned: Drive,
    host: Host = LIVE,
    courier: OpenCourier | None = KernelCourier,
    *,
    settle_seconds: float = guard.SETTLE_SECONDS,
) -> Claim:
    """Holds the drive through all its paths, or through none.

    Then, while it is held: is it the planned one, can it be written, and does nobody else use it? Raises Refused with
    the reason when any answer is no, DriveError when the drive is gone. Openers that go away within `settle_seconds`
    are waited for, as after plugging in.
    """
    refuse_unfit(planned)
    fds: list[int] = []
    try:
        for path in (planned.path, *planned.other_paths):
            fds.append(_open(path, planned, host, settle_seconds))
        drive = _same_through(fds, planned, host, courier)
        _refuse_uncounted(drive, fds, host)
        guard.refuse(drive, guard.settled(lambda: guard.uses(drive, host, held_fd=fds[0]), settle_seconds))
        boot_id = (host.proc / "sys/kernel/random/boot_id").read_text().strip()
        return Claim(drive, tuple(fds), boot_id, host)
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise


def _open(path: str, drive: Drive, host: Host, settle_seconds: float) -> int:
    is_image = drive.transport is Transport.IMAGE
    fd = _open_settled(path, os.O_RDWR | (0 if is_image else os.O_EXCL), drive, host, settle_seconds)
    try:
        # O_NONBLOCK was for the opening alone: io_uring would answer EAGAIN instead of waiting.
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_NONBLOCK)
        _expect_kind(fd, path, is_image)
        _lock(fd, path, settle_seconds)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _lock(fd: int, path: str, settle_seconds: float) -> None:
    """On devices: udev looks into no device that is locked (systemd's block device locking convention), and holds a lock of
    its own while it looks into one that was plugged in or written to a moment ago. Raises Refused when somebody keeps one.
    """
    deadline = time.monotonic() + settle_seconds
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise Refused(
                    guard.UseReason.OPEN.value,
                    "another process has locked it",
                    subject=path,
                    remedy="Wait for that process, or end it: lslocks shows it.",
                ) from error
        time.sleep(guard.SETTLE_STEP_SECONDS)


def _open_settled(path: str, flags: int, drive: Drive, host: Host, settle_seconds: float) -> int:
    """Opens it, giving those who only look (another guard asking the kernel, as ours does) time to be done."""
    deadline = time.monotonic() + settle_seconds
    while True:
        try:
            return os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        except OSError as error:
            refusal = _open_error(error, path, drive, host)
            passing = isinstance(refusal, Refused) and refusal.reason in guard.PASSING
            if not passing or time.monotonic() >= deadline:
                raise refusal from error
        time.sleep(guard.SETTLE_STEP_SECONDS)


def _expect_kind(fd: int, path: str, is_image: bool) -> None:
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISREG(mode) if is_image else stat.S_ISBLK(mode)):
        raise DriveError("it is not what it was when it was planned", subject=path, remedy="Plan again.")


def _open_error(error: OSError, path: str, drive: Drive, host: Host) -> EraserError:
    match error.errno:
        case errno.EBUSY:
            found = guard.uses(drive, host) or (guard.unseen_holder(host),)
            return Refused(found[0].reason.value, found[0].what, subject=path, remedy=found[0].remedy)
        case errno.EAGAIN:
            return Refused(
                guard.UseReason.OPEN.value,
                "another process has a lease on it",
                subject=path,
                remedy="End that process.",
            )
        case errno.EROFS | errno.ETXTBSY:
            return Refused("read-only", "it is read-only", subject=path, remedy="Make it writable.")
        case errno.EACCES | errno.EPERM:
            return Refused("no-permission", "you may not write to it", subject=path, remedy="Run it as root.")
        case errno.ENOMEDIUM:
            return Refused("no-medium", "there is no medium in it", subject=path, remedy="Insert one.")
    return DriveError(f"it cannot be opened ({error.strerror})", subject=path, remedy="Plug it in again.")


def _same_through(fds: list[int], planned: Drive, host: Host, courier: OpenCourier | None) -> Drive:
    """The drive behind the held descriptors, identified anew. Raises Refused when it is not the planned one."""
    found = identify(planned.path, host, courier)
    for fd, path in zip(fds, (planned.path, *planned.other_paths), strict=True):
        _expect_still(fd, path, host)
    difference = same_drive(planned, found)
    if not difference and set(found.other_paths) != set(planned.other_paths):
        difference = f"its further paths are {', '.join(found.other_paths) or 'none'} now"
    if not difference and planned.disk_sequence and planned.disk_sequence != found.disk_sequence:
        # Two drives without serial numbers say the same of themselves.
        difference = "it was taken out meanwhile, or its medium was, and it or another put in"
    if difference:
        raise Refused(
            "another-drive",
            f"it is not the drive that was planned: {difference}",
            subject=planned.path,
            remedy="Plan again.",
        )
    refuse_unfit(found)
    return found


def _expect_still(fd: int, path: str, host: Host) -> None:
    """Raises DriveError unless what was identified by path is what we hold: a number may have gone to another drive."""
    held, there = os.fstat(fd), Path(path).stat()
    same = (held.st_dev, held.st_ino, held.st_rdev) == (there.st_dev, there.st_ino, there.st_rdev)
    if same and stat.S_ISBLK(held.st_mode):
        sequence = _device_of(fd, host, path).integer("diskseq", -1)
        same = sequence == -1 or sequence == _disk_sequence(fd, sequence)
    if not same:
        raise DriveError("another drive took its place meanwhile", subject=path, remedy="Plan again.")


def _refuse_uncounted(drive: Drive, fds: list[int], host: Host) -> None:
    """Raises Refused when the kernel does not count what is written: the job's whole evidence would be for nothing."""
    if drive.transport is Transport.IMAGE:
        return
    for fd in fds:
        device = _device_of(fd, host, drive.path)
        # Without a request queue the driver counts by itself, and this switch is off without effect.
        if _has_request_queue(device) and device.text("queue/iostats") == "0":
            raise Refused(
                "no-counters",
                "the kernel is told not to count what is written to it, so that others' writes would not be seen",
                subject=drive.path,
                remedy=f"Let it count: echo 1 > {device.directory / 'queue/iostats'}",
            )
        _counters(device, drive.path)


def _disk_sequence(fd: int, unknown: int) -> int:
    """The running number of the disk behind the descriptor; `unknown` on kernels before 5.15."""
    buffer = bytearray(8)
    try:
        fcntl.ioctl(fd, BLKGETDISKSEQ, buffer)
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL):
            return unknown
        raise DriveError("it is gone", subject="", remedy="Plug it in again.") from error
    return int(struct.unpack("=Q", buffer)[0])


def _device_of(fd: int, host: Host, path: str) -> BlockDevice:
    number = os.fstat(fd).st_rdev
    device = host.device(BlockNumber(os.major(number), os.minor(number)))
    if device is None:
        raise DriveError("the kernel has it no more", subject=path, remedy="Plug it in again.")
    return device


def _has_request_queue(device: BlockDevice) -> bool:
    return (device.directory / "mq").exists()


def _counters(device: BlockDevice, path: str) -> list[int]:
    counts = [int(field) for field in device.text("stat").split()]
    if len(counts) <= _SECTORS_DISCARDED:
        raise DriveError("the kernel does not count what is written to it", subject=path)
    return counts
