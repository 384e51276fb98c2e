"""One job on one drive: the order of what is done and what is recorded, and that a death between any two of them costs
nothing but time.
"""

import asyncio
from pathlib import Path

import pytest

from eraser.domain.events import (
    DriveIdentified,
    Entry,
    JobEvent,
    JobPlanned,
    JobQueued,
    Outcome,
    PassEnded,
    VerificationEnded,
)
from eraser.domain.evidence import EndReason, FlushProof
from eraser.domain.job import JobState, Phase, apply, fold
from eraser.domain.pattern import AesCtrStream, Constant, Pattern
from eraser.domain.plan import Plan, PlannedPass
from eraser.domain.program import Verification
from eraser.drives.claim import Activity, claim
from eraser.drives.discovery import identify
from eraser.drives.erasable import ClaimedDrive
from eraser.engine.tuning import Tuning
from eraser.errors import DriveError, JournalError
from eraser.rack.job_run import JobRun
from tests.domain.builders import seeded_chance
from tests.domain.jobs import a_plan
from tests.lab.loop import loop_drive
from tests.rack.simulated import SECTOR, SimulatedDrive, pattern_bytes

SMALL = Tuning(block_bytes=SECTOR, queue_depth=1, checkpoint_bytes=16 * SECTOR)


class Killed(BaseException):
    """The program dies here: nothing may catch it."""


class MemoryLog:
    """A journal in memory, whose program dies before or after the numbered append."""

    def __init__(self, entries: tuple[Entry, ...], trace: list[str]) -> None:
        self.entries = list(entries)
        self._state = fold(entries)
        self._trace = trace
        self.dies_before = self.dies_after = -1

    @property
    def state(self) -> JobState:
        return self._state

    async def append(self, event: JobEvent) -> None:
        number = len(self.entries)
        if number == self.dies_before:
            raise Killed
        self._state = apply(self._state, event, "")
        self.entries.append(Entry(number, "", event))
        self._trace.append(event.kind)
        if number == self.dies_after:
            raise Killed

    async def close(self) -> None:
        pass


def planned(plan: Plan, drive: SimulatedDrive) -> MemoryLog:
    events = (JobQueued("job-1", "/dev/sdz", "random", ""), DriveIdentified(drive.drive), JobPlanned(plan))
    return MemoryLog(tuple(Entry(number, "", event) for number, event in enumerate(events)), drive.trace)


def keep_nothing(state: JobState, leaves: tuple[bytes, ...]) -> None:
    """The hashes are kept by the issuer, which these tests do without."""


async def run(log: MemoryLog, drive: SimulatedDrive, seed: int = 0) -> JobState:
    return await JobRun(log, drive, SMALL, random_bytes=seeded_chance(seed), keep_hashes=keep_nothing).run()


STREAM, ZERO, ONES = AesCtrStream(b"\x05" * 32), Constant(b"\x00"), Constant(b"\xff")


def passes(*patterns: Pattern, reverse: int = 0, verify: int = 0) -> tuple[PlannedPass, ...]:
    return tuple(
        PlannedPass(pattern, reverse=number == reverse, verify=number == verify)
        for number, pattern in enumerate(patterns, start=1)
    )


PLANS: dict[str, Plan] = {
    "one pass": a_plan(STREAM),
    "markers": a_plan(ZERO, needs_markers=True),
    "three passes, one in reverse, one read back": a_plan(passes=passes(ZERO, ONES, STREAM, reverse=2, verify=2)),
    "two alike": a_plan(passes=passes(ZERO, ZERO, verify=1)),
    "sampled": a_plan(STREAM, verification=Verification.SAMPLED),
    "the last in reverse": a_plan(passes=passes(ZERO, STREAM, reverse=2)),
}


def holds_last_pass(drive: SimulatedDrive, plan: Plan) -> bool:
    expected = pattern_bytes(plan.passes[-1].pattern, 0, len(drive.cache))
    return bytes(drive.cache) == expected and bytes(drive.medium) == expected


@pytest.mark.parametrize("name", PLANS)
async def test_a_job_passes_and_leaves_the_last_pass(name):
    drive = SimulatedDrive()
    log = planned(PLANS[name], drive)
    state = await run(log, drive)
    assert (state.outcome, state.reasons) == (Outcome.PASSED, ())
    assert holds_last_pass(drive, PLANS[name])
    assert fold(log.entries) == state


# ---- the order of things


