"""The chain of custody in the ledger: written by people through the exit gate's rules, and by jobs with their own events."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy import Connection, and_, insert, or_, select, text, true

from eraser.domain.custody import (
    AMBIGUOUS,
    CustodyEvent,
    CustodyRecord,
    Destroyed,
    DriveName,
    Erased,
    Gathered,
    HandedOver,
    No,
    Quarantined,
    Received,
    Released,
    Standing,
    Verified,
    gather,
    may_record,
    standing,
)
from eraser.errors import Refused
from eraser.ledger.records import body_of, value_of
from eraser.ledger.schema import asset_tags, custody, jobs
from eraser.ledger.store import Store

_GATE = 0x67617465  # "gate": on PostgreSQL, one look and its record at a time
_NAMES = (custody.c.serial, custody.c.world_wide_name, custody.c.asset_tag)


@dataclass(frozen=True, slots=True)
class History:
    """What the ledger knows of one drive."""

    gathered: Gathered
    open_jobs: int

    @property
    def standing(self) -> Standing:
        """The fold of the records."""
        return standing(self.gathered.records)

    def may(self, event: CustodyEvent) -> No | None:
        """Whether a person may record this now."""
        if self.gathered.is_ambiguous and isinstance(event, Released | HandedOver | Destroyed):
            return AMBIGUOUS
        return may_record(self.standing, event, self.open_jobs)


@dataclass(frozen=True, slots=True)
class InQuarantine:
    """A drive that is put aside: since when (RFC 3339, UTC), and by which job, empty where it was no job."""

    drive: DriveName
    at: str
    job_id: str
    standing: Standing


class Custody:
    """Append-only; nothing here changes or removes a record, and the database refuses it."""

    def __init__(self, store: Store, now_utc: Callable[[], str]) -> None:
        self._store = store
        self._now_utc = now_utc

    async def record(self, record: CustodyRecord) -> None:
        """Durable when it returns. Raises Refused, with the rule's code, for what may not be recorded now."""
        await self._store.write(partial(record_now, record))

    async def history(self, name: DriveName) -> History:
        """Of the drive that is meant by the name."""
        return await self._store.read(partial(history, name))

    async def open_jobs(self, name: DriveName) -> list[str]:
        """The drive's jobs that have not ended."""
        return await self._store.read(lambda connection: _open_jobs(records_of(name, connection).name, connection))

    async def named(self, text: str) -> DriveName | None:
        """The drive whose serial number, world-wide name or asset tag this is, by all that it is known by; None for a text
        that nothing is known of. Raises Refused where it means several drives.
        """
        return await self._store.read(partial(_named, text))

    async def quarantined(self, limit: int = 200) -> list["InQuarantine"]:
        """Drives that are here and must not leave, those put aside last first; at most so many."""
        return await self._store.read(partial(_quarantined, limit))

    async def records(self, after: int = 0, limit: int = 1000) -> list[tuple[int, CustodyRecord]]:
        """With their numbers, oldest first; of a station's whole ledger, page by page."""
        return await self._store.read(partial(_page, after, limit))


def custody_row(record: CustodyRecord) -> dict[str, Any]:
    """For the table `custody`."""
    return {
        "at": record.at,
        "kind": record.event.kind,
        "serial": record.drive.serial,
        "world_wide_name": record.drive.world_wide_name,
        "asset_tag": record.drive.asset_tag,
        "job_id": record.event.job_id or None if isinstance(record.event, Erased | Verified | Quarantined) else None,
        "lot_id": record.event.lot_id or None if isinstance(record.event, Received) else None,
        "body": body_of(record),
    }


def record_of(number: int, body: bytes) -> CustodyRecord:
    """What the row says. Raises LedgerError."""
    return value_of(CustodyRecord, body, f"custody record {number}")


def history(name: DriveName, connection: Connection) -> History:
    """Everything of the drive, also what was recorded under only one of its names."""
    found = records_of(name, connection)
    return History(found, len(_open_jobs(found.name, connection)))


def records_of(name: DriveName, connection: Connection) -> Gathered:
    """The same without its jobs."""
    return gather(name, partial(_fitting, connection))


