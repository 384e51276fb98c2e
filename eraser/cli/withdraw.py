"""`eraser certificate withdraw`: takes a certificate back, at the running station."""

import sys
from pathlib import Path
from typing import Any

import click

from eraser.cli.asking import client_at, socket_option
from eraser.cli.desk import json_option, operator_option, operator_or_caller, show


@click.command("withdraw", short_help="Take a certificate back.")
@click.argument("certificate")
@click.option("--reason", required=True, help="Why; it stands in the withdrawal, which others may see.")
@json_option
@operator_option
@socket_option
def withdraw_command(certificate: str, reason: str, as_json: bool, operator: str, socket_path: Path | None) -> None:
    """Take a certificate back: CERTIFICATE is its file or its id. Nothing undoes it.

    The withdrawal is signed, laid beside the certificates, and entered into the log: from the next checkpoint on bundles of the
    certificate are refused. The drive is quarantined, unless a later job ended on it.

    Exit status: 0 done; 2 no such certificate; 3 it is withdrawn already; 4 it could not be written: give the order again.
    """
    from eraser.console.forms import read_withdrawal

    certificate_id, digest = _named(certificate)
    form = client_at(socket_path).withdraw(certificate_id, reason, digest, operator_or_caller(operator))
    show(form, _lines(read_withdrawal(form)), as_json=as_json)
    sys.exit(0)


def _named(certificate: str) -> tuple[str, bytes]:
    """The id, and of a file the digest too, so that an altered one is not taken for what the ledger has."""
    import hashlib

    from eraser.domain.certificate import ID_FORM

    if ID_FORM.fullmatch(certificate):
        return certificate, b""
    from eraser.certificates.checking import read_document
    from eraser.certificates.content import content
    from eraser.certificates.envelope import unseal

    envelope = unseal(read_document(Path(certificate)))
    return content(envelope).certificate_id, hashlib.sha256(envelope.signed_bytes).digest()


def _lines(form: Any) -> list[str]:
    said = form.withdrawal
    lines = [f"{said.certificate_id}: withdrawn at {said.withdrawn_at}: {said.reason} ({form.file})"]
    if form.drive is None:
        return [*lines, "NOTHING tells its drive from others: find it, and put it aside by hand."]
    name = form.drive.serial or form.drive.world_wide_name
    if form.left_to:
        lines.append(f"THE DRIVE {name} HAS LEFT the plant, to {form.left_to}: tell them.")
    if form.is_quarantined:
        lines.append(f"The drive {name} is quarantined: it stays until a later job passes or it is destroyed.")
    elif form.is_destroyed:
        lines.append(f"The drive {name} is on record as destroyed.")
    else:
        lines.append(f"The drive {name} is as its last job left it: that was a later one.")
    return lines
