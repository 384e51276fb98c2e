from __future__ import annotations

import asyncio
import subprocess
import time
from collections import Counter
from dataclasses import replace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from eraser.console.metrics import Exposition, MetricsPage, exposition_for, render
from eraser.domain.sayings import Code, say
from eraser.domain.watchdog import Alarm
from eraser.rack.view import COMMIT_BOUNDS_SECONDS, BayState, CommitTimes
from tests.console.stations import FakeStation, a_busy_bay, a_snapshot, an_empty_bay
from tests.lab.requirements import require


def samples(text: bytes, parse=parse_text) -> dict[tuple[str, frozenset], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(text.decode())
        for sample in family.samples
    }


def value(found: dict, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def test_a_bay_shows_what_its_snapshot_says() -> None:
    found = samples(render(a_snapshot(), Exposition.TEXT))
    shown = {
        "written_bytes_total": 1250,
        "verified_bytes_total": 600,
        "hashed_bytes_total": 500,
        "retries_total": 3,
        "bad_bytes_total": 4096,
        "mismatched_sectors_total": 2,
        "stalls_total": 1,
        "throughput_bytes_per_second": 210e6,
        "progress_ratio": 0.25,
        "eta_seconds": 3600.5,
        "temperature_celsius": 41.5,
        "oldest_io_seconds": 0.25,
    }
    assert {name: value(found, f"eraser_bay_{name}", bay="A1") for name in shown} == shown


def test_the_station_shows_its_jobs_queue_and_health() -> None:
    found = samples(render(a_snapshot(troubles=(say(Code.TROUBLE_LEDGER_FULL),), is_draining=True), Exposition.TEXT))
    assert value(found, "eraser_jobs_total", outcome="passed", standard="nist-clear") == 5
    assert value(found, "eraser_jobs_total", outcome="failed", standard="gutmann") == 1
    assert value(found, "eraser_queue_bays", reason="bandwidth") == 2
    assert value(found, "eraser_ready") == 0
    assert value(found, "eraser_draining") == 1
    assert value(found, "eraser_loop_lag_seconds") == 0.001
    assert value(found, "eraser_journal_write_seconds") == 0.004
    assert any(name == "eraser_build_info" and labels for name, labels in found)


def test_commits_of_the_ledger_are_counted_by_how_long_they_took() -> None:
    commits = CommitTimes(7.5, (3, 0, 2, 0, 0, 0, 1, 0, 1))
    found = samples(render(a_snapshot(commits=commits), Exposition.TEXT))
    counts = {
        float(dict(labels)["le"]): number
        for (name, labels), number in found.items()
        if name == "eraser_journal_commit_seconds_bucket"
    }
    assert counts == dict(zip([*COMMIT_BOUNDS_SECONDS, float("inf")], [3, 3, 5, 5, 5, 5, 6, 6, 7], strict=True))
    assert value(found, "eraser_journal_commit_seconds_sum") == 7.5
    assert value(found, "eraser_journal_commit_seconds_count") == 7


@pytest.mark.parametrize("state", BayState)
def test_exactly_the_bay_s_state_is_one(state: BayState) -> None:
    found = samples(render(a_snapshot(a_busy_bay(state=state)), Exposition.TEXT))
    states = {dict(labels)["state"]: number for (name, labels), number in found.items() if name == "eraser_bay_state"}
    assert states == {other.value: float(other is state) for other in BayState}


@pytest.mark.parametrize("alarms", [(), ("stuck",), ("slow", "errors"), tuple(alarm.value for alarm in Alarm)])
def test_exactly_what_is_the_matter_with_the_drive_is_one(alarms: tuple[str, ...]) -> None:
    found = samples(render(a_snapshot(a_busy_bay(alarms=alarms)), Exposition.TEXT))
    shown = {dict(labels)["alarm"]: number for (name, labels), number in found.items() if name == "eraser_bay_alarm"}
    assert shown == {alarm.value: float(alarm.value in alarms) for alarm in Alarm}


def test_what_is_not_known_is_no_series_and_not_zero() -> None:
    found = samples(render(a_snapshot(an_empty_bay("A2")), Exposition.TEXT))
    names = {name for name, labels in found if ("bay", "A2") in labels}
    assert not names & {"eraser_bay_temperature_celsius", "eraser_bay_eta_seconds", "eraser_bay_progress_ratio"}
    assert value(found, "eraser_bay_written_bytes_total", bay="A2") == 0


def test_latencies_add_up_to_few_cumulative_buckets() -> None:
    buckets = [0] * 32
    buckets[9], buckets[10], buckets[20], buckets[31] = (
        5,
        7,
        11,
        13,
    )  # below 1 ms, 1 to 2 ms, 1 to 2 s, over half an hour
    found = samples(render(a_snapshot(a_busy_bay(latency_us_buckets=tuple(buckets))), Exposition.TEXT))
    counts = {
        float(dict(labels)["le"]): number
        for (name, labels), number in found.items()
        if name == "eraser_bay_io_latency_seconds_bucket"
    }
    assert counts == {0.001024: 5, 0.016384: 12, 0.131072: 12, 1.048576: 12, 8.388608: 23, float("inf"): 36}
    assert value(found, "eraser_bay_io_latency_seconds_count", bay="A1") == 36
    middles = (5 * 2**9 + 7 * 2**10 + 11 * 2**20 + 13 * 2**31) * 1.5 / 1e6
    assert value(found, "eraser_bay_io_latency_seconds_sum", bay="A1") == middles


def test_a_bay_has_at_most_forty_series_and_no_serial_number() -> None:
    text = render(a_snapshot(), Exposition.TEXT)
    per_bay = Counter(dict(labels).get("bay") for _, labels in samples(text))
    assert per_bay["A1"] <= 40
    assert b"S3R1AL" not in text


@pytest.mark.parametrize("snapshot", [a_snapshot(), a_snapshot(a_busy_bay('odd "name" \\ \n'), an_empty_bay())])
def test_the_text_is_clean_by_promtool(snapshot) -> None:
    require(tools=("promtool",))
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=render(snapshot, Exposition.TEXT), capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_openmetrics_is_clean_by_its_own_parser_and_says_the_same() -> None:
    plain = samples(render(a_snapshot(), Exposition.TEXT))
    openly = samples(render(a_snapshot(), Exposition.OPEN_METRICS), parse_openmetrics)
    assert openly == plain


def test_whoever_knows_openmetrics_gets_it() -> None:
    prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
    assert exposition_for(prometheus) is Exposition.OPEN_METRICS
    assert exposition_for("text/plain") is Exposition.TEXT
    assert exposition_for("") is Exposition.TEXT


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_many_scrapes_at_once_are_rendered_once() -> None:
    station = FakeStation()
    page = MetricsPage(station.snapshot, clock=Clock())
    texts = await asyncio.gather(*(page.text(Exposition.TEXT) for _ in range(20)))
    assert len(set(texts)) == 1
    assert station.snapshots == 1


async def test_a_scrape_is_answered_with_what_is_fresh_and_never_with_what_is_old() -> None:
    station, clock = FakeStation(), Clock()
    page = MetricsPage(station.snapshot, clock=clock)
    await page.text(Exposition.TEXT)
    station.shown = a_snapshot(a_busy_bay(retries=99))
    clock.now = 0.9
    assert b'eraser_bay_retries_total{bay="A1"} 3.0' in await page.text(Exposition.TEXT)
    clock.now = 60.0
    assert b'eraser_bay_retries_total{bay="A1"} 99.0' in await page.text(Exposition.TEXT)


async def test_what_is_asked_for_is_kept_fresh_and_what_nobody_asks_for_is_left() -> None:
    station, clock = FakeStation(), Clock()
    page = MetricsPage(station.snapshot, interval_seconds=0.001, clock=clock)
    keeping = asyncio.create_task(page.keep_fresh())
    await page.text(Exposition.TEXT)
    async with asyncio.timeout(5):
        while station.snapshots < 3:
            clock.now += 0.01
            await asyncio.sleep(0.001)
    keeping.cancel()
    clock.now += 1000
    seen = station.snapshots
    await page._refresh_what_is_asked_for()
    assert station.snapshots == seen


async def test_a_fault_is_told_to_whoever_asks_and_is_over_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    station, clock = FakeStation(), Clock()
    faults: list[bool] = []

    def snapshot():
        if faults and len(faults) < 3:
            faults.append(True)
            raise RuntimeError("broken")
        return station.snapshot()

    page = MetricsPage(snapshot, interval_seconds=0.001, clock=clock)
    await page.text(Exposition.TEXT)
    faults.append(True)
    clock.now = 10.0
    with pytest.raises(RuntimeError):
        await page.text(Exposition.TEXT)
    keeping = asyncio.create_task(page.keep_fresh())
    async with asyncio.timeout(5):
        while station.snapshots < 2:  # noqa: ASYNC110  the page tells nobody when it has looked
            await asyncio.sleep(0.001)
    keeping.cancel()
    assert "cannot be rendered" in caplog.text
    assert await page.text(Exposition.TEXT)


async def test_counts_that_change_meanwhile_do_not_disturb_the_rendering() -> None:
    jobs = {("passed", "nist-clear"): 1}
    station = FakeStation(replace(a_snapshot(), jobs=jobs))

    async def change_then_call(function, *args):
        jobs["failed", "gutmann"] = 1
        return function(*args)

    page = MetricsPage(station.snapshot, blocking=change_then_call)
    assert b"gutmann" not in await page.text(Exposition.TEXT)


@pytest.mark.serial
async def test_a_scrape_of_96_busy_bays_is_served_within_20_ms() -> None:
    station = FakeStation(a_snapshot(*(a_busy_bay(f"B{number}") for number in range(96))))
    page = MetricsPage(station.snapshot)
    keeping = asyncio.create_task(page.keep_fresh())
    for form in Exposition:
        await page.text(form)
    times = []
    for _ in range(30):
        await asyncio.sleep(0.1)  # over several renderings
        begun = time.perf_counter()
        await page.text(Exposition.OPEN_METRICS)
        times.append(time.perf_counter() - begun)
    keeping.cancel()
    assert max(times) < 0.020
