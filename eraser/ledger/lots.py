"""Lots and asset tags in the ledger. A lot that changes gets a new revision; the earlier ones stay."""

from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection, func, insert, select

from eraser.domain.custody import Received
from eraser.domain.lot import Arrivals, Lot, TagBinding, arrivals
from eraser.errors import UsageError
from eraser.ledger.custody import record_of
from eraser.ledger.records import body_of, value_of
from eraser.ledger.schema import asset_tags, custody, lots
from eraser.ledger.store import Store


class Lots:
    """What was delivered, how it is to be treated, and which tags mean which drive."""

    def __init__(self, store: Store, now_utc: Callable[[], str]) -> None:
        self._store = store
        self._now_utc = now_utc

    async def put(self, lot: Lot, operator: str) -> int:
        """A new lot, or a new revision of one; the revision's number, from 1. Durable when it returns."""
        return await self._store.write(partial(_put, lot, operator, self._now_utc()))

    async def get(self, lot_id: str) -> Lot:
        """Its newest revision. Raises UsageError for one that is not there."""
        return await self._store.read(partial(_get, lot_id))

    async def all(self) -> list[Lot]:
        """The newest revision of each, by name."""
        return await self._store.read(_all)

    async def arrivals(self, lot_id: str) -> Arrivals:
        """What has come of it so far."""
        return await self._store.read(partial(_arrivals, lot_id))

    async def bind(self, binding: TagBinding, operator: str) -> None:
        """From now on the tag means that. Durable when it returns."""
        row = {"tag": binding.tag, "bay": binding.bay, "serial": binding.serial}
        await self._store.insert(insert(asset_tags), {**row, "at": self._now_utc(), "operator": operator})

    async def tag_for(self, *, serial: str, bay: str) -> str:
        """The tag of a drive: the newest bound to its serial number, else the newest bound to its bay; empty if none."""
        return await self._store.read(partial(_tag_for, serial, bay))


def _put(lot: Lot, operator: str, at: str, connection: Connection) -> int:
    newest = connection.execute(select(func.max(lots.c.revision)).where(lots.c.lot_id == lot.lot_id)).scalar()
    revision = (newest or 0) + 1
    row = {"lot_id": lot.lot_id, "revision": revision, "at": at, "operator": operator, "body": body_of(lot)}
    connection.execute(insert(lots).values(row))
    return revision


def _get(lot_id: str, connection: Connection) -> Lot:
    query = select(lots.c.body).where(lots.c.lot_id == lot_id).order_by(lots.c.revision.desc()).limit(1)
    body = connection.execute(query).scalar()
    if body is None:
        raise UsageError("there is no such lot", subject=lot_id, remedy="`eraser lot add` makes it.")
    return value_of(Lot, body, f"lot {lot_id}")


def _all(connection: Connection) -> list[Lot]:
    rows = connection.execute(select(lots.c.lot_id, lots.c.body).order_by(lots.c.lot_id, lots.c.revision))
    return list({row.lot_id: value_of(Lot, row.body, f"lot {row.lot_id}") for row in rows}.values())


def _arrivals(lot_id: str, connection: Connection) -> Arrivals:
    lot = _get(lot_id, connection)
    query = select(custody.c.number, custody.c.body).where(custody.c.kind == Received.kind).order_by(custody.c.number)
    records = [record_of(row.number, row.body) for row in connection.execute(query)]
    mine = dict.fromkeys(
        record.drive for record in records if isinstance(record.event, Received) and record.event.lot_id == lot_id
    )
    return arrivals(lot, tuple(name.serial for name in mine))


def _tag_for(serial: str, bay: str, connection: Connection) -> str:
    for column, value in ((asset_tags.c.serial, serial), (asset_tags.c.bay, bay)):
        query = select(asset_tags.c.tag).where(column == value).order_by(asset_tags.c.number.desc()).limit(1)
        if value and (tag := connection.execute(query).scalar()) is not None:
            return str(tag)
    return ""
