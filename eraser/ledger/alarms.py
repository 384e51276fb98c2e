"""Who has taken which alarm in hand, as the ledger keeps it: append-only. An alarm that is over is on record as that, too."""

from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection, insert, select

from eraser.ledger.schema import alarm_takes
from eraser.ledger.store import Store


class AlarmBook:
    """Of one station."""

    def __init__(self, store: Store, station_id: str, now_utc: Callable[[], str]) -> None:
        self._store = store
        self._station_id = station_id
        self._now_utc = now_utc

    async def add(self, matter: str, name: str) -> str:
        """Somebody has taken this matter in hand; an empty name: it is over. When it was written; durable when it returns."""
        row = {"at": self._now_utc(), "station_id": self._station_id, "matter": matter, "name": name}
        await self._store.insert(insert(alarm_takes), row)
        return row["at"]

    async def taken(self) -> dict[str, tuple[str, str]]:
        """By matter, who has it in hand since when; without those that are over."""
        return await self._store.read(partial(_taken, self._station_id))


def _taken(station_id: str, connection: Connection) -> dict[str, tuple[str, str]]:
    query = select(alarm_takes).where(alarm_takes.c.station_id == station_id).order_by(alarm_takes.c.number)
    found: dict[str, tuple[str, str]] = {}
    for row in connection.execute(query):
        if row.name:
            found.setdefault(row.matter, (row.name, row.at))
        else:
            found.pop(row.matter, None)
    return found
