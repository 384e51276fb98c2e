"""Drives that come and go faster than they can be attended to, and drives that pass for each other. In simulated time."""

import asyncio
import random
from pathlib import Path

import pytest

from eraser.domain.bay import Place
from eraser.ledger.journal import FileJournal
from eraser.rack.presence import Arrived, Presence, Sighting
from eraser.rack.view import BayState
from tests.rack.memory_rack import At, MemoryDrive, played


def open_jobs(folder: Path) -> int:
    return len(list(FileJournal(folder / "journal", str).open_states()))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("bays", [("A1",), ("A1", "A2", "A3")])
def test_a_drive_that_comes_and_goes_ten_times_in_ten_seconds_has_one_job_and_passes_when_it_stays(
    tmp_path: Path, seed: int, bays: tuple[str, ...]
) -> None:
    drive, chance = MemoryDrive(), random.Random(seed)

    async def story(at: At) -> None:
        for number in range(10):
            bay = bays[number % len(bays)]
            at.memory.plug(drive, bay)
            await asyncio.sleep(chance.uniform(0, 1.0))
            at.memory.pull(bay)
            await asyncio.sleep(chance.uniform(0, 0.2))
        at.memory.plug(drive, "A1")
        assert (await at.until("A1", BayState.PASSED)).job_id == "job-1"
        await asyncio.sleep(10)
        states = {bay.state for bay in at.station.snapshot().bays if bay.name != "A1"}
        assert states == {BayState.EMPTY} and not at.station.snapshot().problems

    played(tmp_path, story)
    assert [path.read_text() for path in tmp_path.glob("*.json")] == ["passed"]
    assert not open_jobs(tmp_path) and not drive.is_held and not drive.has_customers_data


def test_a_place_that_flaps_ten_times_in_ten_seconds_troubles_the_station_few_times() -> None:
    """What settles goes to the bay: each arrival has to stay longer than the one before."""
    presence, arrivals = Presence(), 0
    for number in range(10):
        here = Sighting("sda", "/dev/sda", number, number, 1 << 30, False, Place(usb_port="0000:00:14.0/1.4"))
        list(presence.look(["sda"], {"sda": here}, float(number)))
        arrivals += sum(isinstance(event, Arrived) for event in presence.settled(number + 0.5))
        list(presence.look(["sda"], {}, number + 0.5))
    assert arrivals == 5
    assert presence.next_due() is None and not presence.names


def test_a_clone_that_takes_the_place_of_the_drive_in_the_middle_of_its_job_does_not_pass_by_what_the_other_holds(
    tmp_path: Path,
) -> None:
    """Nobody can tell the two apart but by what is on them, and that is read back in full."""
    one, clone = MemoryDrive(), MemoryDrive()

    async def story(at: At) -> None:
        at.memory.plug(one, "A1")
        await at.until("A1", BayState.WRITING)
        await asyncio.sleep(4)
        at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)
        at.memory.plug(clone, "A2")
        assert "do not hold what was written" in (await at.until("A2", BayState.FAILED)).reason
        await at.retry("A2")
        await at.until("A2", BayState.PASSED)

    played(tmp_path, story)
    assert one.has_customers_data and not clone.has_customers_data


def test_a_clone_beside_its_original_is_refused_and_may_be_retried_when_the_original_has_left(tmp_path: Path) -> None:
    one, clone = MemoryDrive(), MemoryDrive()

    async def story(at: At) -> None:
        at.memory.plug(one, "A1")
        await at.until("A1", BayState.PASSED)
        at.memory.plug(clone, "A2")
        await at.until("A2", BayState.REFUSED)
        at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)
        await asyncio.sleep(60)
        assert clone.ios == 0  # whose certificate it would be is a person's to say
        await at.retry("A2")
        assert (await at.until("A2", BayState.PASSED)).job_id == "job-2"

    played(tmp_path, story)
    assert not clone.has_customers_data
