"""The file around a certificate: `{"certificate": {…}, "signatures": [{"key_id", "algorithm", "signature"}]}`, nothing
else.

What is signed: the ASCII bytes `eraser certificate v1`, a line feed, then RFC 8785 of `certificate`. The file itself
may be laid out and ordered otherwise; the signature holds for what it says, not for how it is written. A withdrawal, a
destruction, a control and an audit have the same envelope under names of their own.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any, Protocol

from eraser.certificates.canonical import canonical, canonical_of_parsed, parse
from eraser.certificates.errors import MalformedError

PREFIX = b"eraser certificate v1\n"
"""Keeps a signature under a certificate from being taken for one under anything else that the same key may sign."""


@dataclass(frozen=True, slots=True)
class DocumentKind:
    """What the envelope holds: the name of its member, and what goes before the bytes that are signed."""

    member: str
    prefix: bytes


CERTIFICATE = DocumentKind("certificate", PREFIX)
WITHDRAWAL = DocumentKind("withdrawal", b"eraser withdrawal v1\n")
DESTRUCTION = DocumentKind("destruction", b"eraser destruction v1\n")
CONTROL = DocumentKind("control", b"eraser control v1\n")
AUDIT = DocumentKind("audit", b"eraser audit v1\n")
"""Signed with keys of its own: whoever may audit a plant may not certify for it."""

ALGORITHM = "Ed25519"
SIGNATURE_BYTES = 64
MAX_SIGNATURES = 8
_PLAIN = json.JSONEncoder(ensure_ascii=False)
_KEY_ID = re.compile(r"[0-9a-f]{16}")


class Signer(Protocol):
    """Whoever holds a private key: a file today, a hardware token later.

    `sign` answers the 64-byte Ed25519 signature (RFC 8032) of exactly `message`, or raises CertificateError; it must
    never answer a signature by another key than `key_id` names. `key_id` is the first 16 hex digits of SHA-256 of the
    raw public key. `expect_valid_at` raises KeyFileError for a moment (RFC 3339, UTC) in which the key does not sign.
    """

    @property
    def key_id(self) -> str: ...

    def sign(self, message: bytes) -> bytes: ...

    def expect_valid_at(self, moment: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature as the file claims it; nothing about it is checked yet but its form."""

    key_id: str
    algorithm: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A file's content in its strict form; `form` is the certificate's JSON as `parse` gave it, not yet believed."""

    form: dict[str, Any]
    signatures: tuple[Signature, ...]
    kind: DocumentKind = CERTIFICATE

    @property
    def signed_bytes(self) -> bytes:
        """The bytes under every signature."""
        return self.kind.prefix + canonical_of_parsed(self.form)


def signed_bytes(form: dict[str, Any], kind: DocumentKind = CERTIFICATE) -> bytes:
    """What is signed for this JSON form of a certificate, or of another document."""
    return kind.prefix + canonical(form)


def seal(form: dict[str, Any], signer: Signer, kind: DocumentKind = CERTIFICATE) -> bytes:
    """The document for this JSON form: signed, a line for each member, ending in one line feed."""
    signature = base64.b64encode(signer.sign(signed_bytes(form, kind))).decode("ascii")
    entry = {"key_id": signer.key_id, "algorithm": ALGORITHM, "signature": signature}
    return f'{{"{kind.member}": {laid_out(form)},\n"signatures": [{laid_out(entry)}]}}\n'.encode()


def laid_out(form: dict[str, Any]) -> str:
    """JSON that a person finds their way in, a member a line: Python's `indent` takes eight times as long."""
    return "{\n" + ",\n".join(f" {_PLAIN.encode(name)}: {_PLAIN.encode(value)}" for name, value in form.items()) + "}"


def unseal(document: bytes, kind: DocumentKind = CERTIFICATE) -> Envelope:
    """The content of a document. Raises MalformedError for whatever else it is."""
    return unsealed(parse(document), kind)


def unsealed(value: Any, kind: DocumentKind = CERTIFICATE) -> Envelope:
    """The content of a document that `parse` gave, or a part of one. Raises MalformedError for whatever else it is."""
    members = _members(value, {kind.member, "signatures"}, "the document")
    form, entries = members[kind.member], members["signatures"]
    if not isinstance(form, dict):
        raise MalformedError(f"{kind.member!r} is no object")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_SIGNATURES:
        raise MalformedError(f"'signatures' is no array of 1 to {MAX_SIGNATURES} signatures")
    signatures = tuple(_signature(entry) for entry in entries)
    if len({item.key_id for item in signatures}) != len(signatures):
        raise MalformedError("one key has signed it twice")
    return Envelope(form, signatures, kind)


def _members(value: Any, names: set[str], where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedError(f"{where} is no object")
    if unknown := sorted(set(value) - names):
        raise MalformedError(f"{where} holds the unknown member {unknown[0]!r}")
    if missing := sorted(names - set(value)):
        raise MalformedError(f"{where} lacks the member {missing[0]!r}")
    return value


def _signature(entry: Any) -> Signature:
    members = _members(entry, {"key_id", "algorithm", "signature"}, "a signature")
    key_id, algorithm, signature = members["key_id"], members["algorithm"], members["signature"]
    if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
        raise MalformedError("a key id is not 16 lower-case hex digits")
    if not isinstance(algorithm, str):
        raise MalformedError("a signature's algorithm is no text")
    return Signature(key_id, algorithm, _base64(signature))


def _base64(text: Any) -> bytes:
    try:
        content = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        content = b""
    # Encoded again, since unused bits and missing padding would give one signature several spellings.
    if len(content) != SIGNATURE_BYTES or base64.b64encode(content).decode("ascii") != text:
        raise MalformedError(f"a signature is not the one Base64 form of {SIGNATURE_BYTES} bytes")
    return content
