"""The console with a plant's years behind it: how long a browser waits for the first picture of each page."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.comparison import Better, Comparison, record
from eraser.console.desk import Desk
from eraser.console.pages import pages_router
from eraser.console.pages.desk import desk_pages
from eraser.console.server import serve_http
from eraser.console.wall import Wall
from eraser.ledger.engine import open_engine, sqlite_url
from eraser.ledger.migrating import migrate
from eraser.ledger.specifications import Specifications
from eraser.ledger.station_ledger import open_ledger
from tests.console.certified import filed_in
from tests.console.desks import STATION, end_none, now_utc
from tests.console.pages.sites import a_page, chromium, many_bays
from tests.console.stations import FakeStation
from tests.ledger.conftest import NewDatabase, new_postgresql, postgresql_server
from tests.ledger.many import fill, lot_of, serial_of

__all__ = ["new_postgresql", "postgresql_server"]

CERTIFICATES, LOTS, BAYS = 100_000, 1_000, 96
MOST_SECONDS = 1.0
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
PATHS = (
    "/",
    "/certificates",
    f"/certificates?drive={serial_of(4711)}",
    f"/certificates?lot={lot_of(7, LOTS)}",
    "/certificates?since=2026-06-01&until=2026-06-30&outcome=failed",
    f"/certificates?outcome=passed&cursor={CERTIFICATES // 2}",
    "/lots",
    "/lots?page=15",
    f"/lots/{lot_of(7, LOTS)}",
    "/failures",
    "/reports",
    "/reports?by=lot",
    "/reports?by=model",
    "/specifications",
    "/labels",
)


@contextmanager
def a_large_plant(url: str, data: Path) -> Iterator[str]:
    """Its address, while it is entered."""
    engine = open_engine(url)
    migrate(engine)
    fill(engine, certificates=CERTIFICATES, lots=LOTS)
    engine.dispose()
    ready, loop, leave, found = threading.Event(), asyncio.new_event_loop(), asyncio.Event(), []

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            ledger = await stack.enter_async_context(open_ledger(url, STATION, now_utc))
            station, filed = FakeStation(many_bays(BAYS)), filed_in(ledger, data)
            stack.push_async_callback(filed.close)
            specified = Specifications(ledger.store, now_utc)
            desk = Desk(
                *(ledger.custody, ledger.lots, ledger.intake, STATION, now_utc, end_none),
                filed=filed,
                specified=specified,
            )
            wall = Wall(station.snapshot)
            pages = pages_router(station, wall, custody=ledger.custody)
            pages.include_router(desk_pages(desk, station))
            app = await stack.enter_async_context(
                serve_http(station, listen="127.0.0.1:0", socket=None, desk=desk, pages=pages, wall=wall, is_demo=True)
            )
            found.append(f"http://127.0.0.1:{app.state.port}")
            ready.set()
            await leave.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(60)
        yield found[0]
    finally:
        loop.call_soon_threadsafe(leave.set)
        thread.join(30)
        loop.close()


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_first_pictures_with_a_hundred_thousand_certificates(
    benchmark: BenchmarkFixture, tmp_path: Path, new_postgresql: NewDatabase, database: str
) -> None:
    url = sqlite_url(tmp_path / "ledger.db") if database == "sqlite" else new_postgresql()
    slowest: dict[str, float] = {}
    with a_large_plant(url, tmp_path) as address, chromium() as browser:

        def look() -> None:
            for path in PATHS:
                with a_page(browser, address + path, "zh-CN") as page:
                    painted = page.evaluate(PAINTED) / 1000
                slowest[path] = min(slowest.get(path, painted), painted)

        benchmark.pedantic(look, rounds=3, iterations=1)
    for path, seconds in slowest.items():
        name = f"first picture of {path} ({database})"
        record(benchmark, Comparison(name, seconds, "the limit", MOST_SECONDS, "s", 1.0, Better.LOWER))
