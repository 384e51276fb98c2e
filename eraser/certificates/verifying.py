"""Whether a document may be believed. Trust comes from the keys given, never from what the document brings."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from eraser.certificates.envelope import (
    ALGORITHM,
    CERTIFICATE,
    CONTROL,
    DESTRUCTION,
    WITHDRAWAL,
    DocumentKind,
    Envelope,
    Signature,
    unseal,
)
from eraser.certificates.errors import (
    AlteredError,
    ContradictoryError,
    KeyNotValidThenError,
    MalformedError,
    UnfoundedClaimError,
    UnknownKeyError,
    UnsupportedError,
)
from eraser.certificates.keys import TrustedKeys
from eraser.domain.certificate import FORMAT, VERSION, Certificate, contradictions, read, unfounded
from eraser.domain.control import Control
from eraser.domain.control import read as read_control
from eraser.domain.destruction import Destruction
from eraser.domain.destruction import read as read_destruction
from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.domain.withdrawal import Withdrawal
from eraser.domain.withdrawal import read as read_withdrawal
from eraser.errors import UsageError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Verified:
    """A certificate that one or more trusted keys signed, and whose facts agree with its outcome."""

    certificate: Certificate
    key_ids: tuple[str, ...]


class Opened:
    """A document that is read once, however often it is asked for. Nothing of it is believed yet."""

    def __init__(self, envelope: Envelope) -> None:
        self.envelope = envelope

    @cached_property
    def certificate(self) -> Certificate:
        """Raises as `content` does."""
        return content(self.envelope)

    @cached_property
    def signed_bytes(self) -> bytes:
        """The bytes under every signature."""
        return self.envelope.signed_bytes

    @cached_property
    def entry(self) -> LogEntry:
        """Its entry in the log. Raises as `content` does, and MalformedError for another document that is broken."""
        digest, form = hashlib.sha256(self.signed_bytes).digest(), self.envelope.form
        kind = self.envelope.kind
        if kind is CERTIFICATE:
            return LogEntry(EntryKind.CERTIFICATE, self.certificate.certificate_id, digest)
        try:
            if kind is DESTRUCTION:
                return LogEntry(EntryKind.DESTRUCTION, read_destruction(form).destruction_id, digest)
            if kind is CONTROL:
                return LogEntry(EntryKind.CONTROL, read_control(form).control_id, digest)
            return LogEntry(EntryKind.WITHDRAWAL, read_withdrawal(form).certificate_id, digest)
        except UsageError as error:
            raise MalformedError(error.what) from None


def verify(document: bytes, trusted: TrustedKeys) -> Verified:
    """The certificate in the document, if it may be believed; raises as `verify_opened` does, MalformedError for its form."""
    return verify_opened(Opened(unseal(document)), trusted)


def verify_opened(opened: Opened, trusted: TrustedKeys) -> Verified:
    """The certificate in the document, if it may be believed.

    Raises CertificateError otherwise, the first that applies: UnsupportedError for its algorithm, AlteredError for a
    signature that a trusted key did not make, UnsupportedError for its version, MalformedError, ContradictoryError and
    UnfoundedClaimError for its content, UnknownKeyError when everything else is right and no signer is trusted,
    KeyNotValidThenError when a trusted one signed outside its time.
    """
    key_ids = _good_signatures(opened.envelope, opened.signed_bytes, trusted)
    certificate = opened.certificate
    if not key_ids:
        raise _unknown_key(opened.envelope)
    _expect_valid_then(key_ids, certificate.issued_at, trusted)
    return Verified(certificate, key_ids)


def verify_withdrawal(document: bytes, trusted: TrustedKeys) -> Withdrawal:
    """The withdrawal in the document, if it may be believed. Raises CertificateError as `verify` does."""
    return _record(document, WITHDRAWAL, trusted, read_withdrawal, lambda found: found.withdrawn_at)


def verify_destruction(document: bytes, trusted: TrustedKeys) -> Destruction:
    """The destruction record in the document, if it may be believed. Raises CertificateError as `verify` does."""
    return _record(document, DESTRUCTION, trusted, read_destruction, lambda found: found.destroyed_at)


def verify_control(document: bytes, trusted: TrustedKeys) -> Control:
    """The control record in the document, if it may be believed. Raises CertificateError as `verify` does."""
    return _record(document, CONTROL, trusted, read_control, lambda found: found.ended_at)


def kind_of(document: bytes) -> DocumentKind:
    """As what a document is to be read, by the member that leads; it may be a broken one."""
    head = document[:200].replace(b" ", b"").replace(b"\n", b"")
    kinds = (kind for kind in (WITHDRAWAL, DESTRUCTION, CONTROL) if head.startswith(b'{"%b":' % kind.member.encode()))
    return next(kinds, CERTIFICATE)


def entry_of(document: bytes) -> LogEntry:
    """The log's entry of a document, whose signature is verified elsewhere. Raises as the verifying does for what it holds."""
    return Opened(unseal(document, kind_of(document))).entry


