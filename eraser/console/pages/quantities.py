"""Sizes, rates, times and shares as people read them, in their language. `static/quantities.js` says the same in a browser."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from babel.dates import format_datetime
from babel.numbers import format_decimal

from eraser.console.pages.language import Language, translations

NONE = "\N{EN DASH}"
"""What stands where there is no figure."""
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def number(value: float, digits: int = 0, *, language: Language) -> str:
    """With thousands grouped and so many digits behind the point."""
    pattern = "#,##0" + ("." + "0" * digits if digits else "")
    return format_decimal(value, format=pattern, locale=language.locale)


def size(value: float, *, language: Language) -> str:
    """Bytes in decimal units: `1.92 TB`. Drives are sold so."""
    exponent = 0
    while value >= 999.5 and exponent < len(_UNITS) - 1:
        value, exponent = value / 1000, exponent + 1
    digits = 0 if exponent == 0 or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{number(value, digits, language=language)} {_UNITS[exponent]}"


def rate(value: float, *, language: Language) -> str:
    """Bytes per second: `210 MB/s`; nothing moves: a dash."""
    return f"{size(value, language=language)}/s" if value > 0 else NONE


def share(done: float, total: float, *, language: Language) -> str:
    """`25.3 %`, never 100 % before the end; a dash where there is no whole."""
    if not total:
        return NONE
    permille = int(done * 1000 // total)
    return f"{number(permille / 10, 1, language=language)} %"


def span(seconds: float | None, *, language: Language) -> str:
    """`1 h 5 min`, `4 min 10 s`, `9 s`; a dash for None."""
    if seconds is None:
        return NONE
    gettext = translations(language).gettext
    whole = max(0, int(seconds + 0.5))
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return gettext("{days} d {hours} h").format(days=days, hours=hours)
    if hours:
        return gettext("{hours} h {minutes} min").format(hours=hours, minutes=minutes)
    if minutes:
        return gettext("{minutes} min {seconds} s").format(minutes=minutes, seconds=whole % 60)
    return gettext("{seconds} s").format(seconds=whole)


def brief(seconds: float | None, *, language: Language) -> str:
    """As `span`, without the seconds where there are minutes: it has little room and changes seldom."""
    if seconds is None or not 60 <= int(seconds + 0.5) < 3600:
        return span(seconds, language=language)
    return translations(language).gettext("{minutes} min").format(minutes=int(seconds + 0.5) // 60)


def celsius(value: float | None, *, language: Language) -> str:
    """`42 °C`; a dash for a drive that does not say."""
    return f"{number(value, language=language)} °C" if value is not None else NONE


def moment(at: str, *, language: Language) -> str:
    """An RFC 3339 time in UTC, as a person reads it; the page's script shows it in the reader's own zone."""
    if not at:
        return NONE
    try:
        return f"{format_datetime(datetime.fromisoformat(at), 'yyyy-MM-dd HH:mm:ss', locale=language.locale)} UTC"
    except ValueError:
        return at


def filters(language: Language) -> dict[str, Callable[..., Any]]:
    """All of them for templates in this language."""
    return {
        item.__name__: partial(item, language=language)
        for item in (number, size, rate, share, span, brief, celsius, moment)
    }
