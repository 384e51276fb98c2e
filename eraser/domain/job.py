"""A job's state is the fold of its events: what they add up to, and what may be believed of them.

`fold` refuses events that cannot follow one another, so that a journal which contradicts itself is noticed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from eraser.domain.drive import Drive
from eraser.domain.events import (
    ActivitySeen,
    CertificateIssued,
    Checkpoint,
    DriveIdentified,
    Entry,
    JobAbandoned,
    JobEvent,
    JobFinished,
    JobInterrupted,
    JobPlanned,
    JobQueued,
    JobRefused,
    MarkersChecked,
    MarkersStarted,
    Outcome,
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
    BadExtent,
    DriveActivity,
    EndReason,
    FlushProof,
    MarkersEvidence,
    SightCheck,
    TransferReport,
    VerificationEvidence,
)
from eraser.domain.plan import Plan
from eraser.domain.verdict import Facts, PassFacts
from eraser.errors import JournalError


class Phase(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    IDENTIFIED = "identified"
    PLANNED = "planned"
    RUNNING = "running"
    VERIFYING = "verifying"
    INTERRUPTED = "interrupted"
    REFUSED = "refused"
    PASSED = "passed"
    FAILED = "failed"


_ENDED = (Phase.REFUSED, Phase.PASSED, Phase.FAILED)


@dataclass(frozen=True, slots=True)
class PassState:
    """How far one pass has come. `believed_bytes` is the position up to which a crash loses nothing."""

    number: int
    started: bool = False
    believed_bytes: int = 0
    flush_proof: FlushProof = FlushProof.NOT_FLUSHED
    runs: tuple[TransferReport, ...] = ()
    is_complete: bool = False
    bad_extents_lost: tuple[BadExtent, ...] = ()
    """Of runs that died without a report, as far as their checkpoints tell."""
    bad_extents_running: tuple[BadExtent, ...] = ()
    """At checkpoints of the run that has not ended."""

    @property
    def bad_bytes(self) -> int:
        """All bytes given up in this pass."""
        listed = (*self.bad_extents_lost, *self.bad_extents_running)
        return sum(run.bad_bytes for run in self.runs) + sum(item.extent.length_bytes for item in listed)

    def without_running(self) -> "PassState":
        """After a run that died: what its checkpoints told is all that will be known of it."""
        return replace(
            self, bad_extents_lost=(*self.bad_extents_lost, *self.bad_extents_running), bad_extents_running=()
        )


@dataclass(frozen=True, slots=True)
class JobState:
    """What the events so far add up to."""

    request: JobQueued
    phase: Phase = Phase.QUEUED
    drive: Drive | None = None
    plan: Plan | None = None
    sights: int = 0
    passes: tuple[PassState, ...] = ()
    markers: MarkersEvidence | None = None
    sight_checks: tuple[SightCheck, ...] = ()
    restarts: tuple[str, ...] = ()
    pass_verifications: tuple[VerificationEvidence, ...] = ()
    final_verification: VerificationEvidence | None = None
    activity: DriveActivity | None = None
    why: str = ""
    """Of the last interruption, refusal or abandonment."""
    abandoned: str = ""
    outcome: Outcome | None = None
    reasons: tuple[Reason, ...] = ()
    certificate_id: str = ""

    @property
    def job_id(self) -> str:
        """Of the request."""
        return self.request.job_id

    @property
    def is_open(self) -> bool:
        """Whether there is still something to do: to finish, to resume, or to issue the certificate."""
        return self.phase not in _ENDED or (self.outcome is not None and not self.certificate_id)

    @property
    def has_written(self) -> bool:
        """Whether bytes may have gone to the drive, so that it ends with a certificate and never silently."""
        return self.markers is not None or any(item.started for item in self.passes)

    @property
    def next_pass(self) -> PassState | None:
        """The first pass that is not complete."""
        return next((item for item in self.passes if not item.is_complete), None)

    @property
    def capacity_bytes(self) -> int:
        """Of the drive as it was identified."""
        if self.drive is None:
            raise JournalError("no drive was identified", subject=self.job_id)
        return self.drive.geometry.capacity_bytes

    def facts(self) -> Facts:
        """What the verdict rests on. Raises JournalError before the job is planned."""
        if self.drive is None or self.plan is None:
            raise JournalError("there is no plan to judge", subject=self.job_id)
        return Facts(
            drive=self.drive,
            plan=self.plan,
            sights=self.sights,
            passes=tuple(
                PassFacts(
                    item.number,
                    item.runs,
                    item.is_complete,
                    (*item.bad_extents_lost, *item.bad_extents_running),
                    item.bad_bytes,
                )
                for item in self.passes
            ),
            markers=self.markers,
            sight_checks=self.sight_checks,
            restarts=self.restarts,
            pass_verifications=self.pass_verifications,
            final_verification=self.final_verification,
            activity=self.activity,
            abandoned=self.abandoned,
        )


def fold(entries: Iterable[Entry]) -> JobState:
    """The state after all entries. Raises JournalError for a gap, or for an event that can't follow those before it."""
    state: JobState | None = None
    for expected, entry in enumerate(entries):
        if entry.sequence != expected:
            raise JournalError(
                f"event {expected} is missing (found {entry.sequence})", subject=state.job_id if state else ""
            )
        state = apply(state, entry.event)
    if state is None:
        raise JournalError("the journal is empty")
    return state


