"""What is no text, and what there is no room for, is the asker's and the disk's fault, and told so: never a fault of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from eraser.console.server import serve_http
from eraser.ledger.engine import sqlite_url
from tests.console.desks import a_desk
from tests.console.serving import ask
from tests.console.stations import FakeStation
from tests.ledger.conftest import new_postgresql, postgresql, postgresql_server, sqlite, url  # noqa: F401
from tests.serve.test_full_ledger import fill_up, small_disk

FORM = "application/x-www-form-urlencoded"
TARGETS = (
    "/api/v1/custody?drive=%00",
    "/api/v1/custody?drive=S1%00",
    "/api/v1/custody?drive=%ff",
    "/api/v1/custody?drive=%ed%a0%80",
    "/api/v1/custody?%00=S1",
    "/api/v1/lots?after=%00",
    "/api/v1/lots/%00",
    "/api/v1/lots/%ff",
)
BODIES = (
    b'{"drive": "S\\u0000", "event": {"kind": "handed-over", "to": "x"}}',
    b'{"drive": "S\\ud800", "event": {"kind": "handed-over", "to": "x"}}',
    b'{"drive": "S1", "event": {"kind": "quarantined", "reason": "\\udfff"}}',
    '{"drive": "S\\u0000", "event": {"kind": "handed-over", "to": "x"}}'.encode("utf-16"),
)


async def test_what_is_no_text_is_refused_on_either_database(url: str, tmp_path: Path) -> None:  # noqa: F811
    place = tmp_path / "eraser.sock"
    async with a_desk(url) as desk, serve_http(FakeStation(), listen=None, socket=place, desk=desk):
        for target in TARGETS:
            answer = await ask(place, "GET", target)
            assert (answer.status, answer.json["code"]) == (400, "usage"), (target, answer)
        for body in BODIES:
            answer = await ask(place, "POST", "/api/v1/custody", body, content_type="application/json")
            assert (answer.status, answer.json["code"]) == (400, "usage"), (body, answer)
        answer = await ask(place, "POST", "/lots/new", b"lot_id=%00", content_type=FORM)
        assert answer.status == 400
        # What can be kept is asked for as it is.
        assert (await ask(place, "GET", "/api/v1/custody?drive=%E7%8E%8B+%F0%A0%AE%B7")).status == 404
        emoji = b'{"drive": "S\\ud83d\\ude00", "event": {"kind": "handed-over", "to": "x"}}'
        assert (await ask(place, "POST", "/api/v1/custody", emoji)).status == 404


@pytest.mark.lab("root")
async def test_a_desk_without_room_in_its_ledger_says_that_there_is_none(tmp_path: Path) -> None:
    place, full = tmp_path / "eraser.sock", tmp_path / "full"
    order = {"lot_id": "L7", "policy": {"standard": "nist-clear"}, "supplier": "x" * 900}
    with small_disk(full):
        async with (
            a_desk(sqlite_url(full / "ledger.db")) as desk,
            serve_http(FakeStation(), listen=None, socket=place, desk=desk),
        ):
            filler = fill_up(full)
            answer = await ask(place, "POST", "/api/v1/lots", order)
            assert (answer.status, answer.json["code"]) == (507, "ledger-full"), answer
            filler.unlink()
            assert (await ask(place, "POST", "/api/v1/lots", order)).status == 201
