"""Sizes, speeds and times as people write and read them: decimal, as on the labels of drives."""

import re
from collections.abc import Callable
from decimal import Decimal

import click

from eraser.errors import UsageError

MAX_QUANTITY = 2**63 - 1
"""The largest size that the kernel can address (`loff_t`)."""

_UNITS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "p": 10**15,
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
    "pi": 2**50,
}
_SIZE = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,9})?) ?([kmgtp]i?)?(b)?", re.ASCII | re.IGNORECASE)
_PER_SECOND = re.compile(r"\s*/\s*s\Z|ps\Z", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Bytes of a size such as `20TB`, `1.5 GiB` or `4096`. Raises UsageError for anything else, and for zero."""
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise UsageError(f"{text[:40]!r} is not a size", remedy="Write a number with a unit: 20TB, 512GiB or 4096.")
    if re.search("[^bB]b$", text.strip()):
        raise UsageError(f"{text[:40]!r} would be bits", remedy="Write B for bytes: 20TB, 512GiB.")
    size = int(Decimal(found[1]) * _UNITS[(found[2] or "").lower()])
    if not 1 <= size <= MAX_QUANTITY:
        raise UsageError(f"{text[:40]!r} is no size that a drive can have", remedy="Write a size from 1 B to 9 EB.")
    return size


def parse_speed(text: str) -> int:
    """Bytes per second of a speed such as `200MB/s`; the `/s` may be left out. Raises UsageError for anything else."""
    try:
        return parse_size(_PER_SECOND.sub("", text.strip()))
    except UsageError as error:
        raise UsageError(
            f"{text[:40]!r} is not a speed", remedy="Write bytes per second with a unit: 200MB/s, 1.5GiB/s."
        ) from error


def quantity(parse: Callable[[str], int]) -> Callable[[click.Context, click.Parameter, str], int]:
    """A click callback around one of the parsers: a wrong value is told with its option's name, and status 2."""

    def convert(context: click.Context, parameter: click.Parameter, value: str) -> int:
        try:
            return parse(value)
        except UsageError as error:
            raise click.BadParameter(str(error), context, parameter) from error

    return convert


def human_size(size_bytes: int) -> str:
    """Three digits and a decimal unit, never rounded up to more than there is: `4.00 TB`, `512 B`."""
    for exponent, unit in ((15, "PB"), (12, "TB"), (9, "GB"), (6, "MB"), (3, "kB")):
        if size_bytes >= 10**exponent:
            whole = size_bytes // 10**exponent
            places = max(0, 3 - len(str(whole)))
            digits = size_bytes * 10**places // 10**exponent
            return f"{Decimal(digits).scaleb(-places):f} {unit}"
    return f"{size_bytes} B"


def human_seconds(seconds: float) -> str:
    """`3 h 20 min`, `4 min`, `12 s`: what is left to wait."""
    whole = max(0, round(seconds))
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"
