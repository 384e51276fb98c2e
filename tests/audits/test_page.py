"""What docs/auditors.md tells auditors to type does what it says."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.audits.plants import Auditor, Plant

PAGE = Path(__file__).resolve().parents[2] / "docs" / "auditors.md"
COMMANDS = "\n".join(re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE))

pytestmark = pytest.mark.lab("jq", "openssl", "basenc")


@pytest.fixture
def auditor(tmp_path: Path) -> Auditor:
    plant = Plant(tmp_path)
    plant.issue(*range(1, 21))
    plant.publish()
    return Auditor(plant)


def typed(auditor: Auditor, commands: str = COMMANDS) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "XDG_DATA_HOME": str(auditor.home / "own"),
        "HOME": str(auditor.home),
    }
    script = f"""trap 'echo "stopped at: $BASH_COMMAND" >&2' ERR\n{commands}"""
    command = ["bash", "-Eeuo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=auditor.home, env=environment, capture_output=True, text=True, check=False)


def test_the_pages_commands_audit_an_honest_plant(auditor: Auditor) -> None:
    done = typed(auditor)
    assert done.returncode == 0, done.stderr
    assert "ACCEPTED" in done.stdout and "n 8 of 20, Ac 1, Re 2; found 0" in done.stdout
    plan = json.loads((auditor.home / "plan").read_bytes())
    assert (auditor.home / "sample").read_text().split() == [item["certificate_id"] for item in plan["sample"]]
    rows = list(csv.DictReader((auditor.home / "report.csv").read_text("utf-8-sig").splitlines()))
    assert [row["result"] for row in rows] == ["conforming"] * 8
    assert (auditor.home / "report.pdf").read_bytes().startswith(b"%PDF-")


def test_the_pages_commands_stop_where_the_plant_shows_another_certificate(auditor: Auditor) -> None:
    for path in auditor.documents.glob("*.json"):
        path.write_bytes(path.read_bytes().replace(b"operator-7", b"operator-8"))
    for path in sorted(auditor.documents.glob("*.json"))[:3]:
        shutil.copy(auditor.plant.certificates / path.name, path)
    done = typed(auditor)
    assert done.returncode != 0
    assert "stopped at: eraser audit run" in done.stderr
    assert "REJECTED" in done.stdout and "altered" in done.stdout
