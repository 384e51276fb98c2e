"""Looks at every bay once a second: shows what is the matter with its drive, lets a hot one rest, gives a slow one up.

The rules are in `domain/watchdog.py`; here is only who is looked at when, and what is done about it. Plain Python: the rules
take 0.2 ms a look for 96 bays, and 7 ms in the one look a minute in which all their windows may end together. numpy has to be
filled from Python's numbers first: the medians of 96 times 60 take 0.6 ms by it and 0.5 ms without, and its import 225 ms.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from eraser.domain.bay import BayName
from eraser.domain.drive import Drive, Media
from eraser.domain.sayings import Code, Saying, say
from eraser.domain.watchdog import Alarm, Heat, JobWatch, Limits, Sample
from eraser.rack.bay import BayRun
from eraser.rack.blocking import BlockingCall
from eraser.rack.job_run import JobRun, Progress, Stage
from eraser.rack.presence import Sighting
from eraser.rack.view import PauseReason

LOOK_SECONDS = 1.0
READ_EVERY_SECONDS = 10.0
READ_SECONDS = 5.0
"""How long a drive may take to say how warm it is; then nobody knows."""
FRESH_WINDOWS = 3
"""How old a twin's last window may be, in windows."""

_SWEEPS = (Stage.WRITING, Stage.VERIFYING)

Thermometer = Callable[[Sighting], float | None]
"""How warm a drive is in °C, None where it does not say. May block for as long as the drive does not answer."""


def no_thermometer(sighting: Sighting) -> float | None:
    """Nobody knows."""
    return None


@dataclass(frozen=True, slots=True)
class Watch:
    """What the watchdog goes by."""

    limits: Limits = field(default_factory=Limits)
    heat: Heat = field(default_factory=Heat)
    heat_of_flash: Heat = field(default_factory=lambda: Heat(75.0, 65.0))
    thermometer: Thermometer = no_thermometer


@dataclass(slots=True)
class _Watched:
    """One drive in one bay, for as long as it is there."""

    sighting: Sighting
    job: JobRun | None = None
    watch: JobWatch | None = None
    earlier_stalls: int = 0
    celsius: float | None = None
    hot: Saying | None = None
    alarms: dict[str, Saying] = field(default_factory=dict)

    def follow(self, job: JobRun | None, drive: Drive, limits: Limits, least_rate: int | None) -> None:
        """Watches this job from now on, if it is another one."""
        if job is self.job:
            return
        self.earlier_stalls = self.stalls
        self.job = job
        self.watch = JobWatch(limits, drive.media is Media.MAGNETIC, least_rate) if job is not None else None

    @property
    def stalls(self) -> int:
        """How often the drive got stuck since it was plugged in."""
        return self.earlier_stalls + (self.watch.stalls if self.watch is not None else 0)


@dataclass(slots=True)
class _Reading:
    """The one reading of a bay's thermometer that may be under way."""

    asked_at: float = -READ_EVERY_SECONDS
    is_out: bool = False


