"""The desk's pages in a real Chromium: what a clerk, an operator at the scanner, an auditor and a customer see and do."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from click.testing import CliRunner, Result
from playwright.sync_api import Browser, Page, expect

from eraser.cli.receipt import receipt_group
from eraser.console.pages.labels_page import SIZES
from eraser.domain.custody import CustodyRecord, DriveName, Quarantined, Received, drive_name
from eraser.domain.events import CertificateIssued
from eraser.ledger.station_ledger import StationLedger
from eraser.rack.view import BaySnapshot
from tests.console.certified import erase, issuer_of
from tests.console.desk_site import LOT, PATIENCE_MS, DeskSite, a_page, chromium
from tests.console.desks import AT, STATION
from tests.console.stations import a_busy_bay, an_empty_bay
from tests.ledger.stories import a_request, drive_number, whole_job

pytestmark = pytest.mark.lab("chromium")
expect.set_options(timeout=PATIENCE_MS)
LANGUAGES = ("zh-CN", "en")
JOB = "job-of-the-customer"
WRONG_CODE = "P4KBT-SZIZQ-QRF23-J7VZU-EUDBAU"
SEVEN = drive_name(drive_number(7).identity)
assert SEVEN is not None
VERIFIER = "from eraser.cli.offline_verifier import main; main()"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeskSite]:
    opened = DeskSite(tmp_path_factory.mktemp("desk"))
    opened.open()
    try:
        yield opened
    finally:
        opened.close()


def paths(site: DeskSite) -> list[str]:
    return [
        "/lots",
        "/lots/new",
        f"/lots/{LOT}",
        "/labels",
        f"/labels/result?certificate={site.ids[0]}",
        f"/labels/intake?lot={LOT}&serial=S0000008",
        "/certificates",
        f"/certificates/{site.ids[2]}",
        "/check",
        f"/check/{site.ids[0]}",
        "/reports",
        "/reports?by=model",
        "/specifications",
        "/present",
        "/customers",
        f"/customers/new?lot={LOT}&serial=S0000005",
    ]


async def erase_seen(site: DeskSite, ledger: StationLedger) -> None:
    """The rest of the job in bay A2, to its certificate; then the drive is taken out."""
    log = await ledger.journal.begin(a_request(JOB))
    for event in whole_job(JOB, drive_number(7)):
        if isinstance(event, CertificateIssued):
            issued = issuer_of(site.data)(log.state)
            event = replace(event, certificate_id=issued.certificate_id, digest=issued.digest)
        await log.append(event)
    await log.close()
    show(site, an_empty_bay("A2"))


def show(site: DeskSite, bay: BaySnapshot) -> None:
    bays = tuple(bay if item.name == bay.name else item for item in site.station.shown.bays)
    site.station.shown = replace(site.station.shown, bays=bays)


@pytest.mark.parametrize(("language", "scheme", "width"), [("zh-CN", "light", 360), ("en", "dark", 1280)])
def test_every_page_is_without_a_fault_by_axe_and_fits_its_width(
    browser: Browser, site: DeskSite, language: str, scheme: str, width: int
) -> None:
    with a_page(browser, site.address + "/lots", language, width, color_scheme=scheme) as page:
        for path in paths(site):
            page.goto(site.address + path)
            assert faults(page) == {}, path
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            expect(page.locator("html")).to_have_attribute("lang", language)


def faults(page: Page) -> dict[str, list[str]]:
    """By axe's rule, what breaks it."""
    found = Axe().run(page).response["violations"]
    return {rule["id"]: [f"{node['target']} {node['failureSummary']}" for node in rule["nodes"]][:3] for rule in found}


