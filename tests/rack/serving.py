"""`eraser serve` in a process of its own, seen through its log."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.rack.command import ERASER

LOOK_S = 0.2


class Serving:
    """A station that runs. Its log is one JSON object a line."""

    def __init__(self, data: Path, *options: object) -> None:
        self.data = data
        self._log = data.with_suffix(".log")
        words = ["serve", "--data", str(data), "--listen", "127.0.0.1:0", *map(str, options)]
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
def serving(data: Path, *options: object) -> Iterator[Serving]:
    """Until the block ends, if the test has not ended it before."""
    station = Serving(data, *options)
    try:
        yield station
    finally:
        station.process.kill()
        station.process.wait()
