"""Audits over the API: planned, looked through, ended with a signed record, found again; and the routine control.

Who is written down as the auditor is the viewer, by the account's name.
"""

from collections.abc import Awaitable
from datetime import date
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from eraser.audits.filed import MAX_PAGE, AuditLine, AuditSearch, AuditView, FiledAudits, UnknownAudit, items_of
from eraser.audits.ordering import PlanOrder, criterion_of, days_of, nonce_of, ppm
from eraser.audits.reporting import criterion_words
from eraser.console.certificates import PDF, attachment
from eraser.console.identity import Viewer, require
from eraser.console.problems import NotFound
from eraser.domain.account import Permission
from eraser.domain.audit import CRITICAL, findings
from eraser.domain.json_form import to_json
from eraser.errors import CertificateError, Refused

T = TypeVar("T")

CSV = "text/csv; charset=utf-8"
JSON = "application/json"
_VIEW = [Depends(require(Permission.VIEW_AUDITS))]
_RUN = Depends(require(Permission.RUN_AUDITS))
Runner = Annotated[Viewer, _RUN]
_NO_STORE = {"cache-control": "no-store"}

AuditId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Percent = Annotated[str, Field(max_length=16, pattern=r"^[0-9.]*$")]


class AuditPlanOrder(BaseModel):
    """Days are UTC, both included. Either an `aql` of ISO 2859-1, or a `defect_rate` (percent) that must not go unnoticed; the
    `nonce` is drawn by the auditor after the checkpoint, of so many entries as `checkpoint_size`, was signed.
    """

    model_config = ConfigDict(extra="forbid")
    first_day: date
    last_day: date
    aql: Percent = ""
    inspection_level: Literal["I", "II", "III", "S-1", "S-2", "S-3", "S-4"] = "II"
    severity: Literal["normal", "tightened", "reduced"] = "normal"
    defect_rate: Percent = ""
    accept: Annotated[int, Field(ge=0, le=10_000)] = 0
    confidence: Percent = "95"
    nonce: Annotated[str, Field(max_length=128, pattern=r"^[0-9A-Fa-f]*$")]
    checkpoint_size: Annotated[int, Field(ge=1, lt=1 << 53)] | None = None

    def order(self) -> PlanOrder:
        """Raises UsageError."""
        return PlanOrder(
            days_of(self.first_day.isoformat(), self.last_day.isoformat()),
            criterion_of(self.aql, self.inspection_level, self.severity, self.defect_rate, self.accept),
            ppm(self.confidence),
            nonce_of(self.nonce),
            self.checkpoint_size,
        )


class MarkOrder(BaseModel):
    """Certificates of the sample that somebody has looked at, or has not after all."""

    model_config = ConfigDict(extra="forbid")
    certificate_ids: Annotated[tuple[Annotated[str, Field(max_length=128)], ...], Field(max_length=1000)]
    is_looked_at: StrictBool = True


class AuditQuestion(BaseModel):
    """Which audits: `cursor` is what the page before gave as `next`."""

    model_config = ConfigDict(extra="forbid")
    state: Literal["", "open", "accepted", "rejected"] = ""
    auditor: Annotated[str, Field(max_length=64)] = ""
    since: date | None = None
    until: date | None = None
    cursor: Annotated[str, Field(pattern=r"^([0-9a-f]{32})?$")] = ""
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 50


class AuditForm(BaseModel):
    """An audit as the list shows it. Of an open one nothing is found yet. `key_ids`: who signed its record, where this station
    knows the key.
    """

    audit_id: str
    at: str
    auditor: str
    state: str
    issued_from: str
    issued_before: str
    criterion: str
    population: int
    n: int
    ac: int
    re: int
    found: int
    critical: int
    drives_read: int
    key_ids: list[str]


class AuditList(BaseModel):
    """A page, the newest first."""

    audits: list[AuditForm]
    next: str


class SampledForm(BaseModel):
    """One of the sample. `entry` is its number in the log; `result` is empty while the audit is open."""

    certificate_id: str
    entry: int
    is_looked_at: bool
    result: str
    codes: list[str]
    is_critical: bool
    message: str


class AuditWhole(AuditForm):
    """With its sample. `same_draw`: ids of other records of this very draw."""

    nonce: str
    log_size: int
    log_root: str
    seed: str
    most_nonconforming: int | None
    confidence_ppm: int
    looked_at: int
    sample: list[SampledForm]
    same_draw: list[str]


