"""The certificate: what one job proved about one drive, as it is signed and given away. Pure: made from facts, judged
by facts.

Field by field with sources: docs/certificate.md. It carries no customer data and nothing that was read from a drive.
Lists are capped, and say by how much, so that the certificate of a dying drive stays below 1 MB.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum, StrEnum
from functools import cache
from operator import is_
from typing import Any

from eraser.domain.catalogue import program_known_as
from eraser.domain.commitment import Commitment
from eraser.domain.drive import Drive, Transport
from eraser.domain.events import Outcome, Reason
from eraser.domain.evidence import (
    Access,
    BadExtent,
    DriveActivity,
    EndReason,
    Extent,
    FlushProof,
    HashTree,
    MarkersEvidence,
    SamplingEvidence,
    SightCheck,
    TransferReport,
    VerificationEvidence,
)
from eraser.domain.job import JobState, PassState
from eraser.domain.json_form import LATER, Nanoseconds, from_json
from eraser.domain.pattern import AesCtrStream, Pattern
from eraser.domain.plan import Level, Plan, PlannedPass
from eraser.domain.printable import is_printable, printable
from eraser.domain.program import Standing, Verification
from eraser.domain.rulebook import NOTHING, READING, Claim, Rulebooks, assess
from eraser.domain.verdict import Facts, PassFacts, judge
from eraser.errors import UsageError

FORMAT = "eraser certificate"
VERSION = 1

MAX_LISTED_EXTENTS = 1500
"""Bad extents listed in one certificate's passes and readings together, and again in its exceptions: about 100 bytes
each.
"""
MAX_LISTED_RUNS = 6
"""Runs listed for one pass: the first three and the last three."""
MAX_LISTED_READINGS = 99
"""Verifications of passes listed: one for each pass of the longest program there can be; the newest ones."""
MAX_LISTED_MISMATCHES = 16
"""Places of differing sectors listed for one run."""
MAX_LISTED_SIGHTS = 64
"""Sight checks and restarts listed, each: the newest ones."""


class Technique(StrEnum):
    """How the drive was sanitized."""

    OVERWRITE = "overwrite"


class Direction(StrEnum):
    """Which end a pass began at."""

    FORWARD = "forward"
    REVERSE = "reverse"


@dataclass(frozen=True, slots=True)
class Station:
    """The host that did the work, by the plant's own name for it; `location` may be empty."""

    id: str
    location: str = ""


@dataclass(frozen=True, slots=True)
class Provenance:
    """NIST SP 800-88 Rev. 1 Appendix G's optional fields; empty where nobody said."""

    property_tag: str = ""
    source: str = ""
    destination: str = ""
    confidentiality_before: str = ""
    confidentiality_after: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """The program that did it; `build` tells two builds of one version apart."""

    name: str
    version: str
    build: str


@dataclass(frozen=True, slots=True)
class Sanitization:
    """What was asked for and what may be said of it: no `level_reached` and no `claim` unless it passed."""

    standard: str
    program: str
    title: str
    source: str
    standing: Standing
    technique: Technique
    level_asked: Level
    level_reached: Level | None
    claim: str
    verification_asked: Verification
    markers_required: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BadSectors:
    """Sectors that were given up after retries: the first ones by place, all of them by number."""

    listed: tuple[BadExtent, ...]
    extents_omitted: int
    bytes_total: int


@dataclass(frozen=True, slots=True)
class Run:
    """One transfer, as its report told it; its bad extents are listed with its pass or reading."""

    end: EndReason
    errno: int
    start_position_bytes: int
    end_position_bytes: int
    bytes_done: int
    bytes_sent: int
    failed_bytes_sent: int
    bad_bytes: int
    retries: int
    flushes: int
    flush_proof: FlushProof
    mismatched_sectors: int
    first_mismatches: tuple[int, ...]
    access: Access
    block_bytes: int
    queue_depth: int
    started_at: str
    first_byte: Nanoseconds
    last_byte: Nanoseconds


