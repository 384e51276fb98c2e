"""Lots and asset tags in the ledger. A lot that changes gets a new revision; the earlier ones stay."""

from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy import Connection, exists, func, insert, select, tuple_

from eraser.domain.custody import DriveName, own_serial, world_wide_name
from eraser.domain.drive import Identity
from eraser.domain.lot import Arrivals, Lot, TagBinding, arrivals
from eraser.errors import Refused, UsageError
from eraser.ledger.custody import hold_gate
from eraser.ledger.records import body_of, value_of
from eraser.ledger.schema import asset_tags, custody, lots
from eraser.ledger.store import Store


class Lots:
    """What was delivered, how it is to be treated, and which tags mean which drive."""

    def __init__(self, store: Store, now_utc: Callable[[], str]) -> None:
        self._store = store
        self._now_utc = now_utc

    async def put(self, lot: Lot, operator: str, *, is_new: bool | None = None) -> int:
        """A new lot, or a new revision of one; the revision's number, from 1. Durable when it returns.

        Where it is said whether the lot is new, raises Refused for one that is there, UsageError for one that is not.
        """
        return await self._store.write(partial(_put, lot, operator, self._now_utc(), is_new))

    async def get(self, lot_id: str) -> Lot:
        """Its newest revision. Raises UsageError for one that is not there."""
        return await self._store.read(partial(newest_lot, lot_id))

    async def names(self) -> dict[str, str]:
        """Of all lots, each with when it was first described: those described last come first."""
        return await self._store.read(_names)

    async def several(self, lot_ids: Sequence[str]) -> list[Lot]:
        """The newest revision of each, in this order: of a page of them, not of all that there ever were."""
        return await self._store.read(partial(_several, lot_ids))

    async def arrivals(self, lot_id: str) -> Arrivals:
        """What has come of it so far."""
        return await self._store.read(lambda connection: _arrivals(newest_lot(lot_id, connection), connection))

    async def arrivals_of(self, several: Sequence[Lot]) -> list[Arrivals]:
        """What has come of each of these."""
        return await self._store.read(lambda connection: [_arrivals(lot, connection) for lot in several])

    async def bind(self, binding: TagBinding, operator: str) -> None:
        """From now on the tag means that. Durable when it returns. Raises Refused for a tag that another drive is known by."""
        await self._store.write(partial(_bind, binding, operator, self._now_utc()))

    async def tag_for(self, *, serial: str, bay: str) -> str:
        """The tag of a drive: the newest bound to its serial number (to its world-wide name where it says none), else the
        newest that waits for the next drive of its bay; empty if none."""
        return await self._store.read(partial(_tag_for, serial, bay))


def _put(lot: Lot, operator: str, at: str, is_new: bool | None, connection: Connection) -> int:
    newest = connection.execute(select(func.max(lots.c.revision)).where(lots.c.lot_id == lot.lot_id)).scalar()
    if is_new and newest is not None:
        raise Refused(
            "lot-exists",
            "there is a lot of this name",
            subject=f"lot {lot.lot_id}",
            remedy="Take another name; `eraser lot change` changes that one.",
        )
    if is_new is False and newest is None:
        newest_lot(lot.lot_id, connection)
    revision = (newest or 0) + 1
    row = {"lot_id": lot.lot_id, "revision": revision, "at": at, "operator": operator, "body": body_of(lot)}
    connection.execute(insert(lots).values(row))
    return revision


def newest_lot(lot_id: str, connection: Connection) -> Lot:
    """The newest revision. Raises UsageError for a lot that is not there."""
    query = select(lots.c.body).where(lots.c.lot_id == lot_id).order_by(lots.c.revision.desc()).limit(1)
    body = connection.execute(query).scalar()
    if body is None:
        raise UsageError("there is no such lot", subject=lot_id, remedy="`eraser lot add` makes it.")
    return value_of(Lot, body, f"lot {lot_id}")


