"""How long the command takes from its start to the first byte on its way to the drive."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import loops, meters
from benchmarks.comparison import Better, Comparison, middle, record

pytestmark = pytest.mark.lab("root", "loop")

ROUNDS = 5
LIMIT_SECONDS = 0.5


@pytest.mark.parametrize("standard", ["zero", "random"])
def test_start_to_first_byte(benchmark: BenchmarkFixture, standard: str) -> None:
    found: list[float] = []
    with loops.drives_of(1, 64 * loops.MIB) as drives:
        benchmark.pedantic(lambda: found.append(start_seconds(drives[0], standard)), rounds=ROUNDS, iterations=1)
    what = f"start to first byte written, {standard}"
    record(benchmark, Comparison(what, middle(found), "the limit", LIMIT_SECONDS, "s", 1.0, Better.LOWER))


def start_seconds(drive: Path, standard: str) -> float:
    """From just before the process is made until its first I/O is sent, by the job's journal."""
    with loops.station() as folder:
        began = time.monotonic_ns()
        meters.run(
            loops.command([drive], standard, "off"), env={**os.environ, "XDG_DATA_HOME": str(folder)}, idle_seconds=0
        )
        (journal,) = (folder / "eraser/journal").rglob("*.journal")
        return (min(first_bytes(journal)) - began) / 1e9


def first_bytes(journal: Path) -> Iterator[int]:
    """CLOCK_MONOTONIC, in nanoseconds, of the first I/O of each transfer. A line is a digest and a JSON object."""
    for line in journal.read_text().splitlines():
        yield from _values(json.loads(line[line.index("{") :]), "first_byte")


def _values(form: object, name: str) -> Iterator[int]:
    if isinstance(form, dict):
        for key, value in form.items():
            if key == name:
                yield int(value)
            else:
                yield from _values(value, name)
    elif isinstance(form, list):
        for value in form:
            yield from _values(value, name)
