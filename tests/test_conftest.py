"""The gate's own promise: nothing passes by not running."""

import os
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
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path / "tests")
    return tmp_path


def run_pytest(project: Path, test: str, *options: str, require_lab: bool) -> subprocess.CompletedProcess[str]:
    (project / "tests" / "test_planted.py").write_text("import pytest\n\n" + test)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "ERASER"))}
    environment["ERASER_REQUIRE_LAB"] = "1" if require_lab else "0"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=120)


SKIPS = {
    "in a test": "def test_it():\n    pytest.skip('no disk here')\n",
    "by a marker": "@pytest.mark.skipif(True, reason='no disk here')\ndef test_it():\n    pass\n",
    "by a whole module": "pytest.skip('no disk here', allow_module_level=True)\n",
    "by a missing program": "@pytest.mark.lab('no disk here')\ndef test_it():\n    pass\n",
}


@pytest.mark.parametrize("test", SKIPS.values(), ids=SKIPS.keys())
@pytest.mark.parametrize("options", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_a_required_lab_turns_a_skip_into_a_failure(project: Path, test: str, options: tuple[str, ...]) -> None:
    outcome = run_pytest(project, test, *options, require_lab=True)
    assert outcome.returncode != 0
    assert "no disk here" in outcome.stdout
    assert "skipped" not in outcome.stdout.splitlines()[-1]


@pytest.mark.parametrize("test", SKIPS.values(), ids=SKIPS.keys())
def test_without_a_lab_a_skip_says_why(project: Path, test: str) -> None:
    outcome = run_pytest(project, test, require_lab=False)
    assert outcome.returncode in (0, 5)
    assert "no disk here" in outcome.stdout


def test_a_skip_for_the_processor_s_sake_stays_a_skip(project: Path) -> None:
    test = "def test_it():\n    pytest.skip('hardware: no AVX-512')\n"
    assert run_pytest(project, test, require_lab=True).returncode == 0


def test_an_expected_failure_is_no_skip(project: Path) -> None:
    test = "@pytest.mark.xfail\ndef test_it():\n    assert False\n"
    assert run_pytest(project, test, require_lab=True).returncode == 0


def test_the_soak_runs_only_when_asked(project: Path) -> None:
    test = "@pytest.mark.soak\ndef test_it():\n    assert False\n"
    assert "1 deselected" in run_pytest(project, test, require_lab=True).stdout
    assert "1 failed" in run_pytest(project, test, "--soak", require_lab=True).stdout


def test_a_stale_install_stops_the_tests(project: Path) -> None:
    (project / "eraser").mkdir()
    (project / "eraser" / "never_installed.py").touch()
    outcome = run_pytest(project, "def test_it():\n    pass\n", require_lab=False)
    assert outcome.returncode == 4
    assert "run `make install`" in outcome.stdout + outcome.stderr
