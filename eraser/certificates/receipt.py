"""Whose a certificate is: checked with the customer's receipt, without a station and without the vault."""

import json
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from eraser.certificates.errors import NoCommitmentError, NotTheirsError
from eraser.domain.certificate import Certificate
from eraser.domain.commitment import CustomerDetails, is_committed, receipt_key
from eraser.errors import UsageError

FORMAT = "eraser receipt v1"
MAX_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, repr=False)
class HeldReceipt:
    """What a customer holds: the receipt's key, and the details that it was made out to."""

    key: bytes
    details: CustomerDetails


def expect_theirs(certificate: Certificate, held: HeldReceipt) -> None:
    """Raises NoCommitmentError, or NotTheirsError. Whether the certificate is genuine is another question, asked first."""
    if certificate.commitment is None:
        raise NoCommitmentError(
            "it holds no commitment to a customer",
            remedy="Ask the plant: the drive was perhaps not on record as yours.",
        )
    if not is_committed(certificate.commitment, held.key, certificate.job_id, held.details):
        raise NotTheirsError(
            "the receipt does not belong to it: the code or a detail is another one",
            remedy="Type the code and every detail as the receipt has them; blanks do not matter.",
        )


def held_in(content: bytes, code: str = "") -> HeldReceipt:
    """What a receipt's JSON says, or a customer's details beside the code. Raises UsageError, which repeats nothing."""
    form = _object(content)
    if form.get("format") == FORMAT and isinstance(form.get("details"), dict):
        said = form.get("code")
        return HeldReceipt(receipt_key(code or (said if isinstance(said, str) else "")), details_of(form["details"]))
    if not code:
        raise UsageError("it is no receipt", remedy="Give the receipt's code with --code, or the receipt as JSON.")
    return HeldReceipt(receipt_key(code), details_of(form))


def details_in(content: bytes) -> CustomerDetails:
    """A customer's details as JSON. Raises UsageError, which repeats nothing."""
    return details_of(_object(content))


def details_of(form: dict[str, Any]) -> CustomerDetails:
    """The same, parsed."""
    names = [item.name for item in fields(CustomerDetails)]
    if unknown := set(form) - set(names):
        raise UsageError(f"{len(unknown)} of the customer's details have names that are none of {', '.join(names)}")
    if not all(isinstance(value, str) for value in form.values()):
        raise UsageError("a customer's details are texts")
    return CustomerDetails(**{"name": "", **form})


def read_file(path: Path) -> bytes:
    """The file, or standard input for `-`. Raises UsageError."""
    try:
        content = sys.stdin.buffer.read(MAX_BYTES + 1) if str(path) == "-" else path.read_bytes()[: MAX_BYTES + 1]
    except OSError as error:
        raise UsageError(f"the file cannot be read: {error.strerror}", subject=str(path)) from error
    if len(content) > MAX_BYTES:
        raise UsageError("it is too long for a customer's details", subject=str(path))
    return content


def _object(content: bytes) -> dict[str, Any]:
    try:
        form = json.loads(content)
    except ValueError:
        form = None
    if not isinstance(form, dict):
        raise UsageError('it is no JSON object such as {"name": "…", "phone": "…"}')
    return form
