"""What a program costs: bytes written and read, and hours at a given size and speed."""

from dataclasses import dataclass

from eraser.domain.program import Program, Verification
from eraser.errors import UsageError

SAMPLED_SHARE = 10
"""Sampled verification reads a tenth of the drive, and a little more by rounding to sectors."""
SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Estimate:
    """The cost of one job without retries and markers, which are small; the drive is taken to be the bottleneck."""

    passes: int
    bytes_written: int
    bytes_read: int
    hours: float

    @property
    def written_per_byte(self) -> int:
        """Bytes written for each byte of the drive: every pass covers all of it, and nothing is added to a program."""
        return self.passes


def estimate(
    program: Program,
    verification: Verification,
    *,
    capacity_bytes: int,
    write_bytes_per_second: float,
    read_bytes_per_second: float | None = None,
) -> Estimate:
    """The cost on a drive of this capacity; it reads as fast as it writes unless told otherwise.

    Raises UsageError for a size or speed that is not above zero.
    """
    read_speed = write_bytes_per_second if read_bytes_per_second is None else read_bytes_per_second
    if capacity_bytes <= 0 or not write_bytes_per_second > 0 or not read_speed > 0:
        raise UsageError("an estimate needs a size and speeds above zero")
    written = len(program.passes) * capacity_bytes
    read = _read_between(program) * capacity_bytes + _read_at_the_end(verification, capacity_bytes)
    seconds = written / write_bytes_per_second + read / read_speed
    return Estimate(len(program.passes), written, read, seconds / SECONDS_PER_HOUR)


def _read_between(program: Program) -> int:
    """Passes that are read back before the next; the last is read back by the verification."""
    return sum(item.verify for item in program.passes[:-1])


def _read_at_the_end(verification: Verification, capacity_bytes: int) -> int:
    match verification:
        case Verification.NONE:
            return 0
        case Verification.SAMPLED:
            return -(-capacity_bytes // SAMPLED_SHARE)
        case Verification.FULL:
            return capacity_bytes
