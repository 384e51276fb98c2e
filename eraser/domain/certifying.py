"""From a job to its certificate: what of the job's state is written down, and how much of it. Pure.

Lists are capped, and say by how much, so that the certificate of a dying drive stays below 1 MB.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from eraser.domain.certificate import (
    FORMAT,
    VERSION,
    BadSectors,
    Certificate,
    CertifiedPass,
    Direction,
    Exceptions,
    LeftExtents,
    Markers,
    Provenance,
    Reading,
    Run,
    Sanitization,
    Station,
    Technique,
    Times,
    Tool,
    cleaned,
)
from eraser.domain.certified import assessed
from eraser.domain.commitment import Commitment
from eraser.domain.drive import Drive, Transport
from eraser.domain.events import Outcome
from eraser.domain.evidence import (
    BadExtent,
    Extent,
    MarkersEvidence,
    TransferReport,
    VerificationEvidence,
    merged,
)
from eraser.domain.job import JobState, PassState
from eraser.domain.plan import Plan, PlannedPass
from eraser.domain.rulebook import NOTHING
from eraser.errors import UsageError

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


_UNSAID = Provenance()


@dataclass(frozen=True, slots=True)
class Issuance:
    """What the certificate says beyond the job's own events: who issues it, where, when, and for which item."""

    certificate_id: str
    issued_at: str
    station: Station
    tool: Tool
    times: Times
    provenance: Provenance = _UNSAID
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


def _place_of(bad: BadExtent) -> tuple[int, int, str]:
    return bad.extent.offset_bytes, bad.extent.length_bytes, bad.operation


def left(extents: Iterable[Extent], bytes_total: int, most: int = MAX_LISTED_EXTENTS // 2) -> LeftExtents:
    """The merged extents, the first `most` of them listed; `bytes_total` where more bytes are known than extents."""
    ordered = merged(extents)
    known = sum(extent.length_bytes for extent in ordered)
    return LeftExtents(ordered[:most], max(0, len(ordered) - most), max(known, bytes_total))
