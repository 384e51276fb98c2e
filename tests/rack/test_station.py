"""The station: what becomes of drives that are plugged in, pulled, and ordered about. In simulated time, without threads."""

import asyncio
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eraser.domain.bay import BandwidthDomain, PowerDomain
from eraser.domain.job import Phase
from eraser.errors import Refused, UsageError
from eraser.ledger.journal import FileJournal
from eraser.rack.controls import ControlledIssuer
from eraser.rack.erasing import Erasing
from eraser.rack.view import BayState
from tests.rack.memory_rack import At, MemoryDrive, MemoryRack, Papers, a_map, a_station, played
from tests.rack.simulated_time import run

RUNNING = (BayState.WRITING, BayState.VERIFYING)


def certificates(folder: Path) -> list[str]:
    return sorted(path.read_text() for path in folder.glob("*.json"))


def open_phases(folder: Path) -> list[Phase]:
    """How the jobs that have something left to do stand in the journal: stopped in order, or torn off."""
    return [state.phase for state in FileJournal(folder / "journal", str).open_states()]


def test_a_drive_that_is_plugged_in_is_erased_by_itself(tmp_path: Path) -> None:
    drive = MemoryDrive()

    async def story(at: At) -> None:
        assert at.bay("A1").state is BayState.EMPTY
        at.memory.plug(drive, "A1")
        seen = await at.until("A1", BayState.WRITING)
        assert seen.drive is not None and seen.drive.identity.serial == "S1"
        seen = await at.until("A1", BayState.PASSED)
        assert seen.certificate == "job-1.json" and seen.job_id == "job-1"
        assert seen.written_bytes == seen.verified_bytes == drive.drive.geometry.capacity_bytes
        assert at.station.snapshot().jobs == {("passed", "random"): 1}

    played(tmp_path, story)
    assert not drive.has_customers_data


def test_a_drive_that_ends_while_nothing_is_certified_says_so_and_has_passed_once_its_certificate_is_there(
    tmp_path: Path,
) -> None:
    withheld = ["the dirty control is overdue"]
    papers = ControlledIssuer(Papers(tmp_path), lambda: "".join(withheld))

    async def story(at: At) -> None:
        at.memory.plug(MemoryDrive(), "A1")
        seen = await at.until("A1", BayState.INTERRUPTED)
        assert "it passed, and its certificate waits: the dirty control is overdue" in seen.reason
        at.memory.plug(MemoryDrive(serial="S2"), "A2")
        await at.until("A2", BayState.INTERRUPTED)  # nothing keeps other drives from being erased
        assert certificates(tmp_path) == [] and at.station.snapshot().jobs == {}
        withheld.clear()
        at.station.certified(await Erasing(at.station.parts, "").issue_due(seen.job_id))
        seen = await at.until("A1", BayState.PASSED)
        assert seen.certificate == "job-1.json" and seen.reason == ""
        assert at.bay("A2").state is BayState.INTERRUPTED
        assert at.station.snapshot().jobs == {("passed", "random"): 1}
        assert certificates(tmp_path) == ["passed"]

    played(tmp_path, story, papers=papers)


def test_where_drives_are_asked_about_nothing_is_written_before_somebody_says_so(tmp_path: Path) -> None:
    drive = MemoryDrive()

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        seen = await at.until("A1", BayState.ASKING)
        await asyncio.sleep(100)
        assert drive.ios == 0 and "start it" in seen.waits_for
        await at.start("A1", "zero")
        seen = await at.until("A1", BayState.PASSED)
        assert seen.standard == "zero"

    played(tmp_path, story, by_itself=False)


def test_a_drive_in_use_is_refused_with_its_reason_until_somebody_retries(tmp_path: Path) -> None:
    drive = MemoryDrive(used_by="/srv")

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        assert "mounted at /srv" in (await at.until("A1", BayState.REFUSED)).reason
        assert drive.ios == 0
        drive.used_by = ""
        await at.retry("A1")
        await at.until("A1", BayState.PASSED)

    played(tmp_path, story)


