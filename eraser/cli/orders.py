"""`eraser start|pause|cancel|retry BAY`, `maintenance`, `drain`: what a running station can be told. `resume` is beside."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from eraser.cli.asking import client_at, socket_option
from eraser.console.client import NoStation, StationClient
from eraser.errors import EraserError, ExitStatus

_bays_argument = click.argument("bays", nargs=-1, required=True, metavar="BAY...")
_switch_argument = click.argument("switch", type=click.Choice(["on", "off"]))


@click.command("start", short_help="Erase the drives in bays of the running station.")
@_bays_argument
@click.option("--standard", default="", help="One of `eraser programs`; as its lot says if not given.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@socket_option
def start_command(bays: tuple[str, ...], standard: str, yes: bool, socket_path: Path | None) -> None:
    """Erase the drives in these bays of the running station. EVERYTHING ON THEM IS LOST."""
    client = client_at(socket_path)
    if not yes:
        inside = {bay.name: bay.drive.label if bay.drive else "no drive" for bay in client.snapshot().bays}
        for bay in bays:
            click.echo(f"{bay}: {inside.get(bay, 'no such bay')}")
        click.confirm(f"Erase all of this by {standard or 'what its lot says'}?", abort=True)
    sys.exit(give(bays, lambda bay: client.start(bay, standard), "starts"))


@click.command("pause", short_help="Let jobs of the running station rest at a checkpoint.")
@_bays_argument
@socket_option
def pause_command(bays: tuple[str, ...], socket_path: Path | None) -> None:
    """Let the jobs in these bays rest at a checkpoint. `eraser resume BAY` lets them go on."""
    sys.exit(give(bays, client_at(socket_path).pause, "pauses"))


@click.command("cancel", short_help="End jobs of the running station.")
@_bays_argument
@socket_option
def cancel_command(bays: tuple[str, ...], socket_path: Path | None) -> None:
    """End the jobs in these bays. Their drives are not erased, and no certificate says so."""
    sys.exit(give(bays, client_at(socket_path).cancel, "ends"))


@click.command("retry", short_help="Begin jobs of the running station anew.")
@_bays_argument
@socket_option
def retry_command(bays: tuple[str, ...], socket_path: Path | None) -> None:
    """Begin anew what was refused, was interrupted or has failed in these bays."""
    sys.exit(give(bays, client_at(socket_path).retry, "begins anew"))


@click.command("maintenance", short_help="Take a bay of the running station out of use.")
@click.argument("bay")
@_switch_argument
@socket_option
def maintenance_command(bay: str, switch: str, socket_path: Path | None) -> None:
    """Take BAY out of use (on), or back into it (off): no drive in it is looked at meanwhile."""
    client = client_at(socket_path)
    is_on = switch == "on"
    said = "goes out of use" if is_on else "comes back into use"
    sys.exit(give((bay,), lambda name: client.maintain(name, on=is_on), said))


@click.command("drain", short_help="Let the running station begin no new job.")
@_switch_argument
@socket_option
def drain_command(switch: str, socket_path: Path | None) -> None:
    """Let no new job begin (on), or let them again (off). What runs goes on."""
    client_at(socket_path).drain(on=switch == "on")
    click.echo("No new job begins." if switch == "on" else "New jobs begin again.")


def give(bays: Sequence[str], order: Callable[[str], None], said: str) -> ExitStatus:
    """Gives the order for each bay; one that is refused keeps no other from it. Of several the highest status counts.

    Raises NoStation: then none can be given.
    """
    status = ExitStatus.PASSED
    for bay in bays:
        try:
            order(bay)
        except NoStation:
            raise
        except EraserError as error:
            click.echo(f"eraser: {error}", err=True)
            status = max(status, error.exit_status)
        else:
            click.echo(f"{bay} {said}.")
    return status


def resume_bays(client: StationClient, bays: Sequence[str]) -> ExitStatus:
    """What `eraser resume` does with bays."""
    return give(bays, client.resume, "goes on")
