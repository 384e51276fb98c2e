"""A service manager that listens at a real datagram socket, told by a real `eraser serve`."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from eraser.cli.notifying import Manager
from eraser.console.client import StationClient
from tests.rack.serving import Serving, serving

WATCHDOG_USEC = 400_000


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    abstract = request.param == "abstract"
    name = f"eraser-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind("\0" + name if abstract else name)
        end.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}" if abstract else name)
        monkeypatch.setenv("WATCHDOG_USEC", str(WATCHDOG_USEC))
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield end


def told(manager: socket.socket) -> dict[str, str]:
    lines = manager.recv(4096).decode().split("\n")
    return dict(line.split("=", 1) for line in lines)


def until(manager: socket.socket, *names: str) -> dict[str, str]:
    deadline = time.monotonic() + 30
    while not set(names) <= set(found := told(manager)):
        assert time.monotonic() < deadline, names
    return found


T = TypeVar("T")


def soon(look: Callable[[], T], is_so: Callable[[T], bool]) -> T:
    """What is seen once it is so; the picture is drawn four times a second."""
    deadline = time.monotonic() + 5
    while not is_so(seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)
    return seen


def ready(station: Serving) -> tuple[str, ...]:
    return StationClient(station.data / "eraser.sock").snapshot().problems


@pytest.mark.serial
def test_the_service_manager_is_told_how_the_station_does(
    manager: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "eraser.toml"
    file.write_text('[lots]\nstandard = "zero"\n')
    with serving(tmp_path / "data", "--config", file, "--simulate", 2, "--fast") as station:
        assert until(manager, "READY") == {"READY": "1"}
        assert ready(station) == ()  # it answers when it says that it is ready
        assert until(manager, "STATUS")["STATUS"].startswith("2 bays: ")
        began = time.monotonic()
        for _ in range(10):
            until(manager, "WATCHDOG")
        assert time.monotonic() - began < 10 * WATCHDOG_USEC / 1e6

        before_us = time.monotonic_ns() // 1000
        file.write_text('[lots]\nstandard = "no-such"\nverify = "full"\n[temperature]\npause_celsius = 900\n')
        station.process.send_signal(signal.SIGHUP)
        assert before_us <= int(until(manager, "RELOADING", "MONOTONIC_USEC")["MONOTONIC_USEC"])
        until(manager, "READY")
        (problem,) = soon(lambda: ready(station), lambda problems: bool(problems))
        assert "the old one counts" in problem
        errors = [event["reason"] for event in station.events() if event["level"] == "error"]
        assert len([reason for reason in errors if str(file) in reason]) == 3

        file.write_text('[lots]\nstandard = "random"\n[station]\nid = "other"\n[logging]\nlevel = "debug"\n')
        station.process.send_signal(signal.SIGHUP)
        until(manager, "RELOADING")
        until(manager, "READY")
        station.until(lambda seen: seen["configuration reloaded"] == 1, within_s=5)
        soon(lambda: ready(station), lambda problems: not problems)
        (late,) = [event["needs_restart"] for event in station.events() if "needs_restart" in event]
        assert late == ["station"]
        station.until(lambda seen: seen["passed"] >= 1, within_s=60)

        station.process.send_signal(signal.SIGTERM)
        until(manager, "STOPPING")
        assert station.process.wait(15) == 0


@pytest.mark.serial
def test_a_loop_that_stands_still_says_nothing(manager: socket.socket, tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--simulate", 1, "--fast") as station:
        until(manager, "WATCHDOG")
        station.process.send_signal(signal.SIGSTOP)
        manager.settimeout(1.0)
        with pytest.raises(TimeoutError):
            for _ in range(100):
                until(manager, "WATCHDOG")
        station.process.send_signal(signal.SIGCONT)
        manager.settimeout(30)
        until(manager, "WATCHDOG")


def test_without_a_manager_nobody_is_told_and_nothing_happens() -> None:
    for environ in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/at/all"}, {"NOTIFY_SOCKET": "@nobody-here"}):
        manager = Manager(environ)
        manager.ready()
        manager.status("a\nb")
        assert manager.watchdog_seconds == 0


def test_a_watchdog_of_another_process_is_not_fed() -> None:
    assert Manager({"WATCHDOG_USEC": "30000000"}, pid=7).watchdog_seconds == 30
    assert Manager({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, pid=7).watchdog_seconds == 30
    assert Manager({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, pid=7).watchdog_seconds == 0


def test_a_status_is_one_line(manager: socket.socket) -> None:
    Manager(os.environ).status("2 bays:\n  READY=1")
    assert told(manager) == {"STATUS": "2 bays: READY=1"}
