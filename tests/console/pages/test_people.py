"""Each person with an account of their own, in both languages, at a rack where drives come, are erased and go: what they came
for, and a certificate that they take along and that the offline verifier accepts.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from eraser.console.client import StationClient
from eraser.domain.account import Role
from tests.console.pages.sites import PATIENCE_MS, a_page, a_simulated_rack, chromium
from tests.console.people import PASSWORD
from tests.rack.serving import Serving

pytestmark = pytest.mark.lab("chromium")
expect.set_options(timeout=PATIENCE_MS)
AN_ERASED_DRIVE_MS = 90_000
VERIFIER = "from eraser.cli.offline_verifier import main; main()"


@dataclass(frozen=True)
class Work:
    """What somebody does: pages with what has to be on them (CSS), and a page that is not theirs."""

    pages: dict[str, str]
    not_theirs: str


WORK = {
    Role.OPERATOR: Work({"/failures": "#failures", "/labels": "#scan:focus", "/lots": "h1"}, "/reports"),
    Role.CLERK: Work({"/lots/new": "#lot_id", "/present": "form button.primary", "/labels": "#scan"}, "/trail"),
    Role.OPS: Work(
        {"/failures": "#quarantine", "/reports?by=model": "table tbody tr", "/lots/new": "form"}, "/present"
    ),
    Role.AUDITOR: Work({"/trail": "table tbody tr", "/certificates": ".log .mono", "/reports": "table"}, "/lots/new"),
    Role.PRIVACY_OFFICER: Work({"/trail": "table tbody tr", "/specifications": "h1"}, "/failures"),
    Role.ADMINISTRATOR: Work({"/accounts": "#role-operator", "/trail": "table tbody tr"}, "/lots/new"),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def rack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Serving, str]]:
    """Four bays in a hurry, of which a drive has passed and another failed already; and its address."""
    with a_simulated_rack(tmp_path_factory, 4) as (station, address):
        station.until(lambda seen: seen["passed"] >= 1 and seen["failed"] >= 1, within_s=120)
        yield station, address


def come_in(page: Page, station: Serving, role: Role) -> None:
    """By the link that an administrator gives, a password of one's own, and the page to sign in."""
    at = page.url.rstrip("/")
    link = StationClient(station.data / "eraser.sock").add_account(f"the {role}", [role.value])["link"]
    page.goto(f"{at}{link}")
    page.locator("#password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{at}/sign-in")
    page.locator("#name").fill(f"the {role}")
    page.locator("#password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{at}/")
    expect(page.locator("a.reader")).to_contain_text(f"the {role}")


def do_the_work(page: Page, at: str, work: Work, language: str) -> None:
    for path, part in work.pages.items():
        page.goto(at + path)
        expect(page.locator(part).first).to_be_visible()
        expect(page.locator("html")).to_have_attribute("lang", language)
    answer = page.goto(at + work.not_theirs)
    assert answer is not None and answer.status == 403
    expect(page.get_by_role("heading", level=1)).to_have_text(
        {"en": "You may not see this", "zh-CN": "您无权查看"}[language]
    )


def take_a_certificate_along(page: Page, at: str, folder: Path) -> Path:
    """The newest of a drive that passed, as its file."""
    page.goto(f"{at}/certificates?outcome=passed")
    with page.expect_download() as download:
        page.locator(".files a").nth(1).click()
    target = folder / download.value.suggested_filename
    download.value.save_as(target)
    return target


@pytest.mark.parametrize("role", WORK)
def test_a_person_does_what_they_came_for_in_both_languages_and_takes_a_genuine_certificate_along(
    browser: Browser, rack: tuple[Serving, str], tmp_path: Path, role: Role
) -> None:
    station, address = rack
    with a_page(browser, address, "zh-CN") as page:
        come_in(page, station, role)
        # A drive that has come in is erased before their eyes.
        expect(page.locator(".bay.is-writing, .bay.is-verifying").first).to_be_visible(timeout=AN_ERASED_DRIVE_MS)
        expect(page.locator(".bay.is-passed").first).to_be_visible(timeout=AN_ERASED_DRIVE_MS)
        do_the_work(page, address, WORK[role], "zh-CN")
        page.get_by_role("link", name="English").click()
        do_the_work(page, address, WORK[role], "en")
        certificate = take_a_certificate_along(page, address, tmp_path)
    words = [sys.executable, "-c", VERIFIER, str(certificate), "--keys", str(station.data / "keys")]
    checked = subprocess.run(words, cwd="/", capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    certificate.write_bytes(certificate.read_bytes().replace(b'"passed"', b'"failed"', 1))
    assert subprocess.run(words, cwd="/", capture_output=True, check=False).returncode != 0
