"""`eraser top`: the rack as a grid, live, by Textual."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import click
from rich.text import Text
from textual.app import App, ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Footer, Static

from eraser.cli.asking import (
    COLOURS,
    client_at,
    note_words,
    progress_words,
    socket_option,
    state_words,
    summary_words,
)
from eraser.errors import EraserError
from eraser.rack.view import BaySnapshot, StationSnapshot

LOOK_SECONDS = 1.0
BAYS_A_ROW = 8
"""Of bays that have no position."""

Place = tuple[str, int, int]


@click.command("top", short_help="Watch the running station's rack.")
@socket_option
def top_command(socket_path: Path | None) -> None:
    """Watch the running station's rack: each bay where it is, its state, progress and what is wrong. `q` leaves."""
    client = client_at(socket_path)
    client.station()  # whoever cannot ask is told before the screen is taken
    RackApp(client.snapshot).run()


class BayCell(Static):
    """One bay."""

    def __init__(self, bay: BaySnapshot | None) -> None:
        super().__init__(bay_text(bay) if bay is not None else "", classes="bay" if bay is not None else "gap")

    def show(self, bay: BaySnapshot) -> None:
        """Brings it up to date."""
        self.update(bay_text(bay))


class RackApp(App[None]):
    """Looks once a second, in a thread, and draws. A station that does not answer leaves the last picture, said to be old."""

    CSS = """
    #summary { height: auto; padding: 0 1; background: $panel; }
    Horizontal { height: 6; }
    .shelf { height: 1; padding: 0 1; text-style: bold; }
    .bay, .gap { width: 1fr; min-width: 16; max-width: 32; height: 6; }
    .bay { border: round $primary-darken-2; text-wrap: nowrap; text-overflow: ellipsis; }
    """
    BINDINGS = [("q", "quit", "Leave")]  # noqa: RUF012  Textual reads it so

    def __init__(self, look: Callable[[], StationSnapshot]) -> None:
        super().__init__()
        self._look = look
        self._cells: dict[str, BayCell] = {}
        self._places: list[tuple[str, Place]] = []

    def compose(self) -> ComposeResult:
        yield Static(id="summary", markup=False)
        yield VerticalScroll(id="rack")
        yield Footer()

    async def on_mount(self) -> None:
        await self.look_again()
        self.set_interval(LOOK_SECONDS, self.look_again)

    async def look_again(self) -> None:
        """One look at the station."""
        summary = self.query_one("#summary", Static)
        try:
            snapshot = await asyncio.to_thread(self._look)
        except EraserError as error:
            summary.update(Text(f"What is shown is old. {error}", style="bold red"))
            return
        problems = "".join(f"\nNot ready: {problem}" for problem in snapshot.problems)
        summary.update(Text(summary_words(snapshot)).append(problems, style="bold red"))
        await self._draw(snapshot.bays)

    async def _draw(self, bays: Sequence[BaySnapshot]) -> None:
        places = [(bay.name, (bay.shelf, bay.row, bay.column)) for bay in bays]
        if places != self._places:  # the first look, or another map
            await self._build(bays)
            self._places = places
        for bay in bays:
            self._cells[bay.name].show(bay)

    async def _build(self, bays: Sequence[BaySnapshot]) -> None:
        rack = self.query_one("#rack", VerticalScroll)
        await rack.remove_children()
        self._cells = {}
        for shelf, rows in shelves(bays):
            if shelf:
                await rack.mount(Static(Text(shelf), classes="shelf"))
            for row in rows:
                cells = [BayCell(bay) for bay in row]
                self._cells |= {bay.name: cell for bay, cell in zip(row, cells, strict=True) if bay is not None}
                await rack.mount(Horizontal(*cells))


def shelves(bays: Iterable[BaySnapshot]) -> Iterator[tuple[str, list[list[BaySnapshot | None]]]]:
    """Each shelf with its rows as they hang, None where there is no bay. Bays without a position come last, in their order."""
    placed = sorted((bay for bay in bays if bay.shelf), key=lambda bay: (bay.shelf, bay.row, bay.column))
    for shelf, inside in groupby(placed, key=lambda bay: bay.shelf):
        rows = [list(row) for _, row in groupby(inside, key=lambda bay: bay.row)]
        columns = max(bay.column for row in rows for bay in row)
        yield shelf, [_spread(row, columns) for row in rows]
    rest: list[BaySnapshot | None] = [bay for bay in bays if not bay.shelf]
    if rest:
        yield "", [rest[first : first + BAYS_A_ROW] for first in range(0, len(rest), BAYS_A_ROW)]


def _spread(row: Iterable[BaySnapshot], columns: int) -> list[BaySnapshot | None]:
    by_column: dict[int, list[BaySnapshot | None]] = {}
    for bay in row:
        by_column.setdefault(bay.column, []).append(bay)
    return [bay for column in range(1, columns + 1) for bay in by_column.get(column, [None])]


def bay_text(bay: BaySnapshot) -> Text:
    """A bay in four lines, of which the screen shows what fits: of the drive its serial, which is on its label.

    What a drive says of itself is text and never markup.
    """
    drive = bay.drive
    text = Text(bay.name, style="bold")
    text.append(f" {state_words(bay)}", style=COLOURS.get(bay.state, ""))
    text.append(f"\n{(drive.identity.serial or drive.label) if drive is not None else ''}", style="not bold")
    text.append(f"\n{progress_words(bay)}", style="not bold")
    text.append(f"\n{note_words(bay)}", style="not bold red")
    return text
