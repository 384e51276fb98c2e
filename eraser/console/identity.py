"""Who asks: the viewer that a page or an answer is made for, and what a route asks of them.

Every route says for whom it is, by one of three dependencies: `require(Permission.X)`, `signed_in` or `anyone`. A route that
says nothing is found when the application is made, and it is not served.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.types import Scope

from eraser.console.problems import Forbidden, Unauthenticated
from eraser.domain.account import LANGUAGES, PEOPLE, PERMISSIONS, Permission, Role, permissions_of

__all__ = [
    "LANGUAGES",
    "PEOPLE",
    "PERMISSIONS",
    "Permission",
    "Role",
    "Viewer",
    "anyone",
    "require",
    "signed_in",
    "viewer",
    "viewer_of",
]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks. Nobody, where `roles` is empty: then `permissions` is too.

    `name` stands in the records of what they do. `csrf_token` goes into each form (field `csrf_token`) or, from a script, into
    the header `x-csrf-token`; empty where none is asked for. `language` is one of LANGUAGES.
    """

    name: str
    roles: frozenset[Role]
    permissions: frozenset[Permission]
    language: str = "en"
    csrf_token: str = ""
    way: str = ""
    """How they came in: `socket`, `token`, `session`, `wall`, `demo`; empty for nobody."""
    may_speak_for_others: bool = False
    """Whether records may name another operator: root at the Unix socket, who acts for whoever called sudo."""

    @property
    def is_signed_in(self) -> bool:
        """Whether the station knows them."""
        return bool(self.roles)

    def may(self, permission: Permission) -> bool:
        """Whether they have it."""
        return permission in self.permissions


Recognise = Callable[[Scope], Awaitable[Viewer]]
"""Finds out who asks; a viewer without roles for whom it does not know. Raises EraserError for what can't be let pass."""


def nobody(language: str = "en") -> Viewer:
    """Whoever is not signed in."""
    return Viewer("", frozenset(), frozenset(), language)


def with_roles(name: str, *roles: Role, language: str = "en", csrf_token: str = "", way: str = "") -> Viewer:
    """Somebody who may do what these roles may."""
    return Viewer(name, frozenset(roles), permissions_of(roles), language, csrf_token, way)


def viewer_of(request: Request) -> Viewer:
    """Who asks; may be nobody."""
    found = request.scope["state"]["viewer"]
    assert isinstance(found, Viewer)
    return found


async def viewer(request: Request) -> Viewer:
    """A dependency: who asks. It keeps nobody out: beside it a route says for whom it is."""
    return viewer_of(request)


def require(permission: Permission) -> "Required":
    """A dependency: the viewer, who has this permission. `Depends(require(Permission.OPERATE))`.

    Whoever is not signed in is asked to (a page is redirected to /sign-in, the API answers 401); others are told 403.
    """
    return Required(permission)


@dataclass(frozen=True, slots=True)
class Required:
    """What `require` gives."""

    permission: Permission

    async def __call__(self, request: Request) -> Viewer:
        found = await signed_in(request)
        if not found.may(self.permission):
            raise _forbidden(found, self.permission, request.url.path)
        return found


async def signed_in(request: Request) -> Viewer:
    """A dependency: the viewer, who is signed in with whatever role."""
    found = viewer_of(request)
    if not found.is_signed_in:
        raise Unauthenticated(
            "you are not signed in", subject=request.url.path, remedy="Sign in, or send an API token."
        )
    return found


async def anyone(request: Request) -> Viewer:
    """A dependency: the viewer, who may be nobody. For sign-in, the public check, and pages whose address is the secret."""
    return viewer_of(request)


def demand_of(route: APIRoute) -> "Required | Literal['signed-in', 'anyone'] | None":
    """For whom the route says it is; None for one that does not say."""
    said = list(_calls(route.dependant))
    for call in said:
        if isinstance(call, Required):
            return call
    if signed_in in said:
        return "signed-in"
    return "anyone" if anyone in said else None


def _calls(dependant: Dependant) -> Iterator[Any]:
    for inner in dependant.dependencies:
        yield inner.call
        yield from _calls(inner)


def _forbidden(found: Viewer, permission: Permission, path: str) -> Forbidden:
    if Role.HOST_USER in found.roles:
        return Forbidden(
            "not-a-master",
            f"orders are taken from root and from the station's own user, not from {found.name}",
            subject=path,
            remedy="Give the order as root: with sudo.",
        )
    return Forbidden(
        "no-permission",
        f"{found.name} may not do this: it takes the permission {permission.value}",
        subject=path,
        remedy="Ask an administrator for a role that has it.",
    )
