"""Whether a job passed: computed from its facts, never kept beside them.

Everything must be shown. Whatever is missing, partial or contradictory is a reason to fail, and each reason has a name.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from eraser.domain.drive import Drive, Transport
from eraser.domain.events import Outcome, Reason
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
from eraser.domain.markers import marker_places
from eraser.domain.pattern import SEED_BYTES, AesCtrStream
from eraser.domain.plan import Plan
from eraser.domain.program import Verification
from eraser.domain.sampling import sampling_evidence
from eraser.domain.sayings import Code, Saying, recalled, say


@dataclass(frozen=True, slots=True)
class PassFacts:
    """One pass as it was written, perhaps in several runs."""

    number: int
    runs: tuple[TransferReport, ...]
    """Those that came to a reported end; a run that died with its host left only its checkpoints."""
    is_complete: bool
    """Whether every byte of the drive was covered and flushed."""
    lost_bad_extents: tuple[BadExtent, ...]
    """Found by a run that died without a report, as far as its checkpoints told."""
    bad_bytes: int
    """All bytes given up in this pass."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the verdict rests on."""

    drive: Drive
    plan: Plan
    sights: int
    """How often we took the drive's claim for this job: more than once means that it was out of our sight in between."""
    passes: tuple[PassFacts, ...]
    markers: MarkersEvidence | None
    went_on_unchecked: bool
    """Whether passes went on, after the drive had been out of sight, over bytes that were not all read back before."""
    had_outsiders: bool
    """Whether the counters of an earlier sight showed somebody else writing, since the program last began."""
    sight_checks: tuple[SightCheck, ...]
    """Since the program last began."""
    restarts: tuple[str, ...]
    """Why all passes began again, each time they did."""
    pass_verifications: tuple[VerificationEvidence, ...]
    """Those that the program asks for between its passes."""
    final_verification: VerificationEvidence | None
    """The reading back after the last write, in the same sight as this verdict."""
    faulty_verifications: tuple[VerificationEvidence, ...]
    """Those that found something wrong, since the program last began: no later reading back makes them good."""
    activity: DriveActivity | None
    """The kernel's counters from the first write of this sight to the end of verification."""
    other_users: tuple[str, ...] | None
    """Who else used the drive at the end of verification; None when nobody looked."""
    interrupted: str
    """Why we do not hold the drive now; empty while we do."""
    abandoned: str
    """Why it was given up; empty if it was not."""
    given_up: Reason | None
    """The failure criterion that it met, whatever else holds."""


def judge(facts: Facts) -> tuple[Outcome, tuple[Reason, ...]]:
    """*Passed* with no reason, or *failed* with all of them."""
    reasons = tuple(_reasons(facts))
    return (Outcome.FAILED, reasons) if reasons else (Outcome.PASSED, ())


def _reasons(facts: Facts) -> Iterator[Reason]:
    if facts.abandoned:
        yield _because(Code.ABANDONED, why=recalled(facts.abandoned))
    if facts.given_up is not None:
        yield facts.given_up
    if facts.interrupted:
        yield _because(Code.OUT_OF_SIGHT, why=recalled(facts.interrupted))
    yield from _capacity(facts.drive)
    yield from _markers(facts)
    yield from _passes(facts)
    yield from _sight(facts)
    yield from _pass_verifications(facts)
    yield from _final_verification(facts)
    yield from _other_users(facts)
    yield from _activity(facts)


def _because(code: Code, family: str = "", **values: str | int | float | Saying) -> Reason:
    """The reason as it is kept: the code's family, or the one given, and the sentence."""
    return Reason(family or code.family, say(code, **values).english)


def _has_sizes(drive: Drive) -> bool:
    geometry = drive.geometry
    return min(geometry.capacity_bytes, geometry.logical_sector_bytes, geometry.physical_sector_bytes) > 0


def _capacity(drive: Drive) -> Iterator[Reason]:
    if not _has_sizes(drive):
        yield _because(Code.NO_CAPACITY)
    if drive.geometry.hidden_bytes > 0:
        yield _because(Code.HIDDEN_BYTES, count=drive.geometry.hidden_bytes)
    elif drive.geometry.hidden_areas:
        yield _because(Code.HIDDEN_AREAS, areas=", ".join(drive.geometry.hidden_areas))


def _markers(facts: Facts) -> Iterator[Reason]:
    if not facts.plan.needs_markers and not _shows_nothing(facts):
        return
    markers = facts.markers
    if markers is None:
        yield _because(Code.MARKERS_MISSING)
        return
    for report in (markers.written, markers.read_back):
        if report.end is not EndReason.COMPLETED:
            yield _because(Code.MARKERS_ENDED_EARLY, _family(report.end), end=recalled(report.end.value))
    if not _covers_markers(markers, facts.drive):
        yield _because(Code.MARKERS_PARTLY)
    if markers.read_back.mismatched_sectors or markers.read_back.first_mismatches:
        yield _because(Code.MARKERS_DIFFER, count=markers.read_back.mismatched_sectors)


