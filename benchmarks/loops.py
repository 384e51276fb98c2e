"""Loop drives on tmpfs, and our command run on them."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import meters
from tests.lab.loop import loop_drive

GIB = 1 << 30
MIB = 1 << 20
SPARE_BYTES = 2 * GIB
"""Memory that we leave to everybody else."""
ERASER = Path(sys.executable).with_name("eraser")


def size_that_fits(count: int) -> tuple[int, str]:
    """Bytes of each of `count` drives, as ERASER_BENCH_BYTES asks (2 GiB), less where memory is short; and a word on it."""
    wanted = int(os.environ.get("ERASER_BENCH_BYTES", 2 * GIB))
    fits = max(64 * MIB, (meters.available_bytes() - SPARE_BYTES) // count // (64 * MIB) * (64 * MIB))
    size = min(wanted, fits)
    said = f"{size / GIB:.3g} GiB each"
    return size, said if size == wanted else f"{said}, memory has no room for {wanted / GIB:.3g}"


@contextmanager
def drives_of(count: int, size_bytes: int) -> Iterator[list[Path]]:
    """So many loop devices, all of their memory in place: else the first pass pays for it, whoever makes it."""
    with ExitStack() as stack:
        yield [stack.enter_context(loop_drive(size_bytes)).device for _ in range(count)]


@dataclass(frozen=True, slots=True)
class Erasure:
    """One call of `eraser erase` over some drives. `seconds`: from first to last byte, the slowest drive's."""

    seconds: float
    usage: meters.Usage


@contextmanager
def station() -> Iterator[Path]:
    """A folder for the journal, keys and certificates of one call."""
    folder = Path(tempfile.mkdtemp(prefix="eraser-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def command(drives: Sequence[Path], standard: str, hashing: str) -> list[str | Path]:
    """`eraser erase`, unattended, with full verification."""
    options = ["--standard", standard, "--verify", "full", "--hash", hashing, "--json", "--yes"]
    return [ERASER, "erase", *drives, *options]


def erase(drives: Sequence[Path], standard: str, hashing: str) -> Erasure:
    """Erases and verifies all of them in one call. Raises RuntimeError unless every one passed: only then time counts."""
    with station() as folder:
        environment = {**os.environ, "XDG_DATA_HOME": str(folder)}
        output, usage = meters.run(command(drives, standard, hashing), env=environment)
    results = [json.loads(line) for line in output.splitlines() if '"outcome"' in line]
    if len(results) != len(drives) or any(result["outcome"] != "passed" for result in results):
        raise RuntimeError(f"not all drives passed: {results}")
    return Erasure(max(result["seconds"] for result in results), usage)
