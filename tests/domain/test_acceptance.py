"""ISO 2859-1's single sampling: its tables' own rules, cells that are printed in many places, and what the plans do."""

from __future__ import annotations

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraser.domain.acceptance import (
    AQLS,
    LETTERS,
    AcceptancePlan,
    InspectionLevel,
    Severity,
    acceptance_plan,
    code_letter,
    master_plan,
    next_severity,
)
from eraser.errors import UsageError

ROWS = LETTERS[:16]
NORMAL, TIGHTENED, REDUCED = Severity.NORMAL, Severity.TIGHTENED, Severity.REDUCED


@pytest.mark.parametrize(
    ("lot", "letters"),
    [
        (2, "AAAAAAB"),
        (8, "AAAAAAB"),
        (9, "AAAAABC"),
        (25, "AABBBCD"),
        (50, "ABBCCDE"),
        (90, "BBCCCEF"),
        (150, "BBCDDFG"),
        (280, "BCDEEGH"),
        (500, "BCDEFHJ"),
        (501, "CCEFGJK"),
        (3200, "CDEGHKL"),
        (10_000, "CDFGJLM"),
        (35_000, "CDFHKMN"),
        (150_000, "DEGJLNP"),
        (500_000, "DEGJMPQ"),
        (500_001, "DEHKNQR"),
    ],
)
def test_code_letters_are_table_1(lot: int, letters: str) -> None:
    levels = [InspectionLevel(name) for name in ("S-1", "S-2", "S-3", "S-4", "I", "II", "III")]
    assert "".join(code_letter(lot, level) for level in levels) == letters


@pytest.mark.parametrize(
    ("severity", "letter", "aql", "cell"),
    [
        (NORMAL, "K", "1.0", ("K", 125, 3)),
        (NORMAL, "J", "1.0", ("J", 80, 2)),
        (NORMAL, "H", "2.5", ("H", 50, 3)),
        (NORMAL, "G", "0.65", ("F", 20, 0)),  # up
        (NORMAL, "G", "1.0", ("H", 50, 1)),  # down
        (NORMAL, "A", "10", ("C", 5, 1)),  # nothing above
        (NORMAL, "R", "0.015", ("P", 800, 0)),  # nothing below
        (NORMAL, "L", "10", ("K", 125, 21)),  # beyond the last
        (NORMAL, "A", "0.010", ("Q", 1250, 0)),
        (TIGHTENED, "K", "1.0", ("K", 125, 2)),
        (TIGHTENED, "J", "1.0", ("J", 80, 1)),
        (TIGHTENED, "G", "1.0", ("J", 80, 1)),  # down twice
        (TIGHTENED, "L", "2.5", ("L", 200, 8)),
        (TIGHTENED, "R", "0.025", ("S", 3150, 1)),
        (TIGHTENED, "R", "0.015", ("Q", 1250, 0)),
        (REDUCED, "K", "1.0", ("K", 50, 2)),
        (REDUCED, "N", "2.5", ("N", 200, 10)),
        (REDUCED, "R", "0.025", ("N", 200, 0)),
        (REDUCED, "E", "1.0", ("E", 5, 0)),
    ],
)
def test_cells_that_everybody_prints(severity: Severity, letter: str, aql: str, cell: tuple[str, int, int]) -> None:
    assert master_plan(letter, aql, severity) == cell


def cells(severity: Severity) -> list[list[tuple[str, int, int]]]:
    return [[master_plan(letter, aql, severity) for aql in AQLS] for letter in ROWS]


@pytest.mark.parametrize("severity", Severity)
def test_a_step_to_the_next_letter_and_a_step_to_the_next_aql_weigh_the_same(severity: Severity) -> None:
    """Along a diagonal all own plans have one acceptance number."""
    by_diagonal: dict[int, set[int]] = {}
    for row, plans in enumerate(cells(severity)):
        for column, (letter, _, accepts) in enumerate(plans):
            if letter == ROWS[row]:
                by_diagonal.setdefault(row + column, set()).add(accepts)
    assert all(len(found) == 1 for found in by_diagonal.values())
    assert len(by_diagonal) == {NORMAL: 9, TIGHTENED: 8, REDUCED: 8}[severity]


