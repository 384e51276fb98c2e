"""Audits for people: the list with the controls' state, the form of a plan, and an audit with its sample to look through."""

from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response

from eraser.audits.filed import AuditSearch, AuditView, FiledAudits, State, items_of
from eraser.audits.ordering import PlanOrder, criterion_of, days_of, nonce_of, ppm
from eraser.audits.reporting import percent
from eraser.audits.words import RESULTS, AuditWords
from eraser.certificates.pdf.words import Language as ReportLanguage
from eraser.console.access import form_fields
from eraser.console.audits import AuditId, given
from eraser.console.identity import Permission, Viewer, require
from eraser.console.pages.language import N_, Language, language_of
from eraser.console.pages.rendering import render
from eraser.domain.acceptance import AQLS, InspectionLevel, Severity
from eraser.domain.audit import CRITICAL, ByAql, Item, findings
from eraser.domain.pseudonym import may_name_a_person
from eraser.errors import CertificateError, Refused, UsageError
from eraser.ledger.certificate_index import Indexed
from eraser.rack.view import ControlPort

PAGE = 25
ROWS = 100
"""Of a sample on one page."""
MOST_DUE = 50
Text = Annotated[str, Query(max_length=64)]
Looker = Annotated[Viewer, Depends(require(Permission.VIEW_AUDITS))]
Runner = Annotated[Viewer, Depends(require(Permission.RUN_AUDITS))]

STATES = {State.OPEN.value: N_("Open"), State.ACCEPTED.value: N_("Accepted"), State.REJECTED.value: N_("Rejected")}
SYMBOLS = {State.OPEN.value: "asking", State.ACCEPTED.value: "passed", State.REJECTED.value: "failed"}
SEVERITIES = {
    Severity.NORMAL.value: N_("normal inspection"),
    Severity.TIGHTENED.value: N_("tightened inspection"),
    Severity.REDUCED.value: N_("reduced inspection"),
}
TESTS = {"canary": N_("Canary: must pass"), "dirty": N_("Dirty drive: must fail")}
_FIELDS = {
    "first_day": "",
    "last_day": "",
    "by": "aql",
    "aql": "0.65",
    "inspection_level": InspectionLevel.II.value,
    "severity": Severity.NORMAL.value,
    "defect_rate": "1",
    "accept": "0",
    "confidence": "95",
    "nonce": "",
    "checkpoint_size": "",
}
"""Of the form, with what they begin with."""


def add_audits(router: APIRouter, filed: FiledAudits, controls: ControlPort | None) -> None:
    """`/audits` and what is below it."""

    @router.get("/audits")
    async def show_audits(
        request: Request,
        viewer: Looker,
        state: Text = "",
        auditor: Text = "",
        since: Text = "",
        until: Text = "",
        cursor: Text = "",
    ) -> Response:
        asked = {"state": state if state in STATES else "", "auditor": auditor, "since": since, "until": until}
        lines, after = await filed.search(AuditSearch(**asked), after=cursor, limit=PAGE)
        question = {name: value for name, value in asked.items() if value}
        routine = await filed.routine()
        context = {
            "asked": asked,
            "is_asked": bool(question),
            "lines": lines,
            "newest": urlencode(question),
            "older": urlencode(question | {"cursor": after}) if after else "",
            "is_first": not cursor,
            "routine": routine,
            "due": sorted(routine.due, key=lambda item: item.due_at)[:MOST_DUE],
            "control": controls.form() if controls is not None else None,
            "tests": TESTS,
            "may_run": viewer.may(Permission.RUN_AUDITS),
            **_words(language_of(request)),
        }
        return render(request, "audits.html", context)

    @router.post("/audits/routine")
    async def draw_routine(request: Request, viewer: Runner) -> Response:
        await given(filed.draw_routine())
        return RedirectResponse("/audits#routine", status_code=303)

    @router.get("/audits/new")
    async def show_form(request: Request, viewer: Runner) -> Response:
        return render(request, "audit_form.html", await _form_context(filed, viewer, {}, ""))

    @router.post("/audits/new")
    async def plan(request: Request, viewer: Runner) -> Response:
        asked = dict(form_fields(await request.body()))
        try:
            audit_id = await filed.plan(_order(asked), viewer.name)
        except (UsageError, Refused, CertificateError) as error:
            return render(request, "audit_form.html", await _form_context(filed, viewer, asked, str(error)))
        return RedirectResponse(f"/audits/{audit_id}", status_code=303)

    _add_one(router, filed)


def _add_one(router: APIRouter, filed: FiledAudits) -> None:
    @router.get("/audits/{audit_id}")
    async def show_audit(
        request: Request,
        audit_id: AuditId,
        viewer: Looker,
        first: Annotated[int, Query(alias="from", ge=0, lt=1 << 31)] = 0,
    ) -> Response:
        return render(request, "audit.html", await _context(request, filed, audit_id, viewer, first, ""))

    @router.post("/audits/{audit_id}/marks")
    async def mark(request: Request, audit_id: AuditId, viewer: Runner) -> Response:
        """Of the rows that were shown, those that are ticked have been looked at, the others not."""
        fields = list(form_fields(await request.body()))
        shown = {value for name, value in fields if name == "shown"}
        ticked = {value for name, value in fields if name == "looked_at"} & shown
        await given(filed.mark(audit_id, ticked, viewer.name, is_looked_at=True))
        await given(filed.mark(audit_id, shown - ticked, viewer.name, is_looked_at=False))
        first = dict(fields).get("from", "0")
        place = f"?from={first}" if first.isdecimal() and first != "0" else ""
        return RedirectResponse(f"/audits/{audit_id}{place}#sample", status_code=303)

    @router.post("/audits/{audit_id}/record")
    async def end(request: Request, audit_id: AuditId, viewer: Runner) -> Response:
        try:
            await filed.end(audit_id, viewer.name)
        except (UsageError, Refused, CertificateError) as error:
            context = await _context(request, filed, audit_id, viewer, 0, str(error))
            return render(request, "audit.html", context)
        return RedirectResponse(f"/audits/{audit_id}", status_code=303)


