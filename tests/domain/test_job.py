"""A job's state is the fold of its events; a journal that contradicts itself is refused, or its job does not pass."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraser.domain.drive import Geometry
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
from eraser.domain.evidence import BadExtent, EndReason, Extent, FlushProof, Operation, SightCheck
from eraser.domain.job import JobState, Phase, apply, fold
from eraser.domain.plan import Plan
from eraser.domain.program import Verification
from eraser.domain.verdict import judge
from eraser.errors import JournalError
from tests.domain.jobs import (
    CAPACITY,
    DRIVE,
    IMAGE,
    ONE,
    QUEUED,
    SECTOR,
    SECTORS,
    THREE,
    TWO,
    a_plan,
    a_reading,
    a_report,
    a_sampled_reading,
    an_activity,
    cut_short,
    folded,
    honest,
    marked,
    planned,
    read_back,
    some_markers,
    written,
)

SIGHT = SightBegan("boot")
HALF = CAPACITY // 2
FULL = VerificationStarted(1, Verification.FULL, b"")
FLUSHED = FlushProof.KERNEL_SENT
BAD = BadExtent(Extent(SECTOR, SECTOR), Operation.WRITE, 5)
PASSED = JobFinished(Outcome.PASSED, ())
FAILED = JobFinished(Outcome.FAILED, (Reason("abandoned", "given up"),))
TWO_PASSES = a_plan(ONE, TWO)
BARE = a_plan(verification=Verification.NONE, needs_markers=True)


def seen(passes: int = 1) -> ActivitySeen:
    return ActivitySeen(an_activity(SECTORS * passes, passes))


def passes_after(events: tuple[JobEvent, ...]) -> bool:
    """Whether the journal is believed and its facts are judged as passed."""
    try:
        return judge(folded(events).facts())[0] is Outcome.PASSED
    except JournalError:
        return False


# ---- the beginning


def test_an_empty_journal_is_refused():
    with pytest.raises(JournalError, match="empty"):
        fold(())


@pytest.mark.parametrize("sequences", [(1,), (0, 2), (0, 0), (0, 1, 3), (0, 2, 1)])
def test_a_gap_in_the_numbers_is_refused(sequences):
    events = (QUEUED, DriveIdentified(DRIVE), JobPlanned(a_plan()))
    with pytest.raises(JournalError, match="missing"):
        fold(Entry(number, "", event) for number, event in zip(sequences, events, strict=False))


# ---- what can follow what

JOURNALS: dict[str, tuple[JobEvent, ...]] = {
    "queued": (QUEUED,),
    "identified": (QUEUED, DriveIdentified(DRIVE)),
    "planned": planned(a_plan()),
    "in sight": (*planned(a_plan()), SIGHT),
    "writing": (*planned(a_plan()), SIGHT, PassStarted(1, 0)),
    "stopped": (*planned(a_plan()), SIGHT, PassStarted(1, 0), PassEnded(1, cut_short(HALF))),
    "written": (*planned(a_plan()), SIGHT, *written(1)),
    "verifying": (*planned(a_plan()), SIGHT, *written(1), FULL),
    "verified": (*planned(a_plan()), SIGHT, *written(1), *read_back(1)),
    "interrupted": (*planned(a_plan()), SIGHT, JobInterrupted("asked to")),
    "cancelled": (*planned(a_plan()), SIGHT, JobCancelled(), JobInterrupted("asked to")),
    "back": (*planned(a_plan()), SIGHT, *written(1), SIGHT),
    "refused": (QUEUED, JobRefused("mounted", "it is mounted")),
    "passed": honest(a_plan()),
    "failed": (*planned(a_plan()), FAILED),
    "certified": (*honest(a_plan()), CertificateIssued("c", bytes(32))),
}

EVENTS: dict[str, JobEvent] = {
    "queued": QUEUED,
    "identified": DriveIdentified(DRIVE),
    "refused": JobRefused("mounted", "it is mounted"),
    "planned": JobPlanned(a_plan()),
    "sight": SIGHT,
    "markers-started": MarkersStarted(bytes(32)),
    "markers-checked": MarkersChecked(some_markers()),
    "pass-started": PassStarted(1, 0),
    "pass-2-started": PassStarted(2, 0),
    "pass-0-started": PassStarted(0, 0),
    "pass-started-beyond": PassStarted(1, SECTOR),
    "pass-started-before": PassStarted(1, -SECTOR),
    "checkpoint": Checkpoint(1, HALF, FLUSHED, ()),
    "checkpoint-beyond": Checkpoint(1, CAPACITY + SECTOR, FLUSHED, ()),
    "checkpoint-assumed-beyond": Checkpoint(1, CAPACITY + SECTOR, FlushProof.ASSUMED, ()),
    "checkpoint-before": Checkpoint(1, -1, FLUSHED, ()),
    "pass-ended": PassEnded(1, a_report()),
    "pass-ended-elsewhere": PassEnded(1, a_report(SECTOR)),
    "pass-2-ended": PassEnded(2, a_report()),
    "sight-checked": SightChecked(SightCheck(1, SECTOR, 0)),
    "restarted": ProgramRestarted("changed"),
    "verification-started": FULL,
    "verification-of-2-started": VerificationStarted(2, Verification.FULL, b""),
    "verification-ended": VerificationEnded(a_reading()),
    "sampling-ended": VerificationEnded(a_sampled_reading()),
    "activity": seen(),
    "interrupted": JobInterrupted("asked to"),
    "cancelled": JobCancelled(),
    "abandoned": JobAbandoned("asked to"),
    "given-up": JobGivenUp(Reason("too-slow", "too slow")),
    "passed": PASSED,
    "failed": FAILED,
    "certificate": CertificateIssued("c", bytes(32)),
}

_ANY_TIME_HELD = {"sight", "interrupted", "cancelled", "abandoned", "given-up", "failed"}
_IDLE = {*_ANY_TIME_HELD, "activity", "markers-started", "sight-checked", "restarted", "pass-started"}
_WRITTEN = {*_ANY_TIME_HELD, "activity", "sight-checked", "restarted", "verification-started"}
LEGAL: dict[str, set[str]] = {
    "queued": {"identified", "refused", "abandoned"},
    "identified": {"refused", "planned", "abandoned"},
    "planned": {*_ANY_TIME_HELD, "refused"},
    "in sight": {*_IDLE, "refused"},  # given up before anything was written
    "writing": {*_ANY_TIME_HELD, "activity", "checkpoint", "pass-ended"},
    "stopped": _IDLE - {"markers-started"},
    "written": _WRITTEN,
    "verifying": {*_ANY_TIME_HELD, "activity", "verification-ended"},
    "verified": {*_ANY_TIME_HELD, "activity", "verification-started"},
    "interrupted": {*_ANY_TIME_HELD, "refused"},
    "cancelled": {*_ANY_TIME_HELD, "refused"},
    "back": _WRITTEN,
    "refused": set(),
    "passed": {"certificate", "abandoned"},  # what was read back may be no longer believed before anybody was told
    "failed": {"certificate"},
    "certified": set(),
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("place", JOURNALS)
def test_every_event_follows_only_where_it_can(place, event):
    state = folded(JOURNALS[place])
    if event in LEGAL[place]:
        apply(state, EVENTS[event], "")
    else:
        with pytest.raises(JournalError):
            apply(state, EVENTS[event], "")


def test_a_job_that_passed_and_is_not_believed_ends_as_failed() -> None:
    doubted = folded((*JOURNALS["passed"], JobAbandoned("the control was blind")))
    assert doubted.outcome is None and doubted.is_open
    outcome, reasons = judge(doubted.facts())
    assert outcome is Outcome.FAILED and "the control was blind" in reasons[0].what
    ended = apply(doubted, JobFinished(outcome, reasons), "")
    assert (ended.phase, ended.outcome) == (Phase.FAILED, Outcome.FAILED)


@pytest.mark.parametrize("event", [name for name in EVENTS if name != "queued"])
def test_a_job_begins_with_being_queued(event):
    with pytest.raises(JournalError, match="begins with being queued"):
        apply(None, EVENTS[event], "")


def test_the_phases_are_as_the_events_say():
    phases = {place: folded(events).phase for place, events in JOURNALS.items()}
    running = dict.fromkeys(("in sight", "writing", "stopped", "written", "back"), Phase.RUNNING)
    ended = {"passed": Phase.PASSED, "failed": Phase.FAILED, "certified": Phase.PASSED, "refused": Phase.REFUSED}
    early = {name: Phase(name) for name in ("queued", "identified", "planned", "interrupted", "verifying")}
    assert phases == {**running, **ended, **early, "verified": Phase.VERIFYING, "cancelled": Phase.INTERRUPTED}


def test_what_a_person_cancelled_stays_so_until_the_drive_is_held_again_and_whatever_interrupts_it():
    assert {place for place, events in JOURNALS.items() if folded(events).is_cancelled} == {"cancelled"}
    assert folded((*planned(a_plan()), JobCancelled())).is_cancelled
    assert not folded((*JOURNALS["cancelled"], SIGHT)).is_cancelled
    assert not folded((*JOURNALS["cancelled"], SIGHT, JobInterrupted("gone"))).is_cancelled


def test_cancelling_a_job_forgets_nothing_of_what_was_seen():
    at_the_end = (*honest(BARE)[:-1], JobCancelled())
    assert folded(at_the_end).activity == seen().activity


def test_a_job_given_up_in_the_middle_of_a_pass_says_that_bad_places_may_be_missing():
    cut_short = folded((*planned(TWO_PASSES), SIGHT, *written(1), PassStarted(2, 0), JobAbandoned("no time")))
    (said,) = [reason.what for reason in judge(cut_short.facts())[1] if reason.code == "abandoned"]
    assert said == "given up: no time; bad places found after the last checkpoint may be missing here"
    between = folded((*planned(TWO_PASSES), SIGHT, *written(1), JobAbandoned("no time")))
    assert between.abandoned == "no time"


def test_a_job_is_open_until_it_is_refused_or_its_certificate_is_issued():
    closed = {place for place, events in JOURNALS.items() if not folded(events).is_open}
    assert closed == {"refused", "certified"}


def test_once_anything_was_announced_to_be_written_the_job_has_written():
    untouched = {place for place, events in JOURNALS.items() if not folded(events).has_written}
    assert untouched == {"queued", "identified", "planned", "in sight", "interrupted", "cancelled", "refused", "failed"}
    marking = (*planned(a_plan(TWO, needs_markers=True)), SIGHT, MarkersStarted(bytes(32)))
    assert folded(marking).has_written
    assert folded((*marking, ProgramRestarted("changed"))).has_written


# ---- what is believed


def running(*events: JobEvent, plan: Plan = TWO_PASSES) -> JobState:
    return folded((*planned(plan), SIGHT, *events))


def test_a_checkpoint_is_believed_after_a_crash():
    state = running(PassStarted(1, 0), Checkpoint(1, HALF, FLUSHED, ()), SIGHT)
    assert (state.passes[0].believed_bytes, state.passes[0].is_complete) == (HALF, False)


@pytest.mark.parametrize("proof", [FlushProof.ASSUMED, FlushProof.NOT_FLUSHED])
def test_a_checkpoint_of_which_nothing_reached_the_drive_is_not_believed(proof):
    state = running(PassStarted(1, 0), Checkpoint(1, HALF, proof, ()), SIGHT)
    assert state.passes[0].believed_bytes == 0


def test_a_run_without_a_flush_completes_no_pass():
    for report in (a_report(flushes=0), a_report(flush_proof=FlushProof.NOT_FLUSHED)):
        assert not running(PassStarted(1, 0), PassEnded(1, report)).passes[0].is_complete


def test_what_a_run_did_behind_its_last_checkpoint_is_not_believed():
    state = running(PassStarted(1, 0), Checkpoint(1, SECTOR, FLUSHED, ()), PassEnded(1, cut_short(HALF)))
    assert state.passes[0].believed_bytes == SECTOR


def test_bad_extents_of_a_run_that_died_are_kept():
    state = running(PassStarted(1, 0), Checkpoint(1, HALF, FLUSHED, (BAD,)), SIGHT, PassStarted(1, HALF))
    assert state.passes[0].bad_extents_lost == (BAD,)
    assert state.passes[0].bad_bytes == SECTOR
    ended = apply(state, PassEnded(1, a_report(HALF)), "")
    assert ended.passes[0].is_complete
    assert ended.passes[0].bad_bytes == SECTOR


def test_bad_extents_that_a_report_lists_again_count_once():
    report = a_report(bad_extents=(BAD,), bad_bytes=SECTOR)
    state = running(PassStarted(1, 0), Checkpoint(1, HALF, FLUSHED, (BAD,)), PassEnded(1, report))
    assert state.passes[0].bad_bytes == SECTOR


def test_bad_extents_that_a_report_forgets_are_kept():
    state = running(PassStarted(1, 0), Checkpoint(1, HALF, FLUSHED, (BAD,)), PassEnded(1, a_report()))
    assert state.passes[0].bad_bytes == SECTOR


def test_a_restart_begins_with_pass_1_and_believes_nothing():
    state = running(*written(1), SIGHT, ProgramRestarted("changed"))
    assert state.next_pass is not None
    assert (state.next_pass.number, state.next_pass.believed_bytes, state.restarts) == (1, 0, ("changed",))


def test_markers_are_written_anew_in_each_sight_until_a_pass_begins():
    plan = a_plan(TWO, needs_markers=True)
    assert running(*marked(), SIGHT, plan=plan).markers is None
    assert running(*marked(), PassStarted(1, 0), SIGHT, plan=plan).markers is not None


def test_markers_that_differed_are_not_forgotten():
    differing = replace(some_markers(), read_back=replace(some_markers().read_back, mismatched_sectors=1))
    plan = a_plan(TWO, needs_markers=True)
    state = running(MarkersStarted(differing.seed), MarkersChecked(differing), SIGHT, plan=plan)
    assert state.markers == differing


def test_a_verification_that_was_cut_short_is_made_good_by_a_later_one():
    plan = replace(TWO_PASSES, passes=(replace(TWO_PASSES.passes[0], verify=True), TWO_PASSES.passes[1]))
    short = read_back(1, report=cut_short(HALF, why=EndReason.GONE))
    again = (SIGHT, SightChecked(SightCheck(1, CAPACITY, 0)), *read_back(1))
    assert passes_after((*planned(plan), SIGHT, *written(1), *short, *again, *written(2), *read_back(2), seen()))


# ---- honest journals pass

HONEST: dict[str, tuple[JobEvent, ...]] = {
    "one pass": honest(a_plan()),
    "three passes": honest(a_plan(ONE, TWO, THREE)),
    "markers": honest(a_plan(TWO, needs_markers=True)),
    "read back between": honest(
        replace(TWO_PASSES, passes=(replace(TWO_PASSES.passes[0], verify=True), TWO_PASSES.passes[1]))
    ),
    "sampled": honest(a_plan(verification=Verification.SAMPLED)),
    "not read back": honest(BARE),
    "an image": honest(a_plan(), IMAGE),
    "flushes assumed": (
        *planned(a_plan()),
        SIGHT,
        PassStarted(1, 0),
        Checkpoint(1, HALF, FlushProof.ASSUMED, ()),
        PassEnded(1, a_report(flush_proof=FlushProof.ASSUMED)),
        *read_back(1),
        seen(),
        PASSED,
    ),
    "resumed in pass 1": (
        *planned(a_plan()),
        SIGHT,
        PassStarted(1, 0),
        Checkpoint(1, HALF, FLUSHED, ()),
        PassEnded(1, cut_short(HALF)),
        JobInterrupted("asked to"),
        SIGHT,
        *written(1, HALF),
        *read_back(1),
        seen(),
        PASSED,
    ),
    "resumed in pass 2": (
        *planned(a_plan(ONE, TWO, THREE)),
        SIGHT,
        *written(1),
        PassStarted(2, 0),
        Checkpoint(2, HALF, FLUSHED, ()),
        SIGHT,
        SightChecked(SightCheck(2, HALF, 0)),
        SightChecked(SightCheck(2, SECTOR, 0)),
        SightChecked(SightCheck(1, HALF - SECTOR, 0)),
        *written(2, HALF),
        *written(3),
        *read_back(3),
        seen(),
        PASSED,
    ),
    "restarted": (
        *planned(TWO_PASSES),
        SIGHT,
        *written(1),
        PassStarted(2, 0),
        SIGHT,
        SightChecked(SightCheck(1, CAPACITY, 7)),
        ProgramRestarted("changed"),
        *written(1),
        *written(2),
        *read_back(2),
        seen(),
        PASSED,
    ),
    "verified again": (
        *planned(a_plan()),
        SIGHT,
        *written(1),
        FULL,
        VerificationEnded(a_reading(report=cut_short(HALF, why=EndReason.GONE))),
        JobInterrupted("gone"),
        SIGHT,
        *read_back(1),
        seen(),
        PASSED,
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_job_passes(name):
    assert folded(HONEST[name]).outcome is Outcome.PASSED


# ---- and these do not

HOLES: dict[str, tuple[JobEvent, ...]] = {
    "never written": (*planned(BARE), SIGHT, *marked(), seen()),
    "no passes planned": (*planned(replace(BARE, passes=())), SIGHT, *marked(), seen()),
    "no capacity": (
        *planned(BARE, replace(DRIVE, geometry=Geometry(0, SECTOR, SECTOR))),
        SIGHT,
        *marked(),
        PassStarted(1, 0),
        PassEnded(1, a_report(0, 0)),
        seen(),
    ),
    "a run that began beyond what is believed, flushes assumed": (
        *planned(a_plan()),
        SIGHT,
        PassStarted(1, 0),
        Checkpoint(1, HALF, FlushProof.ASSUMED, ()),
        PassEnded(1, a_report(HALF)),
        *read_back(1),
        seen(),
    ),
    "a run that ended short of the drive": (
        *planned(BARE),
        SIGHT,
        *marked(),
        PassStarted(1, 0),
        PassEnded(1, a_report(0, CAPACITY - SECTOR)),
        seen(),
    ),
    "a run that did less than its positions say": (
        *planned(BARE),
        SIGHT,
        *marked(),
        PassStarted(1, 0),
        PassEnded(1, a_report(bytes_done=HALF)),
        seen(),
    ),
    "a run that sent less than it did": (
        *planned(BARE),
        SIGHT,
        *marked(),
        PassStarted(1, 0),
        PassEnded(1, a_report(bytes_sent=HALF)),
        seen(),
    ),
    "a second end of one run": (
        *planned(BARE),
        SIGHT,
        *marked(),
        PassStarted(1, 0),
        Checkpoint(1, HALF, FLUSHED, ()),
        PassEnded(1, cut_short(HALF)),
        PassEnded(1, a_report(HALF)),
        seen(),
    ),
    "a checkpoint of a run that died": (
        *planned(a_plan()),
        SIGHT,
        PassStarted(1, 0),
        SIGHT,
        Checkpoint(1, HALF, FLUSHED, ()),
        *written(1, HALF),
        *read_back(1),
        seen(),
    ),
    "a checkpoint of a run that ended": (
        *planned(a_plan()),
        SIGHT,
        PassStarted(1, 0),
        PassEnded(1, cut_short(SECTOR)),
        Checkpoint(1, HALF, FLUSHED, ()),
        *written(1, HALF),
        *read_back(1),
        seen(),
    ),
    "a checkpoint that was not flushed": (
        *planned(a_plan()),
        SIGHT,
        PassStarted(1, 0),
        Checkpoint(1, HALF, FlushProof.NOT_FLUSHED, ()),
        SIGHT,
        *written(1, HALF),
        *read_back(1),
        seen(),
    ),
    "a checkpoint of another pass": (
        *planned(TWO_PASSES),
        SIGHT,
        *written(1),
        PassStarted(2, 0),
        Checkpoint(1, HALF, FLUSHED, ()),
        PassEnded(2, a_report()),
        *read_back(2),
        seen(2),
    ),
    "passes in the wrong order": (*planned(TWO_PASSES), SIGHT, *written(2), *written(1), *read_back(2), seen(2)),
    "verification before the last pass ended": (
        *planned(a_plan()),
        SIGHT,
        PassStarted(1, 0),
        *read_back(1),
        PassEnded(1, a_report()),
        seen(),
    ),
    "verification that began before the last pass ended": (
        *planned(a_plan()),
        SIGHT,
        PassStarted(1, 0),
        FULL,
        PassEnded(1, a_report()),
        VerificationEnded(a_reading()),
        seen(),
    ),
    "verification of the first pass only": (
        *planned(TWO_PASSES),
        SIGHT,
        *written(1),
        *read_back(1),
        *written(2),
        seen(2),
    ),
    "verification between passes after the next one": (
        *planned(replace(TWO_PASSES, passes=(replace(TWO_PASSES.passes[0], verify=True), TWO_PASSES.passes[1]))),
        SIGHT,
        *written(1),
        *written(2),
        *read_back(1),
        *read_back(2),
        seen(2),
    ),
    "verification between passes in part": (
        *planned(replace(TWO_PASSES, passes=(replace(TWO_PASSES.passes[0], verify=True), TWO_PASSES.passes[1]))),
        SIGHT,
        *written(1),
        *read_back(1, report=a_report(0, HALF)),
        *written(2),
        *read_back(2),
        seen(2),
    ),
    "verification from the middle": (
        *planned(a_plan()),
        SIGHT,
        *written(1),
        *read_back(1, report=a_report(HALF, bytes_done=CAPACITY)),
        seen(),
    ),
    "sampled where full is needed": (
        *planned(a_plan()),
        SIGHT,
        *written(1),
        VerificationStarted(1, Verification.SAMPLED, bytes(32)),
        VerificationEnded(a_sampled_reading()),
        seen(),
    ),
    "sampled after a return": (
        *planned(a_plan(verification=Verification.SAMPLED)),
        SIGHT,
        *written(1),
        SIGHT,
        VerificationStarted(1, Verification.SAMPLED, bytes(32)),
        VerificationEnded(a_sampled_reading()),
        seen(),
    ),
    "sampled places other than announced": (
        *planned(a_plan(verification=Verification.SAMPLED)),
        SIGHT,
        *written(1),
        VerificationStarted(1, Verification.SAMPLED, b"\x01" * 32),
        VerificationEnded(a_sampled_reading()),
        seen(),
    ),
    "nothing read back after a return": (*planned(BARE), SIGHT, *marked(), *written(1), SIGHT, seen()),
    "read back in an earlier sight": (*planned(a_plan()), SIGHT, *written(1), *read_back(1), SIGHT, seen()),
    "interrupted after everything": (*planned(BARE, IMAGE), SIGHT, *marked(), *written(1), JobInterrupted("asked to")),
    "interrupted after being read back": (
        *planned(a_plan(), IMAGE),
        SIGHT,
        *written(1),
        *read_back(1),
        JobInterrupted("asked to"),
    ),
    "a mismatch that a second look does not find": (
        *planned(a_plan()),
        SIGHT,
        *written(1),
        *read_back(1, report=a_report(mismatched_sectors=1)),
        *read_back(1),
        seen(),
    ),
    "a mismatch that a second sight does not find": (
        *planned(a_plan()),
        SIGHT,
        *written(1),
        *read_back(1, report=cut_short(HALF, mismatched_sectors=1)),
        SIGHT,
        *read_back(1),
        seen(),
    ),
    "unreadable at first": (
        *planned(a_plan()),
        SIGHT,
        *written(1),
        *read_back(1, report=a_report(bad_bytes=SECTOR)),
        *read_back(1),
        seen(),
    ),
    "an earlier pass not read back after a return": (
        *planned(TWO_PASSES),
        SIGHT,
        *written(1),
        SIGHT,
        *written(2),
        *read_back(2),
        seen(),
    ),
    "an earlier pass read back in part after a return": (
        *planned(TWO_PASSES),
        SIGHT,
        *written(1),
        SIGHT,
        SightChecked(SightCheck(1, CAPACITY - SECTOR, 0)),
        *written(2),
        *read_back(2),
        seen(),
    ),
    "an earlier pass read back in an earlier sight": (
        *planned(TWO_PASSES),
        SIGHT,
        *written(1),
        SIGHT,
        SightChecked(SightCheck(1, CAPACITY, 0)),
        SIGHT,
        *written(2),
        *read_back(2),
        seen(),
    ),
    "changed out of sight": (
        *planned(TWO_PASSES),
        SIGHT,
        *written(1),
        SIGHT,
        SightChecked(SightCheck(1, CAPACITY, 1)),
        *written(2),
        *read_back(2),
        seen(),
    ),
    "counters before the last write": (
        *planned(BARE),
        SIGHT,
        *marked(),
        PassStarted(1, 0),
        seen(),
        PassEnded(1, a_report()),
    ),
    "counters before the end of verification": (
        *planned(a_plan()),
        SIGHT,
        *written(1),
        FULL,
        seen(),
        VerificationEnded(a_reading()),
    ),
    "counters of an earlier sight": (*planned(a_plan()), SIGHT, *written(1), seen(), SIGHT, *read_back(1)),
    "counters before an interruption": (
        *planned(BARE),
        SIGHT,
        *marked(),
        *written(1),
        seen(),
        JobInterrupted("asked to"),
    ),
    "somebody else wrote before an interruption": (
        *planned(TWO_PASSES),
        SIGHT,
        *written(1),
        ActivitySeen(replace(an_activity(), sectors_written_seen=SECTORS + 1)),
        JobInterrupted("asked to"),
        SIGHT,
        SightChecked(SightCheck(1, CAPACITY, 0)),
        *written(2),
        *read_back(2),
        seen(),
    ),
    "markers over what was written": (
        *planned(BARE),
        SIGHT,
        *marked(),
        *written(1),
        MarkersStarted(some_markers().seed),
        MarkersChecked(some_markers()),
        seen(),
    ),
    "markers of before a restart": (
        *planned(a_plan(TWO, needs_markers=True)),
        SIGHT,
        *marked(),
        *written(1),
        SIGHT,
        ProgramRestarted("changed"),
        *written(1),
        *read_back(1),
        seen(),
    ),
    "markers that were not announced": (
        *planned(a_plan(TWO, needs_markers=True)),
        SIGHT,
        MarkersChecked(some_markers()),
        *written(1),
        *read_back(1),
        seen(),
    ),
    "no markers": (*planned(a_plan(TWO, needs_markers=True)), SIGHT, *written(1), *read_back(1), seen()),
    "a restart that is not followed by all passes": (
        *planned(TWO_PASSES),
        SIGHT,
        *written(1),
        SIGHT,
        ProgramRestarted("changed"),
        *written(2),
        *read_back(2),
        seen(),
    ),
    "given up without a reason": (*planned(BARE), SIGHT, *marked(), *written(1), JobAbandoned(""), seen()),
    "a bad extent that the report forgets": (
        *planned(a_plan()),
        SIGHT,
        PassStarted(1, 0),
        Checkpoint(1, HALF, FLUSHED, (BAD,)),
        PassEnded(1, a_report()),
        *read_back(1),
        seen(),
    ),
    "a bad extent of a run that died": (
        *planned(a_plan()),
        SIGHT,
        PassStarted(1, 0),
        Checkpoint(1, HALF, FLUSHED, (BAD,)),
        SIGHT,
        *written(1, HALF),
        *read_back(1),
        seen(),
    ),
    "the program asks to read back its last pass and the plan does not": (
        *planned(replace(BARE, passes=(replace(BARE.passes[0], verify=True),))),
        SIGHT,
        *marked(),
        *written(1),
        seen(),
    ),
}


@pytest.mark.parametrize("name", HOLES)
def test_never_passes(name):
    assert not passes_after(HOLES[name])
    with pytest.raises(JournalError):
        folded((*HOLES[name], PASSED))


def test_a_journal_that_says_passed_against_its_own_facts_is_refused():
    state = folded((*planned(a_plan()), SIGHT, *written(1)))
    with pytest.raises(JournalError, match="its own facts"):
        apply(state, PASSED, "")


# ---- spoilt by machine

UNNEEDED = (Checkpoint, JobInterrupted)
"""Events without which the rest still proves the same: they let a job go on, and are no evidence."""


BEGUN_AGAIN = range(4, 10)
"""In the journal "restarted": what came before its passes began again is no evidence; the count of sights stays above 1."""


def is_needed(name: str, place: int) -> bool:
    """Whether a job may not pass without this event."""
    match event := HONEST[name][place]:
        case PassEnded(report=report) | VerificationEnded(evidence=report):
            # Of one that was cut short nothing counts: a crash would have left it out as well.
            return getattr(report, "report", report).end is EndReason.COMPLETED and not is_begun_again(name, place)
        case ActivitySeen():
            return name != "an image"
        case _:
            return not isinstance(event, UNNEEDED) and not is_begun_again(name, place)


def is_begun_again(name: str, place: int) -> bool:
    return name == "restarted" and place in BEGUN_AGAIN


NEEDED = [(name, place) for name in HONEST for place in range(len(HONEST[name]) - 1) if is_needed(name, place)]


@pytest.mark.parametrize(("name", "place"), NEEDED)
def test_a_journal_that_lacks_one_event_does_not_pass(name, place):
    events = HONEST[name]
    assert not passes_after((*events[:place], *events[place + 1 : -1]))


REPEATABLE = (Checkpoint, SightBegan, JobInterrupted, ActivitySeen, ProgramRestarted, SightChecked, MarkersStarted)


@given(st.sampled_from(sorted(HONEST)), st.data())
def test_a_journal_with_an_event_out_of_place_does_not_pass(name: str, data: st.DataObject):
    """Moving evidence can't make more of it: what still passes has all of it, in the honest order."""
    events = HONEST[name][:-1]
    source = data.draw(st.integers(0, len(events) - 1))
    target = data.draw(st.integers(0, len(events) - 1))
    moved = events[source]
    rest = (*events[:source], *events[source + 1 :])
    if isinstance(moved, REPEATABLE):
        return
    shuffled = (*rest[:target], moved, *rest[target:])
    assert shuffled == events or not passes_after(shuffled)


@given(st.sampled_from(sorted(HONEST)), st.data())
def test_a_journal_with_an_event_twice_is_refused(name: str, data: st.DataObject):
    events = HONEST[name][:-1]
    place = data.draw(st.integers(0, len(events) - 1))
    if isinstance(events[place], REPEATABLE):
        return
    with pytest.raises(JournalError):
        folded((*events[: place + 1], *events[place:]))
