"""`eraser ledger`: whether the station's ledger agrees with itself, its backups, and what is kept how long."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from eraser.errors import EraserError, ExitStatus, Refused, UsageError

if TYPE_CHECKING:
    from eraser.certificates.lacking import Lacking
    from eraser.ledger.backup import Manifest
    from eraser.ledger.check import Report
    from eraser.ledger.retention import Expired, Periods

Command = TypeVar("Command", bound=Callable[..., None])

database_option = click.option(
    "--database", metavar="URL", help="sqlite:///FILE or postgresql://…; if not given, the one of the configuration."
)
data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The station's data folder; if not given, the one of the configuration.",
)


@dataclass(frozen=True, slots=True)
class OwnStation:
    """This host's station: where its ledger and its other data are, and what it is called."""

    ledger_url: str
    data: Path
    station_id: str
    log_origin: str
    retention: "Periods"


@click.group("ledger", short_help="Check, back up, restore the station's ledger; remove what has expired.")
def ledger_group() -> None:
    """Look after the station's ledger: jobs, certificates, lots and the chain of custody."""


@ledger_group.command("check")
@click.argument("backup", type=click.Path(path_type=Path), metavar="[BACKUP]", required=False)
@database_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def check_command(backup: Path | None, database: str | None, as_json: bool) -> None:
    """Replay every job and every drive's chain of custody, and name whatever contradicts itself; of a BACKUP also whether it
    holds what it was made of.

    Nothing is changed; a running station may go on. Exit status: 0 everything agrees; 4 something does not, or the
    database can't be read.
    """
    from eraser.ledger.check import check

    if backup is not None:
        if database is not None:
            raise UsageError("there is one thing to check at a time", remedy="Leave --database away.")
        from eraser.ledger.backup import check_backup

        report = check_backup(backup)
    else:
        report = check(database or own_station().ledger_url)
    if as_json:
        click.echo(json.dumps({"is_clean": report.is_clean, **asdict(report)}))
    else:
        click.echo(_described(report))
    sys.exit(ExitStatus.PASSED if report.is_clean else ExitStatus.FAILED)


@ledger_group.command("backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE")
@database_option
@data_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def backup_command(file: Path, database: str | None, data: Path | None, as_json: bool) -> None:
    """Write the ledger into one new FILE, and verify it there. The station may go on meanwhile.

    It holds serial numbers and seeds: keep it as you keep the ledger. Keys, certificates and the newest checkpoint are no part
    of the ledger: back up the data folder as well. Exit status: 0 written and verified; 2 there is such a file; 4 not written.
    """
    from eraser.cli.station import now_utc
    from eraser.ledger.backup import back_up

    manifest, report = back_up(database or own_station(data).ledger_url, file.absolute(), now_utc())
    if as_json:
        click.echo(json.dumps({"file": str(file), **_form(manifest), "seconds": report.seconds}))
        return
    click.echo(f"{file}: {_summary(manifest)}. Verified: everything agrees.")


