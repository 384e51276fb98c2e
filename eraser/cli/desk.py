"""What the commands of the desk share: for whom something is recorded, and how answers are shown."""

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

import click

from eraser.console.client import NoStation
from eraser.errors import EraserError, ExitStatus

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")

operator_option = click.option(
    "--operator",
    default="",
    metavar="NAME",
    help="Who did it, where root records for somebody; else whoever asks is written down. Under sudo: who called it.",
)


def operator_or_caller(operator: str) -> str:
    """The name that root speaks for: the one given, else the one that sudo was called by; empty for everybody else."""
    if operator or os.geteuid() != 0:
        return operator
    return os.environ.get("SUDO_USER", "")


def show(form: Any, lines: Iterable[str], *, as_json: bool) -> None:
    """The answer as one line of JSON, or as lines for people."""
    if as_json:
        click.echo(json.dumps(form))
        return
    for line in lines:
        click.echo(line)


def for_each(names: Iterable[str], order: Callable[[str], None]) -> ExitStatus:
    """Gives the order for each; one that is refused keeps no other from it. Of several the highest status counts.

    Raises NoStation: then none can be given.
    """
    status = ExitStatus.PASSED
    for name in names:
        try:
            order(name)
        except NoStation:
            raise
        except EraserError as error:
            click.echo(f"eraser: {error}", err=True)
            status = max(status, error.exit_status)
    return status
