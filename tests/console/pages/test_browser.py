"""The pages in a real Chromium, over a station of the test's own: what people see, hear and touch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from eraser.domain.sayings import Code, all_recalled, recalled, say
from eraser.rack.view import BayState
from tests.console.pages.sites import (
    LANGUAGES,
    PATIENCE_MS,
    Site,
    a_context,
    a_page,
    a_rack_of_all_states,
    a_site,
    chromium,
    many_bays,
)
from tests.console.pages.test_pages import EVIL
from tests.console.stations import a_busy_bay, a_snapshot
from tests.domain.builders import IDENTITY, a_drive

pytestmark = pytest.mark.lab("chromium")

PATHS = ("/", "/bays/A6", "/failures")
COUNT_SHIFTS = """() => { window.shifts = 0;
  new PerformanceObserver(list => { for (const item of list.getEntries()) window.shifts += item.value; })
    .observe({type: "layout-shift"}); }"""
PLACES = """() => [...document.querySelectorAll(".bay, .total, #alarms")]
  .map(element => JSON.stringify(element.getBoundingClientRect()))"""
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """One for all tests: each shows first what it is about."""
    with a_site(a_rack_of_all_states()) as opened:
        yield opened


@pytest.fixture(autouse=True)
def all_states(site: Site) -> None:
    site.station.shown = a_rack_of_all_states()
    site.station.orders.clear()


def cell(page: Page, name: str):
    return page.locator(f'[data-bay="{name}"]')


@pytest.mark.parametrize(("language", "scheme"), [("zh-CN", "light"), ("en", "dark")])
def test_every_page_is_without_a_fault_by_axe(browser: Browser, site: Site, language: str, scheme: str) -> None:
    for path in PATHS:
        with a_page(browser, site.address + path, language, color_scheme=scheme) as page:
            if path == "/":
                page.locator("#alarms-show").click()
                assert faults(page, "#alarms-dialog") == {}
                page.keyboard.press("Escape")
            assert faults(page) == {}, path


def faults(page: Page, part: str | None = None) -> dict[str, list[str]]:
    """By axe's rule, what breaks it."""
    found = Axe().run(page, context=part).response["violations"]
    return {rule["id"]: [f"{node['target']} {node['failureSummary']}" for node in rule["nodes"]][:4] for rule in found}


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_script_writes_is_what_the_server_wrote(browser: Browser, site: Site, language: str) -> None:
    silent = a_context(browser, language, java_script_enabled=False)
    with a_page(browser, site.address, language) as live:
        written = silent.new_page()
        written.goto(site.address)
        # Every bay changes and comes back, so that all of it is written anew by the script.
        before = site.station.shown
        site.station.shown = a_snapshot(*(replace(bay, state=BayState.EMPTY, drive=None) for bay in before.bays))
        expect(live.locator(".bay.is-empty")).to_have_count(len(before.bays))
        site.station.shown = before
        expect(cell(live, "B3")).to_have_class("bay is-failed")
        for bay in before.bays:
            texts = "cell => [cell.className, ...[...cell.querySelectorAll('[data-f]')].map(f => f.textContent)]"
            assert cell(live, bay.name).evaluate(texts) == cell(written, bay.name).evaluate(texts), bay.name
    silent.close()


def test_a_state_is_said_by_colour_and_shape_and_word(browser: Browser, site: Site) -> None:
    with a_page(browser, site.address) as page:
        shown = {
            name: cell(page, name).evaluate(
                "cell => [getComputedStyle(cell.querySelector('.head')).backgroundColor,"
                " cell.querySelector('use').getAttribute('href').split('#')[1], cell.querySelector('.word').textContent]"
            )
            for name in ("A5", "A6", "A7", "B2", "B3")
        }
        assert [item[1] for item in shown.values()] == ["asking", "writing", "verifying", "passed", "failed"] or shown
        assert len({item[1] for item in shown.values()}) == len({item[2] for item in shown.values()}) == len(shown)
        width = page.locator(".bay .symbol").first.evaluate("svg => svg.getBoundingClientRect().width")
        drawn = page.locator(".bay use").first.evaluate("use => use.getBBox().width")
        assert width >= 13 and drawn > 0, "the sprite was not loaded"


def test_nothing_moves_while_bays_change_and_alarms_come(browser: Browser, site: Site) -> None:
    site.station.shown = many_bays(24)
    with a_page(browser, site.address) as page:
        page.evaluate(COUNT_SHIFTS)
        before = page.evaluate(PLACES)
        for state, more in (
            (BayState.VERIFYING, {"done_bytes": 1}),
            (BayState.PASSED, {}),
            (
                BayState.FAILED,
                {
                    "reasons": all_recalled(
                        "384 sectors do not hold what was written; 4096 bytes could not be read back"
                    )
                },
            ),
            (BayState.EMPTY, {"drive": None}),
        ):
            site.change("B3", state=state, **more)
            expect(cell(page, "B3")).to_have_class(f"bay is-{state.value}")
        assert page.evaluate(PLACES) == before
        # A word in its own place that is longer or shorter.
        assert page.evaluate("window.shifts") < 0.01


def test_the_wall_says_when_it_is_old_and_comes_back_by_itself(browser: Browser) -> None:
    with a_site(many_bays(8)) as own, a_page(browser, own.address) as page:  # which ends in between
        expect(page.locator("#stale")).to_be_hidden()
        own.close()
        expect(page.locator("#stale")).to_contain_text("Old picture")
        own.station.shown = many_bays(8)
        own.change("A1", state=BayState.PASSED)
        own.open()
        expect(page.locator("#stale")).to_be_hidden()
        expect(cell(page, "A1")).to_have_class("bay is-passed")


