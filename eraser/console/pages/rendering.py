"""Templates made into pages: in the reader's language, everything from outside escaped, no name that is not there let pass."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from eraser.console.pages import assets, pictures, quantities
from eraser.console.pages.language import Language, language_of, translations

HEADERS = {
    # Scripts and styles come as files of our own only; nothing on a page is fetched from elsewhere.
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


@dataclass(frozen=True, slots=True)
class NavigationItem:
    """One entry of the navigation; `label` is English, translated where it is shown."""

    path: str
    label: str
    symbol: str
    """In `static/symbols.svg`."""


def N_(text: str) -> str:
    """Marks words that are translated where they are shown."""
    return text


NAVIGATION = (
    NavigationItem("/", N_("Rack"), "rack"),
    NavigationItem("/failures", N_("Failures"), "failures"),
)


@cache
def environment(language: Language) -> Environment:
    """The templates in this language."""
    found = Environment(
        loader=PackageLoader("eraser.console.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = translations(language)
    found.install_gettext_translations(words, newstyle=True)  # type: ignore[attr-defined]
    found.globals |= {"asset": assets.address_of, "language": language, "languages": tuple(Language)}
    found.filters |= {"quoted": lambda text: quote(str(text), safe=""), "spark_points": pictures.spark_points}
    found.filters |= quantities.filters(language)
    return found


def render(
    request: Request, template: str, context: Mapping[str, Any] | None = None, status: HTTPStatus = HTTPStatus.OK
) -> HTMLResponse:
    """The page. Its template extends `base.html`, which needs nothing beyond what is added here."""
    language = language_of(request)
    base = {"navigation": NAVIGATION, "path": request.url.path, "reader": getattr(request.state, "reader", None)}
    text = environment(language).get_template(template).render(base | dict(context or {}))
    headers = HEADERS | {"content-language": language.value, "vary": "cookie, accept-language"}
    return HTMLResponse(text, status_code=status, headers=headers)
