"""The installed command, run as a person runs it, on a station of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEADLINE_S = 120


@dataclass(frozen=True)
class Done:
    """How a call ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its output as JSON, one object a line."""
        return [json.loads(line) for line in self.stdout.splitlines()]


class Command:
    """`eraser` with a home in `folder`: keys, journal and certificates stay there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificates = folder / "certificates"

    def __call__(self, *arguments: object, **environment: str) -> Done:
        done = subprocess.run(
            [Path(sys.executable).with_name("eraser"), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=DEADLINE_S,
            env={**os.environ, "XDG_DATA_HOME": str(self.folder / "data"), "COLUMNS": "80", **environment},
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def erase(self, device: Path, *arguments: object) -> Path:
        """Erases it and gives the certificate, whatever the outcome."""
        done = self("erase", device, "--yes", "--json", "--certificates", self.certificates, *arguments)
        assert done.stdout, done.stderr
        certificate = done.lines[-1]["certificate"]
        assert certificate is not None, done.stdout
        return Path(certificate)


def assert_one_clear_sentence(done: Done, status: int = 2) -> None:
    """It ended with this status and told why on stderr, for people and without a traceback."""
    assert done.status == status, done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith(("eraser: ", "Error: "))]
    assert len(told) == 1, done.stderr
