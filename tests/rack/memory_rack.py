"""A whole station over drives in memory, in simulated time and without threads."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from eraser.certificates.issuer import Issued
from eraser.domain.bay import BandwidthDomain, Bay, BayMap, BayName, Place, PlaceKind, PlacePattern, PowerDomain
from eraser.domain.drive import Drive
from eraser.domain.evidence import EndReason, TransferReport
from eraser.domain.job import JobState
from eraser.engine.transfer import Order, Snapshot
from eraser.engine.tuning import Tuning
from eraser.errors import DriveError, Refused
from eraser.ledger.journal import FileJournal, Journal
from eraser.ledger.sql_journal import SqlJournal
from eraser.rack.erasing import Issuer, Request, Station
from eraser.rack.filing import JournalOfFiles
from eraser.rack.history import LedgerHistory
from eraser.rack.intake import Intake, Reception
from eraser.rack.presence import Arrived, Event, Left, Sighting
from eraser.rack.station import Rack
from eraser.rack.surroundings import Light
from eraser.rack.view import BaySnapshot, BayState
from eraser.rack.watchdog import Watch
from tests.domain.builders import IDENTITY, seeded_chance
from tests.rack.file_history import FileHistory
from tests.rack.simulated import SECTOR, SimulatedDrive, SimulatedTransfer
from tests.rack.simulated_time import at_once, run

STEP_SECONDS = 1.0
"""A transfer's way from one checkpoint to the next."""
TUNING = Tuning(block_bytes=SECTOR, queue_depth=1, checkpoint_bytes=8 * SECTOR, no_progress_seconds=60.0)


class TimedTransfer(SimulatedTransfer):
    """Takes its time, rests when it is told to, and hangs when its drive does."""

    def __init__(self, drive: "MemoryDrive", order: Order, tuning: Tuning) -> None:
        super().__init__(drive, order, tuning)
        self._memory = drive
        self._no_progress_seconds = tuning.no_progress_seconds
        self._hung_seconds = 0.0

    async def changed(self, timeout_seconds: float) -> None:
        if self.has_ended:
            return
        if not self._memory.hangs:
            self._hung_seconds = 0.0
        else:
            await asyncio.sleep(timeout_seconds)
            self._hung_seconds += timeout_seconds
            if self._hung_seconds > self._no_progress_seconds:
                self.kill(EndReason.NO_PROGRESS)
            return
        await asyncio.sleep(self._memory.step_seconds)
        if not self._is_paused or self._is_cancelled or self._memory.is_gone:
            await super().changed(timeout_seconds)

    def snapshot(self) -> Snapshot:
        shown = super().snapshot()
        return replace(shown, oldest_io_seconds=self._hung_seconds, retries=self._retries(shown.position_bytes))

    async def finish(self) -> tuple[TransferReport, bool]:
        report, _ = await super().finish()
        retries = self._retries(report.end_position_bytes) + self._memory.retries_at_end
        return replace(report, retries=retries), not self._memory.hangs

    def _retries(self, position_bytes: int) -> int:
        return position_bytes // SECTOR * self._memory.retries_per_sector


@dataclass
class MemoryDrive(SimulatedDrive):
    """A drive with a serial number of its own, held by one job at a time or the test fails."""

    serial: str = "S1"
    hangs: bool = False
    step_seconds: float = STEP_SECONDS
    reallocated_sectors: int | None = None
    retries_per_sector: int = 0
    retries_at_end: int = 0
    """Of each transfer, that only its report tells of."""
    celsius: float | None = None
    used_by: str = ""
    is_held: bool = False

    @property
    def drive(self) -> Drive:
        return replace(super().drive, path=f"/dev/{self.serial}", identity=replace(IDENTITY, serial=self.serial))

    @property
    def has_customers_data(self) -> bool:
        return b"customer" in self.cache

    async def transfer(self, order: Order, tuning: Tuning, rate_limit: int) -> TimedTransfer:
        return TimedTransfer(self, order, tuning)

    def close(self) -> None:
        self.is_held = False
        super().close()


