"""A lot's summary, from the ledger and the certificates' files to a signed PDF."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from eraser.certificates.errors import AlteredError, KeyFileError
from eraser.certificates.pdf.signing import rotate_pdf_key
from eraser.cli.certificate import certificate_group
from eraser.domain.custody import CustodyRecord, Received, drive_name
from eraser.domain.events import Outcome
from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.domain.lot import Lot, LotPolicy
from eraser.errors import UsageError
from eraser.ledger import log
from eraser.ledger.engine import sqlite_url
from eraser.ledger.station_ledger import open_ledger
from tests.console.certified import erase
from tests.console.desks import AT, STATION, now_utc
from tests.ledger.stories import drive_number

LOT = "2026-11 / 第三批"
poppler = pytest.mark.lab("pdftotext", "pdfsig", "pdfdetach")


async def a_station(data: Path) -> list[str]:
    """Drives 1 to 5 came with the lot: passed, failed, erased again after it had failed, withdrawn, and still to be erased;
    drive 6 passed and came otherwise.
    """
    async with open_ledger(sqlite_url(data / "ledger.db"), STATION, now_utc) as ledger:
        await ledger.lots.put(Lot(LOT, LotPolicy("gb-46864-2025"), supplier="Jo Public"), "operator-7")
        issued = [
            await erase(ledger, data, drive_number(1), lot_id=LOT),
            await erase(ledger, data, drive_number(2), lot_id=LOT, outcome=Outcome.FAILED),
            await erase(ledger, data, drive_number(3), lot_id=LOT, outcome=Outcome.FAILED),
            await erase(ledger, data, drive_number(3)),
            await erase(ledger, data, drive_number(4), lot_id=LOT),
        ]
        name = drive_name(drive_number(5).identity)
        assert name is not None
        await ledger.custody.record(CustodyRecord(AT, STATION, "operator-7", name, Received(LOT)))
        await erase(ledger, data, drive_number(6))
        taken = LogEntry(EntryKind.WITHDRAWAL, issued[-1].certificate_id, bytes(32))
        await ledger.store.write(lambda connection: log.append(connection, [taken]))
    return [item.certificate_id for item in issued]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def run(data: Path, *arguments: object) -> Result:
    environ = {"XDG_DATA_HOME": str(data.parent / "elsewhere"), "HOME": str(data.parent)}
    words = ["pdf", *map(str, arguments), "--data", str(data)]
    return CliRunner().invoke(certificate_group, words, env=environ)


@poppler
def test_the_summary_of_a_lot_names_each_certificate_and_what_it_says_today(data: Path, tmp_path: Path) -> None:
    ids = asyncio.run(a_station(data))
    target = tmp_path / "lot.pdf"
    done = run(data, "--lot", LOT, "--lang", "en", "--out", target)
    assert (done.exit_code, done.stdout.strip()) == (0, str(target)), done.output
    assert "Signature is Valid" in subprocess.run(["pdfsig", target], capture_output=True, text=True, check=True).stdout
    text = subprocess.run(["pdftotext", "-layout", target, "-"], capture_output=True, text=True, check=True).stdout
    assert all(f"S000000{number}" in text for number in (1, 2, 3, 4))
    assert "S0000006" not in text
    assert all(item in text.replace(" ", "") for item in ids)
    assert "Jo Public" not in text
    subprocess.run(["pdfdetach", "-savefile", "lot.json", "-o", tmp_path / "lot.json", target], check=True)
    summary = json.loads((tmp_path / "lot.json").read_text())
    assert [item["certificate_id"] for item in summary["certificates"]] == ids
    assert [item["standing"] for item in summary["certificates"]] == [
        "passed",
        "failed",
        "replaced",
        "passed",
        "withdrawn",
    ]
    assert [item["index"] for item in summary["certificates"]] == [0, 1, 2, 3, 4]
    assert (summary["drives_received"], summary["drives_without_certificate"]) == (5, 1)
    assert "Jo Public" not in (tmp_path / "lot.json").read_text()


def test_the_verifier_believes_it_under_the_key_for_pdfs_and_holds_it_against_the_certificates(
    data: Path, tmp_path: Path
) -> None:
    asyncio.run(a_station(data))
    target, keys = tmp_path / "lot.pdf", tmp_path / "plant.pem"
    assert run(data, "--lot", LOT, "--out", target).exit_code == 0
    key_words = [["key", "--data", str(data)], ["key", "--pdf", "--data", str(data)]]
    keys.write_text("".join(CliRunner().invoke(certificate_group, words).stdout for words in key_words))

    def verified(*files: Path) -> list[dict[str, Any]]:
        words = ["verify", "--json", *map(str, files), "--keys", str(keys)]
        return [json.loads(line) for line in CliRunner().invoke(certificate_group, words).stdout.splitlines()]

    summary, *certificates = verified(target, *(data / "certificates").glob("*.json"))
    assert summary["result"] == "genuine"
    counts = {name: summary["lot"][name] for name in ("passed", "failed", "withdrawn", "replaced")}
    assert counts == {"passed": 2, "failed": 1, "withdrawn": 1, "replaced": 1}
    assert {item["result"] for item in certificates} == {"genuine"}
    (without_its_key,) = verified_with(data / "keys", target)
    assert without_its_key["result"] == "unknown-key"


def verified_with(keys: Path, target: Path) -> list[dict[str, Any]]:
    answer = CliRunner().invoke(certificate_group, ["verify", "--json", str(target), "--keys", str(keys)])
    return [json.loads(line) for line in answer.stdout.splitlines()]


def test_a_key_out_of_its_time_signs_no_summary(data: Path, tmp_path: Path) -> None:
    asyncio.run(a_station(data))
    rotate_pdf_key(data / "keys", "2999-01-01T00:00:00Z", "2999-01-02T00:00:00Z")
    done = run(data, "--lot", LOT, "--out", tmp_path / "lot.pdf")
    assert isinstance(done.exception, KeyFileError)
    assert not (tmp_path / "lot.pdf").exists()


def test_a_certificate_that_is_not_to_be_believed_leaves_the_lot_without_a_summary(data: Path, tmp_path: Path) -> None:
    asyncio.run(a_station(data))
    path = next((data / "certificates").glob("S0000001-*.json"))
    path.write_bytes(path.read_bytes().replace(b"operator-7", b"operator-8"))
    done = run(data, "--lot", LOT, "--out", tmp_path / "lot.pdf")
    assert isinstance(done.exception, AlteredError)
    assert not (tmp_path / "lot.pdf").exists()


def test_a_lot_that_is_not_there_and_senseless_orders_are_wrong_usage(data: Path, tmp_path: Path) -> None:
    asyncio.run(a_station(data))
    path = next((data / "certificates").glob("S0000001-*.json"))
    for arguments in (["--lot", "no such lot"], [], ["--lot", LOT, path]):
        done = run(data, *arguments, "--out", tmp_path / "lot.pdf")
        assert isinstance(done.exception, UsageError), done.output


def test_many_certificates_have_their_pages_made_by_one_command(data: Path, tmp_path: Path) -> None:
    asyncio.run(a_station(data))
    files = sorted((data / "certificates").glob("*.json"))[:3]
    done = run(data, *files, "--out", tmp_path / "pages")
    assert done.exit_code == 0, done.output
    assert done.stdout.split() == [str(tmp_path / "pages" / f"{file.stem}.pdf") for file in files]
    assert all(Path(line).read_bytes().startswith(b"%PDF-") for line in done.stdout.split())
