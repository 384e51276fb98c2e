from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from eraser.domain.sayings import recalled
from eraser.rack.view import BayState, StationSnapshot
from tests.cli.command import Command, assert_one_clear_sentence
from tests.console.running import answering
from tests.console.stations import FakeStation, a_busy_bay, a_snapshot, an_empty_bay


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    return tmp_path / "eraser.sock"


@pytest.fixture
def station(socket: Path) -> Iterator[FakeStation]:
    station = FakeStation(
        a_snapshot(a_busy_bay("A1"), an_empty_bay("A2"), troubles=(recalled("the ledger's disk is full"),))
    )
    with answering(station, socket):
        yield station


def test_status_shows_each_bay_and_what_is_wrong(eraser: Command, station: FakeStation, socket: Path) -> None:
    done = eraser("status", "--socket", socket)
    assert done.status == 0, done.stderr
    first, second, summary, problem = done.stdout.splitlines()
    assert first.startswith("A1 ")
    for words in ("writing 2/3", "Spinner 1000 S3R1AL", "25.0 % 210 MB/s 1 h 0 min left", "2 sectors differ"):
        assert words in first
    assert second.split() == ["A2", "empty"]
    assert summary == "2 bays: 1 writing, 1 empty. Since the start: 5 passed, 1 failed."
    assert problem == "Not ready: the ledger's disk is full"


def test_status_says_what_a_bay_asks_and_whose_its_drive_is(eraser: Command, socket: Path) -> None:
    asked = "lot L7 does not expect this serial number"
    asking = a_busy_bay("A1", state=BayState.ASKING, waiting=(recalled(asked),), lot="L7", asset_tag="T-1")
    waiting = a_busy_bay("A2", state=BayState.WAITING, waiting=(recalled("waits for bay A3 to be done with it"),))
    with answering(FakeStation(a_snapshot(asking, waiting)), socket):
        first, second, _ = eraser("status", "--socket", socket).stdout.splitlines()
    assert asked in first and "(T-1, lot L7)" in first
    assert second.count("waits for") == 1


def test_status_in_json_is_what_the_api_says(eraser: Command, station: FakeStation, socket: Path) -> None:
    done = eraser("status", "--json", ERASER_HTTP__SOCKET=str(socket))
    (form,) = done.lines
    assert [bay["state"] for bay in form["bays"]] == ["writing", "empty"]
    assert form["problems"] == ["the ledger's disk is full"]


@pytest.mark.parametrize("order", ["pause", "resume", "cancel", "retry"])
def test_an_order_names_bays(eraser: Command, station: FakeStation, socket: Path, order: str) -> None:
    done = eraser(order, "A1", "A2", *(["--yes"] if order == "retry" else []), "--socket", socket)
    assert done.status == 0, done.stderr
    assert station.orders == [(order, "A1"), (order, "A2")]
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["A1", "A2"]


def test_one_refusal_keeps_no_other_order_back_and_counts(eraser: Command, station: FakeStation, socket: Path) -> None:
    station.refusing.add("A1")
    done = eraser("pause", "A1", "A2", "Z9", "--socket", socket)
    assert done.status == 3
    assert station.orders == [("pause", "A2")]
    assert "bay A1: no job runs there. Start one." in done.stderr
    assert "bay Z9: there is no such bay" in done.stderr


def test_a_start_needs_a_yes(eraser: Command, station: FakeStation, socket: Path) -> None:
    asked = eraser("start", "A1", "--standard", "nist-clear", "--socket", socket)
    assert asked.status == 2
    assert "A1: Spinner 1000 S3R1AL" in asked.stdout
    assert station.orders == []
    assert eraser("start", "A1", "--standard", "nist-clear", "--yes", "--socket", socket).status == 0
    assert station.orders == [("start", "A1", "nist-clear")]


@pytest.mark.parametrize("order", [("start", "--standard", "nist-clear"), ("retry",)])
def test_what_may_erase_a_drive_names_its_serial_number(
    eraser: Command, station: FakeStation, socket: Path, order: tuple[str, ...]
) -> None:
    for serials in (("S3R1A",), ("",), ("S3R1AL", "S3R1AL")):
        told = [word for serial in serials for word in ("--serial", serial)]
        assert_one_clear_sentence(eraser(*order, "A1", *told, "--socket", socket))
    assert_one_clear_sentence(eraser(*order, "A2", "--serial", "S3R1AL", "--socket", socket))
    assert_one_clear_sentence(eraser(*order, "A1", "A2", "--serial", "S3R1AL", "--socket", socket))
    assert station.orders == []
    assert eraser(*order, "A1", "--serial", "S3R1AL", "--socket", socket).status == 0
    assert [given[:2] for given in station.orders] == [(order[0], "A1")]


