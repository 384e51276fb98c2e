"""`eraser release`: takes apart what a kernel has assembled from the drives in bays, so that they can be erased."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eraser.errors import UsageError

if TYPE_CHECKING:
    from eraser.domain.bay import BayMap
    from eraser.domain.release import Step


@click.command("release", short_help="Take apart what lies on the drives in bays: RAID, LVM and the like.")
@click.argument("bays", nargs=-1, required=True, metavar="BAY...")
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The configuration, instead of $ERASER_CONFIG or /etc/eraser/eraser.toml.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: each step, with whether it was done.")
def release_command(bays: tuple[str, ...], config_path: Path | None, yes: bool, as_json: bool) -> None:
    """Take apart RAIDs, LVM volumes, mapped and loop devices that lie on the drives in these bays.

    Nothing is written to the drives. Refused where anything of it is mounted or in use, where it reaches a disk outside the
    bays, and always where the system lies on it. Afterwards `eraser retry BAY` lets the station look again.
    """
    from eraser.drives.release import plan, take_apart

    disks, in_bays = _disks(_bay_map(config_path), bays)
    found = plan(disks, in_bays)
    if not found.steps:
        click.echo("Nothing lies on the drives there.", err=as_json)
        return
    if not as_json:
        for step in found.steps:
            click.echo(f"{step.layer.title}: {shlex.join(step.command)}")
    if not yes:
        click.confirm("Take this apart?", abort=True, err=as_json)
    take_apart(found, in_bays, tell=lambda step: _tell(step, as_json))
    if not as_json:
        click.echo(f"The drives are free. `eraser retry {' '.join(bays)}` lets the station look at them again.")


def _tell(step: "Step", as_json: bool) -> None:
    if as_json:
        form = {"device": step.layer.node, "kind": step.layer.kind.value, "command": list(step.command), "done": True}
        click.echo(json.dumps(form))


def _bay_map(path: Path | None) -> "BayMap":
    from eraser.cli.bays import read_configuration

    return read_configuration(path).bay_map()


def _disks(bay_map: "BayMap", names: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
    """The nodes of the drives in the bays that are named, and the bay of every node of a drive in any.

    Raises UsageError for a bay that is empty or not known.
    """
    from eraser.drives.discovery import LIVE, drives_of, identify
    from eraser.drives.place import place_of

    in_bays: dict[str, str] = {}
    for device in drives_of(LIVE):
        if (bay := bay_map.bay_at(place_of(device, LIVE))) is not None:
            in_bays[LIVE.node(device)] = bay.name
    disks: list[str] = []
    for name in names:
        bay_name = bay_map.bay(name).name
        inside = [node for node, bay_of_node in in_bays.items() if bay_of_node == bay_name]
        if not inside:
            raise UsageError("no drive is in it", subject=f"bay {name}", remedy="Plug one in.")
        disks += inside
    for node in disks:
        for other in identify(node).other_paths:
            in_bays.setdefault(other, in_bays[node])  # another way to the same drive
    return disks, in_bays
