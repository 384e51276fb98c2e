"""The installed command as people run it: in a process of its own, with a station (keys, journal) of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import LoopDrive
from tests.rack import model

ERASER = Path(sys.prefix) / "bin" / "eraser"
TUNED = Path(__file__).with_name("tuned.py")

PASSED, INTERRUPTED, USAGE, REFUSED, FAILED = 0, 1, 2, 3, 4
"""The documented exit statuses."""
DEADLINE_S = 120.0
"""Nothing here takes so long: a command that does hangs."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Ending:
    """How a command ended. `results` are those of `--json`, by device, in the order in which they came."""

    status: int
    output: str
    errors: str

    @property
    def results(self) -> dict[str, Json]:
        lines = [json.loads(line) for line in self.output.splitlines() if line.startswith("{")]
        return {line["device"]: line for line in lines if "outcome" in line}

    @property
    def result(self) -> Json:
        """The result of the only device."""
        (result,) = self.results.values()
        return result

    @property
    def certificate(self) -> Json:
        """What the only device's certificate says."""
        return certificate_of(self.result)


def certificate_of(result: Json) -> Json:
    """What the certificate of a result says."""
    certificate: Json = json.loads(Path(result["certificate"]).read_text())["certificate"]
    return certificate


def reasons_of(certificate: Json) -> list[str]:
    """The codes of the reasons why it did not pass."""
    return [reason["code"] for reason in certificate["reasons"]]


class CommandLine:
    """A station's command line. `tuning` names fields of the engine's tuning that no option reaches; with any, also
    none of them, played drives are known again when they come back (see `tuned.py`)."""

    def __init__(self, home: Path, tuning: dict[str, float] | None = None) -> None:
        self.home = home
        self.tuning = tuning

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"XDG_DATA_HOME": str(self.home)}

    def words(self, *words: object) -> list[str]:
        """The whole command with `words` as its arguments."""
        program = [sys.executable, "-P", TUNED, json.dumps(self.tuning)] if self.tuning is not None else [ERASER]
        return [str(word) for word in (*program, *words)]

    def start(self, *words: object) -> subprocess.Popen[str]:
        """Begin a command and leave it running."""
        return subprocess.Popen(
            self.words(*words),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: object) -> Ending:
        """Run a command to its end."""
        return finished(self.start(*words))

    def start_erase(self, *drives: LoopDrive | Path, standard: str = "random", words: tuple[object, ...] = ()) -> Any:
        """Begin to erase, with `--json` and without a question."""
        return self.start("erase", *map(device_of, drives), "--standard", standard, "--json", "--yes", *words)

    def erase(self, *drives: LoopDrive | Path, standard: str = "random", words: tuple[object, ...] = ()) -> Ending:
        """Erase, with `--json` and without a question."""
        return finished(self.start_erase(*drives, standard=standard, words=words))

    def resume(self, *drives: LoopDrive | Path) -> Ending:
        """Go on, with `--json`."""
        return self.run("resume", *map(device_of, drives), "--json")

    def verifies(self, certificate: str | Path) -> bool:
        """Whether `eraser certificate verify` accepts it on the station itself."""
        return self.run("certificate", "verify", certificate).status == PASSED

    def certificates(self) -> list[Path]:
        """The certificates of the station's own folder."""
        return sorted((self.home / "eraser" / "certificates").glob("*.json"))

    def events(self) -> list[Json]:
        """The events of all jobs so far, as they stand in the journals; a line that is being written is left out."""
        journals = sorted((self.home / "eraser" / "journal").rglob("*.journal"))
        lines = [line for path in journals for line in path.read_bytes().split(b"\n")[:-1]]
        return [json.loads(line.partition(b" ")[2])["event"] for line in lines]

    def kinds(self) -> list[str]:
        """What kind the events so far are."""
        return [event["kind"] for event in self.events()]


def assert_proved(desk: CommandLine, result: Json, found: bytes) -> Json:
    """Passed, with a certificate that verifies and says what `found` holds; the certificate."""
    assert result["outcome"] == "passed", result
    certificate = certificate_of(result)
    assert certificate["outcome"] == "passed"
    assert desk.verifies(result["certificate"])
    assert found == model.last_content(certificate, len(found))
    return certificate


def device_of(drive: LoopDrive | Path) -> Path:
    """The path by which a command is given a drive."""
    return drive if isinstance(drive, Path) else drive.device


def finished(process: subprocess.Popen[str], deadline_s: float = DEADLINE_S) -> Ending:
    """How `process` ends. Kills it and fails when it does not within `deadline_s`."""
    try:
        output, errors = process.communicate(timeout=deadline_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    return Ending(process.returncode, output, errors)
