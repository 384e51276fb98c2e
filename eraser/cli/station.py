"""The parts that a job needs, put together for one command from the environment."""

import os
import uuid
from datetime import UTC, datetime
from pathlib import Path

from eraser import settings
from eraser.certificates.issuer import StationIssuer
from eraser.ledger.journal import FileJournal
from eraser.rack.erasing import Station


def now_utc() -> str:
    """RFC 3339 with milliseconds, such as `2027-01-01T00:00:00.000Z`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_id() -> str:
    """A random UUID, hex."""
    return uuid.uuid4().hex


def open_journal() -> FileJournal:
    """The journal of this user's station. Raises UsageError where there is no place for it."""
    return FileJournal(settings.journal_dir(os.environ), now_utc)


def open_station(certificates: Path | None) -> Station:
    """Everything for a job; certificates go to the folder given, else to the station's own."""
    folder = certificates if certificates is not None else settings.certificates_dir(os.environ)
    issuer = StationIssuer(folder, settings.keys_dir(os.environ), now_utc=now_utc, new_id=new_id)
    return Station(open_journal(), issuer, now_utc, os.urandom, new_id)
