"""Finds out who asks: by the kernel's word at the Unix socket, by a cookie or a token, in a simulated rack by being here."""

import asyncio
import hashlib
import hmac
import ipaddress
import os
import pwd
import secrets
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import TypeVar

from starlette.datastructures import Headers
from starlette.types import Scope

from eraser.console.cookies import SESSION, WALL, read_cookie
from eraser.console.identity import LANGUAGES, Viewer, nobody, with_roles
from eraser.console.problems import Unauthenticated
from eraser.domain.account import AccessToken, Account, Role
from eraser.ledger.accounts import Accounts

ROOT_UID = 0
DEMO_NAME = "demo"
WALL_NAME = "wall"

CACHE_SECONDS = 5.0
"""So long somebody may go on whom another station of the same ledger has just shut out; what is done here counts at once."""
MAX_CACHED = 1000
MAX_LOOKING_UP = 2
"""Look-ups in the ledger at once: whoever sends made-up cookies must not crowd out the rack."""
MAX_SECRET_CHARACTERS = 128

_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-real-ip")
T = TypeVar("T", Account, AccessToken)


class Door:
    """A `Recognise`. With `is_demo` whoever asks from this host, over loopback, is the demo user of a simulated rack."""

    def __init__(
        self, accounts: Accounts | None = None, *, is_demo: bool = False, masters: Collection[int] | None = None
    ) -> None:
        self._accounts = accounts
        self._is_demo = is_demo
        self._masters = frozenset((ROOT_UID, os.geteuid()) if masters is None else masters)
        self._demo_token = secrets.token_urlsafe(32)
        self._cache: dict[bytes, tuple[float, Account | AccessToken]] = {}
        self._forgotten = 0
        self._looking_up = asyncio.Semaphore(MAX_LOOKING_UP)

    async def __call__(self, scope: Scope) -> Viewer:
        headers = Headers(scope=scope)
        language = language_of(headers)
        if (peer_uid := scope.get("state", {}).get("peer_uid")) is not None:
            return self._peer(peer_uid, language)
        if self._accounts is not None:
            if "authorization" in headers:
                return await self._program(self._accounts, headers["authorization"], language)
            known = await self._person(self._accounts, scope, language)
            if known is not None:
                return known
        if self._is_demo and is_from_this_host(scope, headers):
            return with_roles(DEMO_NAME, Role.DEMO, language=language, csrf_token=self._demo_token, way="demo")
        return nobody(language)

    def forget(self) -> None:
        """Looks everybody up anew: an account, a session or a token is not what it was."""
        self._forgotten += 1
        self._cache.clear()

    def _peer(self, uid: int, language: str) -> Viewer:
        role = Role.MASTER if uid in self._masters else Role.HOST_USER
        found = with_roles(_user_name(uid), role, language=language, way="socket")
        return replace(found, may_speak_for_others=uid == ROOT_UID)

    async def _program(self, accounts: Accounts, authorization: str, language: str) -> Viewer:
        """Raises Unauthenticated: a program that shows a token is nobody else."""
        scheme, _, secret = authorization.partition(" ")
        token = await self._looked_up(accounts.token, secret.strip()) if scheme.lower() == "bearer" else None
        if token is None:
            raise Unauthenticated("this token opens nothing here", remedy="Ask an administrator for another.")
        return _token_viewer(token, language)

    async def _person(self, accounts: Accounts, scope: Scope, language: str) -> Viewer | None:
        if secret := read_cookie(scope, SESSION):
            account = await self._looked_up(accounts.session, secret)
            if account is not None:
                spoken = account.language or language
                return with_roles(
                    account.name, *account.roles, language=spoken, csrf_token=csrf_token(secret), way="session"
                )
        if secret := read_cookie(scope, WALL):
            token = await self._looked_up(accounts.token, secret)
            if token is not None and token.is_wall:
                return _token_viewer(token, language)
        return None

    async def _looked_up(self, find: Callable[[str], Awaitable[T | None]], secret: str) -> T | None:
        if not secret or len(secret) > MAX_SECRET_CHARACTERS:
            return None
        key = hashlib.sha256(find.__name__.encode() + b" " + secret.encode()).digest()
        cached = self._cache.get(key)
        if cached is not None and time.monotonic() - cached[0] < CACHE_SECONDS:
            found: T = cached[1]  # type: ignore[assignment]
            return found
        async with self._looking_up:
            begun = self._forgotten
            looked_up = await find(secret)
        if looked_up is None:
            self._cache.pop(key, None)
        elif begun == self._forgotten:
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            self._cache[key] = (time.monotonic(), looked_up)
        return looked_up


def _token_viewer(token: AccessToken, language: str) -> Viewer:
    if token.is_wall:
        return with_roles(WALL_NAME, Role.WALL, language=language, way="wall")
    return Viewer(f"token:{token.label}", frozenset({Role.PROGRAM}), frozenset(token.scopes), language, way="token")


def csrf_token(session: str) -> str:
    """What a session's pages show with their orders. From it nobody can tell the session."""
    return hmac.new(session.encode(), b"csrf", hashlib.sha256).hexdigest()


def language_of(headers: Headers) -> str:
    """What the viewer chose (cookie `language`), else the first of the browser's languages that there is."""
    for part in headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == "language" and value in LANGUAGES:
            return value
    for part in headers.get("accept-language", "").split(","):
        tag = part.partition(";")[0].strip().lower()
        if tag.startswith("zh"):
            return "zh-CN"
        if tag.startswith("en"):
            return "en"
    return LANGUAGES[0]


def is_from_this_host(scope: Scope, headers: Headers) -> bool:
    """Whether somebody on this host asks, by an address of this host alone, and no proxy for somebody else.

    The Host header is looked at because a page from elsewhere may let its own name point to 127.0.0.1 (DNS rebinding): the
    browser then takes this station for that page's.
    """
    ends = (scope.get("client"), scope.get("server"))
    if not all(end is not None and _is_loopback(end[0]) for end in ends):
        return False
    if any(name in headers for name in _FORWARDED):
        return False
    return _names_loopback(headers.get("host", ""))


def _names_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    return name.lower() == "localhost" or _is_loopback(name.strip("[]"))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _user_name(uid: int) -> str:
    """The user that the kernel says opened the connection."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
