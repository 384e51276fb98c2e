"""What happens to a job, as lists of events that can follow one another."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

from eraser.domain.drive import Drive
from eraser.domain.events import (
    ActivitySeen,
    CertificateIssued,
    Checkpoint,
    DriveIdentified,
    Entry,
    JobEvent,
    JobFinished,
    JobPlanned,
    JobQueued,
    Outcome,
    PassEnded,
    PassStarted,
    Reason,
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
    TransferReport,
    VerificationEvidence,
)
from eraser.domain.json_form import Nanoseconds
from eraser.domain.pattern import AesCtrStream
from eraser.domain.plan import Level, Plan, PlannedPass
from eraser.domain.program import Standing, Verification
from tests.domain.builders import IDENTITY, a_drive

OPERATOR = "operator-7"


def now_utc() -> str:
    """A station's clock that stands still."""
    return "2027-01-01T00:00:00.000Z"


def a_request(job_id: str) -> JobQueued:
    return JobQueued(job_id, "/dev/sdz", "nist-800-88-clear", OPERATOR)


def drive_number(number: int) -> Drive:
    """Drives that differ in serial number and WWN."""
    return a_drive(identity=replace(IDENTITY, serial=f"S{number:07}", wwn=f"5000c500{number:08x}"))


def a_plan() -> Plan:
    return Plan(
        standard="nist-800-88-clear",
        program="random",
        title="Clear",
        source="NIST SP 800-88",
        standing=Standing.SECONDARY_SOURCE,
        claim="clear",
        level_asked=Level.CLEAR,
        level_reached=Level.CLEAR,
        passes=(PlannedPass(AesCtrStream(bytes(range(32))), False, False),),
        verification=Verification.FULL,
        hash_extent_bytes=1 << 30,
        needs_markers=False,
        notes=(),
    )


def a_report(capacity_bytes: int) -> TransferReport:
    return TransferReport(
        end=EndReason.COMPLETED,
        errno=0,
        start_position_bytes=0,
        end_position_bytes=capacity_bytes,
        bytes_done=capacity_bytes,
        bytes_sent=capacity_bytes,
        failed_bytes_sent=0,
        bad_extents=(),
        bad_bytes=0,
        retries=0,
        flushes=3,
        flush_proof=FlushProof.KERNEL_SENT,
        mismatched_sectors=0,
        first_mismatches=(),
        access=Access.URING_DIRECT_REGISTERED,
        block_bytes=1 << 20,
        queue_depth=4,
        started_at=now_utc(),
        first_byte=Nanoseconds(1),
        last_byte=Nanoseconds(90_000_000_001),
    )


def until_writing(drive: Drive) -> list[JobEvent]:
    """From being identified to a first pass under way; queueing is the journal's own."""
    return [DriveIdentified(drive), JobPlanned(a_plan()), SightBegan("boot-1"), PassStarted(1, 0)]


def checkpoints(drive: Drive, count: int) -> Iterator[JobEvent]:
    """Equally far from each other."""
    step = drive.geometry.capacity_bytes // (count + 1)
    return (Checkpoint(1, number * step, FlushProof.KERNEL_SENT, ()) for number in range(1, count + 1))


def from_written(drive: Drive, outcome: Outcome, certificate_id: str) -> list[JobEvent]:
    """From the pass's end to the certificate."""
    report = a_report(drive.geometry.capacity_bytes)
    reasons = () if outcome is Outcome.PASSED else (Reason("mismatch", "1 sector differs"),)
    return [
        PassEnded(1, report),
        VerificationStarted(1, Verification.FULL, b""),
        VerificationEnded(VerificationEvidence(1, Verification.FULL, None, report, HashTree(1 << 30, 932, bytes(32)))),
        ActivitySeen(DriveActivity(1000, 1000, 1000, 0, 3, 3)),
        JobFinished(outcome, reasons),
        CertificateIssued(certificate_id, bytes(32)),
    ]


def whole_job(
    job_id: str, drive: Drive, checkpoint_count: int = 1, outcome: Outcome = Outcome.PASSED
) -> list[JobEvent]:
    """All events after the first one."""
    return list(
        itertools.chain(
            until_writing(drive),
            checkpoints(drive, checkpoint_count),
            from_written(drive, outcome, f"certificate-of-{job_id}"),
        )
    )


def entries_of(job_id: str, events: list[JobEvent]) -> list[Entry]:
    """As a journal numbers them."""
    return [Entry(number, now_utc(), event) for number, event in enumerate([a_request(job_id), *events])]
