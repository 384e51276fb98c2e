"""The installed command with another tuning, on drives that say who they are: `tuned.py JSON WORD...`.

JSON names fields of `Tuning`, for which there is no option on purpose. A played drive lies behind FUSE, so that the
command would not know it again when it comes back; here its path is its serial number. All else is as it is installed.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

from eraser.cli import erase, main, resume
from eraser.cli.station import open_station
from eraser.domain.drive import Drive, Identity, SerialSource
from eraser.drives import loops
from eraser.drives.numbers import FileNumber
from eraser.engine.tuning import Tuning, tuning_for
from eraser.rack.erasing import Station


def run(changes: dict[str, float], words: list[str]) -> None:
    """Run the command with `words`, every drive driven with `changes` to the tuning chosen for it."""

    def tune(drive: Drive) -> Tuning:
        # Small blocks, so that small drives have many of them and checkpoints may lie close together.
        return replace(tuning_for(drive), **{"block_bytes": 256 << 10, "queue_depth": 4, **changes})

    def tuned_station(certificates: Path | None) -> Station:
        return replace(open_station(certificates), tune=tune)

    def named(file: FileNumber | None, path: str) -> Identity:
        shown = image_identity(file, path)
        return replace(shown, serial_source=SerialSource.DRIVE) if file is None else shown

    image_identity = loops.image_identity
    loops.image_identity = named
    erase.open_station = resume.open_station = tuned_station
    sys.argv = ["eraser", *words]
    main.main()


if __name__ == "__main__":
    run(json.loads(sys.argv[1]), sys.argv[2:])
