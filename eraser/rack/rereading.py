"""Reading a drive again, later, against its certificate: is it this drive, and does it hold what was written last?

Nothing is ever written: the descriptor is open for reading only. What is read is compared in the transfer process; only
places and counts come back.
"""

import asyncio
import ctypes
import errno
import fcntl
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from eraser.domain import merkle
from eraser.domain.certificate import Certificate
from eraser.domain.chosen_extents import ChosenExtents, ExtentReading
from eraser.domain.drive import Drive, Identity, SerialSource, Transport, is_recognisable
from eraser.domain.events import Outcome
from eraser.domain.evidence import (
    EndReason,
    Extent,
    FlushProof,
    HashTree,
    Operation,
    SamplingEvidence,
    TransferReport,
    merged,
)
from eraser.domain.pattern import SEED_BYTES, Constant, Pattern, RandomBytes
from eraser.domain.program import Verification
from eraser.drives.claim import activity_of
from eraser.drives.discovery import identify
from eraser.engine.transfer import Order, Target, Transfer
from eraser.engine.tuning import Tuning, tuning_for
from eraser.errors import CertificateError, DriveError, Refused
from eraser.rack.blocking import in_own_thread

TICK_SECONDS = 0.2
"""How often a running transfer is looked at when it has nothing to tell."""

OnProgress = Callable[[int, int], None]
"""Is told of the bytes done and the bytes in all."""


class Finding(StrEnum):
    """What the reading says; only HOLDS is good news."""

    HOLDS = "holds"
    DIFFERS = "differs"
    HASH_DIFFERS = "hash-differs"
    """Every byte is as the last pass left it, and the certificate's tree of hashes is of something else."""
    UNREADABLE = "unreadable"
    INCOMPLETE = "incomplete"
    """The reading ended before all places were read."""
    WRITTEN_MEANWHILE = "written-meanwhile"
    """Somebody wrote to the drive while it was read, or nobody knows whether: what was read need not be there now."""
    CERTIFICATE_FAILED = "certificate-failed"
    """The drive is as its certificate says, and that says that the erasure failed."""


@dataclass(frozen=True, slots=True)
class Rereading:
    """What one reading found. `report` is of all places but those that the certificate lists as bad, which were read
    apart from the rest (`known_bad`): of them nothing is expected.
    """

    pass_number: int
    kind: Verification
    sampling: SamplingEvidence | None
    total_bytes: int
    report: TransferReport | None
    """None where the certificate lists every place that was drawn as bad."""
    known_bad: TransferReport | None
    hash_tree: HashTree | None
    expected_root: bytes
    """Root in the certificate where it can be compared with `hash_tree`, else empty."""
    certificate_outcome: Outcome
    is_undisturbed: bool
    """Whether the kernel counted no write and no discard of the drive meanwhile; an image has no such count."""
    extents: ExtentReading | None = None
    """What single extents hashed to, where they were chosen."""

    @property
    def finding(self) -> Finding:
        """The first that applies, the gravest first."""
        report = self.report
        if report is None:
            return Finding.INCOMPLETE
        if report.mismatched_sectors:
            return Finding.DIFFERS
        if report.bad_bytes or report.bad_extents:
            return Finding.UNREADABLE
        if report.end is not EndReason.COMPLETED or report.bytes_done != self.total_bytes:
            return Finding.INCOMPLETE
        if not self.is_undisturbed:
            return Finding.WRITTEN_MEANWHILE
        if self.expected_root and (self.hash_tree is None or self.hash_tree.root != self.expected_root):
            return Finding.HASH_DIFFERS
        if self.extents is not None and self.extents.differing:
            return Finding.HASH_DIFFERS
        # An extent that the certificate lists as bad was left, whatever the outcome says.
        if self.certificate_outcome is not Outcome.PASSED or self.known_bad is not None:
            return Finding.CERTIFICATE_FAILED
        return Finding.HOLDS


def last_pattern(certificate: Certificate) -> tuple[int, Pattern]:
    """Number and pattern of the last pass. Raises CertificateError when it did not come to its end."""
    last = certificate.passes[-1] if certificate.passes else None
    if last is None or not last.is_complete:
        raise CertificateError(
            "it tells of no last pass that was completed, so there is nothing to hold the drive against",
            remedy="Erase the drive.",
        )
    return last.number, last.pattern


