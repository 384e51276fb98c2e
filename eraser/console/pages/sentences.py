"""What the station says of itself, in the reader's language: by its code, from the one table (`domain/sayings.py`).

Where a saying tells in English of what nobody could foresee, other languages say its heading; the English is on the command
line, in the log and on the English page. A page's script says the same from `words`, with the figures as its own.
"""

import re
from collections.abc import Iterable
from functools import cache

from eraser.console.pages.language import Language, translations
from eraser.console.pages.quantities import rate
from eraser.domain.problem import Problem
from eraser.domain.sayings import Code, Saying, all_recalled

_PLACE = re.compile(r"\{(\w+)(?::(\w+))?\}")
_SEPARATORS = {Language.CHINESE: "\N{FULLWIDTH SEMICOLON}", Language.ENGLISH: "; "}


def said(sayings: Saying | Iterable[Saying] | str, language: Language) -> str:
    """In that language; a sentence in English is one from the records, which keep them so."""
    if isinstance(sayings, Saying):
        sayings = (sayings,)
    elif isinstance(sayings, str):
        sayings = all_recalled(sayings)
    return _SEPARATORS[language].join(_said(saying, language) for saying in sayings)


def _said(saying: Saying, language: Language) -> str:
    def fill(place: re.Match[str]) -> str:
        return _value(saying.values[place[1]], place[2] or "text", language)

    return _PLACE.sub(fill, words(language)[saying.code.value])


def _value(value: str | int | float | Saying, kind: str, language: Language) -> str:
    if isinstance(value, Saying):
        return _said(value, language)
    match kind:
        case "rate":
            return rate(float(value), language=language)
        case "seconds":
            return f"{value:.0f}"
        case "limit":
            return f"{value:g}"
        case "problem":
            return problems(language)[str(value)]
        case "codes":
            separator = "\N{IDEOGRAPHIC COMMA}" if language is Language.CHINESE else ", "
            return separator.join(families(language).get(code, code) for code in str(value).split(", "))
        case _:
            return str(value)


@cache
def words(language: Language) -> dict[str, str]:
    """Each code's sentence with its places. Other languages have its heading where the sentence holds what is English only."""
    gettext = translations(language).gettext
    return {code.value: gettext(_source(code, language)) for code in Code}


def _source(code: Code, language: Language) -> str:
    return code.heading if language is not Language.ENGLISH and "detail" in code.places else code.template


@cache
def problems(language: Language) -> dict[str, str]:
    """The heading of each problem."""
    gettext = translations(language).gettext
    return {problem.value: gettext(problem.heading) for problem in Problem}


@cache
def families(language: Language) -> dict[str, str]:
    """What the codes that stand in certificates and custody records mean, in few words."""
    gettext = translations(language).gettext
    verdicts = {code.family: gettext(code.heading) for code in Code if code.heading and "{" not in code.heading}
    return problems(language) | verdicts
