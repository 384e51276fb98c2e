"""Lots, tags and custody over the API: what it writes, what it refuses, and whose name stands there."""

from __future__ import annotations

import pwd
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from eraser.console import recognising
from eraser.console.desk import Desk
from eraser.console.forms import read_drive, read_lot
from eraser.console.server import serve_http
from eraser.domain.custody import DriveName, Quarantined, Received
from eraser.domain.events import JobInterrupted, Outcome
from eraser.domain.job import fold
from eraser.domain.lot import Lot, LotPolicy
from eraser.domain.plan import Level
from eraser.domain.program import Verification
from eraser.ledger.engine import sqlite_url
from eraser.ledger.sql_journal import SqlJournal
from eraser.ledger.station_ledger import StationLedger, open_ledger
from eraser.rack.erasing import Station
from eraser.rack.leftovers import Leftovers
from tests.console.desks import STATION, end_none, now_utc, withdrawing
from tests.console.serving import Answer, ask, free_port
from tests.console.stations import FakeStation
from tests.ledger.stories import a_request, drive_number, until_writing, whole_job
from tests.rack.memory_rack import Papers
from tests.rack.simulated_time import at_once

ONE = drive_number(1)
SERIAL = ONE.identity.serial
POLICY = {"standard": "nist-clear"}


@dataclass(frozen=True)
class Served:
    ledger: StationLedger
    socket: Path

    async def get(self, target: str) -> Answer:
        return await ask(self.socket, "GET", f"/api/v1/{target}")

    async def post(self, target: str, body: Any, method: str = "POST") -> Answer:
        return await ask(self.socket, method, f"/api/v1/{target}", body)

    async def record(self, event: dict[str, Any], drive: str = SERIAL, **more: Any) -> Answer:
        return await self.post("custody", {"drive": drive, "event": event, **more})

    async def erase(self, job_id: str) -> None:
        log = await self.journal.begin(a_request(job_id))
        for event in whole_job(job_id, ONE):
            await log.append(event)
        await log.close()

    @property
    def journal(self) -> SqlJournal:
        return self.ledger.journal


@asynccontextmanager
async def serving(url: str, folder: Path) -> AsyncIterator[Served]:
    async with open_ledger(url, STATION, now_utc) as ledger:
        parts = Station(
            journal=ledger.journal,
            issue=Papers(folder),
            now_utc=now_utc,
            random_bytes=bytes,
            new_id=lambda: "new",
            call=at_once,
        )
        leftovers = Leftovers(parts, ledger.journal, lambda what, problem: None)
        withdraw = withdrawing(ledger.store, folder)
        desk = Desk(ledger.custody, ledger.lots, ledger.intake, STATION, now_utc, leftovers.end_jobs, withdraw)
        async with serve_http(FakeStation(), listen=None, socket=folder / "eraser.sock", desk=desk):
            yield Served(ledger, folder / "eraser.sock")


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(sqlite_url(tmp_path / "ledger.db"), tmp_path) as served:
        yield served


async def test_a_name_that_no_database_can_look_for_is_nobodys(postgresql: str, tmp_path: Path) -> None:
    async with serving(postgresql, tmp_path) as served:
        await served.post("lots", {"lot_id": "L7", "policy": POLICY})
        asked = [
            await served.get("lots/%00"),
            await served.get("custody?drive=%00"),
            await served.post("lots/%00", {"policy": POLICY}, "PUT"),
            await served.post("lots/%00/open", {}),
            await served.post("lots/%00/close", {}),
            await served.post("certificates/%00/withdrawal", {"reason": "x"}),
            await served.record({"kind": "received", "lot_id": "L7"}, drive="\0"),
        ]
    assert [answer.status for answer in asked] == [400] * 7


def assert_problem(answer: Answer, status: int, code: str, reason: str | None = None) -> None:
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json["code"], answer.json.get("reason")) == (code, reason)


