"""What people and programs did, as the ledger keeps it: append-only, in the order in which it was answered."""

from functools import partial
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select

from eraser.domain.account import Deed
from eraser.ledger.schema import trail
from eraser.ledger.store import Store

_COLUMNS = ("at", "name", "way", "place", "action", "subject", "status")


class Trail:
    """Nothing here changes or removes a deed, and the database refuses it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def note(self, deed: Deed) -> None:
        """Durable when it returns."""
        row: dict[str, Any] = {name: getattr(deed, name) for name in _COLUMNS}
        await self._store.insert(insert(trail), row)

    async def page(
        self, after: int = 0, limit: int = 100, *, name: str = "", subject: str = ""
    ) -> list[tuple[int, Deed]]:
        """With their numbers, oldest first, from the one after `after` on; where given, of one person, about one subject."""
        return await self._store.read(partial(_page, after, limit, name, subject))

    async def newest(self, limit: int = 100, *, name: str = "") -> list[Deed]:
        """The newest first; of one person where a name is given."""
        return await self._store.read(partial(_newest, limit, name))


def _newest(limit: int, name: str, connection: Connection) -> list[Deed]:
    query = select(trail).order_by(trail.c.number.desc()).limit(limit)
    if name:
        query = query.where(trail.c.name == name)
    return [_deed(row) for row in connection.execute(query).mappings()]


def _deed(row: RowMapping) -> Deed:
    return Deed(**{column: row[column] for column in _COLUMNS})


def _page(after: int, limit: int, name: str, subject: str, connection: Connection) -> list[tuple[int, Deed]]:
    query = select(trail).where(trail.c.number > after).order_by(trail.c.number).limit(limit)
    if name:
        query = query.where(trail.c.name == name)
    if subject:
        query = query.where(trail.c.subject == subject)
    rows = connection.execute(query).mappings()
    return [(row["number"], _deed(row)) for row in rows]
