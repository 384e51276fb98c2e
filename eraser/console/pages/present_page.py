"""The customer is present (当面清除): their own page about their own drive, and the clerk's page that gives it out.

The address is the secret. It shows one drive, as long as just that drive is in the bay, and afterwards what became of it.
"""

import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from eraser.certificates.filed import FiledCertificates
from eraser.console.access import form_fields
from eraser.console.certificates import address_to_check, attachment
from eraser.console.desk import Desk
from eraser.console.identity import Permission, Viewer, anyone, require, viewer_of
from eraser.console.orders import keep_no_answer, note
from eraser.console.pages.bays import card
from eraser.console.pages.labels_page import qr_svg
from eraser.console.pages.language import N_, Language, language_of, translations
from eraser.console.pages.rendering import render
from eraser.console.problems import NotFound
from eraser.domain.attendance import MAX_HOURS, Attendance, Confirmed, Consented, JobSeen, Opened, Step, step
from eraser.domain.catalogue import standard_named
from eraser.domain.commitment import KEY_BYTES, DriveCustomer, receipt_code
from eraser.domain.custody import drive_name
from eraser.domain.lot import instant
from eraser.errors import Refused, UsageError
from eraser.ledger.attendances import Attendances
from eraser.ledger.certificate_index import Indexed
from eraser.rack.view import BaySnapshot, StationPort

_ANYONE = [Depends(anyone)]
_CLERK = Annotated[Viewer, Depends(require(Permission.ATTEND_CUSTOMERS))]
MAX_STROKES_CHARACTERS = 30_000

CONSENT = (
    N_("Everything on this drive is overwritten: every file, also the deleted ones. It cannot be undone."),
    N_("Nobody looks at your data. The station writes and compares; it neither shows nor keeps what was on the drive."),
    N_("If a part of the drive cannot be overwritten, you are told so, and the drive is kept back."),
)
"""What they agree to, in English; what is kept is the digest of the words that they read."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What their page shows."""

    attendance: Attendance
    step: Step
    bay: BaySnapshot | None
    certificate: Indexed | None


class Presence:
    """Finds out what an address shows."""

    def __init__(self, attendances: Attendances, filed: FiledCertificates, desk: Desk, station: StationPort) -> None:
        self.attendances = attendances
        self.filed = filed
        self.desk = desk
        self.station = station

    async def shown(self, token: str) -> Shown:
        """Raises NotFound for an address that was never given out, or is too old."""
        found = await self.attendances.find(token)
        if found is None or instant(self.desk.now_utc()) > instant(found.opened_at) + timedelta(hours=MAX_HOURS):
            raise NotFound("this page is not there any more", remedy="Ask at the counter for a new code.")
        bay = self._bay(found)
        if bay is not None and bay.job_id and not found.job_id:
            # So that its certificate is found when the drive is in the customer's hand.
            await self.attendances.add(token, JobSeen(bay.job_id))
            found = await self.attendances.find(token) or found
        certificate = await self._certificate(found)
        at = step(found, bay.state.value if bay is not None else None, certificate.outcome if certificate else None)
        return Shown(found, at, bay, certificate)

    def _bay(self, found: Attendance) -> BaySnapshot | None:
        """Theirs, while just their drive is in it."""
        for bay in self.station.snapshot().bays:
            if bay.name == found.opened.bay and bay.sighting == found.opened.sighting and bay.drive is not None:
                # A later job on the same drive is another customer's matter, or the plant's.
                return bay if not found.job_id or bay.job_id in ("", found.job_id) else None
        return None

    async def customer_of(self, bay: BaySnapshot, operator: str) -> DriveCustomer | None:
        """Whose the drive in the bay is; somebody without a name where nobody was entered."""
        customers = self.desk.customers
        if customers is None or bay.drive is None:
            return None
        return await customers.of_drive(bay.drive.identity, operator)

    async def receipt_code(self, opened: Opened) -> str:
        """The code of their receipt, which shows that the certificate is theirs; of a drive that came with no lot one that
        only shows who confirmed.
        """
        customers = self.desk.customers
        if customers is None or opened.customer is None:
            return receipt_code(secrets.token_bytes(KEY_BYTES))
        return await customers.code_of(opened.customer)

    async def _certificate(self, found: Attendance) -> Indexed | None:
        if not found.job_id:
            return None
        await self.filed.index.refresh()
        item = await self.filed.index.of_job(found.job_id)
        return item if item is not None and item.withdrawn is None else None