@pytest.mark.parametrize("other_bay", ["A1", "A3"])
def test_a_drive_that_is_pulled_goes_on_with_its_job_when_it_comes_back_in_any_bay(
    tmp_path: Path, other_bay: str
) -> None:
    drive = MemoryDrive()

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.WRITING)
        await asyncio.sleep(3)
        at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)
        assert open_phases(tmp_path) == [Phase.INTERRUPTED]
        at.memory.plug(drive, other_bay)
        seen = await at.until(other_bay, BayState.PASSED)
        assert seen.job_id == "job-1"

    played(tmp_path, story)
    assert certificates(tmp_path) == ["passed"]
    assert not drive.has_customers_data


def test_a_drive_that_moves_before_its_bay_is_done_with_it_is_waited_for(tmp_path: Path) -> None:
    drive = MemoryDrive()

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.WRITING)
        at.memory.pull("A1")
        at.memory.plug(drive, "A3")
        assert (await at.until("A3", BayState.PASSED)).job_id == "job-1"

    played(tmp_path, story)
    assert certificates(tmp_path) == ["passed"]


def test_an_interrupted_job_goes_on_by_itself_even_where_drives_are_asked_about(tmp_path: Path) -> None:
    async def story(at: At) -> None:
        at.memory.plug(MemoryDrive(), "A1")
        await at.until("A1", BayState.ASKING)
        await at.start("A1", "")
        await at.until("A1", BayState.WRITING)
        drive = at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)
        at.memory.plug(drive, "A2")
        await at.until("A2", BayState.PASSED)

    played(tmp_path, story, by_itself=False)


@pytest.mark.parametrize("restart", [False, True])
def test_a_drive_that_passed_is_not_erased_again_unasked(tmp_path: Path, restart: bool) -> None:
    drive, memory = MemoryDrive(), MemoryRack()

    async def first(at: At) -> None:
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.PASSED)
        at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)
        if not restart:
            await again(at)

    async def again(at: At) -> None:
        before = drive.ios
        at.memory.plug(drive, "A2")
        seen = await at.until("A2", BayState.ASKING)
        assert "passed here before (job job-1)" in seen.waits_for
        assert drive.ios == before
        await at.start("A2", "")
        assert (await at.until("A2", BayState.PASSED)).job_id == "job-2"

    played(tmp_path, first, memory=memory)
    if restart:
        played(tmp_path, again)


def test_a_bay_stays_failed_until_its_drive_leaves_or_somebody_retries(tmp_path: Path) -> None:
    drive = MemoryDrive(forgetful={5})

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        assert "do not hold" in (await at.until("A1", BayState.FAILED)).reason
        await asyncio.sleep(1000)
        assert at.bay("A1").state is BayState.FAILED
        drive.forgetful = set()
        await at.retry("A1")
        assert (await at.until("A1", BayState.PASSED)).job_id == "job-2"
        at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)

    played(tmp_path, story)
    assert certificates(tmp_path) == ["failed", "passed"]


def test_of_two_drives_that_say_the_same_of_themselves_the_second_is_refused(tmp_path: Path) -> None:
    one, clone = MemoryDrive(), MemoryDrive()

    async def story(at: At) -> None:
        at.memory.plug(one, "A1")
        await at.until("A1", *RUNNING)
        at.memory.plug(clone, "A2")
        assert "says the same of itself" in (await at.until("A2", BayState.REFUSED)).reason
        await at.until("A1", BayState.PASSED)

    played(tmp_path, story)
    assert clone.ios == 0


def test_a_drive_that_hangs_is_held_and_keeps_no_other_from_its_end(tmp_path: Path) -> None:
    async def story(at: At) -> None:
        at.memory.plug(MemoryDrive(hangs=True), "A1")
        at.memory.plug(MemoryDrive(serial="S2"), "A2")
        await at.until("A2", BayState.PASSED, seconds=25)
        seen = await at.until("A1", BayState.HELD)
        assert "power-cycle" in seen.reason
        with pytest.raises(Refused):
            await at.retry("A1")

    played(tmp_path, story)
    assert certificates(tmp_path) == ["failed", "passed"]


