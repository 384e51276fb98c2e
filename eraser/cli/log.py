"""`eraser log`: the transparency log for those who check it, and for witnesses, who need no station."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from eraser.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from eraser.certificates.log_keys import StationLogKeys
    from eraser.log.checkpoint import Checkpoint
    from eraser.log.note import Note, NoteKey
    from eraser.log.restart import Restart

T = TypeVar("T")

CHECKPOINT_NAME = "checkpoint"
KEY_NAME = "key"

_data = click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="The station's data folder."
)
_database = click.option("--database", metavar="URL", help="Its ledger, where that is not in the data folder.")


@click.group("log", short_help="Bundles, checkpoints and witnesses of the transparency log.")
def log_group() -> None:
    """Show the station's transparency log to others, and witness a log as one of them.

    Exit status: 0 done; 4 a log was rewritten, or a checkpoint is not its own; 5 signed by a key that is not given; 2 usage.
    """


@log_group.group("key", invoke_without_command=True)
@_data
@click.pass_context
def key_group(context: click.Context, data: Path | None) -> None:
    """Print the log's public keys for those who verify: name, id and key in one line each (C2SP signed-note).

    Where the key was changed, the lines above each say at which lengths of the log it signs.
    """
    if context.invoked_subcommand is None:
        click.echo(_kept(data, KEY_NAME), nl=False)


@key_group.command("rotate")
@_data
def rotate_command(data: Path | None) -> None:
    """Begin to change the log's key: from now on a new one signs each checkpoint beside the old one.

    A running station takes it up with its next checkpoint. Give `eraser log key` to auditors and witnesses; when the
    witnesses have signed a checkpoint that bears both, `eraser log key retire` ends it.
    """
    size = _checkpoint(_note(_kept(data, CHECKPOINT_NAME).encode())).size
    old, new = _log_keys(data).begin_change(size)
    click.echo(f"{old}\nsigns on until `eraser log key retire`; from {new.since} entries on so does\n{new}")


@key_group.command("retire")
@_data
def retire_command(data: Path | None) -> None:
    """End the change of the log's key: the old one signs no more. What it signed stays valid."""
    old, new = _log_keys(data).end_change(_note(_kept(data, CHECKPOINT_NAME).encode()))
    click.echo(f"{old}\nsigned until {old.until} entries; from {new.since} on signs\n{new}")


@log_group.command("checkpoint")
@_data
def checkpoint_command(data: Path | None) -> None:
    """Print the newest signed checkpoint."""
    click.echo(_kept(data, CHECKPOINT_NAME), nl=False)


@log_group.command("bundle")
@click.argument("documents", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DOCUMENT...")
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), default=".", help="Folder for the bundles.")
@click.option("--as-of", type=click.Path(path_type=Path), metavar="FILE", help="Checkpoint to prove it against.")
@_data
@_database
def bundle_command(
    documents: tuple[Path, ...], to: Path, as_of: Path | None, data: Path | None, database: str | None
) -> None:
    """Put documents together with the proof that the log has them: `<name>.bundle`, for a verifier without network.

    A document is whatever the log has an entry of: a certificate, a withdrawal, the record of a destruction, a control, an
    audit, a restart or a removal; its file, or the name of a record that the station keeps (`eraser log entries`).
    """
    from eraser.durable import write_over

    note = _note(as_of.read_bytes() if as_of is not None else _kept(data, CHECKPOINT_NAME).encode())
    to.mkdir(parents=True, exist_ok=True)
    for path in documents:
        bundle = _read(data, database, _bundling(path, _folder(data), note))
        target = to / f"{path.stem}.bundle"
        write_over(target, bundle, 0o644)
        click.echo(str(target))


@log_group.command("entries")
@_data
@_database
def entries_command(data: Path | None, database: str | None) -> None:
    """Print all entries up to the newest checkpoint, each in a line: kind, id and hash, nothing of a drive or its owner.

    Whoever has them and the checkpoint knows the whole log (`eraser audit --entries`).
    """
    from eraser.ledger import log

    size = _checkpoint(_note(_kept(data, CHECKPOINT_NAME).encode())).size
    for entry in _read(data, database, lambda connection: log.first_entries(connection, size)):
        click.echo(entry.leaf().decode())


@log_group.command("update")
@click.option("--from", "earlier", type=click.IntRange(min=0), required=True, help="Entries that the witness knows.")
@_data
@_database
def update_command(earlier: int, data: Path | None, database: str | None) -> None:
    """Print what a witness needs to see that the log has only grown since it had so many entries."""
    from eraser.ledger import log
    from eraser.log.witnessing import shown

    text = _kept(data, CHECKPOINT_NAME)
    size = _checkpoint(_note(text.encode())).size

    def work(connection: "Connection") -> tuple[bytes, ...]:
        return log.tree(connection, size).consistency_proof(earlier) if 0 < earlier < size else ()

    if earlier > size:
        raise UsageError(f"the log has {size} entries, {earlier} were never there", remedy="Is it this log's witness?")
    click.echo(str(shown(earlier, _read(data, database, work), text)), nl=False)


