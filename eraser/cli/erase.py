"""`eraser erase`: plans, asks, erases, proves."""

import asyncio
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from eraser.cli.running import Work, refusal, run_all
from eraser.cli.station import open_journal, open_station
from eraser.domain.drive import Drive
from eraser.domain.plan import Level, Plan
from eraser.domain.program import Program, Verification
from eraser.errors import DriveError, ExitStatus, JournalError, Refused, UsageError
from eraser.rack.blocking import in_own_thread
from eraser.rack.erasing import Erasing, Prepared, Request, Result, Station, open_job, prepare, refuse_if_interrupted

PREPARE_SECONDS = 30.0
"""How long a drive may take to be identified and looked at, before it is taken for one that does not answer."""


@click.command("erase", short_help="Erase drives and issue their certificates.")
@click.argument("devices", nargs=-1, required=True, metavar="DEVICE...")
@click.option("--standard", metavar="NAME", help="A standard or a program: `eraser programs` lists them.")
@click.option("--program-file", type=click.Path(path_type=Path, dir_okay=False), help="A program of your own, in TOML.")
@click.option("--level", type=click.Choice([level.value for level in Level]), help="The standard's own if not given.")
@click.option(
    "--verify", type=click.Choice([kind.value for kind in Verification]), help="How to read back; full if not given."
)
@click.option(
    "--hash",
    "hashing",
    type=click.Choice(["blake3", "off"]),
    default="blake3",
    show_default=True,
    help="Of what is read back.",
)
@click.option("--certificates", type=click.Path(path_type=Path, file_okay=False), help="Folder for the certificates.")
@click.option("--operator", default="", help="Pseudonymous role of who does it, for the certificate.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line; one a device at the end.")
@click.option("--yes", is_flag=True, help="Do not ask for each drive's serial number first.")
@click.option("--plan", "only_plan", is_flag=True, help="Say what would be done, or why not, and write nothing.")
@click.option("--restart", is_flag=True, help="Give up an interrupted job of the drive and begin anew.")
def erase_command(
    devices: tuple[str, ...],
    standard: str | None,
    program_file: Path | None,
    level: str | None,
    verify: str | None,
    hashing: str,
    certificates: Path | None,
    operator: str,
    as_json: bool,
    yes: bool,
    only_plan: bool,
    restart: bool,
) -> None:
    """Erase whole drives, or disk images, and issue a signed certificate for each.

    Nothing is ever written to a drive that is in use. Ctrl-C stops at a checkpoint; `eraser resume` goes on from there.
    """
    custom = _custom_program(program_file)
    if (standard is None) == (custom is None):
        raise UsageError("give either --standard or --program-file", remedy="`eraser programs` lists the standards.")
    request = Request(
        standard=custom.name if custom is not None else standard or "",
        level=Level(level) if level else None,
        verification=Verification(verify) if verify else None,
        hashing=hashing == "blake3",
        operator=operator,
        custom=custom,
    )
    _refuse_repeated(devices)
    station = open_station(certificates)
    prepared, refused = _prepare_all(devices, request, station, restart)
    if only_plan:
        _show_plans(prepared, refused, as_json)
        sys.exit(ExitStatus.REFUSED if refused else ExitStatus.PASSED)
    if not yes:
        _ask(prepared)
    work = [_work(path, item, station, restart) for path, item in prepared]
    sys.exit(run_all(work, refused=refused, as_json=as_json))


def _custom_program(path: Path | None) -> Program | None:
    if path is None:
        return None
    from eraser.domain.custom_program import parse_custom_program

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the program file can't be read ({error})", subject=str(path)) from error
    return parse_custom_program(text, subject=str(path))