def _shows_nothing(facts: Facts) -> bool:
    """Whether nothing random is read back where the plan reads nothing back at the end: a drive that answers zeros to
    everything would do."""
    random = {number for number, item in enumerate(facts.plan.passes, 1) if isinstance(item.pattern, AesCtrStream)}
    read_back = {item.pass_number for item in (*facts.pass_verifications, facts.final_verification) if item is not None}
    return facts.plan.verification is Verification.NONE and not random & read_back


def _covers_markers(markers: MarkersEvidence, drive: Drive) -> bool:
    """Whether the places are those that the seed gives on this drive, each of them written and read."""
    geometry = drive.geometry
    if not _has_sizes(drive) or len(markers.seed) != SEED_BYTES:
        return False
    granularity, places = marker_places(geometry.capacity_bytes, geometry.physical_sector_bytes, markers.seed)
    total = sum(place.length_bytes for place in places)
    return (markers.granularity_bytes, markers.places) == (granularity, len(places)) and all(
        _is_whole(report, total) and not has_bad_bytes(report) for report in (markers.written, markers.read_back)
    )


def _passes(facts: Facts) -> Iterator[Reason]:
    numbers = tuple(item.number for item in facts.passes)
    if not numbers or numbers != tuple(range(1, len(facts.plan.passes) + 1)):
        yield _because(Code.PASSES_MISSING, count=len(facts.passes), planned=len(facts.plan.passes))
    capacity = facts.drive.geometry.capacity_bytes
    for item in facts.passes:
        if not item.is_complete or not item.runs or not covers_to_end(item.runs[-1], capacity):
            yield _uncovered(item)
        yield from _reached_the_medium(facts.plan, item)
        if item.bad_bytes or item.lost_bad_extents or any(has_bad_bytes(run) for run in item.runs):
            yield _because(Code.NOT_WRITTEN, count=item.bad_bytes, number=item.number)


def _reached_the_medium(plan: Plan, item: PassFacts) -> Iterator[Reason]:
    """Where nothing is read back, the flush is all there is."""
    is_assumed = bool(item.runs) and item.runs[-1].flush_proof is FlushProof.ASSUMED
    if plan.verification is Verification.NONE and is_assumed:
        yield _because(Code.FLUSH_ASSUMED, number=item.number)


def _uncovered(item: PassFacts) -> Reason:
    end = item.runs[-1].end if item.runs else EndReason.COMPLETED
    if end is EndReason.COMPLETED:
        return _because(Code.PASS_INCOMPLETE, number=item.number)
    family = "" if end is EndReason.CANCELLED else _family(end)
    return _because(Code.PASS_ENDED_EARLY, family, number=item.number, end=recalled(end.value))


def _family(end: EndReason) -> str:
    return end.name.lower().replace("_", "-")


def covers_to_end(report: TransferReport, capacity_bytes: int) -> bool:
    """Whether a write came to the end of the drive from where it began, and was flushed there."""
    return (
        report.end is EndReason.COMPLETED
        and report.end_position_bytes == capacity_bytes
        and 0 <= report.start_position_bytes <= capacity_bytes
        and report.bytes_done == capacity_bytes - report.start_position_bytes
        and report.bytes_sent >= report.bytes_done
        and report.flushes > 0
        and report.flush_proof is not FlushProof.NOT_FLUSHED
    )


def has_bad_bytes(report: TransferReport) -> bool:
    """Whether any byte was given up."""
    return bool(report.bad_bytes or report.bad_extents)


def _sight(facts: Facts) -> Iterator[Reason]:
    if facts.sights < 1:
        yield _because(Code.NEVER_HELD)
    if facts.went_on_unchecked:
        yield _because(Code.UNCHECKED)
    if facts.had_outsiders:
        yield _because(Code.FOREIGN_WRITE_BEFORE)
    for check in facts.sight_checks:
        if check.mismatched_sectors:
            yield _because(Code.CHANGED_OUT_OF_SIGHT, count=check.mismatched_sectors, number=check.pass_number)


def _pass_verifications(facts: Facts) -> Iterator[Reason]:
    read_back = {item.pass_number for item in facts.pass_verifications}
    for number, planned in enumerate(facts.plan.passes[:-1], start=1):
        if planned.verify and number not in read_back:
            yield _because(Code.PASS_NOT_READ_BACK, number=number)
    for item in facts.pass_verifications:
        if item.kind is not Verification.FULL:
            yield _because(Code.PASS_READ_IN_PART, number=item.pass_number)
        yield from _verification(facts, item)
    judged = (*facts.pass_verifications, facts.final_verification)
    for item in facts.faulty_verifications:
        if item not in judged:
            yield from _found(item)


def _final_verification(facts: Facts) -> Iterator[Reason]:
    required = required_verification(facts.plan, facts.sights)
    found = facts.final_verification
    if found is None:
        if required is not Verification.NONE:
            yield _because(Code.NOT_READ_BACK)
        return
    if required is Verification.FULL and found.kind is not Verification.FULL:
        yield _because(Code.READ_IN_PART)
    if required is not Verification.NONE and found.kind is Verification.NONE:
        yield _because(Code.NOTHING_READ)
    if found.pass_number != len(facts.plan.passes):
        yield _because(Code.NOT_THE_LAST_PASS)
    yield from _verification(facts, found)
    if found.kind is Verification.FULL and not _is_hashed(facts, found):
        yield _because(Code.HASH_MISSING)


def _verification(facts: Facts, found: VerificationEvidence) -> Iterator[Reason]:
    if (end := found.report.end) is not EndReason.COMPLETED:
        number, ended = found.pass_number, recalled(end.value)
        yield _because(Code.VERIFICATION_ENDED_EARLY, _family(end), number=number, end=ended)
    if not _covers_places(found, facts.drive):
        yield _because(Code.VERIFICATION_INCOMPLETE, number=found.pass_number, count=found.report.bytes_done)
    yield from _found(found)


def _found(found: VerificationEvidence) -> Iterator[Reason]:
    report = found.report
    if has_bad_bytes(report):
        yield _because(Code.NOT_VERIFIED, count=report.bad_bytes)
    if report.mismatched_sectors or report.first_mismatches:
        yield _because(Code.MISMATCH, count=report.mismatched_sectors)


def _covers_places(found: VerificationEvidence, drive: Drive) -> bool:
    """Whether everything that this kind of reading back has to read was read."""
    geometry, report = drive.geometry, found.report
    places_bytes = geometry.capacity_bytes
    if found.kind is Verification.SAMPLED:
        if found.sampling is None or len(found.sampling.seed) != SEED_BYTES or not _has_sizes(drive):
            return False
        drawn = sampling_evidence(geometry.capacity_bytes, geometry.physical_sector_bytes, found.sampling.seed)
        if found.sampling != drawn:
            return False
        places_bytes = drawn.bytes_sampled
    return _is_whole(report, places_bytes)


def _is_whole(report: TransferReport, places_bytes: int) -> bool:
    """Whether one transfer went through all its places from the first byte to the last."""
    return (report.start_position_bytes, report.end_position_bytes, report.bytes_done) == (
        0,
        places_bytes,
        places_bytes,
    )


def _is_hashed(facts: Facts, found: VerificationEvidence) -> bool:
    extent_bytes, tree = facts.plan.hash_extent_bytes, found.hash_tree
    if extent_bytes <= 0:
        return True
    leaves = -(-facts.drive.geometry.capacity_bytes // extent_bytes)
    return tree is not None and (tree.extent_bytes, tree.leaves) == (extent_bytes, leaves)


def _activity(facts: Facts) -> Iterator[Reason]:
    if facts.activity is None and facts.drive.transport is Transport.IMAGE:
        return
    if facts.activity is None:
        yield _because(Code.ACTIVITY_UNKNOWN)
        return
    seen, ours = facts.activity.sectors_written_seen, facts.activity.sectors_written_ours_least
    if facts.activity.has_foreign_writes:
        yield _because(Code.FOREIGN_WRITE, seen=seen, ours=ours)
    if facts.activity.has_lost_flushes:
        expected, went_out = facts.activity.flushes_expected, facts.activity.flushes_seen
        yield _because(Code.FLUSH_LOST, expected=expected, seen=went_out)


def _other_users(facts: Facts) -> Iterator[Reason]:
    """An opener writes into the page cache, which the counters do not see before it goes out to the drive."""
    if facts.other_users is None:
        yield _because(Code.USE_UNKNOWN)
    for use in facts.other_users or ():
        yield _because(Code.IN_USE, detail=use)


def required_verification(plan: Plan, sights: int) -> Verification:
    """What has to be read back: as planned, but in full once the drive was out of our sight, or where the program itself asks
    for it after its last pass.
    """
    asked_by_program = bool(plan.passes) and plan.passes[-1].verify
    return Verification.FULL if sights > 1 or asked_by_program else plan.verification
