"""Labels to print: at intake, so that a drive's lot is on it; after its job, so that its result is. All by the keyboard."""

import re
from http import HTTPStatus
from io import BytesIO
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

import segno
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response

from eraser.certificates.filed import FiledCertificates
from eraser.console.certificates import Id, address_to_check, code_of, known_certificate
from eraser.console.desk import Desk
from eraser.console.identity import Permission, require
from eraser.console.intake import lot_named
from eraser.console.pages.certificates_page import OUTCOMES, SYMBOLS, shown_outcome
from eraser.console.pages.rendering import own_path, render
from eraser.domain.custody import AMBIGUOUS, DriveName
from eraser.domain.events import Outcome
from eraser.domain.scanning import MAX_SCAN_CHARACTERS, codes_of
from eraser.ledger.certificate_index import Indexed, Search

_VIEW = [Depends(require(Permission.VIEW_CERTIFICATES))]
_VIEW_LOTS = [Depends(require(Permission.VIEW_LOTS))]
RECENT = 24
SIZES = ("57x32", "62x29", "70x40", "100x50")
"""Of labels, width by height in mm: those of the usual rolls. `static/labels.css` has one page for each."""
USUAL_SIZE = "70x40"
SIZE_COOKIE = "label-size"
_YEAR_SECONDS = 365 * 24 * 3600
Name = Annotated[str, Query(max_length=128)]
_PAPER_CODE = re.compile(r"(?:^eraser:|/check/)([A-Za-z0-9-]{8,64})[.:]")
"""The id in what our own QR codes hold."""


def add_labels(router: APIRouter, desk: Desk, filed: FiledCertificates) -> None:
    """`/labels` finds the result that a scan means; the others are the labels themselves."""

    @router.get("/labels", dependencies=_VIEW)
    async def show_labels(
        request: Request, scan: Annotated[str, Query(max_length=MAX_SCAN_CHARACTERS)] = ""
    ) -> Response:
        found = await results_of(filed, scan) if scan.strip() else []
        if len(found) == 1:
            question = urlencode({"certificate": found[0].certificate_id, "print": "1", "back": "/labels"})
            return RedirectResponse(f"/labels/result?{question}", status_code=303)
        await filed.index.refresh()
        recent = (await filed.index.search(Search(), limit=RECENT)).found
        wrong = "" if not scan.strip() else "several" if found else "none"
        context = {"scan": scan, "wrong": wrong, "rows": [(item, shown_outcome(item)) for item in found or recent]}
        return render(request, "labels.html", context | {"outcomes": OUTCOMES, "symbols": SYMBOLS})

    @router.get("/labels/size/{size}", dependencies=_VIEW_LOTS)
    async def choose_size(request: Request, size: Literal[SIZES], back: str = "/labels") -> Response:  # type: ignore[valid-type]
        """Each desk has its own printer, so the browser remembers it."""
        answer = RedirectResponse(own_path(back, "/labels"), status_code=HTTPStatus.SEE_OTHER)
        is_secure = request.url.scheme == "https"
        answer.set_cookie(
            SIZE_COOKIE, size, max_age=_YEAR_SECONDS, path="/labels", samesite="lax", secure=is_secure, httponly=True
        )
        return answer

    @router.get("/labels/result", dependencies=_VIEW)
    async def show_result(request: Request, certificate: Id, back: str = "/labels") -> Response:
        item = await known_certificate(filed, certificate)
        # What an older certificate says is not what the drive in the hand is.
        newer = await filed.index.newer(item)
        address = address_to_check(desk.check_url, item) or f"eraser:{item.certificate_id}:{item.digest.hex()}"
        outcome = shown_outcome(item)
        held = await _why_held(desk, item)
        is_good = outcome == Outcome.PASSED.value and newer is None and not held
        context = {
            "item": item,
            "newer": newer,
            "held": held,
            "outcome": outcome,
            "is_good": is_good,
            "code": code_of(item.certificate_id, item.digest),
            "qr": qr_svg(address),
            "back": own_path(back, "/labels"),
        }
        return render(request, "label_result.html", context | _sizes(request))

    @router.get("/labels/intake", dependencies=_VIEW_LOTS)
    async def show_intake(request: Request, lot: Name, serial: Name, tag: Name = "", back: str = "/labels") -> Response:
        described = await lot_named(desk.lots, lot)
        context = {
            "lot": described,
            "serial": serial,
            "tag": tag,
            "qr": qr_svg(tag or serial),
            "back": own_path(back, "/labels"),
        }
        return render(request, "label_intake.html", context | _sizes(request))


async def _why_held(desk: Desk, item: Indexed) -> str:
    """Why the drive may not leave whatever its certificate says, such as that it was put aside; empty where nothing speaks
    against it.
    """
    serial = item.serial if item.is_serial_own else ""
    if not serial and not item.world_wide_name:
        return ""
    found = await desk.custody.history(DriveName(serial, item.world_wide_name))
    if found.gathered.is_ambiguous:
        return AMBIGUOUS.what
    return found.standing.twice or found.standing.quarantine


def _sizes(request: Request) -> dict[str, Any]:
    """What this browser's printer has in it, and what it may have."""
    size = request.cookies.get(SIZE_COOKIE, "")
    # Chosen anew it is shown again, and not printed at once.
    asked = urlencode([item for item in request.query_params.multi_items() if item[0] != "print"])
    here = quote(f"{request.url.path}?{asked}", safe="")
    return {"size": size if size in SIZES else USUAL_SIZE, "sizes": SIZES, "here": here}


async def results_of(filed: FiledCertificates, scan: str) -> list[Indexed]:
    """The newest certificate of each drive that the codes may name, or the one whose own code was scanned."""
    await filed.index.refresh()
    if (own := _PAPER_CODE.search(scan)) is not None:
        item = await filed.index.one(own[1])
        return [item] if item is not None else []
    found: dict[tuple[str, str], Indexed] = {}
    for code in codes_of(scan):
        for value in dict.fromkeys((code.value, f"WD-{code.value}", code.value[1:] if code.value[:1] == "S" else "")):
            if not value:
                continue
            for item in (await filed.index.search(Search(drive=value), limit=10)).found:
                if value in (item.serial, item.world_wide_name) or value.lower() == item.world_wide_name:
                    found.setdefault((item.serial, item.world_wide_name), item)
    return list(found.values())


def qr_svg(text: str) -> str:
    """A QR code as SVG without any style in it; a seventh of it may be worn off."""
    out = BytesIO()
    segno.make(text, error="m", boost_error=False, micro=False).save(
        out, kind="svg", border=2, xmldecl=False, svgns=True, omitsize=True, dark="#000", light="#fff", nl=False
    )
    return out.getvalue().decode()
