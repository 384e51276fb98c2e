"""A plan: what one job will do to one drive, with every pattern drawn. Made by a policy, followed to the letter by the job."""

from dataclasses import dataclass
from enum import StrEnum

from eraser.domain.pattern import Pattern
from eraser.domain.program import Standing, Verification

DEFAULT_HASH_EXTENT_BYTES = 1 << 30


class Level(StrEnum):
    """NIST SP 800-88 and IEEE 2883: how far recovery is made infeasible."""

    CLEAR = "clear"
    PURGE = "purge"


@dataclass(frozen=True, slots=True)
class PlannedPass:
    """One overwrite of every user-addressable byte with a pattern that is fully known."""

    pattern: Pattern
    reverse: bool
    verify: bool
    """Whether it is read back in full before the next pass, because the program asks for it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`passes` in their order; after the last one the drive is read back as `verification` says."""

    standard: str
    """What was asked for, in the catalogue's name."""
    program: str
    title: str
    source: str
    standing: Standing
    claim: str
    """The sentence that the certificate may make of it."""
    level_asked: Level
    level_reached: Level
    passes: tuple[PlannedPass, ...]
    verification: Verification
    hash_extent_bytes: int
    """Extent of the read-back hashes; 0 when hashing is off."""
    needs_markers: bool
    """Whether distinct markers are written and read back first, since no pass can tell addresses apart."""
    notes: tuple[str, ...]
    """What a person should know before it starts and an auditor afterwards."""
