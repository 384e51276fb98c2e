"""The table at the end of a run, and how loaded the machine was meanwhile."""

from pathlib import Path

import pytest

from benchmarks import comparison, meters
from benchmarks.comparison import markdown

TABLE_FILE = Path(".benchmarks/table.md")
_busy_before = 0.0


def pytest_sessionstart(session: pytest.Session) -> None:
    """Look at the machine before we load it ourselves."""
    global _busy_before
    _busy_before = meters.busy_share(1.0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """All ratios beside their targets; the same table goes to a file, for `docs/performance.md`."""
    if not comparison.TABLE:
        return
    heading = f"{meters.machine()}; before the run {_busy_before:.0%} of its processors' time was taken by others."
    if _busy_before > meters.QUIET_SHARE:
        heading += " **Not a quiet machine: run it again on one.**"
    text = f"{heading}\n\n{markdown(comparison.TABLE)}\n"
    TABLE_FILE.parent.mkdir(exist_ok=True)
    TABLE_FILE.write_text(text)
    terminalreporter.section("ratios")
    terminalreporter.write_line(text)
    terminalreporter.write_line(f"(also in {TABLE_FILE})")