@pytest.mark.parametrize(("typed", "status"), [("S3R1AL\n", 0), ("yes\n", 2), ("\n", 2)])
def test_on_a_terminal_the_serial_number_is_asked_for(
    station: FakeStation, socket: Path, typed: str, status: int
) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, typed.encode())
    words = [Path(sys.executable).with_name("eraser"), "start", "A1", "--standard", "nist-clear", "--socket", socket]
    done = subprocess.run(words, stdin=theirs, capture_output=True, text=True, timeout=30, check=False)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == status, done.stderr
    assert "A1: Spinner 1000 S3R1AL" in done.stdout
    assert bool(station.orders) == (status == 0)


def test_a_drive_that_was_swapped_after_the_look_is_left_alone(
    eraser: Command, station: FakeStation, socket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = station.shown

    def look_then_swap() -> StationSnapshot:
        station.shown = a_snapshot(a_busy_bay("A1", sighting="another"), an_empty_bay("A2"))
        return before

    monkeypatch.setattr(station, "snapshot", look_then_swap)
    done = eraser("retry", "A1", "--yes", "--socket", socket)
    assert done.status == 3
    assert "another drive is in it" in done.stderr
    assert station.orders == []


def test_maintenance_and_drain_are_switched(eraser: Command, station: FakeStation, socket: Path) -> None:
    for arguments in (("maintenance", "A1", "on"), ("maintenance", "A1", "off"), ("drain", "on"), ("drain", "off")):
        assert eraser(*arguments, "--socket", socket).status == 0
    assert station.orders == [("maintain", "A1", True), ("maintain", "A1", False), ("drain", True), ("drain", False)]


@pytest.mark.parametrize("command", [("status",), ("pause", "A1"), ("top",), ("drain", "on")])
def test_without_a_station_one_sentence_says_so(eraser: Command, socket: Path, command: tuple[str, ...]) -> None:
    done = eraser(*command, "--socket", socket)
    assert_one_clear_sentence(done)
    assert str(socket) in done.stderr


def test_resume_of_a_device_does_not_ask_the_station(eraser: Command, station: FakeStation, socket: Path) -> None:
    image = socket.with_name("disk.img")
    image.write_bytes(bytes(4096))
    done = eraser("resume", image, "--socket", socket)
    assert "no interrupted job for this drive" in done.stderr
    assert station.orders == []


def test_resume_of_a_bay_without_a_station_is_told_as_before(eraser: Command, socket: Path) -> None:
    assert_one_clear_sentence(eraser("resume", "A1", "--socket", socket))


def test_the_status_of_96_bays_is_one_object(eraser: Command, station: FakeStation, socket: Path) -> None:
    station.shown = a_snapshot(*(a_busy_bay(f"B{number}") for number in range(96)))
    done = eraser("status", "--json", "--socket", socket)
    assert len(json.loads(done.stdout)["bays"]) == 96


def test_the_configuration_says_where_the_station_answers(
    eraser: Command, station: FakeStation, socket: Path, tmp_path: Path
) -> None:
    file = tmp_path / "eraser.toml"
    file.write_text(f'[http]\nsocket = "{socket}"\n')
    assert eraser("status", ERASER_CONFIG=str(file)).status == 0
    other = {"ERASER_CONFIG": str(file), "ERASER_HTTP__SOCKET": "/nowhere"}
    assert "/nowhere: no station answers there" in eraser("status", **other).stderr
    assert eraser("status", "--socket", socket, **other).status == 0


@pytest.mark.parametrize("text", ["[http", "http = 3", "[http]\nsocket = 3", '[http]\nsocket = ""', "\xff", None])
def test_a_configuration_that_says_nothing_leaves_the_usual_place(
    eraser: Command, tmp_path: Path, text: str | None
) -> None:
    file = tmp_path / "eraser.toml"
    if text is not None:
        file.write_bytes(text.encode("latin-1"))
    done = eraser("status", ERASER_CONFIG=str(file))
    assert "/run/eraser/eraser.sock: no station answers there" in done.stderr
