"""The certificate out of a PDF of ours, with nothing but the standard library: for who has neither Typst nor pyHanko.

It reads no PDF: it looks for the embedded files as our renderer writes them. What it finds is to be verified like any file;
of the page nothing is known by that, of the PDF's signature by `pdf_signature`.
"""

import re
import zlib

from eraser.certificates.canonical import MAX_DOCUMENT_BYTES
from eraser.certificates.errors import MalformedError

# ISO 32000-1 §7.11.4: an embedded file's stream, whose dictionary our renderer writes in this order.
_EMBEDDED = re.compile(
    rb"obj\n<</Length ([0-9]{1,9})/Type/EmbeddedFile(/Filter/FlateDecode)?/Subtype/application#2Fjson"
    rb"/Params<<[^<>]{0,200}>>>>\nstream\n"
)
_LOT = b'{"format":"eraserlotsummary"'
_MEMBERS = (b'{"certificate":', b'{"bundle":', _LOT)
MAX_EMBEDDED = 16


def attached_document(file: bytes) -> bytes:
    """The one certificate, bundle or summary of a lot that is embedded in the PDF.

    Raises MalformedError where there is none, or another one.
    """
    found = [content for content in _embedded(file) if _squeezed(content).startswith(_MEMBERS)]
    if len(found) != 1:
        raise MalformedError(f"it is no PDF of ours with one certificate in it: {len(found)} were found")
    return found[0]


def is_summary(document: bytes) -> bool:
    """Whether it is that of a lot; it may be a broken one."""
    return _squeezed(document).startswith(_LOT)


def _embedded(file: bytes) -> list[bytes]:
    places = list(_EMBEDDED.finditer(file))
    if len(places) > MAX_EMBEDDED:
        raise MalformedError(f"more than {MAX_EMBEDDED} files are embedded in it")
    return [_content(file[place.end() : place.end() + int(place[1])], is_packed=bool(place[2])) for place in places]


def _content(stream: bytes, *, is_packed: bool) -> bytes:
    if not is_packed:
        return stream
    unpacking = zlib.decompressobj()
    try:
        content = unpacking.decompress(stream, MAX_DOCUMENT_BYTES + 1)
    except zlib.error as error:
        raise MalformedError("a file that is embedded in it cannot be unpacked") from error
    if not unpacking.eof or unpacking.unused_data:
        raise MalformedError(f"a file that is embedded in it is cut short, or longer than {MAX_DOCUMENT_BYTES} bytes")
    return content


def _squeezed(content: bytes) -> bytes:
    return content[:200].replace(b" ", b"").replace(b"\n", b"")
