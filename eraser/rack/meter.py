"""How fast a job goes and when it will have ended, from what its counters say every now and then. Pure."""

from collections import deque
from dataclasses import dataclass, field

from eraser.rack.job_run import Progress, Stage

WINDOW_SECONDS = 5.0


@dataclass(slots=True)
class Meter:
    """Looks at one job. Rates in bytes per second over the last seconds; nothing is smoothed but by the window."""

    _points: deque[tuple[float, int]] = field(default_factory=deque)
    _stage: tuple[Stage, int] | None = None
    _remaining_bytes: int = 0

    def look(self, progress: Progress, capacity_bytes: int, now: float) -> None:
        """Takes in where the job is at this moment."""
        stage = (progress.stage, progress.pass_number)
        # A new stage counts from zero; what was done before it says nothing of this one.
        if stage != self._stage or (self._points and progress.moved_bytes < self._points[-1][1]):
            self._stage = stage
            self._points.clear()
        self._points.append((now, progress.moved_bytes))
        while len(self._points) > 2 and self._points[1][0] <= now - WINDOW_SECONDS:
            self._points.popleft()
        self._remaining_bytes = _remaining(progress, capacity_bytes)

    @property
    def bytes_per_second(self) -> float:
        """Of the window."""
        if len(self._points) < 2:
            return 0.0
        (start, before), (end, after) = self._points[0], self._points[-1]
        return (after - before) / (end - start) if end > start else 0.0

    @property
    def eta_seconds(self) -> float | None:
        """Until the job's end at this rate; None while nothing moves."""
        rate = self.bytes_per_second
        return self._remaining_bytes / rate if rate > 0 else None


def _remaining(progress: Progress, capacity_bytes: int) -> int:
    here = max(0, progress.total_bytes - progress.done_bytes)
    if progress.stage in (Stage.VERIFYING, Stage.DONE) and progress.pass_number >= progress.passes:
        return here
    # The passes behind this one, and the reading back at the end.
    return here + capacity_bytes * (max(0, progress.passes - progress.pass_number) + 1)
