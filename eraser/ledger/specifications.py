"""Specifications in the ledger: what matches a drive by its serial number is answered by its certificate, the rest waits."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, insert, literal, or_, select, true

from eraser.domain.custody import Received
from eraser.domain.specification import Specification, shortfalls
from eraser.errors import UsageError
from eraser.ledger import log
from eraser.ledger.certificate_index import Indexed
from eraser.ledger.records import body_of, value_of
from eraser.ledger.schema import certificate_index as index
from eraser.ledger.schema import custody, specifications
from eraser.ledger.store import Store

MAX_PAGE = 500
_AT_ONCE = 100
"""Rows that are looked at before it is known how many of them are wanted."""


class Progress(StrEnum):
    """How far one has come."""

    WAITING = "waiting"
    """No drive of this serial number has been seen."""
    ARRIVED = "arrived"
    REPORTED = "reported"
    """A certificate was issued after it came in."""


@dataclass(frozen=True, slots=True)
class Matched:
    """One with what answers it. `shortfalls`: in what the certificate does not do as asked."""

    number: int
    at: str
    operator: str
    specification: Specification
    progress: Progress
    certificate: Indexed | None
    shortfalls: tuple[str, ...]


class Specifications:
    """Of all stations on one ledger. The newest of a reference counts."""

    def __init__(self, store: Store, now_utc: Callable[[], str]) -> None:
        self._store = store
        self._now_utc = now_utc

    async def put(self, specification: Specification, operator: str) -> int:
        """Durable when it returns; its number. Certificates that are there already do not answer it."""
        return await self._store.write(partial(_put, specification, operator, self._now_utc()))

    async def one(self, reference: str) -> Matched:
        """The newest of this reference. Raises UsageError for one that nobody sent."""
        return await self._store.read(partial(_one, reference))

    async def queue(self, progress: Progress | None = None, *, after: int = 0, limit: int = 50) -> list[Matched]:
        """Those that have come so far and no further, or all, the oldest first."""
        return await self._store.read(partial(_queue, progress, after, min(limit, MAX_PAGE)))


def _put(specification: Specification, operator: str, at: str, connection: Connection) -> int:
    row = {
        "reference": specification.reference,
        "serial": specification.serial,
        "at": at,
        "after": log.size(connection),
        "operator": operator,
        "body": body_of(specification),
    }
    done = connection.execute(insert(specifications).values(row))
    return int((done.inserted_primary_key or (0,))[0])


def _one(reference: str, connection: Connection) -> Matched:
    query = select(specifications).where(specifications.c.reference == reference)
    row = connection.execute(query.order_by(specifications.c.number.desc()).limit(1)).first()
    if row is None:
        raise UsageError("nobody sent a specification of this reference", subject=reference)
    return _matched(row, connection)


def _queue(progress: Progress | None, after: int, limit: int, connection: Connection) -> list[Matched]:
    query = select(specifications).where(_is_newest()).order_by(specifications.c.number).limit(_AT_ONCE)
    if progress is not None:
        has_certificate = exists().where(*_answers())
        query = query.where(has_certificate if progress is Progress.REPORTED else ~has_certificate)
    found: list[Matched] = []
    while len(found) < limit:
        rows = connection.execute(query.where(specifications.c.number > after)).all()
        if not rows:
            break
        after = rows[-1].number
        matched = (_matched(row, connection) for row in rows)
        fitting = (item for item in matched if progress is None or item.progress is progress)
        found += islice(fitting, limit - len(found))
    return found


def unanswered(serial: str, connection: Connection) -> tuple[Specification, ...]:
    """What is asked of the drive of this serial number, its own, and no certificate has answered in everything; the newest one
    last.
    """
    names = {serial, serial.removeprefix("WD-")} - {""}
    query = select(specifications).where(specifications.c.serial.in_(names), _is_newest())
    rows = connection.execute(query.order_by(specifications.c.number)).all() if names else []
    found = [_matched(row, connection) for row in rows]
    return tuple(item.specification for item in found if item.certificate is None or item.shortfalls)


def _is_newest() -> ColumnElement[bool]:
    """Of its reference."""
    later = specifications.alias()
    return ~exists().where(later.c.reference == specifications.c.reference, later.c.number > specifications.c.number)


def _is_named(column: ColumnElement[str]) -> ColumnElement[bool]:
    """Western Digital's labels leave out what their drives say before it."""
    return or_(column == specifications.c.serial, column == literal("WD-").op("||")(specifications.c.serial))


def _answers() -> tuple[ColumnElement[bool], ...]:
    return (
        _is_named(index.c.serial),
        index.c.is_serial_own == true(),
        index.c.number >= specifications.c.after,
        index.c.withdrawn.is_(None),
    )


def _matched(row: Any, connection: Connection) -> Matched:
    specification = value_of(Specification, bytes(row.body), f"specification {row.number}")
    mine = specifications.c.number == row.number
    query = select(index).join(specifications, and_(mine, *_answers())).order_by(index.c.number.desc()).limit(1)
    found = connection.execute(query).first()
    if found is not None:
        certificate = Indexed(**{**found._asdict(), "digest": bytes(found.digest)})
        short = shortfalls(
            specification,
            outcome=certificate.outcome,
            standard=certificate.standard,
            level=certificate.level,
            verification=certificate.verification,
        )
        return Matched(row.number, row.at, row.operator, specification, Progress.REPORTED, certificate, short)
    # By values: PostgreSQL finds nothing by an index where the two columns sort differently.
    seen = select(custody.c.number).where(custody.c.serial.in_((row.serial, f"WD-{row.serial}")))
    has_arrived = connection.execute(seen.where(custody.c.kind == Received.kind).limit(1)).first() is not None
    progress = Progress.ARRIVED if has_arrived else Progress.WAITING
    return Matched(row.number, row.at, row.operator, specification, progress, None, ())
