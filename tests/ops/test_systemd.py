from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.lab.requirements import require

UNIT = Path(__file__).parents[2] / "ops" / "systemd" / "eraser.service"


def test_systemd_has_nothing_against_the_unit(tmp_path: Path) -> None:
    require(tools=("systemd-analyze",))
    here = tmp_path / UNIT.name
    program = Path(sys.executable).with_name("eraser")  # verify wants to see it
    here.write_text(UNIT.read_text().replace("/usr/local/bin/eraser", str(program)))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", here], capture_output=True, text=True, check=False
    )
    told = [line for line in checked.stderr.splitlines() if UNIT.name in line]
    assert (checked.returncode, told) == (0, [])


def test_only_the_station_is_told_to_stop_and_it_has_longer_than_it_takes() -> None:
    settings = dict(line.split("=", 1) for line in UNIT.read_text().splitlines() if "=" in line and line[0] != "#")
    assert settings["Type"] == "notify"
    assert settings["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert settings["KillMode"] == "mixed"
    assert int(settings["TimeoutStopSec"]) > 10
    assert settings["LimitMEMLOCK"] == "infinity"