def add_present(router: APIRouter, presence: Presence) -> None:
    """`/present` for the clerk, `/present/TOKEN` for the customer."""
    _add_clerk(router, presence)
    _add_customer(router, presence)


def _add_clerk(router: APIRouter, presence: Presence) -> None:
    station = presence.station

    @router.get("/present")
    async def choose(request: Request, viewer: _CLERK) -> Response:
        language = language_of(request)
        bays = [card(bay, language) for bay in station.snapshot().bays if bay.drive is not None and bay.sighting]
        return render(request, "present_choose.html", {"bays": bays})

    @router.post("/present")
    async def give_out(request: Request, viewer: _CLERK) -> Response:
        asked = dict(form_fields(await request.body()))
        bay = next((item for item in station.snapshot().bays if item.name == asked.get("bay")), None)
        if bay is None or bay.drive is None or bay.sighting != asked.get("sighting"):
            raise Refused("another-drive", "another drive is in the bay now", remedy="Go back, and look again.")
        name = drive_name(bay.drive.identity, bay.asset_tag)
        if name is None:
            raise Refused(
                "no-name", "nothing tells this drive from others", remedy="Bind an asset tag to the bay first."
            )
        model = bay.drive.identity.model
        # The address is a secret of the customer's: neither trail nor answers keep it.
        note(request, "present: given out", f"bay {bay.name}")
        keep_no_answer(request)
        theirs = await presence.customer_of(bay, viewer.name)
        opened = Opened(bay.name, bay.sighting, name, model, viewer.name, theirs)
        token = await presence.attendances.open(opened)
        return RedirectResponse(f"/present/{token}/code", status_code=303)

    @router.get("/present/{token}/code")
    async def show_code(request: Request, token: str, viewer: _CLERK) -> Response:
        shown = await presence.shown(token)
        base = presence.desk.check_url or str(request.base_url)
        address = f"{base.rstrip('/')}/present/{token}"
        context = _context(presence, shown, token, language_of(request))
        return render(request, "present_code.html", context | {"address": address, "qr": qr_svg(address)})

    @router.post("/present/{token}/start")
    async def start(request: Request, token: str, viewer: _CLERK) -> Response:
        """The clerk starts what the customer has agreed to."""
        shown = await presence.shown(token)
        _note(request, "started", shown)
        if shown.step is not Step.AGREED or shown.bay is None:
            raise Refused(
                "not-agreed", "the customer has not agreed yet, or it has begun", remedy="Look at their page."
            )
        await station.start(shown.bay.name, "", shown.bay.sighting, operator=viewer.name)
        return RedirectResponse(f"/present/{token}/code", status_code=303)


