"""What a program costs on a drive."""

import pytest

from eraser.domain.catalogue import program_named
from eraser.domain.custom_program import parse_custom_program
from eraser.domain.estimate import estimate
from eraser.domain.program import Verification
from eraser.errors import UsageError

TERABYTE = 10**12


def test_a_pass_is_one_byte_written_for_each_byte_of_the_drive_and_no_more() -> None:
    cost = estimate(
        program_named("gutmann-35"), Verification.NONE, capacity_bytes=TERABYTE, write_bytes_per_second=10**8
    )
    assert (cost.passes, cost.written_per_byte) == (35, 35)
    assert cost.bytes_written == 35 * TERABYTE
    assert cost.bytes_read == 0
    assert cost.hours == pytest.approx(35 * 10_000 / 3600)


@pytest.mark.parametrize(
    ("verification", "read"),
    [(Verification.NONE, 0), (Verification.SAMPLED, TERABYTE // 10), (Verification.FULL, TERABYTE)],
)
def test_verification_reads_nothing_a_tenth_or_all(verification: Verification, read: int) -> None:
    cost = estimate(
        program_named("zero"),
        verification,
        capacity_bytes=TERABYTE,
        write_bytes_per_second=10**8,
        read_bytes_per_second=2 * 10**8,
    )
    assert cost.bytes_read == read
    assert cost.hours == pytest.approx((TERABYTE / 10**8 + read / (2 * 10**8)) / 3600)


def test_passes_that_are_verified_between_are_read_and_the_last_is_read_once() -> None:
    program = parse_custom_program('name = "mine"\n' + '[[pass]]\npattern = "random"\nverify = true\n' * 3)
    cost = estimate(program, Verification.FULL, capacity_bytes=1000, write_bytes_per_second=1)
    assert (cost.bytes_written, cost.bytes_read) == (3000, 3000)


@pytest.mark.parametrize(
    ("capacity", "write", "read"),
    [(0, 1, None), (-1, 1, None), (1, 0, None), (1, 1, 0), (1, -1, 1), (1, float("nan"), 1)],
)
def test_sizes_and_speeds_that_are_not_above_zero_are_refused(capacity: int, write: float, read: float | None) -> None:
    with pytest.raises(UsageError, match="above zero"):
        estimate(
            program_named("zero"),
            Verification.FULL,
            capacity_bytes=capacity,
            write_bytes_per_second=write,
            read_bytes_per_second=read,
        )