def arrived(lot_id: str, connection: Connection) -> tuple[DriveName, ...]:
    """The drives that were received with the lot, each once, in the order of their arrival."""
    query = (
        select(custody.c.serial, custody.c.world_wide_name, custody.c.asset_tag)
        .where(custody.c.lot_id == lot_id)
        .order_by(custody.c.number)
    )
    names: dict[tuple[str, str, str], DriveName] = {}
    for serial, wide, tag in connection.execute(query):
        names.setdefault((serial, wide, "" if serial or wide else tag), DriveName(serial, wide, tag))
    return tuple(names.values())


def _names(connection: Connection) -> dict[str, str]:
    query = select(lots.c.lot_id, func.min(lots.c.at).label("at")).group_by(lots.c.lot_id)
    found = [(str(row.lot_id), str(row.at)) for row in connection.execute(query)]
    # Here, not by the database: each sorts names in its own way.
    found.sort()
    return dict(sorted(found, key=lambda item: item[1], reverse=True))


def _several(lot_ids: Sequence[str], connection: Connection) -> list[Lot]:
    newest = select(lots.c.lot_id, func.max(lots.c.revision)).where(lots.c.lot_id.in_(lot_ids)).group_by(lots.c.lot_id)
    query = select(lots.c.lot_id, lots.c.body).where(tuple_(lots.c.lot_id, lots.c.revision).in_(newest))
    found = {row.lot_id: value_of(Lot, row.body, f"lot {row.lot_id}") for row in connection.execute(query)}
    return [found[lot_id] for lot_id in lot_ids if lot_id in found]


def _arrivals(lot: Lot, connection: Connection) -> Arrivals:
    return arrivals(lot, tuple(name.serial for name in arrived(lot.lot_id, connection)))


# ---- tags


def tag_of(identity: Identity, bay: str, connection: Connection) -> str:
    """The tag of this drive: the newest bound to it, else the one that waits for the next drive of its bay; empty if none."""
    return _tag_for(_key(identity), bay, connection)


def spend_bay_tag(tag: str, identity: Identity, at: str, operator: str, connection: Connection) -> None:
    """What waited in a bay for the next drive means this drive from now on, and no later one."""
    key = _key(identity)
    newest = select(asset_tags.c.bay).where(asset_tags.c.tag == tag).order_by(asset_tags.c.number.desc()).limit(1)
    if connection.execute(newest).scalar():
        # Bound to nothing where the drive has no name of its own: it is known by the tag alone.
        row = {"tag": tag, "bay": "", "serial": key, "at": at, "operator": operator}
        connection.execute(insert(asset_tags).values(row))


def _key(identity: Identity) -> str:
    return own_serial(identity) or world_wide_name(identity)


def _bind(binding: TagBinding, operator: str, at: str, connection: Connection) -> None:
    hold_gate(connection)
    query = select(custody.c.serial, custody.c.world_wide_name).where(custody.c.asset_tag == binding.tag).distinct()
    named = [(serial, wide) for serial, wide in connection.execute(query)]
    if any(binding.bay or binding.serial not in names for names in named):
        raise Refused(
            "tag-taken",
            "it stands in another drive's chain of custody already",
            subject=f"tag {binding.tag}",
            remedy="Stick another tag on: what is on record under one is never another drive's.",
        )
    row = {"tag": binding.tag, "bay": binding.bay, "serial": binding.serial, "at": at, "operator": operator}
    connection.execute(insert(asset_tags).values(row))


def _tag_for(serial: str, bay: str, connection: Connection) -> str:
    for column, value in ((asset_tags.c.serial, serial), (asset_tags.c.bay, bay)):
        if not value:
            continue
        later = asset_tags.alias()
        is_newest = ~exists().where(later.c.tag == asset_tags.c.tag, later.c.number > asset_tags.c.number)
        query = select(asset_tags.c.tag).where(column == value, is_newest).order_by(asset_tags.c.number.desc())
        if (tag := connection.execute(query.limit(1)).scalar()) is not None:
            return str(tag)
    return ""
