"""Audits over the API: from a plan that neither side chose to a signed record in the log; and the routine control."""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from eraser.audits.filed import FiledAudits
from eraser.audits.planning import load
from eraser.audits.records import trusted_audit_keys, verify
from eraser.certificates.verifying import entry_of
from eraser.domain.account import Role
from eraser.ledger import audits, log
from eraser.ledger.station_ledger import StationLedger
from tests.console.certified import erase, filed_in, sign_log
from tests.console.desks import now_utc
from tests.console.people import Browser, Plant, a_plant, hash_cheaply
from tests.ledger.stories import drive_number

NONCE = "0123456789abcdef" * 2
COUNT = 12
ORDER = {"first_day": "2026-12-01", "last_day": "2027-12-31", "aql": "1.5", "nonce": NONCE}
"""Of twelve at level II: the arrow of B leads to n = 8, Ac 0."""


@dataclass
class Audited:
    """A station with certificates in its signed log, and an auditor who is signed in."""

    folder: Path
    plant: Plant
    ledger: StationLedger
    auditor: Browser
    ids: list[str]

    async def planned(self, **changes: Any) -> dict[str, Any]:
        answer = await self.auditor.ask("POST", "/api/v1/audits", ORDER | changes)
        assert answer.status == 201, answer
        found: dict[str, Any] = answer.json
        return found

    async def shown(self, audit_id: str) -> dict[str, Any]:
        answer = await self.auditor.get(f"/api/v1/audits/{audit_id}")
        assert answer.status == 200, answer
        found: dict[str, Any] = answer.json
        return found


@pytest.fixture
async def audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Audited]:
    hash_cheaply(monkeypatch)
    async with a_plant(tmp_path) as plant:
        assert plant.ledger is not None
        issued = [await erase(plant.ledger, tmp_path, drive_number(number)) for number in range(1, COUNT + 1)]
        await sign_log(plant.ledger, tmp_path)
        auditor = await plant.browser_of("auditor-1", Role.AUDITOR)
        yield Audited(tmp_path, plant, plant.ledger, auditor, [item.certificate_id for item in issued])


async def test_an_audit_goes_from_its_plan_to_a_record_in_the_log(audited: Audited) -> None:
    made = await audited.planned()
    assert (made["state"], made["population"], made["n"], made["ac"], made["re"]) == ("open", COUNT, 8, 0, 1)
    assert made["auditor"] == "auditor-1" and made["criterion"].startswith("ISO 2859-1, AQL 1.5")
    shown = await audited.shown(made["audit_id"])
    sample = [item["certificate_id"] for item in shown["sample"]]
    assert len(set(sample)) == 8 and set(sample) <= set(audited.ids)
    marks = f"/api/v1/audits/{made['audit_id']}/marks"
    assert (await audited.auditor.ask("POST", marks, {"certificate_ids": sample[:3]})).status == 204
    back = {"certificate_ids": sample[:1], "is_looked_at": False}
    assert (await audited.auditor.ask("POST", marks, back)).status == 204
    strange = await audited.auditor.ask("POST", marks, {"certificate_ids": ["x"]})
    assert (strange.status, strange.json["code"]) == (400, "usage") or strange.status == 422, strange
    shown = await audited.shown(made["audit_id"])
    assert shown["looked_at"] == 2
    assert {item["certificate_id"] for item in shown["sample"] if item["is_looked_at"]} == set(sample[1:3])

    done = await audited.auditor.ask("POST", f"/api/v1/audits/{made['audit_id']}/record", {})
    assert (done.status, done.json["state"], done.json["found"]) == (201, "accepted", 0), done
    again = await audited.auditor.ask("POST", f"/api/v1/audits/{made['audit_id']}/record", {})
    assert again.json["reason"] == "audit-ended"
    record = (await audited.auditor.get(f"/api/v1/audits/{made['audit_id']}.record")).body
    found = verify(record, trusted_audit_keys(audited.folder / "keys"))
    assert found.record.auditor == "auditor-1" and found.record.audit_id == made["audit_id"]
    entries = await audited.ledger.store.read(lambda connection: log.entries_about(connection, made["audit_id"]))
    assert [item.entry for item in entries] == [found.entry]


async def test_its_reports_say_what_the_record_says(audited: Audited) -> None:
    made = await audited.planned()
    base = f"/api/v1/audits/{made['audit_id']}"
    assert (await audited.auditor.get(f"{base}.pdf")).status == 404, "it has no record yet"
    plan = load((await audited.auditor.get(f"{base}.plan")).body)
    assert plan.nonce.hex() == NONCE
    missing, other = [item.certificate_id for item in plan.sample][:2]
    for path in (audited.folder / "certificates").glob("*.json"):
        if missing in path.read_text() or other in path.read_text():
            path.unlink()
    assert (await audited.auditor.ask("POST", f"{base}/record", {})).json["state"] == "rejected"
    rows = list(csv.DictReader(io.StringIO((await audited.auditor.get(f"{base}.csv")).body.decode("utf-8-sig"))))
    assert {row["certificate_id"] for row in rows if row["result"] == "missing"} == {missing, other}
    told = json.loads((await audited.auditor.get(f"{base}.json")).body)
    assert (told["result"], told["found"], told["key_ids"]) != ("accepted", 0, [])
    pdf = await audited.auditor.get(f"{base}.pdf?lang=en")
    assert pdf.body.startswith(b"%PDF-") and b"/SubFilter /ETSI.CAdES.detached" in pdf.body
    assert pdf.headers["content-disposition"].startswith("attachment")
    shown = await audited.shown(made["audit_id"])
    assert {item["certificate_id"] for item in shown["sample"] if item["codes"]} == {missing, other}


