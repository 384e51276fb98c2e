"""`eraser receipt`: print a customer's receipt, and check with it whose a certificate is."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from eraser.cli.desk import json_option
from eraser.cli.trust import keys_option, pdf_opener, trusted_keys
from eraser.cli.vault import opened, place_options, reason_option, record_argument
from eraser.errors import UsageError


@click.group("receipt", short_help="Print a customer's receipt; check with it whose a certificate is.")
def receipt_group() -> None:
    """The receipt of a customer: their details and a code, by which they alone can show that a certificate is theirs."""


@receipt_group.command("print")
@record_argument
@click.option("--drive", default="", metavar="SERIAL", help="Which drive, where the record is of a whole lot.")
@click.option("--svg", type=click.Path(path_type=Path), metavar="FILE", help="Also the QR code as a picture, 0600.")
@reason_option
@json_option
@place_options
def print_command(record_id: str, drive: str, svg: Path | None, reason: str, as_json: bool, **where: Any) -> None:
    """Print the receipt of a drive, before it is erased or after. That it was printed is logged."""
    from eraser.durable import write_new
    from eraser.privacy.receipt import form_of, lines, picture

    with opened(where) as (vault, operator):
        receipt = vault.receipt(record_id, drive, operator, reason)
    if svg is not None and not write_new(svg, picture(receipt), 0o600):
        raise UsageError("there is a file already", subject=str(svg), remedy="Give another name.")
    if as_json:
        click.echo(json.dumps(form_of(receipt), ensure_ascii=False))
        return
    for line in lines(receipt):
        click.echo(line)


@receipt_group.command("verify")
@click.argument("file", type=click.Path(path_type=Path), metavar="CERTIFICATE")
@click.option(
    "--receipt",
    "receipt",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The receipt as JSON, or with --code the customer's details as JSON; - for stdin. Left out: it names nobody.",
)
@click.option("--code", default="", metavar="CODE", help="The receipt's code of 26 characters.")
@keys_option
@json_option
def verify_command(file: Path, receipt: Path | None, code: str, key_paths: tuple[Path, ...], as_json: bool) -> None:
    """Check that a certificate is genuine and is this customer's, as `eraser certificate verify --receipt` does.

    Exit status: 0 genuine and theirs; 4 not genuine, not theirs, or bound to nobody; 5 signed with a key that is not trusted
    here; 2 wrong usage.
    """
    from eraser.certificates.checking import Held, check
    from eraser.certificates.receipt import HeldReceipt, held_in, read_file
    from eraser.domain.commitment import BEARER, receipt_key

    if receipt is None and not code:
        raise UsageError("nothing was given to check it with", remedy="Give --receipt, --code, or both.")
    theirs = held_in(read_file(receipt), code) if receipt is not None else HeldReceipt(receipt_key(code), BEARER)
    held = Held(trusted_keys(key_paths), receipt=theirs, open_pdf=pdf_opener(key_paths))
    found = check(file, held)
    click.echo(json.dumps(found.summary()) if as_json else found.sentence())
    sys.exit(found.exit_status)
