"""With very many certificates and lots no page reads all of them: what the databases say of how they answer each question."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from eraser.domain.specification import Specification
from eraser.ledger import log
from eraser.ledger.certificate_index import CertificateIndex, Search
from eraser.ledger.engine import open_engine
from eraser.ledger.migrating import migrate
from eraser.ledger.specifications import Progress, Specifications, unanswered
from eraser.ledger.station_ledger import StationLedger, open_ledger
from tests.ledger.many import fill, lot_of, serial_of
from tests.ledger.stories import now_utc

CERTIFICATES, LOTS = 3_000, 60
LARGE = "certificate_index|custody|log_entries|certificates|jobs|job_events|specifications"
Statement = tuple[str, Any]


@contextmanager
def heard(engine: Engine) -> Iterator[list[Statement]]:
    """Every statement that is carried out meanwhile."""
    found: list[Statement] = []

    def hear(_: Any, cursor: Any, statement: str, parameters: Any, context: Any, is_many: bool) -> None:
        if statement.lstrip().upper().startswith("SELECT") and not is_many:
            found.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", hear)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", hear)


def plan_of(engine: Engine, statement: Statement) -> str:
    """How the database answers it, where PostgreSQL would rather not read a whole table."""
    with engine.connect() as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            rows = connection.exec_driver_sql(f"EXPLAIN {statement[0]}", statement[1]).scalars().all()
            return "\n".join(map(str, rows))
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement[0]}", statement[1]).all()
        return "\n".join(str(row[3]) for row in rows)


def whole_tables(plan: str) -> list[str]:
    """Those that are read from their beginning to their end."""
    return re.findall(rf"Seq Scan on (?:{LARGE})\b.*|SCAN (?:{LARGE})(?! USING (?:COVERING )?INDEX)\b.*", plan)


async def ask_everything(ledger: StationLedger) -> list[tuple[str, Callable[[], Awaitable[Any]]]]:
    index, specified = CertificateIndex(ledger.store), Specifications(ledger.store, now_utc)
    await specified.put(Specification("order-1", serial_of(7)), "erp")
    named = await ledger.lots.several([lot_of(1, LOTS), lot_of(2, LOTS)])
    a_day = Search(since=date(2026, 1, 3), until=date(2026, 1, 3))
    return [
        ("bringing the index up to date", index.refresh),
        ("a serial number", lambda: index.search(Search(drive=serial_of(7)))),
        ("how many of a serial number", lambda: index.count(Search(drive="ZA00"))),
        ("a lot", lambda: index.search(Search(lot_id=lot_of(1, LOTS)))),
        ("how many of a lot have failed", lambda: index.count(Search(lot_id=lot_of(1, LOTS), outcome="failed"))),
        ("what failed", lambda: index.search(Search(outcome="failed"), after=CERTIFICATES // 2)),
        ("how many of a day", lambda: index.count(a_day)),
        ("an id", lambda: index.one("certificate-7")),
        ("what has come of lots", lambda: ledger.lots.arrivals_of(named)),
        ("what waits for its drive", lambda: specified.queue(Progress.WAITING)),
        ("what is asked of a drive", lambda: ledger.store.read(lambda c: unanswered(serial_of(7), c))),
        ("what is withdrawn", lambda: ledger.store.read(lambda c: log.withdrawn(c, CERTIFICATES))),
    ]


async def test_no_question_of_the_pages_reads_a_whole_table(url: str) -> None:
    engine = open_engine(url)
    migrate(engine)
    fill(engine, certificates=CERTIFICATES, lots=LOTS)
    engine.dispose()
    async with open_ledger(url, "station-1", now_utc) as ledger:
        if ledger.store.engine.dialect.name == "postgresql":
            with ledger.store.engine.begin() as connection:
                connection.execute(text("ANALYZE"))
        for name, ask in await ask_everything(ledger):
            with heard(ledger.store.engine) as statements:
                await ask()
            assert statements, name
            for statement in statements:
                plan = plan_of(ledger.store.engine, statement)
                assert not whole_tables(plan), (name, plan)


async def test_what_reads_a_whole_table_is_found_out(url: str) -> None:
    async with open_ledger(url, "station-1", now_utc) as ledger:
        everything = ("SELECT count(*) FROM certificate_index WHERE model = 'x'", ())
        assert whole_tables(plan_of(ledger.store.engine, everything))


async def test_very_many_lots_are_read_a_page_at_a_time(url: str) -> None:
    engine = open_engine(url)
    migrate(engine)
    fill(engine, certificates=300, lots=LOTS)
    engine.dispose()
    async with open_ledger(url, "station-1", now_utc) as ledger:
        names = list(await ledger.lots.names())
        assert len(names) == LOTS and names == sorted(names)
        page = names[10:15]
        several = await ledger.lots.several(page)
        assert [lot.lot_id for lot in several] == page
        for lot, found in zip(several, await ledger.lots.arrivals_of(several), strict=True):
            assert (found.arrived, len(found.missing_serials)) == (300 // LOTS, 1)
            assert found == await ledger.lots.arrivals(lot.lot_id)


@pytest.mark.parametrize("lot_id", ["LOT-0001", "a lot"])
async def test_a_lot_that_changed_is_read_as_it_is_now(url: str, lot_id: str) -> None:
    engine = open_engine(url)
    migrate(engine)
    fill(engine, certificates=2, lots=2)
    engine.dispose()
    async with open_ledger(url, "station-1", now_utc) as ledger:
        before = (await ledger.lots.several(["LOT-0000"]))[0]
        for supplier in ("first", "second"):
            await ledger.lots.put(type(before)(lot_id, before.policy, supplier), "clerk")
        assert [lot.supplier for lot in await ledger.lots.several([lot_id, "nothing"])] == ["second"]
