"""What the wall adds up, and who takes an alarm."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest

from eraser.console.alarms import Alarms, Kind
from eraser.console.problems import NotFound
from eraser.console.throughput import MOST_POINTS, SPARK_POINTS, Throughput, earlier_points
from eraser.console.wall import Records, Wall, lots_of
from eraser.domain.events import Checkpoint, Entry, JobEvent, PassStarted, SightBegan
from eraser.domain.evidence import FlushProof
from eraser.domain.sayings import Code, all_recalled, say
from eraser.domain.shift import shifts_of
from eraser.errors import JournalError, Refused
from eraser.ledger.ended_jobs import EndedJob
from eraser.rack.view import BayState
from tests.console.stations import AT, FakeStation, a_busy_bay, a_snapshot, an_empty_bay
from tests.domain.builders import a_drive

BEGAN = datetime(2027, 1, 1, 15, 50, tzinfo=UTC)


def test_each_job_counts_once_for_its_shift_however_often_it_is_seen() -> None:
    clock = [BEGAN]
    ended = a_busy_bay(state=BayState.PASSED)
    station = FakeStation(a_snapshot(ended, a_busy_bay("A3", state=BayState.FAILED, job_id="third")))
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


async def test_an_alarm_is_of_one_drive_in_one_bay_and_ends_with_what_it_is_about() -> None:
    failed = a_busy_bay(
        state=BayState.FAILED, reasons=all_recalled("384 sectors do not hold what was written"), alarms=()
    )
    failed = replace(failed, alarm_sayings=())
    station = FakeStation(a_snapshot(failed, troubles=(say(Code.TROUBLE_LEDGER_FULL),)))
    alarms = Alarms(station.snapshot, lambda: AT)
    assert [alarm.kind for alarm in alarms.all()] == [Kind.NOT_READY, Kind.VERIFICATION_FAILED]
    taken = await alarms.take("A1", failed.sighting, "verification-failed", "Li")
    assert (taken.taken_by, taken.taken_at) == ("Li", AT)
    assert (await alarms.take("A1", failed.sighting, "verification-failed", "Wang")).taken_by == "Li"
    assert [alarm.kind for alarm in alarms.all() if not alarm.taken_by] == [Kind.NOT_READY]
    station.shown = a_snapshot(replace(failed, sighting="the next drive", job_id="its job"))
    assert [alarm.taken_by for alarm in alarms.all()] == [""]
    with pytest.raises(NotFound):
        await alarms.take("A1", failed.sighting, "verification-failed", "Li")
    with pytest.raises(Refused):
        await alarms.take("A1", "the next drive", "verification-failed", "")


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


# ---- after the station began anew


class Kept:
    """A book of alarms that outlives the wall."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[str, str]] = {}

    async def add(self, matter: str, name: str) -> str:
        if name:
            self.rows.setdefault(matter, (name, AT))
        else:
            self.rows.pop(matter, None)
        return AT

    async def taken(self) -> dict[str, tuple[str, str]]:
        return dict(self.rows)


async def test_who_has_an_alarm_in_hand_is_known_after_a_restart_which_shows_the_drive_otherwise() -> None:
    failed = a_busy_bay(
        state=BayState.FAILED, reasons=all_recalled("384 sectors do not hold what was written"), alarms=()
    )
    station, book = FakeStation(a_snapshot(replace(failed, alarm_sayings=()))), Kept()
    before = Alarms(station.snapshot, lambda: AT, book)
    await before.take("A1", failed.sighting, "verification-failed", "Li")
    station.shown = a_snapshot(an_empty_bay("A1"))
    after = Alarms(station.snapshot, lambda: "later", book)
    await after.recall()
    assert after.all() == ()  # the drive is not identified yet
    asked = say(Code.VERIFICATION_FAILED_BEFORE, job=failed.job_id)
    again = replace(failed, state=BayState.ASKING, sighting="of this run", job_id="", reasons=(), waiting=(asked,))
    station.shown = a_snapshot(replace(again, alarm_sayings=()))
    (alarm,) = after.all()
    assert (alarm.kind, alarm.taken_by, alarm.taken_at) == (Kind.VERIFICATION_FAILED, "Li", AT)
    station.shown = a_snapshot(an_empty_bay("A1"))
    assert after.all() == ()
    await after.keep()
    assert book.rows == {}


