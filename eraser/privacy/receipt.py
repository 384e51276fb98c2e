"""The receipt as a customer takes it along: on paper, as JSON, as a QR code. `eraser.certificates.receipt` checks it."""

import io
from dataclasses import asdict
from typing import Any

from eraser.certificates.receipt import FORMAT
from eraser.privacy.vault import Receipt

_LABELS = {
    "name": "Name 姓名",
    "contact": "Contact 联系人",
    "phone": "Phone 电话",
    "address": "Address 地址",
    "id_note": "Identified 身份核验",
    "reference": "Reference 编号",
}


def form_of(receipt: Receipt) -> dict[str, Any]:
    """JSON; `certificates.receipt.held_in` reads it."""
    return {
        "format": FORMAT,
        "code": receipt.code,
        "drive": receipt.drive,
        "lot": receipt.lot_id,
        "details": asdict(receipt.details),
    }


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
