"""`eraser status`: what a running station does, bay by bay."""

import json
from pathlib import Path

import click

from eraser.cli.asking import (
    COLOURS,
    client_at,
    note_words,
    progress_words,
    socket_option,
    state_words,
    summary_words,
)
from eraser.console.forms import read_station
from eraser.rack.view import BaySnapshot


@click.command("status", short_help="Show what the running station does.")
@socket_option
@click.option("--json", "as_json", is_flag=True, help="The whole station as one JSON object on one line.")
def status_command(socket_path: Path | None, as_json: bool) -> None:
    """Show what the running station does, bay by bay. Asks through its Unix socket and touches no drive."""
    form = client_at(socket_path).station()
    snapshot = read_station(form)
    if as_json:
        for shown, bay in zip(form["bays"], snapshot.bays, strict=True):
            shown |= {"reason": bay.reason, "waits_for": bay.waits_for, "alarm_reasons": bay.alarm_reasons}
        click.echo(json.dumps(form))
        return
    for bay in snapshot.bays:
        click.echo(_line(bay))
    click.echo(summary_words(snapshot))
    for problem in snapshot.problems:
        click.secho(f"Not ready: {problem}", fg="red")


def _line(bay: BaySnapshot) -> str:
    state = click.style(f"{state_words(bay):<15}", fg=COLOURS.get(bay.state))
    label = bay.drive.label if bay.drive is not None else ""
    if known := ", ".join(filter(None, (bay.asset_tag, f"lot {bay.lot}" if bay.lot else ""))):
        label = f"{label} ({known})"
    return f"{bay.name:<12} {state} {label:<30} {progress_words(bay):<34} {note_words(bay)}".rstrip()
