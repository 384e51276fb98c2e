"""`eraser config`: whether the configuration is right, and an example to start from."""

import os
import sys
from importlib import resources
from pathlib import Path

import click

from eraser import settings
from eraser.errors import ExitStatus


@click.group("config", short_help="Check the station's configuration; print an example.")
def config_group() -> None:
    """Check the station's configuration; print an example."""


@config_group.command("check")
@click.argument("file", required=False, type=click.Path(path_type=Path))
def check_command(file: Path | None) -> None:
    """Say everything that is wrong with a configuration, each with its place and what to do.

    Without FILE it is $ERASER_CONFIG, else /etc/eraser/eraser.toml. The environment (ERASER_…) counts as it does for the
    station. Exit status: 0 when the station would start with it, 2 when not.
    """
    from eraser.configuration.reading import ConfigurationError, load

    path = file if file is not None else settings.config_file(os.environ)
    try:
        configuration = load(path, os.environ)
    except ConfigurationError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(ExitStatus.USAGE)
    bays = len(configuration.bays)
    click.echo(f"{path}: good: {bays} {'bay' if bays == 1 else 'bays'}, listens on {configuration.http.listen}")


@config_group.command("example")
def example_command() -> None:
    """Print a commented configuration with every setting."""
    click.echo(example_text(), nl=False)


def example_text() -> str:
    """The example that belongs to this version."""
    return (resources.files("eraser.configuration") / "example.toml").read_text("utf-8")
