"""Restoring the ledger from a backup: whole or not at all, and never over a ledger that holds anything."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from eraser.errors import Refused
from eraser.ledger.backup import (
    BackupError,
    Manifest,
    check_backup,
    content_of,
    copy_current,
    copy_table,
    kept_tables,
    make_one_file,
    quoted,
    read_manifest,
    readable,
    remove,
    set_sequence,
    sync,
)
from eraser.ledger.engine import explained, open_engine, place, read_only_url, sqlite_url, writing
from eraser.ledger.errors import LedgerError
from eraser.ledger.migrating import migrate
from eraser.ledger.presence import announce
from eraser.ledger.schema import HEAD, log_checkpoints, stations

_OF_A_MERE_START = {
    "sqlite": ("alembic_version", stations.name, log_checkpoints.name, "sqlite_sequence"),
    # Here the checkpoint of an empty log can't be taken away again.
    "postgresql": ("alembic_version", stations.name),
}
"""Tables that hold something once a station was started that has done nothing yet."""


def restore(path: Path, url: str, station_id: str) -> Manifest:
    """Makes the ledger at this URL, where there is none or an empty one, from a backup that is verified first.

    The ledger is there whole or not at all, whatever happens meanwhile; its rows were read again and are those of the backup.
    Blocks. Raises UsageError, BackupError for a damaged file, JournalError for a newer one, Refused for a ledger that is in
    use or holds anything, and for a backup of another station.
    """
    manifest = read_manifest(path)
    if manifest.stations and station_id not in manifest.stations:
        raise Refused(
            "another-station",
            f"it is a backup of {', '.join(manifest.stations)}, this is {station_id}",
            subject=str(path),
            remedy="Restore it there, or give this station its name in the configuration.",
        )
    report = check_backup(path)
    if not report.is_clean:
        first = report.findings[0]
        raise BackupError(f"the backup is damaged: {first.subject}: {first.what}", subject=str(path))
    if url.startswith("sqlite"):
        _restore_file(path, url, manifest)
    else:
        _restore_server(path, url, station_id, manifest)
    return manifest


def _restore_file(path: Path, url: str, manifest: Manifest) -> None:
    engine = open_engine(url)
    target = Path(place(engine))
    partial = target.with_name(f".{target.name}.partial")
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(engine, ""):
        _refuse_anything_at(target)
        remove(partial)
        try:
            copy_current(path, partial)
            _expect_content(sqlite_url(partial), manifest)
            make_one_file(partial)
            sync(partial)
            os.link(partial, target)
        except OSError as error:
            raise BackupError(f"the ledger can't be written: {error.strerror}", subject=str(target)) from error
        finally:
            remove(partial)
            engine.dispose()
        sync(target.parent)


@contextmanager
def _alone(engine: Engine, station_id: str) -> Iterator[None]:
    """Raises JobHeld while the station runs; keeps it from being started until the block ends."""
    leave = announce(engine, station_id)
    try:
        yield
    finally:
        leave()


def _refuse_anything_at(target: Path) -> None:
    # A write-ahead log that was left behind would be played into the restored file.
    for beside in (target.with_name(f"{target.name}{suffix}") for suffix in ("-wal", "-shm", "-journal")):
        if beside.exists() and not target.exists():
            raise Refused(
                "ledger-there",
                "it belongs to a ledger that is not there",
                subject=str(beside),
                remedy="Keep it with that ledger, elsewhere.",
            )
    if not target.exists():
        return
    engine = open_engine(sqlite_url(target))
    try:
        _refuse_unless_empty(engine)
    finally:
        engine.dispose()
    for name in (target.name, f"{target.name}-wal", f"{target.name}-shm"):
        remove(target.with_name(name))


def _refuse_unless_empty(engine: Engine) -> None:
    try:
        with engine.connect() as connection, connection.begin():
            inspected = inspect(connection)
            for name in inspected.get_table_names():
                if name in _OF_A_MERE_START.get(engine.dialect.name, ()):
                    continue
                if connection.execute(text(f"SELECT 1 FROM {quoted(name)} LIMIT 1")).first() is not None:
                    raise Refused(
                        "ledger-there",
                        "there is a ledger that holds something, and it is not overwritten",
                        subject=place(engine),
                        remedy="Keep it, it is evidence: move it away with what lies beside it, then restore.",
                    )
    except SQLAlchemyError as error:
        raise explained(error, engine) from error


def _restore_server(path: Path, url: str, station_id: str, manifest: Manifest) -> None:
    target = open_engine(url)
    try:
        with _alone(target, station_id):
            _refuse_unless_empty(target)
            migrate(target)
            with readable(path, manifest) as current:
                source = open_engine(read_only_url(current))
                try:
                    _fill(source, target, manifest)
                finally:
                    source.dispose()
    except SQLAlchemyError as error:
        raise explained(error, target) from error
    finally:
        target.dispose()


def _fill(source: Engine, target: Engine, manifest: Manifest) -> None:
    with source.connect() as reading, reading.begin(), writing(target) as connection, connection.begin():
        connection.execute(text(f"DELETE FROM {stations.name}"))
        for table in kept_tables():
            copy_table(reading, connection, table)
        for name, highest in manifest.sequences.items():
            set_sequence(connection, name, highest)
        _expect_same(connection, manifest)


def _expect_content(url: str, manifest: Manifest) -> None:
    engine = open_engine(url)
    try:
        with engine.connect() as connection, connection.begin():
            _expect_same(connection, manifest)
    except SQLAlchemyError as error:
        raise explained(error, engine) from error
    finally:
        engine.dispose()


def _expect_same(connection: Connection, manifest: Manifest) -> None:
    """Raises LedgerError unless what was written reads back as it was backed up."""
    if manifest.revision != HEAD:
        return  # it was brought up to date, and checked then
    for table in kept_tables():
        if content_of(connection, table) != manifest.tables.get(table.name):
            raise LedgerError("what was restored does not read back as it was written", subject=f"table {table.name}")