def test_an_alarm_cannot_be_overlooked_until_somebody_takes_it_by_name(browser: Browser, site: Site) -> None:
    site.station.shown = many_bays(8)
    with a_page(browser, site.address, "zh-CN") as page:
        expect(page.locator("#alarms")).to_have_class("alarms is-quiet")
        site.change("A2", state=BayState.FAILED, reasons=(say(Code.MISMATCH, count=384),))
        expect(page.locator("#alarms")).to_have_class("alarms is-open")
        expect(page.locator("#alarms-text, .alarms-text")).to_contain_text("盘位 A2: 校验失败")
        assert page.title().startswith("(1) ")
        expect(page.get_by_role("alert")).to_contain_text("待处理告警：1")
        page.keyboard.press("Tab")
        page.locator("#alarms-show").press("Enter")
        page.get_by_role("button", name="我来处理").click()
        expect(page.locator("#alarm-list")).to_contain_text("由 demo 处理")
        expect(page.locator("#alarms")).to_have_class("alarms is-taken")
        with a_page(browser, site.address, "en") as other:
            expect(other.locator("#alarms")).to_have_class("alarms is-taken")


def test_an_order_says_what_will_come_of_it_and_is_meant_for_the_drive_that_was_seen(
    browser: Browser, site: Site
) -> None:
    waiting = a_busy_bay(state=BayState.ASKING, done_bytes=0, total_bytes=0, stage="", alarms=(), alarm_sayings=())
    site.station.shown = a_snapshot(waiting)
    with a_page(browser, site.address + "/bays/A1") as page:
        start = page.get_by_role("button", name="Start")
        start.click()
        expect(page.locator("#order-dialog")).to_contain_text("erased from its first to its last byte, for good")
        expect(page.locator("#order-drive")).to_have_text("S3R1AL")
        page.get_by_role("button", name="Do nothing").click()
        expect(page.locator("#order-dialog")).to_be_hidden()
        assert site.station.orders == []
        expect(start).to_be_focused()
        start.click()
        # Another drive is put in while the person reads.
        site.change("A1", sighting="another")
        expect(page.locator("#bay")).to_be_visible()
        page.wait_for_timeout(1200)
        page.locator("#order-yes").click()
        expect(page.locator("#order-answer")).to_contain_text("another drive is in it")
        assert site.station.orders == []
        start.click()
        page.locator("#order-standard").select_option("gb-46864-2025")
        page.locator("#order-yes").click()
        expect(page.locator("#order-answer")).to_have_text("The station has taken the order.")
        assert site.station.orders == [("start", "A1", "gb-46864-2025")] and site.station.operators == ["demo"]
        expect(page.get_by_role("button", name="Pause")).to_be_disabled()


def test_what_a_drive_says_of_itself_never_becomes_a_script(browser: Browser, site: Site) -> None:
    evil = replace(IDENTITY, model=EVIL, serial=EVIL)
    bad = a_busy_bay(
        drive=a_drive(identity=evil),
        reasons=(recalled(EVIL),),
        lot=EVIL,
        asset_tag=EVIL,
        alarm_sayings=(recalled(EVIL),),
    )
    calm = replace(bad, state=BayState.EMPTY, drive=None, reasons=(), alarms=(), alarm_sayings=())
    for path in ("/", "/bays/A1", "/failures"):
        site.station.shown = a_snapshot(calm)
        with a_page(browser, site.address + path, "zh-CN") as page:
            site.station.shown = a_snapshot(bad, troubles=(recalled(EVIL),))
            expect(page.locator("main")).to_contain_text("window.pwned=1")
            page.locator("#alarms-show").click()
            expect(page.locator("#alarm-list")).to_contain_text("window.pwned=1")
            assert page.evaluate("window.pwned") is None
            assert page.locator("img").count() == 0
            assert page.locator("script:not([src]):not([type='application/json'])").count() == 0


@pytest.mark.parametrize("width", [360, 1280, 3840])
def test_fingers_in_gloves_meet_their_mark_and_nothing_runs_out_of_the_page(
    browser: Browser, site: Site, width: int
) -> None:
    for path in ("/", "/bays/A6", "/failures"):
        with a_page(browser, site.address + path, width=width, has_touch=width < 1000) as page:
            small = page.evaluate(
                "() => [...document.querySelectorAll('button, .bay, .navigation a, .languages a, select')]"
                ".map(e => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])"
                ".filter(([, box]) => box.width && (box.width < 47.9 || box.height < 47.9)).map(([html]) => html)"
            )
            assert small == [], path
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_the_rack_is_walked_by_keyboard_from_the_first_key(browser: Browser, site: Site) -> None:
    with a_page(browser, site.address) as page:
        page.keyboard.press("Tab")
        expect(page.get_by_text("Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(cell(page, "A1").get_by_role("link")).to_be_focused()
        outline = cell(page, "A1").locator(".name").evaluate("a => getComputedStyle(a, '::after').outlineStyle")
        assert outline == "solid"
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Bay A1")).to_be_visible()
        assert [item.get_attribute("aria-label") for item in page.get_by_role("navigation").all()] == [
            "Main",
            "Language",
        ]


def test_a_state_is_told_to_whoever_cannot_see_it(browser: Browser, site: Site) -> None:
    site.station.shown = many_bays(8)
    with a_page(browser, site.address) as page:
        site.change("A4", state=BayState.PASSED)
        expect(page.locator("#live[aria-live=polite]")).to_have_text("A4: Passed")
