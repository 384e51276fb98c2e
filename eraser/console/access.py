"""The gate before the application: who asks, with how large a body, and whether their own browser means it.

What each route asks of whoever asks is in `identity`. Here a request gets its viewer and its whole body, and its answer the
headers that tell a browser to trust nothing but this station.
"""

import asyncio
import hmac
import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eraser.console.identity import Recognise, Viewer
from eraser.console.problems import MEDIA_TYPE, Busy, Forbidden, TooLarge, TooMany, problem_document, status_of
from eraser.console.texts import refuse_unkeepable
from eraser.domain.account import Permission
from eraser.errors import EraserError

MAX_BODY_BYTES = 64 * 1024
"""No order is larger."""
BODY_SECONDS = 10.0
"""A body that is not whole by then is given up."""
MAX_IMPORT_BYTES = 8 * 1024 * 1024
"""Of what people who are signed in hand in to an address that ends in `/import`, and of a lot by whoever may describe one: it
names up to 100,000 drives.
"""
MAX_CHECKED_BYTES = 4 * 1024 * 1024
"""Of a certificate that is handed in to be checked, by anybody."""
LARGE_BODY_SECONDS = 60.0
MAX_DISCARDED_BYTES = 8 * 1024 * 1024
"""Of a body that is too long: so much more of it is read, and forgotten, before that is answered."""
MAX_LARGE_BODIES = 8
"""At once of those who are signed in, and as many of all others: they are held in memory, and anybody may send some."""

TOO_LONG = "No order needs as many. A lot names up to 100,000 drives; a longer list of them is split into several lots."

CSRF_FIELD = "csrf_token"
CSRF_HEADER = "x-csrf-token"

_LOT = re.compile(r"^(/api/v1/lots(/[^/]+)?|/lots/new)$")

LOOKING = ("GET", "HEAD", "OPTIONS")
_FORM = "application/x-www-form-urlencoded"

