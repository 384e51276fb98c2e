"""Whether a PDF is what a station made of the certificate, or the summary of a lot, that it carries.

Two things must hold besides the certificate's own signature. The PDF's signature, by a trusted key, covers the whole file:
so the page was not changed after it left the station. And the page made once more from the certificate is the same, byte for
byte: so the station's page says what its certificate says. The second can be seen only with the renderer that made it; with
another one the first alone is known, and that is said.
"""

import json
from datetime import UTC
from io import BytesIO
from typing import Any

from asn1crypto import parser
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import SignatureCoverageLevel, validate_pdf_signature
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko_certvalidator import ValidationContext

from eraser.certificates.canonical import MAX_DOCUMENT_BYTES
from eraser.certificates.checking import OpenedPdf
from eraser.certificates.errors import (
    AlteredError,
    KeyNotValidThenError,
    MalformedError,
    PdfDiffersError,
    UnknownKeyError,
)
from eraser.certificates.keys import PdfKeys, curve_key_id
from eraser.certificates.pdf.rendering import ATTACHMENT, LOT_ATTACHMENT, MAKING, Making, Renderer, renderer
from eraser.certificates.pdf.words import Language
from eraser.certificates.validity import ALWAYS, Validity
from eraser.errors import CertificateError

_OF_A_SIGNATURE = {"/AcroForm", "/Perms", "/Extensions", "/Version"}


def open_pdf(file: bytes, trusted: PdfKeys) -> OpenedPdf:
    """The document in the PDF: a certificate's, whose own signature is verified elsewhere, or a lot's summary, which has none.

    Raises MalformedError for what is no PDF of ours, AlteredError when its signature does not cover all of it, or is not by the
    key that it names, UnknownKeyError when that key is not trusted, KeyNotValidThenError when it did not sign then,
    PdfDiffersError when its page is not that of its document.
    """
    # Over a file that somebody broke on purpose pyHanko raises whatever its filters and types do: all of it means the same.
    try:
        reader = PdfFileReader(BytesIO(file), strict=True)
        signatures = reader.embedded_signatures
        is_lot = bool(_attachments(reader, LOT_ATTACHMENT))
        if is_lot and _attachments(reader, ATTACHMENT):
            raise MalformedError("it carries a certificate and the summary of a lot")
        document = _attached(reader, LOT_ATTACHMENT if is_lot else ATTACHMENT)
        making = json.loads(_attached(reader, MAKING))
    except CertificateError:
        raise
    except Exception as error:
        raise MalformedError("it is no PDF with a certificate in it that this program can read") from error
    if len(signatures) != 1:
        raise AlteredError(f"it bears {len(signatures)} signatures instead of the station's one: it was altered")
    signer = _signer(signatures[0], trusted)
    return OpenedPdf(document, signer, _is_redrawn(file, reader, document, making, is_lot), is_lot=is_lot)


def _attachments(reader: PdfFileReader, name: str) -> list[Any]:
    files = (item.get_object() for item in reader.root["/AF"])
    return [item for item in files if item["/UF"] == name]


def _attached(reader: PdfFileReader, name: str) -> bytes:
    """The one attachment of this name. Raises MalformedError when there is none or more than one."""
    found = [item["/EF"]["/F"].data for item in _attachments(reader, name)]
    if len(found) != 1 or not isinstance(found[0], bytes) or len(found[0]) > MAX_DOCUMENT_BYTES:
        raise MalformedError(f"it does not carry exactly one {name}")
    return found[0]


def _signer(signature: EmbeddedPdfSignature, trusted: PdfKeys) -> str:
    """The id of the trusted key that signed all of the file."""
    try:
        key = load_der_public_key(signature.signer_cert.public_key.dump())
        contents = signature.pkcs7_content
        padding = contents[parser.peek(contents) :]
        status = validate_pdf_signature(signature, ValidationContext(trust_roots=[signature.signer_cert]))
    except Exception as error:  # as above
        raise AlteredError("its signature cannot be checked: it was altered") from error
    covers_all = status.coverage is SignatureCoverageLevel.ENTIRE_FILE
    # The signature covers everything but itself, and what is kept free behind it: nothing may hide there.
    if not (status.intact and status.valid and covers_all) or padding.strip(b"\0"):
        raise AlteredError("the PDF is not as it was signed: something in it or behind it was altered")
    if not isinstance(key, ec.EllipticCurvePublicKey) or curve_key_id(key) not in trusted:
        raise UnknownKeyError(
            "its page is signed with a key that is not trusted here; who drew the page is not known",
            remedy="Get the plant's key for PDFs (`eraser certificate key --pdf`) by another way, and give it with --keys.",
        )
    _expect_valid_then(signature, trusted[curve_key_id(key)].validity, curve_key_id(key))
    return curve_key_id(key)


