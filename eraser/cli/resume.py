"""`eraser resume`: goes on with interrupted jobs whose drives are here again."""

import sys
from contextlib import suppress
from pathlib import Path

import click

from eraser.cli.asking import client_at, socket_option
from eraser.cli.orders import resume_bays
from eraser.cli.running import Work, refusal, run_all
from eraser.cli.station import open_journal, open_station
from eraser.console.client import NoStation
from eraser.domain.drive import Drive, is_recognisable
from eraser.domain.job import JobState
from eraser.errors import ExitStatus, Refused, UsageError
from eraser.rack.erasing import Erasing, Result, Station, resumable


@click.command("resume", short_help="Go on with interrupted jobs.")
@click.argument("devices", nargs=-1, metavar="[DEVICE|BAY]...")
@click.option("--certificates", type=click.Path(path_type=Path, file_okay=False), help="Folder for the certificates.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line; one a device at the end.")
@socket_option
def resume_command(
    devices: tuple[str, ...], certificates: Path | None, as_json: bool, socket_path: Path | None
) -> None:
    """Go on with interrupted jobs: of the drives named, or of all that are here again.

    Names of bays are for the running station: its jobs in them go on after a pause or an interruption.

    A drive is known by its own serial number or world-wide name. What was written before it left our sight counts only once
    it has been read back in full.
    """
    if devices and not any(_is_path(device) for device in devices):
        with suppress(NoStation):  # without a station they are devices, and told as such
            sys.exit(resume_bays(client_at(socket_path), devices))
    station = open_station(certificates)
    pairs = resumable(open_journal().open_states(), devices)
    if len(pairs) < len(devices):
        found = {drive.path for _, drive in pairs}
        missing = next(device for device in devices if _real(device) not in {_real(path) for path in found})
        raise UsageError(
            "there is no interrupted job for this drive", subject=missing, remedy="`eraser erase` begins one."
        )
    if not pairs:
        click.echo("Nothing to resume: no interrupted job's drive is here.", err=True)
        sys.exit(ExitStatus.PASSED)
    # Where only the certificate is missing, nothing is written, and nobody need know the drive again.
    known = [(state, drive) for state, drive in pairs if state.outcome is not None or is_recognisable(drive)]
    refused = [_unrecognisable(drive) for state, drive in pairs if (state, drive) not in known]
    work = [_work(station, state, drive) for state, drive in known]
    sys.exit(run_all(work, refused=refused, as_json=as_json))


def _is_path(text: str) -> bool:
    return "/" in text or Path(text).exists()


def _real(path: str) -> str:
    return str(Path(path).resolve())


def _work(station: Station, state: JobState, drive: Drive) -> Work:
    erasing = Erasing(station, drive.path)
    return erasing, lambda: erasing.take_up(state, drive)


def _unrecognisable(drive: Drive) -> Result:
    what = "it has no serial number or world-wide name of its own, so nobody knows whether it is the same drive"
    remedy = f"Begin anew: eraser erase {drive.path} --restart"
    return refusal(drive.path, Refused("unrecognisable", what, subject=drive.path, remedy=remedy))
