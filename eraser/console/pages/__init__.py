"""The pages that people see, made from `eraser.console.static` and the templates here.

`rendering` makes a page, `language` chooses the words, `assets` serves style and script. May be imported by
`eraser.console` and what is above it.
"""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from eraser.console.identity import Permission, Viewer, anyone, require, viewer_of
from eraser.console.pages.assets import asset_response
from eraser.console.pages.bay_page import Entries, bay_context
from eraser.console.pages.failures_page import failures_context
from eraser.console.pages.language import COOKIE, Language, language_of
from eraser.console.pages.rack_page import rack_context
from eraser.console.pages.rendering import own_path, render
from eraser.console.problems import NotFound
from eraser.console.wall import Wall
from eraser.ledger.custody import Custody
from eraser.rack.view import BaySnapshot, StationPort

_YEAR_SECONDS = 365 * 24 * 3600
Looker = Annotated[Viewer, Depends(require(Permission.VIEW_RACK))]


def pages_router(
    station: StationPort, wall: Wall, *, entries: Entries | None = None, custody: Custody | None = None
) -> APIRouter:
    """Every page, with what it is made of. Without `entries` a bay's page shows no plan and no events; without `custody` the
    failures are those in the bays.
    """
    router = APIRouter(include_in_schema=False)
    _add_ground(router)
    _add_rack(router, station, wall)
    _add_bay(router, station, wall, entries)
    _add_failures(router, station, wall, custody)
    return router


def _add_ground(router: APIRouter) -> None:
    """What all pages share."""

    @router.get("/static/{asked_version}/{name:path}", dependencies=[Depends(anyone)])
    async def show_asset(asked_version: str, name: str) -> Response:
        return asset_response(asked_version, name)

    @router.get("/language/{language}", dependencies=[Depends(anyone)])
    async def choose_language(request: Request, language: Language, back: str = "/") -> Response:
        """Reading in another language changes nothing but how it reads, so a link may do it."""
        answer = RedirectResponse(own_path(back), status_code=HTTPStatus.SEE_OTHER)
        is_secure = request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, language.value, max_age=_YEAR_SECONDS, path="/", samesite="lax", secure=is_secure, httponly=True
        )
        return answer


def _add_rack(router: APIRouter, station: StationPort, wall: Wall) -> None:
    @router.get("/")
    async def show_rack(request: Request, viewer: Looker) -> Response:
        return render(request, "rack.html", rack_context(station.snapshot(), wall, language_of(request)))


def _add_bay(router: APIRouter, station: StationPort, wall: Wall, entries: Entries | None) -> None:
    @router.get("/bays/{name}")
    async def show_bay(request: Request, name: str, viewer: Looker) -> Response:
        bay = _bay(station, name)
        return render(request, "bay.html", await bay_context(bay, wall, entries, viewer, language_of(request)))

    @router.get("/bays/{name}/record")
    async def show_record(request: Request, name: str, viewer: Looker) -> Response:
        """The parts of the page that come from the ledger, for its script."""
        bay = _bay(station, name)
        context = await bay_context(bay, wall, entries, viewer, language_of(request))
        return render(request, "bay_parts.html", context)


def _add_failures(router: APIRouter, station: StationPort, wall: Wall, custody: Custody | None) -> None:
    @router.get("/failures", dependencies=[Depends(require(Permission.VIEW_FAILURES))])
    async def show_failures(request: Request) -> Response:
        context = await failures_context(station.snapshot(), wall, custody, language_of(request))
        context["may_locate"] = viewer_of(request).may(Permission.OPERATE)
        return render(request, "failures.html", context)


def _bay(station: StationPort, name: str) -> BaySnapshot:
    for bay in station.snapshot().bays:
        if bay.name == name:
            return bay
    raise NotFound("there is no such bay", subject=f"bay {name}", remedy="The rack shows those that there are.")
