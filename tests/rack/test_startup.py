"""How an erasure starts: at once, with nothing loaded that it does not need before the first byte."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab import loop_drive
from tests.rack.command import PASSED, CommandLine

MIB = 1 << 20
HEAVY = ("numpy", "sqlalchemy", "pydantic", "fastapi", "starlette", "rich", "jinja2")
LIMIT_S = 0.5
PATIENCE = 2.0
"""The exact limit is the benchmarks' to hold; a machine that does other things as well may take this much longer."""

pytestmark = pytest.mark.lab("root", "loop")


@pytest.mark.parametrize("standard", ["random", "zero"])
def test_erasing_imports_no_heavy_library(tmp_path: Path, standard: str) -> None:
    desk = CommandLine(tmp_path)
    with loop_drive(MIB) as drive:
        done = subprocess.run(
            [sys.executable, "-X", "importtime", *desk.words("erase", drive.device, "--standard", standard, "--yes")],
            env=desk.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == PASSED, done.stderr
    imported = {line.rsplit("|", 1)[1].strip().partition(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "eraser" in imported and "asyncio" in imported
    assert not imported & set(HEAVY)


@pytest.mark.serial
def test_the_first_byte_is_written_half_a_second_after_the_start(tmp_path: Path) -> None:
    took_s = []
    with loop_drive(MIB) as drive:
        for run in range(5):
            desk = CommandLine(tmp_path / str(run))
            began_ns = time.monotonic_ns()
            ending = desk.erase(drive)
            first_byte_ns = int(ending.certificate["passes"][0]["runs"][0]["first_byte"])
            took_s.append((first_byte_ns - began_ns) / 1e9)
    assert min(took_s) < LIMIT_S * PATIENCE, took_s
