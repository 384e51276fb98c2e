"""`eraser vault`: customers' details, sealed at this station; and the keys of it."""

import json
import os
import pwd
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eraser.cli.desk import json_option, operator_or_caller, show
from eraser.domain.commitment import KEPT_DAYS, CustomerDetails
from eraser.errors import ExitStatus, UsageError

if TYPE_CHECKING:
    from eraser.privacy.destruction import Destroyed, Destruction
    from eraser.privacy.vault import Stored, Vault

_data = click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="The station's data folder."
)
_database = click.option("--database", metavar="URL", help="Its ledger, where that is not in the data folder.")
_operator = click.option(
    "--operator", default="", metavar="NAME", help="Who does it, where root does it for somebody; else the caller."
)
reason_option = click.option(
    "--reason", required=True, metavar="TEXT", help="Why; kept for good, so it must not name the customer."
)
_details = click.option(
    "--details",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help='JSON such as {"name": "…", "phone": "…"}; - for stdin. Asked for if not given. Never on the command line.',
)
record_argument = click.argument("record_id", metavar="RECORD")


def place_options(command: Callable[..., None]) -> Callable[..., None]:
    """Of every command that opens the vault: whose, and for whom."""
    return _data(_database(_operator(command)))


@click.group("vault", short_help="Customers' details: sealed, logged when read, destroyed in time.")
def vault_group() -> None:
    """Customers' details. They are sealed in the ledger under keys that are in no ledger; who reads them says why, and that is
    logged; at the end of their time, or when the customer asks, the keys are destroyed.

    Details are never given on the command line, where every user of the host could see them: they are asked for, or read from
    a file.
    """


@vault_group.command("add")
@click.argument("lot_id", metavar="LOT")
@click.option("--serial", default="", help="Of this drive only: its serial number or world-wide name.")
@click.option("--asset-tag", default="", help="Of this drive only: its asset tag.")
@_details
@click.option("--keep-days", type=click.IntRange(1, 36525), default=KEPT_DAYS, show_default=True, help="Of a new lot.")
@place_options
def add_command(lot_id: str, serial: str, asset_tag: str, details: Path | None, keep_days: int, **where: Any) -> None:
    """Put a customer in: of a whole lot, or of one drive of it. Prints the record's id."""
    from eraser.privacy.vault import Scope

    customer = _given(details)
    until = (datetime.now(UTC) + timedelta(days=keep_days)).isoformat(timespec="seconds").replace("+00:00", "Z")
    with opened(where) as (vault, operator):
        click.echo(vault.add(Scope(lot_id, serial, asset_tag), customer, operator, until))


@vault_group.command("list")
@click.option("--lot", "lot_id", default=None, metavar="LOT", help="Of this lot only.")
@json_option
@place_options
def list_command(lot_id: str | None, as_json: bool, **where: Any) -> None:
    """List the records, by lot and drive, without a look into them."""
    with opened(where) as (vault, _):
        for item in vault.stored(lot_id):
            show(asdict(item), [_line(item)], as_json=as_json)


@vault_group.command("show")
@record_argument
@reason_option
@json_option
@place_options
def show_command(record_id: str, reason: str, as_json: bool, **where: Any) -> None:
    """Show what is known of a customer. That it was read, by whom and why, is logged first."""
    with opened(where) as (vault, operator):
        details = asdict(vault.read(record_id, operator, reason))
    show(details, (f"{name:<12}{value}" for name, value in details.items() if value), as_json=as_json)


@vault_group.command("change")
@record_argument
@_details
@reason_option
@place_options
def change_command(record_id: str, details: Path | None, reason: str, **where: Any) -> None:
    """Put right what is known of a customer. Receipts that were made before stay as they were."""
    customer = _given(details)
    with opened(where) as (vault, operator):
        click.echo(f"Record {record_id} is at version {vault.change(record_id, customer, operator, reason)}.")


@vault_group.command("find")
@reason_option
@json_option
@place_options
def find_command(reason: str, as_json: bool, **where: Any) -> None:
    """Find the records in which a text stands; it is asked for, or read from stdin. Shows ids, not details."""
    sought = _asked("Look for") if sys.stdin.isatty() else sys.stdin.readline()
    with opened(where) as (vault, operator):
        for item in vault.find(sought, operator, reason):
            show(asdict(item), [_line(item)], as_json=as_json)


@vault_group.command("export")
@click.argument("record_ids", nargs=-1, required=True, metavar="RECORD...")
@reason_option
@click.option("--to", type=click.Path(path_type=Path), metavar="FILE", help="A new 0600 file; else standard output.")
@place_options
def export_command(record_ids: tuple[str, ...], reason: str, to: Path | None, **where: Any) -> None:
    """Give a customer everything that the plant has of them, as JSON. `find` names the records."""
    from eraser.durable import write_new

    with opened(where) as (vault, operator):
        form = vault.export(record_ids, operator, reason)
    text = json.dumps(form, ensure_ascii=False, indent=1) + "\n"
    if to is None:
        click.echo(text, nl=False)
    elif not write_new(to, text.encode(), 0o600):
        raise UsageError("there is a file already", subject=str(to), remedy="Give another name.")


