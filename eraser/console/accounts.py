"""Accounts in the API: signing in and out, passwords, who may come in, tokens, and the trail of what was done.

A secret (the link for setting a password, an API token) is shown once, to whoever made it, and only its hash is kept.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from eraser.console.cookies import SESSION, WALL, read_cookie, set_cookie
from eraser.console.identity import LANGUAGES, Viewer, anyone, require, signed_in
from eraser.console.orders import Books, keep_no_answer, note, place_of
from eraser.console.paging import Limit, page_answer
from eraser.console.passwords import GuessLimit, Passwords
from eraser.console.problems import Forbidden, Unauthenticated
from eraser.console.recognising import Door, csrf_token
from eraser.console.texts import printable
from eraser.domain.account import (
    MAX_NAME_CHARACTERS,
    MAX_PASSWORD_CHARACTERS,
    AccessToken,
    Account,
    Permission,
    account_name,
    permissions_of,
    refuse_weak,
    roles_of,
)
from eraser.errors import UsageError
from eraser.ledger.accounts import SESSION_SECONDS, Accounts

MAX_TOKEN_DAYS = 3650
DAY_SECONDS = 86_400.0

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]
NamePath = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]
Password = Annotated[str, Field(min_length=1, max_length=MAX_PASSWORD_CHARACTERS)]
Secret = Annotated[str, Field(min_length=1, max_length=128)]
Language = Annotated[str, Field(description="Empty: the browser's", max_length=10)]
RoleNames = Annotated[tuple[Annotated[str, Field(max_length=32)], ...], Field(min_length=1, max_length=10)]

Anyone = Annotated[Viewer, Depends(anyone)]
SignedIn = Annotated[Viewer, Depends(signed_in)]
Manager = Annotated[Viewer, Depends(require(Permission.MANAGE_ACCOUNTS))]
TO_MANAGE = [Depends(require(Permission.MANAGE_ACCOUNTS))]
TO_SEE_THE_TRAIL = [Depends(require(Permission.VIEW_TRAIL))]


@dataclass(frozen=True, slots=True)
class Reception:
    """What letting people in needs."""

    accounts: Accounts
    books: Books
    door: Door
    passwords: Passwords
    guesses: GuessLimit

    async def sign_in(self, request: Request, name: str, password: str) -> tuple[Account, str]:
        """The account and the secret of its new session; an earlier session of the browser ends, whoever's it was.

        Raises Unauthenticated, with the same words whatever is wrong; TooMany for who guesses; Busy.
        """
        place = place_of(request.scope)
        self.guesses.begin(name, place)
        known = await self.accounts.known(name) if _is_sayable(name) else None
        fits = await self.passwords.fits(known.password_hash if known is not None else "", password)
        # The trail does not keep what was typed where a name is expected: sometimes it is a password.
        note(request, "sign-in", name=known.account.name if known is not None else "")
        if known is None or not fits or known.account.is_disabled:
            raise Unauthenticated("the name or the password is wrong", remedy="Try again.")
        self.guesses.succeeded(name, place)
        if self.passwords.is_outdated(known.password_hash):
            await self.accounts.set_password(name, await self.passwords.hash(password))
        earlier = read_cookie(request.scope, SESSION)
        secret = await self.accounts.begin_session(name, instead_of=earlier)
        self.door.forget()
        return known.account, secret

    async def use_link(self, request: Request, link: str, name: str, password: str) -> Account:
        """Sets the password that the one-time link is for. Raises BadLink, UsageError, TooMany, Busy."""
        owner = await self.link_owner(request, link)
        name = owner or account_name(name)
        refuse_weak(password, name)
        note(request, "set-password" if owner else "set-up", name, name=name)
        account = await self.accounts.use_link(link, name, await self.passwords.hash(password))
        self.door.forget()
        return account

    async def link_owner(self, request: Request, link: str) -> str:
        """Whose one-time link it is; empty for the first account's. Raises BadLink, TooMany."""
        place = place_of(request.scope)
        self.guesses.begin("", place)
        owner = await self.accounts.link_name(link)
        self.guesses.succeeded("", place)
        return owner

    async def change_password(self, request: Request, viewer: Viewer, old: str, new: str) -> None:
        """One's own; ends one's other sessions. Raises Forbidden, UsageError, TooMany, Busy."""
        if viewer.way != "session":
            raise Forbidden("no-session", "only people who signed in have a password", subject=viewer.name)
        place = place_of(request.scope)
        note(request, "change-password", viewer.name)
        self.guesses.begin(viewer.name, place)
        known = await self.accounts.known(viewer.name)
        if known is None or not await self.passwords.fits(known.password_hash, old):
            raise Forbidden("wrong-password", "the old password is wrong", subject=viewer.name, remedy="Try again.")
        self.guesses.succeeded(viewer.name, place)
        refuse_weak(new, viewer.name)
        hashed = await self.passwords.hash(new)
        await self.accounts.set_password(viewer.name, hashed, keep=read_cookie(request.scope, SESSION))
        self.door.forget()

    async def sign_out(self, request: Request) -> None:
        """The browser's session is over."""
        note(request, "sign-out")
        await self.accounts.end_session(read_cookie(request.scope, SESSION))
        self.door.forget()