@pytest.mark.parametrize("severity", Severity)
def test_an_arrow_leads_to_the_nearest_plan_of_its_column(severity: Severity) -> None:
    table = cells(severity)
    for column, aql in enumerate(AQLS):
        own = [row for row in range(16) if table[row][column][0] == ROWS[row]]
        for row in range(16):
            target = LETTERS.index(table[row][column][0])
            if row not in own and target < 16:
                between = [item for item in own if min(row, target) < item < max(row, target)]
                assert target in own and not between, (severity, ROWS[row], aql)


@pytest.mark.parametrize("severity", Severity)
def test_a_larger_aql_never_asks_for_more_to_be_right(severity: Severity) -> None:
    for plans in cells(severity):
        shares = [accepts / size for _, size, accepts in plans]
        assert shares == sorted(shares)


def acceptance(size: int, accepts: int, share: float) -> float:
    return sum(comb(size, found) * share**found * (1 - share) ** (size - found) for found in range(accepts + 1))


@pytest.mark.parametrize(
    ("severity", "least", "most"), [(NORMAL, 0.87, 0.999), (TIGHTENED, 0.79, 0.997), (REDUCED, 0.94, 1.0)]
)
def test_a_lot_at_its_aql_is_accepted_as_often_as_the_standard_says(
    severity: Severity, least: float, most: float
) -> None:
    """Normal inspection accepts a process at its AQL with 87 % where Ac is 0, and with up to 99 % by large samples."""
    for row, plans in enumerate(cells(severity)):
        for column, (letter, size, accepts) in enumerate(plans):
            if letter == ROWS[row] and size > 3:
                found = acceptance(size, accepts, float(AQLS[column]) / 100)
                assert least <= found <= most, (letter, AQLS[column], found)


def test_tightened_inspection_is_never_the_easier_one_to_pass() -> None:
    for letter in ROWS[3:]:
        for aql in AQLS:
            normal, tightened = master_plan(letter, aql, NORMAL), master_plan(letter, aql, TIGHTENED)
            share = float(aql) / 100
            for times in (1, 2):
                assert acceptance(*tightened[1:], share * times) <= acceptance(*normal[1:], share * times) + 1e-9


@given(st.integers(1, 10**7), st.sampled_from(AQLS), st.sampled_from(InspectionLevel), st.sampled_from(Severity))
def test_a_plan_never_asks_for_more_than_there_is(
    lot: int, aql: str, level: InspectionLevel, severity: Severity
) -> None:
    plan = acceptance_plan(lot, aql, level, severity)
    assert 1 <= plan.sample_size <= lot
    assert plan.rejects == plan.accepts + 1


@pytest.mark.parametrize("severity", Severity)
@pytest.mark.parametrize("aql", AQLS)
@pytest.mark.parametrize("level", InspectionLevel)
def test_no_lot_of_which_everything_is_nonconforming_is_ever_accepted(
    severity: Severity, aql: str, level: InspectionLevel
) -> None:
    for lot in (*range(1, 300), 1200, 3200, 10_000, 500_000, 10**6):
        plan = acceptance_plan(lot, aql, level, severity)
        assert plan.accepts < plan.sample_size, lot


def test_what_is_no_lot_and_no_aql_is_refused() -> None:
    assert acceptance_plan(5, "0.010", InspectionLevel.II) == AcceptancePlan("Q", 5, 0)
    with pytest.raises(UsageError):
        acceptance_plan(0, "1.0", InspectionLevel.II)
    with pytest.raises(UsageError):
        acceptance_plan(5, "1.1", InspectionLevel.II)


@pytest.mark.parametrize(
    ("severity", "story", "then"),
    [
        (NORMAL, "....", NORMAL),
        (NORMAL, "x...x", TIGHTENED),
        (NORMAL, "x....x", NORMAL),
        (NORMAL, "xx", TIGHTENED),
        (TIGHTENED, "....", TIGHTENED),
        (TIGHTENED, ".....", NORMAL),
        (TIGHTENED, "x....", TIGHTENED),
        (TIGHTENED, "x.x.x.x.x", None),
        (REDUCED, "....", REDUCED),
        (REDUCED, "..x", NORMAL),
    ],
)
def test_switching_follows_section_9(severity: Severity, story: str, then: Severity | None) -> None:
    assert next_severity(severity, [sign == "." for sign in story]) is then
