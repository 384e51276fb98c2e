"""A fake station that answers at a socket from a thread of its own, for what asks from outside."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

from eraser.console.server import serve_http
from tests.console.desks import a_desk
from tests.console.stations import FakeStation


@contextmanager
def answering(station: FakeStation, socket: Path, ledger: str = "", data: Path | None = None) -> Iterator[None]:
    """Serves the station there while it is entered, with a desk over the ledger at this URL if there is one; with a folder for
    keys and certificates that desk takes certificates back.
    """
    ready, loop, leave = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            desk = await stack.enter_async_context(a_desk(ledger, data)) if ledger else None
            await stack.enter_async_context(serve_http(station, listen=None, socket=socket, desk=desk))
            ready.set()
            await leave.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        yield
    finally:
        loop.call_soon_threadsafe(leave.set)
        thread.join(10)
        loop.close()
