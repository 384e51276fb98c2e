"""Customers' details over the API: written down by the clerk, seen by the privacy officer alone, and each look on record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from eraser.domain.account import Role
from eraser.ledger.engine import open_engine, sqlite_url
from tests.console.people import Browser, Plant, a_plant, hash_cheaply

DETAILS = {"name": "王小明", "phone": "+86 138 1234 5678"}
LOT = {"lot_id": "L7", "policy": {"standard": "nist-clear"}}


@asynccontextmanager
async def counter(folder: Path) -> AsyncIterator[tuple[Plant, Browser, Browser]]:
    """A plant with a lot, its clerk and its privacy officer."""
    async with a_plant(folder) as plant:
        clerk = await plant.browser_of("chen", Role.CLERK)
        officer = await plant.browser_of("li", Role.PRIVACY_OFFICER)
        assert (await clerk.ask("POST", "/api/v1/lots", LOT)).status == 201
        yield plant, clerk, officer


async def entered(clerk: Browser, **more: Any) -> Any:
    order = {"lot_id": "L7", "serial": "S1", "details": DETAILS, **more}
    answer = await clerk.ask("POST", "/api/v1/customers", order)
    assert answer.status == 201, answer
    return answer.json


def files_in(folder: Path) -> bytes:
    """Everything that the plant has on its disk."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_the_clerk_enters_and_does_not_look_and_the_officer_looks_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_cheaply(monkeypatch)
    async with counter(tmp_path) as (plant, clerk, officer):
        made = await entered(clerk)
        record = f"/api/v1/customers/{made['record_id']}"
        assert len(made["receipt"]["code"].replace("-", "")) == 26
        for who, order, status in (
            (clerk, {"reason": "curious"}, 403),
            (officer, {}, 422),
            (officer, {"reason": " "}, 400),
            (officer, {"reason": "王小明 called"}, 400),
        ):
            answer = await who.ask("POST", f"{record}/read", order)
            assert (answer.status, "138 1234" in answer.body.decode()) == (status, False)
        answer = await officer.ask("POST", f"{record}/read", {"reason": "call back"})
        assert answer.json == {**DETAILS, "contact": "", "address": "", "id_note": "", "reference": ""}
        reads = (await officer.get("/api/v1/customers/reads")).json
        assert [(item["operator"], item["reason"]) for item in reads if item["action"] == "read"] == [
            ("li", "call back")
        ]
        deeds = [(deed.name, deed.action, deed.subject, deed.status) for deed in await plant.books.trail.newest(20)]
        assert ("li", "customer: read", f"record {made['record_id']}", 200) in deeds
        assert ("chen", "customer: entered", f"record {made['record_id']}", 201) in deeds
        found = (await officer.get("/api/v1/customers?drive=S1")).json
        assert [item["record_id"] for item in found] == [made["record_id"]]
        kept = (await officer.get("/api/v1/customers/retention")).json
        assert [(item["lot_id"], item["records"], item["is_over"]) for item in kept] == [("L7", 1, False)]
    held = files_in(tmp_path)
    for secret in ("王小明", "138 1234", made["receipt"]["code"]):
        assert secret.encode() not in held


async def test_a_record_is_found_by_its_receipt_s_code_exported_and_erased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_cheaply(monkeypatch)
    async with counter(tmp_path) as (_, clerk, officer):
        made, other = await entered(clerk), await entered(clerk, serial="S2", details={"name": "Anna Schmidt"})
        order = {"text": made["receipt"]["code"].lower(), "reason": "brought their receipt"}
        found = (await officer.ask("POST", "/api/v1/customers/search", order)).json
        assert [item["record_id"] for item in found] == [made["record_id"]]
        record = f"/api/v1/customers/{made['record_id']}"
        exported = (await officer.ask("POST", f"{record}/export", {"reason": "asked for it"})).json
        assert exported["records"][0]["versions"][0]["details"]["name"] == "王小明"
        assert (await clerk.ask("POST", f"{record}/erase", {"reason": "asked for it"})).status == 403
        assert (await officer.ask("POST", f"{record}/erase", {"reason": "asked for it"})).json["commitment_keys"] == 1
        for what in ("read", "receipt", "export", "erase"):
            assert (await officer.ask("POST", f"{record}/{what}", {"reason": "again"})).status == 410
        assert [item["record_id"] for item in (await officer.get("/api/v1/customers")).json] == [other["record_id"]]
        assert (await officer.ask("POST", f"/api/v1/customers/{'0' * 32}/read", {"reason": "x"})).status == 404


async def test_neither_an_order_s_answer_nor_a_digest_of_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_cheaply(monkeypatch)
    async with counter(tmp_path) as (_, clerk, _):
        order = {"lot_id": "L7", "serial": "S1", "details": DETAILS}
        for status in (201, 409):
            answer = await clerk.ask("POST", "/api/v1/customers", order, idempotency_key="once")
            assert answer.status == status
    engine = open_engine(sqlite_url(tmp_path / "ledger.db"))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM answers WHERE key = 'once'")).scalar_one() == 0
    engine.dispose()


async def test_a_whole_lot_s_customer_gets_a_receipt_for_each_drive_from_the_officer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_cheaply(monkeypatch)
    async with counter(tmp_path) as (_, clerk, officer):
        made = await entered(clerk, serial="")
        assert made["receipt"] is None

        async def ask(drive: str) -> Any:
            order = {"drive": drive, "reason": "hand-in"}
            return await officer.ask("POST", f"/api/v1/customers/{made['record_id']}/receipt", order)

        assert (await ask("")).status == 400
        codes = {(await ask(drive)).json["code"] for drive in ("S1", "S2", "S1")}
        assert len(codes) == 2
