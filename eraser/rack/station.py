"""The whole station: every bay at work beside the others, the queue between them, the picture of it all, and its end.

Structured: one task for each bay, one that hears of drives, one that draws the picture; all in one group. What may block goes
through `parts.call`, the clock is the event loop's, chance is `parts.random_bytes`: so a simulation runs it without
threads and in its own time.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

import structlog

from eraser.domain.admission import Want
from eraser.domain.bay import BandwidthDomain, Bay, BayMap, PowerDomain
from eraser.domain.catalogue import standard_named
from eraser.domain.drive import Drive, is_recognisable
from eraser.drives import guard
from eraser.drives.discovery import identify
from eraser.drives.place import bandwidth_domains_of
from eraser.drives.sysfs import BlockDevice, Host
from eraser.drives.temperature import celsius_of
from eraser.errors import DriveError, UsageError
from eraser.ledger.journal import FileJournal
from eraser.rack.admitting import Admissions
from eraser.rack.bay import BayRun, DriveAccess, History, Past
from eraser.rack.blocking import BlockingCall
from eraser.rack.erasing import Station
from eraser.rack.hotplug import DriveEvents
from eraser.rack.intake import Reception
from eraser.rack.ledger_health import LedgerHealth
from eraser.rack.presence import Arrived, Changed, Event, Left, Sighting
from eraser.rack.view import BaySnapshot, BayState, StationSnapshot
from eraser.rack.watchdog import Watch, Watchdog

TICK_SECONDS = 0.25
"""How often the picture is drawn."""
LAG_TICKS = 40
"""The loop's lag is the worst of so many ticks."""
STOP_SECONDS = 7.5
"""How long bays may take to stop: a drive that hangs takes longer, and is left to the kernel, which holds it for us."""
RETRY_EVENTS_SECONDS = 5.0