def _record(
    document: bytes, kind: DocumentKind, trusted: TrustedKeys, read_form: Callable[[Any], T], moment: Callable[[T], str]
) -> T:
    envelope = unseal(document, kind)
    key_ids = _good_signatures(envelope, envelope.signed_bytes, trusted)
    try:
        record = read_form(envelope.form)
    except UsageError as error:
        raise MalformedError(error.what) from None
    if not key_ids:
        raise _unknown_key(envelope)
    _expect_valid_then(key_ids, moment(record), trusted)
    return record


def content(envelope: Envelope) -> Certificate:
    """The envelope's certificate, signatures aside.

    Raises UnsupportedError, MalformedError, ContradictoryError, UnfoundedClaimError.
    """
    if envelope.form.get("format") != FORMAT:
        raise UnsupportedError(f"its format is not {FORMAT!r}")
    if envelope.form.get("version") != VERSION or isinstance(envelope.form["version"], bool):
        raise UnsupportedError(f"its version is not {VERSION}", remedy="A newer Eraser may know it.")
    try:
        certificate = read(envelope.form)
    except UsageError as error:
        raise MalformedError(error.what) from None
    if against := contradictions(certificate):
        raise ContradictoryError(f"it says {certificate.outcome.value}, but {'; '.join(against)}")
    try:
        without_evidence = unfounded(certificate)
    except UsageError as error:
        raise UnsupportedError(error.what, remedy="A newer Eraser may know it.") from None
    if without_evidence:
        raise UnfoundedClaimError("; ".join(without_evidence))
    return certificate


def _unknown_key(envelope: Envelope) -> UnknownKeyError:
    names = ", ".join(item.key_id for item in envelope.signatures)
    return UnknownKeyError(
        f"it is signed with the key {names}, which is not trusted here; whether the signature is good is not known",
        remedy="Get the plant's public key by another way than this file, and give it with --keys.",
    )


def _expect_valid_then(key_ids: tuple[str, ...], moment: str, trusted: TrustedKeys) -> None:
    for key_id in key_ids:
        if not (validity := trusted[key_id].validity).covers(moment):
            raise KeyNotValidThenError(
                f"it says that it was issued at {moment}; its key {key_id} signs {validity}",
                remedy="Ask the plant what became of the key, and for a newer certificate.",
            )


def _good_signatures(envelope: Envelope, message: bytes, trusted: TrustedKeys) -> tuple[str, ...]:
    for item in envelope.signatures:
        if item.algorithm != ALGORITHM:
            raise UnsupportedError(f"it is signed with {item.algorithm[:40]!r}, known is only {ALGORITHM}")
    known = [item for item in envelope.signatures if item.key_id in trusted]
    for item in known:
        _check(item, message, trusted)
    return tuple(item.key_id for item in known)


def _check(item: Signature, message: bytes, trusted: TrustedKeys) -> None:
    if not trusted[item.key_id].is_signature(item.signature, message):
        raise AlteredError(
            f"the signature of key {item.key_id} does not belong to it: the certificate or the signature was altered"
        )
