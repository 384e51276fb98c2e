"""The strict JSON form of the domain's frozen dataclasses: one way out, one way in, nothing unknown accepted.

Fields become members of the same name; `bytes` lower-case hex; enums their value; tuples arrays; `Nanoseconds` decimal strings,
since they pass 2^53; members of a union an object that leads with `kind`, the class's own constant. No floats, no integer
above 2^53-1: what is written can be read by any JSON reader and canonicalised by RFC 8785.
"""

import re
import types
from collections.abc import Callable
from dataclasses import Field, fields, is_dataclass
from enum import Enum
from functools import cache
from types import MappingProxyType
from typing import Any, NewType, TypeVar, Union, get_args, get_origin, get_type_hints

from eraser.errors import UsageError

Nanoseconds = NewType("Nanoseconds", int)
"""A duration or a monotonic time in nanoseconds; a decimal string in JSON."""

MOMENTARY = MappingProxyType({"momentary": True})
"""Metadata of a field that holds for a moment only: it has no place in the JSON form, and should not be compared."""

LATER = MappingProxyType({"later": True})
"""Metadata of an optional field that a format got after its first documents: None is written by leaving it out."""

MAX_INTEGER = 2**53 - 1
"""RFC 8785 §3.2.2.3: integers beyond it are not exact in every reader."""

MAX_NANOSECONDS = 2**64 - 1

_SURROGATE = re.compile("[\ud800-\udfff]")
T = TypeVar("T")
Json = dict[str, "Json"] | list["Json"] | str | int | bool | None


def to_json(value: Any) -> Any:
    """The JSON form of a dataclass or of a value that may be a field of one. Raises UsageError for what has none."""
    if is_dataclass(value) and not isinstance(value, type):
        return _object(value)
    return _scalar(value)


def from_json(cls: type[T], form: Any, *, where: str = "") -> T:
    """The `cls` that this JSON form stands for. Raises UsageError naming the place of anything missing, unknown or wrong."""
    try:
        hint: Any = cls
        quick: T = _quick(hint)(form)
        return quick
    except (_NotQuick, KeyError, TypeError, ValueError, UsageError):
        # Whatever the quick way does not take, the other one refuses with its place, or takes after all.
        result: T = _read(cls, form, where or getattr(cls, "__name__", "value"))
        return result


def _object(value: Any) -> dict[str, Any]:
    cls: Any = type(value)
    kind, members = _layout(cls)
    form: dict[str, Any] = {} if kind is None else {"kind": kind}
    for name, is_time, is_later in members:
        content = getattr(value, name)
        if content is None and is_later:
            continue
        form[name] = _nanoseconds(content) if is_time and content is not None else to_json(content)
    return form


@cache
def _layout(cls: Any) -> tuple[str | None, tuple[tuple[str, bool, bool], ...]]:
    """The constant that tells the class from others, and of each member its name, whether it is `Nanoseconds`, and whether it
    may be left out.
    """
    hints = _hints(cls)
    members = (
        (item.name, _is_nanoseconds(hints[item.name]), bool(item.metadata.get("later"))) for item in kept_fields(cls)
    )
    return _kind(cls), tuple(members)


def kept_fields(cls: Any) -> tuple[Field[Any], ...]:
    """The fields of a dataclass that its JSON form has."""
    return tuple(item for item in fields(cls) if not item.metadata.get("momentary"))


def later_fields(cls: Any) -> frozenset[str]:
    """The names of those that a form may be without."""
    return frozenset(item.name for item in kept_fields(cls) if item.metadata.get("later"))


def _nanoseconds(value: int) -> str:
    if not 0 <= value <= MAX_NANOSECONDS:
        raise UsageError(f"{value} is no number of nanoseconds from 0 to 2^64-1")
    return str(int(value))


