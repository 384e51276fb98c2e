"""What a customer sees follows from what happened to their own drive, and from nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraser.domain.attendance import Attendance, Confirmed, Consented, JobSeen, Opened, Step, fold, step
from eraser.domain.custody import DriveName
from eraser.rack.view import BayState

OPENED = Opened("A1", "seen-1", DriveName("S1"), "Spinner", "clerk-1")
STATES = [None, *(state.value for state in BayState)]


def test_what_comes_twice_counts_the_first_time() -> None:
    events = [("1", OPENED), ("2", Consented("en", "a")), ("3", Consented("zh-CN", "b")), ("4", JobSeen("job-1"))]
    events += [("5", JobSeen("job-2")), ("6", Confirmed("r", True)), ("7", Confirmed("s", False)), ("8", OPENED)]
    assert fold(events) == Attendance("1", OPENED, "2", "job-1", "6", "r")
    assert fold(events[1:4]) is None


@given(st.sampled_from(STATES), st.sampled_from([None, "passed", "failed", "withdrawn"]), st.booleans())
def test_only_a_certificate_that_says_passed_lets_it_be_erased(state: str, outcome: str, has_agreed: bool) -> None:
    attendance = Attendance("1", OPENED, "2" if has_agreed else "")
    found = step(attendance, state, outcome)
    assert (found is Step.PASSED) == (outcome == "passed")
    if outcome is None and state is None:
        assert found is Step.GONE


@pytest.mark.parametrize("state", ["asking", "waiting", "identifying"])
def test_before_the_start_they_are_asked_until_they_agree(state: str) -> None:
    assert step(Attendance("1", OPENED), state, None) is Step.EXPLAINED
    assert step(Attendance("1", OPENED, "2"), state, None) is Step.AGREED
