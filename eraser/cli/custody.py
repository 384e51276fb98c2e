"""`eraser custody`: what happened to a drive from its arrival to its leaving, and the exit gate before it leaves."""

import sys
from pathlib import Path
from typing import Any

import click

from eraser.cli.asking import client_at, socket_option
from eraser.cli.desk import for_each, json_option, operator_option, operator_or_caller, show
from eraser.console.forms import DriveForm, read_drive
from eraser.domain.custody import (
    CustodyEvent,
    Destroyed,
    Erased,
    HandedOver,
    Moved,
    Quarantined,
    Received,
    Registered,
    Released,
    SeenTwice,
    Separated,
    Standing,
    Verified,
)
from eraser.errors import ExitStatus

_drives_argument = click.argument("drives", nargs=-1, required=True, metavar="DRIVE...")


@click.group("custody", short_help="What is on record of a drive; record what happens to it.")
def custody_group() -> None:
    """The chain of custody of drives. DRIVE is a serial number, a world-wide name or an asset tag.

    What the station does to drives it records itself; here is recorded what people do. Nothing on record is ever changed.
    """


@custody_group.command("show")
@_drives_argument
@json_option
@socket_option
def show_command(drives: tuple[str, ...], as_json: bool, socket_path: Path | None) -> None:
    """Show all that is on record of drives, and whether they may be sold."""
    client = client_at(socket_path)

    def show_drive(name: str) -> None:
        form = client.custody(name)
        show(form, _lines(read_drive(form)), as_json=as_json)

    sys.exit(for_each(drives, show_drive))


@custody_group.command("receive")
@_drives_argument
@click.option("--lot", "lot_id", required=True, help="The delivery that it came with.")
@click.option("--from", "received_from", default="", help="Who brought it.")
@json_option
@operator_option
@socket_option
def receive_command(lot_id: str, received_from: str, **given: Any) -> None:
    """Record that drives have arrived. Only what is done to them from now on lets them out again.

    The station does so by itself for drives that are plugged in.
    """
    _record(Received(lot_id, received_from), f"received with lot {lot_id}", **given)


@custody_group.command("quarantine")
@_drives_argument
@click.option("--reason", required=True, help="Why it is put aside.")
@json_option
@operator_option
@socket_option
def quarantine_command(reason: str, **given: Any) -> None:
    """Put drives aside: they stay until a later job passes or they are destroyed."""
    _record(Quarantined(reason), "quarantined", **given)


@custody_group.command("destroyed")
@_drives_argument
@click.option("--how", required=True, help="Such as `shredded to 2 mm`; it stands in the signed record.")
@click.option("--witness", default="", help="Who has seen it: a role, since it stands in the signed record.")
@json_option
@operator_option
@socket_option
def destroyed_command(how: str, witness: str, **given: Any) -> None:
    """Record that drives were destroyed. Nothing is done to any drive, and nothing takes this back.

    Each gets a signed destruction record beside the certificates, `<serial>-<id>.destruction`, with an entry in the log.
    """
    _record(Destroyed(how, witness), "on record as destroyed", **given)


@custody_group.command("separate")
@_drives_argument
@click.option("--how", required=True, help="Such as `the other one was shredded`.")
@json_option
@operator_option
@socket_option
def separate_command(how: str, **given: Any) -> None:
    """Record that one drive alone bears this name from now on, after two were seen. It has to pass anew before it may leave."""
    _record(Separated(how), "separated", **given)


@custody_group.command("release-to-sale")
@_drives_argument
@click.option("--to", default="", help="Who gets it, if that is known.")
@json_option
@operator_option
@socket_option
def release_command(to: str, **given: Any) -> None:
    """Let drives go to be sold: the exit gate. Refused unless a job has passed since the drive last arrived."""
    _record(Released(to), "released to be sold", **given)


@custody_group.command("hand-over")
@_drives_argument
@click.option("--to", required=True, help="Who takes it.")
@json_option
@operator_option
@socket_option
def hand_over_command(to: str, **given: Any) -> None:
    """Record that drives leave the plant. Refused unless they were released, or destroyed."""
    _record(HandedOver(to), f"handed over to {to}", **given)


def _record(
    event: Received | Quarantined | Separated | Destroyed | Released | HandedOver,
    said: str,
    *,
    drives: tuple[str, ...],
    as_json: bool,
    operator: str,
    socket_path: Path | None,
) -> None:
    from eraser.domain.json_form import to_json

    client, who = client_at(socket_path), operator_or_caller(operator)
    told = {name: value for name, value in to_json(event).items() if name != "job_id"}  # no person speaks for a job

    def record(name: str) -> None:
        form = client.record(name, told, who)
        show(form, [f"{name}: {said}."], as_json=as_json)

    status: ExitStatus = for_each(drives, record)
    sys.exit(status)


def _lines(form: DriveForm) -> list[str]:
    name = form.drive
    known = [
        name.serial,
        name.world_wide_name and f"WWN {name.world_wide_name}",
        name.asset_tag and f"tag {name.asset_tag}",
    ]
    lines = [", ".join(filter(None, known)) + f": {_standing(form.standing)}"]
    lines += [f"{item.at}  {item.place:<20} {item.operator:<16} {_words(item.event)}" for item in form.records]
    if form.is_ambiguous:
        lines.append("Several drives are known by this name.")
    lines.append(f"Not for sale: {form.not_for_sale}." if form.not_for_sale else "It may be released to be sold.")
    return lines


def _standing(now: Standing) -> str:
    if now.is_destroyed:
        return "destroyed"
    words = [f"here, at {now.place}" if now.is_here else "not here"]
    words += [f"quarantined ({now.quarantine})"] if now.quarantine else []
    words += [now.twice] if now.twice else []
    words += [f"its last job {now.outcome.value}"] if now.outcome is not None else []
    words += ["released"] if now.is_released else []
    return ", ".join(words)


def _words(event: CustodyEvent) -> str:
    match event:
        case Received(lot_id, received_from):
            with_lot = f"received with lot {lot_id}" if lot_id else "received without a lot"
            return with_lot + (f" from {received_from}" if received_from else "")
        case Registered(article, brand, model, specification, quantity, condition):
            what = " ".join(filter(None, (brand, model)))
            return f"registered: {quantity} {article.value} {what}, {specification}; {condition}"
        case Moved(to):
            return f"moved to {to}"
        case Erased(job_id, outcome):
            return f"erased: {outcome.value} (job {job_id})"
        case Verified(job_id, verification):
            return f"verified: {verification.value} (job {job_id})"
        case Quarantined(reason):
            return f"quarantined: {reason}"
        case SeenTwice(what):
            return f"seen twice: {what}"
        case Separated(how):
            return f"separated: {how}"
        case Released(to):
            return "released to be sold" + (f" to {to}" if to else "")
        case Destroyed(how, witness):
            return f"destroyed: {how}" + (f", seen by {witness}" if witness else "")
        case HandedOver(to):
            return f"handed over to {to}"
