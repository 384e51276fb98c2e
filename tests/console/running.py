"""A fake station that answers at a socket from a thread of its own, for what asks from outside."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

from eraser.console.server import serve_http
from tests.console.desks import a_desk
from tests.console.people import Plant, a_plant
from tests.console.stations import FakeStation


@contextmanager
def answering(station: FakeStation, socket: Path, ledger: str = "", data: Path | None = None) -> Iterator[None]:
    """Serves the station there while it is entered, with a desk over the ledger at this URL if there is one; with a folder for
    keys and certificates that desk takes certificates back.
    """

    async def enter(stack: AsyncExitStack) -> None:
        desk = await stack.enter_async_context(a_desk(ledger, data)) if ledger else None
        await stack.enter_async_context(serve_http(station, listen=None, socket=socket, desk=desk))

    with _in_a_thread(enter):
        yield


@contextmanager
def letting_in(folder: Path, *, is_demo: bool = False) -> Iterator[Plant]:
    """Serves a station with accounts, at a port and at `folder/eraser.sock`."""
    found: list[Plant] = []

    async def enter(stack: AsyncExitStack) -> None:
        found.append(await stack.enter_async_context(a_plant(folder, is_demo=is_demo)))

    with _in_a_thread(enter):
        yield found[0]


@contextmanager
def _in_a_thread(enter: Callable[[AsyncExitStack], Awaitable[None]]) -> Iterator[None]:
    ready, loop, leave = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            await enter(stack)
            ready.set()
            await leave.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(30)
        yield
    finally:
        loop.call_soon_threadsafe(leave.set)
        thread.join(30)
        loop.close()
