from __future__ import annotations

from eraser.cli.asking import note_words
from eraser.cli.top import BayCell, RackApp, shelves
from eraser.domain.sayings import recalled
from eraser.errors import EraserError
from eraser.rack.view import BayState
from tests.console.stations import FakeStation, a_busy_bay, a_snapshot, an_empty_bay
from tests.domain.builders import IDENTITY, a_drive


def shown(app: RackApp) -> list[str]:
    return [str(cell.render()) for cell in app.query(BayCell)]


async def test_the_rack_hangs_as_it_is_and_is_brought_up_to_date() -> None:
    station = FakeStation(a_snapshot(a_busy_bay("A1", row=1, column=1), a_busy_bay("A3", row=1, column=3)))
    app = RackApp(station.snapshot)
    async with app.run_test() as pilot:
        first, gap, third = shown(app)
        assert first.startswith("A1 writing 2/3\nS3R1AL\n25.0 % 210 MB/s")
        assert gap == ""
        assert third.startswith("A3")
        station.shown = a_snapshot(
            a_busy_bay("A1", row=1, column=1, state=BayState.PASSED), a_busy_bay("A3", row=1, column=3)
        )
        await app.look_again()
        await pilot.pause()
        assert shown(app)[0].startswith("A1 passed")


async def test_a_station_that_stops_answering_is_said_to() -> None:
    station = FakeStation()
    app = RackApp(station.snapshot)
    async with app.run_test():

        def gone():
            raise EraserError("the station did not answer")

        app._look = gone
        await app.look_again()
        assert "What is shown is old" in str(app.query_one("#summary").render())
        assert len(shown(app)) == 2


async def test_another_map_is_another_picture() -> None:
    station = FakeStation()
    app = RackApp(station.snapshot)
    async with app.run_test():
        station.shown = a_snapshot(an_empty_bay("C7"))
        await app.look_again()
        assert [text.split()[0] for text in shown(app) if text] == ["C7"]


async def test_what_a_drive_calls_itself_is_no_markup() -> None:
    identity = type(IDENTITY)(serial="[red]M[/red][/]")
    app = RackApp(FakeStation(a_snapshot(a_busy_bay(drive=a_drive(identity=identity)))).snapshot)
    async with app.run_test():
        assert "[red]M[/red][/]" in shown(app)[0]


def test_two_bays_at_one_place_are_both_shown() -> None:
    bays = (a_busy_bay("A1"), a_busy_bay("A2"))
    ((_, rows),) = shelves(bays)
    assert rows == [list(bays)]


def test_bays_without_a_position_come_in_rows_of_their_own() -> None:
    bays = tuple(a_busy_bay(f"B{number}", shelf="", row=0, column=0) for number in range(10))
    ((shelf, rows),) = shelves(bays)
    assert (shelf, [len(row) for row in rows]) == ("", [8, 2])


def test_what_is_the_matter_with_a_drive_is_said_once() -> None:
    stuck = a_busy_bay(
        alarms=("stuck", "hot"),
        alarm_sayings=(recalled("an I/O has been out"), recalled("61 °C")),
        oldest_io_seconds=40.0,
    )
    assert note_words(stuck).startswith("stuck: an I/O has been out, hot: 61 °C, 4,096 bytes bad")
    assert "no answer for 12 s" in note_words(a_busy_bay(oldest_io_seconds=12.0))
