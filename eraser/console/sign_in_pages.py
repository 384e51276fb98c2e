"""The pages before all others: signing in, setting a password by a one-time link, and opening the wall. They need no script.

Where the console's own pages have addresses of these names, theirs are served.
"""

from html import escape
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from eraser.console.access import form_fields
from eraser.console.accounts import Anyone, Reception
from eraser.console.cookies import SESSION, WALL, set_cookie
from eraser.console.identity import Viewer, anyone, signed_in, viewer_of
from eraser.console.orders import note, place_of
from eraser.console.problems import status_of
from eraser.domain.account import MIN_PASSWORD_CHARACTERS, BadLink
from eraser.errors import EraserError
from eraser.ledger.accounts import SESSION_SECONDS

MAX_COOKIE_SECONDS = 400 * 86_400.0
"""Browsers keep none for longer (RFC 6265bis §5.5)."""

_WORDS = {
    "en": {
        "sign-in": "Sign in",
        "name": "Name",
        "password": "Password",
        "set-up": "Set the password",
        "new-name": "Your name, as it stands in the records",
        "new-password": f"Password, at least {MIN_PASSWORD_CHARACTERS} characters",
        "set": "Set it",
        "signed-in-as": "You are signed in as",
        "sign-out": "Sign out",
    },
    "zh-CN": {
        "sign-in": "登录",
        "name": "姓名",
        "password": "密码",
        "set-up": "设置密码",
        "new-name": "您的姓名（将写入记录）",  # noqa: RUF001
        "new-password": f"密码，至少 {MIN_PASSWORD_CHARACTERS} 个字符",  # noqa: RUF001
        "set": "设置",
        "signed-in-as": "当前登录：",  # noqa: RUF001
        "sign-out": "退出登录",
    },
}


def sign_in_router(reception: Reception) -> APIRouter:
    """What whoever is not signed in may see."""
    router = APIRouter(include_in_schema=False)
    _add_sign_in(router, reception)
    _add_set_up(router, reception)
    _add_wall(router, reception)

    @router.get("/sign-in.css", dependencies=[Depends(anyone)])
    async def show_style() -> Response:
        return Response(_STYLE, media_type="text/css", headers={"cache-control": "max-age=3600"})

    return router


def _add_sign_in(router: APIRouter, reception: Reception) -> None:
    @router.get("/sign-in")
    async def show_sign_in(
        viewer: Anyone, wanted: Annotated[str, Query(alias="next", max_length=2000)] = "/"
    ) -> Response:
        return _sign_in_page(viewer, own_path(wanted))

    @router.post("/sign-in")
    async def sign_in(request: Request, viewer: Anyone) -> Response:
        fields = dict(form_fields(await request.body()))
        wanted = own_path(fields.get("next", "/"))
        try:
            _, secret = await reception.sign_in(request, fields.get("name", ""), fields.get("password", ""))
        except EraserError as error:
            return _sign_in_page(viewer, wanted, error)
        answer = RedirectResponse(wanted, HTTPStatus.SEE_OTHER)
        set_cookie(answer, request.scope, SESSION, secret, SESSION_SECONDS)
        return answer

    @router.post("/sign-out", dependencies=[Depends(signed_in)])
    async def sign_out(request: Request) -> Response:
        await reception.sign_out(request)
        answer = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
        for name in (SESSION, WALL):
            set_cookie(answer, request.scope, name, "", 0)
        return answer


def _add_set_up(router: APIRouter, reception: Reception) -> None:
    @router.get("/set-up")
    async def show_set_up(
        request: Request, viewer: Anyone, link: Annotated[str, Query(max_length=128)] = ""
    ) -> Response:
        reception.guesses.begin("", place_of(request.scope))
        try:
            name = await reception.accounts.link_name(link)
        except BadLink as error:
            return _page(viewer, "set-up", "", error)
        reception.guesses.succeeded("", place_of(request.scope))
        return _set_up_page(viewer, link, name)

    @router.post("/set-up")
    async def set_up(request: Request, viewer: Anyone) -> Response:
        fields = dict(form_fields(await request.body()))
        link, name, password = (fields.get(key, "") for key in ("link", "name", "password"))
        try:
            await reception.use_link(request, link, name, password)
        except BadLink as error:
            return _page(viewer, "set-up", "", error)
        except EraserError as error:
            return _set_up_page(viewer, link, fields.get("owner", ""), error)
        return RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)