def test_the_station_stops_within_ten_seconds_beside_a_drive_that_hangs_and_goes_on_afterwards(tmp_path: Path) -> None:
    sick, sound = MemoryDrive(hangs=True), MemoryDrive(serial="S2")

    async def stop() -> None:
        loop = asyncio.get_running_loop()
        async with a_station(tmp_path) as at:
            at.memory.plug(sick, "A1")
            at.memory.plug(sound, "A2")
            await at.until("A1", BayState.WRITING)
            await at.until("A2", BayState.WRITING)
            await asyncio.sleep(3)
            before = loop.time()
        assert loop.time() - before < 10

    run(stop())
    assert certificates(tmp_path) == []
    assert open_phases(tmp_path) == [Phase.INTERRUPTED, Phase.INTERRUPTED]
    assert not sick.is_held and not sound.is_held

    async def go_on(at: At) -> None:
        sick.hangs = False
        at.memory.plug(sound, "A1")
        at.memory.plug(sick, "A2")
        assert (await at.until("A1", BayState.PASSED)).job_id in ("job-1", "job-2")
        await at.until("A2", BayState.PASSED)

    played(tmp_path, go_on)
    assert certificates(tmp_path) == ["passed", "passed"]


def test_no_more_drives_run_than_what_they_share_carries_and_those_that_wait_say_for_what(tmp_path: Path) -> None:
    bays = a_map(6, BandwidthDomain("hub", max_active_drives=2))

    async def story(at: At) -> None:
        for number in range(1, 7):
            at.memory.plug(MemoryDrive(serial=f"S{number}"), f"A{number}")
        seen = await at.until("A6", BayState.WAITING)
        await asyncio.sleep(1)
        seen = at.bay("A6")
        assert seen.waits_for == "waits for one of the 2 active drives of hub to end (at most 2)"
        assert at.station.snapshot().queue["active-drives"] == 4
        for number in range(1, 7):
            await at.until(f"A{number}", BayState.PASSED)
        assert at.memory.most_held == 2

    played(tmp_path, story, bays=bays)


def test_drives_on_one_supply_begin_one_after_the_other(tmp_path: Path) -> None:
    bays = a_map(3, power=PowerDomain("shelf", stagger_seconds=500.0))

    async def story(at: At) -> None:
        for number in range(1, 4):
            at.memory.plug(MemoryDrive(serial=f"S{number}"), f"A{number}")
        await at.until("A1", BayState.PASSED)
        assert at.bay("A2").state is BayState.WAITING and at.bay("A2").waits_for.endswith("of shelf to spin up")
        await at.until("A2", BayState.PASSED, seconds=600)
        assert 500 < asyncio.get_running_loop().time() < 600

    played(tmp_path, story, bays=bays)


def test_a_paused_job_rests_and_goes_on(tmp_path: Path) -> None:
    drive = MemoryDrive()

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.WRITING)
        await at.station.pause("A1")
        await at.until("A1", BayState.PAUSED)
        await asyncio.sleep(5)
        before = drive.ios
        await asyncio.sleep(500)
        assert drive.ios == before
        await at.resume("A1")
        await at.until("A1", BayState.PASSED)

    played(tmp_path, story)


def test_a_cancelled_job_stays_interrupted_until_it_is_resumed(tmp_path: Path) -> None:
    async def story(at: At) -> None:
        at.memory.plug(MemoryDrive(), "A1")
        await at.until("A1", BayState.WRITING)
        await at.station.cancel("A1")
        assert (await at.until("A1", BayState.INTERRUPTED)).reason == "stopped on request"
        await asyncio.sleep(500)
        assert at.bay("A1").state is BayState.INTERRUPTED
        await at.resume("A1")
        assert (await at.until("A1", BayState.PASSED)).job_id == "job-1"

    played(tmp_path, story)


def test_a_bay_in_maintenance_begins_nothing_until_it_is_back_in_service(tmp_path: Path) -> None:
    async def story(at: At) -> None:
        at.memory.plug(MemoryDrive(), "A1")
        await at.until("A1", BayState.WRITING)
        await at.station.maintain("A1", on=True)
        await at.until("A1", BayState.MAINTENANCE)
        await asyncio.sleep(100)
        assert at.bay("A1").state is BayState.MAINTENANCE
        await at.station.maintain("A1", on=False)
        assert (await at.until("A1", BayState.PASSED)).job_id == "job-1"

    played(tmp_path, story)


