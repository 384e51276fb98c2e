"""Certificates for people: searched, one looked at, all of a search downloaded."""

from datetime import date
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from eraser.certificates.filed import FiledCertificates
from eraser.console.certificates import Id, address_to_check, code_of, known_certificate
from eraser.console.identity import Permission, require
from eraser.console.pages.language import N_, Language, language_of, translations
from eraser.console.pages.rendering import render
from eraser.domain.events import Outcome
from eraser.errors import UsageError
from eraser.ledger.certificate_index import WITHDRAWN, Indexed, Search
from eraser.log.checkpoint import parse_checkpoint

PAGE = 50
MAX_CURSOR = 1 << 53
_VIEW = [Depends(require(Permission.VIEW_CERTIFICATES))]
Text = Annotated[str, Query(max_length=128)]

OUTCOMES = {Outcome.PASSED.value: N_("Passed"), Outcome.FAILED.value: N_("Failed"), WITHDRAWN: N_("Withdrawn")}
SYMBOLS = {Outcome.PASSED.value: "passed", Outcome.FAILED.value: "failed", WITHDRAWN: "refused", "": "asking"}


def shown_outcome(item: Indexed) -> str:
    """What counts now: a withdrawn certificate says nothing any more."""
    return WITHDRAWN if item.withdrawn is not None else item.outcome


def add_certificates(router: APIRouter, filed: FiledCertificates, check_url: str) -> None:
    """The list and the page of one."""

    @router.get("/certificates", dependencies=_VIEW)
    async def show_certificates(
        request: Request,
        drive: Text = "",
        lot: Text = "",
        outcome: Text = "",
        since: Text = "",
        until: Text = "",
        cursor: Annotated[int | None, Query(ge=0, lt=MAX_CURSOR)] = None,
    ) -> Response:
        asked = {"drive": drive.strip(), "lot": lot.strip(), "outcome": outcome, "since": since, "until": until}
        context = await _list_context(filed, asked, cursor, language_of(request))
        return render(request, "certificates.html", context)

    @router.get("/certificates/{certificate_id}", dependencies=_VIEW)
    async def show_certificate(request: Request, certificate_id: Id) -> Response:
        item = await known_certificate(filed, certificate_id)
        newer = await filed.index.newer(item)
        context = {
            "item": item,
            "outcome": shown_outcome(item),
            "newer": newer,
            "code": code_of(item.certificate_id, item.digest),
            "check_address": address_to_check(check_url, item),
            **_words(),
        }
        return render(request, "certificate.html", context)


async def _list_context(
    filed: FiledCertificates, asked: dict[str, str], cursor: int | None, language: Language
) -> dict[str, Any]:
    wrong = ""
    try:
        search = Search(asked["drive"], asked["lot"], asked["outcome"], "", _day(asked["since"]), _day(asked["until"]))
        await filed.index.refresh()
        page = await filed.index.search(search, after=cursor, limit=PAGE)
        found, older, count = page.found, page.after, await filed.index.count(search)
    except UsageError:
        gettext = translations(language).gettext
        wrong = gettext("A day is written as 2027-01-31.")
        found, older, count = (), None, 0
    question = {name: value for name, value in asked.items() if value}
    signed = filed.folders.checkpoint()
    return {
        "asked": asked,
        "question": urlencode(question),
        "is_asked": bool(question),
        "rows": [(item, shown_outcome(item)) for item in found],
        "older": urlencode(question | {"cursor": str(older)}) if older is not None else "",
        "is_first": cursor is None,
        "count": count,
        "wrong": wrong,
        "log": parse_checkpoint(signed.text) if signed is not None else None,
        **_words(),
    }


def _words() -> dict[str, Any]:
    return {"outcomes": OUTCOMES, "symbols": SYMBOLS}


def _day(text: str) -> date | None:
    """Raises UsageError for what is no day."""
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError("it is no day", subject=text) from None
