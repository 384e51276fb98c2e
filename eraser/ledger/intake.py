"""Drives that arrive, in the ledger: which lots are taken in at which bays, and the records of an arrival.

What is on record of a drive, its lots and its tag are looked at and written in one transaction, so that two bays, two
stations or a second try can't record one arrival twice.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy import Connection, func, insert, select

from eraser.domain.custody import (
    CustodyEvent,
    CustodyRecord,
    DriveName,
    Moved,
    Quarantined,
    Received,
    SeenTwice,
    Standing,
    drive_name,
    own_serial,
    standing,
)
from eraser.domain.drive import Drive
from eraser.domain.intake import (
    Belonging,
    ClosedLot,
    Opening,
    OpenLot,
    another_of_the_name,
    arrived_with,
    belonging,
    is_registered,
    place_of,
    registration,
)
from eraser.domain.lot import Lot
from eraser.domain.specification import Specification
from eraser.errors import Refused, UsageError
from eraser.ledger.custody import custody_row, hold_gate, records_of
from eraser.ledger.lots import arrived, newest_lot, spend_bay_tag, tag_of
from eraser.ledger.records import body_of, value_of
from eraser.ledger.schema import custody, lot_openings
from eraser.ledger.specifications import unanswered
from eraser.ledger.store import Store


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What the ledger says of a drive in a bay, once that the drive is there is on record. `lot` is None without one."""

    belonging: Belonging
    lot: Lot | None
    asset_tag: str
    standing: Standing
    asked: tuple[Specification, ...] = ()
    """What other programs ask of it and is not answered yet, the newest last."""


class Intake:
    """Which lots this station takes in, and what arrives with them."""

    def __init__(self, store: Store, station_id: str, now_utc: Callable[[], str]) -> None:
        self._store = store
        self._station_id = station_id
        self._now_utc = now_utc

    async def open(self, lot_id: str, bays: tuple[str, ...], operator: str) -> Opening:
        """From now on drives in these bays, or in all, come with the lot. Durable when it returns.

        Raises UsageError for a lot that is not there, Refused where a bay takes in another one.
        """
        opening = Opening(lot_id, self._station_id, bays)
        await self._store.write(partial(_open, opening, operator, self._now_utc()))
        return opening

    async def close(self, lot_id: str, operator: str) -> None:
        """Nothing more comes with the lot here. Raises UsageError for a lot that is not there, Refused if it is not open."""
        await self._store.write(partial(_close, lot_id, self._station_id, operator, self._now_utc()))

    async def openings(self) -> list[Opening]:
        """The lots that this station takes in now."""
        return await self._store.read(partial(_openings, self._station_id))

    async def take_in(
        self, drive: Drive, bay: str, operator: str, known_tag: str = "", *, is_ordered: bool = False
    ) -> TakenIn:
        """Writes down that the drive is in this bay: that it arrived, or that it was moved here; nothing if that is known.

        `known_tag` is what an earlier call answered while the drive was in the bay all the time; `is_ordered`: a person has
        just said that it is to be erased. Durable when it returns, and may be called again after any failure.
        """
        entry = _Entry(drive, self._station_id, bay, operator, self._now_utc(), known_tag)
        return await self._store.write(partial(_take_in, entry, is_ordered))

    async def set_aside(self, drive: Drive, bay: str, reason: str, operator: str, known_tag: str = "") -> None:
        """Quarantines the drive, unless it is already. A drive without a name has no history to write it into."""
        entry = _Entry(drive, self._station_id, bay, operator, self._now_utc(), known_tag)
        await self._store.write(partial(_set_aside, entry, reason))

    async def seen_twice(self, drive: Drive, bay: str, what: str, operator: str, known_tag: str = "") -> None:
        """Two drives bear its name: none of them leaves before a person has separated them. On record once."""
        entry = _Entry(drive, self._station_id, bay, operator, self._now_utc(), known_tag)
        await self._store.write(partial(_seen_twice, entry, what))


@dataclass(frozen=True, slots=True)
class _Entry:
    """A drive in a bay, and who writes about it when."""

    drive: Drive
    station_id: str
    bay: str
    operator: str
    at: str
    known_tag: str

    @property
    def place(self) -> str:
        return place_of(self.station_id, self.bay)

    def tag(self, connection: Connection) -> str:
        return self.known_tag or tag_of(self.drive.identity, self.bay, connection)

    def record(self, name: DriveName, event: CustodyEvent) -> CustodyRecord:
        return CustodyRecord(self.at, self.place, self.operator, name, event)


# ---- lots that are taken in


def _open(opening: Opening, operator: str, at: str, connection: Connection) -> None:
    hold_gate(connection)
    newest_lot(opening.lot_id, connection)
    for other in _openings(opening.station_id, connection):
        if other.lot_id != opening.lot_id and other.overlaps(opening):
            where = ", ".join(sorted(set(other.bays) & set(opening.bays)) or other.bays or opening.bays) or "every bay"
            raise Refused(
                "bay-taken",
                f"lot {other.lot_id} is taken in there already ({where})",
                subject=f"lot {opening.lot_id}",
                remedy=f"Close it first (`eraser lot close {other.lot_id}`), or name other bays.",
            )
    _insert(opening, True, operator, at, connection)


