"""A job's state is the fold of its events: what they add up to, and what may be believed of them.

`fold` refuses events that cannot follow one another, so that a journal which contradicts itself is noticed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from eraser.domain.changed import replace
from eraser.domain.drive import Drive
from eraser.domain.events import (
    ActivitySeen,
    CertificateIssued,
    Checkpoint,
    DriveIdentified,
    Entry,
    JobAbandoned,
    JobCancelled,
    JobEvent,
    JobFinished,
    JobGivenUp,
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
    FlushProof,
    MarkersEvidence,
    SightCheck,
    TransferReport,
    VerificationEvidence,
)
from eraser.domain.plan import Plan
from eraser.domain.verdict import Facts, PassFacts, covers_to_end, judge
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
    running_from: int | None = None
    """Where the run began that has not ended; None while nothing is being written."""
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
            self,
            running_from=None,
            bad_extents_lost=(*self.bad_extents_lost, *self.bad_extents_running),
            bad_extents_running=(),
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
    has_written: bool = False
    """Whether bytes may have gone to the drive, so that it ends with a certificate and never silently."""
    markers_seed: bytes = b""
    """Of the markers that are being written and read back."""
    markers: MarkersEvidence | None = None
    unchecked_bytes: int = 0
    """Written in an earlier sight and neither read back in this one yet, nor left to the final verification."""
    went_on_unchecked: bool = False
    """Whether a pass was gone on with over such bytes, since the program last began."""
    had_outsiders: bool = False
    """Whether somebody else wrote in an earlier sight, since the program last began."""
    sight_checks: tuple[SightCheck, ...] = ()
    restarts: tuple[str, ...] = ()
    verifying: VerificationStarted | None = None
    """The reading back that has not ended."""
    pass_verifications: tuple[VerificationEvidence, ...] = ()
    final_verification: VerificationEvidence | None = None
    faulty_verifications: tuple[VerificationEvidence, ...] = ()
    """Those that found something wrong, since the program last began, whatever was read back later."""
    activity: DriveActivity | None = None
    other_users: tuple[str, ...] | None = None
    """Who else used the drive when we looked last; None before that."""
    why: str = ""
    """Of the last interruption, refusal or abandonment."""
    abandoned: str = ""
    given_up: Reason | None = None
    """The failure criterion that it met; then nothing more is done but to end it as failed."""
    is_cancelled: bool = False
    """Whether a person cancelled it and nobody has gone on with it since."""
    outcome: Outcome | None = None
    reasons: tuple[Reason, ...] = ()
    finished_at: str = ""
    """When that went on record, UTC; the certificate may be issued much later, after a crash."""
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
    def next_pass(self) -> PassState | None:
        """The first pass that is not complete."""
        return next((item for item in self.passes if not item.is_complete), None)

    @property
    def capacity_bytes(self) -> int:
        """Of the drive as it was identified."""
        if self.drive is None:
            raise JournalError("no drive was identified", subject=self.job_id)
        return self.drive.geometry.capacity_bytes

    @property
    def sector_bytes(self) -> int:
        """The drive's logical sectors, as it was identified."""
        if self.drive is None:
            raise JournalError("no drive was identified", subject=self.job_id)
        return self.drive.geometry.logical_sector_bytes

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
            went_on_unchecked=self.went_on_unchecked,
            had_outsiders=self.had_outsiders,
            sight_checks=self.sight_checks,
            restarts=self.restarts,
            pass_verifications=self.pass_verifications,
            final_verification=self.final_verification,
            faulty_verifications=self.faulty_verifications,
            activity=self.activity,
            other_users=self.other_users,
            interrupted=self.why if self.phase is Phase.INTERRUPTED else "",
            abandoned=self.abandoned,
            given_up=self.given_up,
        )


_KEEP_ACTIVITY = (
    ActivitySeen,
    JobInterrupted,
    JobCancelled,
    JobAbandoned,
    JobGivenUp,
    JobFinished,
    CertificateIssued,
)
_UNNAMED = "no reason was given"


def fold(entries: Iterable[Entry]) -> JobState:
    """The state after all entries. Raises JournalError for a gap, or for an event that can't follow those before it."""
    state: JobState | None = None
    for expected, entry in enumerate(entries):
        if entry.sequence != expected:
            raise JournalError(
                f"event {expected} is missing (found {entry.sequence})", subject=state.job_id if state else ""
            )
        state = apply(state, entry.event, entry.at)
    if state is None:
        raise JournalError("the journal is empty")
    return state


