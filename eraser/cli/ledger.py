"""`eraser ledger`: whether the station's ledger agrees with itself."""

import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from eraser.errors import ExitStatus

if TYPE_CHECKING:
    from eraser.ledger.check import Report


@click.group("ledger", short_help="Check the station's ledger.")
def ledger_group() -> None:
    """Look after the station's ledger: jobs, certificates, lots and the chain of custody."""


@ledger_group.command("check")
@click.option(
    "--database", metavar="URL", help="sqlite:///FILE or postgresql://…; if not given, the one of the configuration."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def check_command(database: str | None, as_json: bool) -> None:
    """Replay every job and every drive's chain of custody, and name whatever contradicts itself.

    Nothing is changed; a running station may go on. Exit status: 0 everything agrees; 4 something does not, or the
    database can't be read.
    """
    from eraser.ledger.check import check

    report = check(database or _configured())
    if as_json:
        click.echo(json.dumps({"is_clean": report.is_clean, **asdict(report)}))
    else:
        click.echo(_described(report))
    sys.exit(ExitStatus.PASSED if report.is_clean else ExitStatus.FAILED)


def _configured() -> str:
    """The ledger of this host's station: as its configuration file says; without one, in the user's own data folder."""
    from eraser import settings
    from eraser.ledger.engine import sqlite_url

    file = settings.config_file(os.environ)
    if not file.exists() and not os.environ.get("ERASER_CONFIG"):
        return sqlite_url(settings.ledger_path(os.environ))
    from eraser.configuration.reading import load

    return load(file, os.environ).ledger_url


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
