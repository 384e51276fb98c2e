"""A whole rack under `eraser serve`: 64 slow drives at once beside fio, what a bay costs, and starting with a long past.

Root, and some 18 GiB of memory for 64 drives; ERASER_BENCH_RACK_BYTES sets another size of each (256 MiB).
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import meters, peers
from benchmarks.comparison import Better, Comparison, middle, record
from benchmarks.test_ledger import FINISHED_JOBS, START_SECONDS, insert_job
from eraser.ledger.engine import open_engine, sqlite_url, writing
from eraser.ledger.migrating import migrate
from tests.lab import LoopDrive, Need, Throttle, loop_drive, require, throttled
from tests.serve.station import Process, Running, Site, bays_of

pytestmark = [pytest.mark.lab("root", "loop"), pytest.mark.timeout(0)]

MIB = 1 << 20
BAYS = 64
FEW_BAYS = 8
RATE = 20_000_000
SIZE = int(os.environ.get("ERASER_BENCH_RACK_BYTES", 256 * MIB))
BLOCK, DEPTH = "1M", 2
"""As `tuning_for` drives a loop device."""
WATCHED = Path(__file__).with_name("watched.py")

LEAST_OF_FIO = 0.98
LEAST_OF_FASTEST = 0.97
LAG_SECONDS = 0.025
MOST_GROWTH = 1.15
RESIDENT_MB = 250.0
EVENTS_A_JOB = 20


@dataclass(frozen=True, slots=True)
class RackRun:
    """What was seen of one station. `rates` are the drives', in bytes a second, over what was written and read."""

    rates: list[float]
    cpu_seconds: float
    """Of the server and its transfers, from its start to the last drive's end."""
    resident_mb: float
    lags: list[float]

    @property
    def lag_p99(self) -> float:
        return sorted(self.lags)[int(len(self.lags) * 0.99)]


@contextmanager
def slow_drives(count: int) -> Iterator[tuple[list[LoopDrive], Throttle]]:
    """Drives of `SIZE` that give `RATE` each to whoever is placed under the throttle."""
    require(Need.LOOP, Need.THROTTLING)
    with ExitStack() as stack:
        drives = [stack.enter_context(loop_drive(SIZE, fill=None)) for _ in range(count)]
        throttle = stack.enter_context(throttled(drives[0].device, RATE))
        for drive in drives[1:]:
            throttle.also(drive.device, RATE)
        join_free_memory()
        yield drives, throttle


def join_free_memory() -> None:
    """So that huge pages can be had. The throttle charges a request twice that the kernel splits, as it does where 1 MiB lies
    in more than 128 pieces: of two drives alike, the one whose memory is in small pages gets half the rate (seen: 10.0 and
    20.3 MB/s with huge pages off and on). That is the throttle's doing; without it a drive is as fast either way.
    """
    Path("/proc/sys/vm/compact_memory").write_text("1")


def run_station(folder: Path, drives: Sequence[LoopDrive], throttle: Throttle) -> RackRun:
    """Every drive erased and verified by one station."""
    lags = folder.with_suffix(".lags")

    def start(words: list[str], log: Path) -> Process:
        command = throttle.command([sys.executable, "-P", WATCHED, lags, *words])
        with log.open("ab") as output:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    bays = bays_of(*drives) or {"A1": "lab-none"}
    site = Site(folder, bays, start=start)
    with site.running() as station:
        if drives:
            station.until_passed(len(drives), within_s=600)
        else:
            station.until_answering()
        cpu = cpu_seconds(station.process.pid)
        resident = resident_mb(station.process.pid)
        station.stop()
    rates = [rate_of(certificate) for certificate in site.certificates()]
    return RackRun(rates, cpu, resident, [float(line) for line in lags.read_text().split()])


def rate_of(certificate: dict[str, Any]) -> float:
    """Bytes a second of the writing and the reading back, each from its first byte to its last."""
    runs = [*certificate["passes"][0]["runs"], certificate["final_verification"]["run"]]
    seconds = sum(int(run["last_byte"]) - int(run["first_byte"]) for run in runs) / 1e9
    return float(sum(run["bytes_done"] for run in runs) / seconds)


def cpu_seconds(pid: int) -> float:
    """Of a process and its children that have ended: utime, stime, cutime, cstime of proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / meters.TICKS_PER_SECOND


def resident_mb(pid: int) -> float:
    """The most that it ever had in memory, in MB, without its children's."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("the kernel tells no VmHWM")


