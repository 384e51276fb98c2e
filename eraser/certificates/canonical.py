"""JSON in one strict form: read so that nobody else can read it differently, written so that it is signed alike
everywhere.

RFC 8785 is the signed form; of every certificate that is believed, `jq -cjS` makes the same bytes.
"""

import json
import re
from typing import Any, NoReturn

from eraser.certificates.errors import MalformedError
from eraser.domain.json_form import MAX_INTEGER

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 32
_MAX_INTEGER_CHARACTERS = 17
_SURROGATE = re.compile("[\ud800-\udfff]")
_QUICK = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse(document: bytes) -> Any:
    """The JSON value of a document. Raises MalformedError, never anything else, each refusal with its own words.

    Refused: more than 16 MiB or 32 levels, a byte order mark, bytes that are no UTF-8, anything before the value or
    after it but for one line feed, a member named twice or not in ASCII, fractions, exponents, NaN, -0, integers beyond
    2^53-1, lone surrogates.
    """
    text = _text(document)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_refuse_fraction,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            raise MalformedError(f"bytes follow the end of the document, from character {error.pos} on") from None
        raise MalformedError(f"it is no JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:  # Python's parser gives up at about 1,000 levels
        raise _too_deep() from None
    _refuse_depth(value)
    if _ESCAPED_SURROGATE.search(text):  # UTF-8 has none, so there is no other way in
        _refuse_lone_surrogates(value)
    return value


def canonical(value: Any) -> bytes:
    """RFC 8785 of a value made of objects, arrays, strings, integers, booleans and null. Raises MalformedError for
    others.
    """
    import rfc8785

    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, ValueError) as error:
        raise MalformedError(f"it has no canonical form: {error}") from None


def canonical_of_parsed(value: Any) -> bytes:
    """RFC 8785 of a value that `parse` gave, and of no other.

    With names in ASCII, integers alone and no lone surrogates nothing is left of RFC 8785 but sorted names and short escapes,
    which Python's own encoder writes: twenty times faster, and that is most of what checking a certificate takes. What is
    signed goes through `canonical`, so that a difference would be found with the first certificate.
    """
    return _QUICK.encode(value).encode()


def _text(document: bytes) -> str:
    if len(document) > MAX_DOCUMENT_BYTES:
        raise MalformedError(f"it is longer than {MAX_DOCUMENT_BYTES} bytes")
    if document.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise MalformedError("it begins with a byte order mark")
    if document[:1] != b"{":
        raise MalformedError("it does not begin with '{'")
    body = document.removesuffix(b"\n")
    if body[-1:] != b"}":
        raise MalformedError("bytes follow the end of the document, or it is cut short")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedError(f"byte {error.start} is no UTF-8") from None


def _refuse_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner = [item.values() if isinstance(item, dict) else item for item in level]
        level = [item for items in inner for item in items if isinstance(item, dict | list)]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> MalformedError:
    return MalformedError(f"it is nested deeper than {MAX_DEPTH} levels")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in pairs:
        if not name.isascii():
            raise MalformedError(f"the member name {name!a} is not ASCII")
        if name in result:
            raise MalformedError(f"the member {name!r} stands twice in one object")
        result[name] = value
    return result


def _integer(digits: str) -> int:
    if digits == "-0":
        raise MalformedError("the number -0 has more than one canonical form")
    if len(digits) > _MAX_INTEGER_CHARACTERS or abs(int(digits)) > MAX_INTEGER:
        raise MalformedError(f"the integer {digits[:24]} is beyond 2^53-1")
    return int(digits)


def _refuse_fraction(digits: str) -> NoReturn:
    raise MalformedError(f"the number {digits[:24]} is no plain integer")


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedError(f"{name} is no JSON")


def _refuse_lone_surrogates(value: Any) -> None:
    match value:
        case str():
            if _SURROGATE.search(value):
                raise MalformedError("a text holds half of a surrogate pair")
        case list():
            for item in value:
                _refuse_lone_surrogates(item)
        case dict():
            for item in value.values():
                _refuse_lone_surrogates(item)
