"""What was seen while a job ran: facts as the transfer, the kernel and the drive gave them. Judged in `job.py`, never here."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from eraser.domain.json_form import Nanoseconds
from eraser.domain.program import Verification


@dataclass(frozen=True, slots=True, order=True)
class Extent:
    """A run of bytes on the drive."""

    offset_bytes: int
    length_bytes: int

    @property
    def end_bytes(self) -> int:
        """First byte behind it."""
        return self.offset_bytes + self.length_bytes


class Operation(StrEnum):
    """What the transfer was doing."""

    WRITE = "write"
    READ = "read"


@dataclass(frozen=True, slots=True)
class BadExtent:
    """Sectors that could not be written or read, after retries, with the kernel's error number."""

    extent: Extent
    operation: Operation
    errno: int


class Access(StrEnum):
    """How bytes went between memory and the drive."""

    NONE = "none: it never came to an I/O"
    URING_DIRECT_REGISTERED = "io_uring, O_DIRECT, registered buffers"
    URING_DIRECT = "io_uring, O_DIRECT"
    PREAD_DIRECT = "pread/pwrite, O_DIRECT"
    BUFFERED = "pread/pwrite, buffered, flushed and dropped from the cache"


class EndReason(StrEnum):
    """Why a transfer ended."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    GONE = "drive gone"
    TOO_MANY_ERRORS = "too many errors"
    NO_PROGRESS = "no progress"
    FLUSH_FAILED = "flush failed"
    CACHE_KEPT = "the page cache could not be emptied, so nothing read would prove anything"
    PROCESS_DIED = "transfer process died"
    INTERNAL = "internal error"


class FlushProof(StrEnum):
    """What stands behind a flush that returned success."""

    KERNEL_SENT = "the kernel sent it"
    """The cache is write back, so the kernel issues the flush itself."""
    NO_VOLATILE_CACHE = "the drive itself reports no volatile cache"
    COMMAND_SENT = "we sent SYNCHRONIZE CACHE or FLUSH CACHE EXT"
    FILE_SYSTEM = "the file system's"
    NOT_FLUSHED = "not flushed"
    ASSUMED = "assumed: nothing was sent to the drive"
    """The kernel takes the cache for write through and the drive refused our own command: checkpoints do not count."""


@dataclass(frozen=True, slots=True)
class TransferReport:
    """How one transfer over part of one pass or verification went.

    Positions are bytes in processing order, counted from the start of the whole pass: the same for both directions.
    `bytes_done` were processed (written, or read and compared), `bytes_sent` went to the drive including retries.
    """

    end: EndReason
    errno: int
    start_position_bytes: int
    end_position_bytes: int
    bytes_done: int
    bytes_sent: int
    failed_bytes_sent: int
    """Of `bytes_sent`, those in writes that came back with an error: the drive may or may not have them."""
    bad_extents: tuple[BadExtent, ...]
    bad_bytes: int
    """All bytes given up; more than the extents listed when the table overflowed."""
    retries: int
    flushes: int
    flush_proof: FlushProof
    mismatched_sectors: int
    first_mismatches: tuple[int, ...]
    """Byte offsets on the drive of the first differing sectors."""
    access: Access
    block_bytes: int
    queue_depth: int
    started_at: str
    first_byte: Nanoseconds
    """CLOCK_MONOTONIC when the first I/O was submitted."""
    last_byte: Nanoseconds
    """CLOCK_MONOTONIC when the last I/O, the final flush included, came back."""


@dataclass(frozen=True, slots=True)
class HashTree:
    """BLAKE3-256 of each extent as read back; `root` is the RFC 9162 Merkle tree hash (SHA-256) over them."""

    extent_bytes: int
    leaves: int
    root: bytes


@dataclass(frozen=True, slots=True)
class SamplingEvidence:
    """How the places were drawn, so that anyone can draw them again."""

    seed: bytes
    parts: int
    """1 where the drive was too small to be sampled and is read in full."""
    samples_per_part: int
    sample_bytes: int
    places: int
    """Extents to read, after samples that touch were merged."""
    bytes_sampled: int
    bound_ppb: int
    """With 95 % confidence at most this share (parts per thousand million) of the drive is not erased, if no place differed."""


@dataclass(frozen=True, slots=True)
class VerificationEvidence:
    """One reading back of the drive against the numbered pass."""

    pass_number: int
    kind: Verification
    sampling: SamplingEvidence | None
    report: TransferReport
    hash_tree: HashTree | None


@dataclass(frozen=True, slots=True)
class MarkersEvidence:
    """Distinct markers, written and read back before constants: a drive that answers zeros or wraps addresses fails here."""

    seed: bytes
    granularity_bytes: int
    places: int
    written: TransferReport
    read_back: TransferReport


@dataclass(frozen=True, slots=True)
class SightCheck:
    """What a resumed job read back of what was written before the drive left its sight."""

    pass_number: int
    checked_bytes: int
    mismatched_sectors: int


@dataclass(frozen=True, slots=True)
class DriveActivity:
    """The kernel's own counters of the drive between our first write and the end of verification (`/sys/block/*/stat`)."""

    sectors_written_seen: int
    """In units of 512 bytes, by everybody."""
    sectors_written_ours_least: int
    sectors_written_ours_most: int
    """Least and most differ by the writes that came back with an error."""
    sectors_discarded_seen: int
    """By anybody: we never discard, so any is somebody else's."""
    flushes_seen: int
    flushes_expected: int
    """Those of ours that the kernel has to send, because the drive's cache is write back; 0 where it counts none."""

    @property
    def has_lost_flushes(self) -> bool:
        """Whether fewer flushes went out than we asked for: then the checkpoints prove nothing."""
        return self.flushes_seen < self.flushes_expected

    @property
    def has_foreign_writes(self) -> bool:
        """Whether somebody else wrote, or our writes did not all go out: either way the evidence does not hold."""
        is_ours = self.sectors_written_ours_least <= self.sectors_written_seen <= self.sectors_written_ours_most
        return not is_ours or self.sectors_discarded_seen != 0


def merged(extents: Iterable[Extent]) -> tuple[Extent, ...]:
    """The same bytes in as few extents as can be, in the drive's order."""
    result: list[Extent] = []
    for extent in sorted(set(extents), key=lambda item: item.offset_bytes):
        if result and extent.offset_bytes <= result[-1].end_bytes:
            end = max(result[-1].end_bytes, extent.end_bytes)
            result[-1] = Extent(result[-1].offset_bytes, end - result[-1].offset_bytes)
        else:
            result.append(extent)
    return tuple(result)
