"""One drive's way through one job: markers, passes, verification, verdict. Every step is on record before it is taken.

What is believed after a crash is the journal's (`domain/job.py`), what happens when the drive comes back is a rule
(`domain/resumption.py`), whether the job passed is computed (`domain/verdict.py`); here is only the order of things.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from eraser.domain import merkle
from eraser.domain.drive import same_drive
from eraser.domain.events import (
    ActivitySeen,
    Checkpoint,
    JobCancelled,
    JobEvent,
    JobFinished,
    JobGivenUp,
    JobInterrupted,
    MarkersChecked,
    MarkersStarted,
    PassEnded,
    PassStarted,
    ProgramRestarted,
    Reason,
    SightBegan,
    SightChecked,
    VerificationEnded,
    VerificationStarted,
)
from eraser.domain.evidence import (
    Access,
    BadExtent,
    DriveActivity,
    EndReason,
    Extent,
    FlushProof,
    HashTree,
    MarkersEvidence,
    Operation,
    SamplingEvidence,
    SightCheck,
    TransferReport,
    VerificationEvidence,
)
from eraser.domain.failure import NO_CRITERIA, FailureCriteria, Faults, faults_of
from eraser.domain.job import JobState
from eraser.domain.markers import marker_places
from eraser.domain.pattern import SEED_BYTES, AesCtrStream, Pattern, RandomBytes
from eraser.domain.plan import Plan
from eraser.domain.program import Verification
from eraser.domain.resumption import BeginAgain, Check, HoldsEither, holds, resumption
from eraser.domain.sampling import sample
from eraser.domain.verdict import judge, required_verification
from eraser.drives.claim import Activity
from eraser.drives.erasable import ErasableDrive, RunningTransfer
from eraser.engine.transfer import Order, Snapshot
from eraser.engine.tuning import Tuning, tuning_for_scattered
from eraser.errors import DriveError, JournalError
from eraser.ledger.journal import JobLog
from eraser.rack.blocking import BlockingCall, in_own_thread
from eraser.rack.room import Room

TICK_SECONDS = 0.2
"""How often a running transfer is looked at when it has nothing to tell."""
CANCEL_SECONDS = 6.0
"""How long a transfer may take to reach a checkpoint when it is asked to end; a drive that hangs never does."""
LAST_LOOK_SECONDS = 120.0
"""How long the last flush and the look for other users may take: longer than a drive takes to empty its cache."""
SECTOR_BYTES = 512
"""Unit of `/sys/block/*/stat`, whatever the drive's own sectors are."""

_INTERRUPTING = (EndReason.CANCELLED, EndReason.GONE, EndReason.PROCESS_DIED)
"""Ends after which the job can be resumed; after any other it is judged by what it has."""


class Stage(StrEnum):
    """What a job is doing, in people's words."""

    STARTING = "starting"
    MARKERS = "markers"
    WRITING = "writing"
    CHECKING_BACK = "checking what was written before"
    VERIFYING = "verifying"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a job is: `done_bytes` of `total_bytes` in this stage."""

    stage: Stage
    pass_number: int
    passes: int
    done_bytes: int
    total_bytes: int
    retries: int
    bad_bytes: int
    mismatched_sectors: int
    is_paused: bool
    is_stopping: bool
    oldest_io_seconds: float
    moved_bytes: int = 0
    """Read or written in this stage by this run."""
    errors: int = 0
    """I/Os tried again and extents given up, in the whole job."""
    is_reverse: bool = False
    """Whether it goes from the drive's last byte to its first."""
    latency_us_buckets: tuple[int, ...] = ()


KeepHashes = Callable[[JobState, tuple[bytes, ...]], None]
"""Keeps the hashes of a reading back, durably, before their root is on record. May block."""


class _Interrupted(Exception):
    """Leaves the run in a way that can be resumed."""


class _Stopped(Exception):
    """Leaves the run because nothing more can be done; the verdict says why."""


