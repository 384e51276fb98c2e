"""A station's pages in a real browser: a station of the test's own, or a simulated one, and Chromium to look at it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from eraser.console.pages import pages_router
from eraser.console.server import serve_http
from eraser.console.wall import Wall
from eraser.domain.events import Entry
from eraser.domain.sayings import Code, say
from eraser.errors import UsageError
from eraser.rack.view import BaySnapshot, BayState, StationSnapshot
from tests.console.serving import free_port
from tests.console.stations import SLOW, FakeStation, a_snapshot
from tests.domain.builders import IDENTITY, a_drive
from tests.rack.serving import Serving, serving

CHROMIUM = "/usr/bin/chromium"
SWITCHES = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 20_000
LANGUAGES = ("zh-CN", "en")


class Site:
    """The pages of a fake station at `address`. `close` and `open` take them away and back, at the same port."""

    def __init__(self, station: FakeStation, entries: tuple[Entry, ...] = ()) -> None:
        self.station = station
        self.wall = Wall(station.snapshot)
        self._entries = entries
        self.port = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        """Answers when it returns. The first time at any free port, which another process may take before us."""
        for _ in range(5):
            self._failure: BaseException | None = None
            port = self.port or free_port()
            self._ready, self._loop, self._leave = threading.Event(), asyncio.new_event_loop(), asyncio.Event()
            self._thread = threading.Thread(target=self._run, args=(port,))
            self._thread.start()
            assert self._ready.wait(20)
            if self._failure is None:
                self.port = port
                return
            self._thread.join()
        raise self._failure

    def _run(self, port: int) -> None:
        async def serve() -> None:
            pages = pages_router(self.station, self.wall, entries=self._of_job if self._entries else None)
            try:
                listen = f"127.0.0.1:{port}"
                async with serve_http(
                    self.station, listen=listen, socket=None, pages=pages, wall=self.wall, is_demo=True
                ):
                    self._ready.set()
                    await self._leave.wait()
            except UsageError as error:
                self._failure = error
                self._ready.set()

        self._loop.run_until_complete(serve())
        self._loop.close()

    async def _of_job(self, job_id: str) -> tuple[Entry, ...]:
        return self._entries

    def close(self) -> None:
        """Nobody answers any more when it returns."""
        self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join(20)
        assert not self._thread.is_alive()

    def change(self, name: str, **changes: Any) -> None:
        """Lets something happen in a bay."""
        bays = self.station.shown.bays
        changed = tuple(replace(bay, **changes) if bay.name == name else bay for bay in bays)
        self.station.shown = replace(self.station.shown, bays=changed)


@contextmanager
def a_site(shown: StationSnapshot, entries: tuple[Entry, ...] = ()) -> Iterator[Site]:
    """Open until the block ends."""
    site = Site(FakeStation(shown), entries)
    site.open()
    try:
        yield site
    finally:
        if site._thread.is_alive():
            site.close()


@contextmanager
def a_simulated_rack(folders: pytest.TempPathFactory, bays: int) -> Iterator[tuple[Serving, str]]:
    """`eraser serve` over a fictional rack in a hurry, at work when this is entered; and its address."""
    for attempt in range(5):
        port = free_port()
        data = folders.mktemp(f"rack{attempt}") / "data"
        with serving(data, "--simulate", bays, "--fast", "--listen", f"127.0.0.1:{port}") as station:
            try:
                station.until(lambda seen: seen["job begins"] >= 1, within_s=60)
            except AssertionError:
                if station.process.poll() is None or attempt == 4:
                    raise
                continue  # another process has taken the port meanwhile
            yield station, f"http://127.0.0.1:{port}"
            return


@contextmanager
def chromium() -> Iterator[Browser]:
    """One browser, which asks nobody but who is visited."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        try:
            yield browser
        finally:
            browser.close()


def a_context(browser: Browser, language: str = "en", width: int = 1280, **options: Any) -> BrowserContext:
    """A fresh browser profile of somebody who reads this language."""
    size = {"width": width, "height": options.pop("height", 800)}
    context = browser.new_context(viewport=size, locale=language, reduced_motion="reduce", **options)
    context.set_default_timeout(PATIENCE_MS)
    return context


