"""The transparency log in the ledger: entries that follow each other without a gap, and the tree's kept hashes.

An entry is written in the transaction of what it tells of, so that neither is there alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, text

from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.domain.log_tree import ReadHashes, Tree, grown
from eraser.errors import JournalError, UsageError
from eraser.ledger.schema import log_checkpoints, log_entries, log_hashes

_APPENDING = 0x6C6F67  # "log": on PostgreSQL, one transaction at a time learns the size and adds to it
# Put together once: a proof asks up to six times, and building it takes longer than reading a tile.
_HASHES = (
    select(log_hashes.c.hash)
    .where(
        log_hashes.c.row == bindparam("of_row"),
        log_hashes.c.number >= bindparam("first"),
        log_hashes.c.number < bindparam("behind"),
    )
    .order_by(log_hashes.c.number)
)

# SQLite takes the small index only for the condition that stands in it, to the letter.
ARE_WITHDRAWALS = (text("log_entries.kind <> 'certificate'"), log_entries.c.kind == EntryKind.WITHDRAWAL.value)


@dataclass(frozen=True, slots=True)
class Logged:
    """Where an entry stands: `index` counts from 0."""

    index: int
    entry: LogEntry


def append(connection: Connection, entries: Sequence[LogEntry]) -> None:
    """Adds entries at the log's end, within a transaction that writes."""
    if connection.dialect.name == "postgresql":
        # SQLite has one writer.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _APPENDING})
    first = size(connection)
    rows = [
        {"number": first + place, "kind": entry.kind.value, "subject": entry.subject, "digest": entry.digest}
        for place, entry in enumerate(entries)
    ]
    hashes = [entry.leaf_hash() for entry in entries]
    kept = [
        {"row": item.row, "number": item.number, "hash": item.hash} for item in grown(first, hashes, reader(connection))
    ]
    connection.execute(insert(log_entries), rows)
    connection.execute(insert(log_hashes), kept)


def size(connection: Connection) -> int:
    """How many entries there are."""
    newest = connection.execute(select(func.max(log_entries.c.number))).scalar()
    return 0 if newest is None else int(newest) + 1


def reader(connection: Connection) -> ReadHashes:
    """The kept hashes, for `eraser.domain.log_tree`."""

    def read(row: int, first: int, count: int) -> Sequence[bytes]:
        found = connection.execute(_HASHES, {"of_row": row, "first": first, "behind": first + count})
        return found.scalars().all()

    return read


def tree(connection: Connection, entries: int | None = None) -> Tree:
    """The tree over the first so many entries, or all."""
    return Tree(size(connection) if entries is None else entries, reader(connection))


def entry_at(connection: Connection, index: int) -> LogEntry:
    """Raises UsageError where there is none."""
    row = connection.execute(select(log_entries).where(log_entries.c.number == index)).first()
    if row is None:
        raise UsageError(f"the log has no entry {index}")
    return _entry(row)


def entries_about(connection: Connection, subject: str) -> list[Logged]:
    """Everything that the log has about one certificate, in its order."""
    query = select(log_entries).where(log_entries.c.subject == subject).order_by(log_entries.c.number)
    return [Logged(row.number, _entry(row)) for row in connection.execute(query)]


def first_entries(connection: Connection, count: int) -> list[LogEntry]:
    """The first so many."""
    query = select(log_entries).where(log_entries.c.number < count).order_by(log_entries.c.number)
    return [_entry(row) for row in connection.execute(query)]


def withdrawn(connection: Connection, entries: int) -> list[str]:
    """The certificates that are withdrawn in the first so many entries."""
    withdrawals = select(log_entries.c.subject).where(*ARE_WITHDRAWALS, log_entries.c.number < entries)
    return [str(subject) for subject in connection.execute(withdrawals).scalars()]


def put_checkpoint(connection: Connection, entries: int, at: str, note: str) -> None:
    """Keeps a signed checkpoint of the first so many entries."""
    values = {"size": entries, "at": at, "note": note.encode()}
    connection.execute(insert(log_checkpoints).values(values))


def newest_checkpoint(connection: Connection) -> tuple[int, str, str] | None:
    """Size, time and note of the one that was kept last."""
    row = connection.execute(select(log_checkpoints).order_by(log_checkpoints.c.number.desc()).limit(1)).first()
    return None if row is None else (row.size, row.at, bytes(row.note).decode())


def newest_note_of(connection: Connection, origin: str) -> bytes | None:
    """The note of the newest checkpoint that this log signed, among those of other stations on the same ledger."""
    query = select(log_checkpoints.c.note).order_by(log_checkpoints.c.number.desc())
    notes = connection.execute(query.execution_options(yield_per=100)).scalars()
    return next((bytes(item) for item in notes if bytes(item).startswith(f"{origin}\n".encode())), None)


def note_of_size(connection: Connection, origin: str, size: int) -> bytes | None:
    """The note of a checkpoint that this log signed over so many entries."""
    query = (
        select(log_checkpoints.c.note).where(log_checkpoints.c.size == size).order_by(log_checkpoints.c.number.desc())
    )
    notes = connection.execute(query).scalars()
    return next((bytes(item) for item in notes if bytes(item).startswith(f"{origin}\n".encode())), None)


def disagreements(connection: Connection) -> Iterable[str]:
    """What in the log does not agree with itself: gaps, entries that are not what was hashed, kept hashes that are wrong."""
    rows: dict[int, list[bytes]] = {}
    query = select(log_hashes).order_by(log_hashes.c.row, log_hashes.c.number)
    for row, group in groupby(connection.execute(query), key=lambda item: item.row):
        kept = list(group)
        rows[row] = [bytes(item.hash) for item in kept]
        if [item.number for item in kept] != list(range(len(kept))):
            yield f"row {row} of the log's hashes has a gap"
    hashes: list[bytes] = []
    for place, item in enumerate(connection.execute(select(log_entries).order_by(log_entries.c.number))):
        if item.number != place:
            yield f"entry {place} of the log is missing"
            return
        hashes.append(_entry(item).leaf_hash())
    expected: dict[int, list[bytes]] = {}
    for kept_hash in grown(0, hashes, lambda row, first, count: expected.get(row, [])[first : first + count]):
        expected.setdefault(kept_hash.row, []).append(kept_hash.hash)
    for row in sorted(rows.keys() | expected.keys()):
        if rows.get(row) != expected.get(row):
            yield f"row {row} of the log's hashes is not that of its entries"


def _entry(row: Any) -> LogEntry:
    try:
        return LogEntry(EntryKind(row.kind), row.subject, bytes(row.digest))
    except ValueError as error:
        raise JournalError(f"entry {row.number} of the log can't be believed: {error}") from error