def refuse_another(certified: Drive, found: Drive) -> None:
    """Raises Refused unless the drive found may be the one of the certificate.

    The capacity must be equal. A drive that had a serial number or a world-wide name of its own must show one of them
    again, and nothing that it says of itself may contradict the certificate. One that had none (an enclosure hid it)
    cannot be told by name: then its content alone decides.
    """
    difference = _difference(certified, found)
    if difference:
        raise Refused(
            "another-drive",
            f"it is not the drive of the certificate: {difference}",
            subject=found.path,
            remedy="Name the drive that the certificate is about, or the certificate of this drive.",
        )


def _difference(certified: Drive, found: Drive) -> str:
    wanted, seen = certified.geometry.capacity_bytes, found.geometry.capacity_bytes
    if wanted != seen:
        return f"it has {seen:,} bytes, the certificate says {wanted:,}"
    if not is_recognisable(certified):
        return ""
    names = tuple(zip(_own_names(certified.identity), _own_names(found.identity), strict=True))
    for (what, expected), (_, shown) in names:
        if expected and shown and expected != shown:
            return f"its {what} is {shown}, the certificate says {expected}"
    expected, shown = certified.identity.model, found.identity.model
    if expected and shown and expected != shown:
        return f"its model is {shown}, the certificate says {expected}"
    if not any(expected and expected == shown for (_, expected), (_, shown) in names):
        return "it shows no serial number or world-wide name of its own here; attach it without the bridge or enclosure"
    return ""


def _own_names(identity: Identity) -> tuple[tuple[str, str], ...]:
    serial = identity.serial if identity.serial_source is SerialSource.DRIVE else ""
    return (
        ("serial number", serial),
        ("WWN", identity.wwn),
        ("EUI-64", identity.eui64),
        ("NGUID", identity.nguid),
    )


def cautions(certificate: Certificate, found: Drive) -> tuple[str, ...]:
    """What a person should know about how far a reading of this drive can prove anything."""
    notes = []
    _, pattern = last_pattern(certificate)
    if not is_recognisable(certificate.drive):
        notes.append("the certificate's drive had no serial number of its own: only its content tells that it is this")
    if isinstance(pattern, Constant):
        notes.append("the last pass wrote a constant, which other drives may hold too")
    if found.geometry.hidden_bytes:
        notes.append(f"{found.geometry.hidden_bytes:,} bytes of the drive are hidden and cannot be read")
    omitted = certificate.exceptions.not_written.extents_omitted + certificate.exceptions.not_read.extents_omitted
    if omitted:
        notes.append(f"{omitted} more bad extents than the certificate lists were found when it was erased")
    return tuple(notes)


class OpenDrive:
    """A drive open for reading only, and who it is. A context manager; nobody is kept from using the drive."""

    def __init__(self, path: str) -> None:
        """Raises UsageError, DriveError or Refused. May block while the drive is asked who it is."""
        self.drive = identify(path)
        self.fd = _open(self.drive)
        try:
            _expect_still(self.fd, self.drive)
        except BaseException:
            os.close(self.fd)
            raise

    def __enter__(self) -> "OpenDrive":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


def _open(drive: Drive) -> int:
    try:
        fd = os.open(drive.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            raise Refused(
                "no-permission", "you may not read it", subject=drive.path, remedy="Run it as root."
            ) from error
        raise DriveError(
            f"it cannot be opened ({error.strerror})", subject=drive.path, remedy="Plug it in again."
        ) from error
    # O_NONBLOCK was for the opening alone: io_uring would answer EAGAIN instead of waiting.
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_NONBLOCK)
    return fd


def _expect_still(fd: int, drive: Drive) -> None:
    """Raises DriveError unless the open drive, identified again while it is open, says what it said before."""
    again = identify(drive.path)
    held, there = os.fstat(fd), Path(drive.path).stat()
    same = (held.st_dev, held.st_ino, held.st_rdev) == (there.st_dev, there.st_ino, there.st_rdev)
    if not same or again.identity != drive.identity or again.geometry != drive.geometry:
        raise DriveError("another drive took its place meanwhile", subject=drive.path, remedy="Try again.")