async def test_a_lot_is_kept_as_it_was_described(served: Served) -> None:
    order = {
        "lot_id": "L7",
        "policy": {
            **POLICY,
            "level": "clear",
            "verification": "sampled",
            "starts_by_itself": True,
            "is_customer_waiting": True,
            "deadline": "2027-02-01T00:00:00Z",
        },
        "supplier": "a school",
        "expected_serials": [SERIAL, "S9"],
    }
    assert (await served.post("lots", order)).json == {"lot_id": "L7", "revision": 1}
    policy = LotPolicy("nist-clear", Level.CLEAR, Verification.SAMPLED, True, True, "2027-02-01T00:00:00Z")
    assert await served.ledger.lots.get("L7") == Lot("L7", policy, "a school", (SERIAL, "S9"))


async def test_a_lot_is_made_once_and_changed_as_a_whole(served: Served) -> None:
    await served.post("lots", {"lot_id": "L7", "policy": POLICY, "supplier": "a school"})
    assert_problem(await served.post("lots", {"lot_id": "L7", "policy": POLICY}), 409, "refused", "lot-exists")
    changed = await served.post("lots/L7", {"policy": POLICY, "expected_drives": 3}, "PUT")
    assert changed.json == {"lot_id": "L7", "revision": 2}
    assert await served.ledger.lots.get("L7") == Lot("L7", LotPolicy("nist-clear"), expected_drives=3)
    assert_problem(await served.post("lots/L8", {"policy": POLICY}, "PUT"), 404, "not-found")


@pytest.mark.parametrize(
    ("order", "status"),
    [
        ({"lot_id": "L7", "policy": {"standard": "no-such"}}, 400),
        ({"lot_id": "L7", "policy": {**POLICY, "deadline": "tomorrow"}}, 400),
        ({"lot_id": "L7", "policy": POLICY, "expected_serials": ["a", "a"]}, 400),
        ({"lot_id": "L7", "policy": POLICY, "expected_drives": 0}, 400),
        ({"lot_id": "L7", "policy": POLICY, "supplier": "a\u202eb"}, 400),
        ({"lot_id": "L7", "policy": {**POLICY, "starts_by_itself": "yes"}}, 422),
        ({"lot_id": "L7", "policy": {**POLICY, "start": True}}, 422),
        ({"lot_id": "L7/8", "policy": POLICY}, 422),
        ({"lot_id": "", "policy": POLICY}, 422),
        ({"lot_id": "L7"}, 422),
    ],
)
async def test_a_lot_that_is_not_in_order_is_not_made(served: Served, order: dict[str, Any], status: int) -> None:
    assert_problem(await served.post("lots", order), status, "usage")
    assert await served.ledger.lots.names() == {}


async def test_a_lot_shows_where_it_is_taken_in_and_what_has_come(served: Served) -> None:
    await served.post("lots", {"lot_id": "L7", "policy": POLICY, "expected_serials": [SERIAL, "S9"]})
    assert (await served.post("lots/L7/open", {"bays": ["A1"]})).status == 200
    await served.ledger.intake.take_in(ONE, "A1", "op")
    await served.record({"kind": "received", "lot_id": "L7"}, drive="S5")
    form = read_lot((await served.get("lots/L7")).json)
    assert (form.is_open, form.bays) == (True, ("A1",))
    assert form.arrivals is not None
    assert (form.arrivals.missing_serials, form.arrivals.unexpected_serials) == (("S9",), ("S5",))
    (listed,) = (await served.get("lots")).json
    assert listed == (await served.get("lots/L7")).json | {"arrivals": None}
    assert (await served.post("lots/L7/close", {})).status == 200
    assert not read_lot((await served.get("lots/L7")).json).is_open


async def test_a_lot_is_taken_in_only_where_that_can_be(served: Served) -> None:
    for lot_id in ("L7", "L8"):
        await served.post("lots", {"lot_id": lot_id, "policy": POLICY})
    assert_problem(await served.post("lots/L9/open", {}), 404, "not-found")
    assert_problem(await served.post("lots/L7/open", {"bays": ["Z1"]}), 404, "not-found")
    await served.post("lots/L7/open", {"bays": ["A1"]})
    assert_problem(await served.post("lots/L8/open", {}), 409, "refused", "bay-taken")
    assert_problem(await served.post("lots/L8/close", {}), 409, "refused", "not-open")


