"""A customer who is there while their drive is erased (当面清除): what they were shown and what they said. Values, a fold.

Nothing of it says who they are. What they sign is kept as a digest under a code that they alone take along.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import ClassVar, assert_never

from eraser.domain.commitment import DriveCustomer
from eraser.domain.custody import DriveName
from eraser.domain.json_form import LATER

MAX_HOURS = 12
"""How long an address that was given out answers."""
CONSENT_DAYS = 7
"""How long a consent holds for the drive, counted from when it was shown: a job that is interrupted goes on by it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A clerk gave out the address for the drive that was seen in a bay; `sighting` as in `rack.view`."""

    kind: ClassVar[str] = "opened"
    bay: str
    sighting: str
    drive: DriveName
    model: str
    operator: str
    customer: DriveCustomer | None = field(default=None, metadata=LATER)
    """Whose it is, in the vault: the certificate is committed to them. None where the drive came with no lot."""


@dataclass(frozen=True, slots=True)
class Consented:
    """They agreed to what they were shown: in which language, and the SHA-256 (hex) of its words."""

    kind: ClassVar[str] = "consented"
    language: str
    words: str


@dataclass(frozen=True, slots=True)
class JobSeen:
    """The job on their drive, as it was seen in the bay."""

    kind: ClassVar[str] = "job-seen"
    job_id: str


@dataclass(frozen=True, slots=True)
class Confirmed:
    """They saw the end of it. `receipt`: SHA-256 (hex) of their receipt's code, a line feed, and the strokes of their
    signature, if they gave one; neither is kept here.
    """

    kind: ClassVar[str] = "confirmed"
    receipt: str
    is_signed: bool


AttendanceEvent = Opened | Consented | JobSeen | Confirmed


@dataclass(frozen=True, slots=True)
class Attendance:
    """All that happened so far; times are RFC 3339 in UTC, empty where it has not."""

    opened_at: str
    opened: Opened
    consented_at: str = ""
    job_id: str = ""
    confirmed_at: str = ""
    receipt: str = ""


def fold(entries: Iterable[tuple[str, AttendanceEvent]]) -> Attendance | None:
    """Of (time, event) in their order; None where nobody opened it. What comes twice counts the first time."""
    found: Attendance | None = None
    for at, event in entries:
        if isinstance(event, Opened):
            found = found or Attendance(at, event)
        elif found is not None:
            found = _after(found, at, event)
    return found


def _after(found: Attendance, at: str, event: Consented | JobSeen | Confirmed) -> Attendance:
    match event:
        case Consented():
            return found if found.consented_at else replace(found, consented_at=at)
        case JobSeen(job_id):
            return found if found.job_id else replace(found, job_id=job_id)
        case Confirmed(receipt):
            return found if found.confirmed_at else replace(found, confirmed_at=at, receipt=receipt)
        case _:
            assert_never(event)


class Step(StrEnum):
    """Where they are."""

    EXPLAINED = "explained"
    """They are asked whether they agree."""
    AGREED = "agreed"
    """They have; the clerk starts it."""
    WORKING = "working"
    HALTED = "halted"
    """It rests, or waits for somebody of the plant."""
    PASSED = "passed"
    FAILED = "failed"
    GONE = "gone"
    """Their drive is not in its bay any more, and its job has no certificate."""


def step(attendance: Attendance, state: str | None, outcome: str | None) -> Step:
    """`state`: of the bay (`rack.view.BayState`) while just their drive is in it, else None; `outcome`: of the certificate of
    their job, None before there is one.
    """
    if outcome is not None:
        return Step.PASSED if outcome == "passed" else Step.FAILED
    match state:
        case None:
            return Step.GONE
        case "writing" | "verifying":
            return Step.WORKING
        case "passed" | "failed":
            return Step.WORKING if state == "passed" else Step.FAILED  # passed counts with its certificate alone
        case "asking" | "waiting" | "identifying":
            return Step.AGREED if attendance.consented_at else Step.EXPLAINED
        case _:
            return Step.HALTED
