"""The record of an audit as it is signed: `{"audit": {...}, "signatures": [...]}` under a prefix and a key of its own."""

from dataclasses import dataclass
from pathlib import Path

from eraser.certificates.envelope import AUDIT, Signer, seal, unseal
from eraser.certificates.errors import RecordError
from eraser.certificates.keys import AUDIT_FOLDER, FileSigner, TrustedKeys, open_signer, station_keys
from eraser.certificates.verifying import Opened, verify_record
from eraser.domain.audit import Record, read
from eraser.domain.json_form import to_json
from eraser.domain.log_entry import LogEntry
from eraser.errors import UsageError

KEY_NAME = "audit.key"
"""In a folder of its own: every public key beside the certificates' is trusted to sign certificates."""


def audit_keys_folder(keys: Path) -> Path:
    """Below the station's keys."""
    return keys / AUDIT_FOLDER


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
    opened = Opened(unseal(document, AUDIT))
    record, key_ids = verify_record(opened, trusted)
    return Verified(record, key_ids, opened.entry)


def readable(document: bytes) -> Record:
    """What a record says, whoever signed it: only for one that the ledger has. Raises MalformedError, RecordError."""
    try:
        return read(unseal(document, AUDIT).form)
    except UsageError as error:
        raise RecordError(error.what) from None
