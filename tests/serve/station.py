"""A station of the tests: its folder, and `eraser serve` in it, which comes and goes."""

from __future__ import annotations

import http.client
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

from eraser.console.forms import read_bay
from tests.lab import LoopDrive, count_marker, read_all
from tests.rack import model
from tests.rack.command import ERASER

READY_MADE = Path(__file__).with_name("ready_made.py")
LOOK_S = 0.01

Json = dict[str, Any]


class Process(Protocol):
    """A server that runs."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...


Start = Callable[[list[str], Path], Process]
"""Starts `eraser` with these words, its output appended to that log."""


def start_installed(words: list[str], log: Path) -> Process:
    """The installed command, in a process of its own."""
    with log.open("ab") as output:
        return subprocess.Popen([ERASER, *words], stdin=subprocess.DEVNULL, stdout=output, stderr=output)


class Site:
    """Where a station keeps what it knows, and what it has written there; `start` runs one.

    Bays are named by a pattern of their place: `lab-loop3` is the drive /dev/loop3. Drives must outlive the station, since
    their names go to others.
    """

    def __init__(
        self,
        folder: Path,
        bays: Mapping[str, str],
        *,
        words: str = "",
        each_bay: str = "",
        starts_by_itself: bool = True,
        start: Start = start_installed,
    ) -> None:
        """`words` go into the configuration before the bays, `each_bay` into every one of them."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.data = folder / "data"
        self.socket = folder / "eraser.sock"
        self.log = folder / "log"
        self._start = start
        self._config = folder / "eraser.toml"
        slots = [f'[[bays]]\nname = "{name}"\npath = "{path}"\n{each_bay}' for name, path in bays.items()]
        http_table = f'[http]\nsocket = "{self.socket}"\nlisten = "127.0.0.1:0"\n'
        lots = f'[lots]\nstandard = "random"\nstart = "{"by-itself" if starts_by_itself else "ask"}"\n'
        self._config.write_text(http_table + lots + words + "".join(slots))

    @contextmanager
    def running(self) -> Iterator[Running]:
        """A station until the block ends, if the test has not ended it before."""
        station = self.start()
        try:
            yield station
        finally:
            station.kill()

    def start(self) -> Running:
        """A station. Kill or stop it."""
        words = ["serve", "--config", str(self._config), "--data", str(self.data)]
        return Running(self, self._start(words, self.log))

    # ---- what it has written

    def events(self) -> list[Json]:
        """The log so far, of all its runs."""
        if not self.log.exists():
            return []
        lines = self.log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def certificate_files(self) -> list[Path]:
        """Of all drives so far."""
        return sorted((self.data / "certificates").glob("*.json"))

    def certificates(self) -> list[Json]:
        """What they say."""
        return [json.loads(path.read_text())["certificate"] for path in self.certificate_files()]

    def verifies_all(self) -> bool:
        """Whether `eraser certificate verify` accepts every one, by the station's own keys."""
        command = [ERASER, "certificate", "verify", "--keys", self.data / "keys", *self.certificate_files()]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        return done.returncode == 0


