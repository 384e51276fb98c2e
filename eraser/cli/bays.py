"""`eraser bays`: the slots of the rack: what is in them, where they are, which one is meant."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eraser import settings
from eraser.errors import EraserError, UsageError

if TYPE_CHECKING:  # pydantic and pyudev are loaded by the command that needs them
    from eraser.configuration.model import Configuration
    from eraser.domain.bay import BayMap, BayName, Position
    from eraser.domain.drive import Drive
    from eraser.drives.sysfs import BlockDevice

_config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The configuration, instead of $ERASER_CONFIG or /etc/eraser/eraser.toml.",
)


@click.group("bays", short_help="Show, learn and light up the bays; print udev rules for them.")
def bays_group() -> None:
    """Show, learn and light up the bays; print udev rules for them."""


@bays_group.command("list")
@_config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, one line a bay.")
def list_command(config_path: Path | None, as_json: bool) -> None:
    """List the bays, and the drive that is in each. No drive is asked anything."""
    bay_map = read_configuration(config_path).bay_map()
    inside, elsewhere = _drives_by_bay(bay_map)
    forms = [_bay_form(bay_map, index, inside) for index in range(len(bay_map.bays))]
    if as_json:
        for form in forms:
            click.echo(json.dumps(form))
        return
    if not forms:
        click.echo("There is no bay in the configuration: `eraser bays learn A1 A2` makes some.")
    for form in forms:
        drives = ", ".join(f"{drive['path']} ({drive['label']})" for drive in form["drives"]) or "empty"
        click.echo(f"{form['name']:<12} {drives:<48} {'; '.join(form['places'])}")
    for drive in elsewhere:
        click.echo(f"{'in no bay':<12} {drive.path} ({drive.label})")


@bays_group.command("rules")
@_config_option
def rules_command(config_path: Path | None) -> None:
    """Print udev rules that keep automounters and auto-assembly away from the drives in the bays."""
    from eraser.drives.discovery import LIVE
    from eraser.drives.place import pci_slots
    from eraser.drives.udev_rules import rules

    click.echo(rules(read_configuration(config_path).bay_map(), pci_slots(LIVE)), nl=False)


@bays_group.command("locate")
@click.argument("bay")
@_config_option
@click.option("--seconds", type=click.FloatRange(0.5, 3600), default=30.0, show_default=True)
def locate_command(bay: str, config_path: Path | None, seconds: float) -> None:
    """Show which slot BAY is: by its light, else by making its drive's activity light blink.

    The drive is read a little and never written; nothing of what is read is kept or seen.
    """
    from eraser.drives.discovery import LIVE
    from eraser.drives.leds import light_of

    bay_map = read_configuration(config_path).bay_map()
    device = _device_in(bay_map, bay)
    light = light_of(device, LIVE)
    if light is not None:
        click.echo(f"{bay}: the slot's light ({light.kind}) is on for {seconds:g} s")
        _shine(light, seconds)
    else:
        click.echo(f"{bay}: the slot has no light: the drive's own blinks for {seconds:g} s")
        _blink(LIVE.node(device), seconds)


@bays_group.command("learn")
@click.argument("names", nargs=-1, metavar="[BAY]...")
@_config_option
@click.option("--shelf", default="", help="Names the bays of a whole shelf, SHELF1, SHELF2, …, row by row.")
@click.option("--rows", type=click.IntRange(1, 200), default=1, show_default=True)
@click.option("--columns", type=click.IntRange(1, 200), default=1, show_default=True)
def learn_command(names: tuple[str, ...], config_path: Path | None, shelf: str, rows: int, columns: int) -> None:
    """Learn where bays are: plug one drive into each slot in turn.

    Each bay is written into the configuration as soon as it is known; everything else in the file stays as it is. Stop with
    Ctrl-C. The drives are not touched.
    """
    from eraser.domain.bay import Position, bay_name

    positions: dict[str, Position | None] = dict.fromkeys(names)
    if shelf:
        places = [(row, column) for row in range(1, rows + 1) for column in range(1, columns + 1)]
        positions |= {f"{shelf}{number}": Position(shelf, *place) for number, place in enumerate(places, 1)}
    if not positions:
        raise UsageError("no bay is named", remedy="Name bays (A1 A2), or a shelf with --shelf A --rows 3 --columns 8.")
    wanted: dict[BayName, Position | None] = {}
    for name, position in positions.items():
        try:
            wanted[bay_name(name)] = position
        except ValueError as error:
            raise UsageError(str(error), subject=name, remedy="Choose another name.") from error
    path = config_path or settings.config_file(os.environ)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_learn(path, wanted))


async def _learn(path: Path, wanted: "dict[BayName, Position | None]") -> None:
    from eraser.configuration.reading import load
    from eraser.configuration.writing import exists, write_bay
    from eraser.drives.discovery import LIVE
    from eraser.rack.hotplug import Hotplug
    from eraser.rack.learning import learn, pass_over_present

    known = (load(path, os.environ) if exists(path) else load(None, os.environ)).bay_map()
    async with Hotplug(LIVE) as drives:
        for drive in await pass_over_present(drives):
            click.echo(f"{drive.node} is in a slot already: pull it and plug it in again when its turn comes.")
        learned = learn(
            tuple(wanted),
            drives,
            known,
            prompt=lambda name: click.echo(f"{name}: plug a drive in."),
            refuse=lambda reason: click.echo(f"  not taken: {reason}"),
        )
        async for found in learned:
            write_bay(path, found.name, found.place, wanted[found.name], os.environ)
            click.echo(f"  {found.name} is at {found.place} ({found.drive.node}); written to {path}")


def read_configuration(path: Path | None) -> "Configuration":
    from eraser.configuration.reading import load

    return load(path or settings.config_file(os.environ), os.environ)


def _drives_by_bay(bay_map: "BayMap") -> "tuple[dict[str, list[Drive]], list[Drive]]":
    """The drives that are here by the bay that they are in, and those that are in none."""
    from eraser.drives.discovery import LIVE, describe, drives_of
    from eraser.drives.place import place_of

    inside: dict[str, list[Drive]] = {}
    elsewhere: list[Drive] = []
    for device in drives_of(LIVE):
        with contextlib.suppress(EraserError):
            bay = bay_map.bay_at(place_of(device, LIVE))
            drive = describe(device, LIVE, None, links={})
            (elsewhere if bay is None else inside.setdefault(bay.name, [])).append(drive)
    return inside, elsewhere


def _bay_form(bay_map: "BayMap", index: int, inside: "dict[str, list[Drive]]") -> dict[str, Any]:
    bay = bay_map.bays[index]
    position = bay.position
    return {
        "name": bay.name,
        "places": [str(pattern) for pattern in bay.places],
        "position": position and {"shelf": position.shelf, "row": position.row, "column": position.column},
        "bandwidth_domains": [domain.name for domain in bay_map.domains_of(bay)],
        "power_domain": bay.power_domain or None,
        "drives": [{"path": drive.path, "label": drive.label} for drive in inside.get(bay.name, [])],
    }


def _device_in(bay_map: "BayMap", name: str) -> "BlockDevice":
    """The drive in a bay. Raises UsageError when the bay is not known, or empty."""
    from eraser.drives.discovery import LIVE, drives_of
    from eraser.drives.place import place_of

    bay = bay_map.bay(name)
    for device in drives_of(LIVE):
        if bay_map.bay_at(place_of(device, LIVE)) == bay:
            return device
    raise UsageError("no drive is in it, so it cannot be shown", subject=f"bay {name}", remedy="Plug one in.")


def _shine(light: Any, seconds: float) -> None:
    from eraser.rack.locating import lit

    with _until_stopped(), lit(light):
        asyncio.run(asyncio.sleep(seconds))


def _blink(node: str, seconds: float) -> None:
    from eraser.cli.station import now_utc
    from eraser.rack.locating import blink
    from eraser.rack.rereading import OpenDrive

    with _until_stopped(), OpenDrive(node) as opened:
        asyncio.run(blink(opened, seconds, now_utc=now_utc))


@contextlib.contextmanager
def _until_stopped() -> Iterator[None]:
    """Ctrl-C is how this is stopped, and no failure."""
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write("\n")
