"""Failure criteria: each ends a job with its own reason, and none makes any verdict better."""

from dataclasses import replace

import pytest

from eraser.domain.events import Checkpoint, JobGivenUp, Outcome, PassEnded, PassStarted, Reason, SightBegan
from eraser.domain.evidence import BadExtent, Extent, FlushProof, Operation
from eraser.domain.failure import NO_CRITERIA, FailureCriteria, Faults, faults_of
from eraser.domain.job import apply
from eraser.domain.verdict import judge
from tests.domain.jobs import CAPACITY, SECTOR, a_plan, a_report, cut_short, folded, planned, read_back
from tests.domain.test_job import HOLES, HONEST, passes_after
from tests.domain.test_verdict import ONLY

GIVEN_UP = Reason("too-many-retries", "11 retries")


def bad(*sectors: int) -> tuple[BadExtent, ...]:
    return tuple(BadExtent(Extent(sector * SECTOR, SECTOR), Operation.WRITE, 5) for sector in sectors)


def test_a_limit_is_met_when_it_is_passed_and_not_before() -> None:
    criteria = FailureCriteria(max_bad_extents=2, max_retries=10)
    assert criteria.of_faults(Faults(10).with_more(0, bad(1, 2))) is None
    for faults, code in (
        (Faults(11), "too-many-retries"),
        (Faults().with_more(0, bad(1, 2, 3)), "too-many-bad-extents"),
    ):
        reason = criteria.of_faults(faults)
        assert reason is not None and reason.code == code and "the failure criterion is more than" in reason.what


def test_a_drive_that_does_not_say_how_many_sectors_it_replaced_is_allowed() -> None:
    criteria = FailureCriteria(max_reallocated_sectors=0)
    assert criteria.of_drive(None) is None
    assert criteria.of_drive(0) is None
    reason = criteria.of_drive(1)
    assert reason is not None and reason.code == "too-many-reallocated-sectors"


def test_a_drive_is_too_slow_below_the_least_rate() -> None:
    criteria = FailureCriteria(min_bytes_per_second=1000)
    assert criteria.of_speed(1000.0, 180) is None
    reason = criteria.of_speed(999.0, 180)
    assert reason is not None and reason.code == "too-slow"


def test_without_criteria_nothing_is_ever_met() -> None:
    assert NO_CRITERIA.of_faults(Faults(10**9).with_more(0, bad(*range(1000)))) is None
    assert NO_CRITERIA.of_speed(0.0, 10**6) is None
    assert NO_CRITERIA.of_drive(10**6) is None


def test_an_extent_that_fails_in_several_passes_is_one() -> None:
    faults = Faults().with_more(3, bad(1, 2)).with_more(4, bad(2, 3))
    assert (faults.retries, len(faults.bad_extents)) == (7, 3)


def test_the_faults_of_earlier_runs_are_on_record() -> None:
    state = folded(
        (
            *planned(a_plan()),
            SightBegan("boot"),
            PassStarted(1, 0),
            Checkpoint(1, SECTOR, FlushProof.KERNEL_SENT, bad(0)),
            SightBegan("boot"),
            PassStarted(1, SECTOR),
            PassEnded(1, cut_short(CAPACITY // 2, SECTOR, retries=5, bad_extents=bad(1), bad_bytes=SECTOR)),
            PassStarted(1, SECTOR),
            PassEnded(1, a_report(SECTOR, retries=2)),
            *read_back(1, report=a_report(retries=1, bad_extents=bad(0), bad_bytes=SECTOR)),
        )
    )
    faults = faults_of(state)
    assert (faults.retries, len(faults.bad_extents)) == (8, 2)


# ---- no failure becomes a pass


@pytest.mark.parametrize(("code", "facts"), ONLY, ids=[f"{number}-{code}" for number, (code, _) in enumerate(ONLY)])
def test_what_failed_fails_with_a_criterion_as_well_for_one_reason_more(code: str, facts) -> None:
    without, reasons = judge(facts)
    if facts.given_up is not None:
        return
    outcome, more = judge(replace(facts, given_up=GIVEN_UP))
    assert without is outcome is Outcome.FAILED
    assert set(more) == {*reasons, GIVEN_UP}


@pytest.mark.parametrize("name", HONEST)
def test_what_would_have_passed_fails_once_it_was_given_up_at_any_moment(name: str) -> None:
    events = HONEST[name][:-1]
    assert judge(folded(events).facts())[0] is Outcome.PASSED
    for place in range(3, len(events) + 1):
        state = folded((*events[:place], JobGivenUp(GIVEN_UP), *events[place:]))
        assert judge(state.facts()) == (Outcome.FAILED, (GIVEN_UP,))


@pytest.mark.parametrize("name", HOLES)
def test_a_hole_is_none_the_better_for_being_given_up(name: str) -> None:
    assert not passes_after((*HOLES[name], JobGivenUp(GIVEN_UP)))


def test_the_first_criterion_that_was_met_is_the_one_that_is_told() -> None:
    state = folded((*planned(a_plan()), JobGivenUp(GIVEN_UP)))
    assert apply(state, JobGivenUp(Reason("too-slow", "later")), "").given_up == GIVEN_UP
