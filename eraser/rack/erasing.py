"""From a path to a certificate: identify, guard, plan; then claim, run the job, judge it and issue what it proved.

`prepare` only looks; `Erasing.begin` is the first that leaves a trace, and `Erasing.take_up` goes on with an interrupted job.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from eraser.certificates.errors import WithheldError
from eraser.domain.conditions import refuse_unfit
from eraser.domain.drive import Drive, is_recognisable, same_drive
from eraser.domain.events import (
    CertificateIssued,
    DriveIdentified,
    JobAbandoned,
    JobCancelled,
    JobEvent,
    JobFinished,
    JobGivenUp,
    JobPlanned,
    JobQueued,
    JobRefused,
    Outcome,
    Reason,
)
from eraser.domain.failure import NO_CRITERIA, FailureCriteria
from eraser.domain.job import JobState, Phase
from eraser.domain.pattern import RandomBytes
from eraser.domain.plan import Level, Plan
from eraser.domain.policy import make_plan
from eraser.domain.problem import Problem
from eraser.domain.program import Program, Verification
from eraser.domain.sayings import Code, Sayings, all_recalled, english, recalled, say, say_error
from eraser.domain.verdict import judge
from eraser.drives import guard
from eraser.drives.claim import claim
from eraser.drives.discovery import identify, list_drives
from eraser.drives.erasable import ClaimedDrive, ErasableDrive
from eraser.drives.health import reallocated_sectors
from eraser.engine.tuning import Tuning, tuning_for
from eraser.errors import DriveError, EraserError, JournalError, Refused
from eraser.ledger.journal import JobLog, Journal
from eraser.rack.blocking import BlockingCall, in_own_thread
from eraser.rack.job_run import JobRun
from eraser.rack.room import Room

if TYPE_CHECKING:  # certificates are made when the drive is done: their libraries need not delay its first byte
    from eraser.certificates.issuer import Issued

CLOSE_SECONDS = 5.0


class Ended(StrEnum):
    """How a call ended for one drive."""

    PASSED = "passed"
    FAILED = "failed"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody wants done."""

    standard: str
    level: Level | None = None
    verification: Verification | None = None
    hashing: bool = True
    operator: str = ""
    custom: Program | None = None
    failure: FailureCriteria = NO_CRITERIA


@dataclass(frozen=True, slots=True)
class Result:
    """How it ended. `seconds` from the first to the last byte of this run; `certificate` is None where there is none."""

    device: str
    outcome: Ended
    reasons: Sayings = ()
    certificate: Path | None = None
    bytes_written: int = 0
    bytes_verified: int = 0
    seconds: float = 0.0
    is_held: bool = False
    """Whether an I/O that has not returned still holds the drive."""
    job_id: str = ""

    @property
    def reason(self) -> str:
        """Why, in English; empty where there is nothing to say."""
        return english(self.reasons)


class Issuer(Protocol):
    """Signs and stores the one certificate of a finished job; whole and durable when it returns, and never a second one
    however often it is called for that job. `keep_hashes` keeps those of the extents as read back, durably, before their root
    is on record. Both may block.
    """

    def __call__(self, state: JobState) -> "Issued": ...

    def keep_hashes(self, state: JobState, leaves: tuple[bytes, ...]) -> None: ...


class Hold(Protocol):
    """Holds a planned drive for a job, alone and as the one that was planned. May block.

    Raises Refused when it is in use or another one, DriveError when it is gone.
    """

    def __call__(self, drive: Drive, *, now_utc: Callable[[], str]) -> ErasableDrive: ...


def hold_claimed(drive: Drive, *, now_utc: Callable[[], str]) -> ErasableDrive:
    """A drive of this host, or an image."""
    return ClaimedDrive(claim(drive), now_utc=now_utc)


async def never_doubted(_: str) -> str:
    """Where there is no positive control."""
    return ""


@dataclass(frozen=True, slots=True)
class Station:
    """What every job needs of its surroundings."""

    journal: Journal
    issue: Issuer
    now_utc: Callable[[], str]
    random_bytes: RandomBytes
    new_id: Callable[[], str]
    tune: Callable[[Drive], Tuning] = tuning_for
    hold: Hold = hold_claimed
    call: BlockingCall = in_own_thread
    reallocated_sectors: Callable[[Drive], int | None] = reallocated_sectors
    """How many a drive has replaced, by its own count; None where it does not say. May block."""
    waits_for_room: bool = False
    """Whether jobs wait while a disk is full, instead of ending there."""
    why_doubted: Callable[[str], Awaitable[str]] = never_doubted
    """Why a job that ended at this moment (UTC) is not believed to have passed, empty where it is. Raises JournalError."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A drive that may be erased, as far as one can tell without holding it, and how."""

    drive: Drive
    plan: Plan
    request: Request


