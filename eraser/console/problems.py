"""Errors as RFC 9457 problem documents, and back: what the API refuses, a client raises as the same error."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from eraser.domain.account import BadLink, NoAccount
from eraser.domain.problem import problem_of
from eraser.errors import EraserError, Refused, UsageError
from eraser.ledger.errors import LedgerFull
from eraser.log.gate import SigningSuspended
from eraser.privacy.errors import VaultDestroyedError

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:eraser:problem:"
"""Before a problem's name: it names the problem and leads nowhere (RFC 9457 §3.1.1)."""


class NotFound(UsageError):
    """There is no such bay or page."""

    code = "not-found"


class Forbidden(Refused):
    """Whoever asks may not have it, or not in this way."""

    code = "forbidden"


class Unauthenticated(Refused):
    """Whoever asks is not signed in, and what they ask for is not for everybody."""

    code = "unauthenticated"

    def __init__(self, what: str, *, subject: str = "", remedy: str = "") -> None:
        super().__init__("not-signed-in", what, subject=subject, remedy=remedy)


class TooMany(Refused):
    """Too much was asked for in too short a time."""

    code = "too-many"

    def __init__(self, reason: str, what: str, *, subject: str = "", remedy: str = "", seconds: float = 1.0) -> None:
        super().__init__(reason, what, subject=subject, remedy=remedy)
        self.seconds = seconds
        """After how long it may be asked again."""


class Busy(Refused):
    """It would be too much at once."""

    code = "busy"


class TooLarge(UsageError):
    """The request is larger, or takes longer to arrive, than any that is in order."""

    code = "too-large"


_STATUS: tuple[tuple[type[EraserError], HTTPStatus], ...] = (
    (NotFound, HTTPStatus.NOT_FOUND),
    (NoAccount, HTTPStatus.NOT_FOUND),
    (TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (UsageError, HTTPStatus.BAD_REQUEST),
    (Forbidden, HTTPStatus.FORBIDDEN),
    (BadLink, HTTPStatus.FORBIDDEN),
    (Unauthenticated, HTTPStatus.UNAUTHORIZED),
    (TooMany, HTTPStatus.TOO_MANY_REQUESTS),
    (Busy, HTTPStatus.SERVICE_UNAVAILABLE),
    (Refused, HTTPStatus.CONFLICT),
    (VaultDestroyedError, HTTPStatus.GONE),
    (SigningSuspended, HTTPStatus.SERVICE_UNAVAILABLE),
    (LedgerFull, HTTPStatus.INSUFFICIENT_STORAGE),
)
"""The first that fits counts; every other error is the station's own."""


def status_of(error: EraserError) -> HTTPStatus:
    """The status that an answer with this error has."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)


def problem_document(error: EraserError, status: HTTPStatus | None = None) -> dict[str, Any]:
    """The document. `type` and `title` are the problem's, whatever it happened to (RFC 9457 §3.1); `code` is the error's."""
    status = status or status_of(error)
    problem = problem_of(error)
    document: dict[str, Any] = {
        "type": f"{TYPE}{problem.value}",
        "title": problem.heading,
        "status": int(status),
        "detail": str(error),
        "code": error.code,
        "what": error.what,
        "subject": error.subject,
        "remedy": error.remedy,
    }
    if isinstance(error, Refused):
        document["reason"] = error.reason
    return document


def error_of(document: Mapping[str, Any]) -> EraserError:
    """The error that a problem document stands for."""
    what = str(document.get("what") or document.get("detail") or document.get("title") or "the station refused")
    told = {"subject": str(document.get("subject", "")), "remedy": str(document.get("remedy", ""))}
    if document.get("code") in (Refused.code, Forbidden.code, Unauthenticated.code, TooMany.code, Busy.code):
        return Refused(str(document.get("reason", "")), what, **told)
    if int(document.get("status", 0)) < HTTPStatus.INTERNAL_SERVER_ERROR:
        return UsageError(what, **told)
    return EraserError(what, **told)