class JobRun:
    """Runs one planned job on one claimed drive. `run` is called once; the other methods at any time meanwhile."""

    def __init__(
        self,
        log: JobLog,
        drive: ErasableDrive,
        tuning: Tuning,
        *,
        random_bytes: RandomBytes,
        keep_hashes: KeepHashes,
        call: BlockingCall = in_own_thread,
        failure: FailureCriteria = NO_CRITERIA,
        waits_for_room: bool = False,
    ) -> None:
        state = log.state
        if state.plan is None or state.drive is None:
            raise JournalError("a job without a plan can't run", subject=state.job_id)
        if difference := same_drive(state.drive, drive.drive):
            raise DriveError(f"it is not the drive of this job: {difference}", subject=drive.drive.path)
        self._log = log
        self._drive = drive
        self._plan: Plan = state.plan
        self._geometry = state.drive.geometry
        self._tuning = tuning
        self._random_bytes = random_bytes
        self._keep_hashes = keep_hashes
        self._call = call
        self._failure = failure
        self._faults = faults_of(state)
        self._criterion: Reason | None = None
        self._transfer: RunningTransfer | None = None
        self._stage = (Stage.STARTING, 0, 0)
        self._cancelled = asyncio.Event()
        self._room = Room(self._cancelled, is_patient=waits_for_room)
        self._by_person = False
        self._is_paused = False
        self._rate_limit = 0
        self._kill_at: float | None = None
        """By the loop's clock: when a transfer that was told to end has had its time."""
        self._sent: list[TransferReport] = []
        self._baseline: Activity | None = None
        self.first_byte_ns = 0
        self.last_byte_ns = 0
        self.bytes_written = 0
        self.bytes_verified = 0
        self.leaves: tuple[bytes, ...] = ()
        self.is_held = False
        """Whether a transfer process is still in the kernel with an I/O of the drive."""

    # ---- control

    def cancel(self, *, by_person: bool = False) -> None:
        """Ends the run at a checkpoint; it can be resumed. By a person: only when a person says so, which is on record."""
        self._by_person = self._by_person or by_person
        self._cancelled.set()
        if self._transfer is not None:
            self._transfer.cancel()

    def pause(self) -> None:
        """Holds the run at a checkpoint until `resume`; a run that was cancelled ends all the same."""
        self._is_paused = True
        if self._transfer is not None and not self._is_ending:
            self._transfer.pause()

    def resume(self) -> None:
        """Goes on after `pause`; a run that was cancelled does not."""
        self._is_paused = False
        if self._transfer is not None and not self._is_ending:
            self._transfer.resume()

    def give_up(self, criterion: Reason) -> None:
        """Ends the run for good, and the job as failed, whatever it finds until then."""
        self._criterion = self._criterion or criterion

    @property
    def _is_ending(self) -> bool:
        return self._cancelled.is_set() or self._state.given_up is not None

    @property
    def rate_limit(self) -> int:
        """Bytes per second, 0 for no limit."""
        return self._rate_limit

    def set_rate_limit(self, bytes_per_second: int) -> None:
        """At most so much from now on; 0 for no limit."""
        self._rate_limit = bytes_per_second
        if self._transfer is not None:
            self._transfer.set_rate_limit(bytes_per_second)

    @property
    def waits_for_room(self) -> bool:
        """Whether it stands still because what it did is not on record, for want of room on a disk."""
        return self._room.is_awaited

    def progress(self) -> Progress:
        """Where it is now."""
        stage, number, total = self._stage
        snapshot = self._transfer.snapshot() if self._transfer is not None else None
        return Progress(
            stage=stage,
            pass_number=number,
            passes=len(self._plan.passes),
            done_bytes=snapshot.position_bytes if snapshot else 0,
            total_bytes=total,
            retries=snapshot.retries if snapshot else 0,
            bad_bytes=snapshot.bad_bytes if snapshot else 0,
            mismatched_sectors=snapshot.mismatched_sectors if snapshot else 0,
            is_paused=self._room.is_awaited or bool(snapshot and snapshot.is_paused),
            is_stopping=self._cancelled.is_set(),
            oldest_io_seconds=snapshot.oldest_io_seconds if snapshot else 0.0,
            moved_bytes=snapshot.bytes_done if snapshot else 0,
            errors=self._faults.retries + len(self._faults.bad_extents),
            is_reverse=stage is Stage.WRITING and self._plan.passes[number - 1].reverse,
            latency_us_buckets=self._transfer.latency_us_buckets() if self._transfer is not None else (),
        )

    # ---- the way

    async def run(self) -> JobState:
        """The state at the end: passed, failed, or interrupted."""
        if self._state.given_up is not None:
            # It was on record, and a crash came before its end: nothing more is done to the drive.
            await self._judge()
            return self._state
        try:
            await self._begin_sight()
            await self._write()
            await self._verify_last()
        except _Interrupted as interruption:
            await self._record_activity()
            await self._record_if_cancelled()
            await self._append(JobInterrupted(str(interruption)))
            return self._state
        except _Stopped:
            pass
        await self._finish()
        return self._state

    @property
    def _state(self) -> JobState:
        return self._log.state

    async def _append(self, event: JobEvent) -> None:
        """On disk when it returns; the loop goes on meanwhile. Where the disk is full and the run `waits_for_room`, it does so
        until it is cancelled, and then raises LedgerFull: the job goes on later from what is on record.
        """
        await self._meanwhile_watching(self._room.until_there_is(lambda: self._log.append(event)))

    async def _meanwhile_watching(self, recording: Coroutine[Any, Any, None]) -> None:
        """A disk may take its time, or hang. A drive that hangs meanwhile, or does not end when it is told to, is noticed."""
        if self._transfer is None:
            await recording
            return
        task = asyncio.ensure_future(recording)
        try:
            while not (await asyncio.wait({task}, timeout=TICK_SECONDS))[0]:
                await self._transfer.changed(0)
                self._end_in_time(self._transfer)
            await task
        finally:
            task.cancel()

    async def _record_if_given_up(self) -> None:
        if self._criterion is not None and self._state.given_up is None:
            await self._append(JobGivenUp(self._criterion))

    async def _record_if_cancelled(self) -> None:
        if self._by_person and not self._state.is_cancelled:
            await self._append(JobCancelled())

    async def _begin_sight(self) -> None:
        returning = self._state.sights > 0
        # A transfer runs one checkpoint ahead of what is on record, and what is in flight ahead of that.
        ahead_bytes = self._tuning.checkpoint_bytes + self._tuning.block_bytes * self._tuning.queue_depth
        decision = resumption(self._state, 2 * ahead_bytes)
        await self._append(SightBegan(self._drive.boot_id))
        self._baseline = await self._counters()
        if not returning:
            return
        if isinstance(decision, BeginAgain):
            await self._append(ProgramRestarted(decision.why))
            return
        for check in decision.checks:
            if not await self._still_holds(check):
                await self._append(ProgramRestarted("what was written before is no longer on the drive"))
                return

    async def _write(self) -> None:
        if self._plan.needs_markers and not self._has_begun_writing:
            await self._write_markers()
        while (item := self._state.next_pass) is not None:
            if item.number > 1 and not item.started:
                await self._verify_between(item.number - 1)
            await self._write_pass(item.number, item.believed_bytes)

    @property
    def _has_begun_writing(self) -> bool:
        return any(item.started for item in self._state.passes)

    async def _verify_between(self, number: int) -> None:
        """Reads back a pass before the next one, where the program asks for it and it was not done in an earlier sight."""
        done = self._state.pass_verifications
        is_done = any(item.pass_number == number and _is_complete(item.report) for item in done)
        if self._plan.passes[number - 1].verify and not is_done:
            await self._verify(number, Verification.FULL)

    async def _write_pass(self, number: int, start: int) -> None:
        planned = self._plan.passes[number - 1]
        order = Order(Operation.WRITE, planned.pattern, self._whole, planned.reverse, start)
        await self._append(PassStarted(number, start))

        async def record(snapshot: Snapshot, transfer: RunningTransfer, known_bad: int) -> int:
            found = transfer.bad_extents(known_bad)
            await self._append(Checkpoint(number, snapshot.checkpoint_position_bytes, transfer.flush_proof, found))
            return known_bad + len(found)

        report = await self._run_transfer(order, (Stage.WRITING, number, self._capacity), record)
        self.bytes_written += report.bytes_done
        await self._append(PassEnded(number, report))
        self._raise_unless_complete(report)

    async def _write_markers(self) -> None:
        if (earlier := self._state.markers) is not None:
            # They differed in an earlier sight, which no second look undoes.
            self._raise_if_markers_differ(earlier)
            return
        seed = self._random_bytes(SEED_BYTES)
        await self._append(MarkersStarted(seed))
        sector_bytes = self._geometry.physical_sector_bytes
        granularity, places = marker_places(self._capacity, sector_bytes, seed)
        stage = (Stage.MARKERS, 0, 2 * sum(place.length_bytes for place in places))
        pattern = AesCtrStream(seed)
        tuning = tuning_for_scattered(self._tuning, sector_bytes)
        written = await self._run_transfer(Order(Operation.WRITE, pattern, places), stage, tuning=tuning)
        self.bytes_written += written.bytes_done
        self._raise_if_interrupted(written)
        read_back = await self._run_transfer(Order(Operation.READ, pattern, places), stage, tuning=tuning)
        if not _is_faulty(read_back):
            self._raise_if_interrupted(read_back)
        evidence = MarkersEvidence(seed, granularity, len(places), written, read_back)
        await self._append(MarkersChecked(evidence))
        self._raise_unless_complete(written)
        if written.access is Access.BUFFERED:
            await self._count_anew()
        self._raise_unless_complete(read_back)
        self._raise_if_markers_differ(evidence)

    def _raise_if_markers_differ(self, markers: MarkersEvidence) -> None:
        # A marker on a bad sector differs too, and what is good of such a drive is erased all the same.
        if markers.read_back.mismatched_sectors and not markers.written.bad_bytes:
            raise _Stopped

    async def _count_anew(self) -> None:
        """Forgets what was written so far. The page cache writes a whole page where a marker has only a sector, so nobody
        can tell how much that was; the passes, which write every byte again, are counted exactly.
        """
        self._sent.clear()
        self._baseline = await self._counters()

    async def _verify_last(self) -> None:
        kind = required_verification(self._plan, self._state.sights)
        if kind is not Verification.NONE:
            await self._verify(len(self._plan.passes), kind)

    async def _verify(self, number: int, kind: Verification) -> None:
        seed = self._random_bytes(SEED_BYTES) if kind is Verification.SAMPLED else b""
        await self._append(VerificationStarted(number, kind, seed))
        ranges, sampling = self._places(kind, seed)
        is_whole = kind is Verification.FULL
        extent_bytes = self._plan.hash_extent_bytes if is_whole and number == len(self._plan.passes) else 0
        order = Order(Operation.READ, self._pattern(number), ranges, hash_extent_bytes=extent_bytes)
        total = sum(extent.length_bytes for extent in ranges)
        report = await self._run_transfer(order, (Stage.VERIFYING, number, total))
        self.bytes_verified += report.bytes_done
        # What was interrupted is done anew, and is on record only for what it found: no second look undoes that.
        if not _is_faulty(report):
            self._raise_if_interrupted(report)
        tree = self._hash_tree(extent_bytes) if _is_complete(report) else None
        if tree is not None:
            await self._room.until_there_is(lambda: self._call(self._keep_hashes, self._state, self.leaves))
        await self._append(VerificationEnded(VerificationEvidence(number, kind, sampling, report, tree)))
        self._raise_unless_complete(report)
        if report.mismatched_sectors:
            raise _Stopped

    def _places(self, kind: Verification, seed: bytes) -> tuple[tuple[Extent, ...], SamplingEvidence | None]:
        if kind is Verification.FULL:
            return self._whole, None
        return sample(self._capacity, self._geometry.physical_sector_bytes, seed)

    def _hash_tree(self, extent_bytes: int) -> HashTree | None:
        if not extent_bytes:
            return None
        return HashTree(extent_bytes, len(self.leaves), merkle.root(self.leaves))

    async def _still_holds(self, check: Check) -> bool:
        first = await self._read_back(check.extent, check.pass_number)
        mismatched = first.mismatched_sectors
        unreadable = first.bad_bytes
        if isinstance(check, HoldsEither):
            earlier = await self._read_back(check.extent, check.earlier_number)
            unreadable += earlier.bad_bytes
            sectors = -(-check.extent.length_bytes // self._geometry.logical_sector_bytes)
            mismatched = holds(check, sectors, mismatched, earlier.mismatched_sectors)
        await self._append(SightChecked(SightCheck(check.pass_number, check.extent.length_bytes, mismatched)))
        return not mismatched and not unreadable

    async def _read_back(self, extent: Extent, number: int) -> TransferReport:
        order = Order(Operation.READ, self._pattern(number), (extent,))
        report = await self._run_transfer(order, (Stage.CHECKING_BACK, number, extent.length_bytes))
        self._raise_unless_complete(report)
        return report

    async def _finish(self) -> None:
        await self._record_activity()
        await self._record_if_given_up()
        await self._judge()

    async def _judge(self) -> None:
        outcome, reasons = judge(self._state.facts())
        self._stage = (Stage.DONE, len(self._plan.passes), 0)
        await self._append(JobFinished(outcome, reasons))

    async def _record_activity(self) -> None:
        # Of a transfer that was cut off nobody knows which of its writes the kernel still counted.
        was_cut_off = any(report.end in (EndReason.GONE, EndReason.PROCESS_DIED) for report in self._sent)
        if was_cut_off or self.is_held:
            return
        try:
            async with asyncio.timeout(LAST_LOOK_SECONDS):
                other_users = await self._call(self._drive.other_users)
        except (DriveError, TimeoutError):
            return  # nobody knows, and then nothing passes
        await self._append(ActivitySeen(await self._activity(), other_users))

    async def _activity(self) -> DriveActivity | None:
        now = await self._counters()
        if now is None or self._baseline is None:
            return None
        sent = sum(report.bytes_sent for report in self._sent)
        doubtful = sum(_doubtful_bytes(report) for report in self._sent)
        # None where the kernel does not count flushes: then none can be missed.
        before, after = self._baseline.flushes, now.flushes
        flushes = None if before is None or after is None else after - before
        expected = sum(item.flushes for item in self._sent if item.flush_proof is FlushProof.KERNEL_SENT)
        return DriveActivity(
            sectors_written_seen=now.sectors_written - self._baseline.sectors_written,
            sectors_written_ours_least=(sent - doubtful) // SECTOR_BYTES,
            sectors_written_ours_most=sent // SECTOR_BYTES,
            sectors_discarded_seen=now.sectors_discarded - self._baseline.sectors_discarded,
            flushes_seen=flushes or 0,
            flushes_expected=expected if flushes is not None else 0,
        )

    async def _counters(self) -> Activity | None:
        """None where the kernel has none, or the drive no longer: then nobody knows who wrote to it."""
        try:
            return await self._call(self._drive.activity)
        except DriveError:
            return None

    # ---- one transfer

    @property
    def _capacity(self) -> int:
        return self._geometry.capacity_bytes

    @property
    def _whole(self) -> tuple[Extent, ...]:
        return (Extent(0, self._capacity),)

    def _pattern(self, number: int) -> Pattern:
        return self._plan.passes[number - 1].pattern

    async def _run_transfer(
        self,
        order: Order,
        stage: tuple[Stage, int, int],
        record: "Recorder | None" = None,
        tuning: Tuning | None = None,
    ) -> TransferReport:
        """One transfer from its start to its report, in which every checkpoint was recorded in time. By the job's tuning, if no
        other is given.
        """
        await self._record_if_given_up()
        if self._state.given_up is not None:
            raise _Stopped
        self._stage = stage
        counted = _FaultCount(self._faults)
        transfer = await self._drive.transfer(order, tuning or self._tuning, self._rate_limit)
        self._transfer = transfer
        self._kill_at = None
        try:
            if self._cancelled.is_set():
                transfer.cancel()
            elif self._is_paused:
                transfer.pause()
            await self._watch(transfer, record, counted)
            report, is_gone = await transfer.finish()
            self.is_held = self.is_held or not is_gone
            self.leaves = transfer.leaves()
        finally:
            self._transfer = None
            transfer.close()
        if order.operation is Operation.WRITE:
            self._sent.append(report)
        self.first_byte_ns = self.first_byte_ns or report.first_byte
        self.last_byte_ns = max(self.last_byte_ns, report.last_byte)
        self._faults = counted.before.with_more(report.retries, report.bad_extents)
        await self._give_up_if_faulty()
        return report

    async def _watch(self, transfer: RunningTransfer, record: "Recorder | None", counted: "_FaultCount") -> None:
        checkpoints = known_bad = 0
        has_ended = False
        while not has_ended:
            await transfer.changed(TICK_SECONDS)
            # Asked before the counters are read, so that the last look sees everything.
            has_ended = transfer.has_ended
            snapshot = transfer.snapshot()
            if record is not None and snapshot.checkpoints > checkpoints:
                known_bad = await record(snapshot, transfer, known_bad)
            checkpoints = snapshot.checkpoints
            transfer.acknowledge(checkpoints)
            # Not only at the end: a drive that hangs takes its time to end, and a crash meanwhile must not undo the cancel.
            await self._record_if_cancelled()
            self._faults = counted.look(snapshot, transfer)
            await self._give_up_if_faulty()
            self._end_in_time(transfer)

    def _end_in_time(self, transfer: RunningTransfer) -> None:
        """Kills a transfer that was told to end and does not."""
        now = asyncio.get_running_loop().time()
        if self._is_ending and self._kill_at is None:
            transfer.cancel()
            self._kill_at = now + CANCEL_SECONDS
        if self._kill_at is not None and now > self._kill_at:
            transfer.kill(EndReason.CANCELLED)

    async def _give_up_if_faulty(self) -> None:
        if (criterion := self._failure.of_faults(self._faults)) is not None:
            self.give_up(criterion)
        await self._record_if_given_up()

    def _raise_unless_complete(self, report: TransferReport) -> None:
        self._raise_if_interrupted(report)
        if not _is_complete(report) or self._state.given_up is not None:
            raise _Stopped

    def _raise_if_interrupted(self, report: TransferReport) -> None:
        # What was given up is judged by what it has, whoever else asked it to end.
        if report.end in _INTERRUPTING and self._state.given_up is None:
            raise _Interrupted(_interruption(report.end))


def _is_complete(report: TransferReport) -> bool:
    return report.end is EndReason.COMPLETED


def _is_faulty(report: TransferReport) -> bool:
    """Whether a reading found what no later one makes good."""
    return bool(report.mismatched_sectors or report.bad_bytes)


class _FaultCount:
    """The job's faults while a transfer runs: those before it, and its own so far."""

    def __init__(self, before: Faults) -> None:
        self.before = before
        self._now = before
        self._retries = 0
        self._bad: tuple[BadExtent, ...] = ()

    def look(self, snapshot: Snapshot, transfer: RunningTransfer) -> Faults:
        """As the counters say now."""
        found = transfer.bad_extents(len(self._bad)) if snapshot.bad_bytes else ()
        if found or snapshot.retries != self._retries:
            self._bad, self._retries = (*self._bad, *found), snapshot.retries
            self._now = self.before.with_more(self._retries, self._bad)
        return self._now


class Recorder(Protocol):
    """Puts a checkpoint on record; takes the number of bad extents recorded before, gives the new one."""

    async def __call__(self, snapshot: Snapshot, transfer: RunningTransfer, known_bad: int) -> int: ...


def _doubtful_bytes(report: TransferReport) -> int:
    """Of the bytes sent, those that the drive may or may not have counted: failed, or not back when the transfer ended."""
    if report.end is EndReason.COMPLETED:
        return report.failed_bytes_sent
    return max(report.failed_bytes_sent, report.bytes_sent - report.bytes_done)


def _interruption(end: EndReason) -> str:
    match end:
        case EndReason.CANCELLED:
            return "stopped on request"
        case EndReason.GONE:
            return "the drive is no longer there"
        case _:
            return "the transfer process died"
