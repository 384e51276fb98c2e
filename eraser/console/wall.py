"""What the wall shows beside the bays: the shift so far, when each lot will have ended, what must not be overlooked."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from eraser.console.alarms import Alarms
from eraser.console.throughput import Throughput
from eraser.rack.view import BaySnapshot, BayState, StationSnapshot

LOOK_SECONDS = 1.0
SHIFT_HOURS = 8
"""Shifts begin at 0, 8 and 16 o'clock of the station's own time."""

_ENDED = (BayState.PASSED, BayState.FAILED)
_WAITING = (BayState.WAITING, BayState.IDENTIFYING, BayState.PAUSED)


@dataclass(frozen=True, slots=True)
class Shift:
    """What has ended since the shift, or this run of the station, began (`since`, RFC 3339). `failed` counts all that did not
    pass.
    """

    since: str
    passed: int = 0
    failed: int = 0
    erased_bytes: int = 0
    """Capacity of the drives that passed."""


@dataclass(frozen=True, slots=True)
class LotProgress:
    """The drives of a lot that are in bays now. `eta_seconds`: until the last of them has ended, None while nothing moves; the
    least where some have not begun (`is_least`).
    """

    lot: str
    drives: int
    ended: int
    eta_seconds: float | None
    is_least: bool


class _Tally:
    """Counts each job once, when it is seen to have ended."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._began = now()
        self._seen: dict[str, str] = {}
        self._shift = Shift(_utc(self._began))
        self._ends = _end_of_shift(self._began)

    def look(self, snapshot: StationSnapshot) -> Shift:
        if (now := self._now()) >= self._ends:
            self._shift = Shift(_utc(self._ends))
            self._ends = _end_of_shift(now)
        for bay in snapshot.bays:
            if bay.state in _ENDED and self._seen.get(bay.name) != f"{bay.sighting} {bay.job_id}":
                self._seen[bay.name] = f"{bay.sighting} {bay.job_id}"
                self._count(bay)
        return self._shift

    def _count(self, bay: BaySnapshot) -> None:
        before, passed = self._shift, bay.state is BayState.PASSED
        size = bay.drive.geometry.capacity_bytes if passed and bay.drive is not None else 0
        self._shift = Shift(
            before.since, before.passed + passed, before.failed + (not passed), before.erased_bytes + size
        )


def _end_of_shift(now: datetime) -> datetime:
    begin = now.replace(hour=now.hour // SHIFT_HOURS * SHIFT_HOURS, minute=0, second=0, microsecond=0)
    return begin + timedelta(hours=SHIFT_HOURS)


def now_utc() -> str:
    """RFC 3339."""
    return _utc(datetime.now(UTC))


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def lots_of(snapshot: StationSnapshot) -> tuple[LotProgress, ...]:
    """Each lot that has drives in bays; drives without one are a lot without a name."""
    by_lot: dict[str, list[BaySnapshot]] = defaultdict(list)
    for bay in snapshot.bays:
        if bay.drive is not None:
            by_lot[bay.lot].append(bay)
    return tuple(_progress(lot, bays) for lot, bays in sorted(by_lot.items()))


def _progress(lot: str, bays: list[BaySnapshot]) -> LotProgress:
    at_work = [(bay.eta_seconds, bay.bytes_per_second) for bay in bays if bay.eta_seconds is not None]
    waiting = [bay for bay in bays if bay.state in _WAITING and bay.eta_seconds is None]
    eta = None
    if (rate := sum(rate for _, rate in at_work)) > 0:
        remaining = sum(seconds * rate for seconds, rate in at_work)
        # At least written once and read back once.
        remaining += sum(2 * bay.drive.geometry.capacity_bytes for bay in waiting if bay.drive is not None)
        eta = max(remaining / rate, *(seconds for seconds, _ in at_work))
    ended = sum(bay.state in _ENDED for bay in bays)
    return LotProgress(lot, len(bays), ended, eta, is_least=bool(waiting))


class Wall:
    """Looks at the station every second, for as long as it is `run`; on the loop's thread alone."""

    def __init__(
        self,
        snapshot: Callable[[], StationSnapshot],
        now_utc: Callable[[], str] = now_utc,
        now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    ) -> None:
        self._snapshot = snapshot
        self.throughput = Throughput()
        self.alarms = Alarms(snapshot, now_utc)
        self._tally = _Tally(now)

    async def run(self) -> None:
        """Until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self.look(loop.time())
            await asyncio.sleep(LOOK_SECONDS)

    def look(self, now: float) -> None:
        """One look; `now` is of a clock that only goes forward."""
        snapshot = self._snapshot()
        self.throughput.look(snapshot, now)
        self._tally.look(snapshot)

    def shift(self, snapshot: StationSnapshot) -> Shift:
        """So far, with what this picture shows."""
        return self._tally.look(snapshot)

    def line(self, snapshot: StationSnapshot) -> dict[str, Any]:
        """What goes with each live event: alarms, the shift, the lots."""
        return {
            "alarms": [asdict(alarm) for alarm in self.alarms.all(snapshot)],
            "shift": asdict(self.shift(snapshot)),
            "lots": [asdict(lot) for lot in lots_of(snapshot)],
        }
