"""The pages that people see, made from `eraser.console.static` and the templates here.

`rendering` makes a page, `language` chooses the words, `assets` serves style and script. May be imported by
`eraser.console` and what is above it.
"""

from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from eraser.console.pages.assets import asset_response
from eraser.console.pages.language import COOKIE, Language
from eraser.rack.view import StationPort

_YEAR_SECONDS = 365 * 24 * 3600


def pages_router(station: StationPort) -> APIRouter:
    """Every page, with what it is made of. Who may see what is decided before a request comes here."""
    router = APIRouter(include_in_schema=False)
    _add_ground(router)
    return router


def _add_ground(router: APIRouter) -> None:
    """What all pages share."""

    @router.get("/static/{asked_version}/{name:path}")
    async def show_asset(asked_version: str, name: str) -> Response:
        return asset_response(asked_version, name)

    @router.get("/language/{language}")
    async def choose_language(request: Request, language: Language, back: str = "/") -> Response:
        """Reading in another language changes nothing but how it reads, so a link may do it."""
        # A path of ours alone: "//elsewhere" and "/\elsewhere" are other hosts to a browser.
        is_ours = back.startswith("/") and not back.startswith(("//", "/\\")) and back.isprintable()
        answer = RedirectResponse(back if is_ours else "/", status_code=HTTPStatus.SEE_OTHER)
        answer.set_cookie(
            COOKIE,
            language.value,
            max_age=_YEAR_SECONDS,
            path="/",
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return answer
