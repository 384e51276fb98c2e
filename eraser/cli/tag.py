"""`eraser tag`: what a sticker on a drive means."""

from pathlib import Path

import click

from eraser.cli.asking import client_at, socket_option
from eraser.cli.desk import operator_option, operator_or_caller
from eraser.domain.lot import TagBinding


@click.command("tag", short_help="Bind an asset tag to a drive.")
@click.argument("tag")
@click.option("--serial", default="", help="Of the drive; its world-wide name where it says no serial number.")
@click.option("--bay", default="", help="The tag is the drive's that is put into this bay next.")
@operator_option
@socket_option
def tag_command(tag: str, serial: str, bay: str, operator: str, socket_path: Path | None) -> None:
    """Bind an asset tag to a drive, or to the drive that is put into a bay next.

    From then on the drive is known by it, too. A tag that stands in a drive's chain of custody is never another's.
    """
    client_at(socket_path).bind_tag(TagBinding(tag, bay, serial), operator_or_caller(operator))
    click.echo(f"{tag} is {serial or f'the next drive of bay {bay}'}.")