_HEADERS = {
    # No inline script, no inline style, nothing from elsewhere, in nobody's frame.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Addresses hold lots, serial numbers and one-time links.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
"""Of every answer that does not say otherwise itself."""


def problem_response(error: EraserError, status: HTTPStatus | None = None) -> JSONResponse:
    """The answer that tells of an error."""
    status = status or status_of(error)
    headers = {"www-authenticate": "Bearer"} if status is HTTPStatus.UNAUTHORIZED else {}
    if isinstance(error, TooMany):
        headers["retry-after"] = str(math.ceil(error.seconds))
    return JSONResponse(problem_document(error, status), status_code=status, media_type=MEDIA_TYPE, headers=headers)


def body_limit(path: str, viewer: Viewer) -> int:
    """How many bytes this viewer may send there."""
    if viewer.is_signed_in and path.endswith("/import"):
        return MAX_IMPORT_BYTES
    if viewer.may(Permission.MANAGE_LOTS) and _LOT.match(path):
        return MAX_IMPORT_BYTES
    if path == "/check" or path.endswith("/check"):
        return MAX_CHECKED_BYTES
    return MAX_BODY_BYTES


class Gate:
    """Gives each request its viewer (`scope["state"]["viewer"]`) and its whole body; refuses orders that only seem to be
    the viewer's, and what is no text.
    """

    def __init__(self, app: ASGIApp, recognise: Recognise) -> None:
        self._app = app
        self._recognise = recognise
        self._large_bodies = {True: 0, False: 0}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        send = _with_headers(send)
        try:
            viewer = await self._recognise(scope)
            scope.setdefault("state", {})["viewer"] = viewer
            _refuse_foreign(scope, viewer)
            with ExitStack() as room:
                limit = body_limit(scope["path"], viewer)
                body, receive = await _whole_body(receive, limit, lambda: room.enter_context(self._large(viewer)))
                _require_token(scope, viewer, body)
                refuse_unkeepable(scope, body)
                await self._app(scope, receive, send)
        except EraserError as error:
            await problem_response(error)(scope, receive, send)

    @contextmanager
    def _large(self, viewer: Viewer) -> Iterator[None]:
        """Room for one large body until it is answered. Raises Busy where there is none. Whoever is not known takes none away
        from those who are.
        """
        if self._large_bodies[viewer.is_signed_in] >= MAX_LARGE_BODIES:
            raise Busy("too-many-files", "too many files are being sent", remedy="Try again in a minute.")
        self._large_bodies[viewer.is_signed_in] += 1
        try:
            yield
        finally:
            self._large_bodies[viewer.is_signed_in] -= 1


def _refuse_foreign(scope: Scope, viewer: Viewer) -> None:
    """Raises Forbidden for an order that another site's page sends with the viewer's cookies, or signs them in with its own.

    Browsers say where an order comes from (Origin; older ones on some orders Sec-Fetch-Site alone); programs say nothing.
    """
    if scope["method"] in LOOKING or (viewer.is_signed_in and not viewer.csrf_token):
        return
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    is_own = _same_place(origin, headers.get("host", "")) if origin is not None else True
    if not is_own or headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise Forbidden(
            "foreign-origin",
            "the order comes from another site's page",
            subject=origin or "",
            remedy="Use this station's own pages; a proxy in between must pass the Host header on.",
        )


def _same_place(origin: str, host: str) -> bool:
    try:
        said = urlsplit(origin)
        own = urlsplit(f"{said.scheme}://{host}")
        default = {"http": 80, "https": 443}.get(said.scheme)
        return default is not None and (said.hostname, said.port or default) == (own.hostname, own.port or default)
    except ValueError:
        return False


def _require_token(scope: Scope, viewer: Viewer, body: bytes) -> None:
    """Raises Forbidden for an order that rests on a cookie, or on where it comes from, without the token of the pages."""
    if scope["method"] in LOOKING or not viewer.csrf_token:
        return
    headers = Headers(scope=scope)
    shown = headers.get(CSRF_HEADER, "")
    if not shown and headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM:
        shown = dict(form_fields(body)).get(CSRF_FIELD, "")
    if not hmac.compare_digest(shown.encode(), viewer.csrf_token.encode()):
        raise Forbidden(
            "no-csrf-token",
            f"the order lacks the token of this station's pages (field {CSRF_FIELD} or header {CSRF_HEADER})",
            subject=scope["path"],
            remedy="Load the page again; a program asks /api/v1/session for it, or uses an API token.",
        )


def form_fields(body: bytes) -> Iterable[tuple[str, str]]:
    """The fields of a form that a page posted. A field that can't be read is none."""
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=1000)
    except ValueError:
        return []


async def _whole_body(receive: Receive, max_bytes: int, make_room: Callable[[], None]) -> tuple[bytes, Receive]:
    """The body, and the same request with it read; `make_room` is called once it is larger than orders are. Raises TooLarge
    for one that is too long or too slow.
    """
    body = bytearray()
    discarded = 0
    is_whole = is_large = False
    seconds = BODY_SECONDS if max_bytes <= MAX_BODY_BYTES else LARGE_BODY_SECONDS
    try:
        async with asyncio.timeout(seconds):
            while not is_whole:
                message = await receive()
                if message["type"] != "http.request":
                    return bytes(body), _replaying([message], receive)
                body += message.get("body", b"")
                is_whole = not message.get("more_body", False)
                if discarded or len(body) > max_bytes:
                    # Read to its end, as far as that is near: whoever is still sending would be cut off and never hear why.
                    discarded += len(body)
                    body.clear()
                    if is_whole or discarded > max_bytes + MAX_DISCARDED_BYTES:
                        raise TooLarge(f"the body is longer than {max_bytes} bytes", remedy=TOO_LONG)
                if len(body) > MAX_BODY_BYTES and not is_large:
                    make_room()
                    is_large = True
    except TimeoutError:
        raise TooLarge(f"the body did not arrive within {seconds:.0f} s", remedy="Send it at once.") from None
    whole = bytes(body)
    return whole, _replaying([{"type": "http.request", "body": whole, "more_body": False}], receive)


def _replaying(messages: list[Message], receive: Receive) -> Receive:
    async def replay() -> Message:
        return messages.pop(0) if messages else await receive()

    return replay


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers
