"""Honest journals of small jobs, event by event, for tests that then spoil them."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from eraser.domain.drive import Geometry, Transport
from eraser.domain.events import (
    ActivitySeen,
    Checkpoint,
    DriveIdentified,
    Entry,
    JobEvent,
    JobFinished,
    JobPlanned,
    JobQueued,
    MarkersChecked,
    MarkersStarted,
    Outcome,
    PassEnded,
    PassStarted,
    SightBegan,
    VerificationEnded,
    VerificationStarted,
)
from eraser.domain.evidence import (
    Access,
    DriveActivity,
    EndReason,
    FlushProof,
    HashTree,
    MarkersEvidence,
    TransferReport,
    VerificationEvidence,
)
from eraser.domain.job import JobState, fold
from eraser.domain.json_form import Nanoseconds
from eraser.domain.markers import marker_places
from eraser.domain.pattern import AesCtrStream, Constant, Pattern
from eraser.domain.plan import Level, Plan, PlannedPass
from eraser.domain.program import Standing, Verification
from eraser.domain.sampling import sample
from tests.domain.builders import a_drive

SECTOR = 512
SECTORS = 16
CAPACITY = SECTORS * SECTOR
ONE, TWO, THREE = AesCtrStream(bytes(32)), Constant(b"\x55"), AesCtrStream(b"\x01" * 32)
QUEUED = JobQueued("0f1e2d3c", "/dev/sdz", "random", "somebody")
DRIVE = a_drive(geometry=Geometry(CAPACITY, SECTOR, SECTOR, CAPACITY), write_cache="write back")
IMAGE = replace(DRIVE, transport=Transport.IMAGE)


def a_plan(*patterns: Pattern, **changes: Any) -> Plan:
    """One pass for each pattern, then everything is read back and hashed."""
    plan = Plan(
        standard="random",
        program="random",
        title="Some passes",
        source="none",
        standing=Standing.OWN,
        claim="overwritten",
        level_asked=Level.CLEAR,
        level_reached=Level.CLEAR,
        passes=tuple(PlannedPass(pattern, reverse=False, verify=False) for pattern in patterns or (ONE,)),
        verification=Verification.FULL,
        hash_extent_bytes=1 << 20,
        needs_markers=False,
        notes=(),
    )
    return replace(plan, **changes)


def a_report(start: int = 0, stop: int = CAPACITY, **changes: Any) -> TransferReport:
    """A transfer that did all it had to between two positions, and flushed."""
    report = TransferReport(
        end=EndReason.COMPLETED,
        errno=0,
        start_position_bytes=start,
        end_position_bytes=stop,
        bytes_done=stop - start,
        bytes_sent=stop - start,
        failed_bytes_sent=0,
        bad_extents=(),
        bad_bytes=0,
        retries=0,
        flushes=1,
        flush_proof=FlushProof.KERNEL_SENT,
        mismatched_sectors=0,
        first_mismatches=(),
        access=Access.URING_DIRECT,
        block_bytes=SECTOR,
        queue_depth=1,
        started_at="2026-11-24T06:00:00Z",
        first_byte=Nanoseconds(1),
        last_byte=Nanoseconds(2),
    )
    return replace(report, **changes)


def cut_short(stop: int, start: int = 0, why: EndReason = EndReason.CANCELLED, **changes: Any) -> TransferReport:
    """A transfer that came as far as `stop`."""
    return a_report(start, stop, end=why, **changes)


def a_reading(number: int = 1, **changes: Any) -> VerificationEvidence:
    """The whole drive read back, nothing differing; hashed."""
    evidence = VerificationEvidence(number, Verification.FULL, None, a_report(), HashTree(1 << 20, 1, bytes(32)))
    return replace(evidence, **changes)


def a_sampled_reading(number: int = 1, seed: bytes = bytes(32), capacity: int = CAPACITY) -> VerificationEvidence:
    """Sampled places read back, nothing differing."""
    _, sampling = sample(capacity, SECTOR, seed)
    report = a_report(stop=sampling.bytes_sampled)
    return VerificationEvidence(number, Verification.SAMPLED, sampling, report, None)


def some_markers(seed: bytes = b"\x07" * 32) -> MarkersEvidence:
    """Markers that came back as they were written."""
    granularity, places = marker_places(CAPACITY, SECTOR, seed)
    report = a_report(stop=sum(place.length_bytes for place in places))
    return MarkersEvidence(seed, granularity, len(places), report, report)


def an_activity(sectors: int = SECTORS, flushes: int = 1) -> DriveActivity:
    """Nobody but us wrote."""
    return DriveActivity(sectors, sectors, sectors, 0, flushes, flushes)


def planned(plan: Plan, drive: Any = DRIVE) -> tuple[JobEvent, ...]:
    """As far as the plan."""
    return (QUEUED, DriveIdentified(drive), JobPlanned(plan))


def written(number: int, start: int = 0) -> tuple[JobEvent, ...]:
    """One pass from `start` to its end, with a checkpoint on the way."""
    middle = (start + CAPACITY) // 2 // SECTOR * SECTOR
    return (
        PassStarted(number, start),
        Checkpoint(number, middle, FlushProof.KERNEL_SENT, ()),
        PassEnded(number, a_report(start)),
    )


def read_back(number: int, **changes: Any) -> tuple[JobEvent, ...]:
    """One reading back in full."""
    return (VerificationStarted(number, Verification.FULL, b""), VerificationEnded(a_reading(number, **changes)))


def marked() -> tuple[JobEvent, ...]:
    """Markers written and read back."""
    return (MarkersStarted(some_markers().seed), MarkersChecked(some_markers()))


def honest(plan: Plan, drive: Any = DRIVE) -> tuple[JobEvent, ...]:
    """A job that passes, in one sight."""
    events: list[JobEvent] = [*planned(plan, drive), SightBegan("boot")]
    if plan.needs_markers:
        events += marked()
    last = len(plan.passes)
    for number, item in enumerate(plan.passes, start=1):
        events += written(number)
        if item.verify and number < last:
            events += read_back(number)
    if plan.verification is Verification.SAMPLED:
        reading = a_sampled_reading(last)
        events += (VerificationStarted(last, Verification.SAMPLED, bytes(32)), VerificationEnded(reading))
    elif plan.verification is Verification.FULL:
        events += read_back(last)
    return (*events, ActivitySeen(an_activity(SECTORS * last, last)), JobFinished(Outcome.PASSED, ()))


def folded(events: Iterable[JobEvent]) -> JobState:
    """What the events add up to. Raises JournalError where they can't."""
    return fold(Entry(number, "2026-11-24T06:00:00Z", event) for number, event in enumerate(events))
