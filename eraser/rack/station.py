"""The whole station: every bay at work beside the others, the queue between them, the picture of it all, and its end.

Structured: one task for each bay, one that hears of drives, one that draws the picture; all in one group. What may block goes
through `parts.call`, the clock is the event loop's, chance is `parts.random_bytes`: so a simulation runs it without
threads and in its own time.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import structlog

from eraser.domain.admission import Want
from eraser.domain.bay import BandwidthDomain, Bay, BayMap, BayName, PowerDomain
from eraser.domain.catalogue import standard_named
from eraser.domain.drive import Drive
from eraser.domain.sayings import Code, Saying, Sayings, say
from eraser.drives import guard
from eraser.drives.discovery import identify
from eraser.drives.leds import light_of
from eraser.drives.place import bandwidth_domains_of
from eraser.drives.sysfs import BlockDevice, Host
from eraser.drives.temperature import celsius_of
from eraser.errors import DriveError, UsageError
from eraser.rack.admitting import Admissions
from eraser.rack.bay import BayRun
from eraser.rack.blocking import in_own_thread
from eraser.rack.erasing import Result, Station
from eraser.rack.hotplug import DriveEvents
from eraser.rack.intake import Reception
from eraser.rack.ledger_health import LedgerHealth
from eraser.rack.locating import blink
from eraser.rack.presence import Arrived, Changed, Event, Left, Sighting
from eraser.rack.rereading import OpenDrive
from eraser.rack.surroundings import DriveAccess, History, Light
from eraser.rack.view import BaySnapshot, BayState, StationSnapshot
from eraser.rack.watchdog import Watch, Watchdog

TICK_SECONDS = 0.25
"""How often the picture is drawn."""
LAG_TICKS = 40
"""The loop's lag is the worst of so many ticks."""
STOP_SECONDS = 7.5
"""How long bays may take to stop: a drive that hangs takes longer, and is left to the kernel, which holds it for us."""
RETRY_EVENTS_SECONDS = 5.0
CONTROL_TROUBLE = "control"
"""Of what `trouble` is told while the positive control is not as it must be."""


