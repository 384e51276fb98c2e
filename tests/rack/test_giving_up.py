"""Jobs that meet a failure criterion: what is on record, and what is not done any more. With drives in memory and real ones."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eraser.domain.events import Entry, JobEvent, JobGivenUp, Outcome, Reason
from eraser.domain.failure import FailureCriteria
from eraser.domain.job import JobState
from eraser.domain.plan import Plan
from eraser.rack.erasing import Erasing, Request, prepare
from eraser.rack.job_run import JobRun
from tests.domain.builders import seeded_chance
from tests.lab import BadSectors, On, Sectors, Slow, fuse_drive
from tests.rack.simulated import SimulatedDrive
from tests.rack.station import station
from tests.rack.test_job_run import PLANS, SMALL, Killed, MemoryLog, keep_nothing, planned

MIB = 1 << 20
CRITERION = Reason("too-slow", "too slow")


def codes(state: JobState) -> set[str]:
    return {reason.code for reason in state.reasons}


async def run_until(log: MemoryLog, drive: SimulatedDrive, kind: str) -> JobState:
    """Runs a job that is given up right after the first event of this kind."""
    job = JobRun(log, drive, SMALL, random_bytes=seeded_chance(), keep_hashes=keep_nothing)
    append = log.append

    async def giving_up(event: JobEvent) -> None:
        await append(event)
        if event.kind == kind:
            job.give_up(CRITERION)

    log.append = giving_up  # type: ignore[method-assign]
    return await job.run()


def kinds_of(plan: Plan) -> list[str]:
    """What an undisturbed job of this plan records, each kind once."""
    drive = SimulatedDrive()
    log = planned(plan, drive)
    asyncio.run(JobRun(log, drive, SMALL, random_bytes=seeded_chance(), keep_hashes=keep_nothing).run())
    return list(dict.fromkeys(entry.event.kind for entry in log.entries[3:-1]))


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, plan in PLANS.items() for kind in kinds_of(plan)])
def test_whenever_a_job_is_given_up_it_ends_as_failed_for_that_reason(name: str, kind: str) -> None:
    drive = SimulatedDrive()
    log = planned(PLANS[name], drive)
    state = asyncio.run(run_until(log, drive, kind))
    assert state.outcome is Outcome.FAILED
    assert CRITERION in state.reasons
    events = [entry.event.kind for entry in log.entries]
    assert events.count("given-up") == 1
    # What was under way is brought to its end, and nothing new is begun.
    assert not {"pass-started", "verification-started"} & set(events[events.index("given-up") :])


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("steps_before", [1, 2, 3])
def test_what_was_given_up_before_a_crash_ends_as_failed_without_another_io(name: str, steps_before: int) -> None:
    drive = SimulatedDrive()
    log = planned(PLANS[name], drive)
    log.dies_after = 3 + steps_before
    job = JobRun(log, drive, SMALL, random_bytes=seeded_chance(), keep_hashes=keep_nothing)
    with pytest.raises(Killed):
        asyncio.run(job.run())
    entries = (*log.entries, Entry(len(log.entries), "", JobGivenUp(CRITERION)))
    drive.plug_in()
    ios = drive.ios
    again = MemoryLog(entries, drive.trace)
    state = asyncio.run(JobRun(again, drive, SMALL, random_bytes=seeded_chance(), keep_hashes=keep_nothing).run())
    assert state.outcome is Outcome.FAILED and CRITERION in state.reasons
    assert drive.ios == ios


def test_a_job_that_is_cancelled_and_given_up_has_failed() -> None:
    drive = SimulatedDrive()
    log = planned(PLANS["one pass"], drive)
    job = JobRun(log, drive, SMALL, random_bytes=seeded_chance(), keep_hashes=keep_nothing)
    append = log.append

    async def disturbing(event: JobEvent) -> None:
        await append(event)
        if event.kind == "checkpoint":
            job.cancel()
            job.give_up(CRITERION)
            job.pause()
            job.resume()

    log.append = disturbing  # type: ignore[method-assign]
    assert asyncio.run(job.run()).outcome is Outcome.FAILED


def test_faults_of_an_earlier_sight_count() -> None:
    """Two bad sectors are allowed and three are too many, whoever stopped the job in between."""
    drive = SimulatedDrive(bad={1, 2, 40})
    log = planned(PLANS["one pass"], drive)
    criteria = FailureCriteria(max_bad_extents=2)
    first = JobRun(log, drive, SMALL, random_bytes=seeded_chance(), keep_hashes=keep_nothing, failure=criteria)
    append = log.append

    async def stopping(event: JobEvent) -> None:
        await append(event)
        if event.kind == "checkpoint":
            first.cancel()

    log.append = stopping  # type: ignore[method-assign]
    assert asyncio.run(first.run()).outcome is None
    drive.plug_in()
    again = MemoryLog(tuple(log.entries), drive.trace)
    job = JobRun(again, drive, SMALL, random_bytes=seeded_chance(1), keep_hashes=keep_nothing, failure=criteria)
    state = asyncio.run(job.run())
    assert "too-many-bad-extents" in codes(state)


# ---- a real drive


def erased(
    home: Path, device: Path, failure: FailureCriteria, reallocated_sectors: int | None = None
) -> dict[str, Any]:
    """The certificate."""
    at = replace(station(home), reallocated_sectors=lambda drive: reallocated_sectors)
    prepared = prepare(str(device), Request("random", failure=failure), at.random_bytes)
    result = asyncio.run(Erasing(at, str(device), failure=failure).begin(prepared))
    assert result.certificate is not None, result
    certificate: dict[str, Any] = json.loads(result.certificate.read_text())["certificate"]
    return certificate


def test_a_drive_that_is_given_up_before_the_start_has_a_certificate_that_says_so(tmp_path: Path) -> None:
    image = tmp_path / "drive.img"
    image.write_bytes(b"customer" * 8192)
    certificate = erased(tmp_path / "home", image, FailureCriteria(max_reallocated_sectors=0), reallocated_sectors=1)
    assert certificate["outcome"] == "failed"
    assert certificate["reasons"][0]["code"] == "too-many-reallocated-sectors"
    assert certificate["sanitization"]["level_reached"] is None
    assert image.read_bytes() == b"customer" * 8192


@pytest.mark.lab("root", "loop", "fuse")
def test_a_drive_that_has_to_be_asked_again_and_again_is_given_up_early(tmp_path: Path) -> None:
    size = 8 * MIB
    retrying = BadSectors(Sectors(tuple(range(8, size // 512, 16))), On.WRITE, tries=2)
    with fuse_drive(size) as drive:
        drive.become(retrying, Slow(size // 4))  # so that it is given up in the middle, however busy this machine is
        certificate = erased(tmp_path, drive.device, FailureCriteria(max_retries=50))
        assert certificate["outcome"] == "failed"
        assert certificate["reasons"][0]["code"] == "too-many-retries"
        assert "the failure criterion is more than 50" in certificate["abandoned"]
        (run,) = certificate["passes"][0]["runs"]
        assert run["retries"] > 50 and run["bytes_done"] < size
        assert certificate["final_verification"] is None
    with fuse_drive(size) as drive:
        drive.become(retrying)
        certificate = erased(tmp_path, drive.device, FailureCriteria())
        assert certificate["outcome"] == "passed"
