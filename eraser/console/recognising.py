"""Finds out who asks: by the kernel's word at the Unix socket, by a cookie or a token, in a simulated rack by being here."""

import ipaddress
import os
import pwd
import secrets
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import Scope

from eraser.console.identity import LANGUAGES, Viewer, nobody, with_roles
from eraser.domain.account import Role

ROOT_UID = 0
DEMO_NAME = "demo"

_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-real-ip")


class Door:
    """A `Recognise`. With `is_demo` whoever asks from this host, over loopback, is the demo user of a simulated rack."""

    def __init__(self, *, is_demo: bool = False, masters: Collection[int] | None = None) -> None:
        self._is_demo = is_demo
        self._masters = frozenset((ROOT_UID, os.geteuid()) if masters is None else masters)
        self._demo_token = secrets.token_urlsafe(32)

    async def __call__(self, scope: Scope) -> Viewer:
        headers = Headers(scope=scope)
        language = language_of(headers)
        peer_uid: int | None = scope.get("state", {}).get("peer_uid")
        if peer_uid is not None:
            role = Role.MASTER if peer_uid in self._masters else Role.HOST_USER
            return with_roles(_user_name(peer_uid), role, language=language, is_root=peer_uid == ROOT_UID)
        if self._is_demo and is_from_this_host(scope, headers):
            return with_roles(DEMO_NAME, Role.DEMO, language=language, csrf_token=self._demo_token)
        return nobody(language)


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