class HostDrives:
    """The drives of this host."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def identify(self, sighting: Sighting) -> Drive:
        """By its node, which must still be that of the disk that was seen."""
        drive = identify(sighting.node, self._host)
        if sighting.diskseq and drive.disk_sequence and sighting.diskseq != drive.disk_sequence:
            raise DriveError("another drive took its place", subject=sighting.node, remedy="Plug it in again.")
        return drive

    def refuse_if_used(self, drive: Drive) -> None:
        """As the guard says."""
        guard.refuse_if_used(drive, self._host)

    def celsius(self, sighting: Sighting) -> float | None:
        """How warm it is, where it says."""
        return celsius_of(sighting.name, self._host)

    def domains(self, sighting: Sighting) -> tuple[BandwidthDomain, ...]:
        """As sysfs says."""
        device = BlockDevice((self._host.sys / "block" / sighting.name).resolve())
        return bandwidth_domains_of(device, self._host)


class FileHistory:
    """What the journal of files knows of earlier drives: read once, when the first drive asks."""

    def __init__(self, journal: FileJournal, call: BlockingCall) -> None:
        self._journal = journal
        self._call = call
        self._known: dict[tuple[object, ...], Past] = {}
        self._is_read = False
        self._reading = asyncio.Lock()

    async def of(self, drive: Drive) -> Past | None:
        """The last finished job on this very drive."""
        async with self._reading:
            if not self._is_read:
                for key, past in (await self._call(self._read)).items():
                    self._known.setdefault(key, past)  # what ended meanwhile is newer
                self._is_read = True
        return self._known.get(_key(drive)) if is_recognisable(drive) else None

    def add(self, drive: Drive, past: Past) -> None:
        """A job that has just ended."""
        if is_recognisable(drive):
            self._known[_key(drive)] = past

    def _read(self) -> dict[tuple[object, ...], Past]:
        found: dict[tuple[object, ...], Past] = {}
        for state in self._journal.finished_states():
            if state.drive is not None and state.outcome is not None and is_recognisable(state.drive):
                found[_key(state.drive)] = Past(state.job_id, state.outcome.value)
        return found


def _key(drive: Drive) -> tuple[object, ...]:
    """What `same_drive` compares."""
    identity, geometry = drive.identity, drive.geometry
    names = (identity.model, identity.serial, identity.wwn, identity.eui64, identity.nguid)
    return (*names, geometry.capacity_bytes, geometry.logical_sector_bytes)


class Rack:
    """The running station: `eraser.rack.view.StationPort`. Make it, then `run` it, on one event loop."""

    def __init__(
        self,
        parts: Station,
        access: DriveAccess,
        events: DriveEvents,
        bay_map: BayMap,
        intake: Reception,
        history: History,
        ledger: LedgerHealth | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.parts = parts
        self.access = access
        self.intake = intake
        self.admissions = Admissions()
        self.history = history
        self.log: Any = structlog.get_logger()
        self._events = events
        self._map = bay_map
        self._bays = {bay.name: BayRun(bay, self) for bay in bay_map.bays}
        self._jobs: dict[tuple[str, str], int] = {}
        self._problems: dict[str, str] = {}
        self._change = asyncio.Event()
        self._stopping = asyncio.Event()
        self._lags: list[float] = []
        self._ledger = ledger or LedgerHealth()
        self._watchdog = Watchdog(self._bays.values(), watch or Watch(), parts.call, self.log)
        self._draw()

    # ---- life

    async def run(self) -> None:
        """Until `stop`; then every job has ended at a checkpoint, or has been given up after `STOP_SECONDS`."""
        self.log.info("station begins", bays=len(self._bays))
        async with asyncio.TaskGroup() as tasks:
            bays = [tasks.create_task(self._attend(bay), name=f"bay {bay.name}") for bay in self._bays.values()]
            helpers = [tasks.create_task(self._listen()), tasks.create_task(self._tick())]
            helpers.append(tasks.create_task(self._watchdog.run(), name="watchdog"))
            await self._stopping.wait()
            self.log.info("station stops")
            for bay in self._bays.values():
                bay.stop()
            if bays:
                _, late = await asyncio.wait(bays, timeout=STOP_SECONDS)
                for task in (*late, *helpers):
                    task.cancel()
                for task in late:
                    self.log.warning(
                        "a bay did not stop in time; its job goes on from its last checkpoint", task=task.get_name()
                    )
            else:
                for task in helpers:
                    task.cancel()
        self._draw()
        self.log.info("station ends")

    def stop(self) -> None:
        """Asks every job to end at a checkpoint; `run` returns within 10 s. May be called again, also by a signal handler."""
        self._stopping.set()

    async def _attend(self, bay: BayRun) -> None:
        """A bay's outermost edge: a fault of ours in one bay is that bay's alone, and said aloud."""
        try:
            await bay.run()
        except Exception as error:
            self.log.exception("fault of this program", bay=bay.name)
            self._problems[f"bay {bay.name}"] = f"bay {bay.name} is out of service: {error!r}"

    def trouble(self, what: str, problem: str = "") -> None:
        """Says why the station is not ready as far as `what` is concerned; an empty problem is none any more."""
        if problem:
            self._problems[what] = problem
        else:
            self._problems.pop(what, None)

    async def _listen(self) -> None:
        while True:
            try:
                event = await self._events.next()
            except Exception as error:
                self._problems["events"] = str(error)
                self.log.error("drives that come and go cannot be heard of", reason=str(error))
                await asyncio.sleep(RETRY_EVENTS_SECONDS)
                continue
            self._problems.pop("events", None)
            self._hear(event)

    def _hear(self, event: Event) -> None:
        sighting = event.drive
        try:
            bay = self._map.bay_at(sighting.place)
        except UsageError as error:
            self.log.error("a place is two bays", reason=str(error), device=sighting.node)
            self._problems[f"place {sighting.place}"] = str(error)
            return
        if bay is None:
            self.log.debug("a drive outside the bays", device=sighting.node)
            return
        run = self._bays[bay.name]
        match event:
            case Arrived(drive, flaps):
                self.log.info("drive arrived", bay=bay.name, device=drive.node, flaps=flaps)
                if not run.arrive(drive):
                    self.log.warning(
                        "a second drive shows in one bay and is left alone", bay=bay.name, device=drive.node
                    )
            case Left(drive):
                self.log.info("drive left", bay=bay.name, device=drive.node)
                run.leave(drive)
            case Changed(_, drive):
                self.log.info("medium changed", bay=bay.name, device=drive.node)
                run.change(drive)

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            self._lags = [*self._lags[1 - LAG_TICKS :], max(0.0, loop.time() - due)]
            for bay in self._bays.values():
                bay.look(loop.time())
            self._draw()

    def _draw(self) -> None:
        bays = tuple(bay.snapshot() for bay in self._bays.values())
        is_full = any(bay.waits_for_room for bay in self._bays.values())
        self.trouble("ledger-full", "jobs wait for room in the ledger: its disk is full" if is_full else "")
        self._snapshot = StationSnapshot(
            at=self.parts.now_utc(),
            bays=bays,
            jobs=dict(self._jobs),
            queue=self._queue(bays),
            loop_lag_seconds=max(self._lags, default=0.0),
            journal_seconds=self._ledger.last_commit_seconds,
            commits=self._ledger.commits(),
            is_ledger_full=is_full,
            is_draining=self.admissions.is_draining,
            problems=tuple(filter(None, (*self._problems.values(), self._ledger.log_problem))),
        )

    def _queue(self, bays: Iterable[BaySnapshot]) -> dict[str, int]:
        queue = {want.value: 0 for want in Want}
        for bay in bays:
            reason = self.admissions.reason(self._map.bay(bay.name).name)
            if bay.state is BayState.WAITING and reason is not None:
                queue[reason.want.value] += 1
        return queue

    # ---- what bays need of it (`bay.Surroundings`)

    def domains_of(self, bay: Bay, found: Iterable[BandwidthDomain]) -> tuple[BandwidthDomain, ...]:
        """Everything that the bay's bytes go through."""
        return self._map.domains_of(bay, tuple(found))

    def power_of(self, bay: Bay) -> PowerDomain | None:
        """Its supply."""
        return self._map.power_domain_of(bay)

    def rival(self, bay: BayRun, drive: Drive) -> BayRun | None:
        """Another bay that has this drive, or is not done with it yet."""
        return next((other for other in self._bays.values() if other is not bay and other.claims(drive)), None)

    async def changed(self) -> None:
        """Waits until a drive has left a bay, or a bay is done with one."""
        await self._change.wait()

    def tell_change(self) -> None:
        """Wakes those who wait for it."""
        self._change.set()
        self._change = asyncio.Event()

    def count(self, outcome: str, standard: str) -> None:
        """A job has ended."""
        self._jobs[outcome, standard] = self._jobs.get((outcome, standard), 0) + 1

    # ---- what people see and order (`view.StationPort`)

    def snapshot(self) -> StationSnapshot:
        """As drawn at the last tick."""
        return self._snapshot

    async def start(self, bay: str, standard: str) -> None:
        """Erases the drive in a bay that asks; an empty standard is the station's own."""
        if standard:
            standard_named(standard)
        self._ordered("start", bay).start(standard)

    async def pause(self, bay: str) -> None:
        """Holds its job at a checkpoint."""
        self._ordered("pause", bay).pause()

    async def resume(self, bay: str) -> None:
        """Goes on with its paused or interrupted job."""
        self._ordered("resume", bay).resume()

    async def cancel(self, bay: str) -> None:
        """Stops its job at a checkpoint; it can be resumed. The station resumes it by itself when the drive comes back."""
        self._ordered("cancel", bay).cancel()

    async def retry(self, bay: str) -> None:
        """Begins anew with a drive that failed, was refused or was interrupted."""
        self._ordered("retry", bay).retry()

    async def maintain(self, bay: str, *, on: bool) -> None:
        """Takes a bay out of service, or back into it."""
        self._ordered("maintain" if on else "back in service", bay).maintain(on)

    async def drain(self, *, on: bool) -> None:
        """Begins nothing more; what runs goes on to its end."""
        self.log.info("drain", on=on)
        self.admissions.drain(on)

    def _ordered(self, order: str, name: str) -> BayRun:
        bay = self._bays[self._map.bay(name).name]
        self.log.info("order", bay=name, order=order)
        return bay
