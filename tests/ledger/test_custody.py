"""Custody, lots and tags in the database: what is recorded stays, and the exit gate stands before it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Column, Connection, insert, select, text
from sqlalchemy.exc import DBAPIError

from eraser.domain.custody import (
    CustodyEvent,
    CustodyRecord,
    Destroyed,
    DriveName,
    HandedOver,
    Quarantined,
    Received,
    Released,
)
from eraser.domain.events import DriveIdentified, Outcome
from eraser.domain.lot import Lot, LotPolicy, TagBinding
from eraser.errors import EraserError, Refused, UsageError
from eraser.ledger.custody import Custody
from eraser.ledger.engine import open_engine, writing
from eraser.ledger.intake import Intake
from eraser.ledger.log import put_checkpoint
from eraser.ledger.lots import Lots
from eraser.ledger.schema import APPEND_ONLY, metadata
from eraser.ledger.sql_journal import SqlJournal
from eraser.ledger.store import Store, open_store
from tests.ledger.stories import a_request, drive_number, now_utc, whole_job
from tests.ledger.tampering import run

DRIVE = drive_number(1)
NAME = DriveName(DRIVE.identity.serial, DRIVE.identity.wwn)
LOT = Lot("lot-1", LotPolicy("nist-800-88-clear"), expected_drives=2)


class Plant:
    """One station's ledger, and hands that write into it."""

    def __init__(self, store: Store, journal: SqlJournal) -> None:
        self.store = store
        self.journal = journal
        self.custody = Custody(store, now_utc)
        self.lots = Lots(store, now_utc)

    async def record(self, event: CustodyEvent, name: DriveName = NAME) -> None:
        await self.custody.record(CustodyRecord(now_utc(), "hall 1", "operator-7", name, event))

    async def erase(self, job_id: str, outcome: Outcome = Outcome.PASSED) -> None:
        log = await self.journal.begin(a_request(job_id))
        for event in whole_job(job_id, DRIVE, outcome=outcome):
            await log.append(event)
        await log.close()


@asynccontextmanager
async def a_plant(url: str) -> AsyncIterator[Plant]:
    store = await open_store(url)
    journal = await SqlJournal.open(store, "station", now_utc)
    try:
        yield Plant(store, journal)
    finally:
        await journal.close()
        await store.close()


async def test_a_drives_whole_way_is_its_history(url: str) -> None:
    async with a_plant(url) as plant:
        await plant.record(Received("lot-1"))
        await plant.erase("j")
        await plant.record(Released("a buyer"))
        await plant.record(HandedOver("a buyer"))
    async with a_plant(url) as plant:
        history = await plant.custody.history(DriveName(NAME.serial))
        kinds = [record.event.kind for record in history.gathered.records]
        assert kinds == ["received", "erased", "verified", "released", "handed-over"]
        assert [number for number, _ in await plant.custody.records(after=2, limit=2)] == [3, 4]


async def test_the_exit_gate_refuses_what_has_not_passed_since_its_arrival(url: str) -> None:
    async with a_plant(url) as plant:
        with pytest.raises(Refused, match="no arrival"):
            await plant.record(Released())
        await plant.record(Received("lot-1"))
        with pytest.raises(Refused, match="no job has passed"):
            await plant.record(Released())
        await plant.erase("j")
        await plant.record(Released())
        await plant.record(HandedOver("a buyer"))
        await plant.record(Received("lot-2"))
        with pytest.raises(Refused, match="no job has passed") as caught:
            await plant.record(Released())
        assert caught.value.reason == "not-passed"
        assert len(await plant.custody.records()) == 6


async def test_a_failed_drive_stays_until_destroyed_or_passed(url: str) -> None:
    async with a_plant(url) as plant:
        await plant.record(Received("lot-1"))
        await plant.erase("bad", Outcome.FAILED)
        for event in (Released(), HandedOver("a buyer")):
            with pytest.raises(Refused, match="its job failed: mismatch"):
                await plant.record(event)
        with pytest.raises(Refused, match="how it was destroyed"):
            await plant.record(Destroyed(""))
        await plant.erase("good")
        await plant.record(Released())
        await plant.record(Quarantined("it clicks"))
        await plant.record(Destroyed("shredded to 2 mm", "witness-2"))
        for event in (Released(), Received("lot-2"), Destroyed("again")):
            with pytest.raises(Refused, match="recorded as destroyed"):
                await plant.record(event)


