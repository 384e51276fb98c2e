"""The pages of who comes in: signing in, setting a password by a one-time link, one's own account, everybody's, the trail, and
the address that a wall's screen is started with. They need no script.
"""

from http import HTTPStatus
from typing import Annotated
from urllib.parse import parse_qs, urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response

from eraser.console.access import form_fields
from eraser.console.accounts import Reception
from eraser.console.cookies import SESSION, WALL, set_cookie
from eraser.console.identity import Permission, Viewer, anyone, require, signed_in
from eraser.console.orders import keep_no_answer, note
from eraser.console.pages.language import N_
from eraser.console.pages.rendering import own_path, render_form
from eraser.domain.account import MIN_PASSWORD_CHARACTERS, PEOPLE, Account, BadLink, Role, account_name, roles_of
from eraser.errors import EraserError, Refused
from eraser.ledger.accounts import LINK_SECONDS, SESSION_SECONDS

MAX_COOKIE_SECONDS = 400 * 86_400.0
"""Browsers keep none for longer (RFC 6265bis §5.5)."""
TRAIL_PAGE = 200

Anyone = Annotated[Viewer, Depends(anyone)]
SignedIn = Annotated[Viewer, Depends(signed_in)]
TO_MANAGE = [Depends(require(Permission.MANAGE_ACCOUNTS))]

ROLE_WORDS = {
    Role.OPERATOR: N_("Rack operator"),
    Role.CLERK: N_("Clerk"),
    Role.OPS: N_("Operations"),
    Role.AUDITOR: N_("Auditor"),
    Role.PRIVACY_OFFICER: N_("Privacy officer"),
    Role.ADMINISTRATOR: N_("Administrator"),
    Role.WALL: N_("Wall screen"),
    Role.PROGRAM: N_("Program"),
    Role.DEMO: N_("Demo user of a simulated rack"),
    Role.HOST_USER: N_("User of this host"),
    Role.MASTER: N_("Root of this host"),
}


def account_pages(reception: Reception) -> APIRouter:
    """All of them."""
    router = APIRouter(include_in_schema=False)
    _add_sign_in(router, reception)
    _add_set_up(router, reception)
    _add_wall(router, reception)
    _add_own_account(router, reception)
    _add_accounts(router, reception)
    _add_trail(router, reception)
    return router


def _add_sign_in(router: APIRouter, reception: Reception) -> None:
    @router.get("/sign-in")
    async def show_sign_in(
        request: Request, viewer: Anyone, wanted: Annotated[str, Query(alias="next", max_length=2000)] = "/"
    ) -> Response:
        return render_form(request, "sign_in.html", {"wanted": own_path(wanted), "asked": ""})

    @router.post("/sign-in")
    async def sign_in(request: Request, viewer: Anyone) -> Response:
        fields = await _fields(request)
        wanted, name = own_path(fields.get("next", "/")), fields.get("name", "")
        try:
            _, secret = await reception.sign_in(request, name, fields.get("password", ""))
        except EraserError as error:
            return render_form(request, "sign_in.html", {"wanted": wanted, "asked": name}, error)
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
        try:
            owner = await reception.link_owner(request, link)
        except EraserError as error:
            return _set_uprender_form(request, "", "", error)
        return _set_uprender_form(request, link, owner)

    @router.post("/set-up")
    async def set_up(request: Request, viewer: Anyone) -> Response:
        fields = await _fields(request)
        link, name, password = (fields.get(key, "") for key in ("link", "name", "password"))
        try:
            await reception.use_link(request, link, name, password)
        except BadLink as error:
            return _set_uprender_form(request, "", "", error)
        except EraserError as error:
            return _set_uprender_form(request, link, fields.get("owner", ""), error)
        return RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)


def _set_uprender_form(request: Request, link: str, owner: str, error: EraserError | None = None) -> Response:
    context = {"link": link, "owner": owner, "characters": MIN_PASSWORD_CHARACTERS}
    return render_form(request, "set_up.html", context, error)


def _add_wall(router: APIRouter, reception: Reception) -> None:
    @router.get("/wall-screen")
    async def open_wall(
        request: Request, viewer: Anyone, token: Annotated[str, Query(max_length=128)] = ""
    ) -> Response:
        """From then on its browser is the wall."""
        found = await reception.accounts.token(token)
        if found is None or not found.is_wall:
            return render_form(request, "sign_in.html", {"wanted": "/", "asked": ""}, BadLink())
        note(request, "open-wall", found.label, name="wall")
        answer = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        set_cookie(answer, request.scope, WALL, token, MAX_COOKIE_SECONDS)
        return answer


