"""How a drive is driven: block size, queue depth, checkpoints, limits. Chosen per drive, recorded in the evidence."""

from dataclasses import dataclass, replace
from enum import IntEnum

from eraser.domain.drive import Drive, Media, Transport

KIB = 1 << 10
MIB = 1 << 20

MAX_BUFFER_BYTES = 8 * MIB
"""What the blocks of one transfer may take in memory, all together."""

SCATTERED_DEPTH = 16
"""Single sectors in flight: a drive can take them in its own order. With more of them, the last would seem to hang on a drive
that takes seconds for each bad sector."""


class AccessLeast(IntEnum):
    """Where to begin trying: everything, nothing that needs io_uring, nothing that needs O_DIRECT. Values of page.h."""

    BEST = 0
    PREAD = 3
    BUFFERED = 4


@dataclass(frozen=True, slots=True)
class Tuning:
    """Sizes in bytes, times in seconds."""

    block_bytes: int = 1 * MIB
    queue_depth: int = 2
    checkpoint_seconds: float = 30.0
    """At most 60: what is lost when the power goes."""
    checkpoint_bytes: int = 64 << 30
    retry_limit: int = 2
    bad_bytes_limit: int = 64 * MIB
    """A drive with more unreadable than this is dying: hours more would only say so again."""
    no_progress_seconds: float = 120.0
    """Longer than a drive's own error recovery and the kernel's timeouts with their retries (30 s each)."""
    fruitless_seconds: float = 1800.0
    """How long a drive may answer with nothing but errors: at some seconds for each bad sector, hundreds of them in a row."""
    access_least: AccessLeast = AccessLeast.BEST


def tuning_for(drive: Drive) -> Tuning:
    """Block and depth by what the drive is.

    What is in flight stays within 2 MiB where the drive can do with it, for the second-level cache; of that, few large blocks
    cost less than many small ones (docs/performance.md). The block is a power of two, so that it divides the hashed extent.
    """
    tuning = Tuning()
    if drive.transport is Transport.USB:
        tuning = replace(tuning, block_bytes=512 * KIB, queue_depth=2)
    elif drive.media is Media.MAGNETIC:
        tuning = replace(tuning, queue_depth=4)
    elif drive.transport is Transport.NVME:
        tuning = replace(tuning, block_bytes=512 * KIB, queue_depth=4)
    return replace(tuning, block_bytes=max(tuning.block_bytes, drive.geometry.physical_sector_bytes))


def tuning_for_scattered(tuning: Tuning, sector_bytes: int) -> Tuning:
    """The same drive, for single sectors here and there."""
    block_bytes = max(4 * KIB, sector_bytes)
    return replace(tuning, block_bytes=block_bytes, queue_depth=min(SCATTERED_DEPTH, MAX_BUFFER_BYTES // block_bytes))