def _is_sayable(name: str) -> bool:
    try:
        return bool(account_name(name))
    except UsageError:
        return False


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SignInOrder(_Body):
    """Name and password."""

    name: Name
    password: Password


class NewPasswordOrder(_Body):
    """A password by a one-time link. `name`: of the first account, which such a link makes; else it is left out."""

    link: Secret
    name: Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)] = ""
    password: Password


class ChangePasswordOrder(_Body):
    """One's own password."""

    old: Password
    new: Password


class LanguageOrder(_Body):
    """In which language the pages speak to one."""

    language: Language


class NewAccountOrder(_Body):
    """A person; the answer holds the one-time link for setting the password."""

    name: Name
    roles: RoleNames
    language: Language = ""


class ChangeAccountOrder(_Body):
    """What is not said stays."""

    roles: RoleNames | None = None
    is_disabled: StrictBool | None = None
    language: Language | None = None


class NewTokenOrder(_Body):
    """A program's token with its scopes (permissions), or the wall's, which has none."""

    label: Name
    scopes: Annotated[tuple[Permission, ...], Field(max_length=len(Permission))] = ()
    is_wall: StrictBool = False
    days: Annotated[int, Field(ge=1, le=MAX_TOKEN_DAYS)] = 365


class SessionForm(BaseModel):
    """Who one is to the station."""

    name: str
    roles: list[str]
    permissions: list[str]
    language: str
    csrf_token: str


def accounts_router(reception: Reception) -> APIRouter:
    """Everything below `/api/v1` about who may come in."""
    router = APIRouter(prefix="/api/v1")
    _add_session(router, reception)
    _add_passwords(router, reception)
    _add_accounts(router, reception)
    _add_tokens(router, reception)
    _add_trail(router, reception.books)
    return router


def _add_session(router: APIRouter, reception: Reception) -> None:
    @router.post("/session", status_code=HTTPStatus.CREATED, response_model=SessionForm)
    async def sign_in(request: Request, order: SignInOrder, viewer: Anyone) -> Response:
        account, secret = await reception.sign_in(request, order.name, order.password)
        keep_no_answer(request)
        form = SessionForm(
            name=account.name,
            roles=_values(account.roles),
            permissions=_values(permissions_of(account.roles)),
            language=account.language or viewer.language,
            csrf_token=csrf_token(secret),
        )
        answer = JSONResponse(form.model_dump(), HTTPStatus.CREATED)
        set_cookie(answer, request.scope, SESSION, secret, SESSION_SECONDS)
        return answer

    @router.get("/session")
    async def show_session(viewer: SignedIn) -> SessionForm:
        return SessionForm(
            name=viewer.name,
            roles=_values(viewer.roles),
            permissions=_values(viewer.permissions),
            language=viewer.language,
            csrf_token=viewer.csrf_token,
        )

    @router.delete("/session", status_code=HTTPStatus.NO_CONTENT)
    async def sign_out(request: Request, viewer: SignedIn) -> Response:
        await reception.sign_out(request)
        answer = Response(status_code=HTTPStatus.NO_CONTENT)
        for name in (SESSION, WALL):
            set_cookie(answer, request.scope, name, "", 0)
        return answer

    @router.put("/session/language", status_code=HTTPStatus.NO_CONTENT)
    async def choose_language(request: Request, order: LanguageOrder, viewer: SignedIn) -> Response:
        note(request, "choose-language", order.language)
        if viewer.way == "session":
            await reception.accounts.change(viewer.name, language=_language(order.language))
            reception.door.forget()
        answer = Response(status_code=HTTPStatus.NO_CONTENT)
        answer.set_cookie("language", _language(order.language), max_age=int(365 * DAY_SECONDS), samesite="strict")
        return answer


def _add_passwords(router: APIRouter, reception: Reception) -> None:
    @router.post("/password", status_code=HTTPStatus.NO_CONTENT)
    async def use_link(request: Request, order: NewPasswordOrder, viewer: Anyone) -> Response:
        await reception.use_link(request, order.link, order.name, order.password)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    @router.put("/session/password", status_code=HTTPStatus.NO_CONTENT)
    async def change_password(request: Request, order: ChangePasswordOrder, viewer: SignedIn) -> Response:
        await reception.change_password(request, viewer, order.old, order.new)
        return Response(status_code=HTTPStatus.NO_CONTENT)