async def test_the_list_is_searched_and_comes_in_pages(audited: Audited) -> None:
    made = [(await audited.planned(nonce=f"{number:032x}"))["audit_id"] for number in range(3)]
    await audited.auditor.ask("POST", f"/api/v1/audits/{made[0]}/record", {})
    first = (await audited.auditor.get("/api/v1/audits?limit=2")).json
    second = (await audited.auditor.get(f"/api/v1/audits?limit=2&cursor={first['next']}")).json
    assert len(first["audits"]) == 2 and second["next"] == ""
    assert {item["audit_id"] for item in (*first["audits"], *second["audits"])} == set(made)

    async def found(question: str) -> set[str]:
        answer = await audited.auditor.get(f"/api/v1/audits?{question}")
        return {item["audit_id"] for item in answer.json["audits"]}

    assert await found("state=accepted") == {made[0]}
    assert await found("state=open") == set(made[1:])
    assert await found("auditor=AUDITOR") == set(made) and await found("auditor=nobody") == set()
    assert await found("since=2027-01-01&until=2027-01-01") == set(made) and await found("since=2027-01-02") == set()


async def test_a_record_that_was_made_with_the_plans_file_is_shown_beside_the_plan(audited: Audited) -> None:
    made = await audited.planned()
    filed = filed_in(audited.ledger, audited.folder)
    elsewhere = FiledAudits(audited.ledger.store, filed.folders, now_utc, lambda: uuid.uuid4().hex)
    plan = load(await elsewhere.plan_file(made["audit_id"]))
    document = await elsewhere._recorded("e" * 32, plan, "auditors.example")
    await audited.ledger.store.write(partial(audits.enter, entry_of(document), now_utc(), document))
    await filed.close()
    shown = await audited.shown(made["audit_id"])
    assert (shown["state"], shown["same_draw"]) == ("open", ["e" * 32])
    assert (await audited.shown("e" * 32))["state"] == "accepted"


@pytest.mark.parametrize(
    "changes",
    [
        {"aql": "", "defect_rate": ""},
        {"defect_rate": "1"},
        {"aql": "1.1"},
        {"nonce": "00"},
        {"nonce": "0" * 31},
        {"confidence": "100"},
        {"checkpoint_size": 5},
        {"last_day": "2026-11-30"},
        {"first_day": "2020-01-01", "last_day": "2020-01-31"},
        {"confidence": "..."},
    ],
)
async def test_senseless_plans_are_refused_and_leave_nothing(audited: Audited, changes: dict[str, Any]) -> None:
    answer = await audited.auditor.ask("POST", "/api/v1/audits", ORDER | changes)
    assert 400 <= answer.status < 500, answer
    assert (await audited.auditor.get("/api/v1/audits")).json["audits"] == []


async def test_the_auditor_who_erased_a_drive_does_not_sign_for_it(audited: Audited) -> None:
    made = await audited.planned()
    eraser = await audited.plant.browser_of("operator-7", Role.AUDITOR)
    answer = await eraser.ask("POST", f"/api/v1/audits/{made['audit_id']}/record", {})
    assert answer.json["reason"] == "own-work"
    assert (await audited.shown(made["audit_id"]))["state"] == "open"


async def test_the_routine_control_is_shown_and_drawn(audited: Audited) -> None:
    before = (await audited.auditor.get("/api/v1/routine")).json
    assert (before["draws"], before["undrawn"], before["overdue"]) == (0, COUNT, 0)
    drawn = (await audited.auditor.ask("POST", "/api/v1/routine/draws", {})).json["draw"]
    assert len(drawn["certificate_ids"]) == 1 and drawn["passed"] == COUNT
    assert (await audited.auditor.ask("POST", "/api/v1/routine/draws", {})).json["draw"] is None
    after = (await audited.auditor.get("/api/v1/routine")).json
    assert (after["drawn"], [item["certificate_id"] for item in after["due"]]) == (1, drawn["certificate_ids"])


async def test_no_audit_and_no_word_of_one_is_found_by_another_id(audited: Audited) -> None:
    for path in ("/api/v1/audits/", "/audits/"):
        assert (await audited.auditor.get(path + "f" * 32)).status == 404
        assert (await audited.auditor.get(path + "..%2f..%2fkeys")).status in (404, 422)
