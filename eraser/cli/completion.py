"""`eraser completion`: what a shell needs to complete the command."""

import click

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_ERASER_COMPLETE"
"""Click's own name for it, by which the completing shell calls the command."""


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS), metavar="SHELL")
@click.pass_context
def completion_command(context: click.Context, shell: str) -> None:
    """Print the completion script for a shell.

    For bash: eraser completion bash > ~/.local/share/bash-completion/completions/eraser
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    command = context.find_root().command
    click.echo(kind(command, {}, "eraser", VARIABLE).source())
