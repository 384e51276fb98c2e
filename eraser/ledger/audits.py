"""Audits in the ledger: signed records of their own kind, one for each audit's id."""

from sqlalchemy import Connection, select

from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.errors import Refused
from eraser.ledger import log, signed_records
from eraser.ledger.schema import signed_records as records
from eraser.ledger.signed_records import SignedRecord

ALREADY = "entered"


def enter(entry: LogEntry, at: str, document: bytes, connection: Connection) -> None:
    """The record and its entry, within a transaction that writes. Raises Refused where the log has this audit already."""
    if any(item.entry.kind is EntryKind.AUDIT for item in log.entries_about(connection, entry.subject)):
        raise Refused(ALREADY, "the log has it already", subject=entry.subject)
    # No station's own: whoever entered it has the file.
    signed_records.put(SignedRecord(entry, "", "", at, f"{entry.subject}.audit", document), connection)


def entered(connection: Connection) -> list[tuple[str, str]]:
    """When it was entered and which, of all audits, the oldest first."""
    query = select(records.c.at, records.c.subject).where(records.c.kind == EntryKind.AUDIT.value)
    return [(row.at, row.subject) for row in connection.execute(query.order_by(records.c.number))]


def document(audit_id: str, connection: Connection) -> bytes | None:
    """The signed record, if it was entered."""
    query = select(records.c.document).where(records.c.kind == EntryKind.AUDIT.value, records.c.subject == audit_id)
    found = connection.execute(query).scalar()
    return None if found is None else bytes(found)
