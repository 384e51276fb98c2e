"""Taking a certificate back over the API: the document, the log's entry, and the drive that must not leave."""

from __future__ import annotations

import hashlib
import pwd
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from eraser.certificates.envelope import WITHDRAWAL, seal, unseal
from eraser.certificates.keys import open_signer, station_keys
from eraser.certificates.verifying import verify_withdrawal
from eraser.console.desk import Desk
from eraser.console.forms import read_drive, read_withdrawal
from eraser.console.server import serve_http
from eraser.domain.custody import Quarantined
from eraser.domain.events import CertificateIssued, Outcome
from eraser.domain.json_form import to_json
from eraser.domain.log_entry import EntryKind
from eraser.errors import JournalError
from eraser.ledger import log, withdrawals
from eraser.ledger.check import check
from eraser.ledger.engine import sqlite_url
from eraser.ledger.station_ledger import StationLedger, open_ledger
from tests.console.desks import AT, STATION, end_none, now_utc, withdrawing
from tests.console.serving import Answer, ask
from tests.console.stations import FakeStation
from tests.ledger.stories import a_request, drive_number, whole_job

ONE = drive_number(1)
SERIAL = ONE.identity.serial
ID = "a" * 32


@dataclass(frozen=True)
class Served:
    ledger: StationLedger
    folder: Path

    async def withdraw(self, certificate_id: str = ID, reason: str = "the wrong drive", **more: Any) -> Answer:
        target = f"/api/v1/certificates/{certificate_id}/withdrawal"
        return await ask(self.folder / "eraser.sock", "POST", target, {"reason": reason, **more})

    async def record(self, kind: str, **more: Any) -> Answer:
        order = {"drive": SERIAL, "event": {"kind": kind, **more}}
        return await ask(self.folder / "eraser.sock", "POST", "/api/v1/custody", order)

    async def drive(self) -> Any:
        return read_drive((await ask(self.folder / "eraser.sock", "GET", f"/api/v1/custody?drive={SERIAL}")).json)

    async def erase(self, job_id: str, certificate_id: str, outcome: Outcome = Outcome.PASSED) -> None:
        journal = await self.ledger.journal.begin(a_request(job_id))
        for event in whole_job(job_id, ONE, outcome=outcome):
            issued = isinstance(event, CertificateIssued)
            await journal.append(replace(event, certificate_id=certificate_id) if issued else event)
        await journal.close()

    async def logged(self, certificate_id: str = ID) -> list[log.Logged]:
        return await self.ledger.store.read(lambda connection: log.entries_about(connection, certificate_id))

    def expect_clean(self) -> None:
        report = check(sqlite_url(self.folder / "ledger.db"), processes=1)
        assert report.is_clean, report.findings

    @property
    def document(self) -> Path:
        return self.folder / "certificates" / f"{ID}.withdrawal"


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with open_ledger(sqlite_url(tmp_path / "ledger.db"), STATION, now_utc) as ledger:
        withdraw = withdrawing(ledger.store, tmp_path)
        desk = Desk(ledger.custody, ledger.lots, ledger.intake, STATION, now_utc, end_none, withdraw)
        async with serve_http(FakeStation(), listen=None, socket=tmp_path / "eraser.sock", desk=desk):
            served = Served(ledger, tmp_path)
            await ask(served.folder / "eraser.sock", "POST", "/api/v1/lots", LOT)
            await served.record("received", lot_id="L7")
            await served.erase("job-1", ID)
            yield served


LOT = {"lot_id": "L7", "policy": {"standard": "nist-clear"}}


async def test_a_withdrawal_is_signed_logged_and_keeps_the_drive_here(served: Served) -> None:
    assert (await served.drive()).not_for_sale == ""
    form = read_withdrawal((await served.withdraw()).json)
    assert (form.is_quarantined, form.left_to, form.drive and form.drive.serial) == (True, "", SERIAL)
    document = served.document.read_bytes()
    found = verify_withdrawal(document, station_keys(served.folder / "keys"))
    assert found == form.withdrawal
    assert (found.certificate_id, found.certificate_digest, found.reason) == (ID, bytes(32), "the wrong drive")
    assert (found.withdrawn_at, found.operator) == (AT, pwd.getpwuid(0).pw_name)
    issued, withdrawn = await served.logged()
    assert (issued.entry.kind, withdrawn.entry.kind) == (EntryKind.CERTIFICATE, EntryKind.WITHDRAWAL)
    assert withdrawn.entry.digest == hashlib.sha256(unseal(document, WITHDRAWAL).signed_bytes).digest()
    drive = await served.drive()
    assert drive.not_for_sale_code == "quarantined"
    assert drive.records[-1].event == Quarantined(f"its certificate {ID} was withdrawn: the wrong drive")
    assert (await served.record("released")).json["reason"] == "quarantined"
    served.expect_clean()


async def test_a_drive_that_was_released_does_not_leave_after_all(served: Served) -> None:
    assert (await served.record("released")).status == 201
    await served.withdraw()
    assert (await served.record("handed-over", to="a buyer")).status == 409
    served.expect_clean()