def _close(lot_id: str, station_id: str, operator: str, at: str, connection: Connection) -> None:
    hold_gate(connection)
    newest_lot(lot_id, connection)
    opening = next((item for item in _openings(station_id, connection) if item.lot_id == lot_id), None)
    if opening is None:
        raise Refused("not-open", "it is not being taken in here", subject=f"lot {lot_id}")
    _insert(opening, False, operator, at, connection)


def _insert(opening: Opening, is_open: bool, operator: str, at: str, connection: Connection) -> None:
    row = {"lot_id": opening.lot_id, "station_id": opening.station_id, "is_open": is_open}
    connection.execute(insert(lot_openings).values(row | {"at": at, "operator": operator, "body": body_of(opening)}))


def _openings(station_id: str, connection: Connection) -> list[Opening]:
    newest = (
        select(func.max(lot_openings.c.number))
        .where(lot_openings.c.station_id == station_id)
        .group_by(lot_openings.c.lot_id)
    )
    query = select(lot_openings.c.is_open, lot_openings.c.body, lot_openings.c.lot_id)
    rows = connection.execute(query.where(lot_openings.c.number.in_(newest)).order_by(lot_openings.c.number))
    return [value_of(Opening, row.body, f"opening of lot {row.lot_id}") for row in rows if row.is_open]


# ---- drives that arrive


def _take_in(entry: _Entry, is_ordered: bool, connection: Connection) -> TakenIn:
    hold_gate(connection)
    tag = entry.tag(connection)
    name = drive_name(entry.drive.identity, tag)
    open_lots = [_open_lot(opening, connection) for opening in _openings(entry.station_id, connection)]
    if name is None:
        # Nothing tells it from others: there is no history to write into, and no arrival to count.
        found = belonging(None, entry.bay, open_lots, None)
        return TakenIn(found, _lot(found, connection), "", Standing())
    past = records_of(name, connection)
    came_with = _closed_lot(arrived_with(past.records), open_lots, connection)
    found = belonging(name, entry.bay, open_lots, past, came_with=came_with, is_ordered=is_ordered)
    if tag:
        spend_bay_tag(tag, entry.drive.identity, entry.at, entry.operator, connection)
    now = standing(past.records)
    events: list[CustodyEvent] = []
    if found.is_arrival:
        events.append(Received(found.lot_id))
    elif now.is_here and now.place != entry.place:
        events.append(Moved(entry.place))
    if not found.is_arrival and not now.twice and (another := another_of_the_name(past.records, entry.drive)):
        events.append(SeenTwice(another))
    if found.is_arrival or (now.is_here and not is_registered(past.records)):
        events.append(registration(entry.drive))
    records = [entry.record(name, event) for event in events]
    for record in records:
        connection.execute(insert(custody).values(custody_row(record)))
    if any(isinstance(event, SeenTwice) for event in events):
        now_on_record = replace(past, records=(*past.records, *records))
        found = belonging(name, entry.bay, open_lots, now_on_record, came_with=came_with, is_ordered=is_ordered)
    asked = unanswered(own_serial(entry.drive.identity), connection)
    return TakenIn(found, _lot(found, connection), tag, standing([*past.records, *records]), asked)


def _open_lot(opening: Opening, connection: Connection) -> OpenLot:
    lot = newest_lot(opening.lot_id, connection)
    return OpenLot(lot, opening, _counted(lot, connection))


def _closed_lot(lot_id: str, open_lots: list[OpenLot], connection: Connection) -> ClosedLot | None:
    if any(item.lot.lot_id == lot_id for item in open_lots) or (lot := _described(lot_id, connection)) is None:
        return None
    return ClosedLot(lot, _counted(lot, connection))


def _counted(lot: Lot, connection: Connection) -> tuple[DriveName, ...]:
    """What came with the lot, where it is counted."""
    is_counted = lot.expected_drives is not None and not lot.expected_serials
    return arrived(lot.lot_id, connection) if is_counted else ()


def _lot(found: Belonging, connection: Connection) -> Lot | None:
    return _described(found.lot_id, connection)


def _described(lot_id: str, connection: Connection) -> Lot | None:
    if not lot_id:
        return None
    try:
        return newest_lot(lot_id, connection)
    except UsageError:
        return None  # received by hand with a lot that nobody described: there is no policy to follow


def _seen_twice(entry: _Entry, what: str, connection: Connection) -> None:
    hold_gate(connection)
    name = drive_name(entry.drive.identity, entry.tag(connection))
    if name is not None and not standing(records_of(name, connection).records).twice:
        connection.execute(insert(custody).values(custody_row(entry.record(name, SeenTwice(what)))))


def _set_aside(entry: _Entry, reason: str, connection: Connection) -> None:
    hold_gate(connection)
    name = drive_name(entry.drive.identity, entry.tag(connection))
    if name is not None and not standing(records_of(name, connection).records).quarantine:
        record = entry.record(name, Quarantined(reason))
        connection.execute(insert(custody).values(custody_row(record)))
