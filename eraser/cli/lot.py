"""`eraser lot`: deliveries, how their drives are to be treated, and at which bays they are taken in."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from eraser.cli.asking import client_at, socket_option
from eraser.cli.desk import json_option, operator_option, operator_or_caller, show
from eraser.cli.lot_export import export_command
from eraser.console.client import StationClient
from eraser.console.forms import LotForm, read_lot
from eraser.domain.lot import Lot, LotPolicy
from eraser.domain.plan import Level
from eraser.domain.program import Verification
from eraser.errors import UsageError

_RANGE = re.compile(r"(?P<head>.*?)(?P<first>[0-9]+)-(?P<again>.*?)(?P<last>[0-9]+)")
MAX_BAYS = 1_000
MAX_LISTED = 20
"""Serial numbers that are shown to people; `--json` has them all."""


@click.group("lot", short_help="Deliveries: how their drives are treated, and which bays take them in.")
def lot_group() -> None:
    """Deliveries of drives: how they are to be treated, what is expected of them, and which bays take them in."""


lot_group.add_command(export_command)


def _lot_options(command: Callable[..., None]) -> Callable[..., None]:
    options = (
        click.option("--standard", help="One of `eraser programs`."),
        click.option("--level", type=click.Choice([level.value for level in Level])),
        click.option("--verification", type=click.Choice([kind.value for kind in Verification])),
        click.option("--start", type=click.Choice(["ask", "by-itself"]), help="Of drives that are plugged in."),
        click.option("--customer-waiting/--no-customer-waiting", default=None, help="Goes before all others."),
        click.option("--deadline", metavar="TIME", help="In UTC: 2027-01-31T16:00:00Z. The nearest goes first."),
        click.option("--supplier", help="Whom it comes from."),
        click.option(
            "--expect", type=click.File(), help="A file (- for stdin) with one expected serial number a line."
        ),
        click.option("--drives", type=int, help="How many drives are expected, where no serial numbers are known."),
        operator_option,
        socket_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@lot_group.command("add")
@click.argument("lot_id", metavar="LOT")
@_lot_options
def add_command(lot_id: str, operator: str, socket_path: Path | None, **said: Any) -> None:
    """Describe a delivery. Its drives are asked about, unless it is told to start by itself."""
    if not said["standard"]:
        raise UsageError("a lot needs a standard", subject=lot_id, remedy="--standard; `eraser programs` lists them.")
    lot = _changed(Lot(lot_id, LotPolicy(said["standard"])), said)
    client_at(socket_path).add_lot(lot, operator_or_caller(operator))
    click.echo(f"Lot {lot_id} is described. `eraser lot open {lot_id}` takes it in.")


@lot_group.command("change")
@click.argument("lot_id", metavar="LOT")
@_lot_options
def change_command(lot_id: str, operator: str, socket_path: Path | None, **said: Any) -> None:
    """Change what is said of a lot; what is left out stays. Jobs that have begun go on as they were planned."""
    client = client_at(socket_path)
    lot = _changed(read_lot(client.lot(lot_id)).lot, said)
    revision = client.change_lot(lot, operator_or_caller(operator))
    click.echo(f"Lot {lot_id} is at revision {revision}.")


@lot_group.command("list")
@json_option
@socket_option
def list_command(as_json: bool, socket_path: Path | None) -> None:
    """List the lots; those that are taken in now are marked."""
    for form in client_at(socket_path).lots():
        show(form, [_line(read_lot(form))], as_json=as_json)


@lot_group.command("show")
@click.argument("lot_id", metavar="LOT")
@json_option
@socket_option
def show_command(lot_id: str, as_json: bool, socket_path: Path | None) -> None:
    """Show a lot, and what has come of it: what is missing, what nobody expected."""
    form = client_at(socket_path).lot(lot_id)
    lot = read_lot(form)
    show(form, [_line(lot), *_arrival_lines(lot)], as_json=as_json)


@lot_group.command("open")
@click.argument("lot_id", metavar="LOT")
@click.option("--bays", multiple=True, metavar="BAYS", help="Such as A1-A12,B3; every bay if not given.")
@operator_option
@socket_option
def open_command(lot_id: str, bays: tuple[str, ...], operator: str, socket_path: Path | None) -> None:
    """Take a lot in: drives that are plugged into these bays from now on belong to it, until it is closed.

    A drive that it expects by its serial number belongs to it in every bay.
    """
    client = client_at(socket_path)
    named = bays_named(bays, _bay_names(client)) if bays else []
    client.open_lot(lot_id, named, operator_or_caller(operator))
    click.echo(f"Lot {lot_id} is taken in at {', '.join(named) or 'every bay'}.")


@lot_group.command("close")
@click.argument("lot_id", metavar="LOT")
@operator_option
@socket_option
def close_command(lot_id: str, operator: str, socket_path: Path | None) -> None:
    """Take nothing more in with a lot. Its drives stay its drives."""
    client = client_at(socket_path)
    client.close_lot(lot_id, operator_or_caller(operator))
    click.echo(f"Lot {lot_id} is closed.")
    for line in _arrival_lines(read_lot(client.lot(lot_id))):
        click.echo(line)


def bays_named(texts: Sequence[str], known: Sequence[str]) -> list[str]:
    """The bays that people write as `A1-A12,B3`, each once. What is a bay's own name is no range.

    Raises UsageError for what is neither.
    """
    found: dict[str, None] = {}
    for text in (part.strip() for item in texts for part in item.split(",")):
        if text in known or not (match := _RANGE.fullmatch(text)):
            found[text] = None
            continue
        if match["again"] not in ("", match["head"]):
            raise UsageError("the range is of two kinds of bays", subject=text, remedy="Write it such as A1-A12.")
        first, last, width = int(match["first"]), int(match["last"]), len(match["first"])
        if not 0 <= last - first < MAX_BAYS:
            raise UsageError("it is no range of bays", subject=text, remedy="Write it such as A1-A12.")
        found |= {f"{match['head']}{number:0{width}}": None for number in range(first, last + 1)}
    for name in found:
        if name not in known:
            raise UsageError("there is no such bay", subject=name, remedy="`eraser status` lists the bays.")
    return list(found)


def _bay_names(client: StationClient) -> list[str]:
    return [bay.name for bay in client.snapshot().bays]


def _changed(lot: Lot, said: dict[str, Any]) -> Lot:
    """The lot with what was said on the command line."""
    policy: dict[str, Any] = {name: said[name] for name in ("standard", "deadline") if said[name] is not None}
    if said["level"] is not None:
        policy["level"] = Level(said["level"])
    if said["verification"] is not None:
        policy["verification"] = Verification(said["verification"])
    if said["start"] is not None:
        policy["starts_by_itself"] = said["start"] == "by-itself"
    if said["customer_waiting"] is not None:
        policy["is_customer_waiting"] = said["customer_waiting"]
    changes: dict[str, Any] = {"policy": replace(lot.policy, **policy)}
    if said["supplier"] is not None:
        changes["supplier"] = said["supplier"]
    if said["expect"] is not None:
        serials = tuple(line.strip() for line in said["expect"] if line.strip())
        changes |= {"expected_serials": serials, "expected_drives": None}
    if said["drives"] is not None:
        changes["expected_drives"] = said["drives"]
    return replace(lot, **changes)


def _line(form: LotForm) -> str:
    policy = form.lot.policy
    words = [policy.standard, policy.level.value if policy.level else "", f"{policy.verification.value} verification"]
    words.append("starts by itself" if policy.starts_by_itself else "asks")
    words += ["customer waiting"] if policy.is_customer_waiting else []
    words += [f"until {policy.deadline}"] if policy.deadline else []
    words += [f"from {form.lot.supplier}"] if form.lot.supplier else []
    where = f"taken in at {', '.join(form.bays) or 'every bay'}" if form.is_open else "closed"
    return f"{form.lot.lot_id:<16} {', '.join(filter(None, words))}; {where}"


def _arrival_lines(form: LotForm) -> list[str]:
    arrived = form.arrivals
    if arrived is None:
        return []
    lines = [f"{arrived.arrived} drives have come."]
    if arrived.missing_serials:
        lines.append(f"Missing: {_listed(arrived.missing_serials)}")
    elif arrived.missing_drives:
        lines.append(f"Missing: {arrived.missing_drives} drives")
    if arrived.unexpected_serials:
        lines.append(f"Not expected: {_listed(arrived.unexpected_serials)}")
    return lines


def _listed(serials: Sequence[str]) -> str:
    more = f" and {len(serials) - MAX_LISTED} more" if len(serials) > MAX_LISTED else ""
    return ", ".join(serial or "one without a serial number" for serial in serials[:MAX_LISTED]) + more