def _add_wall(router: APIRouter, reception: Reception) -> None:
    @router.get("/wall-screen", dependencies=[Depends(anyone)])
    async def open_wall(request: Request, token: Annotated[str, Query(max_length=128)] = "") -> Response:
        """The address that a wall's screen is started with; from then on its browser is the wall."""
        found = await reception.accounts.token(token)
        if found is None or not found.is_wall:
            return _page(viewer_of(request), "sign-in", "", BadLink())
        note(request, "open-wall", found.label, name="wall")
        answer = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        set_cookie(answer, request.scope, WALL, token, MAX_COOKIE_SECONDS)
        return answer


def own_path(wanted: str) -> str:
    """Where to go on: a path of this station; anything else, also `//host` and `/\\host`, is its first page."""
    is_own = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if is_own else "/"


def _sign_in_page(viewer: Viewer, wanted: str, error: EraserError | None = None) -> HTMLResponse:
    words = _WORDS[viewer.language]
    form = (
        f'<form method="post" action="/sign-in"><input type="hidden" name="next" value="{escape(wanted)}">'
        f"{_token(viewer)}"
        f'<label>{words["name"]}<input name="name" autocomplete="username" required autofocus></label>'
        f'<label>{words["password"]}<input name="password" type="password" autocomplete="current-password" required>'
        f"</label><button>{words['sign-in']}</button></form>"
    )
    if viewer.is_signed_in:
        form = (
            f'<p>{words["signed-in-as"]} <b>{escape(viewer.name)}</b></p><form method="post" action="/sign-out">'
            f"{_token(viewer)}<button>{words['sign-out']}</button></form>{form}"
        )
    return _page(viewer, "sign-in", form, error)


def _set_up_page(viewer: Viewer, link: str, owner: str, error: EraserError | None = None) -> HTMLResponse:
    words = _WORDS[viewer.language]
    name = f'<p><b>{escape(owner)}</b></p><input type="hidden" name="owner" value="{escape(owner)}">'
    if not owner:
        name = f'<label>{words["new-name"]}<input name="name" autocomplete="username" required autofocus></label>'
    form = (
        f'<form method="post" action="/set-up"><input type="hidden" name="link" value="{escape(link)}">'
        f"{_token(viewer)}{name}"
        f'<label>{words["new-password"]}<input name="password" type="password" autocomplete="new-password" '
        f'minlength="{MIN_PASSWORD_CHARACTERS}" required></label><button>{words["set"]}</button></form>'
    )
    return _page(viewer, "set-up", form, error)


def _token(viewer: Viewer) -> str:
    return f'<input type="hidden" name="csrf_token" value="{escape(viewer.csrf_token)}">' if viewer.csrf_token else ""


def _page(viewer: Viewer, title: str, form: str, error: EraserError | None = None) -> HTMLResponse:
    said = f'<p role="alert">{escape(str(error))}</p>' if error is not None else ""
    heading = _WORDS[viewer.language][title]
    text = (
        f'<!doctype html><html lang="{viewer.language}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{heading} · Eraser</title>'
        f'<link rel="stylesheet" href="/sign-in.css"></head>'
        f"<body><main><h1>Eraser</h1><h2>{heading}</h2>{said}{form}</main></body></html>"
    )
    return HTMLResponse(text, status_of(error) if error is not None else HTTPStatus.OK)


def redirect_to_sign_in(wanted: str) -> RedirectResponse:
    """Leads whoever only has to sign in there, and back."""
    return RedirectResponse(f"/sign-in?{urlencode({'next': wanted})}", HTTPStatus.SEE_OTHER)


_STYLE = """
:root { color-scheme: light dark; font: 1.125rem/1.5 system-ui, "Noto Sans SC", "Microsoft YaHei", sans-serif; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; }
main { width: min(24rem, 100vw - 2rem); }
label { display: block; margin-block: 1rem; }
input, button { font: inherit; box-sizing: border-box; width: 100%; min-height: 3rem; padding: .5rem .75rem; }
input, button { border-radius: .5rem; }
input { border: 1px solid GrayText; background: Field; color: FieldText; }
button { border: 0; background: #0b57d0; color: #fff; font-weight: 600; margin-block: .5rem; }
[role=alert] { padding: .75rem; border-inline-start: .3rem solid #b3261e; }
"""
