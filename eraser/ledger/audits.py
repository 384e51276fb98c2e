"""Audits in the ledger: signed records of their own kind, one for each audit's id."""

from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Entered:
    """An audit's signed record, and when it was entered."""

    at: str
    audit_id: str
    document: bytes


def entered(connection: Connection) -> list[Entered]:
    """All, the oldest first."""
    rows = connection.execute(select(records).where(records.c.kind == EntryKind.AUDIT.value).order_by(records.c.number))
    return [Entered(row.at, row.subject, bytes(row.document)) for row in rows]


def ids(connection: Connection) -> list[str]:
    """Of all, in no order."""
    return list(connection.execute(select(records.c.subject).where(records.c.kind == EntryKind.AUDIT.value)).scalars())


def document(audit_id: str, connection: Connection) -> bytes | None:
    """The signed record, if it was entered."""
    query = select(records.c.document).where(records.c.kind == EntryKind.AUDIT.value, records.c.subject == audit_id)
    found = connection.execute(query).scalar()
    return None if found is None else bytes(found)
