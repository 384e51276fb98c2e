from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from eraser.console.metrics import Exposition, render
from tests.console.stations import a_snapshot
from tests.lab.requirements import require

OPS = Path(__file__).parents[2] / "ops" / "prometheus"
RULES = OPS / "eraser.rules.yml"
TESTS = OPS / "eraser.rules.test.yml"


def promtool(*arguments: object) -> subprocess.CompletedProcess[str]:
    require(tools=("promtool",))
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)


def test_the_rules_are_in_order() -> None:
    checked = promtool("check", "rules", RULES)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_alert_comes_when_it_should_and_not_before() -> None:
    tested = promtool("test", "rules", TESTS)
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('up{job="eraser"} == 0', "up == 0"),
        ("sectors_total > 0", "sectors_total > 1"),
        ('state="failed"', 'state="refused"'),
        ('alarm="stuck"', 'alarm=~"stuck|slow"'),
        ('alarm="stuck"', 'alarm="slow"'),
        ('state="held"', 'state=~"held|writing"'),
        ('alarm="slow"} == 1\n        for: 5m', 'alarm="slow"} == 1'),
        ('alarm="slow"} == 1\n        for: 5m', 'alarm=~"slow|hot"} == 1\n        for: 5m'),
        ('alarm="hot"} == 1\n        for: 2m', 'alarm="hot"} == 1'),
        ('alarm="hot"} == 1', 'alarm=~"hot|errors"} == 1'),
        ('alarm="errors"', 'alarm=~"errors|stuck"'),
        ("control_overdue > 0", "control_overdue > 2"),
    ],
)
def test_a_rule_that_is_wrong_fails_its_test(right: str, wrong: str, tmp_path: Path) -> None:
    text = RULES.read_text()
    assert right in text
    (tmp_path / RULES.name).write_text(text.replace(right, wrong))
    shutil.copy(TESTS, tmp_path)
    assert promtool("test", "rules", tmp_path / TESTS.name).returncode != 0


def test_the_rules_speak_of_series_that_there_are() -> None:
    families = parse_text(render(a_snapshot(), Exposition.TEXT).decode())
    shown = {sample.name for family in families for sample in family.samples}
    expressions = re.findall(r"expr: (?:\|\n((?: {10}.*\n)+)|(.*))", RULES.read_text())
    named = set(re.findall(r"\beraser_\w+", " ".join(map("".join, expressions))))
    assert len(named) >= 4
    assert named <= shown


def test_every_alert_and_every_metric_is_explained() -> None:
    page = (OPS.parents[1] / "docs" / "ops.md").read_text()
    alerts = re.findall(r"alert: (\w+)", RULES.read_text())
    families = {family.name for family in parse_text(render(a_snapshot(), Exposition.TEXT).decode())}
    assert [name for name in (*alerts, *families) if f"`{name}" not in page] == []
