"""What becomes of an order besides carrying it out: who gave it is written down, and one sent twice is carried out once.

The trail has it before whoever gave it is answered. A page that shows something of which the trail must tell, such as personal
data, calls `note`; then looking is a deed too.
"""

import hashlib
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eraser.console.access import LOOKING, problem_response
from eraser.console.identity import Viewer
from eraser.domain.account import Deed
from eraser.domain.printable import printable
from eraser.errors import EraserError, Refused, UsageError
from eraser.ledger.answers import Answers, KeptAnswer
from eraser.ledger.trail import Trail

KEY_HEADER = "idempotency-key"
UNKEYED = ("/api/v1/customers", "/customers", "/check/")
"""Orders below it are not told from one another by what they hold: a name can be guessed from its digest."""
REPLAYED_HEADER = "idempotency-replayed"
MAX_KEPT_BYTES = 64 * 1024

_CUSTOMERS_PAGE = re.compile(r"^(/present/)[^/]+")
_KEY = re.compile(r"[!-~]{1,128}")
_NOT_KEPT = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Books:
    """Where orders are written down, and the clocks: `now_utc` RFC 3339, `now` seconds since 1970."""

    trail: Trail
    answers: Answers
    now_utc: Callable[[], str]
    now: Callable[[], float]


@dataclass(slots=True)
class _Note:
    action: str
    subject: str
    name: str


def note(request: Request, action: str, subject: str = "", *, name: str = "") -> None:
    """What the trail says of this request, instead of its method and path. `name`: who, where the viewer is nobody yet."""
    request.scope["state"]["note"] = _Note(action, subject, name)


def keep_no_answer(request: Request) -> None:
    """The answer holds what is to stand nowhere: a secret, or personal data. The same key is answered 409 then."""
    request.scope["state"]["keeps_no_answer"] = True


def place_of(scope: Scope) -> str:
    """From where somebody asks: their address, or `socket`."""
    client = scope.get("client")
    return str(client[0]) if client and client[0] else "socket"


class Orders:
    """Between the gate and the application."""

    def __init__(self, app: ASGIApp, books: Books) -> None:
        self._app = app
        self._books = books

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        viewer: Viewer = scope["state"]["viewer"]
        key = Headers(scope=scope).get(KEY_HEADER)
        send = self._writing_down(scope, viewer, send)
        try:
            is_plain = scope["method"] in LOOKING or scope["path"].startswith(UNKEYED)
            if key is None or is_plain or not viewer.is_signed_in:
                await self._app(scope, receive, send)
            else:
                await self._once(scope, receive, send, viewer, key)
        except Exception:
            # A fault is answered further out.
            await self._write_down(scope, viewer, HTTPStatus.INTERNAL_SERVER_ERROR)
            raise

    def _writing_down(self, scope: Scope, viewer: Viewer, send: Send) -> Send:
        async def send_after(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._write_down(scope, viewer, message["status"])
            await send(message)

        return send_after

    async def _write_down(self, scope: Scope, viewer: Viewer, status: int) -> None:
        said: _Note | None = scope["state"].get("note")
        if said is None:
            if scope["method"] in LOOKING or not viewer.is_signed_in:
                return
            said = _Note(f"{scope['method']} {_public(scope['path'])}"[:500], "", "")
        deed = Deed(
            self._books.now_utc(),
            said.name or viewer.name,
            viewer.way,
            place_of(scope),
            said.action,
            said.subject[:500],
            status,
        )
        try:
            await self._books.trail.note(deed)
        except EraserError:
            # The order is carried out by now: to say that it failed would be untrue.
            _log.exception("a deed could not be written down: %s %s", deed.action, deed.status)

    async def _once(self, scope: Scope, receive: Receive, send: Send, viewer: Viewer, key: str) -> None:
        who = f"{viewer.way}:{viewer.name}"
        message = await receive()  # the gate has read it whole
        digest = _digest(scope, message.get("body", b""))
        try:
            if not _KEY.fullmatch(key):
                raise UsageError("an idempotency key is 1 to 128 printable ASCII characters", subject=ascii(key)[:80])
            kept = await self._books.answers.begin(who, key, digest, self._books.now())
            if kept is not None:
                await _replay(kept, digest)(scope, receive, send)
                return
        except EraserError as error:
            status = HTTPStatus.UNPROCESSABLE_ENTITY if isinstance(error, _OtherOrder) else None
            await problem_response(error, status)(scope, receive, send)
            return
        answer = _Answer(send)
        try:
            await self._app(scope, _replaying(message, receive), answer.send)
        except BaseException:
            await self._books.answers.forget(who, key)
            raise
        await self._keep(who, key, digest, answer, is_secret=scope["state"].get("keeps_no_answer", False))

    async def _keep(self, who: str, key: str, digest: bytes, answer: "_Answer", *, is_secret: bool) -> None:
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status in _NOT_KEPT:
            await self._books.answers.forget(who, key)
            return
        body = b"" if is_secret or len(answer.body) > MAX_KEPT_BYTES else bytes(answer.body)
        await self._books.answers.finish(who, key, KeptAnswer(digest, answer.status, answer.media_type, body))
        await answer.deliver()


def _public(path: str) -> str:
    """An address as the trail keeps it: what can't be printed is replaced, and so is what opens a customer's page."""
    return _CUSTOMERS_PAGE.sub(r"\1…", printable(path))


class _OtherOrder(UsageError):
    """The key was another order's."""


def _replay(kept: KeptAnswer, digest: bytes) -> Response:
    """Raises _OtherOrder, or Refused where there is nothing to replay."""
    if kept.digest != digest:
        raise _OtherOrder("this idempotency key was given with another order", remedy="Take a new key for each order.")
    if kept.status == 0:
        raise Refused(
            "under-way",
            "the same order is being carried out, or was cut off",
            remedy="Look at what became of it before you give it again, with a new key.",
        )
    if not kept.body and kept.status != HTTPStatus.NO_CONTENT:
        raise Refused("done", f"it is done already, and was answered {kept.status}", remedy="Its answer is not kept.")
    headers = {REPLAYED_HEADER: "true"}
    return Response(kept.body, kept.status, headers, kept.media_type or None)


class _Answer:
    """Held back until it is kept: whoever is answered may rely on the same answer."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._held: list[Message] = []
        self.status = 0
        self.media_type = ""
        self.body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.media_type = Headers(raw=message.get("headers", [])).get("content-type", "")
        else:
            self.body += message.get("body", b"")
        self._held.append(message)
        if self.status >= HTTPStatus.INTERNAL_SERVER_ERROR or self.status in _NOT_KEPT:
            await self.deliver()

    async def deliver(self) -> None:
        held, self._held = self._held, []
        for message in held:
            await self._send(message)


def _digest(scope: Scope, body: bytes) -> bytes:
    order = hashlib.sha256(f"{scope['method']} {scope['path']}?".encode() + scope.get("query_string", b"") + b"\n")
    order.update(body)
    return order.digest()


def _replaying(message: Message, receive: Receive) -> Receive:
    messages = [message]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
