"""Certificates over the API: what is found, what is given away, and what is not."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from eraser.certificates.checking import Held, check_document
from eraser.certificates.keys import station_keys
from eraser.certificates.pdf.checking import open_pdf
from eraser.certificates.pdf.signing import station_pdf_keys
from eraser.console.desk import Desk
from eraser.console.server import serve_http
from eraser.domain.events import Outcome
from eraser.ledger.engine import sqlite_url
from eraser.ledger.station_ledger import StationLedger, open_ledger
from eraser.log.note import given_keys
from tests.console.certified import erase, erase_many, filed_in, sign_log
from tests.console.desks import STATION, end_none, now_utc, withdrawing
from tests.console.serving import Answer, ask
from tests.console.stations import FakeStation
from tests.ledger.stories import drive_number


@dataclass(frozen=True)
class Served:
    ledger: StationLedger
    data: Path

    async def get(self, target: str, **headers: str) -> Answer:
        return await ask(self.data / "eraser.sock", "GET", f"/api/v1/{target}", **headers)

    async def found(self, question: str = "") -> list[str]:
        answer = await self.get(f"certificates?{question}")
        assert answer.status == 200, answer
        return [item["serial"] for item in answer.json["certificates"]]

    def held(self) -> Held:
        """What a customer has got by another way."""
        return Held(
            station_keys(self.data / "keys"),
            given_keys(str(self.data / "log" / "key")),
            open_pdf=lambda file: open_pdf(file, station_pdf_keys(self.data / "keys")),
        )


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
            check_url="https://plant.example/",
        )
        async with serve_http(FakeStation(), listen=None, socket=tmp_path / "eraser.sock", desk=desk):
            yield Served(ledger, tmp_path)
        await filed.close()


def unchunked(answer: Answer) -> bytes:
    if answer.headers.get("transfer-encoding") != "chunked":
        return answer.body
    rest, whole = answer.body, b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        whole, rest = whole + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return whole


async def test_a_certificate_is_found_by_serial_lot_outcome_and_day(served: Served) -> None:
    await erase(served.ledger, served.data, drive_number(1), lot_id="L7")
    await erase(served.ledger, served.data, drive_number(22), outcome=Outcome.FAILED)
    assert await served.found() == ["S0000022", "S0000001"]
    for question, expected in {
        "drive=S0000001": ["S0000001"],
        "drive=S00000": ["S0000022", "S0000001"],
        "drive=5000C50000000016": ["S0000022"],
        "drive=0000001": [],
        "lot=L7": ["S0000001"],
        "outcome=failed": ["S0000022"],
        "outcome=passed&lot=L8": [],
        "since=2027-01-01&until=2027-01-01": ["S0000022", "S0000001"],
        "since=2027-01-02": [],
        "until=2026-12-31": [],
        "since=0001-01-01&until=9999-12-31": ["S0000022", "S0000001"],
    }.items():
        assert await served.found(question) == expected, question
    one = (await served.get("certificates?outcome=failed")).json["certificates"][0]
    assert (one["reason"], one["level"], one["is_withdrawn"]) == ("mismatch", "", False)


async def test_pages_follow_one_another_without_a_gap_while_more_come(served: Served) -> None:
    await erase_many(served.ledger, served.data, 5)
    first = (await served.get("certificates?limit=2")).json
    await erase(served.ledger, served.data, drive_number(99))
    second = (await served.get(f"certificates?limit=2&cursor={first['next']}")).json
    third = (await served.get(f"certificates?limit=2&cursor={second['next']}")).json
    serials = [item["serial"] for page in (first, second, third) for item in page["certificates"]]
    assert serials == [f"S000000{number}" for number in (5, 4, 3, 2, 1)]
    assert third["next"] is None


@pytest.mark.parametrize("question", ["outcome=erased", "limit=0", "limit=501", "cursor=-1", "since=1.1.2027", "x=1"])
async def test_a_question_that_makes_no_sense_is_a_problem_and_no_fault(served: Served, question: str) -> None:
    assert (await served.get(f"certificates?{question}")).status == 422


async def test_the_document_the_bundle_and_the_page_are_genuine(served: Served) -> None:
    issued = await erase(served.ledger, served.data, drive_number(1))
    target = f"certificates/{issued.certificate_id}"
    assert (await served.get(f"{target}.bundle")).status == 409
    await sign_log(served.ledger, served.data)
    for suffix, is_logged, has_page in (("", False, False), (".bundle", True, False), (".pdf", True, True)):
        answer = await served.get(target + suffix)
        assert answer.status == 200, answer
        assert answer.headers["content-disposition"].startswith("attachment;")
        found = await asyncio.to_thread(check_document, Path(f"x{suffix}"), answer.body, served.held())
        assert found.error is None, found.error
        assert found.certificate is not None
        assert found.certificate.certificate_id == issued.certificate_id
        assert (found.pdf is not None and found.pdf.is_redrawn) == has_page
        if suffix != ".pdf":
            assert (found.log is not None) == is_logged


async def test_a_document_that_was_had_before_is_not_sent_again(served: Served) -> None:
    issued = await erase(served.ledger, served.data, drive_number(1))
    first = await served.get(f"certificates/{issued.certificate_id}")
    again = await served.get(f"certificates/{issued.certificate_id}", if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")


async def test_a_file_that_is_not_the_one_on_record_is_not_given_away(served: Served) -> None:
    one, two = await erase_many(served.ledger, served.data, 2)
    paths = {json.loads(path.read_bytes())["certificate"]["certificate_id"]: path for path in _files(served)}
    paths[one.certificate_id].write_bytes(paths[one.certificate_id].read_bytes().replace(b"S0000001", b"S0000009"))
    paths[two.certificate_id].unlink()
    for issued, reason in ((one, "altered"), (two, "certificate")):
        for suffix in ("", ".bundle", ".pdf"):
            answer = await served.get(f"certificates/{issued.certificate_id}{suffix}")
            assert (answer.status, answer.json["reason"]) == (409, reason)


@pytest.mark.parametrize("name", ["unknown", "..%2F..%2Fkeys%2Fstation.key", "%00", "a" * 300])
async def test_what_the_ledger_does_not_know_is_not_there(served: Served, name: str) -> None:
    for suffix in ("", ".bundle", ".pdf"):
        assert (await served.get(f"certificates/{name}{suffix}")).status in (400, 404, 422)


async def test_an_archive_holds_what_was_asked_for_and_says_what_is_missing(served: Served) -> None:
    one, two, three = await erase_many(served.ledger, served.data, 3)
    other = await erase(served.ledger, served.data, drive_number(7), outcome=Outcome.FAILED)
    await sign_log(served.ledger, served.data)
    next(path for path in _files(served) if two.certificate_id.encode() in path.read_bytes()).unlink()
    answer = await served.get("certificates.zip?outcome=passed")
    with zipfile.ZipFile(io.BytesIO(unchunked(answer))) as archive:
        assert archive.testzip() is None
        names = {f"{item.certificate_id}.json" for item in (one, three)}
        assert set(archive.namelist()) == {*names, "index.csv"}
        for name in names:
            assert check_document(Path(name), archive.read(name), served.held()).error is None
        rows = list(csv.DictReader(io.StringIO(archive.read("index.csv").decode("utf-8-sig"))))
    assert [row["certificate_id"] for row in rows] == [three.certificate_id, two.certificate_id, one.certificate_id]
    assert rows[1]["file"].startswith("missing: ")
    assert other.certificate_id not in {row["certificate_id"] for row in rows}


async def test_a_withdrawn_certificate_is_found_as_withdrawn_only(served: Served) -> None:
    issued = await erase(served.ledger, served.data, drive_number(1), lot_id="L7")
    assert await served.found("outcome=passed") == ["S0000001"]
    order = {"reason": "the wrong drive"}
    target = f"/api/v1/certificates/{issued.certificate_id}/withdrawal"
    assert (await ask(served.data / "eraser.sock", "POST", target, order)).status == 201
    assert await served.found("outcome=passed") == []
    assert await served.found("outcome=withdrawn") == ["S0000001"]


async def test_the_log_shows_its_checkpoint_its_key_and_how_it_grew(served: Served) -> None:
    assert (await served.get("log/checkpoint")).status == 404
    await erase_many(served.ledger, served.data, 2)
    await sign_log(served.ledger, served.data)
    checkpoint = await served.get("log/checkpoint")
    assert checkpoint.body.splitlines()[:2] == [f"eraser/{STATION}".encode(), b"2"]
    assert (await served.get("log/key")).body.startswith(f"eraser/{STATION}+".encode())
    assert (await served.get("log/update?from=1")).body.endswith(checkpoint.body)
    assert (await served.get("log/update?from=3")).status == 400


async def test_many_who_ask_for_pages_at_once_all_get_theirs(served: Served) -> None:
    issued = await erase_many(served.ledger, served.data, 2)
    targets = [f"certificates/{item.certificate_id}.pdf?lang={lang}" for item in issued for lang in ("en", "zh-CN")]
    answers = await asyncio.gather(*(served.get(target) for target in targets * 2))
    assert all(answer.body.startswith(b"%PDF-") for answer in answers)
    assert len({answer.body for answer in answers}) == len(targets)


def _files(served: Served) -> list[Any]:
    return sorted((served.data / "certificates").glob("*.json"))