async def test_of_a_drive_that_has_left_it_is_said_who_has_it_and_it_is_held_when_it_returns(served: Served) -> None:
    await served.record("released")
    await served.record("handed-over", to="a buyer")
    form = read_withdrawal((await served.withdraw()).json)
    assert (form.left_to, form.is_quarantined) == ("a buyer", True)
    await served.record("received", lot_id="L7")
    assert (await served.drive()).not_for_sale_code == "quarantined"
    await served.erase("job-2", "b" * 32)
    assert (await served.drive()).not_for_sale == ""
    served.expect_clean()


async def test_a_later_job_on_the_drive_is_not_spoilt_by_the_withdrawal_of_an_earlier_one(served: Served) -> None:
    await served.erase("job-2", "b" * 32)
    form = read_withdrawal((await served.withdraw()).json)
    assert not form.is_quarantined
    assert (await served.drive()).not_for_sale == ""
    assert len(await served.logged()) == 2
    served.expect_clean()


async def test_a_destroyed_drive_stays_as_it_is(served: Served) -> None:
    await served.record("destroyed", how="shredded")
    form = read_withdrawal((await served.withdraw()).json)
    assert (form.is_destroyed, form.is_quarantined) == (True, False)
    assert len(await served.logged()) == 2
    served.expect_clean()


async def test_what_is_withdrawn_or_unknown_is_refused(served: Served) -> None:
    assert (await served.withdraw()).status == 201
    again = await served.withdraw(reason="once more")
    assert (again.status, again.json["reason"]) == (409, "withdrawn")
    unknown = await served.withdraw("b" * 32)
    assert (unknown.status, unknown.json["code"]) == (404, "not-found")
    assert not (served.document.parent / f"{'b' * 32}.withdrawal").exists()
    assert len(await served.logged()) == 2
    assert len([item for item in (await served.drive()).records if isinstance(item.event, Quarantined)]) == 1


async def test_only_the_very_certificate_that_is_shown_is_taken_back(served: Served) -> None:
    assert (await served.withdraw(digest="11" * 32)).status == 404
    assert not served.document.exists()
    assert (await served.withdraw(digest="00" * 32)).status == 201


@pytest.mark.parametrize("reason", ["", "a\u202eb", "x" * 1001, "  "])
async def test_a_withdrawal_has_a_reason_that_can_be_printed(served: Served, reason: str) -> None:
    assert (await served.withdraw(reason=reason)).status in (400, 422)
    assert not served.document.exists()


async def test_after_a_crash_between_document_and_ledger_the_same_order_goes_on(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as crash:
        crash.setattr(withdrawals, "enter", _fails)
        assert (await served.withdraw(reason="first")).status == 500
    document = served.document.read_bytes()
    assert len(await served.logged()) == 1
    form = read_withdrawal((await served.withdraw(reason="second")).json)
    assert form.withdrawal.reason == "first"
    assert served.document.read_bytes() == document
    assert len(await served.logged()) == 2
    served.expect_clean()


def _fails(*_: object) -> None:
    raise JournalError("the ledger went away")


async def test_after_a_crash_between_document_and_ledger_the_next_start_finishes(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as crash:
        crash.setattr(withdrawals, "enter", _fails)
        assert (await served.withdraw(reason="first")).status == 500
    assert len(await served.logged()) == 1
    for _ in range(2):  # a start after the next one finds nothing more to do
        assert await withdrawing(served.ledger.store, served.folder).finish() == []
        assert len(await served.logged()) == 2
    drive = await served.drive()
    assert drive.not_for_sale_code == "quarantined"
    assert drive.records[-1].event == Quarantined(f"its certificate {ID} was withdrawn: first")
    served.expect_clean()


async def test_what_was_not_begun_and_what_is_not_ours_is_not_finished(served: Served) -> None:
    finish = withdrawing(served.ledger.store, served.folder).finish
    assert await finish() == []
    served.document.parent.mkdir(exist_ok=True)
    served.document.write_bytes(b"{")
    strange = served.document.with_name(f"{'c' * 32}.withdrawal")
    strange.write_bytes(b"{}")
    problems = await finish()
    assert len(problems) == 2 and all("is not in the log" in item for item in problems)
    assert len(await served.logged()) == 1
    assert (await served.drive()).not_for_sale == ""


async def test_entry_and_quarantine_are_there_together_or_not_at_all(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as crash:
        crash.setattr(withdrawals, "custody_row", _fails)
        assert (await served.withdraw()).status == 500
    assert len(await served.logged()) == 1
    assert (await served.drive()).not_for_sale == ""
    assert (await served.withdraw()).status == 201


async def test_a_forged_document_in_its_place_is_not_entered(served: Served) -> None:
    await served.withdraw()
    forged = replace(read_of(served.document), certificate_id="b" * 32)
    await served.erase("job-2", "b" * 32)
    other = served.document.with_name(f"{'b' * 32}.withdrawal")
    other.write_bytes(seal(to_json(forged), open_signer(served.folder / "elsewhere"), WITHDRAWAL))
    assert (await served.withdraw("b" * 32)).json["code"] != ""
    assert len(await served.logged("b" * 32)) == 1
    other.write_bytes(served.document.read_bytes())
    assert (await served.withdraw("b" * 32)).status == 500
    assert len(await served.logged("b" * 32)) == 1


def read_of(path: Path) -> Any:
    return verify_withdrawal(path.read_bytes(), station_keys(path.parent.parent / "keys"))
