"""Audits in a real Chromium: an auditor plans one, looks through the sample and signs; what the controls show."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.console.desk_site import PATIENCE_MS, DeskSite, a_page, chromium

pytestmark = pytest.mark.lab("chromium")
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeskSite]:
    opened = DeskSite(tmp_path_factory.mktemp("audits"))
    opened.open()
    try:
        yield opened
    finally:
        opened.close()


def faults(page: Page) -> dict[str, list[str]]:
    """By axe's rule, what breaks it."""
    found = Axe().run(page).response["violations"]
    return {rule["id"]: [f"{node['target']} {node['failureSummary']}" for node in rule["nodes"]][:3] for rule in found}


def plan(page: Page, site: DeskSite) -> str:
    """Draws one by the keyboard alone, with a nonce of this browser's; gives its address."""
    page.goto(site.address + "/audits/new")
    page.locator("#draw-nonce").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#nonce")).to_have_value(re.compile("^[0-9a-f]{32}$"))
    page.fill("#first_day", "2026-12-01")
    page.fill("#last_day", "2027-12-31")
    page.locator("#last_day").press("Enter")
    expect(page.locator("#sample")).to_be_visible()
    return page.url


@pytest.mark.parametrize(("language", "scheme", "width"), [("zh-CN", "light", 390), ("en", "dark", 1280)])
def test_an_audit_goes_from_its_plan_to_its_report_and_every_page_is_without_a_fault(
    browser: Browser, site: DeskSite, language: str, scheme: str, width: int
) -> None:
    with a_page(browser, site.address + "/audits", language, width, color_scheme=scheme) as page:

        def look() -> None:
            assert faults(page) == {}, page.url
            assert page.evaluate("document.documentElement.scrollWidth") <= width, page.url
            expect(page.locator("html")).to_have_attribute("lang", language)

        look()
        page.goto(site.address + "/audits/new")
        look()
        address = plan(page, site)
        look()
        boxes = page.locator("input[name=looked_at]")
        expect(boxes).to_have_count(3)
        boxes.first.focus()
        page.keyboard.press("Space")
        page.locator("#sample button").click()
        expect(page.locator("#progress")).to_have_js_property("value", 1)
        expect(boxes.first).to_be_checked()
        page.locator("form[action$='/record'] button.primary").click()
        expect(page.locator(".result")).to_have_class(re.compile("is-good"))
        look()
        with page.expect_download() as download:
            page.locator(".result a.primary").click()
        assert download.value.path().read_bytes().startswith(b"%PDF-")
        page.goto(site.address + "/audits?state=accepted")
        expect(page.locator(f"a[href='{address.removeprefix(site.address).partition('?')[0]}']")).to_be_visible()


def test_what_is_wrong_in_the_form_is_said_and_what_was_filled_in_stays(browser: Browser, site: DeskSite) -> None:
    with a_page(browser, site.address + "/audits/new") as page:
        page.fill("#nonce", "ab" * 16)
        page.fill("#first_day", "2020-01-01")
        page.fill("#last_day", "2020-01-31")
        page.click("button.primary")
        expect(page.get_by_role("alert")).to_contain_text("no certificate of these days")
        expect(page.locator("#nonce")).to_have_value("ab" * 16)
        expect(page.locator("#first_day")).to_have_value("2020-01-01")


def test_both_controls_are_shown_with_what_they_found_and_when_they_come_next(browser: Browser, site: DeskSite) -> None:
    with a_page(browser, site.address + "/audits") as page:
        control = page.locator("section", has=page.locator("#control-title"))
        expect(control).to_contain_text("As it must be")
        expect(control).to_contain_text("Not run yet")
        expect(control).to_contain_text("runs now")
        expect(control).to_contain_text("Nothing is certified: the dirty control")
        routine = page.locator("#routine")
        if routine.get_by_role("button", name="Draw now").count():
            routine.get_by_role("button", name="Draw now").click()
        expect(routine).to_contain_text("drawn of 2 passed")
        expect(routine.locator("li")).to_have_count(1)