@pytest.mark.parametrize("name", PLANS)
async def test_everything_is_on_record_before_it_is_done(name):
    drive = SimulatedDrive()
    await run(planned(PLANS[name], drive), drive)
    trace = drive.trace
    announced = {"write began": ("pass-started", "markers-started"), "read began": ("verification-started",)}
    for place, what in enumerate(trace):
        if what in announced:
            before = trace[place - 1]
            # The markers are written and read under one announcement.
            assert (
                before in announced[what]
                or trace[place - 3 : place].count("markers-started")
                or before == "write ended"
            )
        if what == "checkpoint":
            since = trace[max(index for index in range(place) if trace[index] in ("write began", "checkpoint")) : place]
            assert "flush" in since or trace[:place].count("flush") >= trace[:place].count("checkpoint") + 1
    assert trace.index("sight-began") < trace.index("write began")
    last_write = max(place for place, what in enumerate(trace) if what == "write ended")
    last_read = max(place for place, what in enumerate(trace) if what == "read began")
    assert last_write < trace.index("pass-ended", last_write) < last_read < trace.index("activity-seen")
    assert trace[-2:] == ["activity-seen", "finished"]


async def test_a_checkpoint_never_says_more_than_was_flushed():
    drive = SimulatedDrive()
    log = planned(a_plan(STREAM), drive)
    flushed: list[bytes] = []
    append = log.append

    async def spying(event: JobEvent) -> None:
        if event.kind == "checkpoint":
            position = event.position_bytes
            flushed.append(bytes(drive.medium[:position]))
            assert flushed[-1] == pattern_bytes(STREAM, 0, position)
        await append(event)

    log.append = spying
    await run(log, drive)
    assert len(flushed) >= 4


# ---- death anywhere


async def killed_and_resumed(
    plan: Plan, drive: SimulatedDrive, place: int, power: int | None, *, before: bool
) -> JobState:
    """Dies around one append, loses its power or not, and goes on to the end."""
    log = planned(plan, drive)
    setattr(log, "dies_before" if before else "dies_after", place)
    with pytest.raises(Killed):
        await run(log, drive)
    if power is not None:
        drive.cut_power(power)
    drive.plug_in()
    again = MemoryLog(tuple(log.entries), drive.trace)
    return await run(again, drive, seed=1) if again.state.outcome is None else again.state


async def appends(plan: Plan) -> int:
    drive = SimulatedDrive()
    log = planned(plan, drive)
    await run(log, drive)
    return len(log.entries)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("power", [None, 1, 2], ids=["killed", "power cut", "another power cut"])
@pytest.mark.parametrize("name", PLANS)
async def test_a_job_that_died_anywhere_ends_as_if_it_had_not(name, power, before):
    plan = PLANS[name]
    for place in range(3, await appends(plan)):
        drive = SimulatedDrive()
        state = await killed_and_resumed(plan, drive, place, power, before=before)
        assert (state.outcome, state.reasons) == (Outcome.PASSED, ()), f"died at event {place}"
        assert holds_last_pass(drive, plan)


@pytest.mark.parametrize("name", ["one pass", "three passes, one in reverse, one read back", "markers"])
async def test_a_lying_drive_fails_wherever_its_job_died(name):
    plan = PLANS[name]
    for place in range(3, await appends(plan)):
        drive = SimulatedDrive(forgetful={21})
        log = planned(plan, drive)
        log.dies_after = place
        try:
            state = await run(log, drive)
        except Killed:
            drive.plug_in()
            again = MemoryLog(tuple(log.entries), drive.trace)
            state = await run(again, drive, seed=1) if again.state.outcome is None else again.state
        assert state.outcome is Outcome.FAILED


async def test_a_resumed_pass_writes_no_more_than_two_checkpoints_twice():
    drive = SimulatedDrive()
    log = planned(a_plan(STREAM), drive)
    log.dies_after = 6
    with pytest.raises(Killed):
        await run(log, drive)
    drive.plug_in()
    await run(MemoryLog(tuple(log.entries), drive.trace), drive)
    assert drive.counted_sectors <= drive.sectors - log.state.passes[0].believed_bytes // SECTOR
    assert log.state.passes[0].believed_bytes > 0


@pytest.mark.parametrize("sector", [0, 20, 63])
@pytest.mark.parametrize("power", [None, 1])
async def test_a_drive_changed_elsewhere_begins_again_or_passes_only_with_every_pass(sector, power):
    plan = PLANS["three passes, one in reverse, one read back"]
    for place in range(3, await appends(plan) - 1):
        drive = SimulatedDrive()
        log = planned(plan, drive)
        log.dies_after = place
        with pytest.raises(Killed):
            await run(log, drive)
        if power is not None:
            drive.cut_power(power)
        drive.outsider_writes(sector)
        drive.plug_in()
        again = MemoryLog(tuple(log.entries), drive.trace)
        began = len(again.entries)
        state = await run(again, drive, seed=1)
        redone = {entry.event.number for entry in again.entries[began:] if isinstance(entry.event, PassEnded)}
        if state.outcome is Outcome.PASSED and log.state.has_written:
            assert holds_last_pass(drive, plan)
            assert redone == {1, 2, 3}
        if state.outcome is not Outcome.PASSED:
            assert [reason.code for reason in state.reasons] == ["mismatch"]


