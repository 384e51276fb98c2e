"""From a document to its page: Typst, PDF/A-3b, the same bytes for the same document."""

import base64
import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from io import BytesIO

import segno
import typst

from eraser.certificates.bundle import is_bundle, load
from eraser.certificates.content import content
from eraser.certificates.envelope import Envelope, unseal
from eraser.certificates.errors import MalformedError
from eraser.certificates.lot_summary import read_summary
from eraser.certificates.pdf import fonts
from eraser.certificates.pdf.lot_page import lot_form
from eraser.certificates.pdf.page import Seal, page_form
from eraser.certificates.pdf.words import Language, Words

ATTACHMENT = "certificate.json"
LOT_ATTACHMENT = "lot.json"
MAKING = "page.json"
_OVERFLOW = "page-overflow"
"""What the template says when names are too long for its most generous setting."""
_MASK = 3
"""ISO/IEC 18004 §7.8: weighing all eight masks costs 8 ms and makes no code readable that was not."""


@dataclass(frozen=True, slots=True)
class Making:
    """How a page was made: by which renderer, with which choices. It is attached to the PDF, to make it once more."""

    renderer: str
    language: Language
    check_url: str


class Renderer:
    """Makes pages; fonts and template are loaded once. Not safe to call concurrently."""

    def __init__(self) -> None:
        self._template = files(__package__).joinpath("page.typ").read_bytes()
        self._lot_template = files(__package__).joinpath("lot.typ").read_bytes()
        faces = typst.Fonts(include_system_fonts=False, font_paths=fonts.font_folders())
        self._compiler = typst.Compiler(self._template, font_paths=faces, ignore_system_fonts=True)

    def __call__(self, document: bytes, language: Language, check_url: str = "") -> bytes:
        """The PDF, not signed yet, of a document (a certificate's file or a bundle), which must be verified already.

        Raises CertificateError for what is no certificate.
        """
        envelope = unseal(load(document).document if is_bundle(document) else document)
        certificate = content(envelope)
        seal = _seal(envelope)
        making = Making(renderer(), language, check_url)
        inputs = {
            "page": json.dumps(page_form(certificate, seal, language, check_url), ensure_ascii=False),
            "issued": certificate.issued_at,
            "document": document.decode(),
            "making": json.dumps(asdict(making), ensure_ascii=False),
            "qr": _qr(check_url or f"eraser:{certificate.certificate_id}:{seal.digest}"),
        }
        issued = _seconds(certificate.issued_at)
        try:
            return self._compiled({**inputs, "fit": ""}, issued)
        except typst.TypstError as error:
            if _OVERFLOW not in error.message:
                raise
        return self._compiled({**inputs, "fit": "measured"}, issued)

    def lot(self, document: bytes, language: Language) -> bytes:
        """The PDF, not signed yet, of a lot's summary (`LotSummary.dump`). Raises CertificateError for what is none."""
        summary = read_summary(document)
        inputs = {
            "page": json.dumps(lot_form(summary, Words(language)), ensure_ascii=False),
            "made": summary.made_at,
            "document": document.decode(),
            "making": json.dumps(asdict(Making(renderer(), language, "")), ensure_ascii=False),
        }
        return self._compiled(inputs, _seconds(summary.made_at), self._lot_template)

    def _compiled(self, inputs: dict[str, str], timestamp: int, template: bytes | None = None) -> bytes:
        pdf = self._compiler.compile(
            input=template or self._template,
            format="pdf",
            sys_inputs=inputs,
            pdf_standards="a-3b",  # which makes a glyph that no font has an error instead of a gap
            timestamp=timestamp,
        )
        assert isinstance(pdf, bytes)
        return pdf


def _seconds(moment: str) -> int:
    """Since 1970. Raises MalformedError for a day that no month has."""
    try:
        return int(datetime.fromisoformat(moment).timestamp())
    except (ValueError, OverflowError) as error:
        raise MalformedError(f"issued_at: {moment!r} is no time") from error


@cache
def renderer() -> str:
    """Names what the bytes of a page depend on, besides the document: another name may draw it otherwise."""
    own = hashlib.sha256()
    for path in sorted(files(__package__).iterdir(), key=lambda item: item.name):
        if path.is_file() and path.name.endswith((".py", ".typ")):
            own.update(hashlib.sha256(path.read_bytes()).digest())
    parts = [f"{name} {version(name)}" for name in ("eraser", "typst", "segno", fonts.PACKAGE)]
    return ", ".join([*parts, f"page {own.hexdigest()[:16]}"])


def _seal(envelope: Envelope) -> Seal:
    first = envelope.signatures[0]
    digest = hashlib.sha256(envelope.signed_bytes).hexdigest()
    return Seal(digest, first.key_id, base64.b64encode(first.signature).decode())


def _qr(text: str) -> str:
    """As SVG; a quarter of it may be worn off."""
    out = BytesIO()
    segno.make(text, error="q", boost_error=False, micro=False, mask=_MASK).save(
        out, kind="svg", border=0, xmldecl=False, dark="#171b20"
    )
    return out.getvalue().decode()
