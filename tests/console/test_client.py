from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from eraser.console.client import NoStation, StationClient
from eraser.errors import EraserError, Refused, UsageError
from tests.console.running import answering
from tests.console.stations import FakeStation, a_busy_bay, a_snapshot


@pytest.fixture
def station() -> FakeStation:
    return FakeStation(a_snapshot(a_busy_bay("A1"), a_busy_bay("left-3")))


@pytest.fixture
def client(station: FakeStation, tmp_path: Path) -> Iterator[StationClient]:
    with answering(station, tmp_path / "eraser.sock"):
        yield StationClient(tmp_path / "eraser.sock")


def test_the_snapshot_is_what_the_station_says(client: StationClient, station: FakeStation) -> None:
    assert client.snapshot() == station.shown


def test_every_order_arrives_as_it_was_given(client: StationClient, station: FakeStation) -> None:
    client.start("A1", "nist-clear", "seen-in-A1")
    client.pause("A1")
    client.resume("A1")
    client.cancel("A1", "seen-in-A1")
    client.retry("A1", "seen-in-A1")
    client.maintain("A1", on=True)
    client.drain(on=False)
    assert station.orders == [
        ("start", "A1", "nist-clear"),
        ("pause", "A1"),
        ("resume", "A1"),
        ("cancel", "A1"),
        ("retry", "A1"),
        ("maintain", "A1", True),
        ("drain", False),
    ]


def test_what_the_station_refuses_is_refused_here_in_its_words(client: StationClient, station: FakeStation) -> None:
    station.refusing.add("A1")
    with pytest.raises(Refused) as told:
        client.pause("A1")
    assert (told.value.reason, str(told.value)) == ("not-running", "bay A1: no job runs there. Start one.")
    with pytest.raises(UsageError, match="no such bay"):
        client.pause("Z9")
    assert station.orders == []


def test_where_nobody_answers_there_is_no_station(tmp_path: Path) -> None:
    with pytest.raises(NoStation):
        StationClient(tmp_path / "nothing").station()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "dead"))
    with pytest.raises(NoStation):
        StationClient(tmp_path / "dead").station()


def test_a_station_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen()
        with pytest.raises(EraserError, match="did not answer within"):
            StationClient(tmp_path / "silent", timeout_seconds=0.1).station()


def test_what_is_no_station_is_told(tmp_path: Path) -> None:
    with pytest.raises(EraserError, match="did not answer"):
        StationClient(tmp_path / ("x" * 200)).station()  # longer than a socket's path can be
