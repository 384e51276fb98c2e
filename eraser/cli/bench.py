"""`eraser bench`: how fast one core of this machine makes, compares and hashes."""

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

BUFFER_BYTES = 128 << 10
"""Stays in the second-level cache of every CPU in use, as the blocks in flight of a transfer do."""
ROUNDS = 5
"""Each measurement runs in so many separate slots of which the best counts: a neighbour or a slow clock spoils few."""
SECTOR_BYTES = 512

Rates = dict[str, dict[str, float]]
"""GB/s by path, then by what was measured."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One thing to measure: `work` handles BUFFER_BYTES once, after `force` has chosen the path."""

    path: str
    name: str
    force: Callable[[str | None], None]
    work: Callable[[], object]


@click.command("bench")
@click.option(
    "--seconds", type=click.FloatRange(0.1, 600), default=5.0, show_default=True, help="How long to measure in all."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, rates in GB/s.")
def bench_command(seconds: float, as_json: bool) -> None:
    """Measure this machine's rates on one core, in GB/s (10^9 bytes per second)."""
    if math.isnan(seconds):
        raise click.BadParameter("'nan' is no number of seconds", param_hint="'--seconds'")
    with _one_cpu():
        aes, blake3 = _measure(seconds)
    result = {
        "aes-256-ctr": {"path": aes[0], **aes[1][aes[0]]},
        "blake3": {"path": blake3[0], **blake3[1][blake3[0]]},
        "paths": {"aes-256-ctr": aes[1], "blake3": blake3[1]},
    }
    if as_json:
        click.echo(json.dumps(result))
        return
    click.echo("GB/s on one core; the path marked * is the one in use")
    for name, (chosen, rates) in (("aes-256-ctr", aes), ("blake3", blake3)):
        for path, values in rates.items():
            figures = "".join(f"  {what} {rate:7.2f}" for what, rate in values.items())
            click.echo(f"{name:<12} {'*' if path == chosen else ' '} {path:<9}{figures}")


@contextmanager
def _one_cpu() -> Iterator[None]:
    """Keeps this thread on one CPU, so that its cache stays its own."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _measure(seconds: float) -> tuple[tuple[str, Rates], tuple[str, Rates]]:
    """For the stream and the hash: the path that is chosen by itself, and the rates of all."""
    from eraser.engine import _native

    aes_path, blake3_path = _native.pattern_path(), _native.blake3_path()
    aes, blake3 = _of_aes(), _of_blake3()
    slot_seconds = seconds / ROUNDS / (len(aes) + len(blake3))
    try:
        # Round by round through all of them: a slow second falls on everything alike.
        for _ in range(ROUNDS):
            for measurement, best in (*aes.items(), *blake3.items()):
                measurement.force(measurement.path)
                best.append(_rate(measurement.work, slot_seconds))
    finally:
        _native.force_pattern_path(None)
        _native.force_blake3_path(None)
    return (aes_path, _best(aes)), (blake3_path, _best(blake3))


def _of_aes() -> dict[Measurement, list[float]]:
    from eraser.engine import _native

    seed, buffer = bytes(range(32)), bytearray(BUFFER_BYTES)
    expected = bytearray(BUFFER_BYTES)
    _native.aes_256_ctr(seed, 0, expected)
    works: tuple[tuple[str, Callable[[], object]], ...] = (
        ("generate", lambda: _native.aes_256_ctr(seed, 0, buffer)),
        ("compare", lambda: _native.compare_aes_256_ctr(seed, 0, expected, SECTOR_BYTES)),
    )
    force = _native.force_pattern_path
    return {Measurement(path, name, force, work): [] for path in _native.pattern_paths() for name, work in works}


def _of_blake3() -> dict[Measurement, list[float]]:
    from eraser.engine import _native

    data, force = bytes(BUFFER_BYTES), _native.force_blake3_path
    return {Measurement(path, "hash", force, lambda: _native.blake3(data)): [] for path in _native.blake3_paths()}


def _rate(work: Callable[[], object], slot_seconds: float) -> float:
    """GB/s by this thread's processor time, as OpenSSL counts: what one core does when it is there for us."""
    work()
    ends_at = time.perf_counter() + slot_seconds
    began = time.thread_time()
    done = 0
    while time.perf_counter() < ends_at or not done:
        work()
        done += 1
    return done * BUFFER_BYTES / (time.thread_time() - began) / 1e9


def _best(measured: dict[Measurement, list[float]]) -> Rates:
    rates: Rates = {}
    for measurement, values in measured.items():
        rates.setdefault(measurement.path, {})[measurement.name] = round(max(values), 3)
    return rates
