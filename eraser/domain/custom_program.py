"""A program of the user's own, from TOML.

name = "shop-3"                 # how certificates call it
title = "Three passes"          # may be left out, as all that follows up to the passes
note = "What to know about it"
verify = "full"                 # least that is read back at the end: none, sampled or full

[[pass]]
pattern = "92 49 24"            # 1 to 4,096 bytes in hexadecimal, repeated over the drive
[[pass]]
pattern = "random-byte"         # one random byte, repeated
reverse = true                  # from the drive's last byte to its first
[[pass]]
pattern = "complement of 2"     # of an earlier pass that is not a random stream
verify = true                   # read back in full before the next pass
[[pass]]
pattern = "random"              # a fresh random stream
"""

import re
import tomllib
from typing import Any

from eraser.domain.catalogue import known_names, normalised
from eraser.domain.pattern import (
    MAX_CONSTANT_BYTES,
    ComplementOf,
    Constant,
    PatternSpec,
    RandomByte,
    RandomStream,
)
from eraser.domain.program import PassSpec, Program, Standing, Verification
from eraser.errors import UsageError

MAX_PASSES = 99
MAX_TEXT_CHARACTERS = 200
SOURCE = "the user's own program"

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_COMPLEMENT = re.compile(r"complement of ([1-9][0-9]?)")
_PROGRAM_KEYS = ("name", "title", "note", "verify", "pass")
_PASS_KEYS = ("pattern", "reverse", "verify")
_PATTERN_REMEDY = (
    f'Write 1 to {MAX_CONSTANT_BYTES} bytes in hexadecimal ("00", "92 49 24"), "random", '
    f'"random-byte" or "complement of 1".'
)


def parse_custom_program(text: str, *, subject: str = "custom program") -> Program:
    """The program that the TOML text describes; `subject` names where it came from in errors.

    Raises UsageError with place and remedy for anything that is missing, unknown or wrong.
    """
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"this is not TOML: {error}", subject=subject, remedy="Mend the file at that place.") from None
    _refuse_unknown(table, _PROGRAM_KEYS, subject)
    name = _name(table, subject)
    passes = _passes(table.get("pass"), subject)
    return Program(
        name,
        _text(table, "title", name, subject),
        passes,
        source=SOURCE,
        standing=Standing.OWN,
        minimum_verification=_verification(table, subject),
        note=_text(table, "note", "", subject),
    )


def _refuse_unknown(table: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise UsageError(f"unknown key {key!r}", subject=where, remedy=f"Known are {', '.join(known)}.")


def _name(table: dict[str, Any], where: str) -> str:
    name = table.get("name")
    place = f"{where}: name"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(
            "a program needs a name" if name is None else f"{name!r} is not a name",
            subject=place,
            remedy="Take 1 to 64 lower-case letters, digits, dots and hyphens, a letter or digit first.",
        )
    if normalised(name) in known_names():
        raise UsageError(
            f"{name!r} is the catalogue's name for another program",
            subject=place,
            remedy="Choose a name of your own: a certificate must not be mistaken for one of that program.",
        )
    return name


def _text(table: dict[str, Any], key: str, default: str, where: str) -> str:
    text = table.get(key, default)
    if not isinstance(text, str) or len(text) > MAX_TEXT_CHARACTERS or not text.isprintable():
        raise UsageError(
            "this is not one line of text",
            subject=f"{where}: {key}",
            remedy=f"Write up to {MAX_TEXT_CHARACTERS} printable characters in quotes.",
        )
    return text


def _verification(table: dict[str, Any], where: str) -> Verification:
    asked = table.get("verify", Verification.NONE.value)
    if not isinstance(asked, str) or asked not in [item.value for item in Verification]:
        raise UsageError(
            f"{asked!r} is no verification", subject=f"{where}: verify", remedy='Write "none", "sampled" or "full".'
        )
    return Verification(asked)


def _passes(tables: Any, where: str) -> tuple[PassSpec, ...]:
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise UsageError(
            "a program needs passes",
            subject=where,
            remedy='Add one or more [[pass]] with pattern = "random" or another.',
        )
    if len(tables) > MAX_PASSES:
        raise UsageError(f"{len(tables)} passes are too many", subject=where, remedy=f"Take at most {MAX_PASSES}.")
    passes: list[PassSpec] = []
    for number, table in enumerate(tables, start=1):
        place = f"{where}: pass {number}"
        _refuse_unknown(table, _PASS_KEYS, place)
        pattern = _pattern(table.get("pattern"), f"{place}: pattern")
        if isinstance(pattern, ComplementOf):
            _refuse_complement(pattern.pass_number, passes, f"{place}: pattern")
        passes.append(PassSpec(pattern, reverse=_flag(table, "reverse", place), verify=_flag(table, "verify", place)))
    return tuple(passes)


def _flag(table: dict[str, Any], key: str, where: str) -> bool:
    flag = table.get(key, False)
    if not isinstance(flag, bool):
        raise UsageError(
            f"{flag!r} is neither true nor false",
            subject=f"{where}: {key}",
            remedy="Write true or false without quotes.",
        )
    return flag


def _pattern(form: Any, where: str) -> PatternSpec:
    match form:
        case "random":
            return RandomStream()
        case "random-byte":
            return RandomByte()
        case str() if found := _COMPLEMENT.fullmatch(form):
            return ComplementOf(int(found[1]))
        case str():
            return _constant(form, where)
        case None:
            raise UsageError("the pass has no pattern", subject=where, remedy=_PATTERN_REMEDY)
        case _:
            raise UsageError(f"{form!r} is not text", subject=where, remedy=_PATTERN_REMEDY)


def _constant(form: str, where: str) -> Constant:
    try:
        data = bytes.fromhex(form)
    except ValueError:
        raise UsageError(f"{form[:80]!r} is no pattern", subject=where, remedy=_PATTERN_REMEDY) from None
    if not 1 <= len(data) <= MAX_CONSTANT_BYTES:
        raise UsageError(f"the pattern has {len(data)} bytes", subject=where, remedy=_PATTERN_REMEDY)
    return Constant(data)


def _refuse_complement(of: int, earlier: list[PassSpec], where: str) -> None:
    if of > len(earlier):
        raise UsageError(
            f"pass {of} does not come before pass {len(earlier) + 1}",
            subject=where,
            remedy="Passes count from 1; name an earlier one.",
        )
    if isinstance(earlier[of - 1].pattern, RandomStream):
        raise UsageError(
            f"pass {of} is a random stream, which has no complement here",
            subject=where,
            remedy='Name a pass with a constant or "random-byte".',
        )
