"""One run of the station's program, from its start to its end or its death."""

import asyncio
import math
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from unittest import mock

from eraser.certificates.issuer import Issued
from eraser.domain.bay import BayName
from eraser.domain.drive import Drive
from eraser.domain.job import JobState
from eraser.ledger.errors import LedgerFull
from eraser.rack import station
from eraser.rack.erasing import Request, Station
from eraser.rack.history import LedgerHistory
from eraser.rack.intake import Terms
from eraser.rack.presence import Event, Presence
from eraser.rack.station import Rack
from eraser.rack.view import BaySnapshot
from eraser.rack.watchdog import Watch
from tests.rack.simulated_time import SimulatedTimeLoop
from tests.simulation.drives import TUNING, FaultyDrive, StillHangs
from tests.simulation.journal import Disk, LossyJournal, Writing

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")


class Papers:
    """The certificates, on a disk that keeps them. `eraser.rack.erasing.Issuer`."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.issued: dict[str, list[str]] = {}

    def __call__(self, state: JobState) -> Issued:
        self._world.checks.certificate_asked(state)
        if state.job_id not in self.issued:
            self.add(state)
        name = self.issued[state.job_id][-1]
        return Issued(name, Path(name), b"")

    def add(self, state: JobState) -> None:
        names = self.issued.setdefault(state.job_id, [])
        names.append(f"{state.job_id}-{len(names) + 1}")
        self._world.tell(f"certificate {names[-1]}: {state.outcome}")

    def keep_hashes(self, state: JobState, leaves: tuple[bytes, ...]) -> None:
        """They are in nobody's way."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where drives are received: `eraser.rack.intake.Reception`, as lots would have it."""

    request: Request
    starts_by_itself: bool
    world: "World"
    disk: Disk

    async def take_in(self, drive: Drive, bay: BayName, known_tag: str = "", *, ordered_by: str | None = None) -> Terms:
        await asyncio.sleep(self.disk.latency())
        if self.disk.is_full:
            raise LedgerFull("there is no room", subject=bay)
        found = self._plugged(drive)
        customer_waits = found is not None and found.customer_waits
        deadline = found.deadline if found is not None else math.inf
        return Terms(self.request, self.starts_by_itself, customer_waits=customer_waits, deadline=deadline)

    def _plugged(self, drive: Drive) -> FaultyDrive | None:
        """The very drive that was identified; None where it is out again, and whatever holds it finds that out."""
        pluggings = self.world.slots.values()
        return next((found.disk for found in pluggings if found.number == drive.disk_sequence), None)

    async def set_aside(self, drive: Drive, bay: BayName, reason: str, known_tag: str = "") -> None:
        await asyncio.sleep(self.disk.latency())

    async def seen_twice(self, drive: Drive, bay: BayName, what: str, known_tag: str = "") -> None:
        await asyncio.sleep(self.disk.latency())

    async def has_consented(self, drive: Drive, known_tag: str = "") -> bool:
        await asyncio.sleep(0.002)
        found = self._plugged(drive)
        return found is None or found.has_consented

    def place_of(self, bay: BayName) -> str:
        return bay


