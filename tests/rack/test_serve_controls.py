"""`eraser serve` with a positive control: the installed command, from the first drive to the last certificate."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from eraser.ledger.check import check
from eraser.ledger.engine import sqlite_url
from tests.rack.command import ERASER
from tests.rack.serving import Serving, serving

pytestmark = pytest.mark.serial


def control(station: Serving, *words: str) -> tuple[int, dict[str, object]]:
    command = [ERASER, "control", *words, "--json", "--socket", station.data / "eraser.sock"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, json.loads(done.stdout)


def status(station: Serving) -> dict[str, object]:
    command = [ERASER, "status", "--json", "--socket", station.data / "eraser.sock"]
    form: dict[str, object] = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    return form


def test_while_a_control_cannot_be_run_jobs_end_uncertified_and_afterwards_none_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERASER_CONTROL__CANARY", "image")
    monkeypatch.setenv("ERASER_CONTROL__DIRTY", "NO-SUCH-DRIVE")
    options = ("--simulate", 3, "--fast")
    with serving(tmp_path / "data", *options) as station:
        station.until(lambda seen: seen["control ended"] >= 2, within_s=45)
        waits = "its certificate waits"
        station.until(lambda _: any(waits in event.get("reason", "") for event in station.events()), within_s=60)
        code, shown = control(station, "show")
        assert code == 4 and "dirty control" in str(shown["withheld"])
        assert any("nothing is certified" in problem for problem in status(station)["problems"])  # type: ignore[attr-defined]
        assert station.certificates() == []
        assert station.stop() < 10
    waiting = {event["job"] for event in station.events() if waits in event.get("reason", "")}
    assert waiting
    monkeypatch.setenv("ERASER_CONTROL__DIRTY", "image")
    with serving(tmp_path / "data", *options) as station:
        certified = lambda: {item["job_id"] for item in station.certificates()}  # noqa: E731
        station.until(lambda _: waiting <= certified(), within_s=60)
        code, shown = control(station, "show")
        assert code == 0 and shown["withheld"] == ""
        before = len(list((station.data / "certificates").glob("*.control")))
        code, _ = control(station, "run")
        assert code == 0
        assert len(list((station.data / "certificates").glob("*.control"))) == before + 2
        station.stop()
    report = check(sqlite_url(station.data / "ledger.db"), processes=1)
    assert report.is_clean, report.findings


def test_a_control_that_a_reload_switches_on_is_run_and_one_that_it_switches_off_is_gone(tmp_path: Path) -> None:
    file = tmp_path / "eraser.toml"
    file.write_text("")
    with serving(tmp_path / "data", "--config", file, "--simulate", 1, "--fast") as station:
        station.until(lambda _: (station.data / "eraser.sock").exists(), within_s=60)
        file.write_text('[control]\ncanary = "image"\ndirty = "image"\nimage_bytes = 4194304\n')
        station.process.send_signal(signal.SIGHUP)
        station.until(lambda seen: seen["control ended"] >= 2, within_s=60)
        code, shown = control(station, "show")
        assert (code, shown["withheld"]) == (0, "")
        file.write_text("")
        station.process.send_signal(signal.SIGHUP)
        station.until(lambda seen: seen["configuration reloaded"] >= 2, within_s=60)
        command = [ERASER, "control", "show", "--socket", station.data / "eraser.sock"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2 and "no positive control" in done.stderr
        station.stop()
