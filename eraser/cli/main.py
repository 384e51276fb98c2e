"""`eraser`: the group of all commands. Each is loaded when it is called, so that an erasure starts fast."""

import gc
import importlib
import sys

import click

from eraser.errors import EraserError, ExitStatus

_COMMANDS = {
    "account": ("eraser.cli.account:account_group", "People and programs that may come in."),
    "audit": ("eraser.cli.audit:audit_group", "Draw, check and sign a sample of the log's certificates."),
    "bays": ("eraser.cli.bays:bays_group", "Show, learn and light up the bays; print udev rules for them."),
    "bench": ("eraser.cli.bench:bench_command", "Measure this machine's rates per core."),
    "cancel": ("eraser.cli.orders:cancel_command", "End jobs of the running station."),
    "certificate": ("eraser.cli.certificate:certificate_group", "Show and verify certificates."),
    "completion": ("eraser.cli.completion:completion_command", "Print the shell completion."),
    "config": ("eraser.cli.config:config_group", "Check the station's configuration; print an example."),
    "control": (
        "eraser.cli.control:control_group",
        "The positive control: a drive that must pass, and one that must fail.",
    ),
    "custody": ("eraser.cli.custody:custody_group", "What is on record of a drive; record what happens to it."),
    "drain": ("eraser.cli.orders:drain_command", "Let the running station begin no new job."),
    "drives": ("eraser.cli.drives:drives_command", "List this host's drives and whether they can be erased."),
    "erase": ("eraser.cli.erase:erase_command", "Erase drives and issue their certificates."),
    "ledger": ("eraser.cli.ledger:ledger_group", "Check, back up, restore the ledger; remove what has expired."),
    "log": ("eraser.cli.log:log_group", "Bundles, checkpoints and witnesses of the transparency log."),
    "lot": ("eraser.cli.lot:lot_group", "Deliveries: how their drives are treated, and which bays take them in."),
    "maintenance": ("eraser.cli.orders:maintenance_command", "Take a bay of the running station out of use."),
    "pause": ("eraser.cli.orders:pause_command", "Let jobs of the running station rest at a checkpoint."),
    "programs": ("eraser.cli.programs:programs_command", "List the overwrite programs and standards."),
    "receipt": (
        "eraser.cli.receipt:receipt_group",
        "Print a customer's receipt; check with it whose a certificate is.",
    ),
    "release": (
        "eraser.cli.release:release_command",
        "Take apart what lies on the drives in bays: RAID, LVM and the like.",
    ),
    "resume": ("eraser.cli.resume:resume_command", "Go on with interrupted jobs."),
    "retry": ("eraser.cli.orders:retry_command", "Begin jobs of the running station anew."),
    "serve": ("eraser.cli.serve:serve_command", "Run the station: erase what is plugged into its bays."),
    "start": ("eraser.cli.orders:start_command", "Erase the drives in bays of the running station."),
    "status": ("eraser.cli.status:status_command", "Show what the running station does."),
    "tag": ("eraser.cli.tag:tag_command", "Bind an asset tag to a drive."),
    "top": ("eraser.cli.top:top_command", "Watch the running station's rack."),
    "vault": ("eraser.cli.vault:vault_group", "Customers' details: sealed, logged when read, destroyed in time."),
    "verify": ("eraser.cli.verify:verify_command", "Read a drive back against its certificate."),
}


GARBAGE_OBJECTS = 20_000
"""How many more objects than before make the collector look for garbage."""


class _LazyGroup(click.Group):
    """Knows its commands by name and one line each; loads a command's module only to run it or to show its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(_COMMANDS.items())])


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from eraser.engine._native import VERSION

        click.echo(f"eraser {VERSION}")
        ctx.exit()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, callback=_print_version, expose_value=False, is_eager=True, help="Print the version."
)
def cli() -> None:
    """Erases whole drives, proves it, and signs what was proved.

    Exit status: 0 passed, 1 interrupted, 2 wrong usage, 3 refused, 4 failed, 5 signed by a key that is not trusted; of
    several drives the highest counts.
    """


def main() -> None:
    """The installed command: a person's mistake ends with one sentence and its status, never with a traceback."""
    # Loading makes tens of thousands of objects, none of them garbage: by default the collector looks through them again and
    # again, for a twentieth of an erasure's processor time.
    gc.set_threshold(GARBAGE_OBJECTS)
    try:
        sys.exit(cli(standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitStatus.USAGE)
    except click.Abort:
        click.echo("Aborted: nothing was written.", err=True)
        sys.exit(ExitStatus.USAGE)
    except EraserError as error:
        click.echo(f"eraser: {error}", err=True)
        sys.exit(error.exit_status)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(ExitStatus.INTERRUPTED)
    except KeyboardInterrupt:
        sys.exit(ExitStatus.INTERRUPTED)
    finally:
        gc.freeze()  # else it looks through all of them again and again at the end, which is as good as over