async def test_a_tag_names_a_drive_or_the_next_one_of_a_bay(served: Served) -> None:
    assert (await served.post("tags", {"tag": "T-1", "serial": SERIAL})).status == 201
    assert (await served.post("tags", {"tag": "T-2", "bay": "A2"})).status == 201
    assert_problem(await served.post("tags", {"tag": "T-3", "bay": "Z1"}), 404, "not-found")
    assert_problem(await served.post("tags", {"tag": "T-3"}), 400, "usage")
    await served.ledger.intake.take_in(ONE, "A1", "op")
    for name in (SERIAL, ONE.identity.wwn, "T-1"):
        form = read_drive((await served.get(f"custody?drive={name}")).json)
        assert (form.drive.serial, form.drive.asset_tag) == (SERIAL, "T-1")
    assert_problem(await served.post("tags", {"tag": "T-1", "serial": "S9"}), 409, "refused", "tag-taken")


async def test_the_exit_gate_stands_before_the_api(served: Served) -> None:
    await served.ledger.intake.take_in(ONE, "A1", "op")
    assert_problem(await served.record({"kind": "released"}), 409, "refused", "not-passed")
    assert_problem(await served.record({"kind": "handed-over", "to": "a buyer"}), 409, "refused", "not-passed")
    form = read_drive((await served.get(f"custody?drive={SERIAL}")).json)
    assert (form.not_for_sale_code, form.standing.is_here) == ("not-passed", True)
    await served.erase("j")
    assert read_drive((await served.get(f"custody?drive={SERIAL}")).json).not_for_sale == ""
    released = await served.record({"kind": "released", "to": "a buyer"})
    assert released.status == 201 and read_drive(released.json).standing.is_released
    assert (await served.record({"kind": "handed-over", "to": "a buyer"})).status == 201
    assert_problem(await served.record({"kind": "released"}), 409, "refused", "not-here")


async def test_what_jobs_did_is_not_recorded_by_hand(served: Served) -> None:
    await served.ledger.intake.take_in(ONE, "A1", "op")
    for event in ({"kind": "erased", "job_id": "j", "outcome": "passed"}, {"kind": "moved", "to": "x"}, {"kind": "x"}):
        assert_problem(await served.record(event), 422, "usage")


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"kind": "received", "lot_id": "L7", "received_from": "王小明"}, "private person"),
        ({"kind": "received", "lot_id": "L7", "received_from": "+86 138 1234 5678"}, "telephone"),
        ({"kind": "quarantined", "reason": "Mr. Wang complained"}, "title"),
        ({"kind": "destroyed", "how": "shredded, see anna@example.com"}, "e-mail"),
        ({"kind": "destroyed", "how": "shredded", "witness": "Anna"}, "never a name"),
        ({"kind": "handed-over", "to": "张伟"}, "private person"),
    ],
)
async def test_no_event_names_a_person(served: Served, event: dict[str, Any], said: str) -> None:
    await served.post("lots", {"lot_id": "L7", "policy": POLICY})
    assert (
        await served.record({"kind": "received", "lot_id": "L7", "received_from": "Wang Recycling Ltd"})
    ).status == 201
    before = (await served.get(f"custody?drive={SERIAL}")).json
    answer = await served.record(event)
    assert_problem(answer, 400, "usage")
    assert said in answer.json["detail"]
    assert (await served.get(f"custody?drive={SERIAL}")).json == before
    answer = await served.post("lots", {"lot_id": "L8", "policy": POLICY, "supplier": "李雷"})
    assert_problem(answer, 400, "usage")


