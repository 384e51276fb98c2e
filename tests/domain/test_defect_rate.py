"""Exact statements about a finite lot, against plain enumeration."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraser.domain.defect_rate import MILLION, acceptance_probability_ppm, most_defective, sample_size
from eraser.errors import UsageError

LOTS = st.integers(1, 60)
CONFIDENCES = st.sampled_from([500_000, 900_000, 950_000, 990_000, 999_999])


def accepted(lot: int, defective: int, sampled: int, accepts: int) -> Fraction:
    """P(found <= accepts), from the definition."""
    ways = sum(
        comb(defective, found) * comb(lot - defective, sampled - found)
        for found in range(min(accepts, sampled) + 1)
        if sampled - found <= lot - defective
    )
    return Fraction(ways, comb(lot, sampled))


@given(LOTS, st.integers(1, MILLION), CONFIDENCES, st.integers(0, 4))
def test_the_sample_is_the_smallest_that_shows_it(lot: int, rate: int, confidence: int, accepts: int) -> None:
    defective = max(1, -(-lot * rate // MILLION))
    if defective <= accepts:
        with pytest.raises(UsageError, match="no sample can show"):
            sample_size(lot, rate, confidence, accepts)
        return
    size = sample_size(lot, rate, confidence, accepts)
    allowed = 1 - Fraction(confidence, MILLION)
    enough = [n for n in range(1, lot + 1) if accepted(lot, defective, n, accepts) <= allowed]
    assert size == enough[0]


@given(st.data(), LOTS, CONFIDENCES)
def test_the_bound_is_the_largest_number_that_is_still_likely(data: st.DataObject, lot: int, confidence: int) -> None:
    sampled = data.draw(st.integers(0, lot))
    found = data.draw(st.integers(0, sampled))
    most = most_defective(lot, sampled, found, confidence)
    allowed = 1 - Fraction(confidence, MILLION)
    possible = range(found, lot - (sampled - found) + 1)
    likely = [number for number in possible if accepted(lot, number, sampled, found) > allowed]
    assert most == max(likely, default=found)


@given(st.data(), LOTS)
def test_a_probability_is_that_of_counting(data: st.DataObject, lot: int) -> None:
    defective, sampled = data.draw(st.integers(0, lot)), data.draw(st.integers(0, lot))
    accepts = data.draw(st.integers(0, lot))
    assert acceptance_probability_ppm(lot, defective, sampled, accepts) == int(
        accepted(lot, defective, sampled, accepts) * MILLION
    )


def test_known_numbers() -> None:
    assert sample_size(1000, 10_000, 950_000) == 258
    assert sample_size(1_000_000, 1_000, 950_000) == 2990
    assert most_defective(1000, 1000, 0, 950_000) == 0
    assert sample_size(1_000_000, 1, 950_000) == 950_000


@pytest.mark.parametrize(
    "call", [(0, 1, 950_000), (5, 0, 950_000), (5, MILLION + 1, 950_000), (5, 1, 0), (5, 1, MILLION)]
)
def test_senseless_numbers_are_refused(call: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError):
        sample_size(*call)