async def reread(
    opened: OpenDrive,
    certificate: Certificate,
    kind: Verification,
    *,
    random_bytes: RandomBytes,
    now_utc: Callable[[], str],
    on_progress: OnProgress,
    tuning: Tuning | None = None,
    chosen: ChosenExtents | None = None,
) -> Rereading:
    """Reads the drive, in full, at places drawn anew, or the chosen extents alone, and compares it with the certificate's last
    pass; what it hashes to, with the certificate's tree or the chosen extents' leaves.

    Raises Refused for another drive, CertificateError when there is nothing to compare with, TransferError.
    """
    drive = opened.drive
    refuse_another(certificate.drive, drive)
    number, pattern = last_pattern(certificate)
    tuning = tuning or tuning_for(drive)
    if chosen is not None and not are_hashable(chosen.extent_bytes, tuning):
        raise Refused("extents-too-odd", "extents of this size can't be hashed here", subject=drive.path)
    places, sampling = (
        (chosen.places(drive.geometry.capacity_bytes), None) if chosen else _places(drive, kind, random_bytes)
    )
    bad = listed_bad(certificate, drive) if chosen is None else ()  # none of the chosen ones has such a place
    rest = tuple(_without(places, bad))
    tree = _comparable_tree(certificate, number, kind, tuning) if rest == places and chosen is None else None
    hash_extent_bytes = chosen.extent_bytes if chosen else tree.extent_bytes if tree else 0
    total = sum(extent.length_bytes for extent in rest)
    run = _Run(opened, tuning, now_utc, on_progress)
    before = await _written_so_far(opened)
    report: TransferReport | None = None
    known_bad: TransferReport | None = None
    leaves: tuple[bytes, ...] = ()
    if rest:
        order = Order(Operation.READ, pattern, rest, hash_extent_bytes=hash_extent_bytes)
        report, leaves = await run(order, total)
    if bad:
        known_bad, _ = await run(Order(Operation.READ, pattern, bad), sum(extent.length_bytes for extent in bad))
    is_whole = report is not None and report.end is EndReason.COMPLETED
    # A drive that hangs, or a person who stopped it, is not kept waiting for what can change nothing any more.
    is_undisturbed = is_whole and before is not None and before == await _written_so_far(opened)
    return Rereading(
        pass_number=number,
        kind=kind,
        sampling=sampling,
        total_bytes=total,
        report=report,
        known_bad=known_bad,
        hash_tree=HashTree(tree.extent_bytes, len(leaves), merkle.root(leaves)) if tree and is_whole else None,
        expected_root=tree.root if tree else b"",
        certificate_outcome=certificate.outcome,
        is_undisturbed=is_undisturbed,
        extents=chosen.reading(leaves) if chosen is not None else None,
    )


_WRITE_OUT_SECONDS = 120.0
"""How long it may take until what others wrote has gone out of the page cache."""
_SYNC_AND_WAIT = 7
"""SYNC_FILE_RANGE_WAIT_BEFORE, _WRITE and _WAIT_AFTER of sync_file_range(2)."""


async def _written_so_far(opened: OpenDrive) -> tuple[int, int] | None:
    """Sectors written to the drive and discarded since it appeared, after what others left in the page cache went out.
    None where nobody knows."""
    if opened.drive.transport is Transport.IMAGE:
        return (0, 0)
    try:
        async with asyncio.timeout(_WRITE_OUT_SECONDS):
            await in_own_thread(_write_out, opened.fd)
            now = activity_of(opened.drive, (opened.fd,))
    except (OSError, DriveError, TimeoutError):
        return None
    return (now.sectors_written, now.sectors_discarded) if now is not None else None


def _places(
    drive: Drive, kind: Verification, random_bytes: RandomBytes
) -> tuple[tuple[Extent, ...], SamplingEvidence | None]:
    capacity = drive.geometry.capacity_bytes
    if kind is not Verification.SAMPLED:
        return (Extent(0, capacity),), None
    from eraser.domain.sampling import sample

    return sample(capacity, drive.geometry.physical_sector_bytes, random_bytes(SEED_BYTES))