# ---- looking


def prepare(path: str, request: Request, random_bytes: RandomBytes) -> Prepared:
    """Identifies the drive, sees that it is free, and plans. Writes nothing, anywhere; may block for seconds.

    Raises UsageError, DriveError, or Refused with the reason.
    """
    return prepare_drive(identify(path), request, random_bytes)


def prepare_drive(
    drive: Drive,
    request: Request,
    random_bytes: RandomBytes,
    refuse_if_used: Callable[[Drive], None] = guard.refuse_if_used,
) -> Prepared:
    """The same for a drive that was identified just now."""
    refuse_unfit(drive)
    refuse_if_used(drive)
    plan = make_plan(
        drive,
        request.standard,
        random_bytes=random_bytes,
        level=request.level,
        verification=request.verification,
        hashing=request.hashing,
        custom=request.custom,
    )
    return Prepared(drive, plan, request)


def open_job(drive: Drive, open_states: Iterable[JobState]) -> JobState | None:
    """The job on this very drive that has something left to do, if there is one of the open ones."""
    return next((state for state in _planned(open_states) if state.drive and _is_same(state.drive, drive)), None)


def _planned(open_states: Iterable[JobState]) -> list[JobState]:
    """Open jobs that came as far as a plan: before it nothing was begun, so there is nothing to go on with."""
    return [state for state in open_states if state.plan is not None]


def _is_same(planned: Drive, found: Drive) -> bool:
    if not is_recognisable(planned):
        return planned.path == found.path and not same_drive(planned, found)
    return not same_drive(planned, found)


def refuse_if_interrupted(drive: Drive, open_states: Iterable[JobState]) -> None:
    """Raises Refused when this drive has a job that can be taken up again."""
    if (state := open_job(drive, open_states)) is not None:
        raise Refused(
            "interrupted-job",
            f"it has a job that was interrupted (job {state.job_id}: {state.why or 'the host or the program stopped'})",
            subject=drive.path,
            remedy=f"Go on with it: eraser resume {drive.path}; or give it up and begin anew: add --restart.",
        )


def resumable(open_states: Iterable[JobState], paths: Iterable[str] = ()) -> list[tuple[JobState, Drive]]:
    """Interrupted jobs whose drive is here, with the drive as it is now; of these paths, or of all drives when none is given.

    May block. Raises UsageError or DriveError for a path that is none.
    """
    states = _planned(open_states)
    named = [identify(path) for path in paths]
    found = named or _present(states)
    pairs = []
    for state in states:
        if state.outcome is not None and state.drive is not None and not named:
            pairs.append((state, state.drive))  # only its certificate is missing, for which nobody needs the drive
            continue
        drive = next((drive for drive in found if state.drive is not None and _is_same(state.drive, drive)), None)
        if drive is not None:
            pairs.append((state, drive))
    return pairs


def _present(states: list[JobState]) -> list[Drive]:
    """All drives of this host, and the images that the jobs were on."""
    present = list_drives()
    for state in states:
        if state.drive is not None and all(drive.path != state.drive.path for drive in present):
            try:
                present.append(identify(state.drive.path))
            except EraserError:  # it is not here, or not as it was
                continue
    return present


def reasons_of(state: JobState) -> Sayings:
    """Why a job has not passed, or has not come to its end; as its record says."""
    if state.reasons or state.outcome is not None:
        return tuple(recalled(reason.what, reason.code) for reason in state.reasons)
    return all_recalled(state.why)


# ---- doing


