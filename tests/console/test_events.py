"""The live stream: what a page hears, after a while away too, and that nobody who listens costs the others anything."""

from __future__ import annotations

import asyncio
import json
import resource
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from eraser.console import events
from eraser.console.events import Broadcast
from eraser.domain.account import Role
from eraser.domain.sayings import recalled
from tests.console.people import Plant
from tests.console.serving import ask, connect
from tests.console.stations import FakeStation, a_busy_bay, a_snapshot, an_empty_bay
from tests.console.test_server import assert_problem

SECONDS = 60


@dataclass(frozen=True)
class Event:
    kind: str
    id: str
    data: dict[str, Any]


class Listener:
    """A page that listens."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def next(self) -> Event:
        """The next event, within SECONDS."""
        said: dict[str, str] = {}
        async with asyncio.timeout(SECONDS):
            while True:
                line = (await self._reader.readline()).decode().rstrip("\n")
                assert line or said or not self._reader.at_eof(), "the stream ended"
                name, _, value = line.partition(": ")
                if name in ("event", "id", "data"):
                    said[name] = value
                elif not line and "data" in said:
                    return Event(said["event"], said["id"], json.loads(said["data"]))

    async def until(self, wanted) -> Event:
        """The first event of which this holds."""
        while not wanted(event := await self.next()):
            pass
        return event

    async def ends(self) -> bool:
        async with asyncio.timeout(SECONDS):
            while await self._reader.read(65536):
                pass
        return True


@asynccontextmanager
async def listening(plant: Plant, last_event_id: str = "", **headers: str) -> AsyncIterator[Listener]:
    reader, writer = await connect(plant.port)
    head = {"host": "localhost", **headers} | ({"last-event-id": last_event_id} if last_event_id else {})
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in head.items())
    writer.write(f"GET /api/v1/events HTTP/1.1\r\n{lines}\r\n".encode())
    yield Listener(reader)
    writer.close()


def by_name(event: Event) -> dict[str, dict[str, Any]]:
    return {bay["name"]: bay for bay in event.data["bays"]}


async def test_a_page_hears_the_whole_first_and_then_what_changed(demo: Plant) -> None:
    async with listening(demo) as page:
        first = await page.next()
        assert (first.kind, list(by_name(first))) == ("whole", ["A1", "A2"])
        assert by_name(first)["A1"]["drive"]["serial"] == "S3R1AL"
        assert "latency_us_buckets" not in by_name(first)["A1"]
        demo.station.shown = a_snapshot(a_busy_bay(done_bytes=300), an_empty_bay(), is_draining=True)
        changed = await page.until(lambda event: event.data["bays"])
        assert changed.kind == "changes"
        assert changed.data["bays"] == [{"name": "A1", "done_bytes": 300}]
        assert changed.data["is_draining"] is True


async def test_a_page_that_was_away_hears_what_it_missed_and_nothing_else(demo: Plant) -> None:
    async with listening(demo) as page:
        left_at = (await page.next()).id
        demo.station.shown = a_snapshot(a_busy_bay(done_bytes=300), an_empty_bay())
        await page.until(lambda event: event.data["bays"])
        async with listening(demo, left_at) as again:
            missed = await again.next()
    assert missed.kind == "changes"
    assert list(by_name(missed)) == ["A1"]
    assert by_name(missed)["A1"]["done_bytes"] == 300


@pytest.mark.parametrize("last", ["0badcafe-1", "x", "-", "1-99999999999999999999", "\u0661-\u0661"])
async def test_a_page_of_another_run_hears_the_whole(demo: Plant, last: str) -> None:
    async with listening(demo, last) as page:
        assert (await page.next()).kind == "whole"


async def test_a_bay_that_comes_or_goes_makes_it_whole_again(demo: Plant) -> None:
    async with listening(demo) as page:
        await page.next()
        demo.station.shown = a_snapshot(a_busy_bay())
        told = await page.until(lambda event: event.kind == "whole")
        assert list(by_name(told)) == ["A1"]


def test_all_who_know_the_same_get_the_same_bytes() -> None:
    station = FakeStation()
    source = Broadcast(station.snapshot)
    source.tick()
    source.tick()
    assert source.since(1) is source.since(1)
    assert source.since(0) is source.since(0)
    assert station.snapshots == 2


def test_one_who_missed_ticks_gets_what_changed_in_all_of_them_at_once() -> None:
    station = FakeStation(a_snapshot(a_busy_bay("A1"), a_busy_bay("A2"), an_empty_bay("A3")))
    source = Broadcast(station.snapshot)
    source.tick()
    for name in ("A1", "A2"):
        bays = [a_busy_bay(bay, done_bytes=900 if bay <= name else 250) for bay in ("A1", "A2")]
        station.shown = a_snapshot(*bays, an_empty_bay("A3"))
        source.tick()
    told = json.loads(source.since(1).split(b"data: ")[1])
    assert [bay["name"] for bay in told["bays"]] == ["A1", "A2"]


def test_nobody_listens_and_nothing_is_done() -> None:
    station = FakeStation()
    source = Broadcast(station.snapshot, tick_seconds=0.001)

    async def idle() -> None:
        running = asyncio.create_task(source.run())
        await asyncio.sleep(0.05)
        running.cancel()

    asyncio.run(idle())
    assert station.snapshots == 0


async def test_a_station_that_cannot_be_looked_at_ends_no_stream(demo: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening(demo) as page:
        await page.next()

        def broken() -> None:
            raise RuntimeError("for a while")

        with monkeypatch.context() as patch:
            patch.setattr(demo.station, "shown", None)
            await asyncio.sleep(1)
        assert (await page.next()).data["bays"] == []


async def test_the_stream_ends_for_whoever_may_no_longer_listen(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.2)
    await plant.hire("Boss", Role.ADMINISTRATOR)
    entry = await plant.entry_of(Role.OPERATOR)
    async with listening(plant, cookie=entry["cookie"]) as page:
        await page.next()
        boss = await ask(plant.socket, "PATCH", "/api/v1/accounts/the%20operator", {"is_disabled": True})
        assert boss.status == 200
        assert await page.ends()


async def test_one_too_many_is_told_so(demo: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_CLIENTS", 2)
    async with listening(demo) as one, listening(demo) as other:
        await one.next()
        await other.next()
        assert_problem(await ask(demo.port, "GET", "/api/v1/events"), 503, "busy")


async def test_whoever_leaves_makes_room(demo: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_CLIENTS", 1)
    async with listening(demo) as page:
        await page.next()
    async with asyncio.timeout(SECONDS):
        while True:
            async with listening(demo) as page:
                try:
                    await page.next()
                    return
                except AssertionError:
                    await asyncio.sleep(0.05)


async def test_one_that_takes_nothing_is_given_up_and_keeps_nobody_waiting(
    demo: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "SLOW_SECONDS", 0.5)
    many = [a_busy_bay(f"A{number}", reasons=(recalled("x" * 20_000),)) for number in range(200)]
    demo.station.shown = a_snapshot(*many)
    _, writer = await connect(demo.port)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(b"GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n")
    async with listening(demo) as page:
        for number in range(6):
            demo.station.shown = a_snapshot(*many[:-1], a_busy_bay("A199", done_bytes=number))
            await page.next()
        source = demo.events
        async with asyncio.timeout(SECONDS):
            while source.clients > 1:
                await page.next()
    writer.close()


@pytest.mark.serial
async def test_a_thousand_listen_and_the_next_is_refused(demo: Plant) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    writers = []
    try:
        readers = []
        for _ in range(events.MAX_CLIENTS):
            reader, writer = await connect(demo.port)
            writer.write(b"GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n")
            readers.append(reader)
            writers.append(writer)
        pages = [Listener(reader) for reader in readers]
        assert {event.kind for event in await asyncio.gather(*(page.next() for page in pages))} == {"whole"}
        assert_problem(await ask(demo.port, "GET", "/api/v1/events"), 503, "busy")
        began = time.monotonic()
        assert (await ask(demo.port, "GET", "/api/v1/bays")).status == 200
        assert time.monotonic() - began < 2
        assert await asyncio.gather(*(page.next() for page in pages))
    finally:
        for writer in writers:
            writer.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.serial
async def test_ninety_six_busy_bays_for_twenty_pages_cost_less_than_a_tenth_of_a_core(demo: Plant) -> None:
    ticks = 0

    def busy() -> object:
        nonlocal ticks
        ticks += 1
        bays = [
            a_busy_bay(f"A{number}", done_bytes=ticks * 1000, bytes_per_second=1e8 + ticks, eta_seconds=9e3 - ticks)
            for number in range(96)
        ]
        return a_snapshot(*bays)

    source = Broadcast(busy)  # type: ignore[arg-type]
    bytes_sent = [0]

    async def send(message: dict[str, Any]) -> None:
        bytes_sent[0] += len(message.get("body", b""))

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(3600)
        return {}

    async def may_listen() -> bool:
        return True

    running = asyncio.create_task(source.run())
    pages = [asyncio.create_task(source.stream("", may_listen)({"type": "http"}, receive, send)) for _ in range(20)]
    await asyncio.sleep(1)
    began, ticks_then = time.process_time(), ticks
    await asyncio.sleep(5)
    share = (time.process_time() - began) / 5
    for task in (running, *pages):
        task.cancel()
    await asyncio.gather(running, *pages, return_exceptions=True)
    assert ticks - ticks_then >= 8
    assert bytes_sent[0] > 0
    assert share < 0.1, share
