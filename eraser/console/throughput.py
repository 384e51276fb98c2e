"""How fast each bay's job has been, over its whole course: kept as little as a picture needs, in memory."""

from dataclasses import dataclass, field

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

    def _is_like_last(self, point: Point) -> bool:
        return self.points[-1].is_verifying == point.is_verifying


def _merged(one: Point, other: Point) -> Point:
    seconds = one.seconds + other.seconds
    rate = (one.rate * one.seconds + other.rate * other.seconds) / seconds if seconds > 0 else other.rate
    return Point(other.at_seconds, seconds, rate, other.is_verifying)


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

    def recent(self, bay: BaySnapshot) -> tuple[float, ...]:
        """The last rates of the job in the bay, the newest last."""
        found = self._courses.get(bay.name)
        return tuple(found.recent) if found is not None and found.sighting == bay.sighting else ()

    def course(self, bay: BaySnapshot) -> tuple[Point, ...]:
        """From the job's first look to its last."""
        found = self._courses.get(bay.name)
        return tuple(found.points) if found is not None and found.sighting == bay.sighting else ()
