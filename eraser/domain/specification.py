"""What somebody's own program asks of one drive, often before it is here, and whether a certificate answers it. Values."""

from dataclasses import dataclass

from eraser.domain.lot import MAX_NAME_CHARACTERS
from eraser.domain.plan import Level
from eraser.domain.program import Verification
from eraser.errors import UsageError

_LEVELS = (Level.CLEAR, Level.PURGE)
_VERIFICATIONS = (Verification.NONE, Verification.SAMPLED, Verification.FULL)


@dataclass(frozen=True, slots=True)
class Specification:
    """`reference` is the asker's own number for it. What is empty or None is left to the drive's lot."""

    reference: str
    serial: str
    standard: str = ""
    level: Level | None = None
    verification: Verification | None = None

    def __post_init__(self) -> None:
        for text in (self.reference, self.serial):
            if not (0 < len(text) <= MAX_NAME_CHARACTERS and text.isprintable()):
                raise UsageError("a specification needs a reference and a serial number that can be printed")


def shortfalls(asked: Specification, *, outcome: str, standard: str, level: str, verification: str) -> tuple[str, ...]:
    """In what a certificate falls short of what was asked: `outcome`, `standard`, `level`, `verification`; empty if in nothing.

    A certificate that failed answers no specification, whatever else it says.
    """
    short = []
    if outcome != "passed":
        short.append("outcome")
    if asked.standard and standard != asked.standard:
        short.append("standard")
    if asked.level is not None and (not level or _LEVELS.index(Level(level)) < _LEVELS.index(asked.level)):
        short.append("level")
    if asked.verification is not None and (
        not verification or _VERIFICATIONS.index(Verification(verification)) < _VERIFICATIONS.index(asked.verification)
    ):
        short.append("verification")
    return tuple(short)
