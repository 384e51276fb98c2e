"""Live state as server-sent events: one snapshot a tick, put into bytes once, for every page that is open.

`id` names a tick of this run of the station. Two kinds of event, whose `data` has one shape: `whole`, with every bay, and
`changes`, in which `bays` holds only what changed since the event before it: per bay its `name` and the fields that are
another (or all of them). A page merges field by field. Each tick has an event, also where only `at` is new: whoever hears none
for three ticks shows something stale.

Nothing waits in a queue for a slow client: when it can take more, it gets what changed since what it got last, at once.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import fields
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from eraser.console.forms import JobCount
from eraser.console.problems import Busy
from eraser.errors import EraserError
from eraser.rack.view import BaySnapshot, StationSnapshot

TICK_SECONDS = 0.5
RETRY_MS = 2000
"""After how long a browser comes back."""
HEARTBEAT_SECONDS = 15.0
"""A client hears something at least so often; and as often it is asked whether it may still listen."""
SLOW_SECONDS = 30.0
"""A client that takes nothing for so long is given up."""
MAX_CLIENTS = 1000

_UNSENT = frozenset({"latency_us_buckets", "drive"})
_FIELDS = tuple(item.name for item in fields(BaySnapshot) if item.name not in _UNSENT)

MayListen = Callable[[], Awaitable[bool]]
_log = logging.getLogger(__name__)


def bay_line(bay: BaySnapshot) -> dict[str, Any]:
    """A bay as it is sent: as `BaySnapshot`, without latencies, and of the drive what people call it by."""
    line = {name: getattr(bay, name) for name in _FIELDS}
    line["drive"] = _drive_line(bay)
    return line


def _drive_line(bay: BaySnapshot) -> dict[str, Any] | None:
    if bay.drive is None:
        return None
    identity, geometry = bay.drive.identity, bay.drive.geometry
    return {
        "path": bay.drive.path,
        "manufacturer": identity.manufacturer,
        "model": identity.model,
        "serial": identity.serial,
        "transport": bay.drive.transport,
        "media": bay.drive.media,
        "capacity_bytes": geometry.capacity_bytes,
    }


def _station_line(snapshot: StationSnapshot) -> dict[str, Any]:
    return {
        "at": snapshot.at,
        "is_ready": not snapshot.problems,
        "is_draining": snapshot.is_draining,
        "is_ledger_full": snapshot.is_ledger_full,
        "troubles": snapshot.troubles,
        "queue": dict(snapshot.queue),
        "jobs": [JobCount(*key, count) for key, count in sorted(snapshot.jobs.items())],
    }


class Broadcast:
    """The stream's one source. `run` ticks while somebody listens; `stream` answers one client."""

    def __init__(
        self,
        snapshot: Callable[[], StationSnapshot],
        *,
        tick_seconds: float = TICK_SECONDS,
        beside: Callable[[StationSnapshot], dict[str, Any]] = lambda _: {},
    ) -> None:
        """`beside`: what else each event tells of the station."""
        self._snapshot = snapshot
        self._beside = beside
        self._tick_seconds = tick_seconds
        self._epoch = secrets.token_hex(4)
        self._tick = 0
        self._station: dict[str, Any] = {}
        self._bays: dict[str, BaySnapshot] = {}
        self._lines: dict[str, dict[str, Any]] = {}
        self._changed_at: dict[str, int] = {}
        self._shape_at = 0
        """When a bay came or went: who knows less than that needs the whole."""
        self._rendered: dict[int, bytes] = {}
        """This tick's event by the tick that its reader knows; 0: who knows nothing."""
        self._clients: set[_Client] = set()
        self._is_wanted = asyncio.Event()

    @property
    def clients(self) -> int:
        """How many listen."""
        return len(self._clients)

    async def run(self) -> None:
        """Ticks until it is cancelled. Where nobody listens it does nothing."""
        loop = asyncio.get_running_loop()
        while True:
            await self._is_wanted.wait()
            due = loop.time() + self._tick_seconds
            self.tick()
            await asyncio.sleep(max(0.0, due - loop.time()))

    def tick(self) -> None:
        """Takes a snapshot and wakes everybody."""
        try:
            self._take(self._snapshot())
        except Exception:  # outermost edge: the pages show that nothing comes, the station goes on
            _log.exception("the live state could not be made")
            return
        for client in self._clients:
            client.wake.set()

    def _take(self, snapshot: StationSnapshot) -> None:
        self._tick += 1
        self._station = _station_line(snapshot) | self._beside(snapshot)
        names = {bay.name for bay in snapshot.bays}
        if names != self._lines.keys():
            self._shape_at = self._tick
            self._lines = {name: line for name, line in self._lines.items() if name in names}
        changes = []
        for bay in snapshot.bays:
            if self._bays.get(bay.name) == bay:
                continue
            line, before = bay_line(bay), self._lines.get(bay.name, {})
            changed = {key: value for key, value in line.items() if key not in before or before[key] != value}
            if changed:
                changes.append({"name": bay.name, **changed})
                self._changed_at[bay.name] = self._tick
                self._lines[bay.name] = line
        self._bays = {bay.name: bay for bay in snapshot.bays}
        self._rendered = {}
        if self._shape_at < self._tick:
            self._rendered[self._tick - 1] = self._event("changes", changes)

    def since(self, known: int) -> bytes:
        """The event that brings whoever knows this tick to the present one; the same bytes for all who know the same."""
        if known < self._shape_at or known > self._tick:
            known = 0
        if known not in self._rendered:
            if known == 0:
                event = self._event("whole", [self._lines[name] for name in self._bays])
            else:
                late = [self._lines[name] for name in self._bays if self._changed_at[name] > known]
                event = self._event("changes", late)
            self._rendered[known] = event
        return self._rendered[known]

    def _event(self, kind: str, bays: list[dict[str, Any]]) -> bytes:
        data = msgspec.json.encode({**self._station, "bays": bays})
        return f"event: {kind}\nid: {self._epoch}-{self._tick}\ndata: ".encode() + data + b"\n\n"

    def _known_by(self, last_event_id: str) -> int:
        epoch, _, tick = last_event_id.partition("-")
        return int(tick) if epoch == self._epoch and tick.isascii() and tick.isdigit() and len(tick) < 16 else 0

    def stream(self, last_event_id: str, may_listen: MayListen) -> "EventStream":
        """The answer to one client. Raises Busy where MAX_CLIENTS listen already."""
        if len(self._clients) >= MAX_CLIENTS:
            raise Busy("too-many-listeners", "too many pages are open", remedy="Close some, or try again later.")
        return EventStream(self, self._known_by(last_event_id), may_listen)

    def add(self, client: "_Client") -> None:
        """It hears the present state, or the next if there is none that is fresh."""
        if not self._clients:
            self.tick()
        self._clients.add(client)
        self._is_wanted.set()
        client.wake.set()

    def remove(self, client: "_Client") -> None:
        """It hears nothing more."""
        self._clients.discard(client)
        if not self._clients:
            self._is_wanted.clear()

    def close(self) -> None:
        """Ends all streams, so that the station stops at once: no browser ends one by itself."""
        for client in self._clients:
            client.is_over = True
            client.wake.set()

    @property
    def now(self) -> int:
        """The present tick; 0 before the first."""
        return self._tick