def _expect_valid_then(signature: EmbeddedPdfSignature, validity: Validity, signer: str) -> None:
    """By the time that the signature itself says, which it covers: what an old key can date back, only the log bounds."""
    said = signature.self_reported_timestamp
    moment = said.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if said is not None else ""
    if validity != ALWAYS and (not moment or not validity.covers(moment)):
        raise KeyNotValidThenError(
            f"its page says that it was signed at {moment or 'no time'}; its key {signer} signs {validity}",
            remedy="Believe the certificate in it, not the page, and ask the plant for a newer one.",
        )


def _is_redrawn(file: bytes, reader: PdfFileReader, document: bytes, making: Any, is_lot: bool) -> bool:
    """Whether the page could be made once more; it is then the same. Raises PdfDiffersError if not."""
    try:
        made = Making(str(making["renderer"]), Language(making["language"]), str(making["check_url"]))
    except (KeyError, ValueError, TypeError) as error:
        raise MalformedError(f"its {MAKING} does not say how the page was made") from error
    if made.renderer != renderer():
        return False
    render = Renderer()
    drawn = render.lot(document, made.language) if is_lot else render(document, made.language, made.check_url)
    if not file.startswith(drawn) or not _adds_only_a_signature(reader):
        raise PdfDiffersError(
            "its page is not the one that its certificate gives: believe the certificate, not the page"
        )
    return True


def _adds_only_a_signature(reader: PdfFileReader) -> bool:
    """Whether the file's second revision shows nothing new: a form and its one field, which is on the page and has no area."""
    if reader.total_revisions != 2:
        return False
    old_root, new_root = reader.get_historical_root(0), reader.root
    page = _first_page(new_root["/Pages"])
    old_page, new_page = _object(reader.get_historical_resolver(0), page), _object(reader, page)
    redefined = reader.xrefs.explicit_refs_in_revision(0) & reader.xrefs.explicit_refs_in_revision(1)
    about = {new_root.container_ref, page, *_references(reader.trailer, "/Info"), *_references(new_root, "/Metadata")}
    annotations, fields = new_page["/Annots"], new_root["/AcroForm"]["/Fields"]
    return (
        {_place(item) for item in redefined} <= {_place(item) for item in about}
        and _written(old_root, {"/Metadata"}) == _written(new_root, _OF_A_SIGNATURE | {"/Metadata"})
        and _written(old_page, set()) == _written(new_page, {"/Annots"})
        and set(new_root["/AcroForm"]) <= {"/Fields", "/SigFlags"}
        and len(annotations) == len(fields) == 1
        and list(annotations[0]["/Rect"]) == [0, 0, 0, 0]
    )


def _first_page(pages: Any) -> Any:
    """Its reference; a document of many pages has them in a tree (ISO 32000-1 §7.7.3)."""
    while True:
        first = pages["/Kids"].raw_get(0)
        pages = first.get_object()
        if "/Kids" not in pages:
            return first.reference


def _object(source: Any, reference: Any) -> Any:
    return source.get_object(reference)


def _references(dictionary: Any, name: str) -> list[Any]:
    return [dictionary.raw_get(name).reference] if name in dictionary else []


def _place(reference: Any) -> tuple[int, int]:
    return reference.idnum, reference.generation


def _written(dictionary: generic.DictionaryObject, without: set[str]) -> dict[str, bytes]:
    """Each value as it is written in the file: references as references."""
    written = {}
    for name in dictionary:
        if name not in without:
            out = BytesIO()
            dictionary.raw_get(name).write_to_stream(out, None)
            written[str(name)] = out.getvalue()
    return written