# ---- what a drive does


@pytest.mark.parametrize("ios", range(1, 210, 7))
async def test_a_drive_that_goes_away_interrupts_the_job_and_can_come_back(ios):
    plan = PLANS["two alike"]
    drive = SimulatedDrive(gone_after_ios=ios)
    log = planned(plan, drive)
    state = await run(log, drive)
    assert state.phase is Phase.INTERRUPTED
    drive.plug_in()
    state = await run(MemoryLog(tuple(log.entries), drive.trace), drive, seed=1)
    assert (state.outcome, state.reasons) == (Outcome.PASSED, ())
    assert holds_last_pass(drive, plan)


async def test_a_drive_whose_counters_are_gone_at_the_end_does_not_pass():
    drive = SimulatedDrive()
    log = planned(a_plan(STREAM), drive)
    append = log.append

    async def leaving(event: JobEvent) -> None:
        await append(event)
        drive.is_gone = isinstance(event, VerificationEnded)

    log.append = leaving
    state = await run(log, drive)
    assert [reason.code for reason in state.reasons] == ["activity-unknown"]


async def test_somebody_else_who_writes_meanwhile_fails_the_job():
    drive = SimulatedDrive()
    log = planned(a_plan(STREAM), drive)
    append = log.append

    async def meddling(event: JobEvent) -> None:
        await append(event)
        if event.kind == "pass-started":
            drive.outsider_writes(40)

    log.append = meddling
    state = await run(log, drive)
    assert [reason.code for reason in state.reasons] == ["foreign-write"]


async def test_a_bad_sector_fails_the_job_and_the_rest_is_erased():
    drive = SimulatedDrive(bad={5})
    state = await run(planned(PLANS["two alike"], drive), drive)
    assert {reason.code for reason in state.reasons} == {"not-written", "not-verified"}
    assert bytes(drive.cache[6 * SECTOR :]) == bytes(58 * SECTOR)


async def test_bad_sectors_known_only_by_a_checkpoint_still_fail_the_job():
    drive = SimulatedDrive(bad={2})
    log = planned(a_plan(STREAM), drive)
    log.dies_after = 6
    with pytest.raises(Killed):
        await run(log, drive)
    drive.bad.clear()
    drive.plug_in()
    state = await run(MemoryLog(tuple(log.entries), drive.trace), drive, seed=1)
    assert [reason.code for reason in state.reasons] == ["not-written", "mismatch"]


async def test_flushes_that_the_kernel_does_not_count_are_not_missed(monkeypatch):
    drive = SimulatedDrive()
    monkeypatch.setattr(SimulatedDrive, "activity", lambda self: Activity(self.counted_sectors, 0, None))
    state = await run(planned(a_plan(STREAM), drive), drive)
    assert (state.outcome, state.reasons) == (Outcome.PASSED, ())
    assert (state.activity.flushes_seen, state.activity.flushes_expected) == (0, 0)


async def test_where_flushes_are_assumed_a_job_passes_in_one_sight_and_begins_again_in_two():
    plan = a_plan(STREAM)
    drive = SimulatedDrive(proof=FlushProof.ASSUMED)
    assert (await run(planned(plan, drive), drive)).outcome is Outcome.PASSED
    drive = SimulatedDrive(proof=FlushProof.ASSUMED)
    state = await killed_and_resumed(plan, drive, 7, None, before=False)
    assert state.outcome is Outcome.PASSED
    assert len(state.restarts) == 1


async def test_a_cancelled_job_stops_at_a_checkpoint_and_goes_on_from_there():
    drive = SimulatedDrive()
    log = planned(a_plan(STREAM), drive)
    job = JobRun(log, drive, SMALL, random_bytes=seeded_chance(), keep_hashes=keep_nothing)
    append = log.append

    async def stopping(event: JobEvent) -> None:
        await append(event)
        if event.kind == "checkpoint":
            job.cancel()

    log.append = stopping
    state = await job.run()
    assert state.phase is Phase.INTERRUPTED
    assert state.passes[0].runs[-1].end is EndReason.CANCELLED
    assert state.passes[0].believed_bytes == state.passes[0].runs[-1].end_position_bytes > 0
    drive.plug_in()
    state = await run(MemoryLog(tuple(log.entries), drive.trace), drive, seed=1)
    assert state.outcome is Outcome.PASSED