def apply(state: JobState | None, event: JobEvent, at: str) -> JobState:
    """The state after one more event, which went on record `at` (UTC). Raises JournalError if it can't come now."""
    if state is None:
        if not isinstance(event, JobQueued):
            raise JournalError(f"a job begins with being queued, not with {event.kind}")
        return JobState(request=event)
    if state.activity is not None and not isinstance(event, _KEEP_ACTIVITY):
        # Counters tell of the time before they were read: whatever happens later needs new ones. What they told is not
        # forgotten, even where a crash left no word of the sight's end.
        had_outsiders = state.had_outsiders or state.activity.has_foreign_writes
        state = replace(state, activity=None, other_users=None, had_outsiders=had_outsiders)
    match event:
        case Checkpoint():  # first: nearly all events are
            return _checkpoint(state, event)
        case JobQueued():
            raise _unexpected(state, event)
        case DriveIdentified(drive):
            _expect(state, event, Phase.QUEUED)
            return replace(state, phase=Phase.IDENTIFIED, drive=drive)
        case JobRefused(_, what):
            if state.has_written or state.phase in _ENDED:
                raise _unexpected(state, event)
            return replace(state, phase=Phase.REFUSED, why=what)
        case JobPlanned(plan):
            _expect(state, event, Phase.IDENTIFIED)
            return replace(state, phase=Phase.PLANNED, plan=plan, passes=_unwritten(plan))
        case SightBegan():
            return _sight_began(state, event)
        case MarkersStarted(seed):
            return _markers_started(state, event, seed)
        case MarkersChecked(evidence):
            return _markers_checked(state, event, evidence)
        case PassStarted(number, position):
            return _pass_started(state, event, number, position)
        case PassEnded(number, report):
            return _pass_ended(state, event, number, report)
        case SightChecked(check):
            return _sight_checked(state, event, check)
        case ProgramRestarted(why):
            return _restarted(state, event, why)
        case VerificationStarted():
            return _verification_started(state, event)
        case VerificationEnded(evidence):
            return _verification_ended(state, event, evidence)
        case ActivitySeen(activity, other_users):
            _expect(state, event, Phase.RUNNING, Phase.VERIFYING)
            return replace(state, activity=activity, other_users=other_users)
        case JobInterrupted(why):
            _expect(state, event, Phase.PLANNED, Phase.RUNNING, Phase.VERIFYING, Phase.INTERRUPTED)
            return _interrupted(state, why or _UNNAMED)
        case JobCancelled():
            _expect(state, event, Phase.PLANNED, Phase.RUNNING, Phase.VERIFYING, Phase.INTERRUPTED)
            return replace(state, is_cancelled=True)
        case JobAbandoned(why):
            if state.phase is Phase.PASSED and not state.certificate_id:
                # Nobody was told that it passed, and what was read back is no longer believed.
                state = replace(state, phase=Phase.VERIFYING, outcome=None, reasons=(), finished_at="")
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
            return replace(state, why=why or _UNNAMED, abandoned=(why or _UNNAMED) + _may_be_missing(state))
        case JobGivenUp(reason):
            _expect(state, event, Phase.PLANNED, Phase.RUNNING, Phase.VERIFYING, Phase.INTERRUPTED)
            return replace(state, given_up=state.given_up or reason)
        case JobFinished(outcome, reasons):
            return replace(_finished(state, event, outcome, reasons), finished_at=at)
        case CertificateIssued(certificate_id):
            if state.outcome is None or state.certificate_id:
                raise _unexpected(state, event)
            return replace(state, certificate_id=certificate_id)
        case _:
            assert_never(event)


def _may_be_missing(state: JobState) -> str:
    """What a job that is given up in the middle of a pass cannot know: bad places found after the last checkpoint are on
    record only when the run ends. Going on with it would write there again, and find those that stay bad.
    """
    if any(item.started and not item.is_complete for item in state.passes):
        return "; bad places found after the last checkpoint may be missing here"
    return ""


def _unexpected(state: JobState, event: JobEvent) -> JournalError:
    return JournalError(
        f"the event {event.kind!r} can't follow a job that is {state.phase.value}", subject=state.job_id
    )


def _expect(state: JobState, event: JobEvent, *phases: Phase) -> None:
    if state.phase not in phases:
        raise _unexpected(state, event)


def _expect_nothing_runs(state: JobState, event: JobEvent) -> None:
    """In one sight a transfer ends on record before the next begins; what a crash cut short ends with the sight."""
    if state.verifying is not None or any(item.running_from is not None for item in state.passes):
        raise JournalError(f"the event {event.kind!r} can't come while a transfer runs", subject=state.job_id)


def _unwritten(plan: Plan) -> tuple[PassState, ...]:
    return tuple(PassState(number) for number in range(1, len(plan.passes) + 1))


