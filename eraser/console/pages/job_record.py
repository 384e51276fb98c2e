"""What the ledger knows of the job in a bay, in words: its plan as the standard says it, its events, where the drive is bad."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from eraser.console.pages.language import N_, Language, translations
from eraser.console.pages.pictures import Mark, marks
from eraser.console.pages.quantities import rate, size
from eraser.console.pages.sentences import problems, said
from eraser.domain.catalogue import STANDARDS
from eraser.domain.events import (
    CertificateIssued,
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
    Outcome,
    PassEnded,
    PassStarted,
    ProgramRestarted,
    SightBegan,
    SightChecked,
    VerificationEnded,
    VerificationStarted,
)
from eraser.domain.evidence import Extent, TransferReport
from eraser.domain.job import JobState, fold
from eraser.domain.pattern import AesCtrStream, Constant, Pattern
from eraser.domain.plan import Plan
from eraser.domain.program import Verification
from eraser.domain.sayings import recalled

MOST_EVENTS = 200
"""The newest; a job that was interrupted very often has more."""

VERIFICATIONS = {
    Verification.FULL: N_("read back in full and compared"),
    Verification.SAMPLED: N_("read back at places drawn by lot and compared"),
    Verification.NONE: N_("not read back"),
}


@dataclass(frozen=True, slots=True)
class EventLine:
    """One thing that happened."""

    at: str
    what: str
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class PassLine:
    """One pass of the plan."""

    number: int
    content: str
    is_reverse: bool
    is_complete: bool
    bad_bytes: int


@dataclass(frozen=True, slots=True)
class JobRecord:
    """All of it; `state` is the fold of the job's events."""

    state: JobState
    standard: str
    passes: tuple[PassLine, ...]
    verification: str
    events: tuple[EventLine, ...]
    bad: tuple[Mark, ...]
    mismatches: tuple[Mark, ...]


def job_record(entries: Iterable[Entry], language: Language) -> JobRecord:
    """In that language, the newest event first. Raises JournalError for a journal that contradicts itself."""
    gettext = translations(language).gettext
    kept = list(entries)
    state = fold(kept)
    lines = [line for entry in kept if (line := event_line(entry, language)) is not None]
    plan = state.plan
    capacity = state.drive.geometry.capacity_bytes if state.drive is not None else 0
    return JobRecord(
        state=state,
        standard=next((item.title for item in STANDARDS if plan is not None and item.name == plan.standard), ""),
        passes=tuple(_passes(plan, state, language)) if plan is not None else (),
        verification=gettext(VERIFICATIONS[plan.verification]) if plan is not None else "",
        events=tuple(reversed(lines[-MOST_EVENTS:])),
        bad=marks(_bad_extents(state), capacity),
        mismatches=marks(_mismatches(state), capacity),
    )


def _passes(plan: Plan, state: JobState, language: Language) -> Iterator[PassLine]:
    done = {item.number: item for item in state.passes}
    for number, planned in enumerate(plan.passes, start=1):
        found = done.get(number)
        yield PassLine(
            number,
            content_words(planned.pattern, language),
            planned.reverse,
            found is not None and found.is_complete,
            found.bad_bytes if found is not None else 0,
        )


def content_words(pattern: Pattern, language: Language) -> str:
    """What a pass writes. A seed is not told: it is in the certificate's evidence."""
    gettext = translations(language).gettext
    match pattern:
        case AesCtrStream():
            return gettext("random stream (AES-256-CTR)")
        case Constant(data):
            shown = data[:8].hex(" ").upper() + (" …" if len(data) > 8 else "")
            return gettext("bytes {bytes}, repeated").format(bytes=shown)


def _bad_extents(state: JobState) -> Iterator[Extent]:
    for item in state.passes:
        reports = (extent for run in item.runs for extent in run.bad_extents)
        for bad in (*reports, *item.bad_extents_lost, *item.bad_extents_running):
            yield bad.extent
    for report in _readings(state):
        for bad in report.bad_extents:
            yield bad.extent