def apply(state: JobState | None, event: JobEvent) -> JobState:
    """The state after one more event. Raises JournalError if it can't come now."""
    if state is None:
        if not isinstance(event, JobQueued):
            raise JournalError(f"a job begins with being queued, not with {event.kind}")
        return JobState(request=event)
    match event:
        case JobQueued():
            raise _unexpected(state, event)
        case DriveIdentified(drive):
            _expect(state, event, Phase.QUEUED)
            return replace(state, phase=Phase.IDENTIFIED, drive=drive)
        case JobRefused(_, what):
            _expect(state, event, Phase.QUEUED, Phase.IDENTIFIED, Phase.PLANNED)
            return replace(state, phase=Phase.REFUSED, why=what)
        case JobPlanned(plan):
            _expect(state, event, Phase.IDENTIFIED)
            return replace(state, phase=Phase.PLANNED, plan=plan, passes=_unwritten(plan))
        case SightBegan():
            return _sight_began(state, event)
        case MarkersStarted():
            _expect(state, event, Phase.RUNNING)
            return _written_to(state, markers=None)
        case MarkersChecked(evidence):
            _expect(state, event, Phase.RUNNING)
            return replace(state, markers=evidence)
        case PassStarted(number, position):
            return _pass_started(state, event, number, position)
        case Checkpoint():
            return _checkpoint(state, event)
        case PassEnded(number, report):
            return _pass_ended(state, event, number, report)
        case SightChecked(check):
            _expect(state, event, Phase.RUNNING)
            return replace(state, sight_checks=(*state.sight_checks, check))
        case ProgramRestarted(why):
            return _restarted(state, event, why)
        case VerificationStarted():
            _expect(state, event, Phase.RUNNING, Phase.VERIFYING)
            return replace(state, phase=Phase.VERIFYING, activity=None)
        case VerificationEnded(evidence):
            return _verification_ended(state, event, evidence)
        case ActivitySeen(activity):
            _expect(state, event, Phase.RUNNING, Phase.VERIFYING)
            return replace(state, activity=activity)
        case JobInterrupted(why):
            _expect(state, event, Phase.PLANNED, Phase.RUNNING, Phase.VERIFYING, Phase.INTERRUPTED)
            return replace(state, phase=Phase.INTERRUPTED, why=why)
        case JobAbandoned(why):
            _expect(
                state,
                event,
                Phase.QUEUED,
                Phase.IDENTIFIED,
                Phase.PLANNED,
                Phase.RUNNING,
                Phase.VERIFYING,
                Phase.INTERRUPTED,
            )
            return replace(state, why=why, abandoned=why)
        case JobFinished(outcome, reasons):
            return _finished(state, event, outcome, reasons)
        case CertificateIssued(certificate_id):
            if state.outcome is None or state.certificate_id:
                raise _unexpected(state, event)
            return replace(state, certificate_id=certificate_id)
        case _:
            assert_never(event)


def _unexpected(state: JobState, event: JobEvent) -> JournalError:
    return JournalError(
        f"the event {event.kind!r} can't follow a job that is {state.phase.value}", subject=state.job_id
    )


def _expect(state: JobState, event: JobEvent, *phases: Phase) -> None:
    if state.phase not in phases:
        raise _unexpected(state, event)


def _unwritten(plan: Plan) -> tuple[PassState, ...]:
    return tuple(PassState(number) for number in range(1, len(plan.passes) + 1))


def _written_to(state: JobState, **changes: object) -> JobState:
    """Whatever was read back or counted before a write proves nothing afterwards."""
    return replace(state, final_verification=None, activity=None, **changes)  # type: ignore[arg-type]