def fio_rates(drives: Sequence[LoopDrive], throttle: Throttle) -> list[float]:
    """Of every drive, written and then read whole by fio under the same throttle, at the same block size."""
    seconds = {drive.name: 0.0 for drive in drives}
    for direction in ("write", "read"):
        shared = ["--thread", "--output-format=json", "--ioengine=io_uring", "--direct=1", "--zero_buffers"]
        shape = [f"--rw={direction}", f"--bs={BLOCK}", f"--iodepth={DEPTH}", f"--size={SIZE}"]
        jobs = [word for drive in drives for word in (f"--name={drive.name}", f"--filename={drive.device}")]
        done = subprocess.run(throttle.command(["fio", *shared, *shape, *jobs]), capture_output=True, check=True)
        output = done.stdout.decode()
        for job in json.loads(output[output.index("{") :])["jobs"]:
            seconds[job["jobname"]] += job[direction]["runtime"] / 1000
    return [2 * SIZE / taken for taken in seconds.values()]


def test_64_slow_drives_at_once(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Each as fast as fio has it, none behind the others; what the loop, the memory and a bay's processor time are."""
    peers.need("fio")
    runs: dict[int, RackRun] = {}
    with slow_drives(BAYS) as (drives, throttle):
        fio = fio_rates(drives, throttle)
        idle = run_station(tmp_path / "idle", [], throttle)
        runs[FEW_BAYS] = run_station(tmp_path / "few", drives[:FEW_BAYS], throttle)

        def all_of_them() -> None:
            runs[BAYS] = run_station(tmp_path / "all", drives, throttle)

        benchmark.pedantic(all_of_them, rounds=1, iterations=1)
    run = runs[BAYS]
    a_bay = {bays: (found.cpu_seconds - idle.cpu_seconds) / bays for bays, found in runs.items()}
    what = f"{BAYS} drives of {RATE // 10**6} MB/s at once"
    fio_name = f"fio {BLOCK}, {DEPTH} in flight, median"
    slowest, fastest = min(run.rates) / 1e6, max(run.rates) / 1e6
    record(
        benchmark,
        Comparison(f"{what}, the slowest", slowest, fio_name, middle(fio) / 1e6, "MB/s", LEAST_OF_FIO),
        Comparison(f"{what}, the slowest", slowest, "the fastest", fastest, "MB/s", LEAST_OF_FASTEST),
        Comparison(f"loop lag p99, {what}", run.lag_p99, "the limit", LAG_SECONDS, "s", 1.0, Better.LOWER),
        Comparison(
            f"processor time a bay, {BAYS} bays",
            a_bay[BAYS],
            f"{FEW_BAYS} bays",
            a_bay[FEW_BAYS],
            "s",
            MOST_GROWTH,
            Better.LOWER,
        ),
        Comparison(f"memory of the server, {what}", run.resident_mb, "the limit", RESIDENT_MB, "MB", 1.0, Better.LOWER),
    )


@pytest.fixture(scope="module")
def a_long_past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a station with many finished jobs, and none open."""
    folder = tmp_path_factory.mktemp("past")
    (folder / "data").mkdir()
    engine = open_engine(sqlite_url(folder / "data" / "ledger.db"))
    migrate(engine)
    with writing(engine) as connection, connection.begin():
        for job in range(FINISHED_JOBS):
            insert_job(connection, job, EVENTS_A_JOB)
    engine.dispose()
    return folder


def test_the_station_starts_with_10_000_finished_jobs(benchmark: BenchmarkFixture, a_long_past: Path) -> None:
    """From just before the process is made until it says that it is ready."""
    site = Site(a_long_past, {"A1": "lab-none"})
    found: list[float] = []

    def start() -> None:
        began = time.monotonic()
        with site.running() as station:
            until_ready(station)
            found.append(time.monotonic() - began)
            station.stop()

    benchmark.pedantic(start, rounds=3, iterations=1)
    what = f"eraser serve ready, with {FINISHED_JOBS:,} finished jobs"
    record(benchmark, Comparison(what, max(found), "the limit", START_SECONDS, "s", 1.0, Better.LOWER))


def until_ready(station: Running) -> None:
    """Until /health/ready says so."""

    def is_ready() -> bool:
        try:
            return station.ask("/health/ready")[0] == 200
        except OSError:
            return False

    station.until(is_ready, "the station to be ready", within_s=30)
