"""Acceptance sampling by attributes: how many of a lot are looked at, and with how many nonconforming it is still accepted.

Single sampling of ISO 2859-1:1999 (GB/T 2828.1-2012 is identical), for the share of nonconforming items: tables 1, 2-A, 2-B and
2-C for AQLs up to 10 %. Its master tables are written here by their own rule: a step to the next code letter and a step
to the next lower AQL are the same step of one series of preferred numbers, so each acceptance number stands on a diagonal.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from eraser.errors import UsageError

LETTERS = "ABCDEFGHJKLMNPQRS"
"""Code letters in their order; S stands in the table for tightened inspection alone."""
AQLS = tuple("0.010 0.015 0.025 0.040 0.065 0.10 0.15 0.25 0.40 0.65 1.0 1.5 2.5 4.0 6.5 10".split())  # noqa: SIM905
"""Acceptance quality limits in percent nonconforming, as the standard writes them. It has more of them, for
nonconformities per 100 items."""


class Severity(StrEnum):
    """ISO 2859-1 §9."""

    NORMAL = "normal"
    TIGHTENED = "tightened"
    REDUCED = "reduced"


class InspectionLevel(StrEnum):
    """ISO 2859-1 §10.1. II is the usual one; the special levels S-1 to S-4 are for small samples at larger risks."""

    I = "I"  # noqa: E741
    II = "II"
    III = "III"
    S1 = "S-1"
    S2 = "S-2"
    S3 = "S-3"
    S4 = "S-4"


_LARGEST_LOTS = (8, 15, 25, 50, 90, 150, 280, 500, 1200, 3200, 10_000, 35_000, 150_000, 500_000)
_TABLE_1: Mapping[InspectionLevel, str] = {
    InspectionLevel.S1: "AAAABBBBCCCCDDD",
    InspectionLevel.S2: "AAABBBCCCDDDEEE",
    InspectionLevel.S3: "AABBCCDDEEFFGGH",
    InspectionLevel.S4: "AABCCDEEFGGHJJK",
    InspectionLevel.I: "AABCCDEFGHJKLMN",
    InspectionLevel.II: "ABCDEFGHJKLMNPQ",
    InspectionLevel.III: "BCDEFGHJKLMNPQR",
}

_SAMPLE_SIZES = (2, 3, 5, 8, 13, 20, 32, 50, 80, 125, 200, 315, 500, 800, 1250, 2000, 3150)
_REDUCED_SAMPLE_SIZES = (2, 2, 2, 3, 5, 8, 13, 20, 32, 50, 80, 125, 200, 315, 500, 800)


@dataclass(frozen=True, slots=True)
class _Diagonals:
    """`accepts`: acceptance numbers by the sum of a letter's and an AQL's places. Between the 0 and the 1 stand arrows; the one
    just after the 0 points up where `is_back_to_zero`.
    """

    sizes: tuple[int, ...]
    accepts: Mapping[int, int]
    is_back_to_zero: bool


_MASTER: Mapping[Severity, _Diagonals] = {
    Severity.NORMAL: _Diagonals(
        _SAMPLE_SIZES[:16], {14: 0, 17: 1, 18: 2, 19: 3, 20: 5, 21: 7, 22: 10, 23: 14, 24: 21}, True
    ),
    Severity.TIGHTENED: _Diagonals(
        _SAMPLE_SIZES, {15: 0, 18: 1, 19: 2, 20: 3, 21: 5, 22: 8, 23: 12, 24: 18}, False
    ),
    Severity.REDUCED: _Diagonals(
        _REDUCED_SAMPLE_SIZES, {14: 0, 18: 1, 19: 2, 20: 3, 21: 5, 22: 6, 23: 8, 24: 10}, True
    ),
}  # fmt: skip
_ONLY_S = (16, 2)
"""Letter S has one plan, at AQL 0.025: the 1 that the arrows of Q and R point to."""


@dataclass(frozen=True, slots=True)
class AcceptancePlan:
    """`letter` is that of the plan, after its arrow was followed. `sample_size` never exceeds the lot."""

    letter: str
    sample_size: int
    accepts: int
    """Ac: with so many nonconforming the lot is still accepted."""

    @property
    def rejects(self) -> int:
        """Re: from so many on it is not accepted."""
        return self.accepts + 1


def acceptance_plan(
    lot_size: int, aql: str, level: InspectionLevel, severity: Severity = Severity.NORMAL
) -> AcceptancePlan:
    """The plan for a lot. Raises UsageError for an empty one and for an AQL that the standard does not have.

    A lot of one is inspected; where the table asks for as many as there are, or more, all are (note under its tables).
    """
    if lot_size < 1:
        raise UsageError("there is nothing in the lot to sample")
    letter, size, accepts = master_plan(code_letter(lot_size, level), aql, severity)
    size = min(size, lot_size)
    # The tables begin with lots of 2: a lot of 1 that is all nonconforming must not be accepted.
    return AcceptancePlan(letter, size, min(accepts, size - 1))


def code_letter(lot_size: int, level: InspectionLevel) -> str:
    """Table 1, which begins with lots of 2; a lot of 1 is taken for such a one."""
    return _TABLE_1[level][bisect_left(_LARGEST_LOTS, lot_size)]


def master_plan(letter: str, aql: str, severity: Severity) -> tuple[str, int, int]:
    """Letter, sample size and acceptance number of a cell of table 2-A, 2-B or 2-C, its arrow followed. Raises UsageError."""
    if aql not in AQLS:
        raise UsageError(f"{aql!r} is no AQL of ISO 2859-1", remedy=f"Give one of {', '.join(AQLS)}.")
    table, column = _MASTER[severity], AQLS.index(aql)
    row = next(_followed(table, LETTERS.index(letter), column))
    return LETTERS[row], table.sizes[row], table.accepts[row + column]


def _followed(table: _Diagonals, row: int, column: int) -> Iterator[int]:
    """Rows with a plan in this column, the one that the cell or its arrow names first."""
    rows = [place for place in range(len(table.sizes)) if _has_plan(table, place, column)]
    up = [place for place in reversed(rows) if place < row]
    down = [place for place in rows if place > row]
    zero = min(table.accepts)
    points_up = row + column > max(table.accepts) or (table.is_back_to_zero and row + column == zero + 1)
    # An arrow that would lead out of the table is the other one.
    yield from ([row] if row in rows else []) + (up + down if points_up else down + up)


def _has_plan(table: _Diagonals, row: int, column: int) -> bool:
    is_there = row + column in table.accepts
    return is_there and (LETTERS[row] != "S" or (row, column) == _ONLY_S)


IN_A_ROW = 5


def next_severity(severity: Severity, accepted: Sequence[bool]) -> Severity | None:
    """What the lot after these is inspected with (§9.3), or None where inspection is to be discontinued (§9.4). `accepted` are
    the original inspections since this severity began, in their order.

    It never leads to reduced inspection: that is for the auditor alone to allow (§9.3.3).
    """
    match severity:
        case Severity.NORMAL:
            rejected = [place for place, item in enumerate(accepted) if not item]
            twice = any(later - earlier < IN_A_ROW for earlier, later in pairwise(rejected))
            return Severity.TIGHTENED if twice else Severity.NORMAL
        case Severity.TIGHTENED:
            if list(accepted).count(False) >= IN_A_ROW:
                return None
            is_over = len(accepted) >= IN_A_ROW and all(accepted[-IN_A_ROW:])
            return Severity.NORMAL if is_over else Severity.TIGHTENED
        case Severity.REDUCED:
            return Severity.REDUCED if all(accepted) else Severity.NORMAL