@log_group.command("witness")
@click.argument("update", type=click.Path(path_type=Path))
@click.option("--log-key", required=True, multiple=True, metavar="KEY", help="The log's public key, or a file with it.")
@click.option("--name", required=True, metavar="NAME", help="Who witnesses: a name without spaces.")
@click.option("--state", required=True, type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Kept.")
@click.option(
    "--restart",
    "record",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The bundle of its record of a restart.",
)
def witness_command(update: Path, log_key: tuple[str, ...], name: str, state: Path, record: Path | None) -> None:
    """Sign a log's checkpoint, if it continues everything that was signed here before.

    A log whose key was changed needs all its keys (`eraser log key` at the plant), and first a checkpoint that both
    have signed. With --restart (the record's bundle, as of the same checkpoint) also one that goes on from where the log says
    that it was restarted; what is lost is told.

    The folder holds the witness's own key, made on first use, and what it knows of each log. The signed checkpoint is printed.
    """
    from eraser.certificates.keys import open_signer
    from eraser.durable import write_over
    from eraser.log.note import NoteKey, SignatureType, given_keys
    from eraser.log.witnessing import parse_update, witness

    signer = open_signer(state)
    keys = [key for item in log_key for key in given_keys(item)]
    seen = _remembered(state, {key.name for key in keys})
    grown = parse_update(_content(update))
    restart = _logged_restart(_content(record), keys, _checkpoint(grown.note)) if record is not None else None
    signed, new = witness(grown, seen, keys, name, signer, int(time.time()), restart)
    if restart is not None:
        click.echo(f"log-restarted: {restart.sentence()}", err=True)
        _forget_lost(state, restart)
    first = next(key for key in keys if key.name == new.origin)
    write_over(state / f"{first.key_id.hex()}.checkpoint", str(signed).encode(), 0o644)
    own = NoteKey(name, SignatureType.COSIGNATURE_V1, signer.raw_public_key)
    click.echo(f"witness key {own}", err=True)
    click.echo(str(signed), nl=False)


def _logged_restart(bundle: bytes, keys: "list[NoteKey]", new: "Checkpoint") -> "Restart":
    """The record of a restart that the log has as of this very checkpoint. Raises CertificateError, UsageError."""
    from eraser.certificates.bundle import logged_restart

    restart, seen = logged_restart(bundle, keys)
    if seen != new:
        raise UsageError(
            f"the record is shown to be in the log of {seen.size} entries, the update is of {new.size}",
            remedy="Ask for both as of one checkpoint: `eraser log bundle`, `eraser log update`.",
        )
    return restart


def _remembered(state: Path, origins: set[str]) -> "Note | None":
    """The longest checkpoint of these logs that was signed here, under whichever key of theirs."""
    notes = [_note(path.read_bytes()) for path in state.glob("*.checkpoint")]
    known = [(found.size, place) for place, note in enumerate(notes) if (found := _checkpoint(note)).origin in origins]
    return notes[max(known)[1]] if known else None


def _log_keys(data: Path | None) -> "StationLogKeys":
    from eraser.certificates.log_keys import StationLogKeys
    from eraser.log.note import keys_of

    return StationLogKeys(_folder(data) / "keys" / "log", keys_of(_kept(data, KEY_NAME))[0].name)


def _forget_lost(state: Path, restart: "Restart") -> None:
    """What was signed here of the part that is lost is laid aside: the longest checkpoint is no longer the newest."""
    for path in state.glob("*.checkpoint"):
        if restart.has_lost(_checkpoint(_note(path.read_bytes()))):
            path.replace(path.with_suffix(".lost"))


@log_group.command("restart")
@click.option("--reason", required=True, help="Why the log lost entries; it stands in the record, which others see.")
@click.option("--operator", required=True, metavar="NAME", help="Who says so.")
@_data
@_database
def restart_command(reason: str, operator: str, data: Path | None, database: str | None) -> None:
    """Let a log that lost entries, as in a ledger from an older backup, go on from where it is, and say so for ever.

    A signed record names the checkpoint that is lost and where the log goes on; it is the log's next entry, and lies in the
    data folder for auditors and witnesses. Certificates on disk that the ledger lacks are named. The station must not run.

    Exit status: 0 restarted; 3 nothing is lost; 4 the station runs, or it could not be written: give the order again.
    """
    from eraser.certificates.lacking import lacking
    from eraser.certificates.log_keys import StationLogKeys
    from eraser.cli.ledger import own_station
    from eraser.cli.station import now_utc
    from eraser.ledger.engine import open_engine
    from eraser.ledger.migrating import require_current
    from eraser.ledger.presence import announce
    from eraser.log.restarting import Restarting
    from eraser.rack.log_keeping import LogFolder

    own = own_station(data)
    engine = open_engine(database or own.ledger_url)
    require_current(engine)
    leave = announce(engine, own.station_id)
    try:
        folder = LogFolder(own.data / "log")
        keys = StationLogKeys(own.data / "keys" / "log", own.log_origin)
        before = "".join(key.lines() for key in keys.known())
        record = Restarting(engine, own.log_origin, keys, folder, folder, now_utc)(reason, operator)
        with engine.connect() as connection, connection.begin():
            found = lacking(own.data / "certificates", connection)
    finally:
        leave()
        engine.dispose()
    click.echo(f"{record.sentence()[0].upper()}{record.sentence()[1:]}.")
    click.echo(f"Its record, for auditors and witnesses: {own.data / 'log' / 'restarts' / record.name}")
    if (shown := "".join(key.lines() for key in keys.known())) != before:
        folder.show_keys(shown)
        click.echo("The log's key signs earlier than before: give auditors and witnesses `eraser log key` anew.")
    for item in found:
        click.echo(f"The ledger lacks certificate {item.certificate_id} of {item.serial}: {item.path}")
    if found:
        click.echo("`eraser log readmit FILE…` takes them in again.")


@log_group.command("readmit")
@click.argument("certificates", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="CERTIFICATE...")
@_data
@_database
def readmit_command(certificates: tuple[Path, ...], data: Path | None, database: str | None) -> None:
    """Enter certificates into the log again that a restored ledger lacks, and whose signed files lie on disk.

    Only what this station signed, once each, and nothing of a job that the ledger knows. One whose withdrawal lies among the
    certificates is withdrawn again in the same moment. The station may go on, and signs the next checkpoint.

    Exit status: 0 all are in the log; of several refusals the gravest: 2 it is no file; 3 the log has it, or its job is known;
    4 it must not be believed, or the log is not whole.
    """
    from eraser.certificates.log_keys import StationLogKeys
    from eraser.certificates.readmitting import Readmitting
    from eraser.cli.desk import for_each
    from eraser.cli.ledger import own_station
    from eraser.ledger.engine import open_engine
    from eraser.ledger.migrating import require_current
    from eraser.rack.log_keeping import LogFolder

    own = own_station(data)
    engine = open_engine(database or own.ledger_url)
    try:
        require_current(engine)
        readmit = Readmitting(
            engine,
            own.log_origin,
            StationLogKeys(own.data / "keys" / "log", own.log_origin),
            LogFolder(own.data / "log"),
            own.data / "certificates",
            own.data / "keys",
            own.station_id,
        )

        def one(name: str) -> None:
            certificate, is_withdrawn = readmit(Path(name))
            said = ", which was withdrawn" if is_withdrawn else ""
            click.echo(f"Certificate {certificate.certificate_id} of {certificate.drive.identity.serial}{said}: logged")

        status = for_each([str(path) for path in certificates], one)
    finally:
        engine.dispose()
    sys.exit(status)


def _bundling(path: Path, folder: Path, note: "Note") -> "Callable[[Connection], bytes]":
    from eraser.certificates.filed import bundled
    from eraser.ledger import signed_records

    file = next((item for item in (path, folder / "log" / "restarts" / path.name) if item.exists()), None)
    document = _content(file) if file is not None else None

    def work(connection: "Connection") -> bytes:
        found = document or signed_records.named(str(path), connection)
        if found is None:
            raise UsageError("there is no such file, and the ledger has no record of this name", subject=str(path))
        return bundled(found, note, connection).dump()

    return work


def _read(data: Path | None, database: str | None, work: "Callable[[Connection], T]") -> T:
    from sqlalchemy.exc import SQLAlchemyError

    from eraser.ledger.engine import explained, open_engine, sqlite_url
    from eraser.ledger.migrating import require_current

    engine = open_engine(database or sqlite_url(_folder(data) / "ledger.db"))
    try:
        require_current(engine)
        with engine.connect() as connection, connection.begin():
            return work(connection)
    except SQLAlchemyError as error:
        raise explained(error, engine) from error
    finally:
        engine.dispose()


def _folder(data: Path | None) -> Path:
    from eraser.settings import data_dir

    return data if data is not None else data_dir(os.environ)


def _kept(data: Path | None, name: str) -> str:
    path = _folder(data) / "log" / name
    try:
        return path.read_text()
    except OSError as error:
        raise UsageError(
            f"this station has no log yet ({error.strerror})",
            subject=str(path),
            remedy="`eraser serve` begins it; give its folder with --data.",
        ) from error


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"the file cannot be read: {error.strerror}", subject=str(path)) from error


def _note(content: bytes) -> "Note":
    from eraser.log.note import parse

    return parse(content)


def _checkpoint(note: "Note") -> "Checkpoint":
    from eraser.log.checkpoint import parse_checkpoint

    return parse_checkpoint(note.text)