@vault_group.command("erase")
@click.argument("record_ids", nargs=-1, required=True, metavar="RECORD...")
@reason_option
@json_option
@place_options
def erase_command(record_ids: tuple[str, ...], reason: str, as_json: bool, **where: Any) -> None:
    """Destroy the keys of a customer's records when they ask for it. Nothing undoes it.

    Exit status: 4 if backups of the keys could not be reached that may still hold them.
    """
    with destroying(where) as (destruction, operator):
        _tell([destruction.erase(item, operator, reason) for item in record_ids], destruction, as_json=as_json)


@vault_group.command("keep")
@click.argument("lot_id", metavar="LOT")
@click.option("--until", required=True, metavar="TIME", help="In UTC: 2030-01-31T00:00:00Z.")
@reason_option
@place_options
def keep_command(lot_id: str, until: str, reason: str, **where: Any) -> None:
    """Set until when a lot's customers are kept."""
    with opened(where) as (vault, operator):
        vault.keep_until(lot_id, until, operator, reason)
    click.echo(f"Lot {lot_id} is kept until {until}.")


@vault_group.command("expire")
@click.option("--dry-run", is_flag=True, help="Only say which lots are due.")
@json_option
@place_options
def expire_command(dry_run: bool, as_json: bool, **where: Any) -> None:
    """Destroy the keys of all lots whose time has ended, and finish what a crash interrupted. Nothing undoes it.

    Exit status: 4 if backups of the keys could not be reached that may still hold them.
    """
    with destroying(where) as (destruction, operator):
        if dry_run:
            for lot_id, until in destruction.due().items():
                show({"lot_id": lot_id, "kept_until": until}, [f"{lot_id}: kept until {until}"], as_json=as_json)
            return
        _tell(destruction.expire(operator), destruction, as_json=as_json)


@vault_group.command("check")
@json_option
@place_options
def check_command(as_json: bool, **where: Any) -> None:
    """Say whether every record can be opened, without a look into it. Exit status: 4 if one can't."""
    with opened(where) as (vault, operator):
        records, faults = vault.check(operator)
    for fault in faults:
        show({"subject": fault.subject, "code": fault.code, "what": fault.what}, [str(fault)], as_json=as_json)
    if not as_json:
        click.echo(f"{records} records: {f'{len(faults)} cannot be opened' if faults else 'all can be opened'}.")
    sys.exit(ExitStatus.FAILED if faults else ExitStatus.PASSED)


@vault_group.command("log")
@click.option("--lot", "lot_id", default="", metavar="LOT", help="Of this lot only.")
@click.option("--record", "record_id", default="", metavar="RECORD", help="Of this record only.")
@json_option
@place_options
def log_command(lot_id: str, record_id: str, as_json: bool, **where: Any) -> None:
    """Show who did what with the vault, when and why."""
    with opened(where) as (vault, _):
        for item in vault.log(lot_id=lot_id, record_id=record_id):
            form = {name: getattr(item, name) for name in item.__slots__} | {"body": dict(item.body)}
            subject = " ".join(part for part in (item.lot_id, item.record_id) if part)
            line = f"{item.at} {item.operator:<12} {item.action.value:<14} {subject}"
            show(form, [line + (f": {item.reason}" if item.reason else "")], as_json=as_json)


@vault_group.group("keys")
def keys_group() -> None:
    """The keys of lots and records, and their backups. Backups of the ledger hold none of them."""


@keys_group.command("list")
@json_option
@place_options
def keys_list_command(as_json: bool, **where: Any) -> None:
    """List the lots whose keys are here, and all backups of keys with what may still be in them and should not."""
    with destroying(where) as (destruction, _):
        pending = destruction.pending()
        for lot_id, count in destruction.lots():
            form: dict[str, Any] = {"lot_id": lot_id, "records": count}
            show(form, [f"lot {lot_id}: its key and those of {count} records"], as_json=as_json)
        for item in destruction.backups():
            left = pending.get(item.backup_id, {})
            form = {"backup_id": item.backup_id, "path": item.path, "at": item.made_at, "pending": left}
            said = f"; MAY STILL HOLD destroyed keys of {', '.join(sorted(left))}" if left else ""
            show(form, [f"backup {item.backup_id} of {item.made_at} at {item.path}{said}"], as_json=as_json)


@keys_group.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@place_options
def keys_backup_command(file: Path, **where: Any) -> None:
    """Write all keys into a new file and print its recovery code, which is kept nowhere else.

    Only with that code can the keys be restored: keep it apart from the file. The backup is registered, so that keys that are
    destroyed later are taken out of it. A copy made by hand is not.
    """
    from eraser.privacy.key_backup import recovery_code

    with destroying(where) as (destruction, operator):
        registered, key = destruction.back_up(file, operator)
    click.echo(f"backup {registered.backup_id}: {registered.path}", err=True)
    click.echo(recovery_code(key))


