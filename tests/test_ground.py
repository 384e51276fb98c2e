"""What holds the tree together: layers, the gate, and that the installed engine is the one we tested."""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sysconfig.get_path("scripts")) / "lint-imports"
    return subprocess.run(
        [program, "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=60, env={"PYTHONPATH": str(folder)}
    )


@pytest.fixture
def copied_tree(tmp_path: Path) -> Path:
    """The package and its contracts, to plant errors in."""
    shutil.copytree(ROOT / "eraser", tmp_path / "eraser", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_tree_keeps_its_layers(copied_tree: Path) -> None:
    outcome = lint_imports(copied_tree)
    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("eraser/domain/planted.py", "eraser.engine"),
        ("eraser/domain/planted.py", "subprocess"),
        ("eraser/engine/planted.py", "eraser.drives"),
        ("eraser/engine/planted.py", "eraser.drives"),
        ("eraser/configuration/planted.py", "eraser.drives"),
        ("eraser/domain/planted.py", "eraser.configuration"),
        ("eraser/ledger/planted.py", "eraser.certificates"),
        ("eraser/certificates/planted.py", "eraser.rack"),
        ("eraser/rack/planted.py", "eraser.cli"),
        ("eraser/domain/planted.py", "click"),
    ],
)
def test_an_upward_import_is_caught(copied_tree: Path, importer: str, imported: str) -> None:
    (copied_tree / importer).write_text(f"def late() -> None:\n    import {imported}\n")
    outcome = lint_imports(copied_tree)
    assert outcome.returncode == 1
    assert "planted" in outcome.stdout


NATIVE = Path(sysconfig.get_path("platlib")) / "eraser" / "engine"


@pytest.mark.parametrize("name", ["_native.abi3.so", "eraser-transfer"])
def test_the_installed_engine_keeps_its_asserts(name: str) -> None:
    assert b"__assert_fail" in (NATIVE / name).read_bytes()


def test_the_transfer_can_be_run_where_it_is_installed() -> None:
    assert os.access(NATIVE / "eraser-transfer", os.X_OK)


def test_the_gate_runs_what_the_readme_says() -> None:
    command = "make test"
    assert f"\n{command}\n" in (ROOT / "README.md").read_text()
    assert any(line.strip().startswith(command) for line in (ROOT / ".ci" / "run").read_text().splitlines())


def test_the_lock_names_packages_and_hashes_but_no_host() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert "--index-url" not in lock
    requirements = lock.replace("\\\n", "").splitlines()
    assert all("--hash=sha256:" in line for line in requirements if line and not line.lstrip().startswith("#"))
