"""What may stand in a request at all: text that can be kept. Asked once, before any route sees it.

PostgreSQL keeps no NUL, and neither database half a surrogate pair; bytes that are no UTF-8 would be looked for as something
else than what was sent.
"""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers
from starlette.types import Scope

from eraser.errors import UsageError

_FORM = "application/x-www-form-urlencoded"


def printable(text: str) -> str:
    """The text. Raises UsageError for one that holds what cannot be printed."""
    if not text.isprintable():
        raise UsageError("it holds characters that can't be printed", subject=ascii(text))
    return text


def refuse_unkeepable(scope: Scope, body: bytes) -> None:
    """Raises UsageError for a path, a query, a form or JSON that holds what is no text. Files are other things' business."""
    parts = {"address": scope.get("raw_path") or scope["path"].encode(), "query": scope.get("query_string", b"")}
    media_type = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
    if media_type == _FORM:
        parts["form"] = body
    for what, sent in parts.items():
        try:
            is_text = "\0" not in unquote_to_bytes(sent.replace(b"+", b" ")).decode()
        except UnicodeDecodeError:
            is_text = False
        if not is_text:
            raise _unkeepable(what)
    if media_type != _FORM and (b"\\u" in body or b"\0" in body) and not all(map(_is_text, _texts_in(body))):
        raise _unkeepable("body")


def _texts_in(body: bytes) -> Iterator[str]:
    """All keys and values of a JSON document; none of what is no JSON."""
    try:
        left: list[Any] = [json.loads(body)]
    except (ValueError, RecursionError):
        return
    while left:
        match left.pop():
            case str(text):
                yield text
            case list(values):
                left += values
            case dict(pairs):
                left += [*pairs, *pairs.values()]


def _is_text(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _unkeepable(what: str) -> UsageError:
    return UsageError(
        f"the request's {what} holds what is no text: a NUL, half a character, or bytes that are no UTF-8",
        remedy="Send UTF-8.",
    )