def _order(asked: dict[str, str]) -> PlanOrder:
    """Raises UsageError for what is no plan."""
    is_aql = asked.get("by") != "rate"
    accept, size = asked.get("accept", "").strip() or "0", asked.get("checkpoint_size", "")
    if not accept.isdecimal() or len(accept) > 5 or not size.isdecimal() or len(size) > 15:
        raise UsageError("a number is no number", subject=accept[:40])
    level, severity = asked.get("inspection_level", ""), asked.get("severity", "")
    if level not in set(InspectionLevel) or severity not in set(Severity):
        raise UsageError("there is no such inspection level or severity")
    criterion = criterion_of(
        asked.get("aql", "") if is_aql else "",
        level,
        severity,
        "" if is_aql else asked.get("defect_rate", ""),
        int(accept),
    )
    days = days_of(asked.get("first_day", ""), asked.get("last_day", ""))
    return PlanOrder(
        days, criterion, ppm(asked.get("confidence", "")), nonce_of(asked.get("nonce", "").strip()), int(size)
    )


async def _form_context(filed: FiledAudits, viewer: Viewer, asked: dict[str, str], wrong: str) -> dict[str, Any]:
    try:
        head = await filed.newest_head()
    except (UsageError, CertificateError) as error:
        head, wrong = None, wrong or str(error)
    told = {name: asked.get(name, usual) for name, usual in _FIELDS.items()}
    told["checkpoint_size"] = told["checkpoint_size"] or (str(head.size) if head is not None else "")
    return {
        "asked": told,
        "wrong": wrong,
        "head": head,
        "is_newest": head is not None and told["checkpoint_size"] == str(head.size),
        "aqls": AQLS,
        "levels": [item.value for item in InspectionLevel],
        "severities": SEVERITIES,
        "is_person": may_name_a_person(viewer.name),
    }


async def _context(
    request: Request, filed: FiledAudits, audit_id: str, viewer: Viewer, first: int, wrong: str
) -> dict[str, Any]:
    view, language = await given(filed.one(audit_id)), language_of(request)
    first = first if first < len(view.plan.sample) else 0
    shown = view.plan.sample[first : first + ROWS]
    known = await filed.sampled(shown)
    items = items_of(view)
    verdict = view.record.verdict if view.record is not None else None
    behind = first + ROWS
    return {
        "line": view.line,
        "plan": view.plan,
        "verdict": verdict,
        "share": percent(verdict.most_defective_ppm) if verdict is not None else "",
        "confidence": percent(view.plan.confidence_ppm),
        "looked_at": view.looked_at,
        "rows": [
            (member, known.get(member.certificate_id), items.get(member.certificate_id), _said(items, member, language))
            for member in shown
        ],
        "wrong_items": _wrong(view, language),
        "others": view.others,
        "first": first,
        "before": max(0, first - ROWS) if first else None,
        "behind": behind if behind < len(view.plan.sample) else None,
        "wrong": wrong,
        "may_run": viewer.may(Permission.RUN_AUDITS) and view.record is None,
        "is_person": may_name_a_person(viewer.name),
        "is_signed_here": bool(view.line.key_ids),
        "is_aql": isinstance(view.plan.criterion, ByAql),
        **_words(language),
    }


def _said(items: dict[str, Item], member: Any, language: Language) -> str:
    item = items.get(member.certificate_id)
    if item is None:
        return ""
    return "; ".join(result_words(code, language) for code in findings(item) or (item.result,))


def _wrong(view: AuditView, language: Language) -> list[tuple[Item, str, bool]]:
    found = [(item, findings(item)) for item in items_of(view).values()]
    return [
        (item, "; ".join(result_words(code, language) for code in codes), bool(CRITICAL.intersection(codes)))
        for item, codes in found
        if codes
    ][:ROWS]


def result_words(code: str, language: Language) -> str:
    """What a finding means, in the words of the audit's report."""
    words = RESULTS.get(code)
    return code if words is None else words[0 if language is Language.CHINESE else 1]


def last_day(before: str) -> str:
    """The day (UTC) that ends at this moment."""
    return (datetime.fromisoformat(before) - timedelta(seconds=1)).date().isoformat()


def drive_of(item: Indexed | None) -> str:
    """By what a person finds the drive."""
    return "" if item is None else item.serial or item.world_wide_name


def _words(language: Language) -> dict[str, Any]:
    words = AuditWords(ReportLanguage(language.value))
    return {
        "states": STATES,
        "symbols": SYMBOLS,
        "drive_of": drive_of,
        "criterion_of": words.criterion,
        "day_of": last_day,
    }