def _mismatches(state: JobState) -> Iterator[Extent]:
    sector = state.drive.geometry.logical_sector_bytes if state.drive is not None else 512
    for report in _readings(state):
        for offset in report.first_mismatches:
            yield Extent(offset, sector)


def _readings(state: JobState) -> Iterator[TransferReport]:
    verifications = (*state.pass_verifications, *state.faulty_verifications)
    for evidence in verifications:
        yield evidence.report
    if state.final_verification is not None:
        yield state.final_verification.report
    if state.markers is not None:
        yield state.markers.read_back


def event_line(entry: Entry, language: Language) -> EventLine | None:
    """The event as people read it; None for what only machines need (checkpoints)."""
    found = _words(entry.event, language)
    return EventLine(entry.at, found[0], found[1]) if found is not None else None


def _words(event: JobEvent, language: Language) -> tuple[str, bool] | None:
    gettext = translations(language).gettext
    match event:
        case JobQueued(operator=operator):
            return gettext("Asked for by {name}").format(name=operator or "?"), False
        case DriveIdentified():
            return gettext("The drive was identified"), False
        case JobRefused(reason, what):
            return gettext("Refused: {what}").format(what=_refusal(reason, what, language)), True
        case JobPlanned(plan):
            # A title is kept in English.
            title = plan.title if language is Language.ENGLISH else plan.standard
            return gettext("Planned: {title}").format(title=title), False
        case SightBegan():
            return gettext("The drive is held for this job"), False
        case MarkersChecked():
            return gettext("Markers were written and read back"), False
        case PassStarted(number, position):
            begun = gettext("Pass {number} began").format(number=number)
            return f"{begun} ({size(position, language=language)})" if position else begun, False
        case PassEnded(number, report):
            return _ended(gettext("Pass {number} ended").format(number=number), report, language)
        case SightChecked():
            return gettext("After its return, what was written before was read back"), False
        case ProgramRestarted(why):
            return gettext("All passes begin again: {why}").format(why=said(why, language)), True
        case VerificationStarted(number):
            return gettext("Reading back began"), False
        case VerificationEnded(evidence):
            return _ended(gettext("Reading back ended"), evidence.report, language)
        case JobInterrupted(why):
            return gettext("Interrupted: {why}").format(why=said(why, language)), True
        case JobCancelled():
            return gettext("Cancelled by a person"), True
        case JobAbandoned(why):
            return gettext("Given up: {why}").format(why=said(why, language)), True
        case JobGivenUp(criterion):
            return gettext("Given up: {why}").format(why=said(recalled(criterion.what, criterion.code), language)), True
        case JobFinished(outcome, reasons):
            if outcome is Outcome.PASSED:
                return gettext("Passed"), False
            why = said([recalled(reason.what, reason.code) for reason in reasons], language)
            return gettext("Failed: {why}").format(why=why), True
        case CertificateIssued():
            return gettext("The certificate was signed"), False
        case _:
            return None


def _refusal(reason: str, what: str, language: Language) -> str:
    """Its sentence is the guard's or the policy's, and kept in English: elsewhere its name is said."""
    is_known = language is not Language.ENGLISH and reason in problems(language)
    return problems(language)[reason] if is_known else said(what, language)


def _ended(what: str, report: TransferReport, language: Language) -> tuple[str, bool]:
    gettext = translations(language).gettext
    seconds = (report.last_byte - report.first_byte) / 1e9
    words = [size(report.bytes_done, language=language)]
    if seconds > 0:
        words.append(rate(report.bytes_done / seconds, language=language))
    if report.bad_bytes:
        words.append(gettext("{size} bad").format(size=size(report.bad_bytes, language=language)))
    if report.mismatched_sectors:
        words.append(gettext("{count} sectors differ").format(count=report.mismatched_sectors))
    return f"{what}: {', '.join(words)}", bool(report.bad_bytes or report.mismatched_sectors)
