"""Lots for people: the list, the form of a new one, and a lot at intake: what is expected, what has come, what it became."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response

from eraser.console.access import form_fields
from eraser.console.desk import Desk
from eraser.console.identity import Permission, Viewer, require
from eraser.console.intake import MAX_LISTED, lot_named
from eraser.console.pages.bays import card
from eraser.console.pages.language import N_, Language, language_of, translations
from eraser.console.pages.rendering import render
from eraser.domain.catalogue import STANDARDS, standard_named
from eraser.domain.intake import Opening
from eraser.domain.lot import MAX_NAME_CHARACTERS, Arrivals, Lot, LotPolicy
from eraser.domain.naming import expect_house
from eraser.domain.plan import Level
from eraser.domain.program import Verification
from eraser.errors import Refused, UsageError
from eraser.ledger.certificate_index import Search
from eraser.rack.view import StationPort

_LOOKER = Annotated[Viewer, Depends(require(Permission.VIEW_LOTS))]
_MANAGER = Annotated[Viewer, Depends(require(Permission.MANAGE_LOTS))]

PAGE = 50
MAX_PAGES = 1_000_000
USUAL_STANDARD = "gb-46864-2025"

VERIFICATIONS = {Verification.FULL: N_("in full"), Verification.SAMPLED: N_("samples"), Verification.NONE: N_("none")}
LEVELS = {Level.CLEAR: "Clear", Level.PURGE: "Purge"}

REASONS = {
    "empty": N_("no serial number"),
    "too-long": N_("too long for a serial number"),
    "not-printable": N_("characters that can't be printed"),
    "spoilt-by-spreadsheet": N_(
        "a spreadsheet made a rounded number of it: format the column as text and fill it in again"
    ),
    "duplicate": N_("the same as in line {other}"),
    "no-serials": N_("there is no serial number in the file"),
    "looks-like-world-wide-name": N_("looks like a world-wide name, not like a serial number"),
    "looks-like-part-number": N_("looks like a part number, not like a serial number"),
    "looks-like-mac": N_("looks like a MAC address, not like a serial number"),
    "looks-like-psid": N_("looks like a PSID, which is a secret: take it out of the list"),
    "looks-like-article": N_("looks like the number of an article, not like a serial number"),
    "unlikely": N_("does not look like a serial number"),
}
"""What is said of a line of an imported list, by its code."""

SAYINGS = {
    "expected": N_("Expected. Press Enter to receive it."),
    "arrived": N_("Expected, and received before."),
    "there": N_("It is in bay {bay}."),
    "unexpected": N_("Not expected in this lot."),
    "new": N_("A serial number that nothing is known of."),
    "alike": N_("Not on the list, but it looks like these. Compare with the label:"),
    "ambiguous": N_("The codes mean different drives. Begin anew, with the codes of one label."),
    "not-a-name": N_("That is not the serial number. Scan another code of the label, the one beside “S/N”."),
    "received": N_("Received: {serial}"),
    "failed": N_("It was not done: {detail}"),
    "take": N_("It is this one"),
    "none": N_("None of these"),
    "receive": N_("Receive it"),
    "receive-anyway": N_("Receive it all the same"),
    "part-number": N_("part number"),
    "world-wide-name": N_("world-wide name"),
    "mac": N_("MAC address"),
    "psid": N_("PSID (a secret, not kept)"),
    "article": N_("article"),
    "batch": N_("batch"),
    "date": N_("date"),
    "count": N_("quantity"),
    "serial": N_("serial number"),
    "unknown": N_("not known"),
    "drives": N_("{count} drives read from column {column}, {encoding}."),
    "errors": N_("{count} lines have errors. Mend them in the file and choose it again: nothing was taken over."),
    "warnings": N_("{count} lines to look at. They are taken over as they are."),
    "line": N_("Line {line}: {subject} {reason}"),
    "more": N_("and {count} more"),
    "taken": N_("The lot expects {count} drives now."),
    "apply": N_("Take over {count} drives"),
}
"""What the page's script says."""