@dataclass(frozen=True, slots=True)
class CertifiedPass:
    """One overwrite. `bytes_written` counts each byte of the drive once per run that wrote it."""

    number: int
    pattern: Pattern
    direction: Direction
    read_back_asked: bool
    """Whether the program asks that this pass be read back in full before the next."""
    is_complete: bool
    bytes_written: int
    runs: tuple[Run, ...]
    runs_omitted: int
    bad: BadSectors


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading back of the drive against the numbered pass."""

    pass_number: int
    verification: Verification
    sampling: SamplingEvidence | None
    run: Run
    bad: BadSectors
    hash_tree: HashTree | None


@dataclass(frozen=True, slots=True)
class Markers:
    """Distinct markers written and read back before constants, to tell addresses apart."""

    seed: bytes
    granularity_bytes: int
    places: int
    written: Run
    read_back: Run


@dataclass(frozen=True, slots=True)
class LeftExtents:
    """Merged extents in the drive's order: the first ones by place, all of them by number."""

    listed: tuple[Extent, ...]
    extents_omitted: int
    bytes_total: int


@dataclass(frozen=True, slots=True)
class Exceptions:
    """What was left. Old content may still stand in `not_written` and in `hidden_bytes`; `not_read` could not be
    checked.
    """

    not_written: LeftExtents
    not_read: LeftExtents
    hidden_bytes: int


@dataclass(frozen=True, slots=True)
class Times:
    """UTC by the host's clock, which may be set meanwhile, beside the duration by CLOCK_MONOTONIC, which may not."""

    started_at: str
    finished_at: str
    duration: Nanoseconds


@dataclass(frozen=True, slots=True)
class Certificate:
    """One job's certificate, version 1. Nothing in it is an empty promise: what was not done is not there."""

    format: str
    version: int
    certificate_id: str
    job_id: str
    issued_at: str
    station: Station
    drive: Drive
    provenance: Provenance
    sanitization: Sanitization
    passes: tuple[CertifiedPass, ...]
    markers: Markers | None
    sights: int
    """How often the drive came under our claim; more than once after an interruption."""
    restarts: tuple[str, ...]
    """Why the program began again, each time that it did; what was written before is not in this certificate."""
    sight_checks: tuple[SightCheck, ...]
    pass_verifications: tuple[Reading, ...]
    """Those that the program asks for between its passes."""
    final_verification: Reading | None
    """After the last write."""
    activity: DriveActivity | None
    other_users: tuple[str, ...] | None
    entries_omitted: int
    """Of restarts, sight checks and pass verifications together, those left out: the oldest."""
    abandoned: str
    """Why it was given up; empty if it was not."""
    outcome: Outcome
    reasons: tuple[Reason, ...]
    exceptions: Exceptions
    rulebooks: Rulebooks
    """Which claims its evidence bears, and which it does not."""
    operator: str
    """A pseudonymous role, never a person's name."""
    witness: str
    tool: Tool
    times: Times
    commitment: Commitment | None = field(default=None, metadata=LATER)
    """By which the customer can show that it is theirs (`domain/commitment.py`); tells nobody else anything."""


def read(form: Any) -> Certificate:
    """The certificate that this JSON form stands for. Raises UsageError naming what is missing, unknown or wrong."""
    certificate = from_json(Certificate, form, where="certificate")
    if certificate.format != FORMAT or certificate.version != VERSION:
        raise UsageError(f"it is {certificate.format!r} version {certificate.version}, known is {FORMAT!r} {VERSION}")
    _check_identifiers(certificate)
    if _is_flawed(form):
        expect_printable(form, "certificate")
        _check_counts(form, "certificate")
    return certificate


def cleaned(certificate: Certificate) -> Certificate:
    """The same certificate with every text made printable: paths and serials come from outside."""
    result: Certificate = _clean(certificate)
    return result


def listed_run(report: TransferReport) -> Run:
    """The report without its bad extents and with as many places of mismatches as are listed."""
    return Run(
        end=report.end,
        errno=report.errno,
        start_position_bytes=report.start_position_bytes,
        end_position_bytes=report.end_position_bytes,
        bytes_done=report.bytes_done,
        bytes_sent=report.bytes_sent,
        failed_bytes_sent=report.failed_bytes_sent,
        bad_bytes=report.bad_bytes,
        retries=report.retries,
        flushes=report.flushes,
        flush_proof=report.flush_proof,
        mismatched_sectors=report.mismatched_sectors,
        first_mismatches=report.first_mismatches[:MAX_LISTED_MISMATCHES],
        access=report.access,
        block_bytes=report.block_bytes,
        queue_depth=report.queue_depth,
        started_at=report.started_at,
        first_byte=report.first_byte,
        last_byte=report.last_byte,
    )


def listed_runs(reports: Sequence[TransferReport]) -> tuple[tuple[Run, ...], int]:
    """The first and last runs of a pass, and how many in the middle are left out."""
    half = MAX_LISTED_RUNS // 2
    kept = reports if len(reports) <= MAX_LISTED_RUNS else [*reports[:half], *reports[-half:]]
    return tuple(listed_run(report) for report in kept), len(reports) - len(kept)