async def test_what_must_not_leave_is_listed_the_last_put_aside_first(url: str) -> None:
    others = [DriveName(f"S{number}", f"{number:016x}") for number in range(4)]
    async with a_plant(url) as plant:
        for name in (NAME, *others):
            await plant.record(Received("lot-1"), name)
        await plant.erase("bad", Outcome.FAILED)
        for name in others[:3]:
            await plant.record(Quarantined("it clicks"), name)
        await plant.record(Destroyed("shredded to 2 mm", "witness-2"), others[1])
        kept = await plant.custody.quarantined()
        assert [item.drive.serial for item in kept] == ["S2", "S0", NAME.serial]
        assert (kept[0].standing.quarantine, kept[0].job_id, kept[2].job_id) == ("it clicks", "", "bad")
        assert [item.drive.serial for item in await plant.custody.quarantined(limit=1)] == ["S2"]
        await plant.erase("good")
        assert [item.drive.serial for item in await plant.custody.quarantined()] == ["S2", "S0"]


async def test_a_drive_with_an_open_job_stays(url: str) -> None:
    async with a_plant(url) as plant:
        await plant.record(Received("lot-1"))
        await plant.erase("j")
        log = await plant.journal.begin(a_request("again"))
        await log.append(DriveIdentified(DRIVE))
        with pytest.raises(Refused, match="a job of it has not ended"):
            await plant.record(Released())


async def test_a_cloned_serial_number_does_not_lend_its_pass(url: str) -> None:
    async with a_plant(url) as plant:
        await plant.record(Received("lot-1"))
        await plant.erase("j")
        clone = DriveName(NAME.serial, "5000c500ffffffff")
        await plant.record(Received("lot-1"), clone)
        with pytest.raises(Refused, match="no job has passed"):
            await plant.record(Released(), clone)
        with pytest.raises(Refused, match="several drives"):
            await plant.record(Released(), DriveName(NAME.serial))
        await plant.record(Released(), NAME)


async def test_a_name_of_several_drives_lets_none_of_them_go(url: str) -> None:
    async with a_plant(url) as plant:
        await plant.record(Received("lot-1"))
        await plant.record(Received("lot-1"), DriveName(NAME.serial, "5000c500ffffffff"))
        for event in (Released(), HandedOver("a buyer"), Destroyed("shredded")):
            with pytest.raises(Refused, match="several drives"):
                await plant.record(event, DriveName(NAME.serial))


async def test_two_releases_at_once_are_one(url: str) -> None:
    async with a_plant(url) as one:
        await one.record(Received("lot-1"))
        await one.erase("j")
        other = await open_store(url)
        record = CustodyRecord(now_utc(), "hall 1", "operator-7", NAME, Released())
        results = await asyncio.gather(
            *(custody.record(record) for custody in (one.custody, Custody(other, now_utc)) for _ in range(4)),
            return_exceptions=True,
        )
        await other.close()
        assert results.count(None) == 1
        assert sum(isinstance(result, Refused) for result in results) == 7


# ---- nothing recorded is ever changed


async def full(url: str) -> None:
    """A row in each table."""
    async with a_plant(url) as plant:
        await plant.record(Received("lot-1"))
        await plant.erase("j")
        await plant.lots.put(LOT, "operator-7")
        await plant.lots.bind(TagBinding("T-1", serial="S1"), "operator-7")
        await Intake(plant.store, "station", now_utc).open("lot-1", (), "operator-7")
        await plant.store.write(partial(put_checkpoint, entries=1, at="2027-01-01T00:00:00.000Z", note="note"))
        await plant.store.write(fill_the_rest)


def fill_the_rest(connection: Connection) -> None:
    """Made-up rows for what no custody leads to."""
    for table in (metadata.tables[name] for name in APPEND_ONLY):
        if connection.execute(select(table).limit(1)).first() is None:
            row = {column.name: made_up(column) for column in table.columns if column.autoincrement is not True}
            connection.execute(insert(table).values(row))


