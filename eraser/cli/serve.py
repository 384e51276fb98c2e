"""`eraser serve`: this host as a station. It runs until it is told to stop, and then stops at checkpoints."""

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eraser import settings

if TYPE_CHECKING:  # loaded by the command itself, not by its help
    from eraser.cli.serving.racks import Simulation
    from eraser.configuration.model import Configuration

SWITCH_SECONDS = 0.001
"""How long a thread may keep the interpreter while another waits for it; five times less than usual."""


@click.command("serve", short_help="Run the station: erase what is plugged into its bays.")
@click.option(
    "--config", "config_path", type=click.Path(path_type=Path), metavar="FILE", help="Instead of $ERASER_CONFIG."
)
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Ledger, keys, certificates."
)
@click.option("--listen", metavar="HOST:PORT", help="Where to answer; the configuration says 127.0.0.1:8080.")
@click.option(
    "--simulate", type=click.IntRange(1, 200), metavar="N", help="A fictional rack of N bays; no drive is touched."
)
@click.option(
    "--simulate-devices",
    type=click.Choice(["image", "zram"]),
    default="image",
    help="What simulated drives are: files, or as root real block devices of compressed memory.",
)
@click.option("--fast", is_flag=True, help="Small drives, so that there is something to see within a minute.")
@click.option("--seed", type=int, default=1, help="Of the simulation's story.")
def serve_command(
    config_path: Path | None,
    data: Path | None,
    listen: str | None,
    simulate: int | None,
    simulate_devices: str,
    fast: bool,
    seed: int,
) -> None:
    """Watch the bays; identify, guard, plan and erase the drives that are plugged into them.

    Drives wait for somebody to start them unless the configuration says `start = "by-itself"`. SIGTERM, SIGINT: every job
    stops at a checkpoint, and goes on when the station runs again. SIGHUP: the configuration is read again.
    """
    from eraser.cli.serving.racks import Simulation
    from eraser.cli.serving.station import serve

    simulation = Simulation(simulate, fast, seed, simulate_devices == "zram") if simulate is not None else None
    # Of many threads that are busy with drives, the loop's waits for none longer than this.
    sys.setswitchinterval(SWITCH_SECONDS)
    asyncio.run(serve(lambda: _configuration(config_path, data, listen, simulation), simulation))


def _configuration(
    path: Path | None, data: Path | None, listen: str | None, simulation: "Simulation | None"
) -> "Configuration":
    from eraser.configuration.reading import load
    from eraser.configuration.writing import exists

    overrides: dict[str, object] = {}
    if data is None and simulation is not None:
        data = settings.data_dir(os.environ) / "simulated"
    if data is not None:
        data = data.absolute()
        overrides["data"] = str(data)
    http = {"listen": listen} if listen else {}
    if simulation is not None and data is not None:
        http["socket"] = str(data / "eraser.sock")
    if http:
        overrides["http"] = http
    if simulation is not None:
        return load(path, os.environ, overrides)
    found = path or settings.config_file(os.environ)
    return load(found if path is not None or exists(found) else None, os.environ, overrides)
