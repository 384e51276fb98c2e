"""Whole erasures of loop drives on tmpfs, one and eight at once, beside fio and nwipe: time, and processor time a GiB.

Root, and for eight drives of 2 GiB some 18 GiB of memory; ERASER_BENCH_BYTES sets another size.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import loops, meters, peers
from benchmarks.comparison import Better, Comparison, middle, record
from benchmarks.loops import GIB, Erasure
from benchmarks.peers import FioRun

pytestmark = [pytest.mark.lab("root", "loop"), pytest.mark.timeout(0)]

ROUNDS = 3
CASES = {
    "zero": ("zero", "off"),
    "random": ("random", "off"),
    "random with hashing": ("random", "blake3"),
}
FIO_TARGETS = {"zero": 0.95, "random": 0.80}
CHACHA20_TARGETS = {"random": 6.0, "random with hashing": 4.5}
CPU_TARGETS = {"zero": 1.0, "random": 1.3}


@pytest.fixture(scope="module", params=[8, 1], ids=["eight", "one"])
def drives(request: pytest.FixtureRequest) -> Iterator[list[Path]]:
    size, _ = loops.size_that_fits(request.param)
    with loops.drives_of(request.param, size) as devices:
        yield devices


def size_of(drive: Path) -> int:
    """Bytes of a drive, all of them being alike."""
    return int((Path("/sys/block") / drive.name / "size").read_text()) * 512


def named(drives: list[Path], case: str) -> str:
    """The row's name, with what was erased."""
    many = f"{len(drives)} drives at once" if len(drives) > 1 else "one drive"
    return f"{case}, {many} of {size_of(drives[0]) / GIB:.3g} GiB"


@pytest.mark.parametrize("case", CASES)
def test_erasing_beside_fio(benchmark: BenchmarkFixture, drives: list[Path], case: str) -> None:
    """From first to last byte, written and verified in full, against what fio takes to write and to read as much."""
    peers.need("fio")
    size = size_of(drives[0])
    theirs: list[FioRun] = []
    ours: list[Erasure] = []
    benchmark.pedantic(
        lambda: ours.append(loops.erase(drives, *CASES[case])),
        setup=lambda: theirs.append(peers.best_fio(drives, size)),
        rounds=ROUNDS,
        iterations=1,
    )
    moved = 2 * size * len(drives)
    rate = moved / middle([run.seconds for run in ours]) / 1e9
    fio_rate = moved / middle([run.seconds for run in theirs]) / 1e9
    what = named(drives, case)
    fio_name = f"fio {middle_run(theirs).shape}"
    rows = [Comparison(what, rate, fio_name, fio_rate, "GB/s", FIO_TARGETS.get(case))]
    if case in CHACHA20_TARGETS:
        rows.append(chacha20(what, rate, len(drives), CHACHA20_TARGETS[case]))
    gib = moved / GIB
    others = max(*(run.usage.others for run in ours), *(run.others for run in theirs))
    noise = f"worthless: others took up to {others:.0%} of the machine" if others > meters.QUIET_SHARE else ""
    for whose, mine, other, note in (
        ("process", [run.usage.process_cpu for run in ours], [run.process_cpu for run in theirs], ""),
        ("machine", [run.usage.machine_cpu for run in ours], [run.machine_cpu for run in theirs], noise),
    ):
        cpu = f"processor time of the {whose}, {what}"
        target = None if note else CPU_TARGETS.get(case)
        mine_per_gib, other_per_gib = middle(mine) / gib, middle(other) / gib
        rows.append(Comparison(cpu, mine_per_gib, fio_name, other_per_gib, "s/GiB", target, Better.LOWER, note))
    record(benchmark, *rows)


def middle_run(runs: list[FioRun]) -> FioRun:
    """The run whose time is the median."""
    return sorted(runs, key=lambda run: run.seconds)[len(runs) // 2]


def chacha20(what: str, rate: float, drives: int, target: float) -> Comparison:
    """Against what nwipe 0.42's ChaCha20 could do at most: all cores generating, input and output costing nothing."""
    cores = min(drives, meters.CPUS)
    peer = f"nwipe 0.42's ChaCha20 alone on {cores} cores, figure measured earlier"
    return Comparison(what, rate, peer, cores * peers.CHACHA20_GB_PER_SECOND, "GB/s", target)


@pytest.mark.parametrize("case", ["zero", "random"])
def test_erasing_beside_nwipe(benchmark: BenchmarkFixture, drives: list[Path], case: str) -> None:
    """The whole of both processes, once: nwipe takes long. With ChaCha20 where it has it, else its default generator."""
    peers.need("nwipe")
    size = size_of(drives[0])
    has_chacha20 = peers.nwipe_has_chacha20()
    options = [f"--method={case}"] + (["--prng=chacha20"] if has_chacha20 and case == "random" else [])
    theirs: list[meters.Usage] = []
    ours: list[Erasure] = []
    benchmark.pedantic(
        lambda: ours.append(loops.erase(drives, *CASES[case])),
        setup=lambda: theirs.append(peers.nwipe(drives, *options)),
        rounds=1,
        iterations=1,
    )
    moved = 2 * size * len(drives)
    target = CHACHA20_TARGETS.get(case) if has_chacha20 else None
    generator = "ChaCha20" if has_chacha20 else "its default generator"
    peer = f"{peers.nwipe_name()}, {generator if case == 'random' else 'zero'}"
    what = named(drives, case)
    record(
        benchmark,
        Comparison(
            f"{what}, whole process",
            moved / ours[0].usage.wall / 1e9,
            peer,
            moved / theirs[0].wall / 1e9,
            "GB/s",
            target,
        ),
        Comparison(
            f"processor time of the process, {what}",
            ours[0].usage.process_cpu / (moved / GIB),
            peer,
            theirs[0].process_cpu / (moved / GIB),
            "s/GiB",
            better=Better.LOWER,
        ),
    )