async def test_a_job_that_somebody_disturbed_before_it_was_cancelled_begins_again():
    drive, plan = SimulatedDrive(), PLANS["two alike"]
    log = planned(plan, drive)
    job = JobRun(log, drive, SMALL, random_bytes=seeded_chance(), keep_hashes=keep_nothing)
    append = log.append

    async def disturbing(event: JobEvent) -> None:
        await append(event)
        if event.kind == "pass-started":
            drive.outsider_writes(0)
            job.cancel()

    log.append = disturbing
    state = await job.run()
    assert (state.phase, state.had_outsiders) == (Phase.INTERRUPTED, True)
    drive.plug_in()
    state = await run(MemoryLog(tuple(log.entries), drive.trace), drive, seed=1)
    assert (state.outcome, len(state.restarts)) == (Outcome.PASSED, 1)


@pytest.mark.parametrize("name", ["one pass", "markers"])
async def test_a_mismatch_is_not_forgotten_when_the_reading_that_found_it_is_interrupted(name):
    """The drive then keeps what it is given, so that only the record can tell."""
    drive = SimulatedDrive(forgetful={0})
    log = planned(PLANS[name], drive)
    job = JobRun(log, drive, SMALL, random_bytes=seeded_chance(), keep_hashes=keep_nothing)
    append = log.append
    reading = "verification-started" if name == "one pass" else "markers-started"

    async def leaving_soon(event: JobEvent) -> None:
        await append(event)
        if event.kind == reading:
            # The markers are first written and flushed: leave while they are read.
            drive.gone_after_ios = drive.ios + (20 if name == "one pass" else 64 + 5 + 20)

    log.append = leaving_soon
    assert (await job.run()).phase is Phase.INTERRUPTED
    drive.forgetful.clear()
    drive.cache[:SECTOR] = pattern_bytes(PLANS[name].passes[-1].pattern, 0, SECTOR)
    drive.plug_in()
    state = await run(MemoryLog(tuple(log.entries), drive.trace), drive, seed=1)
    assert state.outcome is Outcome.FAILED
    assert {"mismatch", "markers-differ"} & {reason.code for reason in state.reasons}


async def test_another_drive_than_the_planned_one_is_never_written():
    drive, other = SimulatedDrive(), SimulatedDrive(sectors=128)
    with pytest.raises(DriveError, match="not the drive of this job"):
        JobRun(planned(a_plan(STREAM), drive), other, SMALL, random_bytes=seeded_chance(), keep_hashes=keep_nothing)
    assert other.ios == 0


async def test_a_job_without_a_plan_does_not_run():
    drive = SimulatedDrive()
    log = MemoryLog((Entry(0, "", JobQueued("job-1", "/dev/sdz", "random", "")),), drive.trace)
    with pytest.raises(JournalError):
        JobRun(log, drive, SMALL, random_bytes=seeded_chance(), keep_hashes=keep_nothing)


async def test_cancelling_the_task_leaves_a_journal_that_can_be_taken_up():
    drive = SimulatedDrive()
    log = planned(PLANS["two alike"], drive)
    append, loop = log.append, asyncio.get_running_loop()

    async def cancelling(event: JobEvent) -> None:
        await append(event)
        if len(log.entries) == 7:
            loop.call_soon_threadsafe(task.cancel)

    log.append = cancelling
    task = asyncio.create_task(run(log, drive))
    with pytest.raises(asyncio.CancelledError):
        await task
    drive.plug_in()
    state = await run(MemoryLog(tuple(log.entries), drive.trace), drive, seed=1)
    assert state.outcome is Outcome.PASSED


# ---- the same on a real drive


@pytest.mark.lab("root", "loop", "losetup")
@pytest.mark.parametrize("name", PLANS)
async def test_a_real_drive_behind_the_same_protocol_ends_the_same(name, tmp_path: Path):
    with loop_drive(4 << 20) as loop:
        found = identify(loop.device)
        with claim(found) as held:
            events = (JobQueued("job-1", found.path, "random", ""), DriveIdentified(found), JobPlanned(PLANS[name]))
            log = MemoryLog(tuple(Entry(number, "", event) for number, event in enumerate(events)), [])
            tuning = Tuning(block_bytes=64 << 10, queue_depth=2, checkpoint_bytes=1 << 20)
            drive = ClaimedDrive(held, now_utc=lambda: "2026-11-24T06:00:00Z")
            state = await JobRun(log, drive, tuning, random_bytes=seeded_chance(), keep_hashes=keep_nothing).run()
        assert (state.outcome, state.reasons) == (Outcome.PASSED, ())
        assert loop.device.read_bytes() == pattern_bytes(PLANS[name].passes[-1].pattern, 0, 4 << 20)