def listed_bad(extents: Iterable[BadExtent], bytes_total: int, most: int) -> BadSectors:
    """The first `most` bad extents in the drive's order; `bytes_total` where the transfer's own table overflowed."""
    ordered = sorted(set(extents), key=_place_of)
    known = sum(extent.length_bytes for extent in merged(item.extent for item in ordered))
    return BadSectors(tuple(ordered[:most]), max(0, len(ordered) - most), max(known, bytes_total))


def left(extents: Iterable[Extent], bytes_total: int, most: int = MAX_LISTED_EXTENTS // 2) -> LeftExtents:
    """The merged extents, the first `most` of them listed; `bytes_total` where more bytes are known than extents."""
    ordered = merged(extents)
    known = sum(extent.length_bytes for extent in ordered)
    return LeftExtents(ordered[:most], max(0, len(ordered) - most), max(known, bytes_total))


def _place_of(bad: BadExtent) -> tuple[int, int, str]:
    return bad.extent.offset_bytes, bad.extent.length_bytes, bad.operation


def merged(extents: Iterable[Extent]) -> tuple[Extent, ...]:
    """The same bytes in as few extents as can be, in the drive's order."""
    result: list[Extent] = []
    for extent in sorted(set(extents), key=lambda item: item.offset_bytes):
        if result and extent.offset_bytes <= result[-1].end_bytes:
            end = max(result[-1].end_bytes, extent.end_bytes)
            result[-1] = Extent(result[-1].offset_bytes, end - result[-1].offset_bytes)
        else:
            result.append(extent)
    return tuple(result)


def contradictions(certificate: Certificate) -> tuple[str, ...]:
    """Where the certificate's own facts contradict its outcome; empty when they agree.

    Computed from nothing but what is written in it, so that a good signature under a wrong verdict is found out.
    """
    if certificate.outcome is Outcome.FAILED:
        return tuple(_against_failed(certificate))
    return tuple(_against_passed(certificate))


def _against_failed(certificate: Certificate) -> Iterable[str]:
    if not certificate.reasons:
        yield "it failed without a reason"
    if certificate.sanitization.level_reached is not None or certificate.sanitization.claim:
        yield "it failed and still claims a level"


def _against_passed(certificate: Certificate) -> Iterable[str]:
    _, reasons = judge(facts_of(certificate))
    yield from (reason.what for reason in reasons)
    if certificate.reasons:
        yield "it passed and gives reasons against it"
    if certificate.sanitization.level_reached is None:
        yield "it passed and reached no level"
    if certificate.drive.conditions:
        yield "the drive was in a condition that forbids overwriting"
    left = certificate.exceptions
    if left.hidden_bytes or any(item.bytes_total or item.listed for item in (left.not_written, left.not_read)):
        yield "something was left"
    yield from _against_claims(certificate)
    yield from _against_passes(certificate)
    yield from _against_reading(certificate)


def _against_claims(certificate: Certificate) -> Iterable[str]:
    """What overwriting can never reach, what this program is not, and what nothing read back has shown."""
    done = certificate.sanitization
    if Level.PURGE in (done.level_asked, done.level_reached):
        yield "overwriting by the host reaches no purge"
    if done.claim.startswith("Complies") and done.standing is not Standing.CURRENT:
        yield "it claims to comply with what is not known to be in force"
    program = program_known_as(done.program)
    if program is not None and len(program.passes) != len(certificate.passes):
        yield f"the program {done.program} has {len(program.passes)} passes, it shows {len(certificate.passes)}"
    last = certificate.passes[-1:] if certificate.final_verification is not None else ()
    read_back = (*(item for item in certificate.passes if item.read_back_asked), *last)
    if certificate.markers is None and not any(isinstance(item.pattern, AesCtrStream) for item in read_back):
        yield "nothing was read back but what repeats itself, and no markers were written before"
    for run in (run for item in certificate.passes for run in item.runs):
        if run.access is Access.NONE and run.bytes_done:
            yield "bytes were written without any access to the drive"


def _against_passes(certificate: Certificate) -> Iterable[str]:
    """What the fold of the job's events has already seen to, shown again by what is written here."""
    numbers = [item.number for item in certificate.passes]
    if not numbers or numbers != list(range(1, len(numbers) + 1)):
        yield "its passes are not numbered from 1 without a gap"
    capacity = certificate.drive.geometry.capacity_bytes
    for item in certificate.passes:
        last = item.runs[-1] if item.runs else None
        if last is None or last.end is not EndReason.COMPLETED or last.end_position_bytes != capacity:
            yield f"pass {item.number} did not reach the end of the drive"
        elif certificate.sights == 1 and not item.runs_omitted and not _covers(item.runs, capacity):
            # After a crash a run may be known by its checkpoints alone; in one sight every run has reported.
            yield f"pass {item.number} does not cover the drive"
        if item.bad.listed or any(run.bad_bytes for run in item.runs):
            yield f"pass {item.number} left bad sectors"


def _against_reading(certificate: Certificate) -> Iterable[str]:
    final = certificate.final_verification
    if final is None:
        return
    if final.run.first_mismatches or final.bad.listed or final.bad.bytes_total:
        yield "the last reading found sectors that differ or cannot be read"
    if final.verification is Verification.FULL and not _covers([final.run], certificate.drive.geometry.capacity_bytes):
        yield "the last reading does not cover the drive"


def _covers(runs: Sequence[Run], capacity_bytes: int) -> bool:
    """Whether the runs' spans, in processing order, leave no gap from 0 to the capacity."""
    spans = merged(Extent(run.start_position_bytes, run.end_position_bytes - run.start_position_bytes) for run in runs)
    return len(spans) == 1 and spans[0].offset_bytes == 0 and spans[0].end_bytes >= capacity_bytes


def assessed(certificate: Certificate) -> Rulebooks:
    """The claims that the facts in the certificate bear, whatever it says of them."""
    return assess(facts_of(certificate), certificate.outcome, certificate.reasons)


def unfounded(certificate: Certificate) -> tuple[str, ...]:
    """Where the certificate's claims per rulebook are not those that its evidence gives; empty when they are.

    Raises UsageError for another reading of the rulebooks than is known here.
    """
    said = certificate.rulebooks
    if said.reading != READING:
        raise UsageError(f"its claims are by reading {said.reading} of the rulebooks, known is {READING}")
    given = assessed(certificate)
    if said == given:
        return ()
    borne = {item.rulebook: item for item in given.claims}
    return tuple(_unborne(item, borne[item.rulebook]) for item in said.claims if item != borne[item.rulebook]) or (
        "it does not speak of every rulebook once, in their order",
    )


def _unborne(said: Claim, given: Claim) -> str:
    if said.holds and not given.holds:
        return f"it claims {said.rulebook.value}; missing: {', '.join(item.what for item in given.missing)}"
    return f"what it says of {said.rulebook.value} is not what its evidence gives"


ID_FORM = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""A UUID."""
UTC_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|\+00:00)")
"""A time of RFC 3339 in UTC."""


def _check_identifiers(certificate: Certificate) -> None:
    if not ID_FORM.fullmatch(certificate.certificate_id):
        raise UsageError(f"certificate.certificate_id: {certificate.certificate_id!r} is no UUID")
    times = certificate.times
    for name, moment in (
        ("issued_at", certificate.issued_at),
        ("started_at", times.started_at),
        ("finished_at", times.finished_at),
    ):
        if not UTC_FORM.fullmatch(moment):
            raise UsageError(f"{name}: {moment!r} is no UTC time of RFC 3339")


def _is_flawed(form: Any) -> bool:
    """Whether a text or a number in it may not stand there: told quickly, and without its place."""
    texts: list[str] = []
    rest = [form]
    for item in rest:
        match item:
            case str():
                texts.append(item)
            case int():
                if item < 0:
                    return True
            case dict():
                rest.extend(item.values())
            case list():
                rest.extend(item)
    return not is_printable("".join(texts))


def expect_printable(form: Any, where: str) -> None:
    """Raises UsageError for a text that holds what does not show as itself."""
    for place, item in _leaves(form, where):
        if isinstance(item, str) and not is_printable(item):
            raise UsageError(f"{place}: it holds characters that do not show as themselves")


def _check_counts(form: Any, where: str) -> None:
    """Nothing counted in a certificate can be negative; a negative count could balance a true one."""
    for place, item in _leaves(form, where):
        if isinstance(item, int) and item < 0:
            raise UsageError(f"{place}: {item} is negative")


def _leaves(form: Any, where: str) -> Iterable[tuple[str, Any]]:
    if isinstance(form, dict):
        for name, item in form.items():
            yield from _leaves(item, f"{where}.{name}")
    elif isinstance(form, list):
        for index, item in enumerate(form):
            yield from _leaves(item, f"{where}[{index}]")
    else:
        yield where, form


def _clean(value: Any) -> Any:
    """The very same value where nothing is to be done, as nearly always."""
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, tuple):
        items = tuple([_clean(item) for item in value])
        return value if all(map(is_, items, value)) else items
    cls: Any = type(value)
    if names := _names_of(cls):
        changed = {name: made for name in names if (made := _clean(found := getattr(value, name))) is not found}
        return replace(value, **changed) if changed else value
    return value


@cache
def _names_of(cls: Any) -> tuple[str, ...]:
    """Of a dataclass's fields; nothing of other types."""
    return tuple(item.name for item in fields(cls)) if is_dataclass(cls) else ()


@dataclass(frozen=True, slots=True)
class Issuance:
    """What the certificate says beyond the job's own events: who issues it, where, when, and for which item."""

    certificate_id: str
    issued_at: str
    station: Station
    tool: Tool
    times: Times
    provenance: Provenance = Provenance()
    witness: str = ""
    commitment: Commitment | None = None


def from_job(job: JobState, issuance: Issuance) -> Certificate:
    """The certificate of a finished job. Raises UsageError for a job that has no plan or no outcome yet."""
    drive, plan, outcome = job.drive, job.plan, job.outcome
    if drive is None or plan is None or outcome is None:
        raise UsageError("a certificate is made of a job that was planned and is finished", subject=job.job_id)
    most = MAX_LISTED_EXTENTS // (len(plan.passes) + min(len(job.pass_verifications), MAX_LISTED_READINGS) + 1)
    final = job.final_verification
    certificate = cleaned(
        Certificate(
            format=FORMAT,
            version=VERSION,
            certificate_id=issuance.certificate_id,
            job_id=job.job_id,
            issued_at=issuance.issued_at,
            station=issuance.station,
            drive=_without_folder(drive),
            provenance=issuance.provenance,
            sanitization=_sanitization(plan, outcome),
            passes=tuple(_pass(item, plan.passes[item.number - 1], most) for item in job.passes),
            markers=_markers(job.markers) if job.markers is not None else None,
            sights=job.sights,
            restarts=job.restarts[-MAX_LISTED_SIGHTS:],
            sight_checks=job.sight_checks[-MAX_LISTED_SIGHTS:],
            pass_verifications=tuple(_reading(item, most) for item in job.pass_verifications[-MAX_LISTED_READINGS:]),
            final_verification=_reading(final, most) if final is not None else None,
            activity=job.activity,
            other_users=job.other_users,
            entries_omitted=_omitted(job),
            abandoned=job.abandoned or (job.given_up.what if job.given_up is not None else ""),
            outcome=outcome,
            reasons=job.reasons,
            exceptions=_exceptions(job, drive),
            rulebooks=NOTHING,
            operator=job.request.operator,
            witness=issuance.witness,
            tool=issuance.tool,
            times=issuance.times,
            commitment=issuance.commitment,
        )
    )
    return replace(certificate, rulebooks=assessed(certificate))


def _without_folder(drive: Drive) -> Drive:
    """The folders that lead to an image may name a person: a certificate goes to others and carries its name alone."""
    return replace(drive, path=drive.path.rpartition("/")[2]) if drive.transport is Transport.IMAGE else drive


def facts_of(certificate: Certificate) -> Facts:
    """The facts as far as the certificate carries them, so that the rules which judged the job can judge its paper."""
    final = certificate.final_verification
    return Facts(
        drive=certificate.drive,
        plan=_plan(certificate),
        sights=certificate.sights,
        passes=tuple(
            PassFacts(
                number=item.number,
                runs=tuple(_report(run) for run in item.runs),
                is_complete=item.is_complete,
                lost_bad_extents=item.bad.listed,
                bad_bytes=item.bad.bytes_total,
            )
            for item in certificate.passes
        ),
        markers=_markers_evidence(certificate.markers) if certificate.markers is not None else None,
        restarts=certificate.restarts,
        # Known to the job alone: where one of these was not so, it did not pass.
        went_on_unchecked=False,
        had_outsiders=False,
        faulty_verifications=(),
        interrupted="",
        given_up=None,  # stands in `abandoned`
        sight_checks=certificate.sight_checks,
        pass_verifications=tuple(_evidence(item) for item in certificate.pass_verifications),
        final_verification=_evidence(final) if final is not None else None,
        activity=certificate.activity,
        other_users=certificate.other_users,
        abandoned=certificate.abandoned,
    )


def _plan(certificate: Certificate) -> Plan:
    done = certificate.sanitization
    final = certificate.final_verification
    return Plan(
        standard=done.standard,
        program=done.program,
        title=done.title,
        source=done.source,
        standing=done.standing,
        claim=done.claim,
        level_asked=done.level_asked,
        level_reached=done.level_reached or done.level_asked,
        passes=tuple(
            PlannedPass(item.pattern, item.direction is Direction.REVERSE, item.read_back_asked)
            for item in certificate.passes
        ),
        verification=done.verification_asked,
        hash_extent_bytes=final.hash_tree.extent_bytes if final is not None and final.hash_tree is not None else 0,
        needs_markers=done.markers_required,
        notes=done.notes,
    )


def _report(run: Run) -> TransferReport:
    return TransferReport(**{item.name: getattr(run, item.name) for item in fields(run)}, bad_extents=())


def _evidence(reading: Reading) -> VerificationEvidence:
    return VerificationEvidence(
        reading.pass_number, reading.verification, reading.sampling, _report(reading.run), reading.hash_tree
    )


def _markers_evidence(markers: Markers) -> MarkersEvidence:
    return MarkersEvidence(
        markers.seed,
        markers.granularity_bytes,
        markers.places,
        _report(markers.written),
        _report(markers.read_back),
    )


def _sanitization(plan: Plan, outcome: Outcome) -> Sanitization:
    passed = outcome is Outcome.PASSED
    return Sanitization(
        standard=plan.standard,
        program=plan.program,
        title=plan.title,
        source=plan.source,
        standing=plan.standing,
        technique=Technique.OVERWRITE,
        level_asked=plan.level_asked,
        level_reached=plan.level_reached if passed else None,
        claim=plan.claim if passed else "",
        verification_asked=plan.verification,
        markers_required=plan.needs_markers,
        notes=plan.notes,
    )


def _pass(state: PassState, planned: PlannedPass, most: int) -> CertifiedPass:
    runs, omitted = listed_runs(state.runs)
    return CertifiedPass(
        number=state.number,
        pattern=planned.pattern,
        direction=Direction.REVERSE if planned.reverse else Direction.FORWARD,
        read_back_asked=planned.verify,
        is_complete=state.is_complete,
        bytes_written=sum(report.bytes_done for report in state.runs),
        runs=runs,
        runs_omitted=omitted,
        bad=listed_bad(_bad_extents(state), state.bad_bytes, most),
    )


def _bad_extents(state: PassState) -> Iterator[BadExtent]:
    for report in state.runs:
        yield from report.bad_extents
    yield from state.bad_extents_lost
    yield from state.bad_extents_running


def _reading(evidence: VerificationEvidence, most: int) -> Reading:
    return Reading(
        pass_number=evidence.pass_number,
        verification=evidence.kind,
        sampling=evidence.sampling,
        run=listed_run(evidence.report),
        bad=listed_bad(evidence.report.bad_extents, evidence.report.bad_bytes, most),
        hash_tree=evidence.hash_tree,
    )


def _markers(evidence: MarkersEvidence) -> Markers:
    return Markers(
        seed=evidence.seed,
        granularity_bytes=evidence.granularity_bytes,
        places=evidence.places,
        written=listed_run(evidence.written),
        read_back=listed_run(evidence.read_back),
    )


def _exceptions(job: JobState, drive: Drive) -> Exceptions:
    """What any pass or reading gave up: an extent that one pass wrote and another did not is not as the plan asks."""
    final = () if job.final_verification is None else (job.final_verification,)
    readings = [evidence.report for evidence in (*job.pass_verifications, *final)]
    return Exceptions(
        left(
            (item.extent for state in job.passes for item in _bad_extents(state)),
            max((state.bad_bytes for state in job.passes), default=0),
        ),
        left(
            (item.extent for report in readings for item in report.bad_extents),
            max((report.bad_bytes for report in readings), default=0),
        ),
        drive.geometry.hidden_bytes,
    )


def _omitted(job: JobState) -> int:
    most = (
        (job.restarts, MAX_LISTED_SIGHTS),
        (job.sight_checks, MAX_LISTED_SIGHTS),
        (job.pass_verifications, MAX_LISTED_READINGS),
    )
    return sum(max(0, len(entries) - limit) for entries, limit in most)