def _fitting(connection: Connection, name: DriveName) -> dict[int, CustodyRecord]:
    conditions = [
        column == value
        for column, value in zip(_NAMES, (name.serial, name.world_wide_name, name.asset_tag), strict=True)
        if value
    ]
    rows = connection.execute(select(custody.c.number, custody.c.body).where(or_(*conditions)))
    return {row.number: record_of(row.number, row.body) for row in rows}


def _open_jobs(name: DriveName, connection: Connection) -> list[str]:
    conditions = [
        column == value
        for column, value in ((jobs.c.serial, name.serial), (jobs.c.world_wide_name, name.world_wide_name))
        if value
    ]
    if not conditions:
        return []
    query = select(jobs.c.job_id).where(and_(jobs.c.is_open == true(), or_(*conditions))).order_by(jobs.c.job_id)
    return list(connection.execute(query).scalars())


def record_now(record: CustodyRecord, connection: Connection) -> None:
    """Within a transaction that writes. Raises Refused, with the rule's code, for what may not be recorded now."""
    hold_gate(connection)
    if (no := history(record.drive, connection).may(record.event)) is not None:
        raise Refused(no.code, f"{record.event.kind} can't be recorded: {no.what}", subject=_label(record.drive))
    connection.execute(insert(custody).values(custody_row(record)))


def _named(text: str, connection: Connection) -> DriveName | None:
    bound = select(asset_tags.c.serial).where(asset_tags.c.tag == text).order_by(asset_tags.c.number.desc()).limit(1)
    serial = str(connection.execute(bound).scalar() or "")
    # A tag may be bound to a world-wide name, where the drive says no serial number.
    names = [DriveName(*parts) for parts in ((text, "", ""), ("", text, ""), ("", "", text))]
    names += [DriveName(serial), DriveName("", serial)] if serial else []
    found = [item for name in names if (item := records_of(name, connection)).records]
    if not found:
        return DriveName(serial, "", text) if serial else None
    if any(item.is_ambiguous for item in found) or len({_own(item) for item in found}) > 1:
        raise Refused(AMBIGUOUS.code, AMBIGUOUS.what, subject=text)
    tags = [record.drive.asset_tag for record in found[0].records if record.drive.asset_tag]
    return replace(found[0].name, asset_tag=text if serial else (tags or [""])[-1])


def _own(found: Gathered) -> tuple[str, str]:
    """The numbers that tell a drive from every other; a tag alone tells only itself."""
    name = found.name
    if name.serial or name.world_wide_name:
        return name.serial, name.world_wide_name
    numbers = {(record.drive.serial, record.drive.world_wide_name) for record in found.records} - {("", "")}
    return next(iter(numbers), ("", name.asset_tag))


def hold_gate(connection: Connection, gate: int = _GATE) -> None:
    """Until the transaction's end nobody else looks at what is on record in order to write what follows from it."""
    if connection.dialect.name == "postgresql":
        # SQLite has one writer; here another could slip between the look and the record.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": gate})


_ASIDE = ("quarantined", "seen-twice")
_PAGE = 500


def _quarantined(limit: int, connection: Connection) -> list[InQuarantine]:
    found: dict[tuple[str, str], InQuarantine] = {}
    seen: set[tuple[str, str, str]] = set()
    query = select(custody.c.number, custody.c.body).where(custody.c.kind.in_(_ASIDE)).order_by(custody.c.number.desc())
    for number, body in connection.execute(query.limit(10 * limit + _PAGE)):
        record = record_of(number, body)
        name = (record.drive.serial, record.drive.world_wide_name, record.drive.asset_tag)
        if name in seen:
            continue
        seen.add(name)
        gathered = records_of(record.drive, connection)
        now = standing(gathered.records)
        if now.is_here and (now.quarantine or now.twice) and not now.is_destroyed:
            job_id = record.event.job_id if isinstance(record.event, Quarantined) else ""
            found.setdefault(_own(gathered), InQuarantine(gathered.name, record.at, job_id, now))
        if len(found) >= limit:
            break
    return list(found.values())


def _label(name: DriveName) -> str:
    return name.serial or name.world_wide_name or name.asset_tag


def _page(after: int, limit: int, connection: Connection) -> list[tuple[int, CustodyRecord]]:
    query = select(custody.c.number, custody.c.body).where(custody.c.number > after).order_by(custody.c.number)
    return [(row.number, record_of(row.number, row.body)) for row in connection.execute(query.limit(limit))]
