"""Taking certificates in again that lie on disk and that the log lacks, as after a ledger was restored from an older backup.

Only what this station signed, and at a time at which its key was valid. The document, the log's new entry and, where the
certificate had been taken back, its withdrawal's go in one transaction: nobody sees it valid in between.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from eraser.certificates.envelope import WITHDRAWAL, unseal
from eraser.certificates.errors import DuplicateError
from eraser.certificates.issuing import document_names
from eraser.certificates.keys import station_keys
from eraser.certificates.verifying import entry_of, verify, verify_withdrawal
from eraser.domain.certificate import Certificate
from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.errors import UsageError
from eraser.ledger import readmissions, withdrawals
from eraser.ledger.engine import explained, writing
from eraser.ledger.signed_records import SignedRecord
from eraser.log.publishing import LogKeys, Outside, expect_continued


@dataclass(frozen=True, slots=True)
class Readmitting:
    """Into one station's ledger; the station may go on meanwhile."""

    engine: Engine
    origin: str
    log_keys: LogKeys
    outside: Outside
    certificates: Path
    keys: Path
    station_id: str

    def __call__(self, path: Path) -> tuple[Certificate, bool]:
        """The certificate, and whether it was taken back at once by its withdrawal. Durable when it returns. Blocks.

        Raises UsageError for a file that can't be read, CertificateError for one that must not be believed, Refused for what
        the log has, RewrittenLogError while the log is not whole.
        """
        try:
            document = path.read_bytes()
        except OSError as error:
            raise UsageError(f"the file cannot be read: {error.strerror}", subject=str(path)) from error
        certificate = verify(document, station_keys(self.keys)).certificate
        withdrawal = self._withdrawal(certificate, document)
        try:
            with writing(self.engine) as connection, connection.begin():
                expect_continued(self.origin, self.log_keys, self.outside, connection)
                readmissions.enter(self._record(certificate, document, path), certificate, connection)
                if withdrawal is not None:
                    self._take_back(withdrawal, connection)
        except SQLAlchemyError as error:
            raise explained(error, self.engine) from error
        return certificate, withdrawal is not None

    def _record(self, certificate: Certificate, document: bytes, path: Path) -> SignedRecord:
        names = document_names(certificate.drive.identity.serial, certificate.drive.path, certificate.job_id)
        file = path.name if path.name in names else names[1]
        at = certificate.times.finished_at
        return SignedRecord(entry_of(document), readmissions.ABOUT, self.station_id, at, file, document)

    def _withdrawal(self, certificate: Certificate, document: bytes) -> bytes | None:
        """The document that took it back, where there is one. It must be of this certificate."""
        path = self.certificates / f"{certificate.certificate_id}.withdrawal"
        if not path.exists():
            return None
        withdrawal = path.read_bytes()
        said = verify_withdrawal(withdrawal, station_keys(self.keys))
        if said.certificate_digest != hashlib.sha256(unseal(document).signed_bytes).digest():
            raise DuplicateError("a withdrawal of another certificate is in its place", subject=str(path))
        return withdrawal

    def _take_back(self, document: bytes, connection: Connection) -> None:
        said = verify_withdrawal(document, station_keys(self.keys))
        digest = hashlib.sha256(unseal(document, WITHDRAWAL).signed_bytes).digest()
        entry = LogEntry(EntryKind.WITHDRAWAL, said.certificate_id, digest)
        withdrawals.enter(entry, said.reason, said.withdrawn_at, self.station_id, said.operator, connection)