class Erasing:
    """One drive on its way. `run` once; `cancel`, `job` and the rest at any time meanwhile."""

    def __init__(self, station: Station, path: str, place: str = "", failure: FailureCriteria = NO_CRITERIA) -> None:
        """`place` is where custody records say that it happened: the bay."""
        self._station = station
        self.path = path
        self._place = place
        self.failure = failure
        self.job: JobRun | None = None
        self.job_id = ""
        self._call = station.call
        self._cancelled = asyncio.Event()
        self._room = Room(self._cancelled, is_patient=station.waits_for_room)
        self._by_person = False
        self._is_paused = False
        self._rate_limit = 0

    def cancel(self, *, by_person: bool = False) -> None:
        """Stops at a checkpoint; the job can be resumed. By a person: it never goes on before a person says so."""
        self._cancelled.set()
        self._by_person = self._by_person or by_person
        if self.job is not None:
            self.job.cancel(by_person=by_person)

    def pause(self) -> None:
        """Holds it at a checkpoint until `resume`."""
        self._is_paused = True
        if self.job is not None:
            self.job.pause()

    def resume(self) -> None:
        """Goes on after `pause`."""
        self._is_paused = False
        if self.job is not None:
            self.job.resume()

    def give_up(self, criterion: Reason) -> None:
        """Ends it as failed, since it meets a criterion by which it is not worth going on with."""
        if self.job is not None:
            self.job.give_up(criterion)

    def set_rate_limit(self, bytes_per_second: int) -> None:
        """At most so much from now on; 0 for no limit."""
        self._rate_limit = bytes_per_second
        if self.job is not None:
            self.job.set_rate_limit(bytes_per_second)

    @property
    def waits_for_room(self) -> bool:
        """Whether it stands still because a disk is full: the ledger's, or that of the certificates."""
        return self._room.is_awaited or (self.job is not None and self.job.waits_for_room)

    async def begin(self, prepared: Prepared, abandon: JobState | None = None) -> Result:
        """A new job on a prepared drive, after giving up an earlier one. Raises nothing for what the drive does."""
        if abandon is not None:
            await self.end(abandon.job_id, "given up for a new job")
        prepared, criterion = await self._asked_health(prepared)
        log = await self._open_log(prepared)
        if criterion is not None:
            return await self._not_begun(log, criterion)
        return await self._run(log, prepared.drive)

    async def _asked_health(self, prepared: Prepared) -> tuple[Prepared, Reason | None]:
        """The failure criterion that the drive meets before anything is written to it; where it does not say, the plan does."""
        if self.failure.max_reallocated_sectors is None:
            return prepared, None
        count = await self._call(self._station.reallocated_sectors, prepared.drive)
        if count is None:
            note = "The drive does not say how many sectors it has reallocated: it was not held to a limit of them."
            plan = replace(prepared.plan, notes=(*prepared.plan.notes, note))
            return replace(prepared, plan=plan), None
        return prepared, self.failure.of_drive(count)

    async def _not_begun(self, log: JobLog, criterion: Reason) -> Result:
        """A drive on which no job is worth beginning has failed, with a certificate that says so."""
        self.job_id = log.state.job_id
        try:
            await self._append(log, JobGivenUp(criterion))
            await self._append(log, JobFinished(*judge(log.state.facts())))
            return await self._issue(log, None)
        finally:
            await log.close()

    async def take_up(self, state: JobState, drive: Drive) -> Result:
        """Goes on with an interrupted job on the drive as it was found now. Raises JournalError."""
        journal = self._station.journal
        log = await self._room.until_there_is(lambda: journal.take_up(state.job_id, place=self._place))
        if log.state.outcome is not None:
            try:
                return await self._issue(log, None)
            finally:
                await log.close()
        return await self._run(log, drive)

    async def record_cancel(self, what: Prepared | str) -> str:
        """Puts on record that a person cancelled this before it began, or the job of this id; gives the job's id. After any
        failure it may be called again: the job that it opened is then gone on with, and no second one begun. Raises
        JournalError.
        """
        job_id = self.job_id if isinstance(what, Prepared) else what
        if isinstance(what, Prepared) and not job_id:
            log = await self._open_log(what)
            self.job_id = log.state.job_id
        else:
            log = await self._station.journal.take_up(job_id, place=self._place)
        try:
            if not log.state.is_cancelled:
                await log.append(JobCancelled())
            return log.state.job_id
        finally:
            await log.close()

    @property
    def is_cancelled_by_person(self) -> bool:
        """Whether a person has cancelled it, on record or not."""
        return self._by_person

    async def issue_due(self, job_id: str) -> Result:
        """Issues the certificate of a job that has ended without one; nobody needs its drive for that. Raises JournalError,
        CertificateError or OSError.
        """
        log = await self._station.journal.take_up(job_id, place=self._place)
        try:
            if log.state.outcome is None:
                raise JournalError("it has not ended, so it has no certificate", subject=job_id)
            return await self._issue(log, None)
        finally:
            await log.close()

    async def _open_log(self, prepared: Prepared) -> JobLog:
        request = JobQueued(
            job_id=self._station.new_id(),
            path=prepared.drive.path,
            standard=prepared.plan.standard,
            operator=prepared.request.operator,
        )
        journal = self._station.journal
        log = await self._room.until_there_is(lambda: journal.begin(request, place=self._place))
        try:
            await self._append(log, DriveIdentified(prepared.drive))
            await self._append(log, JobPlanned(prepared.plan))
        except BaseException:
            await log.close()
            raise
        return log

    async def _append(self, log: JobLog, event: JobEvent) -> None:
        await self._room.until_there_is(lambda: log.append(event))

    async def end(self, job_id: str, why: str) -> None:
        """An earlier job ends as failed, with its certificate where it wrote: no drive leaves silently after that. Nobody needs
        the drive for it. Raises JournalError, CertificateError or OSError.
        """
        journal = self._station.journal
        log = await self._room.until_there_is(lambda: journal.take_up(job_id, place=self._place))
        try:
            if log.state.outcome is None and not log.state.has_written:
                await self._append(log, JobRefused("abandoned", "given up before anything was written"))
                return
            if log.state.outcome is None:
                await self._append(log, JobAbandoned(why))
                await self._append(log, JobFinished(*judge(log.state.facts())))
            await self._issue(log, None)
        finally:
            await log.close()

    async def _run(self, log: JobLog, drive: Drive) -> Result:
        self.job_id = log.state.job_id
        try:
            result = await self._hold_and_run(log, drive)
        finally:
            await log.close()
        if self._is_cancel_unrecorded(log.state):  # a person gave it while the log was being closed
            await self.record_cancel(log.state.job_id)
        return result

    async def _hold_and_run(self, log: JobLog, drive: Drive) -> Result:
        try:
            erasable = await self._call(self._station.hold, drive, now_utc=self._station.now_utc)
        except (Refused, DriveError) as error:
            return await self._not_claimed(log, error)
        try:
            self.job = JobRun(
                log,
                erasable,
                self._station.tune(erasable.drive),
                random_bytes=self._station.random_bytes,
                keep_hashes=self._station.issue.keep_hashes,
                call=self._call,
                failure=self.failure,
                waits_for_room=self._station.waits_for_room,
            )
            self.job.set_rate_limit(self._rate_limit)
            if self._is_paused:
                self.job.pause()
            if self._cancelled.is_set():
                self.job.cancel(by_person=self._by_person)
            await self.job.run()
        finally:
            await self._close(erasable)
        if self._is_cancel_unrecorded(log.state):  # a job that was interrupted was still being put away
            await self._append(log, JobCancelled())
        return await self._issue(log, self.job)

    def _is_cancel_unrecorded(self, state: JobState) -> bool:
        """Whether a person cancelled a job that could go on, which it is to do on their word only."""
        return self._by_person and state.is_open and state.outcome is None and not state.is_cancelled

    async def _not_claimed(self, log: JobLog, error: Refused | DriveError) -> Result:
        """A drive that was free a moment ago and is not now. A job that has written stays open."""
        reason = error.reason if isinstance(error, Refused) else error.code
        if self._is_cancel_unrecorded(log.state):
            await self._append(log, JobCancelled())
        if log.state.phase is Phase.PLANNED and not log.state.is_cancelled:
            await self._append(log, JobRefused(reason, error.what))
        is_held = reason == guard.UseReason.HELD_BY_UNFINISHED_IO.value
        return Result(self.path, Ended.REFUSED, (say_error(error),), is_held=is_held, job_id=self.job_id)

    async def _issue(self, log: JobLog, job: JobRun | None) -> Result:
        await self._doubt(log)
        state = log.state
        # Of a drive that never answered, no last byte is known.
        duration_ns = max(0, job.last_byte_ns - job.first_byte_ns) if job is not None else 0
        issued: Issued | None = None
        if state.outcome is not None:
            try:
                issued = await self._room.until_there_is(lambda: self._call(self._station.issue, state))
            except WithheldError as error:
                has_passed = state.outcome is Outcome.PASSED
                code = Code.PASSED_CERTIFICATE_WAITS if has_passed else Code.FAILED_CERTIFICATE_WAITS
                why = say(Code.PROBLEM, problem=Problem.WITHHELD.value, detail=error.what)
                is_held = job.is_held if job is not None else False
                reasons = (say(code, why=why),)
                return Result(self.path, Ended.INTERRUPTED, reasons, job_id=state.job_id, is_held=is_held)
            await self._append(log, CertificateIssued(issued.certificate_id, issued.digest))
        return Result(
            device=self.path,
            outcome=Ended(state.outcome.value) if state.outcome is not None else Ended.INTERRUPTED,
            reasons=reasons_of(state),
            certificate=issued.path if issued is not None else None,
            bytes_written=job.bytes_written if job is not None else 0,
            bytes_verified=job.bytes_verified if job is not None else 0,
            seconds=duration_ns / 1e9,
            is_held=job.is_held if job is not None else False,
            job_id=state.job_id,
        )

    async def _doubt(self, log: JobLog) -> None:
        """A verification that a control has shown to be blind lets nothing pass, however good the next control is."""
        state = log.state
        if state.outcome is Outcome.PASSED and (why := await self._station.why_doubted(state.finished_at)):
            await self._append(log, JobAbandoned(f"what was read back is not believed: {why}"))
            await self._append(log, JobFinished(*judge(log.state.facts())))

    async def _close(self, erasable: ErasableDrive) -> None:
        """Giving back what a sick drive still holds may block, and is left to its thread then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._call(erasable.close)
