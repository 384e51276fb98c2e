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

from eraser.console.identity import Permission, viewer_of
from eraser.console.pages import assets, pictures, quantities
from eraser.console.pages.language import N_, Language, language_of, translations
from eraser.console.pages.sentences import said
from eraser.console.problems import status_of
from eraser.domain.sayings import say_error
from eraser.errors import EraserError


@dataclass(frozen=True, slots=True)
class NavigationItem:
    """One entry of the navigation; `label` is English, translated where it is shown."""

    path: str
    label: str
    symbol: str
    """In `static/symbols.svg`."""
    permission: Permission
    """Shown to those who have it."""


NAVIGATION = (
    NavigationItem("/", N_("Rack"), "rack", Permission.VIEW_RACK),
    NavigationItem("/failures", N_("Failures"), "failures", Permission.VIEW_FAILURES),
    NavigationItem("/lots", N_("Lots"), "lots", Permission.VIEW_LOTS),
    NavigationItem("/present", N_("Customer"), "person", Permission.ATTEND_CUSTOMERS),
    NavigationItem("/customers", N_("Vault"), "customers", Permission.VIEW_PERSONAL_DATA),
    NavigationItem("/labels", N_("Labels"), "labels", Permission.VIEW_CERTIFICATES),
    NavigationItem("/certificates", N_("Certificates"), "certificates", Permission.VIEW_CERTIFICATES),
    NavigationItem("/audits", N_("Audits"), "audits", Permission.VIEW_AUDITS),
    NavigationItem("/reports", N_("Reports"), "reports", Permission.VIEW_REPORTS),
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
    found.filters |= {"said": lambda sayings: said(sayings, language)} | quantities.filters(language)
    return found


def render(
    request: Request, template: str, context: Mapping[str, Any] | None = None, status: HTTPStatus = HTTPStatus.OK
) -> HTMLResponse:
    """The page. Its template extends `base.html`, which needs nothing beyond what is added here."""
    language = language_of(request)
    viewer = viewer_of(request)
    navigation = [item for item in NAVIGATION if viewer.may(item.permission)]
    base = {"navigation": navigation, "path": request.url.path, "viewer": viewer}
    text = environment(language).get_template(template).render(base | dict(context or {}))
    headers = {"content-language": language.value, "vary": "cookie, accept-language"}
    return HTMLResponse(text, status_code=status, headers=headers)


def render_form(
    request: Request, template: str, context: Mapping[str, Any], error: EraserError | None = None
) -> HTMLResponse:
    """A page with what was asked for on it; where that was refused, `wrong` says why, and the status is the refusal's."""
    status = status_of(error) if error is not None else HTTPStatus.OK
    return render(request, template, {"wrong": str(error) if error is not None else "", **context}, status)


def own_path(text: str, otherwise: str = "/") -> str:
    """A path of this station; `otherwise` for anything else: "//elsewhere" and "/\\elsewhere" are other hosts to a browser."""
    is_ours = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if is_ours else otherwise


def render_problem(request: Request, error: EraserError, status: HTTPStatus) -> HTMLResponse:
    """What a person sees instead of the page that they asked for."""
    language = language_of(request)
    gettext = translations(language).gettext
    titles = {HTTPStatus.NOT_FOUND: N_("That is not here"), HTTPStatus.FORBIDDEN: N_("You may not see this")}
    title = gettext(titles.get(status, N_("That did not work")))
    return render(request, "message.html", {"title": title, "text": said(say_error(error), language)}, status)
