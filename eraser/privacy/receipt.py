"""The receipt as a person and a program read it, and what it proves. Checking one needs no station and no vault."""

import io
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from eraser.domain.certificate import Certificate
from eraser.domain.commitment import CustomerDetails, is_committed, receipt_key
from eraser.errors import CertificateError, UsageError
from eraser.privacy.vault import Receipt

FORMAT = "eraser receipt v1"
MAX_BYTES = 1 << 16
_LABELS = {
    "name": "Name 姓名",
    "contact": "Contact 联系人",
    "phone": "Phone 电话",
    "address": "Address 地址",
    "id_note": "Identified 身份核验",
    "reference": "Reference 编号",
}


class NotTheirsError(CertificateError):
    """The certificate's commitment was not made with this receipt's code to these details."""

    code = "not-theirs"


class NoCommitmentError(CertificateError):
    """The certificate holds no commitment: nobody was known as its drive's customer when it was issued."""

    code = "no-commitment"


@dataclass(frozen=True, slots=True)
class Held:
    """What a customer holds: the receipt's code, and the details that it was made out to."""

    key: bytes
    details: CustomerDetails


def expect_theirs(certificate: Certificate, held: Held) -> None:
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


def form_of(receipt: Receipt) -> dict[str, Any]:
    """JSON; `held_in` reads it."""
    return {
        "format": FORMAT,
        "code": receipt.code,
        "drive": receipt.drive,
        "lot": receipt.lot_id,
        "details": asdict(receipt.details),
    }


def held_in(content: bytes, code: str = "") -> Held:
    """What a receipt's JSON says, or a customer's details beside the code. Raises UsageError, which repeats nothing."""
    form = _object(content)
    if form.get("format") == FORMAT and isinstance(form.get("details"), dict):
        said = form.get("code")
        return Held(receipt_key(code or (said if isinstance(said, str) else "")), details_of(form["details"]))
    if not code:
        raise UsageError("it is no receipt", remedy="Give the receipt's code with --code, or the receipt as JSON.")
    return Held(receipt_key(code), details_of(form))


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


def lines(receipt: Receipt, *, with_picture: bool = True) -> list[str]:
    """For a printer or a terminal; the code also as a QR code in block characters."""
    details = asdict(receipt.details)
    shown = [
        "RECEIPT 收据",
        f"Drive 硬盘: {receipt.drive}",
        f"Lot 批次: {receipt.lot_id}",
        *(f"{label}: {details[name]}" for name, label in _LABELS.items() if details[name]),
        f"Code 校验码: {receipt.code}",
        "Keep it: with this code and these details the certificate can be shown to be yours, without it by nobody.",
        "请妥善保管:凭此校验码和以上信息可证明证书属于您；除您之外无人能够证明。",  # noqa: RUF001
    ]
    return [*shown, *_picture(receipt.code)] if with_picture else shown


def picture(receipt: Receipt) -> bytes:
    """The code as a QR code, SVG."""
    import segno

    out = io.BytesIO()
    segno.make(receipt.code, error="m", micro=False).save(out, kind="svg", scale=4, border=4)
    return out.getvalue()


def _picture(code: str) -> list[str]:
    import segno

    out = io.StringIO()
    segno.make(code, error="m", micro=False).terminal(out, compact=True, border=2)
    return out.getvalue().splitlines()


def read_file(path: Path) -> bytes:
    """The file, or standard input for `-`. Raises UsageError."""
    import sys

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
