"""What Prometheus reads: a snapshot of the station as metrics, rendered off the loop and at most once a second.

At most 40 series a bay. Labels are bounded by the configuration and the code: a bay's name, a state, an outcome, a standard;
never a serial number.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from importlib.metadata import version
from itertools import accumulate

from prometheus_client import exposition
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector, CollectorRegistry

from eraser.domain.watchdog import Alarm
from eraser.rack.blocking import BlockingCall, in_own_thread
from eraser.rack.view import COMMIT_BOUNDS_SECONDS, BaySnapshot, BayState, CommitTimes, StationSnapshot

_LOG = logging.getLogger(__name__)

INTERVAL_SECONDS = 1.0
"""No text is rendered again before this has passed."""
KEPT_FRESH_SECONDS = 120.0
"""A text that nobody has asked for so long is no longer kept fresh. Twice the longest usual scrape interval."""

LATENCY_EXPONENTS = (10, 14, 17, 20, 23)
"""Upper bounds of the latency histogram, as powers of two in microseconds: 1 ms, 16 ms, 131 ms, 1 s, 8 s."""


class Exposition(Enum):
    """The two text formats that Prometheus reads; the value is the content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def exposition_for(accept: str) -> Exposition:
    """The format to answer with, by the request's `Accept`: OpenMetrics for whoever knows it."""
    return Exposition.OPEN_METRICS if "application/openmetrics-text" in accept else Exposition.TEXT