def audits_router(filed: FiledAudits) -> APIRouter:
    """What the API has about audits, below its own prefix."""
    router = APIRouter()
    _add_files(router, filed)

    @router.get("/audits", dependencies=_VIEW)
    async def list_audits(asked: Annotated[AuditQuestion, Query()]) -> AuditList:
        search = AuditSearch(asked.state, asked.auditor, _day(asked.since), _day(asked.until))
        lines, after = await filed.search(search, after=asked.cursor, limit=asked.limit)
        return AuditList(audits=[_form(line) for line in lines], next=after)

    @router.post("/audits", status_code=HTTPStatus.CREATED)
    async def plan_audit(order: AuditPlanOrder, viewer: Runner) -> AuditForm:
        audit_id = await given(filed.plan(order.order(), viewer.name))
        return _form((await given(filed.one(audit_id))).line)

    @router.get("/audits/{audit_id}", dependencies=_VIEW)
    async def show_audit(audit_id: AuditId) -> AuditWhole:
        return _whole(await given(filed.one(audit_id)))

    @router.post("/audits/{audit_id}/marks", status_code=HTTPStatus.NO_CONTENT)
    async def mark(audit_id: AuditId, order: MarkOrder, viewer: Runner) -> None:
        marked = filed.mark(audit_id, order.certificate_ids, viewer.name, is_looked_at=order.is_looked_at)
        await given(marked)

    @router.post("/audits/{audit_id}/record", status_code=HTTPStatus.CREATED)
    async def end_audit(audit_id: AuditId, viewer: Runner) -> AuditWhole:
        await given(filed.end(audit_id, viewer.name))
        return _whole(await given(filed.one(audit_id)))

    @router.get("/routine", dependencies=_VIEW)
    async def show_routine() -> Any:
        state = await filed.routine()
        return {**to_json(state), "overdue": state.overdue}

    @router.post("/routine/draws", status_code=HTTPStatus.CREATED, dependencies=[_RUN])
    async def draw_routine() -> Any:
        draw = await given(filed.draw_routine())
        return {"draw": to_json(draw) if draw is not None else None}

    return router


def _add_files(router: APIRouter, filed: FiledAudits) -> None:
    """Those that end in what they are come first: an id has no dot."""

    @router.get(
        "/audits/{audit_id}.pdf", dependencies=_VIEW, response_class=Response, responses={200: {"content": {PDF: {}}}}
    )
    async def show_page(audit_id: AuditId, lang: Literal["zh-CN", "en"] = "zh-CN") -> Response:
        return _file(await given(filed.report(audit_id, "pdf", lang)), PDF, f"audit-{audit_id}.pdf")

    @router.get(
        "/audits/{audit_id}.csv", dependencies=_VIEW, response_class=Response, responses={200: {"content": {CSV: {}}}}
    )
    async def show_table(audit_id: AuditId) -> Response:
        return _file(await given(filed.report(audit_id, "csv")), CSV, f"audit-{audit_id}.csv")

    @router.get("/audits/{audit_id}.json", dependencies=_VIEW)
    async def show_report(audit_id: AuditId) -> Response:
        return _file(await given(filed.report(audit_id, "json")), JSON, f"audit-{audit_id}.json")

    @router.get("/audits/{audit_id}.record", dependencies=_VIEW)
    async def show_record(audit_id: AuditId) -> Response:
        """The signed record as it is, for `eraser audit show`."""
        return _file(await given(filed.document(audit_id)), JSON, f"{audit_id}.audit")

    @router.get("/audits/{audit_id}.plan", dependencies=_VIEW)
    async def show_plan(audit_id: AuditId) -> Response:
        """The plan's file, for `eraser audit run`."""
        return _file(await given(filed.plan_file(audit_id)), JSON, f"{audit_id}.plan")


async def given(work: Awaitable[T]) -> T:
    """What can't be given is refused with its reason. Raises NotFound for an audit that is not on record."""
    try:
        return await work
    except UnknownAudit as error:
        raise NotFound(error.what, subject=error.subject) from error
    except CertificateError as error:
        raise Refused(error.code, error.what, subject=error.subject, remedy=error.remedy) from error


def _file(content: bytes, media_type: str, name: str) -> Response:
    return Response(content, media_type=media_type, headers=attachment(name) | _NO_STORE)


def _day(day: date | None) -> str:
    return day.isoformat() if day is not None else ""


def _form(line: AuditLine) -> AuditForm:
    return AuditForm(**_told(line))


def _told(line: AuditLine) -> dict[str, Any]:
    told = {name: getattr(line, name) for name in AuditForm.model_fields}
    criterion = criterion_words(line.criterion)
    return {**told, "state": line.state.value, "criterion": criterion, "key_ids": list(line.key_ids)}


def _whole(view: AuditView) -> AuditWhole:
    plan, items = view.plan, items_of(view)
    sample = []
    for member in plan.sample:
        item = items.get(member.certificate_id)
        codes = findings(item) if item is not None else ()
        sample.append(
            SampledForm(
                certificate_id=member.certificate_id,
                entry=member.index,
                is_looked_at=member.certificate_id in view.looked_at,
                result=item.result if item is not None else "",
                codes=list(codes),
                is_critical=bool(CRITICAL.intersection(codes)),
                message=item.message if item is not None else "",
            )
        )
    return AuditWhole(
        **_told(view.line),
        nonce=plan.nonce.hex(),
        log_size=plan.log.size,
        log_root=plan.log.root.hex(),
        seed=plan.seed.hex(),
        most_nonconforming=view.record.verdict.most_defective if view.record is not None else None,
        confidence_ppm=plan.confidence_ppm,
        looked_at=len(view.looked_at),
        sample=sample,
        same_draw=[line.audit_id for line in view.others],
    )
