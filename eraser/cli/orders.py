"""`eraser start|pause|cancel|retry BAY`, `maintenance`, `drain`: what a running station can be told. `resume` is beside."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from eraser.cli.asking import client_at, socket_option
from eraser.console.client import NoStation, StationClient
from eraser.errors import EraserError, ExitStatus, UsageError
from eraser.rack.view import BaySnapshot

_bays_argument = click.argument("bays", nargs=-1, required=True, metavar="BAY...")
_switch_argument = click.argument("switch", type=click.Choice(["on", "off"]))


_serial_option = click.option(
    "--serial", "serials", multiple=True, metavar="SERIAL", help="Of the drive meant; one for each bay, in their order."
)
_yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command("start", short_help="Erase the drives in bays of the running station.")
@_bays_argument
@click.option("--standard", default="", help="One of `eraser programs`; as its lot says if not given.")
@_serial_option
@_yes_option
@socket_option
def start_command(
    bays: tuple[str, ...], standard: str, serials: tuple[str, ...], yes: bool, socket_path: Path | None
) -> None:
    """Erase the drives in these bays of the running station. EVERYTHING ON THEM IS LOST.

    Shows what is in each bay and asks for its serial number. If another drive is in a bay by then, it is left alone.
    """
    client = client_at(socket_path)
    seen = _confirmed(client, bays, f"erase it by {standard or 'what its lot says'}", serials, yes)
    sys.exit(give(bays, lambda bay: client.start(bay, standard, seen[bay]), "starts"))


@click.command("pause", short_help="Let jobs of the running station rest at a checkpoint.")
@_bays_argument
@socket_option
def pause_command(bays: tuple[str, ...], socket_path: Path | None) -> None:
    """Let the jobs in these bays rest at a checkpoint. `eraser resume BAY` lets them go on."""
    sys.exit(give(bays, client_at(socket_path).pause, "pauses"))


@click.command("cancel", short_help="Stop jobs of the running station.")
@_bays_argument
@socket_option
def cancel_command(bays: tuple[str, ...], socket_path: Path | None) -> None:
    """Stop the jobs in these bays, or keep them from beginning. They go on only after `eraser resume BAY`."""
    sys.exit(give(bays, client_at(socket_path).cancel, "ends"))


@click.command("retry", short_help="Begin jobs of the running station anew.")
@_bays_argument
@_serial_option
@_yes_option
@socket_option
def retry_command(bays: tuple[str, ...], serials: tuple[str, ...], yes: bool, socket_path: Path | None) -> None:
    """Begin anew what was refused or has failed in these bays; what was interrupted goes on.

    Shows what is in each bay and asks for its serial number, as `eraser start` does.
    """
    client = client_at(socket_path)
    seen = _confirmed(client, bays, "erase it", serials, yes)
    sys.exit(give(bays, lambda bay: client.retry(bay, seen[bay]), "begins anew"))


def _confirmed(
    client: StationClient, bays: Sequence[str], purpose: str, serials: Sequence[str], yes: bool
) -> dict[str, str]:
    """What was seen in each bay by whoever said yes. Raises UsageError when the drive is not the one that was meant."""
    if serials and len(serials) != len(bays):
        raise UsageError(
            f"there are {len(serials)} serial numbers for {len(bays)} bays", remedy="Name one for each bay."
        )
    inside = {bay.name: bay for bay in client.snapshot().bays}
    shown = [(name, inside.get(name)) for name in bays]
    for (name, bay), serial in zip(shown, serials, strict=False):
        _expect_serial(name, serial, _serial(bay))
    if not serials and not yes:
        for name, bay in shown:
            click.echo(f"{name}: {_contents(bay)}")
        if not sys.stdin.isatty():
            raise UsageError("nobody is there to confirm", remedy="Run it in a terminal, or add --yes or --serial.")
        for name, bay in shown:
            expected = _serial(bay) or name
            what = "serial number" if _serial(bay) else "name of the bay, since it has no serial number"
            typed = click.prompt(f"{name}: to {purpose}, type its {what} ({expected})", default="", show_default=False)
            _expect_serial(name, typed.strip(), expected)
    return {name: bay.sighting if bay is not None else "" for name, bay in shown}


def _expect_serial(bay: str, said: str, expected: str) -> None:
    if not said or said != expected:
        raise UsageError("that is not it; nothing was ordered", subject=f"bay {bay}")


def _serial(bay: BaySnapshot | None) -> str:
    return bay.drive.identity.serial if bay is not None and bay.drive is not None else ""


def _contents(bay: BaySnapshot | None) -> str:
    if bay is None:
        return "no such bay"
    return bay.drive.label if bay.drive is not None else "no drive that could be identified"


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
    seen = {bay.name: bay.sighting for bay in client.snapshot().bays}
    return give(bays, lambda bay: client.resume(bay, seen.get(bay)), "goes on")