@dataclass(frozen=True, slots=True)
class LotLine:
    """A lot in the list."""

    lot: Lot
    opening: Opening | None
    arrivals: Arrivals

    @property
    def expected(self) -> int:
        """How many drives are to come; 0 where nobody said."""
        return self.lot.expected_drives or len(self.lot.expected_serials)


def add_lots(router: APIRouter, desk: Desk, station: StationPort) -> None:
    """The list, the form, a lot, and its live part."""

    @router.get("/lots")
    async def show_lots(
        request: Request,
        viewer: _LOOKER,
        name: Annotated[str, Query(max_length=MAX_NAME_CHARACTERS)] = "",
        page: Annotated[int, Query(ge=1, le=MAX_PAGES)] = 1,
    ) -> Response:
        context = await _list_context(desk, name.strip(), page)
        rights = {
            "may_manage": viewer.may(Permission.MANAGE_LOTS),
            "may_see_specifications": desk.specified is not None and viewer.may(Permission.VIEW_CERTIFICATES),
        }
        return render(request, "lots.html", context | rights)

    @router.get("/lots/new")
    async def show_form(request: Request, viewer: _MANAGER) -> Response:
        return render(request, "lot_form.html", _form_context({"standard": USUAL_STANDARD, "start": "ask"}, ""))

    @router.post("/lots/new")
    async def add_lot(request: Request, viewer: _MANAGER) -> Response:
        asked = dict(form_fields(await request.body()))
        try:
            lot = _lot_of(asked)
            await desk.lots.put(lot, viewer.name, is_new=True)
        except (UsageError, Refused) as error:
            return render(request, "lot_form.html", _form_context(asked, str(error)))
        return RedirectResponse(f"/lots/{_quoted(lot.lot_id)}", status_code=303)

    @router.get("/lots/{lot_id}")
    async def show_lot(request: Request, lot_id: str, viewer: _LOOKER) -> Response:
        language = language_of(request)
        context = await _lot_context(desk, station, lot_id, language)
        gettext = translations(language).gettext
        words = {name: gettext(text) for name, text in SAYINGS.items()}
        reasons = {name: gettext(text) for name, text in REASONS.items()}
        rights = {
            "may_manage": viewer.may(Permission.MANAGE_LOTS),
            "may_receive": viewer.may(Permission.RECORD_CUSTODY),
            "may_enter": desk.customers is not None and viewer.may(Permission.ENTER_PERSONAL_DATA),
            "bay_names": [bay.name for bay in station.snapshot().bays],
        }
        return render(request, "lot.html", context | rights | {"words": words, "reasons": reasons})

    @router.get("/lots/{lot_id}/picture")
    async def show_picture(request: Request, lot_id: str, viewer: _LOOKER) -> Response:
        """The live part alone, for the page's script."""
        return render(request, "lot_picture.html", await _lot_context(desk, station, lot_id, language_of(request)))


async def _list_context(desk: Desk, name: str, page: int) -> dict[str, Any]:
    """The lots that are taken in, the most urgent first; then the others in pages, those described last first."""
    openings = {item.lot_id: item for item in await desk.intake.openings()}
    names = [lot_id for lot_id in await desk.lots.names() if name.casefold() in lot_id.casefold()]
    opened = await desk.lots.several([lot_id for lot_id in names if lot_id in openings])
    opened.sort(key=lambda lot: (lot.policy.deadline or "~", lot.lot_id))
    others = [lot_id for lot_id in names if lot_id not in openings]
    shown = await desk.lots.several(others[(page - 1) * PAGE : page * PAGE])
    several = [*opened, *shown] if page == 1 else shown
    found = await desk.lots.arrivals_of(several)
    lines = [LotLine(lot, openings.get(lot.lot_id), has_come) for lot, has_come in zip(several, found, strict=True)]
    return {
        "lines": lines,
        "asked": name,
        "count": len(names),
        "newer": urlencode({"name": name, "page": page - 1}) if page > 1 else "",
        "older": urlencode({"name": name, "page": page + 1}) if page * PAGE < len(others) else "",
    }


