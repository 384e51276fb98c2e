"""The station's watchdog: what it says of drives in bays, and what it does about them. In simulated time, without threads."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pytest
from structlog.testing import capture_logs

from eraser.domain.events import Reason
from eraser.domain.failure import FailureCriteria
from eraser.domain.job import Phase
from eraser.domain.watchdog import Heat, Limits
from eraser.errors import Refused
from eraser.ledger.journal import FileJournal
from eraser.rack.erasing import Request
from eraser.rack.view import BayState
from eraser.rack.watchdog import READ_EVERY_SECONDS, READ_SECONDS, Watch
from tests.rack.file_history import finished_states
from tests.rack.memory_rack import STEP_SECONDS, TUNING, At, MemoryDrive, MemoryRack, a_map, a_station
from tests.rack.simulated_time import run

P = ParamSpec("P")
T = TypeVar("T")

LIMITS = Limits(io_seconds=30, window_seconds=10, errors_per_minute=100)
STEP_BYTES = TUNING.checkpoint_bytes
LONG = 8 * 160
"""Sectors that take nearly three minutes to write."""


@pytest.fixture(autouse=True)
def nobody_waits_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of events a test: how durable they are is shown elsewhere."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    monkeypatch.setattr(os, "fdatasync", lambda fd: None)


def watching(memory: MemoryRack, **changes: Any) -> Watch:
    return replace(Watch(LIMITS, Heat(60, 50), Heat(75, 65), memory.celsius), **changes)


def played(
    folder: Path, story: Callable[[At], Coroutine[Any, Any, None]], watch: Watch | None = None, **station: Any
) -> list[Any]:
    """Plays a story at a station of its own; what it has logged."""
    memory = station.pop("memory", None) or MemoryRack()

    async def play() -> None:
        async with a_station(folder, memory=memory, watch=watch or watching(memory), **station) as at:
            await story(at)

    with capture_logs() as logs:
        run(play())
    assert not [entry for entry in logs if entry["event"] == "fault of this program"]
    return logs


def alarms(logs: list[Any], bay: str = "A1") -> list[tuple[str, str]]:
    return [(log["event"], log["alarm"]) for log in logs if log["event"].startswith("alarm") and log["bay"] == bay]


def failing(**criteria: int) -> Request:
    return Request("random", failure=FailureCriteria(**criteria))


def reasons(folder: Path) -> dict[str, str]:
    """Why the first job ended as it did, by its journal."""
    (state,) = finished_states(folder / "journal")
    return {reason.code: reason.what for reason in state.reasons}


# ---- stuck


def test_a_drive_that_hangs_is_called_stuck_at_its_limit_and_not_before(tmp_path: Path) -> None:
    drive = MemoryDrive(sectors=LONG)

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.WRITING)
        drive.hangs = True
        while not at.bay("A1").alarms:
            assert at.bay("A1").oldest_io_seconds < 32
            await asyncio.sleep(0.25)
        seen = at.bay("A1")
        assert seen.alarms == ("stuck",) and 30 <= seen.oldest_io_seconds < 32 and seen.stalls == 1
        drive.hangs = False
        await asyncio.sleep(3)
        assert at.bay("A1").alarms == () and at.bay("A1").stalls == 1
        assert (await at.until("A1", BayState.PASSED, seconds=1000)).stalls == 1

    logs = played(tmp_path, story)
    assert alarms(logs) == [("alarm begins", "stuck"), ("alarm ends", "stuck")]


def test_a_drive_that_stays_stuck_is_held_and_no_longer_alarmed_about(tmp_path: Path) -> None:
    drive = MemoryDrive(sectors=LONG)

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.WRITING)
        drive.hangs = True
        await at.until("A1", BayState.HELD)
        await asyncio.sleep(2)
        assert at.bay("A1").alarms == ()

    assert alarms(played(tmp_path, story)) == [("alarm begins", "stuck"), ("alarm ends", "stuck")]


# ---- slow


def test_a_drive_that_slows_down_is_called_slow_until_it_is_done_or_fast_again(tmp_path: Path) -> None:
    drive = MemoryDrive(sectors=LONG)

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.WRITING)
        await asyncio.sleep(60)
        assert at.bay("A1").alarms == ()
        drive.step_seconds = 3.0
        await asyncio.sleep(35)
        assert at.bay("A1").alarms == ("slow",)
        assert "by what it did before" in at.bay("A1").alarm_reasons[0]
        drive.step_seconds = 1.0
        await asyncio.sleep(25)
        assert at.bay("A1").alarms == ()

    assert alarms(played(tmp_path, story)) == [("alarm begins", "slow"), ("alarm ends", "slow")]


def test_of_four_twins_the_slow_one_is_named_and_no_other(tmp_path: Path) -> None:
    async def story(at: At) -> None:
        for number in range(1, 5):
            step = 3.0 if number == 3 else 1.0
            at.memory.plug(MemoryDrive(sectors=LONG, serial=f"S{number}", step_seconds=step), f"A{number}")
        await asyncio.sleep(40)
        assert [at.bay(f"A{number}").alarms for number in range(1, 5)] == [(), (), ("slow",), ()]
        assert "3 others of its model" in at.bay("A3").alarm_reasons[0]
        at.memory.pull("A1")
        await asyncio.sleep(60)
        assert at.bay("A3").alarms == ()  # two are too few to say so

    played(tmp_path, story, bays=a_map(4))


def test_a_pause_makes_nobody_slow(tmp_path: Path) -> None:
    async def story(at: At) -> None:
        at.memory.plug(MemoryDrive(sectors=LONG), "A1")
        await at.until("A1", BayState.WRITING)
        await asyncio.sleep(60)
        await at.station.pause("A1")
        await asyncio.sleep(200)
        await at.resume("A1")
        await at.until("A1", BayState.PASSED, seconds=1000)

    assert alarms(played(tmp_path, story)) == []


def test_a_drive_whose_errors_grow_is_named(tmp_path: Path) -> None:
    drive = MemoryDrive(sectors=LONG, retries_per_sector=1)

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.WRITING)
        await asyncio.sleep(20)
        assert at.bay("A1").alarms == ("errors",)

    played(tmp_path, story)


# ---- hot


async def assert_rests(at: At, drive: MemoryDrive, seconds: float) -> None:
    """Nothing at all is done to the drive, after what was under way when it was told to rest."""
    await asyncio.sleep(2 * STEP_SECONDS)
    before = drive.ios
    await asyncio.sleep(seconds)
    assert drive.ios == before and at.bay("A1").state is BayState.PAUSED


def test_a_hot_drive_rests_until_it_is_cool(tmp_path: Path) -> None:
    drive = MemoryDrive(sectors=LONG, celsius=45.0)

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.WRITING)
        await asyncio.sleep(READ_EVERY_SECONDS + 2)
        assert at.bay("A1").temperature_celsius == 45.0 and at.bay("A1").alarms == ()
        drive.celsius = 61.0
        seen = await at.until("A1", BayState.PAUSED, seconds=READ_EVERY_SECONDS + 2)
        assert seen.alarms == ("hot",) and seen.pauses == ("heat",)
        assert seen.waits_for == "rests until it is below 50 °C"
        drive.celsius = 55.0
        await assert_rests(at, drive, 100)
        drive.celsius = 49.0
        await at.until("A1", BayState.WRITING, seconds=READ_EVERY_SECONDS + 2)
        assert at.bay("A1").alarms == at.bay("A1").pauses == ()
        await at.until("A1", BayState.PASSED, seconds=1000)

    assert alarms(played(tmp_path, story)) == [("alarm begins", "hot"), ("alarm ends", "hot")]


def test_a_drive_that_is_hot_before_its_job_begins_is_not_written_to(tmp_path: Path) -> None:
    drive = MemoryDrive(sectors=LONG, celsius=70.0, step_seconds=0.05)

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.ASKING)
        await asyncio.sleep(3)
        assert at.bay("A1").alarms == ("hot",)
        await at.station.start("A1", "", at.bay("A1").sighting)
        await at.until("A1", BayState.PAUSED)
        await assert_rests(at, drive, 30)
        assert drive.ios == 0

    played(tmp_path, story, by_itself=False)


def test_a_person_s_resume_does_not_override_heat(tmp_path: Path) -> None:
    drive = MemoryDrive(sectors=LONG, celsius=70.0)

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.PAUSED)
        with pytest.raises(Refused, match="rests until it is below 50 °C"):
            await at.resume("A1")
        await at.station.pause("A1")
        assert at.station._bays["A1"].snapshot().pauses == ("heat", "person")
        await at.resume("A1")  # takes back the person's own pause
        await assert_rests(at, drive, 30)
        assert at.bay("A1").pauses == ("heat",)
        drive.celsius = 40.0
        await at.until("A1", BayState.WRITING, seconds=READ_EVERY_SECONDS + 2)

    played(tmp_path, story)


@pytest.mark.parametrize("person_first", [True, False])
def test_cooling_does_not_resume_what_a_person_paused(tmp_path: Path, person_first: bool) -> None:
    drive = MemoryDrive(sectors=LONG, celsius=30.0)

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.WRITING)
        if person_first:
            await at.station.pause("A1")
        drive.celsius = 70.0
        await asyncio.sleep(READ_EVERY_SECONDS + 2)
        if not person_first:
            await at.station.pause("A1")
        drive.celsius = 30.0
        await asyncio.sleep(READ_EVERY_SECONDS + 2)
        await assert_rests(at, drive, 60)
        assert at.bay("A1").pauses == ("person",)
        await at.resume("A1")
        await at.until("A1", BayState.PASSED, seconds=1000)

    played(tmp_path, story)


def test_a_station_that_stops_takes_a_hot_drive_s_job_to_its_checkpoint(tmp_path: Path) -> None:
    memory = MemoryRack()
    drive = MemoryDrive(sectors=LONG, celsius=70.0)

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.PAUSED)

    logs = played(tmp_path, story, memory=memory)
    assert not [log for log in logs if "did not stop in time" in log["event"]]
    assert [state.phase for state in FileJournal(tmp_path / "journal", str).open_states()] == [Phase.INTERRUPTED]


def test_a_hot_drive_can_be_cancelled_and_begins_to_rest_when_it_is_resumed(tmp_path: Path) -> None:
    drive = MemoryDrive(sectors=LONG, celsius=70.0)

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.PAUSED)
        await at.station.cancel("A1")
        await at.until("A1", BayState.INTERRUPTED)
        await at.resume("A1")
        await at.until("A1", BayState.PAUSED)
        drive.celsius = 30.0
        await at.until("A1", BayState.PASSED, seconds=1000)

    played(tmp_path, story)


def test_the_next_drive_does_not_rest_for_the_heat_of_the_one_before(tmp_path: Path) -> None:
    async def story(at: At) -> None:
        at.memory.plug(MemoryDrive(sectors=LONG, celsius=70.0), "A1")
        await at.until("A1", BayState.PAUSED)
        at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)
        at.memory.plug(MemoryDrive(serial="S2", celsius=30.0), "A1")
        assert (await at.until("A1", BayState.PASSED)).alarms == ()

    logs = played(tmp_path, story)
    assert alarms(logs) == [("alarm begins", "hot"), ("alarm ends", "hot")]


def test_a_drive_that_does_not_say_how_warm_it_is_never_rests_for_it(tmp_path: Path) -> None:
    async def story(at: At) -> None:
        at.memory.plug(MemoryDrive(), "A1")
        assert (await at.until("A1", BayState.PASSED)).temperature_celsius is None

    assert alarms(played(tmp_path, story)) == []


def test_a_thermometer_that_hangs_is_asked_once_and_its_bay_goes_on(tmp_path: Path) -> None:
    memory = MemoryRack()
    asked = [0]

    async def story(at: At) -> None:
        never = asyncio.Event()

        async def hanging(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
            asked[0] += 1
            if asked[0] > 1:
                await never.wait()
            return function(*args, **kwargs)

        at.station._watchdog._call = hanging
        at.memory.plug(MemoryDrive(sectors=LONG, celsius=40.0), "A1")
        await at.until("A1", BayState.WRITING)
        await asyncio.sleep(READ_EVERY_SECONDS)
        assert at.bay("A1").temperature_celsius == 40.0
        await asyncio.sleep(READ_SECONDS + 4)
        assert at.bay("A1").temperature_celsius is None
        await at.until("A1", BayState.PASSED, seconds=1000)

    played(tmp_path, story, memory=memory)
    assert asked == [2]


# ---- failure criteria


async def ends_early(at: At, drive: MemoryDrive, within: float) -> None:
    at.memory.plug(drive, "A1")
    await at.until("A1", BayState.WRITING)
    seen = await at.until("A1", BayState.FAILED, seconds=within)
    assert seen.certificate == "job-1.json"


def test_too_many_retries_end_the_job(tmp_path: Path) -> None:
    async def story(at: At) -> None:
        await ends_early(at, MemoryDrive(sectors=LONG, retries_per_sector=1), within=20)

    played(tmp_path, story, request=failing(max_retries=40))
    assert "the failure criterion is more than 40" in reasons(tmp_path)["too-many-retries"]


def test_too_many_bad_extents_end_the_job(tmp_path: Path) -> None:
    async def story(at: At) -> None:
        await ends_early(at, MemoryDrive(sectors=LONG, bad=set(range(16, LONG, 5))), within=30)

    played(tmp_path, story, request=failing(max_bad_extents=10))
    assert "too-many-bad-extents" in reasons(tmp_path)


def test_as_many_faults_as_are_allowed_end_nothing(tmp_path: Path) -> None:
    async def story(at: At) -> None:
        at.memory.plug(MemoryDrive(retries_per_sector=1), "A1")
        await at.until("A1", BayState.PASSED)

    played(tmp_path, story, request=failing(max_retries=128, max_bad_extents=1, min_bytes_per_second=1))


def test_retries_in_the_last_moment_of_the_job_count(tmp_path: Path) -> None:
    """One more than was allowed, and only the report of the last reading tells of it."""

    async def story(at: At) -> None:
        at.memory.plug(MemoryDrive(retries_at_end=1), "A1")
        await at.until("A1", BayState.FAILED)

    played(tmp_path, story, request=failing(max_retries=1))
    assert list(reasons(tmp_path)) == ["too-many-retries"]


def test_a_drive_that_is_too_slow_for_minutes_ends_the_job(tmp_path: Path) -> None:
    drive = MemoryDrive(sectors=LONG)

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.WRITING)
        await asyncio.sleep(50)
        drive.step_seconds = 4.0
        seen = await at.until("A1", BayState.FAILED, seconds=60)
        assert "bytes/s for 3" in seen.reason

    logs = played(tmp_path, story, request=failing(min_bytes_per_second=int(0.5 * STEP_BYTES / STEP_SECONDS)))
    assert [log["event"] for log in logs].count("job given up") == 1
    assert "too-slow" in reasons(tmp_path)


@pytest.mark.parametrize(
    ("reallocated", "ends"), [(11, BayState.FAILED), (10, BayState.PASSED), (None, BayState.PASSED)]
)
def test_a_drive_that_has_replaced_too_many_sectors_fails_before_anything_is_written(
    tmp_path: Path, reallocated: int | None, ends: BayState
) -> None:
    drive = MemoryDrive(reallocated_sectors=reallocated)

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        assert (await at.until("A1", BayState.FAILED, BayState.PASSED)).state is ends

    played(tmp_path, story, request=failing(max_reallocated_sectors=10))
    (state,) = finished_states(tmp_path / "journal")
    assert state.plan is not None
    assert any("does not say" in note for note in state.plan.notes) == (reallocated is None)
    if ends is BayState.FAILED:
        assert "too-many-reallocated-sectors" in reasons(tmp_path) and drive.ios == 0 and drive.has_customers_data


def test_a_job_that_rests_is_not_too_slow(tmp_path: Path) -> None:
    async def story(at: At) -> None:
        at.memory.plug(MemoryDrive(sectors=LONG), "A1")
        await at.until("A1", BayState.WRITING)
        await at.station.pause("A1")
        await asyncio.sleep(500)
        await at.resume("A1")
        await at.until("A1", BayState.PASSED, seconds=1000)

    played(tmp_path, story, request=failing(min_bytes_per_second=int(0.5 * STEP_BYTES / STEP_SECONDS)))


def test_a_job_that_is_given_up_while_it_rests_ends(tmp_path: Path) -> None:
    async def story(at: At) -> None:
        at.memory.plug(MemoryDrive(sectors=LONG), "A1")
        await at.until("A1", BayState.WRITING)
        await at.station.pause("A1")
        await asyncio.sleep(5)
        at.station._bays["A1"].give_up(Reason("too-slow", "too slow"))
        await at.until("A1", BayState.FAILED, seconds=10)

    played(tmp_path, story)
    assert "too-slow" in reasons(tmp_path)