def made_up(column: Column[Any]) -> object:
    return {bytes: b"x", str: "x"}.get(column.type.python_type, 1)


def dump(url: str) -> list[list[tuple[object, ...]]]:
    engine = open_engine(url)
    with engine.connect() as connection:
        found = [
            [tuple(row) for row in connection.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2"))]
            for table in APPEND_ONLY
        ]
    engine.dispose()
    return found


def some_column(table: str) -> str:
    """One that holds text or bytes, the last of them."""
    return [column.name for column in metadata.tables[table].columns if column.type.python_type in (str, bytes)][-1]


@pytest.mark.parametrize("table", APPEND_ONLY)
async def test_the_database_itself_refuses_to_change_what_happened(url: str, table: str) -> None:
    await full(url)
    before = dump(url)
    assert all(before)
    column = some_column(table)
    statements = [
        f"UPDATE {table} SET {column} = 'x'",
        f"UPDATE {table} SET {column} = {column}",
        f"DELETE FROM {table}",
    ]
    if url.startswith("sqlite"):
        statements.append(f"REPLACE INTO {table} SELECT * FROM {table}")
    else:
        statements.append(f"TRUNCATE {table} CASCADE")
    for statement in statements:
        with pytest.raises(DBAPIError, match="append-only"):
            run(url, statement)
    assert dump(url) == before


async def test_a_certificate_is_not_replaced_by_way_of_its_job(sqlite: str) -> None:
    await full(sqlite)
    with pytest.raises(DBAPIError, match="has one of this job"):
        run(sqlite, "REPLACE INTO certificates SELECT 'new', job_id, digest FROM certificates")


async def test_a_job_with_events_is_not_removed(url: str) -> None:
    await full(url)
    with pytest.raises(DBAPIError, match=r"(?i)foreign key"):
        run(url, "DELETE FROM jobs")


async def test_our_own_connections_refuse_too(url: str) -> None:
    await full(url)
    engine = open_engine(url)
    with pytest.raises(DBAPIError), writing(engine) as connection, connection.begin():
        connection.execute(text("DELETE FROM custody"))
    engine.dispose()


# ---- lots and tags


async def test_a_lot_keeps_its_earlier_revisions(url: str) -> None:
    changed = Lot("lot-1", LotPolicy("gb-t"), "supplier")
    async with a_plant(url) as plant:
        assert await plant.lots.put(LOT, "operator-7") == 1
        assert await plant.lots.get("lot-1") == LOT
        assert await plant.lots.put(changed, "operator-8") == 2
        await plant.lots.put(Lot("lot-0", LotPolicy("gb-t")), "operator-8")
        assert await plant.lots.get("lot-1") == changed
        assert sorted(await plant.lots.names()) == ["lot-0", "lot-1"]
        with pytest.raises(UsageError, match="no such lot"):
            await plant.lots.get("lot-2")


async def test_a_lots_arrivals_are_counted(url: str) -> None:
    async with a_plant(url) as plant:
        await plant.lots.put(LOT, "operator-7")
        await plant.record(Received("lot-1"))
        await plant.record(Received("lot-2"), DriveName("S2"))
        arrived = await plant.lots.arrivals("lot-1")
        assert (arrived.arrived, arrived.missing_drives) == (1, 1)


async def test_the_newest_tag_of_a_serial_number_goes_before_that_of_a_bay(url: str) -> None:
    async with a_plant(url) as plant:
        await plant.lots.bind(TagBinding("T-bay", bay="A1"), "op")
        assert await plant.lots.tag_for(serial="S1", bay="A1") == "T-bay"
        await plant.lots.bind(TagBinding("T-1", serial="S1"), "op")
        await plant.lots.bind(TagBinding("T-2", serial="S1"), "op")
        assert await plant.lots.tag_for(serial="S1", bay="A1") == "T-2"
        assert await plant.lots.tag_for(serial="", bay="A1") == "T-bay"
        assert await plant.lots.tag_for(serial="S3", bay="A2") == ""


async def test_what_is_refused_is_a_persons_error(url: str) -> None:
    async with a_plant(url) as plant:
        with pytest.raises(EraserError) as caught:
            await plant.record(Released())
        assert NAME.serial in str(caught.value)
