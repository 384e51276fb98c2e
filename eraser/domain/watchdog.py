"""Whether a drive at work is stuck, slow, hot or failing more and more, by what its job says of itself every second. Pure.

Nothing here ends a job: it says what people should know, and when a drive has to rest. Every finding begins at one threshold
and ends at a milder one, so that a drive at the edge of it is found once.

**Slow** is judged by windows of throughput. A window counts only the time in which the drive could work: not pauses, nor the
time of an I/O that makes it *stuck*. Three things that are no fault are taken out:

- A hard disk turns at one speed and its inner tracks are shorter: the rate falls with the radius, to about a half. Rates of
  rotating drives are therefore compared as they would be at the outer edge (`track_share`), against itself and against twins,
  which are elsewhere on theirs. Each pass is compared with itself alone.
- A rate limit that we set: nobody is slow who does what the limit allows.
- What the drive does from now on: it is compared with the median of all its earlier windows in the pass, so that a flash drive
  whose fast cache has filled up is called slow for as long as it was fast, and not for the rest of the pass.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import sqrt
from statistics import median

from eraser.domain.sayings import Code, Saying, say

LEAST_WINDOWS = 3
"""Windows of its own before a drive is compared with itself."""
LEAST_TWINS = 3
"""Other drives of its kind at the same work, before it is compared with them."""
KEPT_WINDOWS = 1440
"""Windows of a pass that are remembered: a day of them, a minute each."""
EASE = 1.25
"""By how much the threshold of slowness has to be passed again before the drive is no longer slow."""
INNER_SHARE = 0.5
"""The radius of a hard disk's innermost track, as a share of the outermost: 0.45 to 0.6 in 3.5-inch drives."""
ERROR_SECONDS = 60.0
"""Errors are counted over so long."""
SLOW_WINDOWS = 3
"""Windows in a row below a failure criterion, before a drive is given up for its speed."""


class Alarm(StrEnum):
    """What people should know of a drive."""

    STUCK = "stuck"
    SLOW = "slow"
    HOT = "hot"
    ERRORS = "errors"


@dataclass(frozen=True, slots=True)
class Limits:
    """When a drive is called stuck, slow or failing. Shares are below 1."""

    io_seconds: float = 30.0
    window_seconds: float = 60.0
    slow_against_itself: float = 0.5
    slow_against_twins: float = 0.5
    errors_per_minute: int = 10


@dataclass(frozen=True, slots=True)
class Heat:
    """Above `pause_celsius` a drive rests until it is below `resume_celsius`."""

    pause_celsius: float = 60.0
    resume_celsius: float = 50.0

    def is_hot(self, celsius: float | None, was_hot: bool) -> bool:
        """Whether it has to rest now; a drive that no longer says how warm it is, stays as it was."""
        if celsius is None:
            return was_hot
        return celsius >= self.resume_celsius if was_hot else celsius > self.pause_celsius


@dataclass(frozen=True, slots=True)
class Sample:
    """A job at one moment."""

    at: float
    """Seconds of a clock that only goes forward."""
    stage: tuple[str, int]
    """What it does, and in which pass; each begins anew."""
    is_sweep: bool
    """Whether it goes over the drive at full speed, so that its rate says something."""
    moved_bytes: int
    """In this stage."""
    place: float
    """Where on the drive it is: 0 for its first byte, 1 for its last."""
    is_resting: bool
    limit_bytes_per_second: int
    """0 for none."""
    oldest_io_seconds: float
    errors: int
    """I/Os tried again and extents given up, since the job began."""


@dataclass(frozen=True, slots=True)
class Window:
    """A time in which the drive could work."""

    ended_at: float
    seconds: float
    moved_bytes: int
    limited_seconds: float
    """Of `seconds`, those under a rate limit of ours, which let through `limited_bytes`."""
    limited_bytes: float
    share: float
    """Of the rate at its first byte, what the drive can do at this place."""

    @property
    def rate(self) -> float:
        """Bytes per second."""
        return self.moved_bytes / self.seconds

    @property
    def outer_rate(self) -> float:
        """What it would have been at the outer edge."""
        return self.rate / self.share

    def expected_rate(self, outer_rate: float) -> float:
        """What a drive that does so much at the outer edge would have done, as far as we let it."""
        here = outer_rate * self.share
        limited = min(here * self.limited_seconds, self.limited_bytes)
        return (here * (self.seconds - self.limited_seconds) + limited) / self.seconds

    def lets(self, rate: float) -> bool:
        """Whether our own limit left room for this rate all the time."""
        return self.limited_bytes >= rate * self.limited_seconds


def track_share(place: float, *, rotates: bool) -> float:
    """The rate at a place, as a share of the rate at the drive's first byte.

    Tracks of one density: what has been passed grows with the area swept, the rate with the radius.
    """
    within = min(max(place, 0.0), 1.0)
    return sqrt(1.0 - (1.0 - INNER_SHARE**2) * within) if rotates else 1.0