def _refuse_repeated(devices: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for device in devices:
        real = os.path.realpath(device)
        if real in seen:
            raise UsageError("it is named twice", subject=device)
        seen[real] = device


def _refuse_one_drive_twice(prepared: Sequence[tuple[str, Prepared]]) -> None:
    """Two names may lead to one drive in ways that paths do not show: another node of its number, another path to it."""
    seen: dict[object, str] = {}
    for device, item in prepared:
        for path in (item.drive.path, *item.drive.other_paths):
            status = Path(path).stat()
            key = (status.st_rdev,) if stat.S_ISBLK(status.st_mode) else (status.st_dev, status.st_ino)
            if seen.setdefault(key, device) != device:
                raise UsageError(f"it is the same drive as {seen[key]}", subject=device)


def _prepare_all(
    devices: Sequence[str], request: Request, station: Station, restart: bool
) -> tuple[list[tuple[str, Prepared]], list[Result]]:
    """Every drive at once, since a sick one answers late. A wrong name or option ends it all; a refused drive only itself."""

    async def prepare_one(device: str) -> Prepared | Result:
        try:
            async with asyncio.timeout(PREPARE_SECONDS):
                return await in_own_thread(_prepare, device, request, station, restart)
        except TimeoutError:
            what = f"it does not answer within {PREPARE_SECONDS:.0f} s"
            return refusal(device, DriveError(what, subject=device, remedy="Power-cycle it, or plug it in elsewhere."))
        except (Refused, DriveError, JournalError) as error:
            return refusal(device, error)

    async def prepare_each() -> list[Prepared | Result]:
        return await asyncio.gather(*(prepare_one(device) for device in devices))

    answers = list(zip(devices, asyncio.run(prepare_each()), strict=True))
    prepared = [(device, answer) for device, answer in answers if isinstance(answer, Prepared)]
    _refuse_one_drive_twice(prepared)
    return prepared, [answer for _, answer in answers if isinstance(answer, Result)]


def _prepare(device: str, request: Request, station: Station, restart: bool) -> Prepared:
    prepared = prepare(device, request, station.random_bytes)
    states = list(open_journal().open_states(prepared.drive))
    if not restart:
        refuse_if_interrupted(prepared.drive, states)
    return prepared


def _work(path: str, prepared: Prepared, station: Station, restart: bool) -> Work:
    erasing = Erasing(station, path)
    abandon = open_job(prepared.drive, open_journal().open_states(prepared.drive)) if restart else None
    return erasing, lambda: erasing.begin(prepared, abandon)


def _show_plans(prepared: Sequence[tuple[str, Prepared]], refused: Sequence[Result], as_json: bool) -> None:
    import json

    from eraser.domain.json_form import to_json

    for path, item in prepared:
        if as_json:
            click.echo(json.dumps({"device": path, "drive": to_json(item.drive), "plan": _plan_form(item.plan)}))
        else:
            click.echo("\n".join(_plan_lines(path, item.drive, item.plan)))
    for result in refused:
        click.echo(
            json.dumps({"device": result.device, "refused": result.reason}) if as_json else f"REFUSED  {result.reason}"
        )


def _plan_form(plan: Plan) -> dict[str, object]:
    """Without the patterns: seeds are drawn again when it is done, and published only in a certificate."""
    return {
        "standard": plan.standard,
        "program": plan.program,
        "claim": plan.claim,
        "level_asked": plan.level_asked.value,
        "level_reached": plan.level_reached.value,
        "passes": len(plan.passes),
        "verification": plan.verification.value,
        "hashing": plan.hash_extent_bytes > 0,
        "markers": plan.needs_markers,
        "notes": list(plan.notes),
    }


def _plan_lines(path: str, drive: Drive, plan: Plan) -> list[str]:
    passes = len(plan.passes)
    reading = {
        Verification.FULL: "then reads all of it back",
        Verification.SAMPLED: "then reads a drawn sample of it back",
    }
    steps = f"writes all {drive.geometry.capacity_bytes:,} bytes {'once' if passes == 1 else f'{passes} times'}"
    lines = [
        f"{path}: {drive.label} ({drive.transport.value}, {drive.media.value})",
        f"  {plan.title} ({plan.source})",
        f"  {steps}, {reading.get(plan.verification, 'reads nothing back')}; level: {plan.level_reached.value}",
    ]
    if plan.needs_markers:
        lines.append("  first writes and reads back markers, since what it reads back later can't tell addresses apart")
    return [*lines, f"  {plan.claim}", *(f"  note: {note}" for note in plan.notes)]


def _ask(prepared: Sequence[tuple[str, Prepared]]) -> None:
    """The serial number, typed: the last moment to notice that it is the wrong drive. Raises UsageError when it differs."""
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to confirm", remedy="Run it in a terminal, or add --yes.")
    for path, item in prepared:
        click.echo("\n".join(_plan_lines(path, item.drive, item.plan)))
        expected = item.drive.identity.serial or path
        what = "serial number" if item.drive.identity.serial else "path, since it has no serial number"
        if (
            click.prompt(f"  To erase it, type its {what} ({expected})", default="", show_default=False).strip()
            != expected
        ):
            raise UsageError("that is not it; nothing was written", subject=path)
