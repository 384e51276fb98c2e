"""`eraser control`: the positive control of the running station."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eraser.cli.asking import client_at, socket_option
from eraser.cli.desk import json_option, show
from eraser.errors import ExitStatus

if TYPE_CHECKING:
    from eraser.rack.view import ControlForm, ControlLine

LOOK_SECONDS = 0.5


@click.group("control", short_help="The positive control: a drive that must pass, and one that must fail.")
def control_group() -> None:
    """The positive control: a canary drive that must come out erased, and a dirty one that must not.

    Exit status: 0 both are as they must be; 4 nothing is certified; 2 the station has no control.
    """


@control_group.command("show")
@json_option
@socket_option
def show_command(as_json: bool, socket_path: Path | None) -> None:
    """Show what the controls found last, and whether anything is certified."""
    sys.exit(_show(client_at(socket_path).control(), as_json=as_json))


@control_group.command("run")
@json_option
@socket_option
def run_command(as_json: bool, socket_path: Path | None) -> None:
    """Run both controls now, and wait for what they find. Only the drives that are named for it are touched."""
    from eraser.console.controls import read_control

    client = client_at(socket_path)
    before = _ids(read_control(client.control()))
    client.run_control()
    while not _have_ended(before, form := client.control()):
        time.sleep(LOOK_SECONDS)
    sys.exit(_show(form, as_json=as_json))


def _ids(form: "ControlForm") -> list[str]:
    return [line.last.control_id if line.last is not None else "" for line in form.controls]


def _have_ended(before: list[str], answer: object) -> bool:
    from eraser.console.controls import read_control

    form = read_control(answer)
    return not form.running and all(old != new for old, new in zip(before, _ids(form), strict=True))


def _show(answer: object, *, as_json: bool) -> ExitStatus:
    from eraser.console.controls import read_control

    form = read_control(answer)
    lines = [_line(item) for item in form.controls]
    lines += [f"Running: {form.running}."] if form.running else []
    lines += [f"NOTHING IS CERTIFIED: {form.withheld}." if form.withheld else "Certificates are issued."]
    show(answer, lines, as_json=as_json)
    return ExitStatus.FAILED if form.withheld else ExitStatus.PASSED


def _line(item: "ControlLine") -> str:
    if item.last is None:
        return f"{item.test.value:<8} {item.drive:<24} not run yet"
    said = "as it must be" if item.is_as_expected else "NOT AS IT MUST BE"
    return f"{item.test.value:<8} {item.drive:<24} {item.last.outcome.value:<8} {item.last.ended_at}  {said}"
