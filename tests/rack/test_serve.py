"""`eraser serve --simulate`: the installed command over the fictional rack, with the real engine and real files."""

import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.rack.command import ERASER

MARKER = b"SIMULATED CUSTOMER RECORD"
LOOK_S = 0.2
pytestmark = pytest.mark.serial


class Serving:
    """A station that runs. Its log is one JSON object a line."""

    def __init__(self, data: Path, bays: int) -> None:
        self.data = data
        self._log = data.with_suffix(".log")
        words = ["serve", "--simulate", str(bays), "--fast", "--data", str(data), "--listen", "127.0.0.1:0"]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen([ERASER, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def events(self) -> list[dict[str, Any]]:
        lines = self._log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def until(self, is_so: Callable[[Counter[str]], bool], within_s: float) -> Counter[str]:
        """The count of events by name once it is so. Fails when it is not in time, or the station ends."""
        deadline = time.monotonic() + within_s
        while not is_so(seen := Counter(event["event"] for event in self.events())):
            assert self.process.poll() is None, self._log.read_text()[-2000:]
            assert time.monotonic() < deadline, seen
            time.sleep(LOOK_S)
        return seen

    def stop(self) -> float:
        """Seconds from SIGTERM to the end."""
        before = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        return time.monotonic() - before

    def certificates(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text())["certificate"] for path in (self.data / "certificates").glob("*.json")]

    def image(self, certificate: dict[str, Any]) -> Path:
        path: Path = self.data / "drives" / f"{certificate['drive']['identity']['serial']}.img"
        return path


@contextmanager
def serving(data: Path, bays: int) -> Iterator[Serving]:
    station = Serving(data, bays)
    try:
        yield station
    finally:
        station.process.kill()
        station.process.wait()


def test_a_simulated_rack_erases_drives_and_shows_faults_within_a_minute_and_stops_at_once(tmp_path: Path) -> None:
    with serving(tmp_path / "data", 24) as station:
        station.until(lambda seen: seen["passed"] >= 10 and seen["failed"] >= 1, within_s=45)
        station.until(lambda seen: seen["held"] >= 1, within_s=60)
        assert station.stop() < 10
        assert station.process.returncode == 0
        certificates = station.certificates()
        passed = [item for item in certificates if item["outcome"] == "passed"]
        failed = [item for item in certificates if item["outcome"] == "failed"]
        assert len(passed) >= 10 and failed
        here = [item for item in passed if station.image(item).exists()]
        assert len(here) >= 10
        for item in here:
            assert MARKER not in station.image(item).read_bytes()
        assert {item["drive"]["transport"] for item in certificates} == {"image"}
        assert {item["drive"]["identity"]["manufacturer"] for item in certificates} == {"Simulated"}
        transfers = subprocess.run(["pgrep", "-P", str(station.process.pid)], capture_output=True, check=False)
        assert not transfers.stdout


def test_a_simulated_rack_that_is_stopped_goes_on_with_its_jobs(tmp_path: Path) -> None:
    with serving(tmp_path / "data", 4) as station:
        station.until(lambda seen: seen["job begins"] >= 2, within_s=30)
        assert station.stop() < 10
        began = {event["job"] for event in station.events() if event["event"] == "interrupted"}
    assert began
    with serving(tmp_path / "data", 4) as station:
        done = ("passed", "failed", "held")
        ended: Callable[[], set[str]] = lambda: {  # noqa: E731
            event["job"] for event in station.events() if event["event"] in done
        }
        station.until(lambda _: began <= ended(), within_s=60)
        station.stop()


def test_every_line_of_the_log_names_its_job_and_a_serial_that_is_off_stands_in_none(tmp_path: Path) -> None:
    os.environ["ERASER_LOGGING__SERIALS"] = "off"
    try:
        with serving(tmp_path / "data", 2) as station:
            station.until(lambda seen: seen["passed"] >= 1, within_s=45)
            station.stop()
    finally:
        del os.environ["ERASER_LOGGING__SERIALS"]
    events = station.events()
    assert all("job" in event and "serial" not in event for event in events)
    passed = [event for event in events if event["event"] == "passed"]
    assert all(re.fullmatch(r"[0-9a-f]{32}", event["job"]) for event in passed)
