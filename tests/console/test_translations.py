"""Whatever the console says in English, it can say in Chinese."""

import re
from pathlib import Path

from babel.messages.extract import extract_from_file
from jinja2.ext import babel_extract

from eraser.console import pages
from eraser.console.pages.language import Language, catalogues

FOLDER = Path(pages.__file__).parent
OPTIONS = {"trim_blocks": "true", "lstrip_blocks": "true"}


def said_in(path: Path) -> set[str]:
    """The English sentences that this file marks for translation."""
    if path.suffix == ".html":
        with path.open("rb") as file:
            found = [message for _, _, message, _ in babel_extract(file, ["_", "gettext"], [], OPTIONS)]
    else:
        marks = {"N_": None, "_": None, "gettext": None}
        found = [message for _, message, _, _ in extract_from_file("python", path, keywords=marks)]
    return {message[0] if isinstance(message, tuple) else message for message in found} - {"", None}


def test_every_sentence_of_the_pages_has_a_translation() -> None:
    known = {message.id for catalogue in catalogues(Language.CHINESE) for message in catalogue if message.string}
    files = [path for kind in ("*.py", "*.html") for path in FOLDER.rglob(kind)]
    missing = {path.name: wanted for path in files if (wanted := said_in(path) - known)}
    assert missing == {}


def test_a_translation_has_the_places_of_its_sentence() -> None:
    """`{count}` and `%(count)s` stand in both, or the page breaks in one language only."""
    place = re.compile(r"\{\w*\}|%\(\w+\)s")
    for catalogue in catalogues(Language.CHINESE):
        for message in catalogue:
            if message.id and isinstance(message.string, str):
                assert sorted(place.findall(message.string)) == sorted(place.findall(str(message.id))), message.id
