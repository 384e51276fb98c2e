"""How fast each bay's job has been, over its whole course: kept as little as a picture needs, in memory; what an earlier run
of the station saw comes from the job's record.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice, repeat

from eraser.domain.events import (
    Checkpoint,
    Entry,
    JobInterrupted,
    PassEnded,
    PassStarted,
    SightBegan,
    VerificationEnded,
    VerificationStarted,
)
from eraser.domain.lot import instant
from eraser.rack.view import BaySnapshot, BayState, StationSnapshot

SPARK_POINTS = 60
"""Of the small curve on the wall."""
MOST_POINTS = 400
"""Of a whole job's; then two become one, and each stands for twice the time."""

_AT_WORK = (BayState.WRITING, BayState.VERIFYING, BayState.PAUSED)


@dataclass(frozen=True, slots=True)
class Point:
    """The mean rate, bytes per second, in the `seconds` that ended at `at_seconds` after the first look at the job."""

    at_seconds: float
    seconds: float
    rate: float
    is_verifying: bool


@dataclass(slots=True)
class _Course:
    """One job's, as long as it is in the bay."""

    sighting: str
    job_id: str
    began: float
    last: float
    step_seconds: float = 0.0
    points: list[Point] = field(default_factory=list)
    is_recalled: bool = False
    """Whether it is known what an earlier run of the station saw of the job."""
    recent: list[float] = field(default_factory=list)

    def add(self, rate: float, is_verifying: bool, now: float) -> None:
        seconds, self.last = now - self.last, now
        self.recent = [*self.recent[-SPARK_POINTS + 1 :], rate]
        point = Point(now - self.began, seconds, rate, is_verifying)
        if self.points and self.points[-1].seconds + seconds <= self.step_seconds and self._is_like_last(point):
            self.points[-1] = _merged(self.points[-1], point)
        else:
            self.points.append(point)
        if len(self.points) > MOST_POINTS:
            self.step_seconds = 2 * max(self.step_seconds, seconds)
            pairs = zip(self.points[::2], [*self.points[1::2], None], strict=False)
            self.points = [_merged(one, other) if other is not None else one for one, other in pairs]

    def recall(self, earlier: Sequence[Point]) -> None:
        """What went before."""
        self.is_recalled = True
        if not earlier:
            return
        before = earlier[-1].at_seconds
        self.began -= before
        self.points = [*earlier, *(replace(point, at_seconds=point.at_seconds + before) for point in self.points)]
        rates = (rate for point in reversed(earlier) for rate in repeat(point.rate, max(1, int(point.seconds))))
        older = list(islice(rates, SPARK_POINTS - len(self.recent)))
        self.recent = [*reversed(older), *self.recent]

    def _is_like_last(self, point: Point) -> bool:
        return self.points[-1].is_verifying == point.is_verifying


def _merged(one: Point, other: Point) -> Point:
    seconds = one.seconds + other.seconds
    rate = (one.rate * one.seconds + other.rate * other.seconds) / seconds if seconds > 0 else other.rate
    return Point(other.at_seconds, seconds, rate, other.is_verifying)


def earlier_points(entries: Iterable[Entry]) -> list[Point]:
    """How fast a job was, as far as its record tells: from checkpoint to checkpoint, and over each reading back. The time in
    which nobody held the drive is left out.
    """
    points: list[Point] = []
    mark: tuple[datetime, int] | None = None
    for entry in entries:
        now = instant(entry.at)
        match entry.event:
            case PassStarted(_, position):
                mark = now, position
            case Checkpoint(_, position) if mark is not None:
                mark = _add(points, mark, (now, position), False)
            case PassEnded(_, report) if mark is not None:
                mark = _add(points, mark, (now, report.end_position_bytes), False)
            case VerificationStarted():
                mark = now, 0
            case VerificationEnded(evidence) if mark is not None:
                mark = _add(points, mark, (now, evidence.report.bytes_done), True)
            case SightBegan() | JobInterrupted():
                mark = None
            case _:
                pass
    return points


def _add(
    points: list[Point], mark: tuple[datetime, int], reached: tuple[datetime, int], is_verifying: bool
) -> tuple[datetime, int]:
    seconds, moved = (reached[0] - mark[0]).total_seconds(), reached[1] - mark[1]
    if seconds > 0 and moved >= 0:
        before = points[-1].at_seconds if points else 0.0
        points.append(Point(before + seconds, seconds, moved / seconds, is_verifying))
    return reached


class Throughput:
    """Of all bays. `look` every second or so; a job's course stays until another drive or job is in the bay."""

    def __init__(self) -> None:
        self._courses: dict[str, _Course] = {}

    def look(self, snapshot: StationSnapshot, now: float) -> None:
        """Takes in how fast each is. `now`: seconds of a clock that only goes forward."""
        for bay in snapshot.bays:
            if bay.state is BayState.EMPTY:
                self._courses.pop(bay.name, None)
            elif bay.state in _AT_WORK:
                self._course(bay, now).add(bay.bytes_per_second, bay.state is BayState.VERIFYING, now)

    def _course(self, bay: BaySnapshot, now: float) -> _Course:
        found = self._courses.get(bay.name)
        if found is None or (found.sighting, found.job_id) != (bay.sighting, bay.job_id):
            found = self._courses[bay.name] = _Course(bay.sighting, bay.job_id, now, now)
        return found

    def unrecalled(self) -> list[str]:
        """The jobs of which the ledger has not been asked yet."""
        return [course.job_id for course in self._courses.values() if course.job_id and not course.is_recalled]

    def recall(self, job_id: str, earlier: Sequence[Point]) -> None:
        """What earlier runs of the station did of this job."""
        for course in self._courses.values():
            if course.job_id == job_id and not course.is_recalled:
                course.recall(earlier)

    def recent(self, bay: BaySnapshot) -> tuple[float, ...]:
        """The last rates of the job in the bay, the newest last."""
        found = self._courses.get(bay.name)
        return tuple(found.recent) if found is not None and found.sighting == bay.sighting else ()

    def course(self, bay: BaySnapshot) -> tuple[Point, ...]:
        """From the job's first look to its last."""
        found = self._courses.get(bay.name)
        return tuple(found.points) if found is not None and found.sighting == bay.sighting else ()