class Program:
    """The station's program over the world. Also what it hears of drives: `eraser.rack.hotplug.DriveEvents`."""

    def __init__(self, world: "World", disk: Disk, papers: Papers, desk: Desk, loop: SimulatedTimeLoop) -> None:
        self.world = world
        self.loop = loop
        self.writings: list[Writing] = []
        self.journal = LossyJournal(self, disk)
        self.is_alive = True
        self.began_at = world.now
        self.stops_at: float | None = None
        self.parts = Station(
            journal=self.journal,
            issue=papers,
            now_utc=self.now_utc,
            random_bytes=world.chance.randbytes,
            new_id=lambda: f"job-{next(world.numbers)}",
            tune=lambda drive: TUNING,
            hold=world.hold,
            call=self.call,
            waits_for_room=True,
        )
        self._presence = Presence()
        self._events: deque[Event] = deque()
        self._news = asyncio.Event()
        world.when_slots_change = self._news.set
        self._news.set()
        self.watch = Watch(thermometer=world.celsius)
        with mock.patch.object(station.structlog, "get_logger", lambda: Log(self)):
            self.rack = Rack(
                self.parts, world, self, world.bay_map, desk, LedgerHistory(self.journal), watch=self.watch
            )  # type: ignore[arg-type]
        world.checks.program_begins()

    def now_utc(self) -> str:
        """The wall clock jumps."""
        return f"{self.world.now + self.world.clock_offset:.3f}"

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Done by the program's own threads: not after its death."""
        self.loop.call_later(seconds, lambda: action() if self.is_alive else None)

    async def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """`eraser.rack.blocking.in_own_thread`: whoever stops waiting does not stop the function."""
        future: asyncio.Future[T] = self.loop.create_future()

        def work() -> None:
            try:
                result, error = function(*args, **kwargs), None
            except StillHangs:
                self.later(1.0, work)
                return
            except Exception as failure:
                result, error = None, failure
            self.later(0.002, lambda: settle(result, error))

        def settle(result: T | None, error: Exception | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]

        self.later(self.world.chance.choice((0.0, 0.01, 0.05)), work)
        return await future

    async def next(self) -> Event:
        while not self._events:
            due = self._presence.next_due()
            try:
                async with asyncio.timeout_at(due):
                    await self._news.wait()
            except TimeoutError:
                pass
            if self._news.is_set():
                self._news.clear()
                seen = self.world.sightings()
                self._events.extend(self._presence.look(self._presence.names | set(seen), seen, self.loop.now))
            self._events.extend(self._presence.settled(self.loop.now))
        return self._events.popleft()

    def bay(self, name: str) -> BaySnapshot:
        """How it stands now, not at the last tick."""
        return self.rack._bays[BayName(name)].snapshot()

    def shown(self, name: str) -> int:
        """The number of the plugging that the bay shows, 0 where it shows none."""
        drive = self.rack._bays[BayName(name)].drive
        return drive.disk_sequence if drive is not None else 0

    def attended(self, name: str) -> int:
        """The number of the plugging that the bay has to do with now, 0 for none."""
        sighting = self.rack._bays[BayName(name)].sighting
        return sighting.instance if sighting is not None else 0

    def stop(self) -> None:
        """As by SIGTERM."""
        self.stops_at = self.world.now
        self.rack.stop()

    def die(self) -> None:
        """Nothing of it does anything any more; what it had sent to the drives is on its way."""
        self.is_alive = False
        for writing in self.writings:
            writing.crash()
        for held in self.world.helds:
            held.die()
        self.world.helds.clear()
        tasks = sorted(asyncio.all_tasks(self.loop), key=hash)
        self.world.end()
        self.loop.set_exception_handler(lambda loop, context: None)
        for task in tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            _drop(task)
        self.loop.close()


def _drop(task: "asyncio.Task[Any]") -> None:
    """Takes a coroutine away from where it waits; what its `finally` would do needs a program that lives."""
    try:
        task.get_coro().close()  # type: ignore[union-attr]
    except BaseException:
        return


class Log:
    """What the program says, laid before the checks and into the diary. The dead say nothing."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def info(self, event: str, **fields: Any) -> None:
        if not self._program.is_alive:
            return
        if event == "job begins":
            self._program.world.when_something_happens(fields["bay"])
        if "bay" in fields:
            self._program.world.checks.bay_says(fields["bay"], event, fields, self._program.shown(fields["bay"]))
        self._program.world.tell(f"log: {event} {fields}")

    debug = warning = error = info

    def exception(self, event: str, **fields: Any) -> None:
        if self._program.is_alive:
            error = sys.exc_info()[1]
            self._program.world.checks.fail(f"{event}: {error!r} {fields}", error)
