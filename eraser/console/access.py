"""Who may ask for what, and how much of it: decided before a request reaches the application.

Over TCP only what a monitor reads is served. Over the Unix socket whoever can open it may look; orders are taken from root
and from the station's own user.
"""

import asyncio
import pwd
from collections.abc import Collection
from http import HTTPStatus

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eraser.console.problems import MEDIA_TYPE, Forbidden, TooLarge, problem_of, status_of
from eraser.errors import EraserError

MAX_BODY_BYTES = 64 * 1024
"""No order is larger."""
BODY_SECONDS = 10.0
"""A body that is not whole by then is given up."""

_FOR_EVERYBODY = ("/metrics", "/health/live", "/health/ready")
_LOOKING = ("GET", "HEAD")


def problem_response(error: EraserError, status: HTTPStatus | None = None) -> JSONResponse:
    """The answer that tells of an error."""
    status = status or status_of(error)
    return JSONResponse(problem_of(error, status), status_code=status, media_type=MEDIA_TYPE)


def refusal(method: str, path: str, peer_uid: int | None, masters: Collection[int]) -> Forbidden | None:
    """Why this request is not let in, or None. `masters` are the uids that may give orders."""
    if method in _LOOKING and path in _FOR_EVERYBODY:
        return None
    if peer_uid is None:
        return Forbidden(
            "no-accounts",
            "over TCP this station serves /metrics and /health only: it has no accounts yet to know people by",
            subject=path,
            remedy="Use the `eraser` command on the station's own host, which asks through the Unix socket.",
        )
    if method not in _LOOKING and peer_uid not in masters:
        return Forbidden(
            "not-a-master",
            f"orders are taken from root and from the station's own user, not from uid {peer_uid}",
            subject=path,
            remedy="Give the order as root: with sudo.",
        )
    return None


def peer_name(scope: Scope) -> str:
    """Who stands in the records of what this request begins: the user that the kernel says opened the connection."""
    uid: int = scope["state"]["peer_uid"]
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


class Gate:
    """Lets in what `refusal` has nothing against, with its whole body, which is small."""

    def __init__(self, app: ASGIApp, masters: Collection[int]) -> None:
        self._app = app
        self._masters = frozenset(masters)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        peer_uid = scope.get("state", {}).get("peer_uid")
        error: EraserError | None = refusal(scope["method"], scope["path"], peer_uid, self._masters)
        if error is None:
            try:
                receive = await _with_whole_body(receive)
            except TooLarge as too_large:
                error = too_large
        answer = self._app if error is None else problem_response(error)
        await answer(scope, receive, send)


async def _with_whole_body(receive: Receive) -> Receive:
    """The same request with its body read. Raises TooLarge for one that is too long or too slow."""
    body = b""
    is_whole = False
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while not is_whole:
                message = await receive()
                if message["type"] != "http.request":
                    return _replaying([message], receive)
                body += message.get("body", b"")
                is_whole = not message.get("more_body", False)
                if len(body) > MAX_BODY_BYTES:
                    raise TooLarge(f"the body is longer than {MAX_BODY_BYTES} bytes", remedy="No order needs as many.")
    except TimeoutError:
        raise TooLarge(f"the body did not arrive within {BODY_SECONDS:.0f} s", remedy="Send it at once.") from None
    return _replaying([{"type": "http.request", "body": body, "more_body": False}], receive)


def _replaying(messages: list[Message], receive: Receive) -> Receive:
    async def replay() -> Message:
        return messages.pop(0) if messages else await receive()

    return replay
