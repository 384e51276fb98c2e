"""What the ledger tells the wall of a station that begins anew: which jobs ended, and who has which alarm in hand."""

from __future__ import annotations

from datetime import timedelta

from eraser.domain.events import Outcome
from eraser.domain.lot import instant
from eraser.ledger.alarms import AlarmBook
from eraser.ledger.ended_jobs import EndedJob, EndedJobs
from tests.ledger.stories import a_request, drive_number, now_utc, whole_job
from tests.ledger.test_custody import Plant, a_plant


async def end(plant: Plant, number: int, outcome: Outcome, place: str) -> EndedJob:
    drive = drive_number(number)
    log = await plant.journal.begin(a_request(f"job-{number}"), place=place)
    for event in whole_job(f"job-{number}", drive, outcome=outcome):
        await log.append(event)
    await log.close()
    return EndedJob(f"job-{number}", outcome is Outcome.PASSED, drive.geometry.capacity_bytes)


async def test_the_jobs_that_ended_here_since_a_moment_are_found_with_their_drives_sizes(url: str) -> None:
    async with a_plant(url) as plant:
        one = await end(plant, 1, Outcome.PASSED, "station/A1")
        other = await end(plant, 2, Outcome.FAILED, "station/A2")
        await end(plant, 3, Outcome.PASSED, "station-2/A1")
        ended = EndedJobs(plant.store, "station")
        now = instant(now_utc())
        assert await ended.since(now - timedelta(hours=1)) == [other, one]
        assert await ended.since(now + timedelta(hours=1)) == []


async def test_whoever_took_an_alarm_first_has_it_until_it_is_over(url: str) -> None:
    async with a_plant(url) as plant:
        book, other = (AlarmBook(plant.store, station, now_utc) for station in ("station", "station-2"))
        await book.add("A1 S1 failed job-1", "Li")
        await book.add("A1 S1 failed job-1", "Wang")
        await other.add("A1 S1 failed job-1", "Zhao")
        assert {matter: name for matter, (name, _) in (await book.taken()).items()} == {"A1 S1 failed job-1": "Li"}
        await book.add("A1 S1 failed job-1", "")
        assert await book.taken() == {} and len(await other.taken()) == 1
