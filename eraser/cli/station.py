"""The parts that a job needs, put together for one command from the environment."""

import os
import uuid
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from eraser import settings
from eraser.domain.job import JobState
from eraser.ledger.journal import FileJournal
from eraser.rack.erasing import Station
from eraser.rack.filing import JournalOfFiles

if TYPE_CHECKING:
    from eraser.certificates.issuer import Issued, StationIssuer


def now_utc() -> str:
    """RFC 3339 with milliseconds, such as `2027-01-01T00:00:00.000Z`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_id() -> str:
    """A random UUID, hex."""
    return uuid.uuid4().hex


def open_journal() -> FileJournal:
    """The journal of this user's station. Raises UsageError where there is no place for it."""
    return FileJournal(settings.journal_dir(os.environ), now_utc)


class _LateIssuer:
    """The station's issuer, loaded with its libraries when the first drive is done."""

    def __init__(self, certificates: Path, keys: Path) -> None:
        self._certificates = certificates
        self._keys = keys

    @cached_property
    def _issuer(self) -> "StationIssuer":
        from eraser.certificates.issuer import StationIssuer

        return StationIssuer(self._certificates, self._keys, now_utc=now_utc, new_id=new_id)

    def __call__(self, state: JobState) -> "Issued":
        return self._issuer(state)

    def keep_hashes(self, state: JobState, leaves: tuple[bytes, ...]) -> None:
        self._issuer.keep_hashes(state, leaves)


def open_station(certificates: Path | None) -> Station:
    """Everything for a job; certificates go to the folder given, else to the station's own."""
    folder = certificates if certificates is not None else settings.certificates_dir(os.environ)
    issuer = _LateIssuer(folder, settings.keys_dir(os.environ))
    return Station(JournalOfFiles(open_journal()), issuer, now_utc, os.urandom, new_id)