async def test_only_a_drive_that_arrives_may_be_unknown(served: Served) -> None:
    assert_problem(await served.record({"kind": "destroyed", "how": "shredded"}), 404, "not-found")
    assert_problem(await served.get("custody?drive=S9"), 404, "not-found")
    assert_problem(await served.record({"kind": "received", "lot_id": "L7"}), 404, "not-found")
    await served.post("lots", {"lot_id": "L7", "policy": POLICY})
    assert (await served.record({"kind": "received", "lot_id": "L7", "received_from": "a school"})).status == 201
    history = await served.ledger.custody.named(SERIAL)
    assert history is not None
    assert (await served.record({"kind": "destroyed", "how": "shredded", "witness": "w-1"})).status == 201
    assert_problem(await served.record({"kind": "received", "lot_id": "L7"}), 409, "refused", "destroyed")


async def test_a_name_of_several_drives_destroys_none(served: Served) -> None:
    await served.ledger.intake.take_in(ONE, "A1", "op")
    clone = replace(ONE, identity=replace(ONE.identity, wwn="5000c5ffffffffff"))
    await served.ledger.intake.take_in(clone, "A2", "op")
    for kind in ({"kind": "destroyed", "how": "shredded"}, {"kind": "released"}):
        assert_problem(await served.record(kind), 409, "refused", "ambiguous")
    assert (await served.record({"kind": "destroyed", "how": "shredded"}, drive="5000c5ffffffffff")).status == 201
    history = await served.ledger.custody.named(ONE.identity.wwn)
    assert history is not None and not (await served.ledger.custody.history(history)).standing.is_destroyed


async def test_the_operator_is_who_opened_the_socket(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    await served.post("lots", {"lot_id": "L7", "policy": POLICY})
    await served.record({"kind": "received", "lot_id": "L7"})
    await served.record({"kind": "quarantined", "reason": "it clicks"}, operator="operator-9")
    monkeypatch.setattr(recognising, "ROOT_UID", -1)  # as if somebody else asked
    forged = await served.record({"kind": "quarantined", "reason": "it clicks"}, operator="operator-9")
    assert_problem(forged, 403, "forbidden", "not-root")
    records = [record for _, record in await served.ledger.custody.records()]
    assert [(record.event, record.operator) for record in records] == [
        (Received("L7"), pwd.getpwuid(0).pw_name),
        (Quarantined("it clicks"), "operator-9"),
    ]
    assert {record.place for record in records} == {STATION}


async def test_a_drive_that_vanished_in_the_middle_of_its_job_can_be_destroyed_and_its_job_has_failed(
    served: Served,
) -> None:
    await served.post("lots", {"lot_id": "L7", "policy": POLICY})
    await served.record({"kind": "received", "lot_id": "L7"})
    log = await served.journal.begin(a_request("j"))
    for event in until_writing(ONE):
        await log.append(event)
    destroyed = {"kind": "destroyed", "how": "shredded"}
    assert_problem(await served.record(destroyed), 409, "refused", "open-job")  # it is under way
    await log.append(JobInterrupted("the drive is no longer there"))
    await log.close()
    assert_problem(await served.record({**destroyed, "how": " "}), 409, "refused", "no-how")
    assert len(await served.journal.open_states()) == 1
    assert (await served.record(destroyed)).status == 201
    assert not await served.journal.open_states()
    state = fold(await served.journal.entries("j"))
    assert state.outcome is Outcome.FAILED and state.certificate_id and "destroyed" in state.abandoned
    history = await served.ledger.custody.history(DriveName(serial=SERIAL))
    kinds = [record.event.kind for record in history.gathered.records]
    assert kinds == ["received", "erased", "quarantined", "destroyed"]


async def test_the_desk_serves_nobody_who_is_not_signed_in(tmp_path: Path) -> None:
    port = free_port()
    async with open_ledger(sqlite_url(tmp_path / "ledger.db"), STATION, now_utc) as ledger:
        desk = Desk(ledger.custody, ledger.lots, ledger.intake, STATION, now_utc, end_none)
        async with serve_http(FakeStation(), listen=f"127.0.0.1:{port}", socket=None, desk=desk):
            for method, target in (("GET", "lots"), ("POST", "custody"), ("GET", "custody?drive=S1")):
                assert_problem(await ask(port, method, f"/api/v1/{target}"), 401, "unauthenticated", "not-signed-in")
