"""Backups of the ledger: one SQLite file from either database, which either database can be restored from.

All rows of one snapshot, so that a station may go on writing meanwhile, and a manifest with a hash over each table. Rows are
copied, not pages: what was removed from the ledger lies in no backup that is made later.
"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, insert, select, text
from sqlalchemy.exc import SQLAlchemyError

from eraser.errors import JournalError, Refused, UsageError
from eraser.ledger import log
from eraser.ledger.check import Finding, Report, check
from eraser.ledger.engine import explained, open_engine, read_only_url, sqlite_url, writing
from eraser.ledger.migrating import migrate, require_current
from eraser.ledger.schema import HEAD, NOT_IN_BACKUPS, metadata, stations

FORMAT = "eraser ledger backup v1"
_MANIFEST = "backup_manifest"
_ROWS_AT_ONCE = 2000
_PRIVATE = 0o600  # seeds stand in the events


class BackupError(JournalError):
    """The file is no backup, or a damaged one. Nothing of it is to be used."""

    code = "backup"


@dataclass(frozen=True, slots=True)
class TableContent:
    """What a table holds: its columns, those that order its rows, and SHA-256 over the rows in that order."""

    columns: tuple[str, ...]
    key: tuple[str, ...]
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself. Of the log: how many entries, the root (RFC 9162, hex), the newest checkpoint's note."""

    made_at: str
    revision: str
    stations: tuple[str, ...]
    log_size: int
    log_root: str
    checkpoint: str
    tables: dict[str, TableContent]
    sequences: dict[str, int]
    """Of tables whose rows are numbered: the highest number that was ever given."""

    def dump(self) -> bytes:
        """As it stands in the file."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True).encode()


def back_up(url: str, target: Path, made_at: str) -> tuple[Manifest, Report]:
    """Writes the ledger at this URL into a new file and verifies it there: every row read again, the whole of it replayed.

    The file appears in one step, whole, durable and readable for its owner only; after a crash at any step there is none of
    this name, and the next run takes away what was left. Blocks. Raises UsageError where there is a file, JournalError.
    """
    partial = target.with_name(f".{target.name}.partial")
    with _folder_of(target):
        if target.exists():
            raise UsageError("there is a file of this name", subject=str(target), remedy="Nothing is overwritten.")
        remove(partial)
        try:
            manifest = _written(url, partial, made_at)
            report = check_backup(partial)
            if not report.is_clean:
                raise _contradicting(report, target)
            sync(partial)
            os.link(partial, target)
        except OSError as error:
            raise BackupError(f"the backup can't be written: {error.strerror}", subject=str(target)) from error
        finally:
            remove(partial)
        sync(target.parent)
    return manifest, report


def read_manifest(path: Path) -> Manifest:
    """Raises UsageError for a file that is not there, BackupError for one that is no backup."""
    if not path.exists():
        raise UsageError("there is no such file", subject=str(path))
    try:
        with closing(_raw(path)) as connection:
            row = connection.execute(f"SELECT body, digest FROM {_MANIFEST}").fetchone()
    except sqlite3.Error as error:
        raise BackupError(f"it is no backup of a ledger, or a damaged one ({error})", subject=str(path)) from error
    try:
        if row is None or sha256(row[0]).digest() != row[1]:
            raise ValueError("its manifest is damaged")
        return _manifest(json.loads(row[0]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BackupError(f"it is a damaged backup: {error}", subject=str(path)) from error


def check_backup(path: Path) -> Report:
    """Whether the file holds what its manifest says, and agrees with itself, as `eraser.ledger.check` sees it.

    Nothing is changed. Raises UsageError, BackupError for what can't be read at all, JournalError for one that is newer than
    this program.
    """
    manifest = read_manifest(path)
    damaged = list(_damages(path, manifest))
    if damaged:
        report = Report()
        report.add(damaged)
        return report
    with readable(path, manifest) as current:
        report = check(read_only_url(current))
        report.add(_other_log(read_only_url(current), manifest))
    return report


@contextmanager
def readable(path: Path, manifest: Manifest) -> Iterator[Path]:
    """The backup at this program's revision: itself, or for as long as the block lasts a copy that was brought up to date."""
    if manifest.revision == HEAD:
        yield path
        return
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="eraser-backup-") as folder:
        copy = Path(folder) / "ledger.db"
        copy_current(path, copy)
        yield copy


