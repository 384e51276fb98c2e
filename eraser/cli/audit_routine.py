"""`eraser audit routine`: one in twenty passed drives, drawn blind, read again by somebody else, in time."""

import json
import os
import sys
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from eraser.cli.audit_sources import Sources, read_option, role_option, station_options
from eraser.cli.desk import json_option
from eraser.errors import ExitStatus, Refused, UsageError

if TYPE_CHECKING:
    from eraser.domain.certificate import Certificate
    from eraser.domain.routine_control import RoutineState


@click.group("routine", invoke_without_command=True, short_help="The routine control of one in twenty passed drives.")
@json_option
@station_options
@click.pass_context
def routine_group(context: click.Context, /, as_json: bool, **where: Any) -> None:
    """Show how the routine control stands: what is drawn and due. Exit status 4 where something is overdue or wrong."""
    from eraser.cli.station import now_utc
    from eraser.ledger import routine

    if context.invoked_subcommand is not None:
        return
    state = Sources(**where).read(partial(routine.state, now_utc()))
    if as_json:
        click.echo(json.dumps({**asdict(state), "overdue": state.overdue}))
    else:
        for line in _lines(state):
            click.echo(line)
    sys.exit(ExitStatus.FAILED if state.overdue or state.wrong else ExitStatus.PASSED)


@routine_group.command("draw")
@json_option
@station_options
def draw_command(as_json: bool, **where: Any) -> None:
    """Draw from the drives that passed since the last draw: one in twenty, by chance, never by who erased them."""
    from eraser.audits.planning import confirmed, head_of
    from eraser.cli.station import new_id, now_utc
    from eraser.domain.json_form import to_json
    from eraser.ledger import routine

    sources = Sources(**where)
    head = head_of(confirmed(sources.signed_checkpoint(None), sources.log_keys()))
    draw = sources.write(partial(routine.draw_next, new_id(), now_utc(), head, os.urandom))
    if draw is None:
        click.echo("nothing passed since the last draw, as far as the newest checkpoint knows")
        return
    if as_json:
        click.echo(json.dumps(to_json(draw)))
        return
    click.echo(f"{len(draw.certificate_ids)} of {draw.passed} drawn, to be read by {draw.due_at}")
    for certificate_id in draw.certificate_ids:
        click.echo(f"        {certificate_id}  {_label(sources, certificate_id)}")


@routine_group.command("check")
@click.argument("certificate_id", metavar="CERTIFICATE")
@click.option("--drive", metavar="DEVICE", help="The drive, to be read.")
@click.option(
    "--missed",
    type=click.Choice(["gone", "broken", "erased-again"]),
    help="Instead: it can't be read any more. It is counted.",
)
@click.option("--checker", required=True, metavar="NAME", help="Who checks: a role, and not who erased it.")
@read_option
@station_options
def check_command(
    certificate_id: str, drive: str | None, missed: str | None, checker: str, read: str, **where: Any
) -> None:
    """Read a drawn drive again, and record it. CERTIFICATE is its id. Exit status 4 where it does not hold."""
    from eraser.audits.running import refuse_own
    from eraser.cli.station import now_utc
    from eraser.domain.audit import DriveResult
    from eraser.domain.routine_control import ControlCheck, Missed
    from eraser.ledger import routine

    if (drive is None) == (missed is None):
        raise UsageError("a drawn drive is either read or missed", remedy="Give --drive, or --missed with why.")
    sources, checker = Sources(**where), role_option("--checker", checker)
    draw = next((item for item in sources.read(routine.draws) if certificate_id in item.certificate_ids), None)
    if draw is None:
        raise UsageError("it is in no draw of the routine control", subject=certificate_id)
    certificate = _certificate(sources, certificate_id)
    refuse_own(checker, certificate)
    if drive is not None:
        _refuse_erased_again(sources, certificate)
    reading = None
    if drive is not None:
        from eraser.audits.population import leaves_beside
        from eraser.domain.program import Verification
        from eraser.rack.audit_reading import read_drive

        reading = read_drive(
            drive,
            certificate,
            Verification.FULL if read == "full" else Verification.SAMPLED,
            draw.seed,
            leaves=leaves_beside(sources.certificates(), certificate) if read == "extents" else None,
            now_utc=now_utc,
            on_progress=lambda done, total: None,
        )
    why: Missed | None = Missed(missed) if missed else None
    check: ControlCheck = ControlCheck(draw.draw_id, certificate_id, now_utc(), checker, reading, why)
    sources.write(partial(routine.put_check, check))
    if reading is None:
        click.echo(f"{certificate_id}: missed, {missed}")
        return
    click.echo(f"{certificate_id}: {reading.result.value}, {reading.bytes_read:,} bytes read")
    if reading.result is not DriveResult.HOLDS:
        click.echo(
            f"The drive is quarantined. `eraser certificate withdraw {certificate_id}` takes its certificate back."
        )
        sys.exit(ExitStatus.FAILED)


def _lines(state: "RoutineState") -> list[str]:
    head = (
        f"{state.drawn} of {state.passed} passed drives drawn in {state.draws} draws; {state.read} read, "
        f"{state.missed} missed, {len(state.due)} due; {state.undrawn} passed since the last draw"
    )
    late = ["OVERDUE: a draw: `eraser audit routine draw`"] if state.is_draw_overdue else []
    due = [
        f"{'OVERDUE since' if item.is_overdue else 'due by'} {item.due_at}: {item.certificate_id}" for item in state.due
    ]
    return [head, *late, *due, *(f"WRONG: {item}: its drive does not hold what it says" for item in state.wrong)]


def _certificate(sources: Sources, certificate_id: str) -> "Certificate":
    """Raises UsageError where it is not at hand, CertificateError where it is not to be believed."""
    from eraser.certificates.checking import read_document
    from eraser.certificates.verifying import verify

    found = sources.certificates().by_id.get(certificate_id)
    if found is None:
        raise UsageError("its certificate is not in the station's folder", subject=certificate_id)
    return verify(read_document(found.path), sources.trusted(())).certificate


def _refuse_erased_again(sources: Sources, certificate: "Certificate") -> None:
    from eraser.audits.planning import confirmed
    from eraser.audits.population import erased_again

    documents = sources.certificates()
    logged = sources.log_under(confirmed(sources.signed_checkpoint(None), sources.log_keys()), documents)
    if (later := erased_again(certificate, documents, logged)) is not None:
        raise Refused(
            "erased-again",
            f"its drive was erased again since, by certificate {later.certificate_id}",
            subject=certificate.certificate_id,
            remedy="Record it as missed: --missed erased-again.",
        )


def _label(sources: Sources, certificate_id: str) -> str:
    from eraser.errors import EraserError

    try:
        return _certificate(sources, certificate_id).drive.label
    except EraserError as error:
        return str(error)
