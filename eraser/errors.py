"""One hierarchy for everything that can go wrong on purpose. Usable from every layer; imports none.

Each error tells a person what happened, to what, and what to do about it. The command line prints it, the log keeps its
fields, and an API can turn it into a problem document.
"""

from enum import IntEnum
from typing import ClassVar


class ExitStatus(IntEnum):
    """What the `eraser` command returns to its caller; of several drives the highest counts."""

    PASSED = 0
    INTERRUPTED = 1
    USAGE = 2
    REFUSED = 3
    FAILED = 4
    UNKNOWN_KEY = 5


class EraserError(Exception):
    """Base of all: `what` happened, to which `subject`, and the `remedy`; `code` is stable and for machines."""

    code: ClassVar[str] = "error"
    exit_status: ClassVar[ExitStatus] = ExitStatus.FAILED

    def __init__(self, what: str, *, subject: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.subject = subject
        self.remedy = remedy

    def __str__(self) -> str:
        where = f"{self.subject}: " if self.subject else ""
        then = f" {self.remedy}" if self.remedy else ""
        return f"{where}{self.what}.{then}"


class UsageError(EraserError):
    """The request itself is wrong: an unknown name, a value out of range, a file that is not what it should be."""

    code = "usage"
    exit_status = ExitStatus.USAGE


class Refused(EraserError):
    """The request is understood and will not be carried out: the drive is in use, locked, zoned, or no plan reaches the level.

    `reason` is the machine's word for why, such as `mounted` or `no-method`.
    """

    code = "refused"
    exit_status = ExitStatus.REFUSED

    def __init__(self, reason: str, what: str, *, subject: str = "", remedy: str = "") -> None:
        super().__init__(what, subject=subject, remedy=remedy)
        self.reason = reason


class DriveError(EraserError):
    """The drive or its path does not do what was asked: gone, unreadable, or answering nonsense."""

    code = "drive"


class TransferError(EraserError):
    """The transfer process could not be started or broke its contract; a drive's own faults are results, not errors."""

    code = "transfer"


class JournalError(EraserError):
    """The journal cannot be believed or written: corrupt, from a newer version, or contradicting itself."""

    code = "journal"


class CertificateError(EraserError):
    """A certificate that must not be believed; `code` names which way it fails."""

    code = "certificate"
