"""Intake over the API: lists are taken over whole or not at all, scans record nothing, specifications get their report."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from eraser.console.desk import Desk
from eraser.console.pages import lots_page
from eraser.console.server import serve_http
from eraser.domain.events import Outcome
from eraser.domain.lot import Lot, LotPolicy
from eraser.errors import UsageError
from eraser.ledger.engine import sqlite_url
from eraser.ledger.specifications import Specifications
from eraser.ledger.station_ledger import StationLedger, open_ledger
from tests.console.certified import erase, filed_in
from tests.console.desks import STATION, end_none, now_utc, withdrawing
from tests.console.serving import Answer, ask
from tests.console.stations import FakeStation, a_busy_bay, a_snapshot
from tests.ledger.stories import drive_number


@dataclass(frozen=True)
class Served:
    ledger: StationLedger
    data: Path

    async def get(self, target: str) -> Answer:
        return await ask(self.data / "eraser.sock", "GET", f"/api/v1/{target}")

    async def post(self, target: str, body: Any) -> Answer:
        return await ask(self.data / "eraser.sock", "POST", f"/api/v1/{target}", body)

    async def scan(self, *codes: str) -> dict[str, Any]:
        answer = await self.post("lots/L7/scan", {"codes": list(codes)})
        assert answer.status == 200, answer
        found: dict[str, Any] = answer.json
        return found

    async def specify(self, reference: str, number: int, **more: str) -> dict[str, Any]:
        order = {"reference": reference, "serial": drive_number(number).identity.serial, **more}
        answer = await self.post("specifications", order)
        assert answer.status == 201, answer
        found: dict[str, Any] = answer.json
        return found

    async def waiting(self, progress: str) -> list[str]:
        return [item["reference"] for item in (await self.get(f"specifications?progress={progress}")).json]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with open_ledger(sqlite_url(tmp_path / "ledger.db"), STATION, now_utc) as ledger:
        filed = filed_in(ledger, tmp_path)
        desk = Desk(
            ledger.custody,
            ledger.lots,
            ledger.intake,
            STATION,
            now_utc,
            end_none,
            withdrawing(ledger.store, tmp_path),
            filed=filed,
            specified=Specifications(ledger.store, now_utc),
        )
        await ledger.lots.put(Lot("L7", LotPolicy("nist-clear"), "", ("S0000001", "S0000002")), "operator-7")
        station = FakeStation(a_snapshot(a_busy_bay("A1", lot="L7", drive=drive_number(2))))
        async with serve_http(station, listen=None, socket=tmp_path / "eraser.sock", desk=desk):
            yield Served(ledger, tmp_path)
        await filed.close()


async def test_a_list_is_looked_at_first_and_taken_over_when_it_is_asked(served: Served) -> None:
    file = "序列号;品牌\nZA1234XY;希捷\nZA5678XY;希捷\n".encode("gb18030")
    seen = (await served.post("lots/L7/expected/import", file)).json
    assert (seen["drives"], seen["delimiter"], seen["revision"]) == (2, ";", None)
    assert (await served.ledger.lots.get("L7")).expected_serials == ("S0000001", "S0000002")
    assert (await served.post("lots/L7/expected/import?apply=true", file)).json["revision"] == 2
    assert (await served.ledger.lots.get("L7")).expected_serials == ("ZA1234XY", "ZA5678XY")


async def test_a_list_with_an_error_is_not_taken_over_in_part(served: Served) -> None:
    file = b"SN\nZA1234XY\nZA1234XY\n"
    assert (await served.post("lots/L7/expected/import", file)).json["errors"][0] == {
        "line": 3,
        "code": "duplicate",
        "subject": "ZA1234XY",
        "other_line": 2,
    }
    assert (await served.post("lots/L7/expected/import?apply=true", file)).json["reason"] == "list-has-errors"
    assert (await served.ledger.lots.get("L7")).expected_serials == ("S0000001", "S0000002")


async def test_a_list_of_many_thousand_drives_is_taken_over(served: Served) -> None:
    file = "".join(f"SN{number:08}\n" for number in range(20_000)).encode()
    assert (await served.post("lots/L7/expected/import?apply=true", file)).json["drives"] == 20_000


async def test_a_scan_says_where_the_drive_is_and_whether_it_is_expected(served: Served) -> None:
    found = await served.scan("WD40EFRX-68WT0N0", "S0000002")
    assert (found["finding"], found["value"]) == ("known", "S0000002")
    drive = found["drives"][0]
    assert (drive["bay"], drive["is_expected"], drive["has_arrived"]) == ("A1", True, False)
    assert (await served.scan("S0000001"))["drives"][0]["bay"] == ""
    assert (await served.scan("ZA9999XY"))["finding"] == "new"
    alike = await served.scan("SOOOOOO1")
    assert (alike["finding"], alike["drives"][0]["differs_at"]) == ("alike", [1, 2, 3, 4, 5, 6])
    assert (await served.ledger.custody.records()) == []


async def test_a_specification_waits_until_its_drive_has_a_certificate(served: Served) -> None:
    assert (await served.specify("order-1", 1, standard="nist-800-88-clear"))["progress"] == "waiting"
    await served.specify("order-9", 9)
    assert await served.waiting("waiting") == ["order-1", "order-9"]
    await erase(served.ledger, served.data, drive_number(1), lot_id="L7")
    report = (await served.get("specifications/order-1")).json
    assert (report["progress"], report["is_met"], report["shortfalls"]) == ("reported", True, [])
    assert report["certificate"]["serial"] == "S0000001"
    assert (await served.waiting("waiting"), await served.waiting("reported")) == (["order-9"], ["order-1"])


async def test_a_failure_and_less_than_was_asked_do_not_answer_a_specification(served: Served) -> None:
    await served.specify("order-1", 1)
    await served.specify("order-2", 2, level="purge", standard="gb-46864-2025")
    await erase(served.ledger, served.data, drive_number(1), outcome=Outcome.FAILED)
    await erase(served.ledger, served.data, drive_number(2))
    one, two = [(await served.get(f"specifications/order-{number}")).json for number in (1, 2)]
    assert (one["is_met"], one["shortfalls"]) == (False, ["outcome"])
    assert (two["is_met"], two["shortfalls"]) == (False, ["standard", "level"])


async def test_a_certificate_from_before_does_not_answer_a_specification_and_no_withdrawn_one_does(
    served: Served,
) -> None:
    await erase(served.ledger, served.data, drive_number(1), lot_id="L7")
    assert (await served.specify("order-1", 1))["progress"] == "arrived"
    issued = await erase(served.ledger, served.data, drive_number(1))
    assert (await served.get("specifications/order-1")).json["progress"] == "reported"
    withdrawal = {"reason": "the wrong drive"}
    await served.post(f"certificates/{issued.certificate_id}/withdrawal", withdrawal)
    assert (await served.get("specifications/order-1")).json["progress"] == "arrived"


async def test_what_is_sent_again_replaces_what_was_asked_before(served: Served) -> None:
    await served.specify("order-1", 1)
    await served.specify("order-1", 2)
    assert (await served.get("specifications/order-1")).json["serial"] == "S0000002"
    assert await served.waiting("waiting") == ["order-1"]
    for name, status in (("unknown", 404), ("%00", 400)):
        assert (await served.get(f"specifications/{name}")).status == status
    assert (await served.post("lots/%00/scan", {"codes": ["x"]})).status == 400
    assert (await served.post("specifications", {"reference": "x", "serial": "y", "standard": "magic"})).status == 400


@pytest.mark.parametrize("count", ["9" * 5000, "²", "0", "-1", "1.5"])
def test_a_number_of_drives_that_is_none_is_a_slip_in_the_form_and_no_fault(count: str) -> None:
    with pytest.raises(UsageError):
        lots_page._lot_of({"lot_id": "OFFICE 10", "standard": "zero", "expected_drives": count})
