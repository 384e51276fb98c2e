"""`eraser drives`: which drives are here, and which of them may be erased."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from eraser.cli.quantities import human_size
from eraser.domain.printable import printable

if TYPE_CHECKING:  # pyudev and the like are loaded by the command that needs them
    from eraser.domain.drive import Drive

FREE, IN_USE, UNFIT, UNKNOWN = "free", "in use", "unfit", "unknown"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing that keeps a drive from being erased: the machine's word, what it is, what a person can do."""

    reason: str
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Listed:
    """One drive with what stands in the way: `state` is FREE when nothing does, UNKNOWN when that cannot be known."""

    drive: "Drive"
    state: str
    obstacles: tuple[Obstacle, ...]


@click.command("drives")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, one line a drive.")
def drives_command(as_json: bool) -> None:
    """List all drives: who they are, and whether they are free.

    Works without root too, and then says what it could not see. Nothing is written.
    """
    found = sorted(_all(), key=lambda item: _natural(item.drive.path))
    if as_json:
        for item in found:
            click.echo(json.dumps(_form(item)))
    elif found:
        _print_table(found)
    else:
        click.echo("There is no drive here.")
    if any(item.state == UNKNOWN for item in found) or not _is_root():
        click.echo(
            "Without root some drives cannot be asked who they are, and whether they are in use cannot be known.",
            err=True,
        )


def _is_root() -> bool:
    import os

    return os.geteuid() == 0


def _all() -> Iterable[Listed]:
    from eraser.drives.discovery import list_drives

    return [_listed(drive) for drive in list_drives()]


def _listed(drive: "Drive") -> Listed:
    from eraser.domain.conditions import explain
    from eraser.drives import guard
    from eraser.errors import DriveError

    try:
        uses = guard.uses(drive)
    except DriveError as error:
        return Listed(drive, UNFIT, (Obstacle("gone", error.what, error.remedy),))
    unfit = [Obstacle(condition.value, *explain(condition, drive)) for condition in drive.conditions]
    used = [Obstacle(use.reason.value, use.what, use.remedy) for use in uses]
    if any(use.reason is not guard.UseReason.UNKNOWN_USE for use in uses):
        return Listed(drive, IN_USE, (*used, *unfit))
    state = UNFIT if unfit else UNKNOWN if used else FREE
    return Listed(drive, state, (*unfit, *used))


def _natural(path: str) -> tuple[str, int, str]:
    """One kind after the other, sdb before sdaa and loop2 before loop10, as the kernel counts them."""
    name = path.rpartition("/")[2]
    kind = "sd" if name.startswith("sd") else name.rstrip("0123456789")
    return kind, len(name), path


def _form(item: Listed) -> dict[str, Any]:
    drive = item.drive
    identity, geometry = drive.identity, drive.geometry
    return {
        "path": drive.path,
        "other_paths": list(drive.other_paths),
        "state": item.state,
        "obstacles": [{"reason": one.reason, "what": one.what, "remedy": one.remedy} for one in item.obstacles],
        "manufacturer": identity.manufacturer,
        "model": identity.model,
        "serial": identity.serial,
        "serial_source": identity.serial_source.value,
        "wwn": identity.wwn,
        "eui64": identity.eui64,
        "nguid": identity.nguid,
        "firmware": identity.firmware,
        "transport": drive.transport.value,
        "bridge": drive.bridge,
        "media": drive.media.value,
        "capacity_bytes": geometry.capacity_bytes,
        "logical_sector_bytes": geometry.logical_sector_bytes,
        "physical_sector_bytes": geometry.physical_sector_bytes,
        "native_capacity_bytes": geometry.native_capacity_bytes,
        "hidden_bytes": geometry.hidden_bytes,
        "hidden_areas": list(geometry.hidden_areas),
        "hidden_areas_unknown": list(geometry.hidden_areas_unknown),
        "write_cache": drive.write_cache,
    }


def _print_table(found: list[Listed]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in ("drive", "size", "kind", "model and serial", "state"):
        table.add_column(name, justify="right" if name == "size" else "left", overflow="fold")
    for item in found:
        table.add_row(*(Text(_shown(cell)) for cell in _cells(item)))
    Console(highlight=False, soft_wrap=False).print(table)


def _cells(item: Listed) -> tuple[str, str, str, str, str]:
    drive, geometry = item.drive, item.drive.geometry
    sectors = f"{geometry.logical_sector_bytes}/{geometry.physical_sector_bytes}"
    kind = [drive.transport.value, drive.media.value if drive.media.value != "unknown" else "", sectors]
    whose = " (the enclosure's)" if drive.identity.serial_source.value == "enclosure" else ""
    name = [drive.identity.model or drive.bridge, f"{drive.identity.serial}{whose}" if drive.identity.serial else ""]
    state = [item.state, *(one.what for one in item.obstacles)]
    if geometry.hidden_bytes:
        areas = "+".join(geometry.hidden_areas).upper()
        state.append(f"hides {human_size(geometry.hidden_bytes)}{f' ({areas})' if areas else ''}")
    path = [drive.path, *drive.other_paths]
    size = human_size(geometry.capacity_bytes)
    return "\n".join(path), size, _lines(kind), _lines(name), state[0] + "".join(f"; {one}" for one in state[1:])


def _lines(parts: list[str]) -> str:
    return "\n".join(part for part in parts if part)


def _shown(cell: str) -> str:
    """Names of processes and mount points come from outside and may hold what steers a terminal."""
    return "\n".join(map(printable, cell.split("\n")))