def copy_current(path: Path, copy: Path) -> None:
    """A ledger with the backup's content, at this program's revision. Raises JournalError for a newer one, OSError."""
    with copy.open("xb") as made:
        os.fchmod(made.fileno(), _PRIVATE)
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                made.write(chunk)
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute(f"DROP TABLE {_MANIFEST}")
        connection.commit()
    engine = open_engine(sqlite_url(copy))
    try:
        migrate(engine)
    finally:
        engine.dispose()
    make_one_file(copy)


# ---- writing


def _written(url: str, path: Path, made_at: str) -> Manifest:
    source, target = open_engine(url), open_engine(sqlite_url(path))
    try:
        require_current(source)
        migrate(target)
        try:
            # Both databases: everything that is read here is of one moment.
            with source.connect() as reading, reading.begin(), writing(target) as connection, connection.begin():
                manifest = _copied(reading, connection, made_at)
                _put_manifest(connection, manifest)
        except SQLAlchemyError as error:
            raise explained(error, source) from error
    finally:
        source.dispose()
        target.dispose()
    make_one_file(path)
    return manifest


def _copied(source: Connection, target: Connection, made_at: str) -> Manifest:
    tables = {table.name: copy_table(source, target, table) for table in kept_tables()}
    tree = log.tree(source)
    checkpoint = log.newest_checkpoint(source)
    return Manifest(
        made_at,
        HEAD,
        tuple(source.execute(select(stations.c.station_id).order_by(_plain(stations.c.station_id, source))).scalars()),
        tree.size,
        tree.root().hex(),
        checkpoint[2] if checkpoint is not None else "",
        tables,
        sequences(source),
    )


def kept_tables() -> list[Table]:
    """All that go into a backup, those first that others refer to."""
    return [table for table in metadata.sorted_tables if table.name not in NOT_IN_BACKUPS]


def copy_table(source: Connection, target: Connection, table: Table) -> TableContent:
    """All rows, in the order of their keys, and what they were."""
    digest, count = sha256(), 0
    for rows in _pages(source, table):
        for row in rows:
            digest.update(_hashable(row))
        count += len(rows)
        names = [column.name for column in table.columns]
        target.execute(insert(table), [dict(zip(names, row, strict=True)) for row in rows])
    return TableContent(_columns(table), _key(table), count, digest.hexdigest())


def content_of(connection: Connection, table: Table) -> TableContent:
    """What a table holds now."""
    digest, count = sha256(), 0
    for rows in _pages(connection, table):
        for row in rows:
            digest.update(_hashable(row))
        count += len(rows)
    return TableContent(_columns(table), _key(table), count, digest.hexdigest())


def _pages(connection: Connection, table: Table) -> Iterator[Sequence[Sequence[Any]]]:
    order = [_plain(column, connection) for column in table.primary_key.columns]
    query = select(table).order_by(*order).execution_options(yield_per=_ROWS_AT_ONCE)
    yield from connection.execute(query).partitions()


def _plain(column: Any, connection: Connection) -> Any:
    """Ordered by bytes, as SQLite does: a server's own collation is nobody else's."""
    is_text = column.type.python_type is str
    return column.collate("C") if is_text and connection.dialect.name == "postgresql" else column


def _columns(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns)


def _key(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.primary_key.columns)


def _hashable(row: Iterable[Any]) -> bytes:
    """One spelling for what either database gives back for a row."""
    return json.dumps([_plain_value(value) for value in row], ensure_ascii=True).encode() + b"\n"


def _plain_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return int(value) if isinstance(value, bool) else value


def sequences(connection: Connection) -> dict[str, int]:
    """The highest number that was ever given in each table whose rows are numbered."""
    numbered = [table for table in kept_tables() if table.dialect_options["sqlite"]["autoincrement"]]
    return {table.name: _highest(connection, table.name) for table in numbered}