def _scalar(value: Any) -> Any:
    match value:
        case None | bool():
            return value
        case Enum():
            return value.value
        case int():
            if abs(value) > MAX_INTEGER:
                raise UsageError(f"the integer {value} is beyond 2^53-1 and has no exact JSON form")
            return int(value)
        case str():
            if not _is_unicode(value):
                raise UsageError(f"{value!r} is not valid Unicode and has no JSON form")
            return value
        case bytes():
            return value.hex()
        case tuple():
            return [to_json(item) for item in value]
    raise UsageError(f"a {type(value).__name__} has no JSON form here")


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _kind(cls: Any) -> str | None:
    """The constant that tells this class from others in a union. A *field* called kind is none: there it is a slot."""
    kind = getattr(cls, "kind", None)
    return kind if isinstance(kind, str) else None


def _is_nanoseconds(hint: Any) -> bool:
    return hint is Nanoseconds or Nanoseconds in get_args(hint)


def _read(hint: Any, form: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _read_union(get_args(hint), form, where)
    if origin is tuple:
        return _read_tuple(get_args(hint), form, where)
    if hint is Nanoseconds:
        return _read_nanoseconds(form, where)
    if isinstance(hint, type) and is_dataclass(hint):
        return _read_dataclass(hint, form, where)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _read_enum(hint, form, where)
    return _read_scalar(hint, form, where)


def _read_union(options: tuple[Any, ...], form: Any, where: str) -> Any:
    if form is None and type(None) in options:
        return None
    rest = [option for option in options if option is not type(None)]
    if len(rest) == 1:
        return _read(rest[0], form, where)
    kind = form.get("kind") if isinstance(form, dict) else None
    for option in rest:
        if _kind(option) == kind and kind is not None:
            return _read(option, form, where)
    known = ", ".join(str(getattr(option, "kind", option)) for option in rest)
    raise UsageError(f"{where}: kind {kind!r} is none of {known}")


def _read_tuple(items: tuple[Any, ...], form: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(form, list):
        raise UsageError(f"{where}: expected an array, found {type(form).__name__}")
    if len(items) == 2 and items[1] is Ellipsis:
        return tuple(_read(items[0], item, f"{where}[{index}]") for index, item in enumerate(form))
    if len(items) != len(form):
        raise UsageError(f"{where}: expected {len(items)} items, found {len(form)}")
    return tuple(
        _read(hint, item, f"{where}[{index}]") for index, (hint, item) in enumerate(zip(items, form, strict=True))
    )


def _read_nanoseconds(form: Any, where: str) -> int:
    # The length comes first: CPython refuses to convert very long numbers with an error of its own.
    if isinstance(form, str) and len(form) <= len(str(MAX_NANOSECONDS)) and form.isascii() and form.isdigit():
        value = int(form)
        if str(value) == form and value <= MAX_NANOSECONDS:
            return value
    raise UsageError(f"{where}: expected nanoseconds as a decimal string, found {form!r}")


def _read_dataclass(cls: Any, form: Any, where: str) -> Any:
    if not isinstance(form, dict):
        raise UsageError(f"{where}: expected an object, found {type(form).__name__}")
    names = {item.name for item in kept_fields(cls)}
    kind = _kind(cls)
    if kind is not None and form.get("kind") != kind:
        raise UsageError(f"{where}: kind is {form.get('kind')!r}, expected {kind!r}")
    expected = names | ({"kind"} if kind is not None else set())
    if unknown := sorted(set(form) - expected):
        raise UsageError(f"{where}: unknown field {unknown[0]!r}")
    later = later_fields(cls)
    if missing := sorted(expected - set(form) - later):
        raise UsageError(f"{where}: field {missing[0]!r} is missing")
    if nulls := sorted(name for name in later & set(form) if form[name] is None):
        raise UsageError(f"{where}: field {nulls[0]!r} is null, which is written by leaving it out")
    hints = _hints(cls)
    return cls(**{name: _read(hints[name], form[name], f"{where}.{name}") for name in names & set(form)})


def _read_enum(cls: type[Enum], form: Any, where: str) -> Enum:
    try:
        return cls(form)
    except ValueError:
        known = ", ".join(str(item.value) for item in cls)
        raise UsageError(f"{where}: {form!r} is none of {known}") from None


def _read_scalar(hint: Any, form: Any, where: str) -> Any:
    if hint is bytes:
        return _read_bytes(form, where)
    if hint is bool and isinstance(form, bool):
        return form
    if hint is int and isinstance(form, int) and not isinstance(form, bool) and abs(form) <= MAX_INTEGER:
        return form
    if hint is str and isinstance(form, str) and _is_unicode(form):
        return form
    raise UsageError(f"{where}: expected {getattr(hint, '__name__', hint)}, found {form!r}")


def _is_unicode(text: str) -> bool:
    """Whether it can be written as UTF-8: no half of a surrogate pair, as in file names that are not."""
    return text.isascii() or _SURROGATE.search(text) is None


def _read_bytes(form: Any, where: str) -> bytes:
    if isinstance(form, str) and form.isascii():
        try:
            content = bytes.fromhex(form)
        except ValueError:
            content = b""
        if content.hex() == form:
            return content
    raise UsageError(f"{where}: expected lower-case hex, found {form!r}")


# ---- The quick way: the same rules, put together once a type, without a word on what is wrong. A million events are
# replayed by it; that it never takes what `_read` refuses is shown by a test over all types.


class _NotQuick(Exception):
    """Not for the quick way."""


_Reader = Callable[[Any], Any]


@cache
def _quick(hint: Any) -> _Reader:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _quick_union(get_args(hint))
    if origin is tuple:
        return _quick_tuple(get_args(hint))
    if isinstance(hint, type) and is_dataclass(hint):
        return _quick_dataclass(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {item.value: item for item in hint}.__getitem__
    if hint is int:
        return _quick_integer
    if hint is str:
        return _quick_text
    if hint is bool or hint is bytes:
        return lambda form: _read_scalar(hint, form, "")
    return lambda form: _read(hint, form, "")


def _quick_integer(form: Any) -> int:
    if type(form) is int and -MAX_INTEGER <= form <= MAX_INTEGER:
        return form
    raise _NotQuick


def _quick_text(form: Any) -> str:
    if type(form) is str and (form.isascii() or _is_unicode(form)):
        return form
    raise _NotQuick


def _quick_tuple(items: tuple[Any, ...]) -> _Reader:
    if len(items) != 2 or items[1] is not Ellipsis:
        return lambda form: _read_tuple(items, form, "")
    item = _quick(items[0])

    def read(form: Any) -> tuple[Any, ...]:
        if type(form) is not list:
            raise _NotQuick
        return tuple([item(part) for part in form]) if form else ()

    return read


def _quick_union(options: tuple[Any, ...]) -> _Reader:
    rest = [option for option in options if option is not type(None)]
    if len(rest) == 1:
        only = _quick(rest[0])
        return lambda form: None if form is None else only(form)
    kinds = {kind: _quick(option) for option in rest if (kind := _kind(option)) is not None}
    if len(rest) != len(options) or len(kinds) != len(rest):
        return lambda form: _read_union(options, form, "")
    return lambda form: kinds[form["kind"]](form)


def _quick_dataclass(cls: Any) -> _Reader:
    hints, kind = _hints(cls), _kind(cls)
    parts = [(item.name, _quick(hints[item.name])) for item in kept_fields(cls)]
    length = len(parts) + (kind is not None)
    is_whole = len(parts) == len(fields(cls))
    if later := later_fields(cls):
        return _quick_growing(cls, parts, length, later)

    def read(form: Any) -> Any:
        if type(form) is not dict or len(form) != length or (kind is not None and form["kind"] != kind):
            raise _NotQuick
        if is_whole:
            return cls(*[part(form[name]) for name, part in parts])
        return cls(**{name: part(form[name]) for name, part in parts})

    return read


def _quick_growing(cls: Any, parts: list[tuple[str, _Reader]], length: int, later: frozenset[str]) -> _Reader:
    kind = _kind(cls)

    def read(form: Any) -> Any:
        if type(form) is not dict or (kind is not None and form["kind"] != kind):
            raise _NotQuick
        absent = later - form.keys()
        if len(form) != length - len(absent) or any(form[name] is None for name in later - absent):
            raise _NotQuick
        return cls(**{name: part(form[name]) for name, part in parts if name not in absent})

    return read
