"""Which shift is on, and when it began."""

from __future__ import annotations

from datetime import UTC, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraser.domain.shift import USUAL, Shifts, shifts_of

TWO = shifts_of({"late": time(18), "early": time(6, 30)})


@pytest.mark.parametrize(
    ("now", "began", "ends", "name"),
    [
        ("2027-01-02T06:30", "2027-01-02T06:30", "2027-01-02T18:00", "early"),
        ("2027-01-02T17:59", "2027-01-02T06:30", "2027-01-02T18:00", "early"),
        ("2027-01-02T23:00", "2027-01-02T18:00", "2027-01-03T06:30", "late"),
        ("2027-01-02T06:29", "2027-01-01T18:00", "2027-01-02T06:30", "late"),
    ],
)
def test_a_shift_lasts_until_the_next_begins_also_over_midnight(now: str, began: str, ends: str, name: str) -> None:
    moments = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (now, began, ends)]
    assert TWO.at(moments[0]) == (moments[1], moments[2], name)


def test_without_any_that_are_set_up_there_are_three_without_a_name() -> None:
    assert shifts_of({}) == USUAL
    began, ends, name = USUAL.at(datetime(2027, 1, 1, 15, 50, tzinfo=UTC))
    assert (began.hour, ends.hour, name) == (8, 16, "")


@given(st.sets(st.times(), min_size=1, max_size=6), st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1)))
def test_every_moment_is_in_one_shift_which_begins_as_the_plant_says(begins: set[time], moment: datetime) -> None:
    now = moment.replace(tzinfo=UTC)
    began, ends, name = Shifts(tuple((item, str(item)) for item in begins)).at(now)
    assert began <= now < ends and began.time() in begins and ends.time() in begins and name == str(began.time())
