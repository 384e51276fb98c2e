"""Attendances in the ledger, found by the digest of a token that only the address holds."""

import hashlib
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection, insert, select

from eraser.domain.attendance import (
    CONSENT_DAYS,
    Attendance,
    AttendanceEvent,
    Confirmed,
    Consented,
    JobSeen,
    Opened,
    fold,
)
from eraser.domain.custody import DriveName, may_be_same
from eraser.domain.lot import instant
from eraser.ledger.records import body_of, corrupt, value_of
from eraser.ledger.schema import attendances
from eraser.ledger.store import Store

TOKEN_BYTES = 24
_EVENTS: dict[str, type[AttendanceEvent]] = {event.kind: event for event in (Opened, Consented, JobSeen, Confirmed)}


class Attendances:
    """Over one ledger."""

    def __init__(self, store: Store, now_utc: Callable[[], str]) -> None:
        self._store = store
        self._now_utc = now_utc

    async def open(self, opened: Opened) -> str:
        """The token of a new one, which nobody can guess; it is kept nowhere. Durable when it returns."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        await self.add(token, opened)
        return token

    async def add(self, token: str, event: AttendanceEvent) -> None:
        """What happened next. Durable when it returns."""
        row = {"token_digest": _digest(token), "at": self._now_utc(), "kind": event.kind, "body": body_of(event)}
        await self._store.insert(insert(attendances), row)

    async def has_consented(self, drive: DriveName) -> bool:
        """Whether the customer to whom this drive was shown last, no longer ago than a consent holds, has agreed to its erasure
        and not seen the end of it yet. What an earlier one agreed to says nothing of what is on it now.
        """
        since = instant(self._now_utc()) - timedelta(days=CONSENT_DAYS)
        return await self._store.read(partial(_has_consented, drive, since))

    async def find(self, token: str) -> Attendance | None:
        """None for a token that was never given out."""
        return await self._store.read(partial(_find, _digest(token)))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _find(digest: bytes, connection: Connection) -> Attendance | None:
    query = select(attendances).where(attendances.c.token_digest == digest).order_by(attendances.c.number)
    return fold((row.at, _event(row.number, row.kind, bytes(row.body))) for row in connection.execute(query))


def _has_consented(drive: DriveName, since: datetime, connection: Connection) -> bool:
    query = select(attendances).where(attendances.c.kind.in_((Opened.kind, Consented.kind, Confirmed.kind)))
    later: dict[bytes, set[str]] = {}
    # The newest first: what is older than a consent holds need not be read.
    for row in connection.execute(query.order_by(attendances.c.number.desc())):
        said = later.setdefault(bytes(row.token_digest), set())
        if row.kind != Opened.kind:
            said.add(row.kind)
            continue
        if instant(row.at) < since:
            break
        event = _event(row.number, row.kind, bytes(row.body))
        if isinstance(event, Opened) and may_be_same(event.drive, drive):
            return said == {Consented.kind}
    return False


def _event(number: int, kind: str, body: bytes) -> AttendanceEvent:
    if (cls := _EVENTS.get(kind)) is None:
        raise corrupt(f"attendance {number}", f"its kind {kind!r} is not known")
    return value_of(cls, body, f"attendance {number}")
