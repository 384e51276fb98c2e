"""What a certificate's own facts say of it, so that its paper is judged by the rules that judged its job. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import fields

from eraser.domain.catalogue import program_known_as
from eraser.domain.certificate import Certificate, Direction, Markers, Reading, Run
from eraser.domain.events import Outcome
from eraser.domain.evidence import (
    Access,
    EndReason,
    Extent,
    MarkersEvidence,
    TransferReport,
    VerificationEvidence,
    merged,
)
from eraser.domain.pattern import AesCtrStream
from eraser.domain.plan import Level, Plan, PlannedPass
from eraser.domain.program import Standing, Verification
from eraser.domain.rulebook import READING, Claim, Rulebooks, assess
from eraser.domain.verdict import Facts, PassFacts, judge
from eraser.errors import UsageError


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
