"""`eraser lot`, `tag` and `custody`, run as people run them, at a served desk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eraser.cli.lot import bays_named
from eraser.errors import UsageError
from eraser.ledger.engine import sqlite_url
from tests.cli.command import Command, Done, assert_one_clear_sentence
from tests.console.running import answering
from tests.console.stations import FakeStation, a_busy_bay, a_snapshot, an_empty_bay

KNOWN = ["A1", "A2", "A3", "left-3", "B08", "B09", "B10"]


class At:
    """The commands, each asking this desk."""

    def __init__(self, eraser: Command, socket: Path) -> None:
        self._eraser = eraser
        self._socket = str(socket)

    def __call__(self, *arguments: object, **environment: str) -> Done:
        return self._eraser(*arguments, ERASER_HTTP__SOCKET=self._socket, **environment)

    def done(self, *arguments: object, **environment: str) -> Done:
        done = self(*arguments, **environment)
        assert done.status == 0, done.stderr
        return done


@pytest.fixture
def at(eraser: Command, tmp_path: Path) -> Iterator[At]:
    station = FakeStation(a_snapshot(a_busy_bay("A1"), an_empty_bay("A2")))
    with answering(station, tmp_path / "eraser.sock", sqlite_url(tmp_path / "ledger.db")):
        yield At(eraser, tmp_path / "eraser.sock")


def test_a_lot_is_described_taken_in_and_closed(at: At, tmp_path: Path) -> None:
    (tmp_path / "serials").write_text("S1\n\n S2 \n")
    at.done("lot", "add", "L7", "--standard", "nist-clear", "--start", "by-itself", "--expect", tmp_path / "serials")
    at.done("lot", "open", "L7", "--bays", "A1-A2")
    at.done("custody", "receive", "S1", "S5", "--lot", "L7", "--from", "a school")
    shown = at.done("lot", "show", "L7").stdout
    for words in ("nist-clear", "starts by itself", "taken in at A1, A2", "2 drives have come", "Missing: S2"):
        assert words in shown
    assert "Not expected: S5" in shown
    (form,) = at.done("lot", "list", "--json").lines
    assert (form["is_open"], form["bays"], form["lot"]["expected_serials"]) == (True, ["A1", "A2"], ["S1", "S2"])
    assert "closed" in at.done("lot", "close", "L7").stdout
    assert "closed" in at.done("lot", "list").stdout


def test_a_change_leaves_alone_what_is_not_said(at: At) -> None:
    at.done(
        "lot", "add", "L7", "--standard", "nist-clear", "--supplier", "a school", "--customer-waiting", "--drives", 3
    )
    at.done("lot", "change", "L7", "--deadline", "2027-02-01T00:00:00Z", "--no-customer-waiting")
    (form,) = at.done("lot", "show", "L7", "--json").lines
    assert (form["lot"]["supplier"], form["lot"]["expected_drives"]) == ("a school", 3)
    assert form["lot"]["policy"] == {
        "standard": "nist-clear",
        "level": None,
        "verification": "full",
        "starts_by_itself": False,
        "is_customer_waiting": False,
        "deadline": "2027-02-01T00:00:00Z",
    }


WRONG: list[tuple[tuple[str, ...], int]] = [
    (("lot", "add", "L8"), 2),
    (("lot", "add", "L8", "--standard", "no-such"), 2),
    (("lot", "add", "L7", "--standard", "zero"), 3),
    (("lot", "show", "L8"), 2),
    (("lot", "open", "L7", "--bays", "A1-A9"), 2),
    (("lot", "close", "L7"), 3),
    (("tag", "T-1"), 2),
    (("tag", "T-1", "--bay", "Z1"), 2),
    (("custody", "show", "S9"), 2),
    (("custody", "receive", "S9", "--lot", "L8"), 2),
    (("custody", "destroyed", "S9", "--how", "shredded"), 2),
    (("custody", "release-to-sale", "S1"), 3),
    (("custody", "hand-over", "S1", "--to", "a buyer"), 3),
]
"""What is asked of a desk that knows the lot L7 and a drive S1 that has not been erased, and the status of the answer."""


def test_what_cannot_be_is_one_clear_sentence(at: At) -> None:
    at.done("lot", "add", "L7", "--standard", "nist-clear")
    at.done("custody", "receive", "S1", "--lot", "L7")
    for arguments, status in WRONG:
        assert_one_clear_sentence(at(*arguments), status)


def test_a_drives_way_is_shown_from_its_arrival_to_its_end(at: At) -> None:
    at.done("lot", "add", "L7", "--standard", "nist-clear")
    at.done("tag", "T-1", "--serial", "S1")
    at.done("custody", "receive", "S1", "--lot", "L7", "--operator", "operator-9")
    assert "Not for sale: no job has passed" in at.done("custody", "show", "T-1").stdout
    at.done("custody", "quarantine", "T-1", "--reason", "it clicks")
    at.done("custody", "destroyed", "S1", "--how", "shredded to 2 mm", "--witness", "w-2")
    at.done("custody", "hand-over", "S1", "--to", "a smelter")
    (form,) = at.done("custody", "show", "S1", "--json").lines
    assert [record["event"]["kind"] for record in form["records"]] == [
        "received",
        "quarantined",
        "destroyed",
        "handed-over",
    ]
    assert form["records"][0]["operator"] == "operator-9"
    shown = at.done("custody", "show", "S1").stdout
    for words in ("S1, tag T-1: destroyed", "received with lot L7", "destroyed: shredded to 2 mm, seen by w-2"):
        assert words in shown


def test_one_drive_that_is_refused_keeps_no_other_back(at: At) -> None:
    at.done("lot", "add", "L7", "--standard", "nist-clear")
    at.done("custody", "receive", "S1", "S2", "--lot", "L7")
    done = at("custody", "destroyed", "S1", "S9", "S2", "--how", "shredded", "--json")
    assert done.status == 2 and "S9" in done.stderr
    assert [line["drive"]["serial"] for line in done.lines] == ["S1", "S2"]


def test_who_called_sudo_is_the_operator_unless_root_says_otherwise(at: At) -> None:
    def operator(form: dict[str, Any]) -> str:
        found: str = form["records"][-1]["operator"]
        return found

    record = ("custody", "quarantine", "S1", "--reason", "x", "--json")
    at.done("lot", "add", "L7", "--standard", "nist-clear")
    at.done("custody", "receive", "S1", "--lot", "L7")
    assert operator(json.loads(at.done(*record, SUDO_USER="clerk").stdout)) == "clerk"
    assert operator(json.loads(at.done(*record, "--operator", "boss", SUDO_USER="clerk").stdout)) == "boss"
    assert operator(json.loads(at.done(*record, SUDO_USER="").stdout)) == "root"


def test_without_a_station_one_sentence_says_so(eraser: Command, tmp_path: Path) -> None:
    for arguments in (("lot", "list"), ("custody", "show", "S1", "S2"), ("tag", "T-1", "--serial", "S1")):
        assert_one_clear_sentence(eraser(*arguments, "--socket", tmp_path / "eraser.sock"))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (["A1-A3"], ["A1", "A2", "A3"]),
        (["A1-3"], ["A1", "A2", "A3"]),
        (["A2, left-3", "A1"], ["A2", "left-3", "A1"]),
        (["B08-B10"], ["B08", "B09", "B10"]),
        (["A1,A1-A2"], ["A1", "A2"]),
    ],
)
def test_bays_are_named_as_people_write_them(said: list[str], meant: list[str]) -> None:
    assert bays_named(said, KNOWN) == meant


@pytest.mark.parametrize("said", ["A1-B3", "A3-A1", "A1-A9", "A1-A999999999", "", "C1", "A1,,A2", "B8-B10"])
def test_bays_that_cannot_be_meant_are_refused(said: str) -> None:
    with pytest.raises(UsageError):
        bays_named([said], KNOWN)
