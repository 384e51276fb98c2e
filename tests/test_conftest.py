"""The gate's own promise: nothing passes by not running."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with our configuration and conftest, no test yet."""
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copy(ROOT / "conftest.py", tmp_path)
    return tmp_path


def run_pytest(
    project: Path, *tests: str, options: tuple[str, ...] = (), require_lab: bool
) -> subprocess.CompletedProcess[str]:
    for number, test in enumerate(tests):
        (project / "tests" / f"test_planted_{number}.py").write_text("import pytest\n\n" + test)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "ERASER"))}
    environment["ERASER_REQUIRE_LAB"] = "1" if require_lab else "0"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=120)


SKIPS = (
    "def test_it():\n    pytest.skip('one')\n",
    "@pytest.mark.skipif(True, reason='two')\ndef test_it():\n    pass\n",
    "@pytest.mark.lab('three')\ndef test_it():\n    pass\n",
    "@pytest.fixture\ndef disk():\n    pytest.skip('four')\n\ndef test_it(disk):\n    pass\n",
)
SKIPPED_MODULE = "pytest.skip('five', allow_module_level=True)\n"


@pytest.mark.parametrize("options", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_a_required_lab_turns_every_skip_into_a_failure(project: Path, options: tuple[str, ...]) -> None:
    outcome = run_pytest(project, *SKIPS, options=options, require_lab=True)
    assert outcome.returncode == 1
    assert re.search(r"\b1 failed, (\d+ warnings?, )?3 errors\b", outcome.stdout)  # pytest may warn of what is not ours
    assert "skipped (four)" in outcome.stdout


def test_a_required_lab_turns_a_skipped_module_into_an_error(project: Path) -> None:
    outcome = run_pytest(project, SKIPPED_MODULE, require_lab=True)
    assert outcome.returncode not in (0, 5)
    assert "skipped (five)" in outcome.stdout


def test_without_a_lab_each_skip_says_why(project: Path) -> None:
    outcome = run_pytest(project, *SKIPS, SKIPPED_MODULE, require_lab=False)
    assert "5 skipped" in outcome.stdout
    assert all(reason in outcome.stdout for reason in ("one", "two", "program three", "four", "five"))


def test_a_skip_for_the_processor_s_sake_stays_a_skip(project: Path) -> None:
    test = "def test_it():\n    pytest.skip('hardware: no AVX-512')\n"
    assert run_pytest(project, test, require_lab=True).returncode == 0


def test_an_expected_failure_is_no_skip(project: Path) -> None:
    test = "@pytest.mark.xfail\ndef test_it():\n    assert False\n"
    assert run_pytest(project, test, require_lab=True).returncode == 0


def test_the_soak_runs_only_when_asked(project: Path) -> None:
    test = "@pytest.mark.soak\ndef test_it():\n    assert False\n"
    assert "1 deselected" in run_pytest(project, test, require_lab=True).stdout
    assert "1 failed" in run_pytest(project, test, options=("--soak",), require_lab=True).stdout


def test_a_stale_install_stops_the_tests(project: Path) -> None:
    (project / "eraser").mkdir()
    (project / "eraser" / "never_installed.py").touch()
    outcome = run_pytest(project, "def test_it():\n    pass\n", require_lab=False)
    assert outcome.returncode == 4
    assert "run `make install`" in outcome.stdout + outcome.stderr
