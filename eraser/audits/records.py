"""The record of an audit as it is signed: `{"audit": {...}, "signatures": [...]}` under a prefix and a key of its own."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from eraser.audits.errors import RecordError
from eraser.certificates.envelope import ALGORITHM, DocumentKind, Envelope, Signer, seal, unseal
from eraser.certificates.errors import AlteredError, KeyNotValidThenError, UnknownKeyError, UnsupportedError
from eraser.certificates.keys import FileSigner, TrustedKeys, open_signer, station_keys
from eraser.domain.audit import Record, read
from eraser.domain.json_form import to_json
from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.errors import UsageError

AUDIT = DocumentKind("audit", b"eraser audit v1\n")
KEY_NAME = "audit.key"
"""In a folder of its own: every public key beside the certificates' is trusted to sign certificates."""


def audit_keys_folder(keys: Path) -> Path:
    """Below the station's keys."""
    return keys / "audit"


def open_audit_signer(keys: Path) -> FileSigner:
    """The key that signs audits, made on first use. Raises KeyFileError."""
    return open_signer(audit_keys_folder(keys), KEY_NAME)


def trusted_audit_keys(keys: Path) -> TrustedKeys:
    """The audit keys of this station. Raises KeyFileError."""
    return station_keys(audit_keys_folder(keys))


def sign(record: Record, signer: Signer) -> bytes:
    """The record's file. Raises KeyFileError, and UsageError for what could not be read again."""
    signer.expect_valid_at(record.done_at)
    form = to_json(record)
    read(form)
    return seal(form, signer, AUDIT)


@dataclass(frozen=True, slots=True)
class Verified:
    """A record that trusted keys signed, and whose verdict follows from it."""

    record: Record
    key_ids: tuple[str, ...]
    entry: LogEntry
    """What the log has of it."""


def verify(document: bytes, trusted: TrustedKeys) -> Verified:
    """Raises CertificateError for whatever is not to be believed: MalformedError, UnsupportedError, AlteredError, RecordError,
    UnknownKeyError, KeyNotValidThenError.
    """
    envelope = unseal(document, AUDIT)
    key_ids = _good_signatures(envelope, trusted)
    try:
        record = read(envelope.form)
    except UsageError as error:
        raise RecordError(error.what) from None
    if not key_ids:
        names = ", ".join(item.key_id for item in envelope.signatures)
        raise UnknownKeyError(
            f"it is signed with the key {names}, which is not trusted here",
            remedy="Get the auditor's public key by another way than this file, and give it with --keys.",
        )
    for key_id in key_ids:
        if not trusted[key_id].validity.covers(record.done_at):
            raise KeyNotValidThenError(f"it was done at {record.done_at}; its key {key_id} did not sign then")
    return Verified(record, key_ids, entry_of(document))


def readable(document: bytes) -> Record:
    """What a record says, whoever signed it: only for one that the ledger has. Raises MalformedError, RecordError."""
    try:
        return read(unseal(document, AUDIT).form)
    except UsageError as error:
        raise RecordError(error.what) from None


def entry_of(document: bytes) -> LogEntry:
    """What the log has of a record. Raises MalformedError."""
    envelope = unseal(document, AUDIT)
    digest = hashlib.sha256(envelope.signed_bytes).digest()
    return LogEntry(EntryKind.AUDIT, str(envelope.form.get("audit_id")), digest)


def _good_signatures(envelope: Envelope, trusted: TrustedKeys) -> tuple[str, ...]:
    good = []
    for item in envelope.signatures:
        if item.algorithm != ALGORITHM:
            raise UnsupportedError(f"it is signed with {item.algorithm[:40]!r}, known is only {ALGORITHM}")
        if (key := trusted.get(item.key_id)) is None:
            continue
        if not key.is_signature(item.signature, envelope.signed_bytes):
            raise AlteredError(
                f"the signature of key {item.key_id} does not belong to it: it or the record was altered"
            )
        good.append(item.key_id)
    return tuple(good)