def _written_to(state: JobState, **changes: object) -> JobState:
    """Whatever was read back before a write proves nothing afterwards."""
    return replace(state, has_written=True, verifying=None, final_verification=None, **changes)


def _with_pass(state: JobState, item: PassState) -> tuple[PassState, ...]:
    return (*state.passes[: item.number - 1], item, *state.passes[item.number :])


def _sight_began(state: JobState, event: SightBegan) -> JobState:
    # A crash leaves no event, so a new sight may follow anything that was under way.
    _expect(state, event, Phase.PLANNED, Phase.RUNNING, Phase.VERIFYING, Phase.INTERRUPTED)
    return replace(
        state,
        phase=Phase.RUNNING,
        is_cancelled=False,
        sights=state.sights + 1,
        passes=tuple(item.without_running() for item in state.passes),
        markers_seed=b"",
        markers=state.markers if _are_markers_kept(state) else None,
        unchecked_bytes=unchecked_bytes(state.passes, state.capacity_bytes),
        verifying=None,
        final_verification=None,
    )


def _interrupted(state: JobState, why: str) -> JobState:
    # Read back or not: from now on anybody may write to the drive. What the counters told of this sight is not forgotten:
    # what somebody wrote before a later pass went over it is on the drive no more, and still did not get every pass.
    was_alone = state.activity is None or not state.activity.has_foreign_writes
    return replace(
        state,
        phase=Phase.INTERRUPTED,
        why=why,
        verifying=None,
        final_verification=None,
        activity=None,
        had_outsiders=state.had_outsiders or not was_alone,
    )


def _are_markers_kept(state: JobState) -> bool:
    """Markers are written anew while that costs nothing, unless they showed what no second look can undo."""
    is_underway = any(item.started for item in state.passes)
    return is_underway or (state.markers is not None and state.markers.read_back.mismatched_sectors > 0)


def unchecked_bytes(passes: tuple[PassState, ...], capacity_bytes: int) -> int:
    """How much has to be read back before a job goes on that was out of sight: what is there of the pass that was under way,
    unless the final verification will read it, and what it has not overwritten of the pass before.
    """
    current = max((item for item in passes if item.started), key=lambda item: item.number, default=None)
    if current is None:
        return 0
    of_this = current.believed_bytes if current.number < len(passes) else 0
    of_earlier = capacity_bytes - current.believed_bytes if current.number > 1 else 0
    return of_this + of_earlier


def _sight_checked(state: JobState, event: SightChecked, check: SightCheck) -> JobState:
    _expect(state, event, Phase.RUNNING)
    _expect_nothing_runs(state, event)
    left = max(0, state.unchecked_bytes - max(0, check.checked_bytes))
    return replace(state, unchecked_bytes=left, sight_checks=(*state.sight_checks, check))


def _markers_started(state: JobState, event: MarkersStarted, seed: bytes) -> JobState:
    _expect(state, event, Phase.RUNNING)
    if any(item.started for item in state.passes):
        raise JournalError("markers can't be written over a pass", subject=state.job_id)
    return _written_to(state, markers=None, markers_seed=seed)


def _markers_checked(state: JobState, event: MarkersChecked, evidence: MarkersEvidence) -> JobState:
    _expect(state, event, Phase.RUNNING)
    if not state.markers_seed or evidence.seed != state.markers_seed:
        raise JournalError("these markers were not announced", subject=state.job_id)
    return replace(state, markers_seed=b"", markers=evidence)


def _pass_started(state: JobState, event: PassStarted, number: int, position: int) -> JobState:
    _expect(state, event, Phase.RUNNING, Phase.VERIFYING)
    current = state.next_pass
    if current is None or current.number != number or not 0 <= position <= current.believed_bytes:
        raise JournalError(f"pass {number} can't start at byte {position} now", subject=state.job_id)
    _expect_nothing_runs(state, event)
    if state.plan is not None and state.plan.needs_markers and state.markers is None:
        raise JournalError("the pass can't start before the markers were checked", subject=state.job_id)
    started = replace(current.without_running(), started=True, running_from=position)
    return _written_to(
        state,
        phase=Phase.RUNNING,
        passes=_with_pass(state, started),
        went_on_unchecked=state.went_on_unchecked or state.unchecked_bytes > 0,
    )


def _running_pass(state: JobState, event: JobEvent, number: int) -> PassState:
    _expect(state, event, Phase.RUNNING)
    current = state.next_pass
    if current is None or current.number != number or current.running_from is None:
        raise JournalError(f"pass {number} is not being written", subject=state.job_id)
    return current