@ledger_group.command("restore")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE")
@database_option
@data_option
@click.option("--station", "station_id", metavar="ID", help="Whose ledger; if not given, the one of the configuration.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def restore_command(file: Path, database: str | None, data: Path | None, station_id: str | None, as_json: bool) -> None:
    """Make the station's ledger from a backup, where there is none or an empty one. The station must not run.

    Exit status: 0 restored; 3 there is a ledger that holds something, or it is another station's backup; 4 the backup is
    damaged or newer than this program.
    """
    from eraser.ledger.backup import read_manifest
    from eraser.ledger.restore import restore

    own = own_station(data)
    url = database or own.ledger_url
    _expect_own_log(read_manifest(file), own)
    manifest = restore(file, url, station_id or own.station_id)
    problem, found = _after_restore(url, own)
    if as_json:
        lacking = [{"certificate_id": item.certificate_id, "file": str(item.path)} for item in found]
        click.echo(json.dumps({"file": str(file), **_form(manifest), "log_problem": problem, "lacking": lacking}))
        return
    click.echo(f"Restored from {file}: {_summary(manifest)}.")
    for item in found:
        click.echo(f"The ledger lacks certificate {item.certificate_id} of {item.serial}: {item.path}")
    if problem:
        click.echo(f"NOTHING WILL BE SIGNED: {problem}")


@ledger_group.command("expire")
@click.option("--plan", "is_plan", is_flag=True, help="Say what would go; nothing is changed.")
@click.option("--operator", default="", metavar="NAME", help="Who says so; if not given, the user.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@database_option
@data_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each removal.")
def expire_command(
    is_plan: bool, operator: str, yes: bool, database: str | None, data: Path | None, as_json: bool
) -> None:
    """Remove what is older than the retention (`[retention]`, at least 3 years): drives that have left, with all their records
    and jobs; lots of which nothing is left; what remained of customers whose keys were destroyed; specifications, customers'
    visits and the trail of people's deeds. What is open, here, or held stays, and the log keeps its entries.

    Each removal is signed and entered into the log: how many rows of which time, and a hash over their ids. The station may go
    on. Exit status: 0 done, or nothing has expired; 3 the clock can't be believed; 4 the log is not whole, or no room.
    """
    from getpass import getuser

    from eraser.certificates.log_keys import StationLogKeys
    from eraser.cli.station import now_utc
    from eraser.ledger.engine import open_engine
    from eraser.ledger.migrating import require_current
    from eraser.log.removing import Removing
    from eraser.rack.log_keeping import LogFolder

    own = own_station(data)
    engine = open_engine(database or own.ledger_url)
    try:
        require_current(engine)
        keys = StationLogKeys(own.data / "keys" / "log", own.log_origin)
        outside = LogFolder(own.data / "log")
        years = own.retention
        removing = Removing(engine, own.log_origin, keys, outside, now_utc, years, operator or getuser())
        found = removing.plan()
        if is_plan or not found.count:
            click.echo(json.dumps(_expired_form("plan", found)) if as_json else _expired_sentence(found))
            return
        if not yes:
            click.echo(_expired_sentence(found), err=True)
            click.confirm("Remove this for good?", abort=True, err=True)
        for done in removing():
            form = _expired_form(done.name, done.expired)
            click.echo(json.dumps(form) if as_json else f"{done.name}: {_expired_sentence(done.expired)}")
    finally:
        engine.dispose()


def _expired_form(name: str, found: "Expired") -> dict[str, object]:
    rows = {kind: len(keys) for kind, keys in found.rows.items()}
    return {"removal": name, "from": found.first_at, "to": found.last_at, "rows": rows, "sha256": found.digest.hex()}


def _expired_sentence(found: "Expired") -> str:
    if not found.count:
        return "Nothing has expired."
    rows = ", ".join(f"{len(keys):,} {kind}" for kind, keys in found.rows.items() if keys)
    return f"{rows}; from {found.first_at} to {found.last_at}, SHA-256 over their ids {found.digest.hex()}"


def _expect_own_log(manifest: "Manifest", own: OwnStation) -> None:
    """Raises Refused for a backup whose log bears this station's name and was signed by none of its keys."""
    from eraser.certificates.log_keys import StationLogKeys
    from eraser.log import note
    from eraser.log.errors import UnknownLogError

    keys = own.data / "keys" / "log"
    if not keys.is_dir() or not manifest.checkpoint.startswith(f"{own.log_origin}\n"):
        return
    try:
        note.confirm(note.parse(manifest.checkpoint.encode()), StationLogKeys(keys, own.log_origin).known())
    except UnknownLogError as error:
        raise Refused(
            "another-station",
            "its log was signed with a key that this station never had",
            remedy="It is another station's backup, whatever its name.",
        ) from error


def _after_restore(url: str, own: OwnStation) -> "tuple[str, list[Lacking]]":
    """Why nothing will be signed, empty if it will; and the certificates on disk that the ledger lacks."""
    from eraser.certificates.lacking import lacking
    from eraser.certificates.log_keys import StationLogKeys
    from eraser.ledger.engine import open_engine
    from eraser.log.publishing import expect_continued
    from eraser.rack.log_keeping import LogFolder

    folder = LogFolder(own.data / "log")
    engine = open_engine(url)
    try:
        with engine.connect() as connection, connection.begin():
            found = lacking(own.data / "certificates", connection)
            try:
                keys = StationLogKeys(own.data / "keys" / "log", own.log_origin)
                expect_continued(own.log_origin, keys, folder, connection)
            except EraserError as error:
                return str(error), found
    finally:
        engine.dispose()
    return "", found


def own_station(data: Path | None = None) -> OwnStation:
    """This host's: as its configuration file says; without one, in the user's own data folder."""
    from eraser import settings

    file = settings.config_file(os.environ)
    overrides: dict[str, object] = {} if data is None else {"data": str(data.absolute())}
    is_configured = file.exists() or bool(os.environ.get("ERASER_CONFIG"))
    if not is_configured and data is None:
        overrides = {"data": str(settings.data_dir(os.environ))}
    from eraser.configuration.reading import load
    from eraser.ledger.retention import Periods

    found = load(file if is_configured else None, os.environ, overrides)
    kept = found.retention
    periods = Periods(
        kept.ledger_years, kept.trail_years, kept.attendance_years, kept.specification_years, kept.vault_years
    )
    return OwnStation(found.ledger_url, found.data, found.station.id, found.log_origin, periods)


def _form(manifest: "Manifest") -> dict[str, object]:
    rows = {name: table.rows for name, table in manifest.tables.items()}
    return {
        "made_at": manifest.made_at,
        "stations": manifest.stations,
        "revision": manifest.revision,
        "log_size": manifest.log_size,
        "log_root": manifest.log_root,
        "rows": rows,
    }


def _summary(manifest: "Manifest") -> str:
    rows = {name: table.rows for name, table in manifest.tables.items()}
    return (
        f"the ledger of {', '.join(manifest.stations) or 'no station yet'} as of {manifest.made_at}, "
        f"{rows['jobs']:,} jobs with {rows['job_events']:,} events, {rows['custody']:,} custody records, "
        f"{manifest.log_size:,} log entries with root {manifest.log_root[:16]}…"
    )


def _described(report: "Report") -> str:
    lines = [f"{finding.subject}: {finding.what}" for finding in report.findings]
    if (more := report.findings_total - len(report.findings)) > 0:
        lines.append(f"… and {more:,} more")
    seen = (
        f"{report.jobs:,} jobs ({report.open_jobs:,} open) with {report.events:,} events, "
        f"{report.certificates:,} certificates, {report.custody_records:,} custody records, {report.lots:,} lots "
        f"in {report.seconds:.1f} s"
    )
    verdict = "everything agrees" if report.is_clean else f"{report.findings_total:,} contradictions"
    return "\n".join([*lines, f"{seen}: {verdict}."])