async def test_what_was_taken_and_does_not_come_back_is_over_in_time() -> None:
    station, book = FakeStation(a_snapshot(an_empty_bay("A1"))), Kept()
    await book.add("A1 S1 failed job-1", "Li")
    alarms = Alarms(station.snapshot, lambda: AT, book)
    await alarms.recall()
    alarms.all()
    await alarms.keep()
    assert len(book.rows) == 1
    alarms.expect_no_more()
    alarms.all()
    await alarms.keep()
    assert book.rows == {}


class Told:
    """Jobs that ended, as the ledger has them."""

    def __init__(self, *ended: EndedJob) -> None:
        self.ended = list(ended)
        self.asked: list[datetime] = []

    async def since(self, moment: datetime) -> list[EndedJob]:
        self.asked.append(moment)
        return self.ended


async def test_the_shift_goes_on_from_what_the_ledger_has_and_counts_no_job_twice() -> None:
    bay = a_busy_bay(state=BayState.PASSED)
    station, told = FakeStation(a_snapshot(bay)), Told(EndedJob(bay.job_id, True, 7), EndedJob("another", False, 7))
    shifts = shifts_of({"early": time(6), "late": time(14)})

    async def entries(job_id: str) -> tuple[Entry, ...]:
        raise JournalError("there is none", subject=job_id)

    records = Records(Kept(), told, entries)  # type: ignore[arg-type]
    wall = Wall(station.snapshot, lambda: AT, lambda: BEGAN, records=records, shifts=shifts)
    await wall.catch_up()
    shift = wall.shift(station.shown)
    assert (shift.passed, shift.failed, shift.erased_bytes, shift.name) == (1, 1, 7, "late")
    assert (shift.since, told.asked) == ("2027-01-01T14:00:00Z", [BEGAN.replace(hour=14, minute=0)])
    wall.set_shifts(shifts_of({"night": time(15)}))
    await wall.catch_up()
    shift = wall.shift(station.shown)
    assert (shift.passed, shift.failed, shift.name, shift.since) == (1, 1, "night", "2027-01-01T15:00:00Z")


def test_a_jobs_course_is_known_from_its_checkpoints_without_the_time_in_which_nobody_held_the_drive() -> None:
    def at(second: int, event: JobEvent) -> Entry:
        return Entry(0, f"2027-01-01T00:{second // 60:02}:{second % 60:02}.000Z", event)

    points = earlier_points(
        (
            at(0, SightBegan("boot")),
            at(0, PassStarted(1, 0)),
            at(10, Checkpoint(1, 1000, FlushProof.KERNEL_SENT, ())),
            at(20, Checkpoint(1, 3000, FlushProof.KERNEL_SENT, ())),
            at(600, SightBegan("another boot")),
            at(600, PassStarted(1, 3000)),
            at(610, Checkpoint(1, 4000, FlushProof.KERNEL_SENT, ())),
        )
    )
    assert [(point.at_seconds, point.rate) for point in points] == [(10, 100), (20, 200), (30, 100)]
    throughput, bay = Throughput(), a_busy_bay(bytes_per_second=300.0)
    throughput.look(a_snapshot(bay), 5.0)
    assert throughput.unrecalled() == [bay.job_id]
    throughput.recall(bay.job_id, points)
    assert throughput.unrecalled() == []
    throughput.look(a_snapshot(bay), 6.0)
    course = throughput.course(bay)
    assert [point.rate for point in course] == [100, 200, 100, 300, 300]
    assert [point.at_seconds for point in course] == [10, 20, 30, 30, 31]
    assert throughput.recent(bay)[-3:] == (100, 300, 300) and len(throughput.recent(bay)) == 32
