"""Another configuration while the station runs: what counts at once, and what is left to a job that runs. In simulated time."""

import asyncio
from dataclasses import replace
from pathlib import Path

from eraser.domain.bay import BandwidthDomain, Bay, BayMap, BayName, PlaceKind, PlacePattern
from eraser.errors import UsageError
from eraser.rack.erasing import Request
from eraser.rack.intake import Intake
from eraser.rack.view import BayState
from tests.rack.memory_rack import At, MemoryDrive, a_map, played


def reconfigure(at: At, bays: BayMap, *, standard: str = "random", by_itself: bool = True) -> None:
    at.station.reconfigure(bays, Intake(Request(standard), by_itself), at.station.watch)


def at_slots(**slots: str) -> BayMap:
    """Bays by name, each at the slot that is given."""
    return BayMap(tuple(Bay(BayName(name), (PlacePattern(PlaceKind.PATH, slot),)) for name, slot in slots.items()))


def names(at: At) -> list[str]:
    return [bay.name for bay in at.station.snapshot().bays]


def test_a_bay_that_is_added_takes_the_drive_that_is_there_already(tmp_path: Path) -> None:
    async def story(at: At) -> None:
        at.memory.plug(MemoryDrive(), "A2")
        await asyncio.sleep(10)
        reconfigure(at, a_map(2))
        await at.until("A2", BayState.PASSED)
        at.memory.pull("A2")
        await at.until("A2", BayState.EMPTY)

    played(tmp_path, story, bays=a_map(1))


def test_a_bay_without_a_job_goes_at_once_and_its_drive_with_it(tmp_path: Path) -> None:
    drive = MemoryDrive()

    async def story(at: At) -> None:
        at.memory.plug(drive, "A2")
        await at.until("A2", BayState.ASKING)
        reconfigure(at, a_map(1), by_itself=False)
        await asyncio.sleep(1)
        assert names(at) == ["A1"]
        reconfigure(at, a_map(2))
        await at.until("A2", BayState.PASSED)

    played(tmp_path, story, bays=a_map(2), by_itself=False)


def test_the_job_in_a_bay_that_is_taken_away_goes_on_to_its_end(tmp_path: Path) -> None:
    drive = MemoryDrive()

    async def story(at: At) -> None:
        at.memory.plug(drive, "A2")
        await at.until("A2", BayState.WRITING)
        reconfigure(at, a_map(1))
        await asyncio.sleep(3)
        assert names(at) == ["A1", "A2"]
        async with asyncio.timeout(600):
            while "A2" in names(at):  # noqa: ASYNC110
                await asyncio.sleep(0.25)

    played(tmp_path, story, bays=a_map(2))
    assert [path.read_text() for path in tmp_path.glob("*.json")] == ["passed"]
    assert not drive.has_customers_data


def test_a_slot_that_gets_another_name_in_the_middle_of_a_job_has_it_when_the_job_has_ended(tmp_path: Path) -> None:
    drive = MemoryDrive()

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.WRITING)
        reconfigure(at, at_slots(B1="slot-A1", A1="slot-A2"))
        await asyncio.sleep(3)
        assert at.bay("A1").state is BayState.WRITING and at.bay("B1").state is BayState.EMPTY
        seen = await at.until("B1", BayState.ASKING)
        assert "passed here before (job job-1)" in seen.waits_for
        assert at.bay("A1").state is BayState.EMPTY
        at.memory.plug(MemoryDrive(serial="S2"), "A2")
        await at.until("A1", BayState.PASSED)

    played(tmp_path, story, bays=at_slots(A1="slot-A1"))


def test_a_drive_that_is_pulled_from_a_bay_that_was_taken_away_is_put_away_and_goes_on_elsewhere(
    tmp_path: Path,
) -> None:
    drive = MemoryDrive()

    async def story(at: At) -> None:
        at.memory.plug(drive, "A2")
        await at.until("A2", BayState.WRITING)
        await asyncio.sleep(3)
        reconfigure(at, a_map(1))
        at.memory.pull("A2")
        at.memory.plug(drive, "A1")
        assert (await at.until("A1", BayState.PASSED)).job_id == "job-1"
        assert names(at) == ["A1"]

    played(tmp_path, story, bays=a_map(2))


def test_what_lots_ask_for_counts_from_the_next_drive_on(tmp_path: Path) -> None:
    async def story(at: At) -> None:
        at.memory.plug(MemoryDrive(), "A1")
        await at.until("A1", BayState.WRITING)
        reconfigure(at, a_map(3), standard="zero", by_itself=False)
        at.memory.plug(MemoryDrive(serial="S2"), "A2")
        seen = await at.until("A2", BayState.ASKING)
        assert seen.standard == "zero"
        assert (await at.until("A1", BayState.PASSED)).standard == "random"

    played(tmp_path, story)


def test_a_limit_that_changes_holds_for_those_who_wait_and_stops_nobody(tmp_path: Path) -> None:
    hub = BandwidthDomain("hub", max_active_drives=1)

    async def story(at: At) -> None:
        for number in (1, 2, 3):
            at.memory.plug(MemoryDrive(serial=f"S{number}"), f"A{number}")
        await at.until("A3", BayState.WAITING)
        assert [at.bay(f"A{number}").state for number in (1, 2)] == [BayState.WRITING, BayState.WAITING]
        reconfigure(at, a_map(3, replace(hub, max_active_drives=2)))
        await at.until("A2", BayState.WRITING, seconds=5)
        reconfigure(at, a_map(3, hub))
        await asyncio.sleep(3)
        assert [at.bay(f"A{number}").state for number in (1, 2)] == [BayState.WRITING] * 2
        for number in (1, 2, 3):
            await at.until(f"A{number}", BayState.PASSED)
        assert at.memory.most_held == 2

    played(tmp_path, story, bays=a_map(3, hub))


def test_a_place_that_two_bays_claim_is_told_until_the_drive_has_left(tmp_path: Path) -> None:
    async def story(at: At) -> None:
        at.memory.plug(MemoryDrive(), "A1")
        await asyncio.sleep(1)
        assert any("both at" in problem for problem in at.station.snapshot().problems)
        assert at.bay("A1").state is BayState.EMPTY
        at.memory.pull("A1")
        await asyncio.sleep(1)
        assert not at.station.snapshot().problems

    played(tmp_path, story, bays=at_slots(A1="slot-A1", B1="slot-A?"))


def test_orders_for_a_bay_that_is_no_more_say_so(tmp_path: Path) -> None:
    async def story(at: At) -> None:
        reconfigure(at, a_map(1))
        await asyncio.sleep(1)
        try:
            await at.station.pause("A2")
        except UsageError as error:
            assert "there is no bay 'A2'" in str(error)
        else:
            raise AssertionError

    played(tmp_path, story, bays=a_map(2))