def render(snapshot: StationSnapshot, form: Exposition) -> bytes:
    """The snapshot as text: 10 to 30 ms of work for 96 bays."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_SnapshotCollector(snapshot))
    if form is Exposition.OPEN_METRICS:
        text: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]
        return text
    return exposition.generate_latest(registry)


@dataclass(frozen=True, slots=True)
class _Rendered:
    text: bytes
    at_seconds: float


class MetricsPage:
    """The texts, kept fresh while somebody asks for them, so that a scrape waits neither for a drive nor for the rendering.

    Used on the event loop. Only the first scrape of each format waits for its text.
    """

    def __init__(
        self,
        take_snapshot: Callable[[], StationSnapshot],
        *,
        interval_seconds: float = INTERVAL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        blocking: BlockingCall = in_own_thread,
    ) -> None:
        self._take_snapshot = take_snapshot
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._blocking = blocking
        self._rendered: dict[Exposition, _Rendered] = {}
        self._asked_at: dict[Exposition, float] = {}
        self._lock = asyncio.Lock()

    async def text(self, form: Exposition) -> bytes:
        """The metrics, no older than two intervals while `keep_fresh` runs."""
        self._asked_at[form] = self._clock()
        if not self._is_fresh(form, 2 * self._interval_seconds):
            await self._refresh(form)
        return self._rendered[form].text

    async def keep_fresh(self) -> None:
        """Renders anew what is asked for, until it is cancelled. After a fault whoever asks is told of it, and it goes on."""
        while True:
            await asyncio.sleep(self._interval_seconds)
            try:
                await self._refresh_what_is_asked_for()
            except Exception:
                _LOG.exception("the metrics cannot be rendered")

    async def _refresh_what_is_asked_for(self) -> None:
        for form, asked_at in list(self._asked_at.items()):
            if self._clock() - asked_at < KEPT_FRESH_SECONDS:
                await self._refresh(form)

    def _is_fresh(self, form: Exposition, limit_seconds: float) -> bool:
        rendered = self._rendered.get(form)
        return rendered is not None and self._clock() - rendered.at_seconds < limit_seconds

    async def _refresh(self, form: Exposition) -> None:
        async with self._lock:
            if self._is_fresh(form, self._interval_seconds):  # whoever held the lock has done it
                return
            now = self._clock()
            snapshot = self._take_snapshot()
            # The counts may be the station's own, which go on changing while the thread reads.
            snapshot = replace(snapshot, jobs=dict(snapshot.jobs), queue=dict(snapshot.queue))
            text = await self._blocking(render, snapshot, form)
            self._rendered[form] = _Rendered(text, now)


class _SnapshotCollector(Collector):
    """One snapshot in prometheus-client's terms."""

    def __init__(self, snapshot: StationSnapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        yield from _of_station(self._snapshot)
        yield from _of_bays(self._snapshot.bays)


def _of_station(snapshot: StationSnapshot) -> Iterator[Metric]:
    yield InfoMetricFamily("eraser_build", "The version of Eraser that runs.", {"version": version("eraser")})
    jobs = CounterMetricFamily(
        "eraser_jobs", "Jobs finished since the start, by outcome and standard.", labels=("outcome", "standard")
    )
    for (outcome, standard), count in sorted(snapshot.jobs.items()):
        jobs.add_metric((outcome, standard), count)
    yield jobs
    queue = GaugeMetricFamily("eraser_queue_bays", "Bays that wait, by what they wait for.", labels=("reason",))
    for reason, count in sorted(snapshot.queue.items()):
        queue.add_metric((reason,), count)
    yield queue
    for name, text, value in (
        ("eraser_ready", "1 while the station is ready, 0 while it says why it is not.", not snapshot.problems),
        ("eraser_ledger_full", "1 while jobs wait for room on the ledger's disk.", snapshot.is_ledger_full),
        (
            "eraser_certificates_withheld",
            "1 while the positive control is not as it must be and nothing is certified.",
            snapshot.is_withholding,
        ),
        ("eraser_draining", "1 while no new job begins.", snapshot.is_draining),
        (
            "eraser_routine_control_overdue",
            "Drives of the routine control that nobody has read in time, and a draw that is late.",
            snapshot.routine_overdue,
        ),
        ("eraser_loop_lag_seconds", "How late the event loop is.", snapshot.loop_lag_seconds),
        (
            "eraser_journal_write_seconds",
            "How long the last event took to become durable.",
            snapshot.journal_seconds,
        ),
    ):
        yield GaugeMetricFamily(name, text, float(value))
    yield _commits(snapshot.commits)


def _commits(commits: CommitTimes) -> Metric:
    bounds = (*(str(bound) for bound in COMMIT_BOUNDS_SECONDS), "+Inf")
    buckets = list(zip(bounds, map(float, accumulate(commits.counts)), strict=True))
    return HistogramMetricFamily(
        "eraser_journal_commit_seconds",
        "Commits of the ledger by how long they took; one carries the events of many bays.",
        buckets=buckets,
        sum_value=commits.all_seconds,
    )


_COUNTERS: tuple[tuple[str, str, Callable[[BaySnapshot], int]], ...] = (
    ("written_bytes", "Bytes written to the drive in the bay.", lambda bay: bay.written_bytes),
    ("verified_bytes", "Bytes read back and compared.", lambda bay: bay.verified_bytes),
    ("hashed_bytes", "Bytes hashed.", lambda bay: bay.hashed_bytes),
    ("retries", "I/Os that were tried again.", lambda bay: bay.retries),
    ("bad_bytes", "Bytes that could not be written or read.", lambda bay: bay.bad_bytes),
    (
        "mismatched_sectors",
        "Sectors that held something else than what was written.",
        lambda bay: bay.mismatched_sectors,
    ),
    ("stalls", "Times that an I/O took longer than its limit.", lambda bay: bay.stalls),
)
"""Name without `eraser_bay_` and `_total`, what it says, how it is found. They begin anew when a drive is plugged in."""

_GAUGES: tuple[tuple[str, str, Callable[[BaySnapshot], float | None]], ...] = (
    ("throughput_bytes_per_second", "Rate of the stage that runs.", lambda bay: bay.bytes_per_second),
    ("progress_ratio", "Part of the stage that is done, 0 to 1.", lambda bay: _progress(bay)),
    ("eta_seconds", "Time until the job is done, as far as it is known.", lambda bay: bay.eta_seconds),
    ("temperature_celsius", "Temperature of the drive, where it tells.", lambda bay: bay.temperature_celsius),
    ("oldest_io_seconds", "Age of the oldest I/O that has not returned.", lambda bay: bay.oldest_io_seconds),
)
"""Name without `eraser_bay_`, what it says, how it is found; None: there is no such series now."""


def _progress(bay: BaySnapshot) -> float | None:
    return bay.done_bytes / bay.total_bytes if bay.total_bytes else None


def _of_bays(bays: Iterable[BaySnapshot]) -> Iterator[Metric]:
    for name, text, count_of in _COUNTERS:
        counter = CounterMetricFamily(f"eraser_bay_{name}", text, labels=("bay",))
        for bay in bays:
            counter.add_metric((bay.name,), count_of(bay))
        yield counter
    for name, text, value_of in _GAUGES:
        gauge = GaugeMetricFamily(f"eraser_bay_{name}", text, labels=("bay",))
        for bay in bays:
            if (value := value_of(bay)) is not None:
                gauge.add_metric((bay.name,), value)
        yield gauge
    states = GaugeMetricFamily("eraser_bay_state", "1 for the state that the bay is in.", labels=("bay", "state"))
    for bay in bays:
        for state in BayState:
            states.add_metric((bay.name, state.value), bay.state is state)
    yield states
    alarms = GaugeMetricFamily("eraser_bay_alarm", "1 for what is the matter with the drive.", labels=("bay", "alarm"))
    for bay in bays:
        for alarm in Alarm:
            alarms.add_metric((bay.name, alarm.value), alarm.value in bay.alarms)
    yield alarms
    yield _latency(bays)


def _latency(bays: Iterable[BaySnapshot]) -> Metric:
    histogram = HistogramMetricFamily(
        "eraser_bay_io_latency_seconds",
        "I/Os by how long they took. The sum is an estimate from finer buckets, at most a third off.",
        labels=("bay",),
    )
    for bay in bays:
        buckets = bay.latency_us_buckets
        histogram.add_metric((bay.name,), _cumulative(buckets), sum_value=_summed_seconds(buckets))
    return histogram


def _summed_seconds(buckets: tuple[int, ...]) -> float:
    """Each I/O counted as the middle of its bucket, 1.5 * 2^k microseconds: nobody adds up the times themselves."""
    return sum(count * 1.5 * 2.0**exponent for exponent, count in enumerate(buckets)) / 1e6


def _cumulative(buckets: tuple[int, ...]) -> list[tuple[str, float]]:
    """Few and cumulative from many and single ones: bucket *k* has the I/Os of 2^k to 2^(k+1) µs."""
    below = [0, *accumulate(buckets)]
    bounds = [(f"{2**exponent / 1e6}", below[min(exponent, len(buckets))]) for exponent in LATENCY_EXPONENTS]
    return [*((bound, float(count)) for bound, count in bounds), ("+Inf", float(below[-1]))]
