"""The pattern generator and the fused comparison, one core, in processor time, beside OpenSSL and nwipe's ChaCha20."""

import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import peers
from benchmarks.comparison import Comparison, middle, record
from benchmarks.meters import Sweep
from eraser.engine import _native

pytestmark = pytest.mark.benchmark(timer=time.thread_time)

ROUNDS = 3
BLOCK_BYTES = 256 << 10
"""A transfer's usual block: it stays in the second-level cache."""
SECTOR_BYTES = 512
SEED = bytes(range(32))
# With the widest units we want to be well ahead of OpenSSL 3.0, which has no VAES for CTR; with the same units level with it.
TARGETS = {"vaes512": 2.2, "aesni": 0.95}
CHACHA20_TARGET = 24.0


@pytest.fixture(autouse=True)
def automatic_path_afterwards() -> Iterator[None]:
    yield
    _native.force_pattern_path(None)


def in_turns(benchmark: BenchmarkFixture, ours: Sweep, *others: Callable[[], float]) -> list[float]:
    """GB/s, medians of three, ours first. Measured in turns: what disturbs one disturbs all."""
    rates: list[list[float]] = [[] for _ in others]

    def measure_others() -> None:
        for measure, found in zip(others, rates, strict=True):
            found.append(measure())

    benchmark.pedantic(ours, setup=measure_others, rounds=ROUNDS, iterations=1)
    return [ours.total_bytes / benchmark.stats.stats.median / 1e9, *map(middle, rates)]


def generating() -> Sweep:
    """The stream, on the path that is forced now."""
    block = bytearray(BLOCK_BYTES)
    return Sweep(partial(_native.aes_256_ctr, SEED, 0, block), BLOCK_BYTES)


def comparing() -> Sweep:
    """The comparison with the stream."""
    block = bytearray(BLOCK_BYTES)
    _native.aes_256_ctr(SEED, 0, block)
    return Sweep(partial(_native.compare_aes_256_ctr, SEED, 0, block, SECTOR_BYTES), BLOCK_BYTES)


@pytest.mark.parametrize("path", _native.pattern_paths())
def test_aes_256_ctr_beside_openssl(benchmark: BenchmarkFixture, path: str) -> None:
    peers.need("openssl")
    _native.force_pattern_path(path)
    ours, theirs = in_turns(benchmark, generating(), partial(peers.openssl_gb_per_cpu_second, "aes-256-ctr"))
    record(
        benchmark,
        Comparison(f"AES-256-CTR, {path}", ours, peers.openssl_name(), theirs, "GB/s", TARGETS.get(path)),
    )


def test_aes_256_ctr_beside_chacha20_of_nwipe(benchmark: BenchmarkFixture) -> None:
    """nwipe has no way to time its generator alone, so the figure is the one that was measured for 0.42."""
    (ours,) = in_turns(benchmark, generating())
    peer = "nwipe 0.42's ChaCha20, figure measured earlier"
    what = f"AES-256-CTR, {_native.pattern_path()}"
    record(benchmark, Comparison(what, ours, peer, peers.CHACHA20_GB_PER_SECOND, "GB/s", CHACHA20_TARGET))


@pytest.mark.parametrize("path", _native.pattern_paths())
def test_fused_comparison_beside_generating(benchmark: BenchmarkFixture, path: str) -> None:
    _native.force_pattern_path(path)
    compared, generated = in_turns(benchmark, comparing(), generating().gb_per_cpu_second)
    target = 0.9 if path == _native.pattern_paths()[0] else None
    record(benchmark, Comparison(f"comparison, {path}", compared, "our own generating", generated, "GB/s", target))


@pytest.mark.parametrize("period", [1, 3, 512, 4095])
def test_constants_beside_copying_memory(benchmark: BenchmarkFixture, period: int) -> None:
    """A constant costs what it costs to fill memory; in a transfer one copy serves every block."""
    constant = bytes(range(1, 252))[:period] if period < 251 else (bytes(range(251)) * 17)[:period]
    block, source, copy = bytearray(BLOCK_BYTES), bytes(BLOCK_BYTES), memoryview(bytearray(BLOCK_BYTES))
    _native.constant(constant, 0, block)
    generated, compared, copied = in_turns(
        benchmark,
        Sweep(partial(_native.constant, constant, 0, block), BLOCK_BYTES),
        Sweep(partial(_native.compare_constant, constant, 0, block, SECTOR_BYTES), BLOCK_BYTES).gb_per_cpu_second,
        Sweep(partial(copy.__setitem__, slice(None), source), BLOCK_BYTES).gb_per_cpu_second,
    )
    record(
        benchmark,
        Comparison(f"constant of {period} bytes", generated, "copying memory", copied, "GB/s"),
        Comparison(f"comparison with a constant of {period} bytes", compared, "copying memory", copied, "GB/s"),
    )