def _add_accounts(router: APIRouter, reception: Reception) -> None:
    accounts = reception.accounts

    @router.get("/accounts", dependencies=TO_MANAGE)
    async def list_accounts(
        request: Request, after: Annotated[str, Query(max_length=64)] = "", limit: Limit = 100
    ) -> Any:
        found = await accounts.page(printable(after), limit + 1)
        return page_answer(
            request, [_account_form(account) for account in found], limit, lambda form: str(form["name"])
        )

    @router.post("/accounts", status_code=HTTPStatus.CREATED, dependencies=TO_MANAGE)
    async def add_account(request: Request, order: NewAccountOrder) -> Any:
        account = Account(account_name(order.name), roles_of(order.roles), _language(order.language))
        note(request, f"add-account ({', '.join(account.roles)})", account.name)
        keep_no_answer(request)
        return {"name": account.name, "link": link_path(await accounts.add(account))}

    @router.patch("/accounts/{name}", dependencies=TO_MANAGE)
    async def change_account(request: Request, name: NamePath, order: ChangeAccountOrder) -> Any:
        said = {key: value for key, value in order.model_dump().items() if value is not None}
        note(request, f"change-account ({', '.join(f'{key}: {_said(value)}' for key, value in said.items())})", name)
        changed = await accounts.change(
            account_name(name),
            roles=roles_of(order.roles) if order.roles is not None else None,
            is_disabled=order.is_disabled,
            language=_language(order.language) if order.language is not None else None,
        )
        reception.door.forget()
        return _account_form(changed)

    @router.post("/accounts/{name}/reset", dependencies=TO_MANAGE)
    async def reset_account(request: Request, name: NamePath) -> Any:
        note(request, "reset-account", name)
        keep_no_answer(request)
        link = await accounts.reset(account_name(name))
        reception.door.forget()
        return {"name": name, "link": link_path(link)}


def _add_tokens(router: APIRouter, reception: Reception) -> None:
    accounts = reception.accounts

    @router.get("/tokens", dependencies=TO_MANAGE)
    async def list_tokens(
        request: Request, after: Annotated[str, Query(max_length=64)] = "", limit: Limit = 100
    ) -> Any:
        found = await accounts.tokens(printable(after), limit + 1)
        return page_answer(request, [_token_form(token) for token in found], limit, lambda form: str(form["token_id"]))

    @router.post("/tokens", status_code=HTTPStatus.CREATED)
    async def add_token(request: Request, order: NewTokenOrder, viewer: Manager) -> Any:
        if bool(order.scopes) == order.is_wall:
            raise UsageError("a program's token has scopes, and the wall's has none", remedy="Give one or the other.")
        label = account_name(order.label)
        note(request, f"add-token ({', '.join(order.scopes) or 'wall'})", label)
        keep_no_answer(request)
        token, secret = await accounts.add_token(
            label, order.scopes, viewer.name, order.days * DAY_SECONDS, is_wall=order.is_wall
        )
        return _token_form(token) | {"token": secret}

    @router.delete("/tokens/{token_id}", status_code=HTTPStatus.NO_CONTENT, dependencies=TO_MANAGE)
    async def end_token(request: Request, token_id: Annotated[str, Field(max_length=64)]) -> Response:
        note(request, "end-token", token_id)
        await accounts.end_token(printable(token_id))
        reception.door.forget()
        return Response(status_code=HTTPStatus.NO_CONTENT)


def _add_trail(router: APIRouter, books: Books) -> None:
    @router.get("/trail", dependencies=TO_SEE_THE_TRAIL)
    async def show_trail(
        request: Request,
        after: Annotated[int, Query(ge=0, le=2**53)] = 0,
        limit: Limit = 100,
        name: Annotated[str, Query(max_length=100)] = "",
        subject: Annotated[str, Query(max_length=500)] = "",
    ) -> Any:
        found = await books.trail.page(after, limit + 1, name=printable(name), subject=printable(subject))
        return page_answer(
            request,
            [{"number": number} | asdict(deed) for number, deed in found],
            limit,
            lambda form: str(form["number"]),
        )


def link_path(link: str) -> str:
    """Where a one-time link leads, below the station's address."""
    return f"/set-up?link={link}"


def _values(items: Iterable[str]) -> list[str]:
    return sorted(str(item) for item in items)


def _said(value: Any) -> str:
    return "+".join(value) if isinstance(value, tuple) else str(value)


def _language(text: str) -> str:
    if text and text not in LANGUAGES:
        raise UsageError("the pages do not speak it", subject=ascii(text), remedy=f"Choose {' or '.join(LANGUAGES)}.")
    return text


def _account_form(account: Account) -> dict[str, Any]:
    return {
        "name": account.name,
        "roles": list(account.roles),
        "language": account.language,
        "is_disabled": account.is_disabled,
        "has_password": account.has_password,
        "made_at": account.made_at,
    }


def _token_form(token: AccessToken) -> dict[str, Any]:
    return asdict(token) | {"scopes": list(token.scopes)}