def test_a_lot_is_made_and_its_list_imported(browser: Browser, site: DeskSite, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_bytes("品牌,序列号\n希捷,ZA1234XY\n希捷,ZA5678XY\n".encode("gb18030"))
    bad.write_text("SN\nZA1234XY\nZA1234XY\n1.2E+11\n")
    with a_page(browser, site.address + "/lots/new") as page:
        page.fill("#lot_id", "OFFICE 9")
        page.fill("#deadline", "2027-01-31T16:00")
        page.check("#start-self")
        page.click("button.primary")
        expect(page.get_by_role("heading", level=1)).to_have_text("OFFICE 9")
        page.set_input_files("#list", bad)
        expect(page.locator("#import-result .bad li")).to_have_count(2)
        expect(page.locator("#import-result button")).to_have_count(0)
        page.set_input_files("#list", good)
        page.locator("#import-result button").click()
        expect(page.locator("#import-result .good")).to_be_visible()
        expect(page.locator("#picture")).to_contain_text("ZA5678XY")
    lot = site.ask(lambda ledger: ledger.lots.get("OFFICE 9"))
    assert lot.expected_serials == ("ZA1234XY", "ZA5678XY")
    assert lot.policy.starts_by_itself
    assert lot.policy.deadline.endswith("Z")


def test_a_drive_is_received_by_the_keyboard_alone_whichever_code_is_scanned_first(
    browser: Browser, site: DeskSite
) -> None:
    with a_page(browser, f"{site.address}/lots/{LOT}") as page:
        expect(page.locator("#scan")).to_be_focused()
        for code in ("WD40EFRX-68WT0N0", "5000C500A1B2C3D4", "S/N: S0000004"):
            page.keyboard.type(code)
            page.keyboard.press("Enter")
            expect(page.locator("#scan")).to_have_value("")
        expect(page.locator("#scan-result")).to_contain_text("S0000004")
        page.keyboard.press("Enter")
        expect(page.locator("#scan-result .good")).to_contain_text("Received")
    history = site.ask(lambda ledger: ledger.custody.history(DriveName("S0000004")))
    assert [record.event for record in history.gathered.records] == [Received(LOT)]


def test_a_serial_number_that_is_misread_is_asked_about_and_nothing_is_received(
    browser: Browser, site: DeskSite
) -> None:
    with a_page(browser, f"{site.address}/lots/{LOT}", "zh-CN") as page:
        page.keyboard.type("S000000B")
        page.keyboard.press("Enter")
        expect(page.locator("#scan-result mark")).to_have_text("8")
        page.keyboard.press("Enter")
        expect(page.locator("#scan-result .good")).to_have_count(0)
    assert site.ask(lambda ledger: ledger.custody.named("S0000008")) is None
    assert site.ask(lambda ledger: ledger.custody.named("S000000B")) is None


def test_the_scanned_drive_s_result_label_is_printed_at_once_and_the_next_can_be_scanned(
    browser: Browser, site: DeskSite
) -> None:
    with a_page(browser, f"{site.address}/labels") as page:
        page.context.add_init_script("window.print = () => { document.title = 'PRINTED'; };")
        page.keyboard.type("S0000003")
        page.keyboard.press("Enter")
        page.wait_for_url("**/labels/result?**")
        expect(page).to_have_title("PRINTED")
        expect(page.locator(".label")).to_contain_text("NOT ERASED")
        expect(page.locator(".label")).to_contain_text("S0000003")
        page.evaluate("window.dispatchEvent(new Event('afterprint'))")
        page.wait_for_url("**/labels")
        expect(page.locator("#scan")).to_be_focused()
        page.keyboard.type("S0000001")
        page.keyboard.press("Enter")
        expect(page.locator(".label.is-good")).to_contain_text("ERASED")


@pytest.mark.parametrize("size", SIZES)
def test_a_label_is_one_page_of_the_size_that_the_desk_s_printer_has_with_all_of_it_on_it(
    browser: Browser, site: DeskSite, size: str, tmp_path: Path
) -> None:
    with a_page(browser, f"{site.address}/labels/result?certificate={site.ids[2]}") as page:
        page.get_by_role("link", name=size.replace("x", " \N{MULTIPLICATION SIGN} ")).click()
        page.wait_for_url("**/labels/result?certificate=**")
        printed = tmp_path / "label.pdf"
        page.pdf(path=printed, prefer_css_page_size=True, print_background=True)
        text = subprocess.run(["pdftotext", "-layout", printed, "-"], capture_output=True, text=True, check=True).stdout
        for word in ("NOT ERASED", "S0000003", "DO NOT SELL", site.ids[2]):
            assert word in text, (word, text)
        told = subprocess.run(["pdfinfo", printed], capture_output=True, text=True, check=True).stdout
        found = re.search(r"Pages: +1\n(?s:.*)Page size: +([0-9.]+) x ([0-9.]+) pts", told)
        assert found is not None, told
        wanted = [float(side) * 72 / 25.4 for side in size.split("x")]
        assert [float(side) for side in found.groups()] == pytest.approx(wanted, abs=1)
        page.emulate_media(media="print")
        label = "label => [label.scrollHeight - label.clientHeight, label.scrollWidth - label.clientWidth]"
        assert max(page.locator(".label").evaluate(label)) <= 1, "something is cut off"


def test_a_file_that_anybody_drops_is_answered_in_plain_words(browser: Browser, site: DeskSite, tmp_path: Path) -> None:
    files = {path.name[:8]: path for path in (site.data / "certificates").glob("*.json")}
    altered = tmp_path / "altered.json"
    altered.write_bytes(files["S0000001"].read_bytes().replace(b"S0000001", b"S0000009"))
    with a_page(browser, f"{site.address}/check", "zh-CN") as page:
        for file, answer, word in (
            (files["S0000001"], "passed", "真实"),
            (files["S0000003"], "failed", "未清除"),
            (altered, "altered", "不真实"),
        ):
            page.set_input_files("#file", file)
            expect(page.locator(f'.result[data-answer="{answer}"]')).to_contain_text(word)
        expect(page.locator(".result")).not_to_contain_text("S0000009")
        page.goto(f"{site.address}/check/{site.ids[0]}")
        expect(page.locator('.result[data-answer="passed"]')).to_contain_text("S0000001")


@pytest.mark.parametrize("language", LANGUAGES)
def test_certificates_are_searched_and_downloaded(browser: Browser, site: DeskSite, language: str) -> None:
    with a_page(browser, f"{site.address}/certificates", language) as page:
        expect(page.locator("tbody tr")).to_have_count(3)
        page.select_option("#outcome", "failed")
        page.keyboard.press("Tab")
        page.locator("form.search button").click()
        expect(page.locator("tbody tr")).to_have_count(1)
        with page.expect_download() as download:
            page.locator(".files a").first.click()
        assert Path(download.value.path()).read_bytes().startswith(b"%PDF-")


def test_a_customer_agrees_watches_confirms_and_takes_the_certificate_along(
    browser: Browser, site: DeskSite, tmp_path: Path
) -> None:
    """The clerk's page on one screen, the customer's phone beside it; at home the receipt shows whose the certificate is."""
    site.ask(lambda ledger: ledger.custody.record(CustodyRecord(AT, STATION, "clerk", SEVEN, Received(LOT))))
    with a_page(browser, f"{site.address}/present") as clerk:
        clerk.locator("li", has_text="A2").locator("button").click()
        clerk.wait_for_url("**/code")
        expect(clerk.locator("form button.danger")).to_have_count(0)
        address = clerk.url.removesuffix("/code")
        with a_page(browser, address, "zh-CN", 390) as phone:
            expect(phone.locator("main")).to_contain_text("S0000007")
            expect(phone.locator("main")).not_to_contain_text("S0000006")
            assert faults(phone) == {}
            phone.check("#agreed")
            phone.locator("form button.primary").click()
            expect(phone.locator('#picture [data-step="agreed"]')).to_be_visible()
            clerk.locator("form button.danger").click()
            clerk.wait_for_url("**/code")
            assert site.station.orders == [("start", "A2", "")]
            show(site, a_busy_bay("A2", lot=LOT, drive=drive_number(7), job_id=JOB))
            expect(phone.locator('#picture [data-step="working"]')).to_be_visible()
            site.ask(lambda ledger: erase_seen(site, ledger))
            expect(phone.locator('#picture [data-step="passed"]')).to_be_visible()
            with phone.expect_download() as download:
                phone.locator("main .buttons a.primary").click()
            taken = tmp_path / "certificate.pdf"
            download.value.save_as(taken)
            subprocess.run(["pdfdetach", "-saveall", "-o", tmp_path, taken], check=True)
            attached = tmp_path / "certificate.json"
            words = [sys.executable, "-c", VERIFIER, str(attached), "--keys", str(site.data / "keys")]
            assert subprocess.run(words, cwd="/", check=False).returncode == 0
            phone.goto(f"{site.address}/language/en?back={urlsplit(address).path}")
            expect(phone.locator("html")).to_have_attribute("lang", "en")
            expect(phone.locator("main")).to_contain_text("S0000007")
            assert faults(phone) == {}
            box = phone.locator("#signature").bounding_box()
            assert box is not None
            phone.mouse.move(box["x"] + 20, box["y"] + 20)
            phone.mouse.down()
            phone.mouse.move(box["x"] + 80, box["y"] + 50)
            phone.mouse.move(box["x"] + 120, box["y"] + 20)
            phone.mouse.up()
            phone.locator("#confirmation button.primary").click()
            code = phone.locator(".receipt").inner_text()
            assert len(code.replace("-", "")) == 26
            assert faults(phone) == {}
            file = next((site.data / "certificates").glob("S0000007*.json"))
            phone.goto(f"{site.address}/check")
            phone.set_input_files("#file", file)
            for typed, whose in ((WRONG_CODE, "bad"), (code.lower(), "good")):
                if not phone.locator("#receipt").is_visible():
                    phone.locator("details.whose summary").click()
                phone.fill("#receipt", typed)
                phone.locator("details.whose button").click()
                expect(phone.locator(f"#whose.{whose}")).to_be_visible()
            assert faults(phone) == {}
    assert own(site, file, code).exit_code == 0
    assert own(site, file, WRONG_CODE).exit_code == 4
    kept = (site.data / "ledger.db").read_bytes() + (site.data / "ledger.db-wal").read_bytes()
    assert code.encode() not in kept
    assert address.rpartition("/")[2].encode() not in kept


def own(site: DeskSite, file: Path, code: str) -> Result:
    """`eraser receipt verify`, with the code alone."""
    key = next((site.data / "keys").glob("*.pub"))
    words = ["verify", str(file), "--code", code, "--keys", str(key)]
    return CliRunner().invoke(receipt_group, words, env={"HOME": str(site.data)})


def test_an_address_that_was_never_given_out_shows_nothing(browser: Browser, site: DeskSite) -> None:
    with browser.new_context() as context:
        answer = context.request.get(f"{site.address}/present/{'x' * 32}", headers={"accept": "text/html"})
        assert answer.status == 404
        assert "S000" not in answer.text()


@pytest.mark.parametrize(("language", "width"), [("zh-CN", 390), ("en", 1280)])
def test_a_customer_is_entered_found_read_exported_and_erased(
    browser: Browser, site: DeskSite, tmp_path: Path, language: str, width: int
) -> None:
    """The clerk hands the receipt out; the privacy officer says why and sees; each page by axe."""
    serial, name = f"S77{width}", f"Wang {width}"
    with a_page(browser, f"{site.address}/customers/new?lot={LOT}&serial={serial}", language, width) as page:
        page.fill("#name", name)
        page.fill("#phone", "+86 138 1234 5678")
        page.locator("main button.primary").click()
        code = page.locator(".receipt").inner_text()
        assert len(code.replace("-", "")) == 26
        expect(page.locator(".receipt-paper")).to_contain_text(name)
        assert_in_order(page, width)

        page.goto(f"{site.address}/customers?drive={serial}")
        expect(page.locator("tbody").first.locator("tr")).to_have_count(1)
        expect(page.locator("main")).not_to_contain_text(name)
        page.fill("#text", code)
        page.fill("#reason", f"{name} lost it")
        page.locator("section button").first.click()
        expect(page.locator(".notice.bad")).to_be_visible()
        page.fill("#text", code)
        page.fill("#reason", "the receipt was found")
        page.locator("section button").first.click()
        expect(page.locator(".notice.bad")).to_have_count(0)
        expect(page.locator("tbody").first.locator("tr")).to_have_count(1)
        assert_in_order(page, width)
        page.locator("tbody a").first.click()
        expect(page.locator("main")).not_to_contain_text("138 1234")
        assert_in_order(page, width)

        page.fill("#reason", f"{name} called")
        page.locator("section button.primary").click()
        expect(page.locator(".notice.bad")).to_be_visible()
        expect(page.locator("main")).not_to_contain_text("138 1234")
        page.fill("#reason", "call back")
        page.locator("section button.primary").click()
        expect(page.locator("main")).to_contain_text("138 1234")
        assert_in_order(page, width)
        page.fill("#reason", "asked for a copy")
        with page.expect_download() as download:
            page.locator('button[formaction$="export"]').click()
        assert name in Path(download.value.path()).read_text()

        page.fill("#why", "asked for it")
        page.check("#sure")
        page.locator("button.danger").click()
        expect(page.locator(".result.is-good")).to_be_visible()
        assert_in_order(page, width)
        page.goto(f"{site.address}/customers?drive={serial}")
        expect(page.locator(".empty")).to_be_visible()
        for why in ("call back", "asked for a copy"):
            expect(page.locator('[aria-labelledby="reads"]')).to_contain_text(why)
        assert_in_order(page, width)


def assert_in_order(page: Page, width: int) -> None:
    assert faults(page) == {}, page.url
    assert page.evaluate("document.documentElement.scrollWidth") <= width, page.url


def test_a_passed_drive_that_was_put_aside_gets_no_label_that_says_erased(site: DeskSite) -> None:
    drive = drive_number(12)
    name = drive_name(drive.identity)
    assert name is not None
    issued = site.ask(lambda ledger: erase(ledger, site.data, drive))
    address = f"{site.address}/labels/result?certificate={issued.certificate_id}"
    assert "is-good" in text_at(address)
    aside = CustodyRecord(AT, STATION, "demo", name, Quarantined("the routine control read it again: drive-differs"))
    site.ask(lambda ledger: ledger.custody.record(aside))
    label = text_at(address)
    assert "is-good" not in label and "DO NOT SELL" in label and "drive-differs" in label


def text_at(address: str) -> str:
    with urllib.request.urlopen(address, timeout=30) as answer:
        text: str = answer.read().decode()
        return text
