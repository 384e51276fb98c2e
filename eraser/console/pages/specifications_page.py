"""What other programs ask of single drives, for people: what waits for its drive, what is under way, what was answered how."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from eraser.console.identity import Permission, require
from eraser.console.pages.language import N_
from eraser.console.pages.lots_page import VERIFICATIONS
from eraser.console.pages.rendering import render
from eraser.ledger.certificate_index import CertificateIndex
from eraser.ledger.specifications import Progress, Specifications

PAGE = 50
MAX_CURSOR = 1 << 53

PROGRESS = {
    Progress.WAITING: N_("Waits for its drive"),
    Progress.ARRIVED: N_("The drive is here"),
    Progress.REPORTED: N_("Has its certificate"),
}
SHORTFALLS = {
    "outcome": N_("the job failed"),
    "standard": N_("another standard"),
    "level": N_("a weaker level"),
    "verification": N_("less was read back"),
}


def add_specifications(router: APIRouter, specified: Specifications, index: CertificateIndex) -> None:
    """`/specifications`."""

    @router.get("/specifications", dependencies=[Depends(require(Permission.VIEW_CERTIFICATES))])
    async def show_specifications(
        request: Request, progress: str = "", cursor: Annotated[int, Query(ge=0, lt=MAX_CURSOR)] = 0
    ) -> Response:
        chosen = Progress(progress) if progress in set(Progress) else None
        await index.refresh()
        found = await specified.queue(chosen, after=cursor, limit=PAGE + 1)
        shown = found[:PAGE]
        more = (
            {"progress": chosen.value if chosen is not None else "", "cursor": str(shown[-1].number)} if shown else {}
        )
        context = {
            "rows": shown,
            "chosen": chosen,
            "is_first": cursor == 0,
            "more": urlencode(more) if len(found) > PAGE else "",
            "progress": PROGRESS,
            "shortfalls": SHORTFALLS,
            "verifications": VERIFICATIONS,
        }
        return render(request, "specifications.html", context)