@keys_group.command("restore")
@click.argument("file", type=click.Path(path_type=Path))
@reason_option
@place_options
def keys_restore_command(file: Path, reason: str, **where: Any) -> None:
    """Put keys back from a backup; the recovery code is asked for, or read from stdin. What was destroyed stays destroyed."""
    from eraser.privacy.key_backup import read_backup, recovery_key

    code = _asked("Recovery code") if sys.stdin.isatty() else sys.stdin.readline()
    with destroying(where, read_backup(file).store_id) as (destruction, operator):
        click.echo(f"{destruction.restore(file, recovery_key(code), operator, reason)} keys were put back.")


@keys_group.command("rotate")
@reason_option
@place_options
def keys_rotate_command(reason: str, **where: Any) -> None:
    """Wrap the keys of all lots by a new master key and destroy the old one. Backups of the keys stay good. The station may go
    on; after a crash give the order again.
    """
    with destroying(where) as (destruction, operator):
        click.echo(f"The keys of {destruction.change_master(operator, reason)} lots are wrapped by a new master key.")


@keys_group.command("forget")
@click.argument("backup_id", metavar="BACKUP")
@reason_option
@place_options
def keys_forget_command(backup_id: str, reason: str, **where: Any) -> None:
    """Put on record that a backup of keys was destroyed by hand, with everything in it."""
    with destroying(where) as (destruction, operator):
        destruction.forget(backup_id, operator, reason)
    click.echo(f"Backup {backup_id} is on record as destroyed.")


# ---- what the commands share


@contextmanager
def opened(where: dict[str, Any], store_id: str = "") -> "Iterator[tuple[Vault, str]]":
    """The vault, and who asks."""
    from eraser.cli.station import new_id, now_utc
    from eraser.privacy.opening import open_vault

    data, url = _station(where["data"], where["database"])
    with open_vault(data, url, now_utc=now_utc, new_id=new_id, store_id=store_id) as vault:
        yield vault, _caller(where["operator"])


@contextmanager
def destroying(where: dict[str, Any], store_id: str = "") -> "Iterator[tuple[Destruction, str]]":
    """The same, to destroy and to back up keys."""
    from eraser.privacy.destruction import Destruction

    with opened(where, store_id) as (vault, operator):
        yield Destruction(vault), operator


def _station(data: Path | None, database: str | None) -> tuple[Path, str]:
    """The data folder and the ledger's URL: as given, else as the configuration file says, else the user's own."""
    from eraser import settings
    from eraser.ledger.engine import sqlite_url

    file = settings.config_file(os.environ)
    if data is None and (file.exists() or os.environ.get("ERASER_CONFIG")):
        from eraser.configuration.reading import load

        configuration = load(file, os.environ)
        return configuration.data, database or configuration.ledger_url
    folder = data if data is not None else settings.data_dir(os.environ)
    return folder, database or sqlite_url(folder / "ledger.db")


def _caller(operator: str) -> str:
    """By whom it goes on record: an account's name, and nobody else's but where root says so."""
    uid = os.geteuid()
    try:
        own = pwd.getpwuid(uid).pw_name
    except KeyError:
        own = f"uid {uid}"
    if uid != 0 and operator not in ("", own):
        raise UsageError("only root does something for somebody else", subject="--operator")
    return operator_or_caller(operator) or own


def _given(details: Path | None) -> CustomerDetails:
    from eraser.certificates.receipt import details_in, details_of, read_file

    if details is not None:
        return details_in(read_file(details))
    if not sys.stdin.isatty():
        raise UsageError("nobody is here to ask", remedy="Give the details with --details FILE, or - for stdin.")
    return details_of({item.name: _asked(item.name.replace("_", " ")) for item in fields(CustomerDetails)})


def _asked(what: str) -> str:
    found: str = click.prompt(what, default="", show_default=False)
    return found


def _line(item: "Stored") -> str:
    scope = item.scope
    drive = f"drive {scope.serial}" if scope.serial else f"tag {scope.asset_tag}" if scope.asset_tag else "all drives"
    return f"{item.record_id}  lot {scope.lot_id}, {drive}, version {item.version} of {item.at} by {item.operator}"


def _tell(done: "list[Destroyed]", destruction: "Destruction", *, as_json: bool) -> None:
    for item in done:
        backups = {name: how.value for name, how in item.backups.items()}
        what = f"record {item.record_id} of lot {item.lot_id}" if item.record_id else f"lot {item.lot_id}"
        line = (
            f"{what}, kept until {item.kept_until}: destroyed, with the keys of {item.records} records and "
            f"{item.commitment_keys} commitments"
        )
        show({**asdict(item), "backups": backups}, [line], as_json=as_json)
    pending = destruction.pending()
    paths = {item.backup_id: item.path for item in destruction.backups()}
    for backup_id in sorted(pending):
        click.echo(
            f"eraser: backup {backup_id} could not be reached at {paths[backup_id]} and may still hold destroyed keys. "
            "Put it back there and do this again, or destroy it and say so: `eraser vault keys forget`.",
            err=True,
        )
    if pending:
        sys.exit(ExitStatus.FAILED)
