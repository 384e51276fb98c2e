"""In which time a key signs: a line or two before its PEM block, so that a key never travels without them.

    Valid-From: 2026-11-24T07:00:00Z
    Valid-Until: 2027-11-24T07:00:00Z
    -----BEGIN PUBLIC KEY-----

Text before a block is passed over by OpenSSL and others (RFC 7468 §5.2). Either line may be missing; what begins with `Valid`
and is none of them is an error, lest a slip of the pen lifts a limit.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_UTC = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(?:Z|\+00:00)", re.ASCII)
_LINE = re.compile(r"(Valid-From|Valid-Until): (\S+)")


@dataclass(frozen=True, slots=True)
class Validity:
    """From `since` on, before `until`; RFC 3339 in UTC. Empty: without a limit there."""

    since: str = ""
    until: str = ""

    def covers(self, moment: str) -> bool:
        """Whether the moment (RFC 3339, UTC) lies in it. Raises ValueError for what is none."""
        now = ordered(moment)
        return (not self.since or ordered(self.since) <= now) and (not self.until or now < ordered(self.until))

    def within(self, other: "Validity") -> "Validity":
        """What both allow: whoever has an older file of the same key knows less of its end, not more."""
        since = max(self.since, other.since, key=_or_first)
        ends = [item for item in (self.until, other.until) if item]
        return Validity(since, min(ends, key=ordered) if ends else "")

    def lines(self) -> str:
        """As they stand before the key."""
        pairs = (("Valid-From", self.since), ("Valid-Until", self.until))
        return "".join(f"{name}: {moment}\n" for name, moment in pairs if moment)

    def __str__(self) -> str:
        return f"from {self.since or 'its beginning'} until {self.until or 'further notice'}"


ALWAYS = Validity()


def validity_of(preamble: str) -> Validity:
    """From the text before a key. Raises ValueError naming the line that is none."""
    found: dict[str, str] = {}
    for line in _claims(preamble):
        match = _LINE.fullmatch(line)
        if match is None or match[1] in found or not _UTC.fullmatch(match[2]):
            raise ValueError(line[:80])
        found[match[1]] = match[2]
    return Validity(found.get("Valid-From", ""), found.get("Valid-Until", ""))


def ordered(moment: str) -> tuple[str, str]:
    """A value that orders moments (RFC 3339, UTC) in time. Raises ValueError for what is none."""
    match = _UTC.fullmatch(moment)
    if match is None:
        raise ValueError(f"{moment[:40]!r} is no UTC time of RFC 3339")
    return match[1], (match[2] or "").ljust(9, "0")


def _or_first(moment: str) -> tuple[str, str]:
    return ordered(moment) if moment else ("", "")


def _claims(preamble: str) -> Iterable[str]:
    lines = (line.strip() for line in preamble.splitlines())
    return (line for line in lines if line.lower().startswith("valid"))