class _Client:
    """One that listens: woken at each tick and when it has gone."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self.is_gone = False
        self.is_over = False
        """Whether the station wants to stop."""


class EventStream:
    """An ASGI answer that ends when the client goes, may no longer listen, or takes nothing for SLOW_SECONDS."""

    def __init__(self, source: Broadcast, known: int, may_listen: MayListen) -> None:
        self._source = source
        self._known = known
        self._may_listen = may_listen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        client = _Client()
        watching = asyncio.create_task(_watch(receive, client))
        self._source.add(client)
        try:
            await self._send_all(client, send)
        except TimeoutError:
            # To close it in good order, what it did not take would have to be sent first.
            scope["state"]["abort"]()
            await client.wake.wait()
        finally:
            self._source.remove(client)
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def _send_all(self, client: _Client, send: Send) -> None:
        loop = asyncio.get_running_loop()
        await _send(send, f"retry: {RETRY_MS}\n\n".encode())
        to_ask = loop.time() + HEARTBEAT_SECONDS
        while not client.is_gone and not client.is_over:
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await client.wake.wait()
            except TimeoutError:
                await _send(send, b": nothing new\n\n")
            client.wake.clear()
            if loop.time() >= to_ask:
                if not await self._is_allowed():
                    break
                to_ask = loop.time() + HEARTBEAT_SECONDS
            if self._source.now != self._known and not client.is_gone and not client.is_over:
                event, self._known = self._source.since(self._known), self._source.now
                await _send(send, event)
        if not client.is_gone:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _is_allowed(self) -> bool:
        try:
            return await self._may_listen()
        except EraserError:
            return False


async def _send(send: Send, content: bytes) -> None:
    async with asyncio.timeout(SLOW_SECONDS):
        await send({"type": "http.response.body", "body": content, "more_body": True})


async def _watch(receive: Receive, client: _Client) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    client.is_gone = True
    client.wake.set()
