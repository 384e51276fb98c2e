"""Certificates that lie on disk and that the ledger does not know, as after it was restored from an older backup."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Connection

from eraser.certificates.content import content
from eraser.certificates.envelope import unseal
from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.errors import CertificateError
from eraser.ledger import log


@dataclass(frozen=True, slots=True)
class Lacking:
    """A certificate that the log has no entry of. It may be genuine: whoever holds it holds what the station signed."""

    path: Path
    certificate_id: str
    serial: str
    job_id: str


def lacking(folder: Path, connection: Connection) -> list[Lacking]:
    """All of them in this folder, by name. Files that are no certificates are passed over. Blocks."""
    return list(_lacking(folder, connection))


def _lacking(folder: Path, connection: Connection) -> Iterator[Lacking]:
    for path in sorted(folder.glob("*.json")):
        try:
            envelope = unseal(path.read_bytes())
            certificate = content(envelope)
        except (CertificateError, OSError):
            continue
        digest = sha256(envelope.signed_bytes).digest()
        entry = LogEntry(EntryKind.CERTIFICATE, certificate.certificate_id, digest)
        if all(item.entry != entry for item in log.entries_about(connection, certificate.certificate_id)):
            yield Lacking(path, certificate.certificate_id, certificate.drive.identity.serial, certificate.job_id)
