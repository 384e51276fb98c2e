"""What the wall shows beside the bays: the shift so far, when each lot will have ended, what must not be overlooked."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from eraser.console.alarms import Alarms
from eraser.console.throughput import Point, Throughput, earlier_points
from eraser.domain.events import Entry
from eraser.domain.shift import USUAL, Shifts
from eraser.errors import EraserError
from eraser.ledger.alarms import AlarmBook
from eraser.ledger.ended_jobs import EndedJob, EndedJobs
from eraser.rack.view import BaySnapshot, BayState, StationSnapshot

LOOK_SECONDS = 1.0
RETURN_SECONDS = 600.0
"""After the station's start: what was taken in hand before and has not shown again by then, is over."""

_log = logging.getLogger(__name__)
_ENDED = (BayState.PASSED, BayState.FAILED)
_WAITING = (BayState.WAITING, BayState.IDENTIFYING, BayState.PAUSED)


@dataclass(frozen=True, slots=True)
class Shift:
    """What has ended since the shift began (`since`, RFC 3339), or without a ledger since this run of the station did. `failed`
    counts all that did not pass.
    """

    since: str
    passed: int = 0
    failed: int = 0
    erased_bytes: int = 0
    """Capacity of the drives that passed."""
    name: str = ""


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
    """Counts each job once, when it is seen to have ended, or is told of it by the ledger."""

    def __init__(self, now: Callable[[], datetime], shifts: Shifts, *, has_ledger: bool) -> None:
        self._now = now
        self._has_ledger = has_ledger
        self._seen: dict[str, str] = {}
        self._counted: set[str] = set()
        self._shift = Shift("")
        self.set(shifts)
        if not has_ledger:
            self._shift = replace(self._shift, since=_utc(now()))

    def set(self, shifts: Shifts) -> None:
        """By these from now on: what the ledger knows of the shift that is on has to be told again."""
        self._shifts = shifts
        self.since, self._ends, name = shifts.at(self._now())
        self._shift = Shift(_utc(self.since), name=name)
        self._counted.clear()
        self.is_told = not self._has_ledger
        """Whether the ledger has told what ended in this shift."""

    def tell(self, ended: Iterable[EndedJob]) -> None:
        """What the ledger has of this shift."""
        self.is_told = True
        for job in ended:
            self._count(job.job_id, job.has_passed, job.capacity_bytes)

    def look(self, snapshot: StationSnapshot) -> Shift:
        if self._now() >= self._ends:
            self.set(self._shifts)
            self.is_told = True  # what is in the bays was counted in the shift before
        for bay in snapshot.bays:
            if bay.state in _ENDED and self._seen.get(bay.name) != f"{bay.sighting} {bay.job_id}":
                self._seen[bay.name] = f"{bay.sighting} {bay.job_id}"
                size = bay.drive.geometry.capacity_bytes if bay.drive is not None else 0
                self._count(bay.job_id, bay.state is BayState.PASSED, size)
        return self._shift

    def _count(self, job_id: str, has_passed: bool, size: int) -> None:
        if job_id in self._counted:
            return
        self._counted.add(job_id)
        before = self._shift
        self._shift = replace(
            before,
            passed=before.passed + has_passed,
            failed=before.failed + (not has_passed),
            erased_bytes=before.erased_bytes + (size if has_passed else 0),
        )


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


@dataclass(frozen=True, slots=True)
class Records:
    """What of the ledger the wall needs, so that it shows the same after the station began anew."""

    alarms: AlarmBook
    ended: EndedJobs
    entries: Callable[[str], Awaitable[tuple[Entry, ...]]]
    """All events of a job. Raises JournalError."""


class Wall:
    """Looks at the station every second, for as long as it is `run`; on the loop's thread alone."""

    def __init__(
        self,
        snapshot: Callable[[], StationSnapshot],
        now_utc: Callable[[], str] = now_utc,
        now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
        *,
        records: Records | None = None,
        shifts: Shifts = USUAL,
    ) -> None:
        """Without `records` it knows of this run of the station alone."""
        self._snapshot = snapshot
        self._records = records
        self.throughput = Throughput()
        self.alarms = Alarms(snapshot, now_utc, records.alarms if records is not None else None)
        self._tally = _Tally(now, shifts, has_ledger=records is not None)

    def set_shifts(self, shifts: Shifts) -> None:
        """By these from now on; the shift that is on is counted anew."""
        self._tally.set(shifts)

    async def run(self) -> None:
        """Until it is cancelled."""
        loop = asyncio.get_running_loop()
        began, has_recalled = loop.time(), False
        while True:
            try:
                if not has_recalled:
                    await self.alarms.recall()
                    has_recalled = True
                await self.catch_up()
            except EraserError as error:  # the picture goes on without it, and it is tried again
                _log.warning("what was before is not known: %s", error)
            if loop.time() - began > RETURN_SECONDS:
                self.alarms.expect_no_more()
            self.look(loop.time())
            await asyncio.sleep(LOOK_SECONDS)

    async def catch_up(self) -> None:
        """What the ledger knows of before this run; and writes down which alarms are over. Raises JournalError."""
        if self._records is None:
            return
        if not self._tally.is_told:
            self._tally.tell(await self._records.ended.since(self._tally.since))
        for job_id in self.throughput.unrecalled():
            # A job that is just being begun may not be on record yet: then nothing was before.
            points: list[Point] = []
            with suppress(EraserError):
                points = earlier_points(await self._records.entries(job_id))
            self.throughput.recall(job_id, points)
        await self.alarms.keep()

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