def _checkpoint(state: JobState, event: Checkpoint) -> JobState:
    current = _running_pass(state, event, event.number)
    # A flush of which nothing was sent to the drive says nothing about a power cut.
    counts = event.flush_proof not in (FlushProof.ASSUMED, FlushProof.NOT_FLUSHED)
    least = current.believed_bytes if counts else 0
    if not least <= event.position_bytes <= state.capacity_bytes:
        raise JournalError(f"a checkpoint at byte {event.position_bytes} goes backwards", subject=state.job_id)
    updated = replace(
        current,
        believed_bytes=event.position_bytes if counts else current.believed_bytes,
        flush_proof=event.flush_proof,
        bad_extents_running=(*current.bad_extents_running, *event.bad_extents),
    )
    return replace(state, passes=_with_pass(state, updated))


def _pass_ended(state: JobState, event: PassEnded, number: int, report: TransferReport) -> JobState:
    current = _running_pass(state, event, number)
    if report.start_position_bytes != current.running_from:
        raise JournalError(f"pass {number} ended another run than the one that began", subject=state.job_id)
    is_complete = covers_to_end(report, state.capacity_bytes)
    forgotten = () if report.bad_bytes else current.bad_extents_running
    updated = replace(
        current,
        running_from=None,
        runs=(*current.runs, report),
        is_complete=is_complete,
        flush_proof=report.flush_proof if report.flushes else current.flush_proof,
        believed_bytes=state.capacity_bytes if is_complete else current.believed_bytes,
        bad_extents_lost=(*current.bad_extents_lost, *forgotten),
        bad_extents_running=(),
    )
    return replace(state, passes=_with_pass(state, updated))


def _restarted(state: JobState, event: ProgramRestarted, why: str) -> JobState:
    _expect(state, event, Phase.RUNNING)
    _expect_nothing_runs(state, event)
    if state.plan is None:
        raise _unexpected(state, event)
    return replace(
        state,
        passes=_unwritten(state.plan),
        markers_seed=b"",
        markers=None,
        unchecked_bytes=0,
        went_on_unchecked=False,
        had_outsiders=False,
        sight_checks=(),
        verifying=None,
        pass_verifications=(),
        final_verification=None,
        faulty_verifications=(),
        restarts=(*state.restarts, why),
    )


def _verification_started(state: JobState, event: VerificationStarted) -> JobState:
    _expect(state, event, Phase.RUNNING, Phase.VERIFYING)
    _expect_nothing_runs(state, event)
    done = [item.number for item in state.passes if item.is_complete]
    is_written_over = any(item.started for item in state.passes if not item.is_complete)
    if is_written_over or not done or event.pass_number != done[-1]:
        raise JournalError(f"pass {event.pass_number} is not what the drive holds now", subject=state.job_id)
    return replace(state, phase=Phase.VERIFYING, verifying=event, final_verification=None)


def _verification_ended(state: JobState, event: VerificationEnded, evidence: VerificationEvidence) -> JobState:
    _expect(state, event, Phase.VERIFYING)
    begun = state.verifying
    seed = evidence.sampling.seed if evidence.sampling is not None else b""
    if begun is None or (begun.pass_number, begun.verification, begun.sampling_seed) != (
        evidence.pass_number,
        evidence.kind,
        seed,
    ):
        raise JournalError(
            f"the reading back of pass {evidence.pass_number} that ended is not the one that began",
            subject=state.job_id,
        )
    report = evidence.report
    is_faulty = bool(report.mismatched_sectors or report.bad_bytes)
    state = replace(
        state,
        verifying=None,
        faulty_verifications=(*state.faulty_verifications, *((evidence,) if is_faulty else ())),
    )
    if evidence.pass_number == len(state.passes):
        return replace(state, final_verification=evidence)
    # One that was cut short is made good by a later one; what a faulty one found is kept beside.
    others = tuple(item for item in state.pass_verifications if item.pass_number != evidence.pass_number)
    return replace(state, pass_verifications=(*others, evidence))


def _finished(state: JobState, event: JobFinished, outcome: Outcome, reasons: tuple[Reason, ...]) -> JobState:
    _expect(state, event, Phase.PLANNED, Phase.RUNNING, Phase.VERIFYING, Phase.INTERRUPTED)
    if outcome is Outcome.PASSED:
        if judge(state.facts())[0] is not Outcome.PASSED:
            raise JournalError("the job is said to have passed, its own facts say otherwise", subject=state.job_id)
        return replace(state, phase=Phase.PASSED, outcome=outcome, reasons=reasons)
    return replace(state, phase=Phase.FAILED, outcome=outcome, reasons=reasons)
