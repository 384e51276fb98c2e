"""Coming in, in a real Chromium: from the first link to the rack and out again, with the page's own policy in force."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from eraser.console.client import StationClient
from tests.console.pages.sites import PATIENCE_MS, a_page, chromium
from tests.console.pages.test_browser import faults
from tests.console.people import PASSWORD, Plant
from tests.console.running import letting_in

pytestmark = pytest.mark.lab("chromium")
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def plant_elsewhere(tmp_path: Path) -> Iterator[Plant]:
    with letting_in(tmp_path) as plant:
        yield plant


def in_order(page: Page) -> None:
    assert faults(page) == {}, page.url
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), page.url


@pytest.mark.parametrize(("language", "width", "scheme"), [("zh-CN", 390, "dark"), ("en", 1280, "light")])
def test_a_person_comes_in_lets_another_in_and_leaves(
    browser: Browser, plant_elsewhere: Plant, language: str, width: int, scheme: str
) -> None:
    at = f"http://127.0.0.1:{plant_elsewhere.port}"
    link = StationClient(plant_elsewhere.socket).add_account("Anna", ["administrator"])["link"]
    with a_page(browser, f"{at}{link}", language, width, color_scheme=scheme) as page:
        in_order(page)
        page.locator("#password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{at}/sign-in")
        page.goto(f"{at}/accounts")
        page.wait_for_url(f"{at}/sign-in?next=%2Faccounts")
        in_order(page)
        page.locator("#name").fill("Anna")
        page.locator("#password").fill("not the right one")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_be_visible()
        in_order(page)
        page.locator("#password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{at}/accounts")
        in_order(page)
        page.locator("#name").fill("Bo")
        page.locator("#role-operator").check()
        page.locator("#name").press("Enter")
        expect(page.locator("input[readonly]")).to_have_value(
            re.compile(re.escape(f"{at}/set-up?link=") + r"[\w-]{40,}")
        )
        in_order(page)
        page.goto(f"{at}/trail")
        in_order(page)
        page.goto(f"{at}/")
        page.locator("a.reader").click()
        page.wait_for_url(f"{at}/account")
        in_order(page)
        page.locator("form[action='/sign-out'] button").click()
        page.wait_for_url(f"{at}/sign-in")
        page.goto(f"{at}/")
        page.wait_for_url(f"{at}/sign-in?next=%2F")
