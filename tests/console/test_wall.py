"""What the wall adds up, and who takes an alarm."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from eraser.console.alarms import Alarms, Kind, unacknowledged
from eraser.console.problems import NotFound
from eraser.console.throughput import MOST_POINTS, SPARK_POINTS, Throughput
from eraser.console.wall import Wall, lots_of
from eraser.domain.sayings import Code, all_recalled, say
from eraser.errors import Refused
from eraser.rack.view import BayState
from tests.console.stations import AT, FakeStation, a_busy_bay, a_snapshot, an_empty_bay
from tests.domain.builders import a_drive

BEGAN = datetime(2027, 1, 1, 15, 50, tzinfo=UTC)


def test_each_job_counts_once_for_its_shift_however_often_it_is_seen() -> None:
    clock = [BEGAN]
    ended = a_busy_bay(state=BayState.PASSED)
    station = FakeStation(a_snapshot(ended, a_busy_bay("A3", state=BayState.FAILED)))
    wall = Wall(station.snapshot, lambda: AT, lambda: clock[0])
    wall.look(1.0)
    wall.look(2.0)
    shift = wall.shift(station.shown)
    size = ended.drive.geometry.capacity_bytes if ended.drive else 0
    assert (shift.passed, shift.failed, shift.erased_bytes) == (1, 1, size)
    station.shown = a_snapshot(replace(ended, sighting="the next", job_id="another"))
    assert wall.shift(station.shown).passed == 2
    clock[0] += timedelta(minutes=11)  # past 16 o'clock: what was there before is not counted again
    after = wall.shift(station.shown)
    assert (after.passed, after.failed, after.since) == (0, 0, "2027-01-01T16:00:00Z")


def test_a_lot_ends_with_its_last_drive_and_those_that_wait_are_added_up() -> None:
    one = a_busy_bay("A1", lot="L1", bytes_per_second=100.0, eta_seconds=10.0)
    other = a_busy_bay("A2", lot="L1", bytes_per_second=100.0, eta_seconds=50.0)
    (lot,) = lots_of(a_snapshot(one, other))
    assert (lot.drives, lot.ended, lot.eta_seconds, lot.is_least) == (2, 0, 50.0, False)
    waiting = a_busy_bay("A3", lot="L1", state=BayState.WAITING, eta_seconds=None, bytes_per_second=0.0)
    (lot,) = lots_of(a_snapshot(one, other, waiting))
    assert lot.is_least and lot.eta_seconds == (10 * 100 + 50 * 100 + 2 * 1_000_204_886_016) / 200
    (still,) = lots_of(a_snapshot(waiting))
    assert still.eta_seconds is None


def test_an_alarm_is_of_one_drive_in_one_bay_and_ends_with_what_it_is_about() -> None:
    failed = a_busy_bay(
        state=BayState.FAILED, reasons=all_recalled("384 sectors do not hold what was written"), alarms=()
    )
    failed = replace(failed, alarm_sayings=())
    station = FakeStation(a_snapshot(failed, troubles=(say(Code.TROUBLE_LEDGER_FULL),)))
    alarms = Alarms(station.snapshot, lambda: AT)
    assert [alarm.kind for alarm in alarms.all()] == [Kind.NOT_READY, Kind.VERIFICATION_FAILED]
    taken = alarms.take("A1", failed.sighting, "verification-failed", "Li")
    assert (taken.taken_by, taken.taken_at) == ("Li", AT)
    assert alarms.take("A1", failed.sighting, "verification-failed", "Wang").taken_by == "Li"
    assert [alarm.kind for alarm in unacknowledged(alarms.all())] == [Kind.NOT_READY]
    station.shown = a_snapshot(replace(failed, sighting="the next drive"))
    assert [alarm.taken_by for alarm in alarms.all()] == [""]
    with pytest.raises(NotFound):
        alarms.take("A1", failed.sighting, "verification-failed", "Li")
    with pytest.raises(Refused):
        alarms.take("A1", "the next drive", "verification-failed", "")


def test_a_failure_that_is_none_of_reading_back_is_called_so() -> None:
    bay = a_busy_bay(
        state=BayState.FAILED, mismatched_sectors=0, reasons=all_recalled("given up: too slow"), alarms=("stuck",)
    )
    station = FakeStation(a_snapshot(bay))
    assert [alarm.kind for alarm in Alarms(station.snapshot, lambda: AT).all()] == [Kind.FAILED, Kind.STUCK]


def test_a_jobs_course_stays_small_and_keeps_its_mean() -> None:
    throughput, seconds = Throughput(), 10 * MOST_POINTS
    for second in range(seconds):
        rate = 100.0 if second % 2 else 300.0
        throughput.look(a_snapshot(a_busy_bay(bytes_per_second=rate)), float(second))
    points = throughput.course(a_busy_bay())
    assert len(points) <= MOST_POINTS + 1
    assert points[-1].at_seconds == seconds - 1
    assert sum(point.seconds for point in points) == pytest.approx(seconds - 1)
    mean = sum(point.rate * point.seconds for point in points) / (seconds - 1)
    assert mean == pytest.approx(200, rel=0.01)
    assert throughput.recent(a_busy_bay()) == (300.0, 100.0) * (SPARK_POINTS // 2)


def test_another_drive_in_the_bay_begins_another_course() -> None:
    throughput = Throughput()
    throughput.look(a_snapshot(a_busy_bay()), 0.0)
    throughput.look(a_snapshot(a_busy_bay(sighting="another", drive=a_drive(disk_sequence=8))), 1.0)
    assert len(throughput.course(a_busy_bay(sighting="another"))) == 1
    assert throughput.course(a_busy_bay()) == ()
    throughput.look(a_snapshot(an_empty_bay("A1")), 2.0)
    assert throughput.recent(a_busy_bay(sighting="another")) == ()
