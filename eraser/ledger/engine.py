"""Reaching the database: connections that keep what the ledger promises, and errors that say what to do.

SQLite: a commit has reached the disk (WAL, synchronous=FULL) and writers wait for each other at BEGIN. PostgreSQL: psycopg 3.
"""

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError

from eraser.errors import JournalError, UsageError
from eraser.ledger.errors import AlreadyThere, LedgerError, LedgerFull

WRITES = "eraser_writes"
"""Execution option of a connection that writes: on SQLite it takes the write lock at BEGIN, not in the middle."""
BUSY_TIMEOUT_MS = 10_000
"""How long a SQLite writer waits for another process's transaction."""
WAL_RETRY_SECONDS = 0.02
_PRIVATE = 0o600  # seeds stand in the events

_IMMUTABLE = "mode=ro&immutable=1"  # https://www.sqlite.org/uri.html

_POSTGRESQL_FULL = ("53100", "53000")  # disk_full, insufficient_resources
_POSTGRESQL_READ_ONLY = "25006"


def sqlite_url(path: Path) -> str:
    """The URL of a ledger in this file."""
    return URL.create("sqlite", database=str(path)).render_as_string()


def read_only_url(path: Path) -> str:
    """The URL of a SQLite file that nobody writes, such as a backup: it is read, and nothing is laid beside it."""
    return f"sqlite:///file:{quote(str(path.absolute()))}?{_IMMUTABLE}&uri=true"


def open_engine(url: str) -> Engine:
    """Connects to nothing yet. Raises UsageError for a URL that is no SQLite file's and no PostgreSQL server's."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise UsageError("this is no database URL", remedy="Give sqlite:///FILE or postgresql://…") from error
    match parsed.get_backend_name():
        case "sqlite":
            return _sqlite(parsed)
        case "postgresql":
            return _postgresql(parsed)
    raise UsageError(
        f"the ledger can't be kept in {parsed.get_backend_name()}", remedy="Give sqlite:///FILE or postgresql://…"
    )


def place(engine: Engine) -> str:
    """Which database, for a message: without its password."""
    if engine.dialect.name != "sqlite":
        return engine.url.render_as_string()
    database = engine.url.database or ""
    return unquote(database.removeprefix("file:")) if "immutable" in engine.url.query else database


def writing(engine: Engine) -> Connection:
    """A connection for writing; on PostgreSQL one that sees what others commit meanwhile, so that it waits for row locks."""
    options: dict[str, Any] = {WRITES: True}
    if engine.dialect.name == "postgresql":
        options["isolation_level"] = "READ COMMITTED"
    return engine.connect().execution_options(**options)


def explained(error: SQLAlchemyError, engine: Engine) -> JournalError:
    """The same in words, as the class that tells the caller whether anything was written."""
    subject = place(engine)
    original = error.orig if isinstance(error, DBAPIError) else None
    if isinstance(original, sqlite3.Error):
        return _explained_sqlite(original, subject)
    if isinstance(error, IntegrityError):
        return AlreadyThere(_first_line(original), subject=subject)
    state = getattr(original, "sqlstate", None)
    if state in _POSTGRESQL_FULL:
        return LedgerFull("the database server has no room left", subject=subject, remedy="Make room on its disk.")
    if state == _POSTGRESQL_READ_ONLY:
        return LedgerError("the database server is read-only", subject=subject, remedy="Point the URL at its primary.")
    if original is not None and state is None:
        return LedgerError(
            f"the database server can't be reached ({_first_line(original)})",
            subject=subject,
            remedy="Check that it runs, and the URL.",
        )
    return LedgerError(f"the database refused ({_first_line(original or error)})", subject=subject)


def _explained_sqlite(error: sqlite3.Error, subject: str) -> JournalError:
    code = getattr(error, "sqlite_errorcode", 0)
    match code & 0xFF:  # the primary result code: https://www.sqlite.org/rescode.html
        case sqlite3.SQLITE_CONSTRAINT:
            return AlreadyThere(_first_line(error), subject=subject)
        case sqlite3.SQLITE_FULL:
            return _full(subject)
        case sqlite3.SQLITE_IOERR if _has_no_room(subject):
            return _full(subject)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return LedgerError(
                f"the database can't be written ({error})",
                subject=subject,
                remedy="Check that the file and its folder are yours, and that the disk is not mounted read-only.",
            )
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return LedgerError(
                f"the database is corrupt ({error})",
                subject=subject,
                remedy="Stop here: keep the file, it is evidence, and restore the newest backup.",
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return LedgerError(
                "another program keeps the database locked", subject=subject, remedy="Find it: `fuser` names it."
            )
    return LedgerError(f"the database failed ({error})", subject=subject)


def _full(subject: str) -> LedgerFull:
    return LedgerFull("the ledger's disk is full", subject=subject, remedy="Make room; the jobs go on by themselves.")


def _has_no_room(path: str) -> bool:
    """SQLite calls a shared-memory file that can't grow an I/O error."""
    with suppress(OSError):
        room = os.statvfs(Path(path).parent)
        return room.f_bavail * room.f_frsize < 1 << 20
    return False


def _first_line(error: object) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0]


def _is_somebody_elses(connection: sqlite3.Connection) -> bool:
    """Whether it has tables and none of ours: it is refused later, and must not be changed before that."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return bool(tables) and "alembic_version" not in tables


def _use_wal(connection: sqlite3.Connection) -> None:
    """Changes the journal's mode for good. Of two that do so at once SQLite turns one away without waiting for the other
    (https://www.sqlite.org/wal.html, "activating"), whatever the busy timeout.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(WAL_RETRY_SECONDS)


def _sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise UsageError("a ledger in memory outlives nothing", remedy="Give sqlite:///FILE.")
    if "immutable" in url.query:
        return create_engine(url)
    path = Path(url.database)
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})

    @event.listens_for(engine, "do_connect")
    def prepare(*_: Any) -> None:
        with suppress(OSError):  # what is wrong with the place, SQLite says better
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not path.exists():
                path.touch(_PRIVATE)

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _: Any) -> None:
        # BEGIN is ours: the driver's own comes late and takes no write lock.
        connection.isolation_level = None
        if not _is_somebody_elses(connection):
            _use_wal(connection)
        for pragma in ("synchronous=FULL", "foreign_keys=ON", "recursive_triggers=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        kind = "IMMEDIATE" if connection.get_execution_options().get(WRITES) else "DEFERRED"
        connection.exec_driver_sql(f"BEGIN {kind}")

    return engine


def _postgresql(url: URL) -> Engine:
    # Whoever pulled the server's cable must be noticed, and the server must notice us: it keeps our locks that long.
    keepalive = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "connect_timeout": 10}
    server = "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={**keepalive, "options": f"{server} -c synchronous_commit=on -c client_min_messages=error"},
        isolation_level="REPEATABLE READ",
        pool_pre_ping=True,  # a server that was restarted meanwhile must not fail the next job
    )
