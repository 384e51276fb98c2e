"""Recording a drive as destroyed over the API: its record, the signed document and the log's entry, together."""

from __future__ import annotations

import pwd
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from eraser.certificates import destroying as destroying_module
from eraser.certificates import recording
from eraser.certificates.keys import station_keys
from eraser.certificates.verifying import entry_of, verify_destruction
from eraser.console.desk import Desk
from eraser.console.forms import read_drive
from eraser.console.server import serve_http
from eraser.domain.custody import Destroyed
from eraser.domain.events import CertificateIssued, Outcome
from eraser.domain.log_entry import EntryKind
from eraser.errors import JournalError
from eraser.ledger import log, signed_records
from eraser.ledger.check import check
from eraser.ledger.engine import sqlite_url
from eraser.ledger.station_ledger import StationLedger, open_ledger
from eraser.log.gate import SigningGate
from tests.console.desks import AT, STATION, destroying, end_none, now_utc
from tests.console.serving import Answer, ask
from tests.console.stations import FakeStation
from tests.ledger.stories import a_request, drive_number, whole_job

ONE = drive_number(1)
SERIAL = ONE.identity.serial
LOT = {"lot_id": "L7", "policy": {"standard": "nist-clear"}}


@dataclass(frozen=True)
class Served:
    ledger: StationLedger
    folder: Path

    async def record(self, kind: str, **more: Any) -> Answer:
        order = {"drive": SERIAL, "event": {"kind": kind, **more}}
        return await ask(self.folder / "eraser.sock", "POST", "/api/v1/custody", order)

    async def destroy(self) -> Answer:
        return await self.record("destroyed", how="shredded to 2 mm", witness="witness-2")

    async def records(self) -> list[Any]:
        answer = await ask(self.folder / "eraser.sock", "GET", f"/api/v1/custody?drive={SERIAL}")
        return list(read_drive(answer.json).records)

    async def logged(self) -> list[Any]:
        entries = await self.ledger.store.read(
            lambda connection: [log.entry_at(connection, index) for index in range(log.size(connection))]
        )
        return [entry for entry in entries if entry.kind is EntryKind.DESTRUCTION]

    def documents(self) -> list[Path]:
        return sorted((self.folder / "certificates").glob("*.destruction"))

    def expect_clean(self) -> None:
        report = check(sqlite_url(self.folder / "ledger.db"), processes=1)
        assert report.is_clean, report.findings


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with open_ledger(sqlite_url(tmp_path / "ledger.db"), STATION, now_utc) as ledger:
        destroy = destroying(ledger.store, tmp_path)
        desk = Desk(ledger.custody, ledger.lots, ledger.intake, STATION, now_utc, end_none, None, destroy)
        async with serve_http(FakeStation(), listen=None, socket=tmp_path / "eraser.sock", desk=desk):
            served = Served(ledger, tmp_path)
            await ask(tmp_path / "eraser.sock", "POST", "/api/v1/lots", LOT)
            await served.record("received", lot_id="L7")
            journal = await ledger.journal.begin(a_request("job-1"))
            for event in whole_job("job-1", ONE, outcome=Outcome.FAILED):
                issued = isinstance(event, CertificateIssued)
                await journal.append(replace(event, certificate_id="a" * 32) if issued else event)
            await journal.close()
            yield served


async def test_a_drive_that_is_destroyed_gets_one_signed_and_logged_document(served: Served) -> None:
    assert (await served.destroy()).status == 201
    (path,) = served.documents()
    assert path.name.startswith(f"{SERIAL}-")
    document = path.read_bytes()
    found = verify_destruction(document, station_keys(served.folder / "keys"))
    assert (found.outcome, found.drive.serial, found.how) == ("destroyed", SERIAL, "shredded to 2 mm")
    assert (found.job_id, found.was_quarantined, found.witness) == ("job-1", True, "witness-2")
    assert (found.destroyed_at, found.operator) == (AT, pwd.getpwuid(0).pw_name)
    (entry,) = await served.logged()
    assert entry == entry_of(document)
    assert (await served.records())[-1].event == Destroyed("shredded to 2 mm", "witness-2")
    served.expect_clean()


async def test_nothing_is_destroyed_twice(served: Served) -> None:
    await served.destroy()
    assert (await served.destroy()).json["reason"] == "destroyed"
    assert len(served.documents()) == len(await served.logged()) == 1


def _fails(*_: object, **__: object) -> None:
    raise JournalError("the ledger went away")


def _no_file(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


STEPS = {
    "before it is signed": (recording, "seal", _fails),
    "before anything is in the ledger": (destroying_module.destructions, "enter", _fails),
    "between the drive's record and the log's entry": (signed_records.log, "append", _fails),
    "between the log's entry and the document": (signed_records, "insert", _fails),
}


@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_before_the_commit_leaves_nothing_and_the_order_can_be_given_again(
    served: Served, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    module, name, fault = STEPS[step]
    with monkeypatch.context() as crash:
        crash.setattr(module, name, fault)
        assert (await served.destroy()).status == 500
    assert served.documents() == await served.logged() == []
    assert not any(isinstance(record.event, Destroyed) for record in await served.records())
    assert (await served.destroy()).status == 201
    assert len(served.documents()) == len(await served.logged()) == 1
    served.expect_clean()


async def test_a_crash_after_the_commit_leaves_a_file_to_be_written_at_the_next_start(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as crash:
        crash.setattr(recording, "write_new", _no_file)
        answer = await served.destroy()
    assert answer.status == 500 and "it is on record" in answer.json["detail"]
    assert served.documents() == []
    (entry,) = await served.logged()
    for _ in range(2):
        await destroying(served.ledger.store, served.folder).finish()
        (path,) = served.documents()
        assert entry_of(path.read_bytes()) == entry
    assert len(await served.logged()) == 1
    served.expect_clean()


async def test_a_document_that_the_log_lacks_or_the_ledger_lacks_is_found(served: Served) -> None:
    await served.destroy()
    foreign = log.LogEntry(EntryKind.DESTRUCTION, "c" * 32, bytes(32))
    await served.ledger.store.write(lambda connection: log.append(connection, [foreign]))
    report = check(sqlite_url(served.folder / "ledger.db"), processes=1)
    assert any("the ledger has not" in finding.what for finding in report.findings)


async def test_while_nothing_is_signed_it_is_for_later_and_no_fault(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = SigningGate()
    monkeypatch.setattr(destroying_module, "signed", lambda *_: gate.expect_open())
    answer = await served.destroy()
    assert (answer.status, answer.json["code"]) == (503, "signing-suspended")
    assert await served.logged() == []
