"""Reports as a page: what was done and what failed, as a plot and as a table that says the same."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from eraser.console.identity import Permission, require
from eraser.console.pages.language import N_, language_of, translations
from eraser.console.pages.rendering import render
from eraser.ledger.reports import By, Group, Report, Reports

_VIEW = [Depends(require(Permission.VIEW_REPORTS))]
Text = Annotated[str, Query(max_length=32)]

WORDS = {
    By.DAY: N_("Day"),
    By.LOT: N_("Lot"),
    By.MODEL: N_("Model"),
    By.STANDARD: N_("Standard"),
    By.REASON: N_("Reason of failure"),
}
MOST_BARS = 62
"""Days in the plot: two months."""
MOST_ROWS = 20
SLOWEST = 10
HEIGHT = 200
STEP = 24


@dataclass(frozen=True, slots=True)
class Bar:
    """One day, or one row, of a plot; lengths in the plot's own units, from the ground up or from the left."""

    name: str
    passed: float
    failed: float
    group: Group


def add_reports(router: APIRouter, reports: Reports) -> None:
    """`/reports`."""

    @router.get("/reports", dependencies=_VIEW)
    async def show_reports(request: Request, by: Text = "day", since: Text = "", until: Text = "") -> Response:
        chosen = By(by) if by in set(By) else By.DAY
        wrong, days = "", (_day(since), _day(until))
        if (since and days[0] is None) or (until and days[1] is None):
            wrong = translations(language_of(request)).gettext("A day is written as 2027-01-31.")
        # At once: each goes over all certificates of these days.
        report, models = await asyncio.gather(reports.report(chosen, *days), reports.report(By.MODEL, *days))
        question = {"by": chosen.value, "since": since, "until": until}
        context: dict[str, Any] = {
            "report": report,
            "words": WORDS,
            "asked": question,
            "wrong": wrong,
            "question": urlencode({name: value for name, value in question.items() if value}),
            "bars": columns(report.groups) if chosen is By.DAY else (),
            "rows": rows(report.groups) if chosen is not By.DAY else (),
            "top": max((group.jobs for group in report.groups), default=0),
            "slowest": slowest(models),
            "height": HEIGHT,
            "step": STEP,
        }
        return render(request, "reports.html", context)


def columns(groups: Sequence[Group]) -> tuple[Bar, ...]:
    """The newest days, each as high as it had jobs against the busiest."""
    shown = groups[-MOST_BARS:]
    most = max((group.jobs for group in shown), default=0) or 1
    return tuple(Bar(group.name, HEIGHT * group.passed / most, HEIGHT * group.failed / most, group) for group in shown)


def rows(groups: Sequence[Group]) -> tuple[Bar, ...]:
    """Those with the most jobs, each as long as it had jobs, in percent of the longest."""
    shown = groups[:MOST_ROWS]
    most = max((group.jobs for group in shown), default=0) or 1
    return tuple(Bar(group.name, 100 * group.passed / most, 100 * group.failed / most, group) for group in shown)


def slowest(report: Report) -> list[Group]:
    """Models by the speed of one drive on the average, the slowest first."""
    measured = [group for group in report.groups if group.bytes_per_second and group.name]
    return sorted(measured, key=lambda group: group.bytes_per_second)[:SLOWEST]


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None
