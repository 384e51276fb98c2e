"""Which language a reader is answered in, and the words of that language.

English is what the sources are written in. Other languages are folders of catalogues beside this file, one catalogue for each
part of the console; they are read once, when they are first asked for.
"""

from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from io import BytesIO
from pathlib import Path

from babel import Locale
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from starlette.requests import Request

COOKIE = "language"
_CATALOGUES = Path(__file__).parent / "catalogues"


def N_(text: str) -> str:
    """Marks words that are translated where they are shown."""
    return text


class Language(StrEnum):
    """By its BCP 47 tag, as it stands in `<html lang>`."""

    CHINESE = "zh-CN"
    ENGLISH = "en"

    @property
    def own_name(self) -> str:
        """What those who speak it call it."""
        return {Language.CHINESE: "中文", Language.ENGLISH: "English"}[self]

    @property
    def locale(self) -> Locale:
        """For numbers and dates."""
        return Locale.parse(self.value, sep="-")


def language_of(request: Request) -> Language:
    """The one that the reader chose here before, else the first of the browser's that we speak, else English."""
    for language in Language:
        if request.cookies.get(COOKIE) == language.value:
            return language
    for tag in _accepted(request.headers.get("accept-language", "")):
        match tag.split("-")[0].lower():
            case "zh":
                return Language.CHINESE
            case "en":
                return Language.ENGLISH
    return Language.ENGLISH


def _accepted(header: str) -> list[str]:
    """The tags of an Accept-Language header (RFC 9110 §12.5.4), the dearest first; what cannot be read counts for nothing."""
    weighed: list[tuple[float, str]] = []
    for part in header[:200].split(","):
        tag, _, weight = part.strip().partition(";q=")
        try:
            weighed.append((float(weight or 1), tag))
        except ValueError:
            continue
    return [tag for weight, tag in sorted(weighed, key=lambda item: -item[0]) if weight > 0]


@cache
def translations(language: Language) -> NullTranslations:
    """The words of a language, of all its catalogues. English has none: it answers what it is asked."""
    if language is Language.ENGLISH:
        return NullTranslations()
    first, *others = (_compiled(catalogue) for catalogue in catalogues(language))
    for other in others:
        first.merge(other)
    return first


def _compiled(catalogue: Catalog) -> Translations:
    file = BytesIO()
    write_mo(file, catalogue)
    file.seek(0)
    return Translations(file)


def catalogues(language: Language) -> Iterator[Catalog]:
    """Each of its catalogues. Raises PoFileError for one that cannot be read."""
    name = language.value.replace("-", "_")
    for path in sorted((_CATALOGUES / name).glob("*.po")):
        with path.open("rb") as file:
            yield read_po(file, locale=name, abort_invalid=True)
