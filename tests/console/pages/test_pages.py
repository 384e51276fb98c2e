"""The pages as they leave the station, without a browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from babel.messages.extract import extract_from_file
from jinja2 import UndefinedError

import eraser.console.pages
from eraser.console.pages import assets
from eraser.console.pages.language import Language, catalogues, translations
from eraser.console.pages.quantities import brief, size, span
from eraser.console.pages.rendering import environment
from eraser.console.pages.sentences import said
from eraser.console.server import serve_http
from eraser.console.wall import Wall
from eraser.domain.sayings import recalled
from tests.console.pages.sites import a_rack_of_all_states
from tests.console.serving import Answer, ask, free_port
from tests.console.stations import FakeStation, a_busy_bay, a_snapshot
from tests.domain.builders import IDENTITY, a_drive

EVIL = "\"'><script>window.pwned=1</script><img src=x onerror=window.pwned=1>{{7*7}}"
SAID = (recalled(EVIL),)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async for found in _serving(FakeStation(a_rack_of_all_states())):
        yield found


async def _serving(station: FakeStation, *, is_demo: bool = True) -> AsyncIterator[int]:
    wall, port = Wall(station.snapshot), free_port()
    pages = eraser.console.pages.pages_router(station, wall)
    async with serve_http(station, listen=f"127.0.0.1:{port}", socket=None, pages=pages, wall=wall, is_demo=is_demo):
        yield port


async def page(port: int, path: str, **headers: str) -> Answer:
    return await ask(port, "GET", path, accept="text/html", **headers)


@pytest.mark.parametrize("path", ["/", "/bays/A6", "/bays/desk", "/failures"])
async def test_each_page_is_whole_in_both_languages_and_says_so(port: int, path: str) -> None:
    for language, word in (("zh-CN", "机架"), ("en", "Rack")):
        answer = await page(port, path, accept_language=f"fr;q=0.9, {language};q=0.5")
        text = answer.body.decode()
        assert answer.status == 200
        assert f'<html lang="{language}">' in text and word in text
        assert answer.headers["content-language"] == language.lower()


async def test_a_page_has_no_inline_script_or_style_and_asks_only_its_own_station(port: int) -> None:
    for path in ("/", "/bays/A6", "/failures"):
        answer = await page(port, path)
        text = answer.body.decode()
        assert "'unsafe" not in answer.headers["content-security-policy"]
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)
        assert all("src=" in tag or "application/json" in tag for tag in re.findall(r"<script[^>]*>", text))
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text)


async def test_what_a_drive_says_of_itself_is_text_on_every_page() -> None:
    evil = replace(IDENTITY, model=EVIL, serial=EVIL, manufacturer=EVIL, firmware=EVIL)
    bay = a_busy_bay(
        name="A<b>1",
        drive=a_drive(identity=evil),
        reasons=(recalled(EVIL),),
        lot=EVIL,
        asset_tag=EVIL,
        alarm_sayings=(recalled(EVIL),),
    )
    async for port in _serving(FakeStation(a_snapshot(bay, troubles=(recalled(EVIL),)))):
        for path in ("/", f"/bays/{quote(bay.name, safe='')}", f"/bays/{quote(bay.name, safe='')}/record", "/failures"):
            text = (await page(port, path)).body.decode()
            assert "<script>window" not in text and "<img" not in text and "<b>" not in text
            assert "&lt;script&gt;" in text or "\\u003cscript\\u003e" in text
            assert "{{7*7}}" in text, "it was run as a template"


async def test_the_language_that_was_chosen_counts_before_the_browsers(port: int) -> None:
    chosen = await page(port, "/language/zh-CN?back=%2Ffailures")
    assert (chosen.status, chosen.headers["location"]) == (303, "/failures")
    cookie = chosen.headers["set-cookie"]
    assert cookie.startswith("language=zh-cn;") and "httponly" in cookie and "samesite=lax" in cookie
    answer = await page(port, "/", cookie="language=zh-CN", accept_language="en")
    assert answer.headers["content-language"] == "zh-cn"


@pytest.mark.parametrize("back", ["//evil.example", "/\\evil.example", "https://evil.example", "x", "/a\r\nb"])
async def test_a_link_to_a_language_leads_nowhere_else(port: int, back: str) -> None:
    answer = await page(port, f"/language/en?back={quote(back, safe='')}")
    assert (answer.status, answer.headers["location"]) == (303, "/")


async def test_assets_are_kept_for_good_under_their_digest_and_nothing_else_is_served(port: int) -> None:
    text = (await page(port, "/")).body.decode()
    for address in set(re.findall(r'"(/static/[^"#]+)', text)):
        answer = await ask(port, "GET", address)
        assert answer.status == 200 and "immutable" in answer.headers["cache-control"]
    old = await ask(port, "GET", "/static/0000/base.css")
    assert (old.status, old.headers["cache-control"]) == (200, "no-cache")
    for name in ("../app.py", "..%2Fapp.py", "%2e%2e/__init__.py", "/etc/passwd", "base.css/", "templates/base.html"):
        assert (await ask(port, "GET", f"/static/{assets.version()}/{name}")).status == 404


async def test_a_bay_that_is_not_there_is_told_as_a_page_to_people_and_as_a_document_to_programs(port: int) -> None:
    seen = await page(port, "/bays/Z9", accept_language="zh-CN")
    assert seen.status == 404 and "没有这个页面" in seen.body.decode()
    told = await ask(port, "GET", "/bays/Z9")
    assert (told.status, told.headers["content-type"]) == (404, "application/problem+json")


async def test_no_page_is_shown_to_whoever_is_not_signed_in() -> None:
    async for port in _serving(FakeStation(), is_demo=False):
        for path in ("/", "/bays/A1", "/bays/A1/record", "/failures"):
            assert (await ask(port, "GET", path)).status == 401
            assert (await page(port, path)).status == 303


async def test_an_alarm_is_taken_once_by_the_name_of_who_is_signed_in(port: int) -> None:
    alarms = (await ask(port, "GET", "/api/v1/alarms")).json
    first = next(alarm for alarm in alarms if alarm["kind"] == "verification-failed")
    order = {name: first[name] for name in ("bay", "sighting", "kind")}
    token = re.search(r'csrf-token" content="([^"]+)', (await page(port, "/")).body.decode())
    taken = await ask(port, "POST", "/api/v1/alarms/taken", order, x_csrf_token=token[1])
    assert taken.status == 200 and taken.json["taken_by"] == "demo" and taken.json["taken_at"]
    again = (await ask(port, "GET", "/api/v1/alarms")).json
    assert [alarm["kind"] for alarm in again if alarm["taken_by"]] == ["verification-failed"]
    gone = await ask(port, "POST", "/api/v1/alarms/taken", order | {"sighting": "another"}, x_csrf_token=token[1])
    assert gone.status == 404
    assert (await ask(port, "POST", "/api/v1/alarms/taken", order)).status == 403, "without the token of a page"


def test_every_word_of_the_pages_is_in_the_chinese_catalogue() -> None:
    known = {message.id for catalogue in catalogues(Language.CHINESE) for message in catalogue if message.string}
    missing = [text for text in _texts() if text not in known]
    assert not missing


def test_no_words_have_two_translations() -> None:
    found: dict[str, str] = {}
    for catalogue in catalogues(Language.CHINESE):
        for message in catalogue:
            assert not message.id or found.setdefault(message.id, message.string) == message.string, message.id


def test_a_translation_has_the_places_of_its_original() -> None:
    for catalogue in catalogues(Language.CHINESE):
        for message in catalogue:
            if message.id:
                assert sorted(re.findall(r"\{\w+\}|%\(\w+\)s", message.id)) == sorted(
                    re.findall(r"\{\w+\}|%\(\w+\)s", str(message.string))
                ), message.id


def _texts() -> set[str]:
    folder = Path(eraser.console.pages.__file__).parent
    found: set[str] = set()
    for path in folder.rglob("*.py"):
        marked = extract_from_file("python", path, keywords={"gettext": None, "N_": None})
        found.update(text for _, text, _, _ in marked if isinstance(text, str))
    for path in folder.rglob("*.html"):
        found.update(
            text
            for _, _, text in environment(Language.ENGLISH).extract_translations(path.read_text())
            if isinstance(text, str)
        )
    return found


def test_a_template_that_names_what_is_not_there_fails() -> None:
    with pytest.raises(UndefinedError):
        environment(Language.ENGLISH).from_string("{{ nothing }}").render()


def test_the_stations_sentences_are_said_in_chinese_with_their_figures() -> None:
    chinese = Language.CHINESE
    assert said("384 sectors do not hold what was written", chinese) == "384 个扇区的内容与写入的不一致"
    assert said("the drive is out of sight: the drive is no longer there", chinese) == "硬盘不在视线内：硬盘已拔出"
    waiting = said("waits for one of the 6 active drives of hba-A to end (at most 6)", chinese)
    assert waiting == "等待 hba-A 上的硬盘之一结束：6 块在作业，最多 6 块"
    two = said("paused: resume it; rests until it is below 50 °C", chinese)
    assert two == "已暂停：请点继续；休息到低于 50 °C"
    assert said("a sentence that nobody knows", chinese) == "a sentence that nobody knows"
    assert said("paused: resume it", Language.ENGLISH) == "paused: resume it"


def test_quantities_read_as_people_write_them() -> None:
    english, chinese = Language.ENGLISH, Language.CHINESE
    assert [size(value, language=english) for value in (0, 999, 1000, 9_994_000, 99_949_999, 1_000_204_886_016)] == [
        "0 B",
        "999 B",
        "1.00 kB",
        "9.99 MB",
        "99.9 MB",
        "1.00 TB",
    ]
    assert span(3905, language=chinese) == "1 小时 5 分" and span(59.6, language=english) == "1 min 0 s"
    assert brief(130, language=english) == "2 min" and brief(9, language=english) == "9 s"
    assert translations(english).gettext("Rack") == "Rack"