class Watchdog:
    """Of one station. `run` until it is cancelled."""

    def __init__(self, bays: Iterable[BayRun], watch: Watch, call: BlockingCall, log: Any) -> None:
        self._settings = watch
        self._call = call
        self._log = log
        self._watched: dict[BayName, _Watched] = {}
        self._readings: dict[BayName, _Reading] = {}
        self.reconfigure(bays, watch)

    def reconfigure(self, bays: Iterable[BayRun], watch: Watch | None = None) -> None:
        """Looks at these bays from now on, and goes by these settings: for heat at once, for the rest from the next job on."""
        self._bays = tuple(bays)
        self._settings = watch or self._settings
        names = {bay.name for bay in self._bays}
        self._watched = {name: watched for name, watched in self._watched.items() if name in names}
        self._readings = {bay.name: self._readings.get(bay.name) or _Reading() for bay in self._bays}

    async def run(self) -> None:
        """Looks until it is cancelled. A fault of its own is said aloud and stops no job."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as readings:
            while True:
                try:
                    self.look(loop.time())
                    for reading, watched in self._due(loop.time()):
                        readings.create_task(self._read(reading, watched))
                except Exception:
                    self._log.exception("fault of this program")
                await asyncio.sleep(LOOK_SECONDS)

    def look(self, now: float) -> None:
        """Takes in every bay at this moment, and does what is to be done."""
        pairs = [(bay, watched) for bay in self._bays if (watched := self._of(bay)) is not None]
        ended = [(bay, watched) for bay, watched in pairs if self._sample(bay, watched, now)]
        self._compare_twins([watched for _, watched in ended], pairs, now)
        for bay, watched in ended:
            self._give_up_if_slow(bay, watched)
        for bay, watched in pairs:
            self._heed_heat(bay, watched)
            self._tell(bay, watched)

    def _of(self, bay: BayRun) -> _Watched | None:
        """What is in the bay, once it is known who it is."""
        sighting, drive = bay.sighting, bay.drive
        watched = self._watched.get(bay.name)
        if watched is not None and (watched.sighting is not sighting or drive is None):
            self._log_changes(bay, watched, {})
            del self._watched[bay.name]
            watched = None
        if sighting is None or drive is None:
            return None
        if watched is None:
            watched = self._watched[bay.name] = _Watched(sighting)
        erasing = bay.erasing
        job = erasing.job if erasing is not None else None
        least = erasing.failure.min_bytes_per_second if erasing is not None else None
        watched.follow(job, drive, self._settings.limits, least)
        return watched

    # ---- throughput, I/O, errors

    def _sample(self, bay: BayRun, watched: _Watched, now: float) -> bool:
        """Whether a window of throughput ended."""
        if watched.watch is None or watched.job is None:
            return False
        progress = watched.job.progress()
        return watched.watch.look(
            Sample(
                at=now,
                stage=(progress.stage.value, progress.pass_number),
                is_sweep=progress.stage in _SWEEPS,
                moved_bytes=progress.moved_bytes,
                place=_place(progress),
                is_resting=bay.is_resting or progress.is_paused or progress.is_stopping,
                limit_bytes_per_second=watched.job.rate_limit,
                oldest_io_seconds=progress.oldest_io_seconds,
                errors=progress.errors,
            )
        )

    def _compare_twins(self, ended: list[_Watched], pairs: list[tuple[BayRun, _Watched]], now: float) -> None:
        """Each of `ended` with the others of its model that do the same."""
        if not ended:
            return
        oldest = now - FRESH_WINDOWS * self._settings.limits.window_seconds
        rates: dict[tuple[str, str, int], list[tuple[_Watched, float]]] = defaultdict(list)
        kinds: dict[int, tuple[str, str, int]] = {}
        for bay, watched in pairs:
            kind = _kind(bay.drive, watched.watch)
            window = watched.watch.latest if watched.watch is not None else None
            if kind is not None and window is not None and window.ended_at >= oldest:
                rates[kind].append((watched, window.outer_rate))
                kinds[id(watched)] = kind
        for watched in ended:
            if watched.watch is not None:
                twins = rates[kinds[id(watched)]] if id(watched) in kinds else []
                watched.watch.compare([rate for other, rate in twins if other is not watched])

    def _give_up_if_slow(self, bay: BayRun, watched: _Watched) -> None:
        watch, erasing = watched.watch, bay.erasing
        if watch is None or erasing is None or watch.latest is None or not watch.too_slow_seconds:
            return
        if (criterion := erasing.failure.of_speed(watch.latest.rate, watch.too_slow_seconds)) is not None:
            self._log.warning("job given up", bay=bay.name, job=erasing.job_id, reason=criterion.what)
            bay.give_up(criterion)

    # ---- heat

    def _due(self, now: float) -> Iterator[tuple[_Reading, _Watched]]:
        """Drives that are to be asked how warm they are."""
        for name, watched in self._watched.items():
            reading = self._readings[name]
            if not reading.is_out and now - reading.asked_at >= READ_EVERY_SECONDS:
                reading.asked_at, reading.is_out = now, True
                yield reading, watched

    async def _read(self, reading: _Reading, watched: _Watched) -> None:
        """Asks once, for as long as it takes: one that hangs is not asked again before it has answered."""
        try:
            watched.celsius = await self._call(self._settings.thermometer, watched.sighting)
        except Exception as error:  # a drive that is going, or a fault of ours that must not end the station
            watched.celsius = None
            self._log.debug("temperature unknown", device=watched.sighting.node, reason=repr(error))
        finally:
            reading.is_out = False

    def _heed_heat(self, bay: BayRun, watched: _Watched) -> None:
        """A drive that is too hot rests until it is cool, whatever people say; whoever else has it rest is not touched."""
        reading = self._readings[bay.name]
        if reading.is_out and asyncio.get_running_loop().time() - reading.asked_at > READ_SECONDS:
            watched.celsius = None
        is_flash = bay.drive is not None and bay.drive.media is Media.FLASH
        heat = self._settings.heat_of_flash if is_flash else self._settings.heat
        if heat.is_hot(watched.celsius, watched.hot is not None):
            most = heat.pause_celsius
            watched.hot = (
                say(Code.HOT, celsius=watched.celsius, most=most)
                if watched.celsius is not None
                else say(Code.HOT_AND_SILENT, most=most)
            )
            bay.rest(PauseReason.HEAT, say(Code.RESTS_FOR_HEAT, celsius=heat.resume_celsius))
        elif watched.hot is not None:
            watched.hot = None
            bay.go_on(PauseReason.HEAT)

    # ---- telling

    def _tell(self, bay: BayRun, watched: _Watched) -> None:
        found = dict(watched.watch.findings) if watched.watch is not None else {}
        if watched.hot is not None:
            found[Alarm.HOT] = watched.hot
        alarms = {alarm.value: what for alarm, what in found.items()}
        self._log_changes(bay, watched, alarms)
        bay.alarm(alarms, stalls=watched.stalls, temperature_celsius=watched.celsius)

    def _log_changes(self, bay: BayRun, watched: _Watched, alarms: dict[str, Saying]) -> None:
        """Each beginning and each end once."""
        fields = {"bay": bay.name, **({"job": bay.erasing.job_id} if bay.erasing is not None else {})}
        for name, reason in alarms.items():
            if name not in watched.alarms:
                self._log.warning("alarm begins", alarm=name, reason=reason.english, **fields)
        for name in watched.alarms:
            if name not in alarms:
                self._log.info("alarm ends", alarm=name, **fields)
        watched.alarms = alarms


def _place(progress: Progress) -> float:
    done = progress.done_bytes / progress.total_bytes if progress.total_bytes else 0.0
    return 1.0 - done if progress.is_reverse else done


def _kind(drive: Drive | None, watch: JobWatch | None) -> tuple[str, str, int] | None:
    """What twins have in common: model, size, and what they are doing."""
    if drive is None or watch is None or not drive.identity.model:
        return None
    return drive.identity.model, watch.work, drive.geometry.capacity_bytes