def _lot_of(asked: dict[str, str]) -> Lot:
    """Raises UsageError for what is no lot."""
    standard_named(asked.get("standard", ""))
    count = asked.get("expected_drives", "").strip()
    if count and not (count.isdecimal() and len(count) < 10):
        raise UsageError("the number of drives is no number", subject=count)
    serials = tuple(
        dict.fromkeys(line.strip() for line in asked.get("expected_serials", "").splitlines() if line.strip())
    )
    lot_id = asked.get("lot_id", "").strip()
    if "/" in lot_id:
        raise UsageError("a lot's name holds no slash", subject=lot_id)
    policy = LotPolicy(
        standard=asked.get("standard", ""),
        level=Level(asked["level"]) if asked.get("level") in set(Level) else None,
        verification=Verification(asked["verification"])
        if asked.get("verification") in set(Verification)
        else Verification.FULL,
        starts_by_itself=asked.get("start") == "by-itself",
        is_customer_waiting="is_customer_waiting" in asked,
        deadline=_moment(asked.get("deadline_utc", "") or asked.get("deadline", "")),
    )
    expected = None if serials or not count else int(count)
    return Lot(lot_id, policy, expect_house(asked.get("supplier", "").strip(), "supplier"), serials, expected)


def _moment(text: str) -> str:
    """What the form's field says, in UTC: the script has turned it from the reader's own zone."""
    if not text:
        return ""
    return text if text.endswith("Z") else f"{text}:00Z" if text.count(":") == 1 else f"{text}Z"


def _form_context(asked: dict[str, str], wrong: str) -> dict[str, Any]:
    return {
        "asked": {name: asked.get(name, "") for name in _FIELDS}
        | {"is_customer_waiting": "is_customer_waiting" in asked},
        "wrong": wrong,
        "standards": [(item.name, item.title) for item in STANDARDS],
        "verifications": VERIFICATIONS,
        "levels": LEVELS,
    }


_FIELDS = (
    "lot_id",
    "supplier",
    "standard",
    "level",
    "verification",
    "start",
    "deadline",
    "expected_drives",
    "expected_serials",
)


async def _lot_context(desk: Desk, station: StationPort, lot_id: str, language: Language) -> dict[str, Any]:
    lot = await lot_named(desk.lots, lot_id)
    arrivals = await desk.lots.arrivals(lot_id)
    opening = next((item for item in await desk.intake.openings() if item.lot_id == lot_id), None)
    bays = [card(bay, language) for bay in station.snapshot().bays if bay.lot == lot_id and bay.drive is not None]
    passed = failed = 0
    recent: Iterable[Any] = ()
    if desk.filed is not None:
        await desk.filed.index.refresh()
        passed = await desk.filed.index.count(Search(lot_id=lot_id, outcome="passed"))
        failed = await desk.filed.index.count(Search(lot_id=lot_id, outcome="failed"))
        recent = (await desk.filed.index.search(Search(lot_id=lot_id), limit=12)).found
    missing, unexpected = arrivals.missing_serials, arrivals.unexpected_serials
    return {
        "line": LotLine(lot, opening, arrivals),
        "lot": lot,
        "opening": opening,
        "arrivals": replace(arrivals, missing_serials=missing[:MAX_LISTED], unexpected_serials=unexpected[:MAX_LISTED]),
        "missing_count": max(len(missing), arrivals.missing_drives),
        "unexpected_count": len(unexpected),
        "missing_omitted": max(0, len(missing) - MAX_LISTED),
        "unexpected_omitted": max(0, len(unexpected) - MAX_LISTED),
        "bays": bays,
        "passed": passed,
        "failed": failed,
        "recent": recent,
        "verifications": VERIFICATIONS,
    }


def _quoted(text: str) -> str:
    return quote(text, safe="")