class HostDrives:
    """The drives of this host."""

    def __init__(self, host: Host, now_utc: Callable[[], str]) -> None:
        self._host = host
        self._now_utc = now_utc

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
        return bandwidth_domains_of(self._device(sighting), self._host)

    def light(self, sighting: Sighting) -> Light | None:
        """As sysfs says."""
        return light_of(self._device(sighting), self._host)

    async def blink(self, sighting: Sighting, seconds: float) -> None:
        """By a reading of the drive that nobody sees."""
        opened = await in_own_thread(OpenDrive, sighting.node)
        with opened:
            await blink(opened, seconds, now_utc=self._now_utc)

    def _device(self, sighting: Sighting) -> BlockDevice:
        return BlockDevice((self._host.sys / "block" / sighting.name).resolve())


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
        self.unrecorded_cancels: set[str] = set()
        self.log: Any = structlog.get_logger()
        self._events = events
        self._map = bay_map
        self._bays: dict[BayName, BayRun] = {bay.name: BayRun(bay, self) for bay in bay_map.bays}
        self._present: dict[str, Sighting] = {}
        """Every drive of the host that has arrived, in a bay or not, by the kernel's name."""
        self._is_moving = False
        """Whether a drive is still in a bay in which the map no longer has it."""
        self._tasks: asyncio.TaskGroup | None = None
        self._attending: dict[asyncio.Task[None], BayRun] = {}
        self.begun = asyncio.Event()
        """Set once every bay is attended to."""
        self.ticks = 0
        """Pictures drawn: a loop that turns draws four a second."""
        self._jobs: dict[tuple[str, str], int] = {}
        self._problems: dict[str, Saying] = {}
        self._change = asyncio.Event()
        self._stopping = asyncio.Event()
        # Numbers begin anew with each run, so that this one's need a name of its own.
        run = parts.random_bytes(4).hex()
        self._sightings = (f"{run}-{number}" for number in itertools.count(1))
        self._lags: list[float] = []
        self._ledger = ledger or LedgerHealth()
        self.watch = watch or Watch()
        self._watchdog = Watchdog(self._bays.values(), self.watch, parts.call, self.log)
        self._pictures: dict[str, BaySnapshot] = {}
        self._draw()

    # ---- life

    async def run(self) -> None:
        """Until `stop`; then every job has ended at a checkpoint, or has been given up after `STOP_SECONDS`."""
        self.log.info("station begins", bays=len(self._bays))
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for bay in self._bays.values():
                self._begin(bay)
            helpers = [tasks.create_task(self._listen()), tasks.create_task(self._tick())]
            helpers.append(tasks.create_task(self._watchdog.run(), name="watchdog"))
            self.begun.set()
            await self._stopping.wait()
            self.log.info("station stops")
            self._tasks = None
            for bay in self._attending.values():
                bay.stop()
            late: set[asyncio.Task[None]] = set()
            if self._attending:
                _, late = await asyncio.wait(self._attending, timeout=STOP_SECONDS)
            for task in (*late, *helpers):
                task.cancel()
            for task in late:
                self.log.warning(
                    "a bay did not stop in time; its job goes on from its last checkpoint", task=task.get_name()
                )
        self._draw()
        self.log.info("station ends")

    def stop(self) -> None:
        """Asks every job to end at a checkpoint; `run` returns within 10 s. May be called again, also by a signal handler."""
        self._stopping.set()

    def _begin(self, bay: BayRun) -> None:
        if self._tasks is not None:
            task = self._tasks.create_task(self._attend(bay), name=f"bay {bay.name}")
            self._attending[task] = bay
            task.add_done_callback(self._attending.pop)

    async def _attend(self, bay: BayRun) -> None:
        """A bay's outermost edge: a fault of ours in one bay is that bay's alone, and said aloud."""
        try:
            await bay.run()
        except Exception as error:
            self.log.exception("fault of this program", bay=bay.name)
            self.trouble(f"bay {bay.name}", say(Code.TROUBLE_BAY, bay=bay.name, detail=repr(error)))

    def trouble(self, what: str, problem: Saying | None = None) -> None:
        """Says why the station is not ready as far as `what` is concerned; None: it is not any more."""
        if problem is not None:
            self._problems[what] = problem
        else:
            self._problems.pop(what, None)

    # ---- drives that come and go

    async def _listen(self) -> None:
        while True:
            try:
                event = await self._events.next()
            except Exception as error:
                self.trouble("events", say(Code.TROUBLE_EVENTS, detail=str(error)))
                self.log.error("drives that come and go cannot be heard of", reason=str(error))
                await asyncio.sleep(RETRY_EVENTS_SECONDS)
                continue
            self.trouble("events")
            name = event.drive.name
            try:
                self._hear(event)
            except Exception as error:
                self.log.exception("fault of this program", device=event.drive.node)
                self.trouble(f"drive {name}", say(Code.TROUBLE_DRIVE, name=name, detail=repr(error)))
            else:
                self.trouble(f"drive {name}")

    def _hear(self, event: Event) -> None:
        drive = event.drive
        holder = self._holder(drive.name)
        match event:
            case Arrived(_, flaps):
                self._present[drive.name] = drive
                if (bay := self._bay_of(drive)) is not None:
                    self.log.info("drive arrived", bay=bay.name, device=drive.node, flaps=flaps)
                    self._put(drive, bay)
                else:
                    self.log.debug("a drive outside the bays", device=drive.node)
            case Left():
                self._present.pop(drive.name, None)
                self.trouble(f"place {drive.place}")
                if holder is not None:
                    self.log.info("drive left", bay=holder.name, device=drive.node)
                    holder.leave(drive)
            case Changed():
                self._present[drive.name] = drive
                if holder is not None:
                    self.log.info("medium changed", bay=holder.name, device=drive.node)
                    holder.change(drive)

    def bay_with(self, device: str) -> str:
        """The bay in which the disk of this kernel name is; empty for one outside of all bays."""
        holder = self._holder(device)
        return holder.name if holder is not None else ""

    def certified(self, result: Result) -> None:
        """Tells the bays of a job that has got its certificate after its end."""
        for bay in self._bays.values():
            bay.certified(result)

    def _put(self, drive: Sighting, bay: BayRun) -> None:
        if not bay.arrive(drive):
            self.log.warning(
                "a second drive shows in one bay and is left alone until the first has left",
                bay=bay.name,
                device=drive.node,
            )

    def _holder(self, name: str) -> BayRun | None:
        return next((bay for bay in self._bays.values() if bay.has(name)), None)

    def _bay_of(self, drive: Sighting) -> BayRun | None:
        """The bay in which the map has it; None outside of all bays, and where two claim it, which is told."""
        try:
            bay = self._map.bay_at(drive.place)
        except UsageError as error:
            self.log.error("a place is two bays", reason=str(error), device=drive.node)
            self.trouble(f"place {drive.place}", say(Code.TROUBLE_PLACE, detail=str(error)))
            return None
        self.trouble(f"place {drive.place}")
        return self._bays[bay.name] if bay is not None else None

    # ---- another configuration

    @property
    def map(self) -> BayMap:
        """As it is now."""
        return self._map

    def reconfigure(self, bay_map: BayMap, intake: Reception, watch: Watch) -> None:
        """From now on this counts: what is done to drives that arrive, the bays, and what they share. Jobs that run go on: a
        drive whose bay is no longer where it is stays there until its job has ended, and is then where the map has it.
        """
        self.intake = intake
        self._map = bay_map
        bays: dict[BayName, BayRun] = {}
        for bay in bay_map.bays:
            run = self._bays.pop(bay.name) if bay.name in self._bays else BayRun(bay, self)
            run.bay = bay
            bays[bay.name] = run
            if run not in self._attending.values():
                self._begin(run)
        gone, self._bays = self._bays, {**bays, **self._bays}
        for name, run in gone.items():
            if run.is_at_work:
                self.log.warning("a bay is no longer in the map; the job in it goes on to its end", bay=name)
        self.watch = watch
        self._move()
        self.admissions.revise({bay.name: bay.needs() for bay in self._bays.values()})
        self._draw()

    def _move(self) -> None:
        """Puts every drive where the map has it, unless a job is at work on it; takes away bays that are no more."""
        self._is_moving = False
        for drive in self._present.values():
            holder, wanted = self._holder(drive.name), self._bay_of(drive)
            if holder is wanted:
                continue
            if holder is not None and holder.is_at_work:
                self._is_moving = True
                continue
            if holder is not None:
                self.log.info("drive is another bay's now", bay=holder.name, device=drive.node)
                holder.leave(drive)
            if wanted is not None:
                self.log.info("drive arrived", bay=wanted.name, device=drive.node, flaps=0)
                self._put(drive, wanted)
        named = {bay.name for bay in self._map.bays}
        for name in [name for name in self._bays if name not in named]:
            if self._bays[name].is_occupied or self._bays[name].is_at_work:
                self._is_moving = True
            else:
                self._bays.pop(name).stop()
        self._watchdog.reconfigure(self._bays.values(), self.watch)

    # ---- the picture

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            self._lags = [*self._lags[1 - LAG_TICKS :], max(0.0, loop.time() - due)]
            try:
                if self._is_moving:
                    self._move()
                self._draw(loop.time())
            except Exception as error:
                if "picture" not in self._problems:
                    self.log.exception("fault of this program")
                self.trouble("picture", say(Code.TROUBLE_PICTURE, detail=repr(error)))
            else:
                self.trouble("picture")

    def _draw(self, now: float | None = None) -> None:
        bays = tuple(self._picture(bay, now) for bay in self._bays.values())
        self._pictures = {bay.name: bay for bay in bays}
        is_full = any(bay.waits_for_room for bay in self._bays.values())
        self.trouble("ledger-full", say(Code.TROUBLE_LEDGER_FULL) if is_full else None)
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
            routine_overdue=self._ledger.routine_overdue,
            is_withholding=CONTROL_TROUBLE in self._problems,
            troubles=(*self._problems.values(), *self._log_trouble()),
        )
        self.ticks += 1

    def _picture(self, bay: BayRun, now: float | None) -> BaySnapshot:
        """Of one bay; where a fault of ours keeps it from being drawn, the last one, which then says so."""
        key = f"picture of bay {bay.name}"
        try:
            picture = bay.snapshot(now)
        except Exception as error:
            detail = repr(error)
            if key not in self._problems:
                self.log.exception("fault of this program", bay=bay.name)
            self.trouble(key, say(Code.TROUBLE_BAY_PICTURE, bay=bay.name, detail=detail))
            last = self._pictures.get(bay.name) or BaySnapshot(bay.name, BayState.EMPTY)
            return replace(last, reasons=(say(Code.OLD_PICTURE, detail=detail),))
        self.trouble(key)
        return picture

    def _log_trouble(self) -> Sayings:
        problem = self._ledger.log_problem
        return (say(Code.TROUBLE_LOG, detail=problem),) if problem else ()

    def _queue(self, bays: Iterable[BaySnapshot]) -> dict[str, int]:
        queue = {want.value: 0 for want in Want}
        for bay in bays:
            reason = self.admissions.reason(BayName(bay.name))
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

    def new_sighting(self) -> str:
        """A name for what is in a bay from now on."""
        return next(self._sightings)

    # ---- what people see and order (`view.StationPort`)

    def snapshot(self) -> StationSnapshot:
        """As drawn at the last tick."""
        return self._snapshot

    async def start(self, bay: str, standard: str, seen: str, *, operator: str = "") -> None:
        """Erases the drive in a bay that asks, from the start; an empty standard is the station's own."""
        if standard:
            standard_named(standard)
        self._ordered("start", bay).start(standard, seen, operator)

    async def pause(self, bay: str, seen: str | None = None) -> None:
        """Holds its job at a checkpoint."""
        self._ordered("pause", bay).pause(seen)

    async def resume(self, bay: str, seen: str | None = None) -> None:
        """Goes on with its paused, interrupted or cancelled job."""
        self._ordered("resume", bay).resume(seen)

    async def cancel(self, bay: str, seen: str | None = None) -> None:
        """Stops its job at a checkpoint; it goes on only when a person says so."""
        self._ordered("cancel", bay).cancel(seen)

    async def retry(self, bay: str, seen: str, *, operator: str = "") -> None:
        """Begins anew with a drive that failed or was refused; an interrupted job goes on."""
        self._ordered("retry", bay).retry(seen, operator)

    async def locate(self, bay: str, seen: str | None = None) -> None:
        """By the slot's light, else by the drive's own."""
        await self._ordered("locate", bay).locate(seen)

    async def maintain(self, bay: str, *, on: bool) -> None:
        """Takes a bay out of service, or back into it."""
        self._ordered("maintain" if on else "back in service", bay).maintain(on)

    async def drain(self, *, on: bool) -> None:
        """Begins nothing more; what runs goes on to its end."""
        self.log.info("drain", on=on)
        self.admissions.drain(on)

    def _ordered(self, order: str, name: str) -> BayRun:
        bay = self._bays.get(BayName(name)) or self._bays[self._map.bay(name).name]
        self.log.info("order", bay=name, order=order)
        return bay
