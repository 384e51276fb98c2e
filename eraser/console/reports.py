"""Reports over the API, as JSON and as CSV."""

import csv
import io
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from eraser.console.certificates import attachment
from eraser.console.identity import Permission, require
from eraser.ledger.export_formats import spreadsheet_safe
from eraser.ledger.reports import By, Group, Report, Reports

_VIEW = [Depends(require(Permission.VIEW_REPORTS))]
_COLUMNS = ("passed", "failed", "share_passed", "erased_bytes", "moved_bytes", "busy_seconds", "bytes_per_second")


class ReportQuestion(BaseModel):
    """By what, and of which days (UTC, both included)."""

    model_config = ConfigDict(extra="forbid")
    by: By = By.DAY
    since: date | None = None
    until: date | None = None


class GroupForm(BaseModel):
    """Sizes in bytes; `share_passed` from 0 to 1; `bytes_per_second` of one drive on the average."""

    name: str
    passed: int
    failed: int
    share_passed: float
    erased_bytes: int
    moved_bytes: int
    busy_seconds: float
    bytes_per_second: float


class ReportForm(BaseModel):
    """Jobs that ended with a certificate which was not withdrawn."""

    by: By
    groups: list[GroupForm]
    total: GroupForm
    omitted: int


def add_reports(router: APIRouter, reports: Reports) -> None:
    """To what the desk's router has."""

    @router.get("/reports", dependencies=_VIEW)
    async def report(asked: Annotated[ReportQuestion, Query()]) -> ReportForm:
        found = await reports.report(asked.by, asked.since, asked.until)
        return ReportForm(
            by=found.by, groups=[_form(item) for item in found.groups], total=_form(found.total), omitted=found.omitted
        )

    @router.get(
        "/reports.csv", dependencies=_VIEW, response_class=Response, responses={200: {"content": {"text/csv": {}}}}
    )
    async def report_csv(asked: Annotated[ReportQuestion, Query()]) -> Response:
        found = await reports.report(asked.by, asked.since, asked.until)
        headers = attachment(f"report-by-{found.by.value}.csv") | {"cache-control": "no-store"}
        return Response(csv_of(found), media_type="text/csv; charset=utf-8", headers=headers)


def _form(group: Group) -> GroupForm:
    return GroupForm(**{name: getattr(group, name) for name in GroupForm.model_fields})


def csv_of(report: Report) -> bytes:
    """As spreadsheets read it, also those that guess the encoding."""
    out = io.StringIO()
    write = csv.writer(out)
    write.writerow([report.by.value, *_COLUMNS])
    for group in report.groups:
        write.writerow([spreadsheet_safe(group.name), *(getattr(group, name) for name in _COLUMNS)])
    return b"\xef\xbb\xbf" + out.getvalue().encode()