def _add_own_account(router: APIRouter, reception: Reception) -> None:
    @router.get("/account")
    async def show_account(request: Request, viewer: SignedIn, changed: bool = False) -> Response:
        return _account_page(request, viewer, is_changed=changed)

    @router.post("/account/password")
    async def change_password(request: Request, viewer: SignedIn) -> Response:
        fields = await _fields(request)
        try:
            await reception.change_password(request, viewer, fields.get("old", ""), fields.get("new", ""))
        except EraserError as error:
            return _account_page(request, viewer, error=error)
        return RedirectResponse("/account?changed=1", HTTPStatus.SEE_OTHER)


def _account_page(
    request: Request, viewer: Viewer, *, is_changed: bool = False, error: EraserError | None = None
) -> Response:
    words = [ROLE_WORDS[role] for role in Role if role in viewer.roles]
    context = {"role_words": words, "is_changed": is_changed, "characters": MIN_PASSWORD_CHARACTERS}
    return render_form(request, "account.html", context, error)


def _add_accounts(router: APIRouter, reception: Reception) -> None:
    accounts = reception.accounts

    async def page(request: Request, error: EraserError | None = None, *, owner: str = "", link: str = "") -> Response:
        people = await accounts.page(limit=1000)
        address = f"{request.headers.get('x-forwarded-proto', request.url.scheme)}://{request.headers.get('host', '')}"
        context = {
            "people": people,
            "roles": {role: ROLE_WORDS[role] for role in PEOPLE},
            "owner": owner,
            "link": f"{address}/set-up?link={link}" if link else "",
            "hours": int(LINK_SECONDS // 3600),
        }
        return render_form(request, "accounts.html", context, error)

    @router.get("/accounts", dependencies=TO_MANAGE)
    async def show_accounts(request: Request) -> Response:
        return await page(request)

    @router.post("/accounts", dependencies=TO_MANAGE)
    async def order(request: Request) -> Response:
        """One form for each thing that may be done; `what` says which."""
        fields = await _lists(request)
        name, what = fields.get("name", [""])[0], fields.get("what", [""])[0]
        keep_no_answer(request)
        try:
            link = await _change(request, reception, what, name, fields.get("role", []))
        except EraserError as error:
            return await page(request, error)
        reception.door.forget()
        return await page(request, owner=name, link=link)


async def _change(request: Request, reception: Reception, what: str, name: str, roles: list[str]) -> str:
    """The secret of the one-time link where there is one."""
    accounts = reception.accounts
    name = account_name(name)
    match what:
        case "add":
            account = Account(name, roles_of(roles))
            note(request, f"add-account ({', '.join(account.roles)})", name)
            return await accounts.add(account)
        case "roles":
            note(request, f"change-account (roles: {'+'.join(roles)})", name)
            await accounts.change(name, roles=roles_of(roles))
        case "disable" | "enable":
            note(request, f"{what}-account", name)
            await accounts.change(name, is_disabled=what == "disable")
        case "reset":
            note(request, "reset-account", name)
            return await accounts.reset(name)
        case _:
            raise Refused("unknown-order", "there is no such order", subject=ascii(what)[:40])
    return ""


def _add_trail(router: APIRouter, reception: Reception) -> None:
    @router.get("/trail", dependencies=[Depends(require(Permission.VIEW_TRAIL))])
    async def show_trail(
        request: Request, name: Annotated[str, Query(max_length=100, pattern=r"^[^\x00-\x1f]*$")] = ""
    ) -> Response:
        deeds = await reception.books.trail.newest(TRAIL_PAGE, name=name)
        return render_form(request, "trail.html", {"deeds": deeds, "name": name, "most": TRAIL_PAGE})


def redirect_to_sign_in(wanted: str) -> RedirectResponse:
    """Leads whoever only has to sign in there, and back."""
    return RedirectResponse(f"/sign-in?{urlencode({'next': wanted})}", HTTPStatus.SEE_OTHER)


async def _fields(request: Request) -> dict[str, str]:
    return dict(form_fields(await request.body()))


async def _lists(request: Request) -> dict[str, list[str]]:
    try:
        return parse_qs((await request.body()).decode(), max_num_fields=100)
    except ValueError:
        return {}
