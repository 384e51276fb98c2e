"""Records that are signed by themselves: the whole document and the log's entry in one transaction.

The file among the certificates is a copy of the row. It is written afterwards, and written again where it is missing: so
after a crash at any step there is neither a document without its entry nor an entry without its document.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.ledger import log
from eraser.ledger.schema import log_entries, removals, signed_records


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """A signed document that is to go on record. `about` tells records of one kind apart where the newest of each counts; `at`
    is RFC 3339 in UTC; `file` is the name of its copy.
    """

    entry: LogEntry
    about: str
    station_id: str
    at: str
    file: str
    document: bytes


def put(record: SignedRecord, connection: Connection) -> None:
    """The document and its entry, within a transaction that writes."""
    log.append(connection, [record.entry])
    row = {
        "kind": record.entry.kind.value,
        "subject": record.entry.subject,
        "about": record.about,
        "station_id": record.station_id,
        "at": record.at,
        "file": record.file,
        "document": record.document,
    }
    connection.execute(insert(signed_records).values(row))


def files(station_id: str, connection: Connection) -> list[str]:
    """The names of all files that a station's folder has to hold."""
    query = select(signed_records.c.file).where(signed_records.c.station_id == station_id)
    return list(connection.execute(query.order_by(signed_records.c.number)).scalars())


def document(file: str, connection: Connection) -> bytes:
    """What the file of this name holds."""
    return bytes(
        connection.execute(select(signed_records.c.document).where(signed_records.c.file == file)).scalar_one()
    )


def named(subject: str, connection: Connection) -> bytes | None:
    """The document of the record that the log knows by this id: also what it signed itself of a removal."""
    kept = select(signed_records.c.document).where(signed_records.c.subject == subject)
    removed = select(removals.c.note).where(removals.c.name == subject)
    found = connection.execute(kept).scalar() or connection.execute(removed).scalar()
    return None if found is None else bytes(found)


def newest(station_id: str, kind: EntryKind, about: str, connection: Connection) -> bytes | None:
    """The document that went on record last."""
    query = select(signed_records.c.document).where(
        signed_records.c.station_id == station_id,
        signed_records.c.kind == kind.value,
        signed_records.c.about == about,
    )
    found = connection.execute(query.order_by(signed_records.c.number.desc()).limit(1)).scalar()
    return None if found is None else bytes(found)


KINDS = (EntryKind.DESTRUCTION, EntryKind.CONTROL, EntryKind.AUDIT)


def disagreements(removed: Collection[int], connection: Connection) -> Iterable[str]:
    """Where the log and the records do not tell of the same; `removed`: entries whose records have expired."""
    kinds = [kind.value for kind in KINDS]
    logged = select(log_entries.c.kind, log_entries.c.subject, log_entries.c.number).where(
        log_entries.c.kind.in_(kinds)
    )
    kept = select(signed_records.c.kind, signed_records.c.subject)
    in_log = [(row.kind, row.subject) for row in connection.execute(logged) if row.number not in removed]
    on_record = [tuple(row) for row in connection.execute(kept)]
    again = EntryKind.CERTIFICATE.value  # readmitted; the other certificates are on record by their jobs
    readmitted = {item for item in on_record if item[0] == again}
    in_log += [item for item in readmitted if _is_logged(item, connection)]
    for kind, subject in sorted(set(on_record) - set(in_log)):
        yield f"it does not have the {kind} {subject}"
    for kind, subject in sorted(set(in_log) - set(on_record)):
        yield f"it has the {kind} {subject}, the ledger has not"
    if len(in_log) != len(set(in_log)):
        yield "it has a destruction, a control or an audit twice"


def _is_logged(item: tuple[str, str], connection: Connection) -> bool:
    kind, subject = item
    query = select(log_entries.c.number).where(log_entries.c.kind == kind, log_entries.c.subject == subject)
    return connection.execute(query).first() is not None
