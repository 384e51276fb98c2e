"""One process a station: a lock that the system takes back when the process dies, however it dies.

On SQLite a lock on a file beside the database, on PostgreSQL an advisory lock of a connection of our own.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from eraser.ledger.engine import explained, place
from eraser.ledger.errors import JobHeld, LedgerError


def announce(engine: Engine, station_id: str) -> Callable[[], None]:
    """Takes the lock, or raises JobHeld when another process has it; the function given back lets it go. Blocks."""
    if engine.dialect.name == "sqlite":
        return _lock_file(Path(place(engine) + ".station"))
    return _lock_session(engine, station_id)


def _running(subject: str) -> JobHeld:
    return JobHeld(
        "this station is running already",
        subject=subject,
        remedy="Stop the other one first, or ask it: `eraser status`.",
    )


def _lock_file(path: Path) -> Callable[[], None]:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LedgerError(f"the station's lock can't be made ({error.strerror})", subject=str(path)) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise _running(str(path)) from None
    return lambda: os.close(fd)


def _lock_session(engine: Engine, station_id: str) -> Callable[[], None]:
    key = int.from_bytes(hashlib.sha256(f"eraser station {station_id}".encode()).digest()[:8], signed=True)
    try:
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar_one():
            connection.detach()  # never back into the pool: closing it is what lets the lock go
            return connection.close
        connection.close()
    except SQLAlchemyError as error:
        raise explained(error, engine) from error
    raise _running(f"{place(engine)}, station {station_id}")