@dataclass(slots=True)
class JobWatch:
    """Watches one job on one drive. `look` at each sample in the order of time, then `compare` where there are twins."""

    limits: Limits
    rotates: bool
    least_rate: int | None = None
    """A failure criterion: bytes per second below which the job is not worth going on with."""
    stalls: int = 0
    """How often it got stuck."""
    latest: Window | None = None
    """Of this stage; for its twins to be compared with."""
    too_slow_seconds: float = 0.0
    """For how long it has done less than `least_rate`, once that are `SLOW_WINDOWS` in a row; else 0."""
    _stuck: Saying | None = None
    _slow_itself: Saying | None = None
    _slow_twins: Saying | None = None
    _errors: Saying | None = None
    _last: Sample | None = None
    _earlier: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_WINDOWS))
    _below: tuple[float, ...] = ()
    """Seconds of the windows in a row that were below `least_rate`."""
    _seconds: float = 0.0
    _bytes: int = 0
    _limited_seconds: float = 0.0
    _limited_bytes: float = 0.0
    _counts: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def work(self) -> str:
        """What the drive does now; empty before the first look."""
        return self._last.stage[0] if self._last is not None else ""

    @property
    def findings(self) -> dict[Alarm, Saying]:
        """What is the matter; empty when nothing is."""
        slow = self._slow_itself or self._slow_twins
        found = {Alarm.STUCK: self._stuck, Alarm.SLOW: slow, Alarm.ERRORS: self._errors}
        return {alarm: what for alarm, what in found.items() if what is not None}

    def look(self, now: Sample) -> bool:
        """Takes in one sample. Whether a window ended with it."""
        before, self._last = self._last, now
        self._look_at_io(now)
        self._look_at_errors(now)
        if before is None or before.stage != now.stage or now.moved_bytes < before.moved_bytes:
            self._begin_stage()
            return False
        if not now.is_sweep or self._stuck or before.is_resting or now.is_resting:
            return False
        seconds = now.at - before.at
        self._seconds += seconds
        self._bytes += now.moved_bytes - before.moved_bytes
        if before.limit_bytes_per_second:
            self._limited_seconds += seconds
            self._limited_bytes += seconds * before.limit_bytes_per_second
        if self._seconds < self.limits.window_seconds:
            return False
        self._end_window(now)
        return True

    def compare(self, twins: Sequence[float]) -> None:
        """Compares the latest window with the outer rates of other drives of its kind at the same work."""
        if self.latest is None or len(twins) < LEAST_TWINS:
            self._slow_twins = None
            return
        expected = self.latest.expected_rate(median(twins))
        is_slow = _is_slow(self.latest, expected, self.limits.slow_against_twins, bool(self._slow_twins))
        count, rate = len(twins), self.latest.rate
        slow = say(Code.SLOWER_THAN_TWINS, rate=rate, count=count, expected=expected)
        self._slow_twins = slow if is_slow else None

    def _look_at_io(self, now: Sample) -> None:
        age, limit = now.oldest_io_seconds, self.limits.io_seconds
        if age >= limit:
            if not self._stuck:
                self.stalls += 1
                self._begin_window()  # what it did while it got stuck says nothing of its speed
            self._stuck = say(Code.STUCK, seconds=round(age), most=limit)
        elif age < limit / 2:
            self._stuck = None

    def _look_at_errors(self, now: Sample) -> None:
        if self._counts and now.errors < self._counts[-1][1]:
            self._counts.clear()
        self._counts.append((now.at, now.errors))
        while self._counts[0][0] < now.at - ERROR_SECONDS:
            self._counts.popleft()
        grown = now.errors - self._counts[0][1]
        most = self.limits.errors_per_minute
        if grown >= most:
            self._errors = say(Code.ERRORS, count=grown)
        elif 2 * grown < most:
            self._errors = None

    def _begin_stage(self) -> None:
        self._begin_window()
        self._earlier.clear()
        self.latest = None
        self._slow_itself = self._slow_twins = None
        self._note_speed(())

    def _begin_window(self) -> None:
        self._seconds = self._limited_seconds = self._limited_bytes = 0.0
        self._bytes = 0

    def _end_window(self, now: Sample) -> None:
        share = track_share(now.place, rotates=self.rotates)
        window = Window(now.at, self._seconds, self._bytes, self._limited_seconds, self._limited_bytes, share)
        self._begin_window()
        if len(self._earlier) >= LEAST_WINDOWS:
            expected = window.expected_rate(median(self._earlier))
            is_slow = _is_slow(window, expected, self.limits.slow_against_itself, bool(self._slow_itself))
            slow = say(Code.SLOWER_THAN_BEFORE, rate=window.rate, expected=expected)
            self._slow_itself = slow if is_slow else None
        self._earlier.append(window.outer_rate)
        self.latest = window
        if self.least_rate is not None and window.lets(EASE * self.least_rate):
            self._note_speed((*self._below, window.seconds) if window.rate < self.least_rate else ())

    def _note_speed(self, below: tuple[float, ...]) -> None:
        self._below = below
        self.too_slow_seconds = sum(below) if len(below) >= SLOW_WINDOWS else 0.0


def _is_slow(window: Window, expected: float, share: float, was_slow: bool) -> bool:
    """Whether it did less than a share of what was to be expected; once it did, until it does clearly more."""
    threshold = min(share * EASE, (1.0 + share) / 2) if was_slow else share
    return window.rate < threshold * expected
