"""Whether a document may be believed. Trust comes from the keys given, never from what the document brings."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from eraser.certificates.canonical import parse
from eraser.certificates.content import content
from eraser.certificates.envelope import (
    ALGORITHM,
    AUDIT,
    CERTIFICATE,
    CONTROL,
    DESTRUCTION,
    WITHDRAWAL,
    Envelope,
    Signature,
    unseal,
    unsealed,
)
from eraser.certificates.errors import (
    AlteredError,
    KeyNotValidThenError,
    MalformedError,
    RecordError,
    UnknownKeyError,
    UnsupportedError,
)
from eraser.certificates.keys import TrustedKeys
from eraser.domain.certificate import Certificate
from eraser.domain.control import Control
from eraser.domain.control import read as read_control
from eraser.domain.destruction import Destruction
from eraser.domain.destruction import read as read_destruction
from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.domain.withdrawal import Withdrawal
from eraser.domain.withdrawal import read as read_withdrawal
from eraser.errors import CertificateError, UsageError
from eraser.log import note, removal, restart
from eraser.log.errors import NoteError
from eraser.log.note import Note, NoteKey
from eraser.log.removal import RemovalRecord
from eraser.log.restart import Restart


@dataclass(frozen=True, slots=True)
class Verified:
    """A certificate that one or more trusted keys signed, and whose facts agree with its outcome."""

    certificate: Certificate
    key_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Reading:
    """How a sealed record that is no certificate is read; `subject` names it in the log, `moment` says when it was made."""

    entry: EntryKind
    read: Callable[[Any], Any]
    subject: str
    moment: str
    error: type[CertificateError] = MalformedError


def _read_audit(form: Any) -> Any:
    from eraser.domain.audit import read  # its tables are for nobody else

    return read(form)


_READINGS = {
    WITHDRAWAL: _Reading(EntryKind.WITHDRAWAL, read_withdrawal, "certificate_id", "withdrawn_at"),
    DESTRUCTION: _Reading(EntryKind.DESTRUCTION, read_destruction, "destruction_id", "destroyed_at"),
    CONTROL: _Reading(EntryKind.CONTROL, read_control, "control_id", "ended_at"),
    AUDIT: _Reading(EntryKind.AUDIT, _read_audit, "audit_id", "done_at", RecordError),
}


class Opened:
    """A sealed document that is read once, however often it is asked for. Nothing of it is believed yet."""

    def __init__(self, envelope: Envelope) -> None:
        self.envelope = envelope
        self.kind = envelope.kind

    @cached_property
    def certificate(self) -> Certificate:
        """Raises as `content` does."""
        return content(self.envelope)

    @cached_property
    def record(self) -> Any:
        """What it is if it is no certificate. Raises MalformedError, of an audit RecordError."""
        reading = _READINGS[self.kind]
        try:
            return reading.read(self.envelope.form)
        except UsageError as error:
            raise reading.error(error.what) from None

    @cached_property
    def signed_bytes(self) -> bytes:
        """The bytes under every signature."""
        return self.envelope.signed_bytes

    @cached_property
    def entry(self) -> LogEntry:
        """Its entry in the log. Raises as `content` does, and as `record`."""
        digest = hashlib.sha256(self.signed_bytes).digest()
        if self.kind is CERTIFICATE:
            return LogEntry(EntryKind.CERTIFICATE, self.certificate.certificate_id, digest)
        reading = _READINGS[self.kind]
        return LogEntry(reading.entry, getattr(self.record, reading.subject), digest)


@dataclass(frozen=True, slots=True)
class OpenedNote:
    """A record that the log itself signed, as it was read. Nothing of it is believed yet."""

    record: Restart | RemovalRecord
    note: Note

    @property
    def entry(self) -> LogEntry:
        """Its entry in the log."""
        return self.record.entry()


_NOTES: dict[bytes, Callable[[bytes], tuple[Restart | RemovalRecord, Note]]] = {
    f"{restart.FORMAT}\n".encode(): restart.parse_restart,
    f"{removal.FORMAT}\n".encode(): removal.parse_removal,
}


def is_note(document: bytes) -> bool:
    """Whether a file is to be read as a record that the log itself signed; it may be a broken one."""
    return document.startswith(tuple(_NOTES))


def opened(document: bytes) -> Opened | OpenedNote:
    """The document of whatever kind. Raises MalformedError, or NoteError."""
    return opened_note(document) if is_note(document) else opened_form(parse(document))


def opened_form(form: Any) -> Opened:
    """Of what `parse` gave: its kind is told by the member that leads. Raises MalformedError."""
    first = next(iter(form), "") if isinstance(form, dict) else ""
    return Opened(unsealed(form, next((kind for kind in _READINGS if kind.member == first), CERTIFICATE)))


def opened_note(document: bytes) -> OpenedNote:
    """Raises NoteError."""
    for head, read_note in _NOTES.items():
        if document.startswith(head):
            return OpenedNote(*read_note(document))
    raise NoteError("it is no record that a log signs")


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


def verify_record(found: Opened, trusted: TrustedKeys) -> tuple[Any, tuple[str, ...]]:
    """The record in a sealed document that is no certificate, and which trusted keys signed it. Raises as `verify_opened`."""
    key_ids = _good_signatures(found.envelope, found.signed_bytes, trusted)
    record = found.record
    if not key_ids:
        raise _unknown_key(found.envelope)
    _expect_valid_then(key_ids, getattr(record, _READINGS[found.kind].moment), trusted)
    return record, key_ids


def verify_note(found: OpenedNote, log_keys: Sequence[NoteKey]) -> tuple[Restart | RemovalRecord, tuple[str, ...]]:
    """The record that one of these logs signed of itself, and by which keys.

    Raises UnknownLogError, ForgedNoteError, NoteError.
    """
    signers = [item.key for item in note.confirm(found.note, log_keys) if item.key.name == found.record.origin]
    if not signers:
        raise NoteError(f"it tells of the log {found.record.origin}, which did not sign it")
    return found.record, tuple(key.key_id.hex() for key in signers)


def verify_withdrawal(document: bytes, trusted: TrustedKeys) -> Withdrawal:
    """The withdrawal in the document, if it may be believed. Raises CertificateError as `verify` does."""
    found: Withdrawal = verify_record(Opened(unseal(document, WITHDRAWAL)), trusted)[0]
    return found


def verify_destruction(document: bytes, trusted: TrustedKeys) -> Destruction:
    """The destruction record in the document, if it may be believed. Raises CertificateError as `verify` does."""
    found: Destruction = verify_record(Opened(unseal(document, DESTRUCTION)), trusted)[0]
    return found


def verify_control(document: bytes, trusted: TrustedKeys) -> Control:
    """The control record in the document, if it may be believed. Raises CertificateError as `verify` does."""
    found: Control = verify_record(Opened(unseal(document, CONTROL)), trusted)[0]
    return found


def entry_of(document: bytes) -> LogEntry:
    """The log's entry of a document, whose signature is verified elsewhere. Raises as the verifying does for what it holds."""
    return opened(document).entry


def _unknown_key(envelope: Envelope) -> UnknownKeyError:
    names = ", ".join(item.key_id for item in envelope.signatures)
    signer = "auditor" if envelope.kind is AUDIT else "plant"
    return UnknownKeyError(
        f"it is signed with the key {names}, which is not trusted here; whether the signature is good is not known",
        remedy=f"Get the {signer}'s public key by another way than this file, and give it.",
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
