"""What every test may count on: the installed package, fresh; a lab that is there or named as missing.

ERASER_REQUIRE_LAB=1 turns each skip into a failure, so that a gate cannot go green over tests that did not run. Only a
skip whose reason begins with "hardware:" stays one: no gate can give its machine another processor.
"""

import ctypes.util
import filecmp
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent
SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])

# The root comes last: `tests.lab` is found there, but `eraser` where it is installed, for the sources have no engine.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT] + [str(ROOT)]

# A test that is slow beside others is not wrong: what takes too long is what pytest-timeout ends.
hypothesis.settings.register_profile("eraser", deadline=None)
hypothesis.settings.load_profile("eraser")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the tests that take as long as asked, too")
    parser.addoption(
        "--guest", action="store_true", help="run the tests that need the emulated machine; `make guest` does"
    )


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse to test an installed package that is older than the sources: its result would be about other code."""
    if hasattr(session.config, "workerinput"):
        return
    if stale := stale_files():
        pytest.exit(f"the installed package is not what the sources say ({stale[0]}): run `make install`", returncode=4)


def stale_files() -> list[str]:
    """Names of sources that differ from what is installed, or were changed after the engine was built."""
    spec = importlib.util.find_spec("eraser")
    if spec is None or not spec.submodule_search_locations:
        return ["nothing is installed"]
    installed = Path(next(iter(spec.submodule_search_locations)))
    if installed == ROOT / "eraser":
        return ["nothing is installed"]
    kinds = ("*.py", "*.typ", "*.html", "*.po", "*.css", "*.js", "*.svg")
    sources = [path.relative_to(ROOT) for kind in kinds for path in (ROOT / "eraser").rglob(kind)]
    stale = [
        str(source)
        for source in sources
        if not (copy := installed.parent / source).exists() or not filecmp.cmp(ROOT / source, copy, shallow=False)
    ]
    stamp = Path(sys.prefix) / "installed"  # made by `make install`
    if stamp.exists():
        built_at = stamp.stat().st_mtime
        engine = [path for path in (ROOT / "native").rglob("*") if path.is_file() and "tests" not in path.parts]
        stale += [str(path.relative_to(ROOT)) for path in engine if path.stat().st_mtime > built_at]
    return stale


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what has a make target of its own, unless it is asked for."""
    unasked = [name for name in ("soak", "guest") if not config.getoption(f"--{name}")]
    left_out = [item for item in items if any(item.get_closest_marker(name) for name in unasked)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def missing_need(need: str) -> str | None:
    """Why `need` of a lab test is not met here, or None. A need is root, loop, fuse, or a program's name."""
    match need:
        case "root":
            return None if os.geteuid() == 0 else "needs root"
        case "loop":
            return None if os.access("/dev/loop-control", os.R_OK | os.W_OK) else "needs loop devices"
        case "fuse":
            if not os.access("/dev/fuse", os.R_OK | os.W_OK):
                return "needs /dev/fuse"
            library = ctypes.util.find_library("fuse3") or ctypes.util.find_library("fuse")
            return None if library else "needs libfuse"
        case program:
            return None if shutil.which(program, path=SYSTEM_PATH) else f"needs the program {program}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a lab test, with the reason, where the lab is not. A bare `lab` means root and loop devices."""
    needs = [need for marker in item.iter_markers("lab") for need in (marker.args or ("root", "loop"))]
    reasons = [reason for need in needs if (reason := missing_need(need))]
    if reasons:
        pytest.skip("lab: " + ", ".join(dict.fromkeys(reasons)))


def _fail_a_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure when the lab is required."""
    if not report.skipped or hasattr(report, "wasxfail") or os.environ.get("ERASER_REQUIRE_LAB") != "1":
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith("hardware:"):
        report.outcome = "failed"
        report.longrepr = f"skipped ({reason}), and ERASER_REQUIRE_LAB=1 asks for every test"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    report = yield
    _fail_a_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    report = yield
    _fail_a_skip(report)
    return report
