"""The installed command with another tuning: `tuned.py JSON WORD...`, where JSON names fields of `Tuning`.

There is no option for these on purpose. Everything else is the command as it is installed.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

from eraser.cli import erase, main, resume
from eraser.cli.station import open_station
from eraser.domain.drive import Drive
from eraser.engine.tuning import Tuning, tuning_for
from eraser.rack.erasing import Station


def run(changes: dict[str, float], words: list[str]) -> None:
    """Run the command with `words`, every drive driven with `changes` to the tuning chosen for it."""

    def tune(drive: Drive) -> Tuning:
        return replace(tuning_for(drive), **changes)

    def tuned_station(certificates: Path | None) -> Station:
        return replace(open_station(certificates), tune=tune)

    erase.open_station = resume.open_station = tuned_station
    sys.argv = ["eraser", *words]
    main.main()


if __name__ == "__main__":
    run(json.loads(sys.argv[1]), sys.argv[2:])
