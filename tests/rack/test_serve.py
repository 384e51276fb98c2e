"""`eraser serve`: the installed command over the fictional rack and over loop devices, with the real engine."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from eraser.ledger.check import check
from eraser.ledger.engine import sqlite_url
from tests.lab import LoopDrive, Need, count_marker, loop_drive, require
from tests.lab.loop import open_files
from tests.rack.serving import serving

MARKER = b"SIMULATED CUSTOMER RECORD"
MIB = 1 << 20
pytestmark = pytest.mark.serial


def open_below(folder: Path) -> list[Path]:
    """What any process has open in this folder: transfers that outlived their station."""
    return [path for _, path in open_files() if path.is_relative_to(folder)]


def test_a_simulated_rack_erases_drives_and_shows_faults_within_a_minute_and_stops_at_once(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--simulate", 24, "--fast") as station:
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
        assert {item["station"]["id"] for item in certificates} == {"station-1"}  # the configuration's, not the host's
        assert not open_below(station.data / "drives")


def test_a_simulated_rack_that_is_stopped_goes_on_with_its_jobs(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--simulate", 4, "--fast") as station:
        station.until(lambda seen: seen["job begins"] >= 2, within_s=30)
        assert station.stop() < 10
        began = {event["job"] for event in station.events() if event["event"] == "interrupted"}
    assert began
    with serving(tmp_path / "data", "--simulate", 4, "--fast") as station:
        done = ("passed", "failed", "held")
        ended: Callable[[], set[str]] = lambda: {  # noqa: E731
            event["job"] for event in station.events() if event["event"] in done
        }
        station.until(lambda _: began <= ended(), within_s=60)
        station.stop()


def test_every_line_of_the_log_names_its_job_and_a_serial_that_is_off_stands_in_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERASER_LOGGING__SERIALS", "off")
    with serving(tmp_path / "data", "--simulate", 2, "--fast") as station:
        station.until(lambda seen: seen["passed"] >= 1, within_s=45)
        station.stop()
    events = station.events()
    assert all("job" in event and "serial" not in event for event in events)
    passed = [event for event in events if event["event"] == "passed"]
    assert all(re.fullmatch(r"[0-9a-f]{32}", event["job"]) for event in passed)


def bays_over(folder: Path, *drives: LoopDrive) -> Path:
    """A configuration whose bays are these very devices. They must outlive the station: their names go to others."""
    path = folder / "eraser.toml"
    bays = [f'[[bays]]\nname = "A{n}"\npath = "lab-{drive.name}"\n' for n, drive in enumerate(drives, 1)]
    http = f'[http]\nsocket = "{folder / "eraser.sock"}"\n'
    path.write_text(f'{http}[lots]\nstandard = "random"\nstart = "by-itself"\n' + "".join(bays))
    return path


@pytest.mark.lab("root", "loop")
def test_a_station_that_is_killed_goes_on_over_real_devices_when_it_runs_again(tmp_path: Path) -> None:
    require(Need.LOOP)
    with loop_drive(256 * MIB) as one, loop_drive(192 * MIB) as other:
        options = ("--config", bays_over(tmp_path, one, other))
        with serving(tmp_path / "data", *options) as station:
            station.until(lambda seen: seen["job begins"] == 2, within_s=30)
            station.process.kill()
            station.process.wait()
            assert not station.certificates()
        with serving(tmp_path / "data", *options) as station:
            station.until(lambda seen: seen["passed"] == 2, within_s=120)
            assert station.stop() < 10
        certificates = station.certificates()
        report = check(sqlite_url(tmp_path / "data" / "ledger.db"))
        assert (report.certificates, report.open_jobs, report.findings) == (2, 0, [])
        assert [item["outcome"] for item in certificates] == ["passed", "passed"]
        assert not count_marker(one.backing) and not count_marker(other.backing)


@pytest.mark.lab("root", "loop")
def test_a_station_leaves_drives_outside_its_bays_alone(tmp_path: Path) -> None:
    require(Need.LOOP)
    with loop_drive(8 * MIB) as mine, loop_drive(8 * MIB) as elsewhere:
        before = elsewhere.backing.read_bytes()
        with serving(tmp_path / "data", "--config", bays_over(tmp_path, mine)) as station:
            station.until(lambda seen: seen["passed"] == 1, within_s=30)
            station.stop()
        assert elsewhere.backing.read_bytes() == before