@dataclass
class MemoryRack:
    """Its bays are A1, A2, …; what is in them. Implements `DriveEvents`, `DriveAccess` and `Hold`."""

    plugged: dict[str, tuple[MemoryDrive, Sighting]] = field(default_factory=dict)
    events: "asyncio.Queue[Event]" = field(default_factory=asyncio.Queue)
    counter: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    most_held: int = 0
    lights: dict[str, Light] = field(default_factory=dict)
    """By bay; without one a drive's own light blinks."""
    blinking: list[str] = field(default_factory=list)

    def plug(self, drive: MemoryDrive, bay: str) -> None:
        number = next(self.counter)
        drive.plug_in()
        sighting = Sighting(f"sd{number}", f"/dev/{number}", number, number, 1, False, Place(path=f"slot-{bay}"))
        self.plugged[bay] = (drive, sighting)
        self.events.put_nowait(Arrived(sighting))

    def pull(self, bay: str) -> MemoryDrive:
        drive, sighting = self.plugged.pop(bay)
        drive.is_gone = True
        self.events.put_nowait(Left(sighting))
        return drive

    async def next(self) -> Event:
        return await self.events.get()

    def identify(self, sighting: Sighting) -> Drive:
        for drive, here in self.plugged.values():
            if here is sighting:
                return drive.drive
        raise DriveError("it is gone", subject=sighting.node)

    def refuse_if_used(self, drive: Drive) -> None:
        if self._by_path(drive.path).used_by:
            raise Refused("mounted", f"it is mounted at {self._by_path(drive.path).used_by}", subject=drive.path)

    def domains(self, sighting: Sighting) -> tuple[BandwidthDomain, ...]:
        return ()

    def light(self, sighting: Sighting) -> Light | None:
        return self.lights.get(sighting.place.path.removeprefix("slot-"))

    async def blink(self, sighting: Sighting, seconds: float) -> None:
        self.blinking.append(sighting.name)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.blinking.remove(sighting.name)

    def reallocated_sectors(self, drive: Drive) -> int | None:
        return self._by_path(drive.path).reallocated_sectors

    def celsius(self, sighting: Sighting) -> float | None:
        return next(drive.celsius for drive, here in self.plugged.values() if here is sighting)

    def hold(self, drive: Drive, *, now_utc: Callable[[], str]) -> MemoryDrive:
        found = self._by_path(drive.path)
        assert not found.is_held, "two jobs on one drive"
        found.is_held = True
        self.most_held = max(self.most_held, sum(item.is_held for item, _ in self.plugged.values()))
        return found

    def _by_path(self, path: str) -> MemoryDrive:
        for drive, _ in self.plugged.values():
            if drive.drive.path == path:
                return drive
        raise DriveError("it is gone", subject=path)


def a_map(bays: int, domain: BandwidthDomain | None = None, power: PowerDomain | None = None) -> BayMap:
    return BayMap(
        tuple(
            Bay(
                BayName(f"A{number}"),
                (PlacePattern(PlaceKind.PATH, f"slot-A{number}"),),
                bandwidth_domains=(domain.name,) if domain else (),
                power_domain=power.name if power else "",
            )
            for number in range(1, bays + 1)
        ),
        (domain,) if domain else (),
        (power,) if power else (),
    )


class At:
    """A station that runs, with hands to plug and eyes to look."""

    def __init__(self, rack: Rack, memory: MemoryRack) -> None:
        self.station = rack
        self.memory = memory

    def bay(self, name: str) -> BaySnapshot:
        return next(bay for bay in self.station.snapshot().bays if bay.name == name)

    async def start(self, bay: str, standard: str = "", operator: str = "") -> None:
        """Of what is shown now."""
        await self.station.start(bay, standard, self.bay(bay).sighting, operator=operator)

    async def resume(self, bay: str) -> None:
        """Of what is shown now."""
        await self.station.resume(bay, self.bay(bay).sighting)

    async def retry(self, bay: str) -> None:
        """Of what is shown now."""
        await self.station.retry(bay, self.bay(bay).sighting)

    async def until(self, bay: str, *states: BayState, seconds: float = 600.0) -> BaySnapshot:
        """How the bay looks when it is first seen in one of these states. Fails after so long."""
        async with asyncio.timeout(seconds):
            while self.bay(bay).state not in states:  # noqa: ASYNC110
                await asyncio.sleep(0.25)
        return self.bay(bay)


class Papers:
    """Certificates that are only counted: one file a job."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, state: JobState) -> Issued:
        path = self._folder / f"{state.job_id}.json"
        assert state.outcome is not None
        path.write_text(state.outcome.value)
        return Issued(state.job_id, path, b"\0" * 32)

    def keep_hashes(self, state: JobState, leaves: tuple[bytes, ...]) -> None:
        """They are in nobody's way."""


@asynccontextmanager
async def a_station(
    folder: Path,
    *,
    bays: BayMap | None = None,
    by_itself: bool = True,
    memory: MemoryRack | None = None,
    seed: int = 0,
    journal: Journal | None = None,
    intake: Reception | None = None,
    request: Request = Request("random"),  # noqa: B008  a frozen value
    watch: Watch | None = None,
    papers: Issuer | None = None,
    now_utc: Callable[[], str] = lambda: "2027-01-01T00:00:00.000Z",
) -> AsyncIterator[At]:
    """A station of three bays that runs until the block ends. The journal is in `folder` unless it is given."""
    memory = memory or MemoryRack()
    names = itertools.count(1)
    before = len(list(folder.rglob("*.journal")))  # noqa: ASYNC240
    parts = Station(
        journal=journal or JournalOfFiles(FileJournal(folder / "journal", now_utc), at_once),
        issue=papers or Papers(folder),
        now_utc=now_utc,
        random_bytes=seeded_chance(seed),
        new_id=lambda: f"job-{before + next(names)}",
        tune=lambda drive: TUNING,
        hold=memory.hold,
        reallocated_sectors=memory.reallocated_sectors,
        call=at_once,
        waits_for_room=True,
    )
    history = LedgerHistory(journal) if isinstance(journal, SqlJournal) else FileHistory(folder / "journal")
    reception = intake or Intake(request, by_itself)
    rack = Rack(parts, memory, memory, bays or a_map(3), reception, history, watch=watch)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(rack.run())
        yield At(rack, memory)
        rack.stop()


def played(folder: Path, story: Callable[[At], Coroutine[Any, Any, None]], **station: Any) -> None:
    """Plays a story at a station of its own."""

    async def play() -> None:
        async with a_station(folder, **station) as at:
            await story(at)

    run(play())