def _highest(connection: Connection, table: str) -> int:
    if connection.dialect.name == "sqlite":
        found = connection.execute(text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table}).scalar()
        return int(found or 0)
    name = connection.execute(text("SELECT pg_get_serial_sequence(:name, 'number')"), {"name": table}).scalar_one()
    row = connection.execute(text(f"SELECT last_value, is_called FROM {name}")).one()
    return int(row.last_value) if row.is_called else 0


def _put_manifest(connection: Connection, manifest: Manifest) -> None:
    for table, highest in manifest.sequences.items():
        set_sequence(connection, table, highest)
    body = manifest.dump()
    connection.execute(text(f"CREATE TABLE {_MANIFEST} (body BLOB NOT NULL, digest BLOB NOT NULL)"))
    values = {"body": body, "digest": sha256(body).digest()}
    connection.execute(text(f"INSERT INTO {_MANIFEST} VALUES (:body, :digest)"), values)


def set_sequence(connection: Connection, table: str, highest: int) -> None:
    """No number up to this one is given again."""
    if highest == 0:
        return
    values = {"name": table, "highest": highest}
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT setval(pg_get_serial_sequence(:name, 'number'), :highest)"), values)
        return
    connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), values)
    connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :highest)"), values)


def make_one_file(path: Path) -> None:
    """Without its write-ahead log beside it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")


# ---- reading


def _raw(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(read_only_url(path).removeprefix("sqlite:///"), uri=True)


def _manifest(form: Any) -> Manifest:
    if form.pop("format") != FORMAT:
        raise ValueError(f"it is no {FORMAT!r}")
    tables = {
        name: TableContent(tuple(item["columns"]), tuple(item["key"]), item["rows"], item["sha256"])
        for name, item in form["tables"].items()
    }
    return replace(Manifest(**form), tables=tables, stations=tuple(form["stations"]))


def _damages(path: Path, manifest: Manifest) -> Iterator[Finding]:
    with closing(_raw(path)) as connection:
        for name, said in manifest.tables.items():
            try:
                found = _read_content(connection, name, said)
            except sqlite3.Error as error:
                yield Finding(f"table {name}", f"it can't be read: {error}")
                continue
            if found != said:
                yield Finding(f"table {name}", f"it does not hold the {said.rows:,} rows that the backup was made of")


def _read_content(connection: sqlite3.Connection, name: str, said: TableContent) -> TableContent:
    columns, key = (", ".join(quoted(item) for item in items) for items in (said.columns, said.key))
    digest, count = sha256(), 0
    for row in connection.execute(f"SELECT {columns} FROM {quoted(name)} ORDER BY {key}"):
        digest.update(_hashable(row))
        count += 1
    return replace(said, rows=count, sha256=digest.hexdigest())


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _other_log(url: str, manifest: Manifest) -> Iterator[Finding]:
    engine = open_engine(url)
    try:
        with engine.connect() as connection, connection.begin():
            tree = log.tree(connection)
            if (tree.size, tree.root().hex()) != (manifest.log_size, manifest.log_root):
                yield Finding("the log", "its root is not the one that the backup was made of")
    finally:
        engine.dispose()


def _contradicting(report: Report, target: Path) -> BackupError:
    first = report.findings[0]
    return BackupError(
        f"the ledger contradicts itself, so there is no backup of it: {first.subject}: {first.what}",
        subject=str(target),
        remedy="`eraser ledger check` names everything that is wrong.",
    )


# ---- files


@contextmanager
def _folder_of(target: Path) -> Iterator[None]:
    """One backup at a time in a folder, so that whatever lies there half done is nobody's."""
    try:
        descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"the folder can't be opened: {error.strerror}", subject=str(target.parent)) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Refused("busy", "another backup is written there now", subject=str(target.parent)) from None
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm", f"{path.name}-journal"):
        with suppress(FileNotFoundError):
            path.with_name(name).unlink()


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
