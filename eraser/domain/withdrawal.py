"""The withdrawal: a document of its own by which a plant takes a certificate back. Pure.

What was signed is not changed by it; whoever holds the certificate learns of it from the log.
"""

from dataclasses import dataclass
from typing import Any

from eraser.domain.certificate import ID_FORM, UTC_FORM, Station, expect_printable
from eraser.domain.json_form import from_json
from eraser.domain.merkle import HASH_BYTES
from eraser.errors import UsageError

FORMAT = "eraser withdrawal"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Version 1."""

    format: str
    version: int
    withdrawal_id: str
    certificate_id: str
    certificate_digest: bytes
    """SHA-256 of the bytes under the certificate's signature: of this one and of no other that bears its id."""
    reason: str
    withdrawn_at: str
    station: Station
    operator: str
    """A pseudonymous role, never a person's name."""


def read(form: Any) -> Withdrawal:
    """The withdrawal that this JSON form stands for. Raises UsageError naming what is missing, unknown or wrong."""
    withdrawal = from_json(Withdrawal, form, where="withdrawal")
    if withdrawal.format != FORMAT or withdrawal.version != VERSION:
        raise UsageError(f"it is {withdrawal.format!r} version {withdrawal.version}, known is {FORMAT!r} {VERSION}")
    for name, text in (
        ("withdrawal_id", withdrawal.withdrawal_id),
        ("certificate_id", withdrawal.certificate_id),
    ):
        if not ID_FORM.fullmatch(text):
            raise UsageError(f"withdrawal.{name}: {text!r} is no UUID")
    if not UTC_FORM.fullmatch(withdrawal.withdrawn_at):
        raise UsageError(f"withdrawn_at: {withdrawal.withdrawn_at!r} is no UTC time of RFC 3339")
    if len(withdrawal.certificate_digest) != HASH_BYTES or not withdrawal.reason.strip():
        raise UsageError("a withdrawal has the SHA-256 of its certificate, and a reason")
    expect_printable(form, "withdrawal")
    return withdrawal
