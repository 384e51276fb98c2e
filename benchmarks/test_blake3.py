"""BLAKE3 on one thread, in processor time, beside the official package."""

import time
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version

import blake3 as official
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.comparison import Comparison, record
from benchmarks.meters import Sweep
from benchmarks.test_patterns import in_turns
from eraser.engine import _native

pytestmark = pytest.mark.benchmark(timer=time.thread_time)

MIB = 1 << 20
SIZES = {"64 MiB": 64 * MIB, "256 KiB": MIB // 4}
"""More than the caches hold, and one block of a transfer."""


@pytest.fixture(autouse=True)
def automatic_path_afterwards() -> Iterator[None]:
    yield
    _native.force_blake3_path(None)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("path", _native.blake3_paths())
def test_blake3_beside_the_official_package(benchmark: BenchmarkFixture, path: str, size: str) -> None:
    """The package chooses its own path, so only our fastest has a target."""
    _native.force_blake3_path(path)
    data = bytes(SIZES[size])
    ours, theirs = in_turns(
        benchmark,
        Sweep(partial(_native.blake3, data), len(data)),
        Sweep(lambda: official.blake3(data).digest(), len(data)).gb_per_cpu_second,
    )
    peer = f"blake3 {version('blake3')}"
    target = 1.0 if path == _native.blake3_paths()[0] else None
    record(benchmark, Comparison(f"BLAKE3 of {size}, {path}", ours, peer, theirs, "GB/s", target))
