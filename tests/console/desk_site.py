"""The desk's pages over a ledger of the test's own with lots and certificates in it, and Chromium to look at them."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from eraser.audits.filed import FiledAudits
from eraser.console.customers import Customers
from eraser.console.desk import Desk
from eraser.console.pages import pages_router
from eraser.console.pages.desk import desk_pages
from eraser.console.server import serve_http
from eraser.console.wall import Wall
from eraser.domain.events import Outcome
from eraser.domain.lot import Lot, LotPolicy
from eraser.ledger.attendances import Attendances
from eraser.ledger.engine import sqlite_url
from eraser.ledger.specifications import Specifications
from eraser.ledger.station_ledger import StationLedger, open_ledger
from eraser.rack.view import BayState
from tests.console.certified import erase, filed_in, sign_log
from tests.console.desks import STATION, end_none, now_utc, vault_in, withdrawing
from tests.console.serving import free_port
from tests.console.stations import FakeControls, FakeStation, a_busy_bay, a_snapshot, an_empty_bay
from tests.ledger.stories import drive_number

T = TypeVar("T")

CHROMIUM = "/usr/bin/chromium"
SWITCHES = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
PATIENCE_MS = 30_000
LOT = "SCHOOL-7"
EXPECTED = tuple(f"S{number:07}" for number in range(1, 9))


class DeskSite:
    """At `address` while it is open. Drives 1 and 2 of the lot have passed, 3 has failed, 6 is at work, 7 asks."""

    address = ""
    ids: tuple[str, ...] = ()
    """Of the certificates of drives 1, 2 and 3."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.station = FakeStation(
            a_snapshot(
                a_busy_bay("A1", lot=LOT, drive=drive_number(6)),
                a_busy_bay("A2", lot=LOT, drive=drive_number(7), state=BayState.ASKING, job_id=""),
                an_empty_bay("A3"),
            )
        )
        self.ledger: StationLedger | None = None
        self.controls = FakeControls()
        self._loop = asyncio.new_event_loop()
        self._ready, self._leave = threading.Event(), asyncio.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def open(self) -> None:
        self._thread.start()
        assert self._ready.wait(60)
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join(30)
        assert not self._thread.is_alive()

    def ask(self, work: Callable[[StationLedger], Coroutine[Any, Any, T]]) -> T:
        """What the station's ledger says, asked on its own loop."""
        assert self.ledger is not None
        return asyncio.run_coroutine_threadsafe(work(self.ledger), self._loop).result(30)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:  # told to whoever opened it
            self._failure = error
            self._ready.set()
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        async with open_ledger(sqlite_url(self.data / "ledger.db"), STATION, now_utc) as ledger:
            self.ledger = ledger
            await ledger.lots.put(Lot(LOT, LotPolicy("nist-800-88-clear"), "a school", EXPECTED), "demo")
            self.ids = tuple([await self._erased(ledger, number) for number in (1, 2, 3)])
            await sign_log(ledger, self.data)
            filed = filed_in(ledger, self.data)
            vault = vault_in(self.data)
            desk = Desk(
                ledger.custody,
                ledger.lots,
                ledger.intake,
                STATION,
                now_utc,
                end_none,
                withdrawing(ledger.store, self.data),
                filed=filed,
                check_url="https://plant.example",
                specified=Specifications(ledger.store, now_utc),
                attendances=Attendances(ledger.store, now_utc),
                controls=self.controls,
                audits=FiledAudits(ledger.store, filed.folders, now_utc, lambda: uuid.uuid4().hex),
                customers=Customers(vault),
            )
            wall = Wall(self.station.snapshot)
            pages = pages_router(self.station, wall)
            pages.include_router(desk_pages(desk, self.station))
            port = free_port()
            async with serve_http(
                self.station,
                listen=f"127.0.0.1:{port}",
                socket=None,
                desk=desk,
                pages=pages,
                wall=wall,
                is_demo=True,
            ):
                self.address = f"http://127.0.0.1:{port}"
                self._ready.set()
                await self._leave.wait()
            await filed.close()
            vault.close()

    async def _erased(self, ledger: StationLedger, number: int) -> str:
        outcome = Outcome.FAILED if number == 3 else Outcome.PASSED
        issued = await erase(ledger, self.data, drive_number(number), lot_id=LOT, outcome=outcome)
        return issued.certificate_id


@contextmanager
def chromium() -> Iterator[Browser]:
    """One browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def a_page(browser: Browser, address: str, language: str = "en", width: int = 1280, **more: Any) -> Iterator[Page]:
    """The page there; what its scripts complain about fails the test, but for a form that was refused (400)."""
    wrong: list[str] = []

    def complain(message: ConsoleMessage) -> None:
        if message.type == "error" and "status of 400" not in message.text:
            wrong.append(message.text)

    with browser.new_context(
        locale=language, viewport={"width": width, "height": 900}, bypass_csp=False, **more
    ) as context:
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", complain)
        page.goto(address)
        yield page
    assert wrong == []
