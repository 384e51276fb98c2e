"""An order that is sent twice with one key is carried out once."""

from __future__ import annotations

import asyncio

import pytest

from eraser.domain.account import Permission
from tests.console.people import Plant
from tests.console.serving import Answer, ask
from tests.console.test_server import assert_problem

LOT = {"lot_id": "L1", "policy": {"standard": "nist-clear"}}
SCOPES = (Permission.VIEW_RACK, Permission.OPERATE, Permission.MANAGE_LOTS, Permission.MANAGE_ACCOUNTS)


async def order(plant: Plant, bearer: str, key: str, target: str = "/api/v1/lots", body: object = LOT) -> Answer:
    return await ask(plant.port, "POST", target, body, authorization=f"Bearer {bearer}", idempotency_key=key)


@pytest.fixture
async def bearer(plant: Plant) -> str:
    return await plant.token(*SCOPES)


async def test_the_same_order_again_is_answered_the_same_and_not_carried_out(plant: Plant, bearer: str) -> None:
    first, again = await order(plant, bearer, "k1"), await order(plant, bearer, "k1")
    assert (first.status, first.json) == (201, {"lot_id": "L1", "revision": 1})
    assert (again.status, again.body, again.headers["content-type"]) == (201, first.body, first.headers["content-type"])
    assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (False, "true")
    assert (await order(plant, bearer, "k2")).status == 409  # the lot is there: that one was looked at


async def test_what_was_refused_is_refused_again_with_the_same_words(plant: Plant, bearer: str) -> None:
    await order(plant, bearer, "k1")
    refused, again = await order(plant, bearer, "k2"), await order(plant, bearer, "k2")
    assert refused.status == again.status == 409
    assert refused.body == again.body


async def test_a_key_with_another_order_is_refused(plant: Plant, bearer: str) -> None:
    await order(plant, bearer, "k1")
    assert_problem(await order(plant, bearer, "k1", body=LOT | {"lot_id": "L2"}), 422, "usage")
    assert_problem(await order(plant, bearer, "k1", "/api/v1/tags", {"tag": "T", "serial": "S"}), 422, "usage")


async def test_a_key_is_its_givers_own(plant: Plant, bearer: str) -> None:
    await order(plant, bearer, "k1")
    other = await ask(plant.socket, "POST", "/api/v1/lots", LOT | {"lot_id": "L2"}, idempotency_key="k1")
    assert other.status == 201


async def test_of_many_at_once_one_is_carried_out(plant: Plant, bearer: str) -> None:
    start = {"standard": "nist-clear", "sighting": "seen-in-A1"}
    answers = await asyncio.gather(*(order(plant, bearer, "k1", "/api/v1/bays/A1/start", start) for _ in range(8)))
    assert plant.station.orders == [("start", "A1", "nist-clear")]
    assert {answer.status for answer in answers} <= {202, 409}


async def test_an_order_that_failed_by_a_fault_may_be_given_again(
    plant: Plant, bearer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*, on: bool) -> None:
        raise RuntimeError("once")

    drain = {"on": True}
    master = {"idempotency_key": "k1"}
    with monkeypatch.context() as patch:
        patch.setattr(plant.station, "drain", broken)
        assert (await ask(plant.socket, "POST", "/api/v1/drain", drain, **master)).status == 500
    assert (await ask(plant.socket, "POST", "/api/v1/drain", drain, **master)).status == 202
    assert plant.station.orders == [("drain", True)]


async def test_an_answer_that_holds_a_secret_is_not_kept(plant: Plant, bearer: str) -> None:
    token = {"label": "erp2", "scopes": ["view-rack"]}
    made = await order(plant, bearer, "k1", "/api/v1/tokens", token)
    assert made.status == 201
    again = await order(plant, bearer, "k1", "/api/v1/tokens", token)
    assert_problem(again, 409, "refused")
    assert made.json["token"].encode() not in again.body
    assert len(await plant.accounts.tokens()) == 2


@pytest.mark.parametrize("key", ["x" * 129, "a b", "\xe9"])
async def test_a_key_that_is_none_is_told(plant: Plant, bearer: str, key: str) -> None:
    assert_problem(await order(plant, bearer, key), 400, "usage")