class Running:
    """A server of a site."""

    def __init__(self, site: Site, process: Process) -> None:
        self.site = site
        self.process = process
        self._first = len(site.events())

    def events(self) -> list[Json]:
        """What this server has logged so far."""
        return self.site.events()[self._first :]

    def events_of(self, name: str) -> list[Json]:
        """Those of one name."""
        return [event for event in self.events() if event["event"] == name]

    def until(self, happened: Callable[[], object], what: str, *, within_s: float) -> float:
        """Seconds until `happened()`. Fails when it does not in time, or the server ends."""
        began_s = time.monotonic()
        while not happened():
            assert self.process.poll() is None, self.site.log.read_text()[-3000:]
            assert time.monotonic() - began_s < within_s, f"{what}: not within {within_s:g} s; {self.states()}"
            time.sleep(LOOK_S)
        return time.monotonic() - began_s

    def until_passed(self, count: int, *, within_s: float) -> float:
        """Seconds until the log has so many passes."""
        return self.until(lambda: len(self.events_of("passed")) >= count, f"{count} passed", within_s=within_s)

    def until_answering(self, *, within_s: float = 20.0) -> float:
        """Seconds until it takes questions."""
        return self.until(self._answers, "the station to answer", within_s=within_s)

    def _answers(self) -> bool:
        try:
            self.bays()
        except OSError:
            return False
        return True

    def ask(self, target: str, method: str = "GET", body: str | None = None) -> tuple[int, bytes]:
        """Status and body of one question to its Unix socket. OSError when nobody answers."""
        connection = _UnixConnection(self.site.socket)
        try:
            connection.request(method, target, body, {"content-type": "application/json"} if body else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()

    def order(self, bay: str, order: str, **body: object) -> None:
        """What people order. Fails when the station does not take it."""
        status, answer = self.ask(f"/api/v1/bays/{bay}/{order}", "POST", json.dumps(body) if body else None)
        assert status == HTTPStatus.ACCEPTED, answer

    def bays(self) -> dict[str, Json]:
        """Every bay as the API shows it."""
        _, body = self.ask("/api/v1/bays")
        bays = {bay["name"]: bay for bay in json.loads(body)}
        for bay in bays.values():
            seen = read_bay(bay)
            bay |= {"reason": seen.reason, "waits_for": seen.waits_for}
        return bays

    def states(self) -> dict[str, str]:
        """The state of every bay; empty when nobody answers."""
        try:
            return {name: f"{bay['state']} {bay['reason']}".strip() for name, bay in self.bays().items()}
        except OSError:
            return {}

    def metric(self, series: str) -> float | None:
        """The value of one series of /metrics, by its whole name with labels; None when there is none."""
        _, body = self.ask("/metrics")
        found = [line.rpartition(" ") for line in body.decode().splitlines() if not line.startswith("#")]
        return next((float(value) for name, _, value in found if name == series), None)

    def kill(self) -> None:
        """SIGKILL; returns when the process is gone. Of one that has ended: nothing."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait(30)

    def stop(self, *, within_s: float = 30.0) -> float:
        """Seconds from SIGTERM to its end. Fails when it does not end in time."""
        began_s = time.monotonic()
        os.kill(self.process.pid, signal.SIGTERM)
        self.process.wait(within_s)
        return time.monotonic() - began_s


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class ReadyMade:
    """Servers forked from one process that has loaded everything: there in a twentieth of the time. One at a time."""

    def __init__(self, tuning: Mapping[str, float]) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, "-P", str(READY_MADE), json.dumps(tuning)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, words: list[str], log: Path) -> Process:
        assert self._parent.stdin is not None
        print(json.dumps({"words": words, "log": str(log)}), file=self._parent.stdin, flush=True)
        return _Forked(int(self.answer("pid")), self)

    def answer(self, key: str) -> str:
        """The next answer, which must be of that kind."""
        assert self._parent.stdout is not None
        kind, _, value = self._parent.stdout.readline().strip().partition(" ")
        assert kind == key, (kind, key)
        return value

    def close(self) -> None:
        """Ends it, and with it a server that runs."""
        self._parent.kill()
        self._parent.communicate()


class _Forked:
    """A forked server. `pid` stays its own until somebody has asked for its status, for nobody else waits for it."""

    def __init__(self, pid: int, parent: ReadyMade) -> None:
        self.pid = pid
        self._parent = parent
        self._fd = os.pidfd_open(pid)
        self._status: int | None = None

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except TimeoutError:
            return None

    def wait(self, timeout: float | None = None) -> int:
        if self._status is None:
            if not select_readable(self._fd, timeout):
                raise TimeoutError
            self._status = int(self._parent.answer("status"))
            os.close(self._fd)
        return self._status


def select_readable(fd: int, timeout_s: float | None) -> bool:
    """Whether `fd` becomes readable in time."""
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        return bool(selector.select(timeout_s))


@contextmanager
def ready_made(**tuning: float) -> Iterator[ReadyMade]:
    """A start for `Site` that takes little time, with fields of the engine's tuning that no option reaches."""
    parent = ReadyMade(tuning)
    try:
        parent.answer("ready")
        yield parent
    finally:
        parent.close()


# ---- what is really on the drives


def bays_of(*drives: LoopDrive) -> dict[str, str]:
    """A bay for each of these very drives: A1, A2, …"""
    return {f"A{number}": f"lab-{drive.name}" for number, drive in enumerate(drives, 1)}


def assert_erased(site: Site, *drives: LoopDrive) -> None:
    """Each drive has one certificate, which says passed and what the drive holds; no two are alike, none has the marker."""
    certificates = site.certificates()
    assert len({item["job_id"] for item in certificates}) == len(certificates) == len(drives)
    by_device = {item["drive"]["path"]: item for item in certificates}
    contents = set()
    for drive in drives:
        certificate = by_device[str(drive.device)]
        assert certificate["outcome"] == "passed", certificate["reasons"]
        content = read_all(drive.medium)
        assert content == model.last_content(certificate, drive.size_bytes)
        assert not count_marker(drive.medium)
        contents.add(content)
    assert len(contents) == len(drives)
    assert site.verifies_all()