def test_a_station_that_drains_ends_what_runs_and_begins_nothing(tmp_path: Path) -> None:
    async def story(at: At) -> None:
        at.memory.plug(MemoryDrive(), "A1")
        await at.until("A1", BayState.WRITING)
        await at.station.drain(on=True)
        at.memory.plug(MemoryDrive(serial="S2"), "A2")
        await at.until("A1", BayState.PASSED)
        assert at.bay("A2").state is BayState.WAITING and at.station.snapshot().is_draining
        await at.station.cancel("A2")
        await at.until("A2", BayState.ASKING)
        await at.station.drain(on=False)
        await at.start("A2", "")
        await at.until("A2", BayState.PASSED)

    played(tmp_path, story)


def test_orders_that_cannot_be_obeyed_say_why(tmp_path: Path) -> None:
    async def story(at: At) -> None:
        with pytest.raises(UsageError, match="there is no bay 'B9'"):
            await at.station.pause("B9")
        with pytest.raises(Refused, match="it is empty and cannot obey start"):
            await at.start("A1", "")
        at.memory.plug(MemoryDrive(used_by="/srv"), "A1")
        await at.until("A1", BayState.REFUSED)
        with pytest.raises(UsageError):
            await at.start("A1", "no-such-standard")

    played(tmp_path, story)


def test_a_fault_of_this_program_in_one_bay_leaves_the_others_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_if_used(self: MemoryRack, drive: Any) -> None:
        if drive.identity.serial == "S1":
            raise ZeroDivisionError

    monkeypatch.setattr(MemoryRack, "refuse_if_used", refuse_if_used)

    async def story(at: At) -> None:
        at.memory.plug(MemoryDrive(), "A1")
        at.memory.plug(MemoryDrive(serial="S2"), "A2")
        assert "a fault of this program" in (await at.until("A1", BayState.REFUSED)).reason
        await at.until("A2", BayState.PASSED)

    played(tmp_path, story)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_hands_do_no_drive_has_two_jobs_and_none_passes_with_data_on_it(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    bays = a_map(4, BandwidthDomain("hub", max_active_drives=2))
    drives = [MemoryDrive(serial=f"S{number}") for number in range(4)]
    drives[0].forgetful = {chance.randrange(64)}
    outside = list(drives)

    async def story(at: At) -> None:
        for _ in range(40):
            await asyncio.sleep(chance.choice([0.0, 0.1, 1.0, 7.0, 30.0]))
            names = [f"A{number}" for number in range(1, 5)]
            match chance.choice(["plug", "plug", "pull", "order"]):
                case "plug" if outside and (free := [name for name in names if name not in at.memory.plugged]):
                    at.memory.plug(outside.pop(chance.randrange(len(outside))), chance.choice(free))
                case "pull" if at.memory.plugged:
                    outside.append(at.memory.pull(chance.choice(sorted(at.memory.plugged))))
                case "order":
                    name = chance.choice(names)
                    order = chance.choice(["pause", "resume", "cancel", "retry"])
                    give = at.retry if order == "retry" else getattr(at.station, order)
                    try:
                        await give(name)
                    except Refused:
                        continue
            for seen in at.station.snapshot().bays:
                here = at.memory.plugged.get(seen.name)
                if seen.state is BayState.PASSED and here is not None and seen.drive is not None:
                    drive = here[0]
                    assert drive.serial != seen.drive.identity.serial or not drive.has_customers_data
                    assert drive.serial != "S0"
        assert at.memory.most_held <= 2

    played(tmp_path, story, bays=bays, seed=seed)
    assert not any(drive.is_held for drive in drives)


def test_the_same_seed_tells_the_same_story(tmp_path: Path) -> None:
    def events(folder: Path) -> list[bytes]:
        return [path.read_bytes() for path in sorted(folder.rglob("*.journal"))]

    for name in ("one", "other"):
        (tmp_path / name).mkdir()

        async def story(at: At) -> None:
            for number in range(1, 4):
                at.memory.plug(replace(MemoryDrive(), serial=f"S{number}"), f"A{number}")
            for number in range(1, 4):
                await at.until(f"A{number}", BayState.PASSED)

        played(tmp_path / name, story)
    assert events(tmp_path / "one") == events(tmp_path / "other")
