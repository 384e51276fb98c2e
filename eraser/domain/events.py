"""What happens to a job, one frozen value an event. `job.py` folds them; the ledger keeps them.

Nothing is done before the event that announces it is durable, so after a crash the events tell what may be believed.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from eraser.domain.drive import Drive
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
from eraser.domain.program import Verification


class Outcome(StrEnum):
    """How a job ended, as a certificate says it."""

    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something did not pass: a stable `code` for machines, and the sentence for people."""

    code: str
    what: str


@dataclass(frozen=True, slots=True)
class JobQueued:
    """Somebody asked for it."""

    kind: ClassVar[str] = "queued"
    job_id: str
    path: str
    standard: str
    operator: str


@dataclass(frozen=True, slots=True)
class DriveIdentified:
    """The drive said who it is."""

    kind: ClassVar[str] = "identified"
    drive: Drive


@dataclass(frozen=True, slots=True)
class JobRefused:
    """The guard or the policy said no; nothing was written."""

    kind: ClassVar[str] = "refused"
    reason: str
    what: str


@dataclass(frozen=True, slots=True)
class JobPlanned:
    """Every pattern is drawn; from here on the plan is followed to the letter."""

    kind: ClassVar[str] = "planned"
    plan: Plan


@dataclass(frozen=True, slots=True)
class SightBegan:
    """We hold the drive's claim. From the second time on, what was written before was out of our sight."""

    kind: ClassVar[str] = "sight-began"
    boot_id: str


@dataclass(frozen=True, slots=True)
class MarkersStarted:
    """Markers are about to be written."""

    kind: ClassVar[str] = "markers-started"
    seed: bytes


@dataclass(frozen=True, slots=True)
class MarkersChecked:
    """Markers were written and read back."""

    kind: ClassVar[str] = "markers-checked"
    evidence: MarkersEvidence


@dataclass(frozen=True, slots=True)
class PassStarted:
    """Writing begins at a position; bytes may be on the drive from now on."""

    kind: ClassVar[str] = "pass-started"
    number: int
    position_bytes: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything before the position is on the medium, but for `bad_extents` (those found since the last checkpoint)."""

    kind: ClassVar[str] = "checkpoint"
    number: int
    position_bytes: int
    flush_proof: FlushProof
    bad_extents: tuple[BadExtent, ...]


@dataclass(frozen=True, slots=True)
class PassEnded:
    """A transfer of this pass came to an end, complete or not; its report's bad extents include those of its checkpoints."""

    kind: ClassVar[str] = "pass-ended"
    number: int
    report: TransferReport


@dataclass(frozen=True, slots=True)
class SightChecked:
    """After a return, what was there before was read back."""

    kind: ClassVar[str] = "sight-checked"
    check: SightCheck


@dataclass(frozen=True, slots=True)
class ProgramRestarted:
    """What was written before cannot be believed: all passes begin again."""

    kind: ClassVar[str] = "program-restarted"
    why: str


@dataclass(frozen=True, slots=True)
class VerificationStarted:
    """Reading back begins; `sampling_seed` is empty unless places are sampled."""

    kind: ClassVar[str] = "verification-started"
    pass_number: int
    verification: Verification
    sampling_seed: bytes


@dataclass(frozen=True, slots=True)
class VerificationEnded:
    """Reading back came to an end, complete or not."""

    kind: ClassVar[str] = "verification-ended"
    evidence: VerificationEvidence


@dataclass(frozen=True, slots=True)
class ActivitySeen:
    """The kernel's counters at the end of this sight, None where it has none (images), and who else used the drive then."""

    kind: ClassVar[str] = "activity-seen"
    activity: DriveActivity | None
    other_users: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JobInterrupted:
    """It stopped in a way that can be resumed: asked to, or the drive left."""

    kind: ClassVar[str] = "interrupted"
    why: str


@dataclass(frozen=True, slots=True)
class JobCancelled:
    """A person cancelled it: it does not go on, not even by itself, until a person says so."""

    kind: ClassVar[str] = "cancelled"


@dataclass(frozen=True, slots=True)
class JobAbandoned:
    """A person gave it up (restart, cancel) or it can't go on; it ends as failed."""

    kind: ClassVar[str] = "abandoned"
    why: str


@dataclass(frozen=True, slots=True)
class JobGivenUp:
    """It meets a criterion by which it is not worth going on with (`domain/failure.py`): it ends as failed, for this reason."""

    kind: ClassVar[str] = "given-up"
    reason: Reason


@dataclass(frozen=True, slots=True)
class JobFinished:
    """The verdict, computed from the events before it."""

    kind: ClassVar[str] = "finished"
    outcome: Outcome
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class CertificateIssued:
    """The one certificate of this job; `digest` is SHA-256 of the file."""

    kind: ClassVar[str] = "certificate-issued"
    certificate_id: str
    digest: bytes


JobEvent = (
    JobQueued
    | DriveIdentified
    | JobRefused
    | JobPlanned
    | SightBegan
    | MarkersStarted
    | MarkersChecked
    | PassStarted
    | Checkpoint
    | PassEnded
    | SightChecked
    | ProgramRestarted
    | VerificationStarted
    | VerificationEnded
    | ActivitySeen
    | JobInterrupted
    | JobCancelled
    | JobAbandoned
    | JobGivenUp
    | JobFinished
    | CertificateIssued
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a job's journal: events are numbered from 0 without a gap; `at` is UTC, RFC 3339."""

    sequence: int
    at: str
    event: JobEvent