def _with_pass(state: JobState, item: PassState) -> tuple[PassState, ...]:
    return (*state.passes[: item.number - 1], item, *state.passes[item.number :])


def _sight_began(state: JobState, event: SightBegan) -> JobState:
    # A crash leaves no event, so a new sight may follow anything that was under way.
    _expect(state, event, Phase.PLANNED, Phase.RUNNING, Phase.VERIFYING, Phase.INTERRUPTED)
    passes = tuple(item.without_running() for item in state.passes)
    return replace(
        state, phase=Phase.RUNNING, sights=state.sights + 1, passes=passes, final_verification=None, activity=None
    )


def _pass_started(state: JobState, event: PassStarted, number: int, position: int) -> JobState:
    _expect(state, event, Phase.RUNNING, Phase.VERIFYING)
    current = state.next_pass
    if current is None or current.number != number or position > current.believed_bytes:
        raise JournalError(f"pass {number} can't start at byte {position} now", subject=state.job_id)
    if state.plan is not None and state.plan.needs_markers and state.markers is None:
        raise JournalError("the pass can't start before the markers were checked", subject=state.job_id)
    started = replace(current.without_running(), started=True)
    return _written_to(state, phase=Phase.RUNNING, passes=_with_pass(state, started))


def _running_pass(state: JobState, event: JobEvent, number: int) -> PassState:
    _expect(state, event, Phase.RUNNING)
    current = state.next_pass
    if current is None or current.number != number or not current.started:
        raise JournalError(f"pass {number} is not being written", subject=state.job_id)
    return current


def _checkpoint(state: JobState, event: Checkpoint) -> JobState:
    current = _running_pass(state, event, event.number)
    if (
        not current.believed_bytes <= event.position_bytes <= state.capacity_bytes
        and event.flush_proof is not FlushProof.ASSUMED
    ):
        raise JournalError(f"a checkpoint at byte {event.position_bytes} goes backwards", subject=state.job_id)
    # A flush of which nothing was sent to the drive says nothing about a power cut.
    counts = event.flush_proof is not FlushProof.ASSUMED
    believed = event.position_bytes if counts else current.believed_bytes
    updated = replace(
        current,
        believed_bytes=believed,
        flush_proof=event.flush_proof,
        bad_extents_running=(*current.bad_extents_running, *event.bad_extents),
    )
    return replace(state, passes=_with_pass(state, updated))


def _pass_ended(state: JobState, event: PassEnded, number: int, report: TransferReport) -> JobState:
    current = _running_pass(state, event, number)
    if report.start_position_bytes > current.believed_bytes and current.flush_proof is not FlushProof.ASSUMED:
        raise JournalError(f"pass {number} ended a run that began beyond what is believed", subject=state.job_id)
    is_complete = report.end is EndReason.COMPLETED and report.end_position_bytes == state.capacity_bytes
    updated = replace(
        current,
        runs=(*current.runs, report),
        is_complete=is_complete,
        flush_proof=report.flush_proof if report.flushes else current.flush_proof,
        believed_bytes=state.capacity_bytes if is_complete else current.believed_bytes,
        bad_extents_running=(),
    )
    return replace(state, passes=_with_pass(state, updated))


def _restarted(state: JobState, event: ProgramRestarted, why: str) -> JobState:
    _expect(state, event, Phase.RUNNING)
    if state.plan is None:
        raise _unexpected(state, event)
    return _written_to(
        state,
        passes=_unwritten(state.plan),
        markers=None,
        sight_checks=(),
        pass_verifications=(),
        restarts=(*state.restarts, why),
    )


def _verification_ended(state: JobState, event: VerificationEnded, evidence: VerificationEvidence) -> JobState:
    _expect(state, event, Phase.VERIFYING)
    if not 1 <= evidence.pass_number <= len(state.passes) or not state.passes[evidence.pass_number - 1].is_complete:
        raise JournalError(
            f"pass {evidence.pass_number} can't have been verified: it is not complete", subject=state.job_id
        )
    if evidence.pass_number == len(state.passes):
        return replace(state, final_verification=evidence)
    return replace(state, pass_verifications=(*state.pass_verifications, evidence))


def _finished(state: JobState, event: JobFinished, outcome: Outcome, reasons: tuple[Reason, ...]) -> JobState:
    _expect(state, event, Phase.PLANNED, Phase.RUNNING, Phase.VERIFYING, Phase.INTERRUPTED)
    phase = Phase.PASSED if outcome is Outcome.PASSED else Phase.FAILED
    return replace(state, phase=phase, outcome=outcome, reasons=reasons)