@contextmanager
def a_page(browser: Browser, address: str, language: str = "en", width: int = 1280, **options: Any) -> Iterator[Page]:
    """A page there, live; fails for every error that a script or the page's own policy reports."""
    context = a_context(browser, language, width, **options)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if "Security Policy" in message.text else None)
    page.goto(address)
    if page.locator("#live-at").count():
        expect(page.locator("#live-at")).not_to_be_empty(timeout=PATIENCE_MS)
    try:
        yield page
        assert not wrong, wrong
    finally:
        context.close()


def a_rack_of_all_states() -> StationSnapshot:
    """Shelves of eight with a bay in each state, one without a place, an empty column, and something of everything."""
    bays = [_bay(index, state) for index, state in enumerate(BayState)]
    return a_snapshot(*bays, replace(bays[0], name="desk", shelf="", row=0, column=0))


def _bay(index: int, state: BayState) -> BaySnapshot:
    shelf = "AB"[index // 8]
    bay = BaySnapshot(name=f"{shelf}{index % 8 + 1}", state=state, shelf=shelf, row=1, column=index % 8 + 1)
    if state is BayState.EMPTY:
        return bay
    serial = f"S3R1AL{index:03}"
    drive = a_drive(identity=replace(IDENTITY, serial=serial), disk_sequence=index + 1)
    bay = replace(bay, sighting=f"seen-{index}", drive=drive, job_id=f"{index:032x}", standard="nist-800-88-clear")
    match state:
        case BayState.WRITING:
            return _at_work(bay, "writing", passes=3, pass_number=2, temperature_celsius=41.4)
        case BayState.VERIFYING:
            return _at_work(bay, "verifying", alarms=("slow",), alarm_sayings=(SLOW,))
        case BayState.PAUSED:
            hot = say(Code.HOT, celsius=61, most=60)
            bay = replace(bay, pauses=("heat",), waiting=(say(Code.RESTS_FOR_HEAT, celsius=50),))
            return _at_work(bay, "writing", alarms=("hot",), alarm_sayings=(hot,), temperature_celsius=61)
        case BayState.WAITING:
            return replace(bay, waiting=(say(Code.WAITS_FOR_DRIVES, active=6, domain="hba-A", most=6),))
        case BayState.ASKING:
            return replace(bay, waiting=(say(Code.NOT_BY_ITSELF),))
        case BayState.FAILED:
            reasons = (say(Code.MISMATCH, count=384), say(Code.NOT_VERIFIED, count=4096))
            return replace(bay, reasons=reasons, certificate=f"{serial}-0c8f.json", lot="lot-7", asset_tag="T-1")
        case BayState.REFUSED | BayState.INTERRUPTED | BayState.HELD:
            return replace(bay, reasons=(say(Code.OUT_OF_SIGHT, why=say(Code.DRIVE_LEFT)),))
        case _:
            return bay


def _at_work(bay: BaySnapshot, stage: str, **changes: Any) -> BaySnapshot:
    work = {
        "stage": stage,
        "pass_number": 1,
        "passes": 1,
        "done_bytes": 253_000_000_000,
        "total_bytes": 1_000_204_886_016,
        "written_bytes": 1_253_000_000_000,
        "bytes_per_second": 210.4e6,
        "eta_seconds": 3905.0,
    }
    return replace(bay, **(work | changes))


def many_bays(count: int) -> StationSnapshot:
    """So many bays at work, in shelves of eight."""
    bays = []
    for index in range(count):
        shelf, column = chr(ord("A") + index // 8), index % 8 + 1
        bay = _bay(list(BayState).index(BayState.WRITING), BayState.WRITING)
        bays.append(replace(bay, name=f"{shelf}{column}", shelf=shelf, column=column, sighting=f"seen-{index}"))
    return a_snapshot(*bays)


def certificates_in(data: Path) -> int:
    return len(list((data / "certificates").glob("*.json")))