def _add_customer(router: APIRouter, presence: Presence) -> None:
    @router.get("/present/{token}", dependencies=_ANYONE)
    async def show(request: Request, token: str) -> Response:
        context = _context(presence, await presence.shown(token), token, language_of(request))
        return render(request, "present.html", context)

    @router.get("/present/{token}/picture", dependencies=_ANYONE)
    async def picture(request: Request, token: str) -> Response:
        """The live part alone."""
        context = _context(presence, await presence.shown(token), token, language_of(request))
        return render(request, "present_picture.html", context)

    @router.post("/present/{token}/consent", dependencies=_ANYONE)
    async def consent(request: Request, token: str) -> Response:
        shown = await presence.shown(token)
        _note(request, "agreed", shown)
        language = language_of(request)
        if shown.step is Step.EXPLAINED and "agreed" in dict(form_fields(await request.body())):
            words = "\n".join(consent_words(language))
            digest = hashlib.sha256(words.encode()).hexdigest()
            await presence.attendances.add(token, Consented(language.value, digest))
        return RedirectResponse(f"/present/{quote(token, safe='')}", status_code=303)

    @router.post("/present/{token}/confirmation", dependencies=_ANYONE)
    async def confirm(request: Request, token: str) -> Response:
        shown = await presence.shown(token)
        _note(request, "confirmed", shown)
        keep_no_answer(request)
        if shown.step not in (Step.PASSED, Step.FAILED) or shown.attendance.confirmed_at:
            return RedirectResponse(f"/present/{quote(token, safe='')}", status_code=303)
        strokes = dict(form_fields(await request.body())).get("strokes", "")[:MAX_STROKES_CHARACTERS]
        code = await presence.receipt_code(shown.attendance.opened)
        is_signed = has_strokes(strokes)
        await presence.attendances.add(token, Confirmed(receipt_of(code, strokes if is_signed else ""), is_signed))
        # The only time that it is shown: the ledger has its digest alone.
        context = _context(presence, await presence.shown(token), token, language_of(request))
        return render(request, "present.html", context | {"code": code, "qr_code": qr_svg(code)})

    @router.get("/present/{token}/certificate.pdf", dependencies=_ANYONE)
    async def take_along(request: Request, token: str) -> Response:
        shown = await presence.shown(token)
        if shown.certificate is None:
            raise NotFound("there is no certificate yet", remedy="It is issued when the job has ended.")
        item = shown.certificate
        address = address_to_check(presence.desk.check_url, item)
        pdf = await presence.filed.pdf(item.certificate_id, language_of(request).value, address)
        headers = attachment(f"{item.certificate_id}.pdf") | {"cache-control": "no-store"}
        return Response(pdf, media_type="application/pdf", headers=headers)


def _title(standard: str) -> str:
    try:
        return standard_named(standard).title
    except UsageError:
        return standard


def _note(request: Request, what: str, shown: Shown) -> None:
    """In the trail, without the address; of the customer it knows no name."""
    name = viewer_of(request).name or "customer"
    note(request, f"present: {what}", f"bay {shown.attendance.opened.bay}", name=name)


def consent_words(language: Language) -> list[str]:
    """What they read before they agree."""
    gettext = translations(language).gettext
    return [gettext(sentence) for sentence in CONSENT]


def receipt_of(code: str, strokes: str) -> str:
    """What is kept of a confirmation: whoever has the code, and the drawing where there is one, can show that it is theirs."""
    return hashlib.sha256(f"{code}\n{strokes}".encode()).hexdigest()


def has_strokes(text: str) -> bool:
    """Whether somebody drew something: lists of points, as the page's script writes them."""
    try:
        strokes = json.loads(text) if text else []
    except (ValueError, RecursionError):
        return False
    return isinstance(strokes, list) and any(isinstance(stroke, list) and len(stroke) > 4 for stroke in strokes)


def _context(presence: Presence, shown: Shown, token: str, language: Language) -> dict[str, Any]:
    bay, at = shown.bay, shown.attendance
    standard = bay.standard if bay is not None else shown.certificate.standard if shown.certificate else ""
    certificate = shown.certificate
    check = address_to_check(presence.desk.check_url, certificate) if certificate is not None else ""
    ends_at = datetime.fromisoformat(at.opened_at) + timedelta(hours=MAX_HOURS)
    return {
        "shown": shown,
        "step": shown.step.value,
        "token": token,
        "drive": at.opened,
        "bay": bay,
        "item": certificate,
        "standard": _title(standard),
        "consent": consent_words(language),
        "qr_check": qr_svg(check) if check else "",
        "code": "",
        "is_theirs": at.opened.customer is not None,
        "ends_at": ends_at.isoformat().replace("+00:00", "Z"),
    }
