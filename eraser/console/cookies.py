"""The cookies that people are known by. No script reads them, no other site's page sends them, and over HTTPS no other host
of the plant can plant them (`__Host-`, RFC 6265bis §4.1.3).
"""

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

SESSION = "eraser-session"
WALL = "eraser-wall"


def is_https(scope: Scope) -> bool:
    """Whether the browser came over HTTPS, itself or to the proxy in front. Who pretends it harms their own cookies only."""
    return scope["scheme"] == "https" or Headers(scope=scope).get("x-forwarded-proto", "") == "https"


def read_cookie(scope: Scope, name: str) -> str:
    """Empty where there is none. Of two of one name the first counts, as browsers send the more specific one first."""
    wanted = _full(name, scope)
    for part in Headers(scope=scope).get("cookie", "").split(";"):
        found, _, value = part.strip().partition("=")
        if found == wanted:
            return value
    return ""


def set_cookie(response: Response, scope: Scope, name: str, value: str, seconds: float) -> None:
    """Lets the browser send it for so long; 0 takes it away."""
    response.set_cookie(
        _full(name, scope),
        value,
        max_age=int(seconds),
        path="/",
        secure=is_https(scope),
        httponly=True,
        samesite="strict",
    )


def _full(name: str, scope: Scope) -> str:
    return f"__Host-{name}" if is_https(scope) else name
