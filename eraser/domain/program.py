"""A program: ordered passes with where they come from. The catalogue (`catalogue.py`) is a table of these."""

from dataclasses import dataclass
from enum import StrEnum

from eraser.domain.pattern import ComplementOf, PatternSpec, RandomStream, draw
from eraser.errors import UsageError


class Standing(StrEnum):
    """How much the source of a program may be claimed on a certificate."""

    CURRENT = "current"
    """In force, and its text was seen: the certificate may say *complies with*."""
    WITHDRAWN = "withdrawn"
    """Was in force; its issuer no longer names it."""
    SECONDARY_SOURCE = "secondary source"
    """Only digests of the text were seen: the certificate says *pattern of*, never *complies with*."""
    FOLKLORE = "folklore"
    """No standard contains it, whatever its name says."""
    OWN = "no standard"
    """A plain technique without a document behind it, or the user's own program."""


class Verification(StrEnum):
    """How the drive is read back."""

    NONE = "none"
    SAMPLED = "sampled"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class PassSpec:
    """One overwrite of every user-addressable byte."""

    pattern: PatternSpec
    reverse: bool = False
    """From the last byte to the first."""
    verify: bool = False
    """The program itself asks that this pass be read back in full before the next."""


@dataclass(frozen=True, slots=True)
class Program:
    """Ordered passes. Nothing is added to them: no blanking pass, no extra write.

    `shuffled` gives the first and last pass number (from 1) of a stretch whose order each job draws anew (Gutmann's).
    `minimum_verification` is what the source itself asks for; a job may read back more, never less.
    """

    name: str
    title: str
    passes: tuple[PassSpec, ...]
    source: str
    standing: Standing
    aliases: tuple[str, ...] = ()
    minimum_verification: Verification = Verification.NONE
    note: str = ""
    shuffled: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not self.passes:
            raise UsageError("a program needs at least one pass", subject=self.name)
        if self.shuffled is not None and not 1 <= self.shuffled[0] < self.shuffled[1] <= len(self.passes):
            raise UsageError("the shuffled stretch lies outside the passes", subject=self.name)
        specs = tuple(item.pattern for item in self.passes)
        if self.shuffled is not None and any(isinstance(spec, ComplementOf) for spec in specs):
            raise UsageError(
                "a complement names a pass by its number, which a shuffled stretch moves", subject=self.name
            )
        draw(specs, bytes)  # Complements that cannot be resolved fail here and not in the middle of a job's planning.

    @property
    def required_verification(self) -> Verification:
        """The least that a job must read back at its end; all, where the last pass itself asks to be read back."""
        return Verification.FULL if self.passes[-1].verify else self.minimum_verification

    def needs_markers(self, verification: Verification) -> bool:
        """Whether nothing is read back, or all of it repeats itself, so that it tells neither one address from another, nor
        what was written from what is always answered. `verification` is that of the last pass.

        A random pass that is overwritten unread shows nothing of that. A drive that wraps its addresses or answers zeros to
        everything is found out by a random stream that is read back, and else by markers alone.
        """
        last = self.passes[-1:] if verification is not Verification.NONE else ()
        read_back = (*(item for item in self.passes if item.verify), *last)
        return not any(isinstance(item.pattern, RandomStream) for item in read_back)
