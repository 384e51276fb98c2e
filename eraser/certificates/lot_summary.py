"""All of one lot on one document: which of its drives have which certificate, and what the log says of each.

It carries no signature but its PDF's, and proves nothing by itself: it names each certificate by id and digest, and those do.
Of the lot only its name stands in it, nothing of whom it came from.
"""

import json
from dataclasses import dataclass
from enum import StrEnum

from eraser.certificates.canonical import parse
from eraser.certificates.errors import ContradictoryError, MalformedError, UnsupportedError
from eraser.domain.certificate import UTC_FORM
from eraser.domain.events import Outcome
from eraser.domain.json_form import from_json, to_json
from eraser.domain.rulebook import Rulebook
from eraser.errors import UsageError

FORMAT = "eraser lot summary"
VERSION = 1


class Standing(StrEnum):
    """What a certificate says of its drive today."""

    PASSED = "passed"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"
    REPLACED = "replaced"
    """A later certificate of the same drive, also in this lot, counts instead."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One certificate of the lot. `index` is its entry in the log, from 0; `digest` SHA-256 of its signed bytes."""

    certificate_id: str
    digest: bytes
    index: int
    standing: Standing
    outcome: Outcome
    serial: str
    model: str
    property_tag: str
    capacity_bytes: int
    standard: str
    level: str
    passes: int
    verification: str
    rulebooks: tuple[Rulebook, ...]
    """Whose claims hold."""
    issued_at: str


@dataclass(frozen=True, slots=True)
class LotSummary:
    """As of `made_at` (RFC 3339, UTC). `drives_received` by the chain of custody; some may have no certificate yet."""

    format: str
    version: int
    lot_id: str
    station: str
    made_at: str
    drives_received: int
    drives_without_certificate: int
    certificates: tuple[Listed, ...]

    def count(self, standing: Standing) -> int:
        """Of the certificates."""
        return sum(item.standing is standing for item in self.certificates)

    @property
    def bytes_passed(self) -> int:
        """Of the drives that passed."""
        return sum(item.capacity_bytes for item in self.certificates if item.standing is Standing.PASSED)

    def dump(self) -> bytes:
        """The file, indented for people."""
        return json.dumps(to_json(self), ensure_ascii=False, indent=1).encode() + b"\n"


def read_summary(document: bytes) -> LotSummary:
    """Raises MalformedError, UnsupportedError for another version, ContradictoryError."""
    form = parse(document)
    if form.get("format") != FORMAT:
        raise MalformedError(f"it is no {FORMAT!r}")
    if form.get("version") != VERSION:
        raise UnsupportedError(f"its version is not {VERSION}", remedy="A newer Eraser may know it.")
    try:
        summary = from_json(LotSummary, form, where="summary")
    except UsageError as error:
        raise MalformedError(error.what) from None
    if not UTC_FORM.fullmatch(summary.made_at):
        raise MalformedError(f"made_at: {summary.made_at[:40]!a} is no UTC time of RFC 3339")
    for item in summary.certificates:
        if item.standing.value in (Outcome.PASSED, Outcome.FAILED) and item.standing.value != item.outcome.value:
            raise ContradictoryError(
                f"it counts {item.certificate_id} as {item.standing.value}, and says that it {item.outcome.value}"
            )
    return summary
