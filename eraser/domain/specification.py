"""What somebody's own program asks of one drive, often before it is here: what follows from it for the drive's job, and whether
a certificate answers it. Values.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from eraser.domain.lot import MAX_NAME_CHARACTERS
from eraser.domain.plan import Level
from eraser.domain.program import Verification
from eraser.domain.sayings import Code, Saying, Sayings, say
from eraser.errors import UsageError

_LEVELS = (Level.CLEAR, Level.PURGE)
_VERIFICATIONS = (Verification.NONE, Verification.SAMPLED, Verification.FULL)
_READINGS = {
    Verification.NONE: Code.READ_NOT_AT_ALL,
    Verification.SAMPLED: Code.READ_IN_SAMPLES,
    Verification.FULL: Code.READ_FULLY,
}


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


@dataclass(frozen=True, slots=True)
class Asked:
    """How a drive is to be erased, all that is asked of it taken together.

    `told` says to people what is asked, and where it is not what the drive's lot says; `question`: why a person has to choose.
    Nothing of both where nothing is asked.
    """

    standard: str
    level: Level | None
    verification: Verification
    told: Sayings = ()
    question: Saying | None = None


def together(specifications: Sequence[Specification], of_lot: Asked) -> Asked:
    """What the specifications make of what the drive's lot says (or the station, for one of no lot), the newest one last.

    They choose the standard; level and verification are the strongest that anybody asks for, so that a specification never
    makes them weaker than the lot does.
    """
    if not specifications:
        return of_lot
    standards = list(dict.fromkeys(item.standard for item in specifications if item.standard))
    standard = standards[-1] if standards else of_lot.standard
    levels = [item.level for item in specifications if item.level] + ([of_lot.level] if of_lot.level else [])
    verifications = [item.verification for item in specifications if item.verification]
    if standard != of_lot.standard and not verifications:
        verifications = [Verification.FULL]  # what the lot has reads back less for may need it
    chosen = Asked(
        standard,
        max(levels, key=_LEVELS.index, default=None),
        max([*verifications, of_lot.verification], key=_VERIFICATIONS.index),
    )
    told = [saying for item in specifications for saying in _wishes(item)]
    if standard != of_lot.standard:
        told.append(say(Code.LOT_WOULD_TAKE, standard=of_lot.standard or "another program"))
    if chosen.level and any(item.level not in (None, chosen.level) for item in specifications):
        told.append(say(Code.STRONGER_LEVEL, level=chosen.level.value))
    if any(item.verification not in (None, chosen.verification) for item in specifications):
        told.append(say(Code.STRONGER_READING, reading=say(_READINGS[chosen.verification])))
    question = None
    if len(standards) > 1:
        references = ", ".join(item.reference for item in specifications if item.standard)
        question = say(Code.SPECIFICATIONS_DIFFER, references=references)
    return Asked(chosen.standard, chosen.level, chosen.verification, tuple(told), question)


def _wishes(asked: Specification) -> Sayings:
    wishes = ", ".join(word for word in (asked.standard, asked.level.value if asked.level else "") if word)
    said = [say(Code.SPECIFICATION_ASKS, reference=asked.reference, wishes=wishes)] if wishes else []
    if asked.verification is not None:
        reading = say(_READINGS[asked.verification])
        said.append(say(Code.SPECIFICATION_READING, reference=asked.reference, reading=reading))
    return tuple(said) or (say(Code.SPECIFICATION_AS_LOT, reference=asked.reference),)