def listed_bad(certificate: Certificate, drive: Drive) -> tuple[Extent, ...]:
    """Extents that the certificate lists as left, in whole sectors of the drive as it is attached now."""
    left = certificate.exceptions
    sector, capacity = drive.geometry.logical_sector_bytes, drive.geometry.capacity_bytes
    aligned = []
    for extent in (*left.not_written.listed, *left.not_read.listed):
        start = extent.offset_bytes - extent.offset_bytes % sector
        end = min(-(-extent.end_bytes // sector) * sector, capacity)
        if start < end:
            aligned.append(Extent(start, end - start))
    return merged(aligned)


def _without(places: Iterable[Extent], taken: tuple[Extent, ...]) -> Iterable[Extent]:
    """The places less what is taken; both ascend without overlap."""
    for place in places:
        start = place.offset_bytes
        for extent in taken:
            if extent.end_bytes <= start or extent.offset_bytes >= place.end_bytes:
                continue
            if extent.offset_bytes > start:
                yield Extent(start, extent.offset_bytes - start)
            start = extent.end_bytes
        if start < place.end_bytes:
            yield Extent(start, place.end_bytes - start)


def _comparable_tree(certificate: Certificate, number: int, kind: Verification, tuning: Tuning) -> HashTree | None:
    """The certificate's tree of hashes, if it is of the last pass and this reading can make it again."""
    final = certificate.final_verification
    if kind is not Verification.FULL or final is None or final.pass_number != number or final.hash_tree is None:
        return None
    tree = final.hash_tree
    return tree if are_hashable(tree.extent_bytes, tuning) else None


def are_hashable(extent_bytes: int, tuning: Tuning) -> bool:
    """Whether extents of this size end where the blocks of this host's readings do."""
    return extent_bytes > 0 and extent_bytes % tuning.block_bytes == 0


class _Run:
    """Runs one transfer after the other on one open drive."""

    def __init__(self, opened: OpenDrive, tuning: Tuning, now_utc: Callable[[], str], on_progress: OnProgress) -> None:
        drive = opened.drive
        self._target = Target(
            fd=opened.fd,
            drive_bytes=drive.geometry.capacity_bytes,
            logical_sector_bytes=drive.geometry.logical_sector_bytes,
            physical_sector_bytes=drive.geometry.physical_sector_bytes,
            is_block_device=drive.transport is not Transport.IMAGE,
            flush_trust=FlushProof.NOT_FLUSHED,
        )
        self._tuning = tuning
        self._now_utc = now_utc
        self._on_progress = on_progress

    async def __call__(self, order: Order, total_bytes: int) -> tuple[TransferReport, tuple[bytes, ...]]:
        """The report, and the hashes of the extents where they were asked for."""
        transfer = await Transfer.start(self._target, order, self._tuning, now_utc=self._now_utc)
        try:
            while not transfer.has_ended:
                await transfer.changed(TICK_SECONDS)
                self._on_progress(transfer.snapshot().position_bytes, total_bytes)
            report, _ = await transfer.finish()
            return report, transfer.leaves()
        finally:
            transfer.close()


def reread_now(
    path: str,
    certificate: Certificate,
    kind: Verification,
    *,
    random_bytes: RandomBytes,
    now_utc: Callable[[], str],
    on_progress: OnProgress,
    choose: Callable[[Drive], ChosenExtents | None] = lambda drive: None,
) -> tuple[Drive, Rereading]:
    """Opens the drive, reads it, closes it: for a caller without an event loop. `choose`: which extents of it alone. Raises as
    `OpenDrive` and `reread`.
    """
    with OpenDrive(path) as opened:
        return opened.drive, asyncio.run(
            reread(
                opened,
                certificate,
                kind,
                random_bytes=random_bytes,
                now_utc=now_utc,
                on_progress=on_progress,
                chosen=choose(opened.drive),
            )
        )


def _write_out(fd: int) -> None:
    """Makes the kernel write to the drive what others left in the page cache. Unlike fsync(2) it sends the drive no command of
    our own, not even a flush. Blocks. Raises OSError. Python does not offer it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    everything = ctypes.c_int64(0)
    if libc.sync_file_range(fd, everything, everything, _SYNC_AND_WAIT):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
