"""Exports of lots: complete, of one moment, without personal data, and read by other people's programs."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner
from lxml import etree
from sqlalchemy import insert

from eraser.cli.lot_export import export_command
from eraser.domain.custody import CustodyRecord, DriveName, HandedOver, Received, Released
from eraser.domain.events import DriveIdentified, Outcome
from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.domain.lot import Lot, LotPolicy
from eraser.ledger import log
from eraser.ledger.custody import Custody, custody_row
from eraser.ledger.engine import open_engine, writing
from eraser.ledger.export_formats import FORMATS, Export
from eraser.ledger.lot_exports import ExportedDrive, exported_drives, exported_lot
from eraser.ledger.lots import Lots
from eraser.ledger.migrating import migrate
from eraser.ledger.schema import custody
from eraser.ledger.sql_journal import SqlJournal
from eraser.ledger.store import open_store
from tests.ledger.children import ROOT
from tests.ledger.stories import a_request, drive_number, now_utc, whole_job

PASSED, FAILED, SOLD, RUNNING = (drive_number(number) for number in (1, 2, 3, 4))
PERSONS = ("Wang Fang", "Li Wei", "13800138000")


def name_of(drive) -> DriveName:
    return DriveName(drive.identity.serial, drive.identity.wwn)


def a_record(event, name: DriveName, at: str = "2027-01-01T00:00:00.000Z") -> CustodyRecord:
    return CustodyRecord(at, "hall 1", "operator-7", name, event)


async def fill(url: str) -> None:
    """Lot L1: four drives that were expected, one that was not, one that is missing; L2: the drive that was sold, again."""
    store = await open_store(url)
    journal = await SqlJournal.open(store, "station", now_utc)
    hand, lots = Custody(store, now_utc), Lots(store, now_utc)
    serials = tuple(drive.identity.serial for drive in (PASSED, FAILED, SOLD, RUNNING))
    await lots.put(Lot("L1", LotPolicy("nist-clear"), "Wang Fang", (*serials, "S-missing")), "operator-7")
    await lots.put(Lot("L2", LotPolicy("nist-clear"), expected_drives=3), "operator-7")
    for drive in (PASSED, FAILED, SOLD, RUNNING):
        await hand.record(a_record(Received("L1", "Li Wei 13800138000"), name_of(drive)))
    await hand.record(a_record(Received("L1"), DriveName("=HYPERLINK(1)", "", "@tag")))
    for drive, outcome in ((PASSED, Outcome.PASSED), (FAILED, Outcome.FAILED), (SOLD, Outcome.PASSED)):
        job = await journal.begin(a_request(f"job-{drive.identity.serial}"))
        for event in whole_job(job.state.job_id, drive, outcome=outcome):
            await job.append(event)
        await job.close()
    job = await journal.begin(a_request("job-running"))
    await job.append(DriveIdentified(RUNNING))
    await hand.record(a_record(Released("Li Wei"), name_of(SOLD)))
    await hand.record(a_record(HandedOver("Li Wei"), name_of(SOLD)))
    await hand.record(a_record(Received("L2"), name_of(SOLD)))
    withdrawal = LogEntry(EntryKind.WITHDRAWAL, f"certificate-of-job-{PASSED.identity.serial}", bytes(32))
    await store.write(lambda connection: log.append(connection, [withdrawal]))
    await job.close()
    await journal.close()
    await store.close()


def exported(url: str, form: str, *lot_ids: str) -> str:
    engine = open_engine(url)
    with engine.connect() as connection, connection.begin():
        lots = [(exported_lot(lot_id, connection), exported_drives(lot_id, connection)) for lot_id in lot_ids]
        text = "".join(FORMATS[form](Export("2027-02-01T00:00:00.000Z", "station", lots)))
    engine.dispose()
    return text


def drives_of(url: str, lot_id: str) -> dict[str, ExportedDrive]:
    engine = open_engine(url)
    with engine.connect() as connection, connection.begin():
        found = {drive.serial: drive for drive in exported_drives(lot_id, connection)}
    engine.dispose()
    return found


async def test_each_drive_is_told_with_its_jobs_certificates_and_places_in_the_log(url: str) -> None:
    await fill(url)
    found = drives_of(url, "L1")
    said = {serial: (item.match, item.state, item.outcome) for serial, item in found.items()}
    assert said == {
        "S0000001": ("expected", "here", "passed"),
        "S0000002": ("expected", "quarantined", "failed"),
        "S0000003": ("expected", "handed-over", ""),
        "S0000004": ("expected", "here", ""),
        "=HYPERLINK(1)": ("unexpected", "here", ""),
        "S-missing": ("missing", "missing", ""),
    }
    [job] = found["S0000001"].jobs
    assert (job.outcome, job.certificate_id, job.log_index) == ("passed", "certificate-of-job-S0000001", 0)
    assert (job.certificate_sha256, job.is_withdrawn) == (bytes(32).hex(), True)
    [job] = found["S0000003"].jobs
    assert (job.log_index, job.is_withdrawn) == (2, False)
    [job] = found["S0000004"].jobs
    assert (job.job_id, job.outcome, job.certificate_id) == ("job-running", "", "")
    events = [record.event for record in found["S0000003"].custody]
    assert events == ["received", "erased", "verified", "released", "handed-over"]


async def test_a_drive_that_comes_back_with_another_lot_is_told_there_anew(url: str) -> None:
    await fill(url)
    [drive] = drives_of(url, "L2").values()
    assert (drive.serial, drive.match, drive.state, drive.outcome, drive.jobs) == ("S0000003", "unsaid", "here", "", ())
    assert [record.event for record in drive.custody] == ["received"]


async def test_a_drive_known_by_several_names_is_told_once(url: str) -> None:
    store = await open_store(url)
    hand = Custody(store, now_utc)
    await Lots(store, now_utc).put(Lot("L", LotPolicy("nist-clear")), "o")
    for name in (DriveName("S1"), DriveName("S1", "w1"), DriveName("", "w1", "t1")):
        await hand.record(a_record(Received("L"), name))
    await store.close()
    [drive] = drives_of(url, "L").values()
    assert (drive.serial, drive.world_wide_name, drive.asset_tag, len(drive.custody)) == ("S1", "w1", "t1", 3)


async def test_the_json_is_as_its_schema_says(url: str) -> None:
    await fill(url)
    form = json.loads(exported(url, "json", "L1", "L2"))
    schema = json.loads((ROOT / "docs" / "lot-export.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(form)
    assert [(lot["lot_id"], len(lot["drives"])) for lot in form["lots"]] == [("L1", 6), ("L2", 1)]
    form["lots"][0]["drives"][0]["customer"] = "Wang Fang"
    assert not jsonschema.Draft202012Validator(schema).is_valid(form)


async def test_the_xml_is_as_its_schema_says(url: str) -> None:
    await fill(url)
    schema = etree.XMLSchema(etree.parse(ROOT / "docs" / "lot-export.xsd"))
    document = etree.fromstring(exported(url, "xml", "L1", "L2").encode())
    schema.assertValid(document)
    drives = document.findall(".//{*}drive")
    assert [drive.get("serial") for drive in drives][4:] == ["=HYPERLINK(1)", "S-missing", "S0000003"]
    drives[0].set("customer", "Wang Fang")
    assert not schema.validate(document)


def test_what_no_xml_can_hold_does_not_break_it() -> None:
    drive = ExportedDrive("L", "a\x01<&\"'\ud800b", "", "", "unsaid", "here", "", "2027-01-01T00:00:00.000Z", (), ())
    lot = exported_lot_named("L")
    text = "".join(FORMATS["xml"](Export("2027-02-01T00:00:00.000Z", "s", [(lot, [drive])])))
    found = etree.fromstring(text.encode()).find(".//{*}drive")
    assert found is not None
    assert found.get("serial") == "a\ufffd<&\"'\ufffdb"


def exported_lot_named(lot_id: str):
    from eraser.ledger.lot_exports import ExportedLot

    return ExportedLot(lot_id, "2027-01-01T00:00:00.000Z", "nist-clear", "", "full", None)


async def test_the_csv_is_rfc_4180_and_runs_no_formula(url: str) -> None:
    await fill(url)
    text = exported(url, "csv", "L1")
    assert text.count("\r\n") == 7
    assert "\n" not in text.replace("\r\n", "")
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert [row["serial"] for row in rows][4:] == ["'=HYPERLINK(1)", "S-missing"]
    assert rows[4]["asset_tag"] == "'@tag"
    assert not any(cell[:1] in ("=", "+", "-", "@", "\t", "\r") for row in rows for cell in row.values())
    assert (rows[0]["withdrawn"], rows[2]["withdrawn"], rows[3]["withdrawn"]) == ("yes", "no", "")


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@a", "\t=1", "\r=1"])
def test_a_cell_that_might_be_a_formula_is_text(cell: str) -> None:
    drive = ExportedDrive(cell, cell, cell, cell, "unsaid", "here", "", "x", (), ())
    text = "".join(FORMATS["csv"](Export("t", "s", [(exported_lot_named("L"), [drive])])))
    [row] = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    assert [row[name] for name in ("lot", "serial", "world_wide_name", "asset_tag")] == [f"'{cell}"] * 4


def test_quotes_commas_and_line_ends_come_back_as_they_were() -> None:
    odd = 'a,"b"\r\nc'
    drive = ExportedDrive("L", odd, "", "", "unsaid", "here", "", "x", (), ())
    text = "".join(FORMATS["csv"](Export("t", "s", [(exported_lot_named("L"), [drive])])))
    [row] = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    assert row["serial"] == odd


@pytest.mark.parametrize("form", FORMATS)
async def test_no_export_names_customers_or_suppliers(url: str, form: str) -> None:
    await fill(url)
    text = exported(url, form, "L1", "L2")
    assert not [person for person in PERSONS if person in text]


# ---- the command


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def run(*arguments: object, home: Path):
    environ = {"XDG_DATA_HOME": str(home), "HOME": str(home), "ERASER_CONFIG": ""}
    return CliRunner().invoke(export_command, [str(item) for item in arguments], env=environ)


async def test_the_command_writes_a_new_file_or_none(url: str, tmp_path: Path) -> None:
    await fill(url)
    file = tmp_path / "L1.json"
    done = run("L1", "--format", "json", "--output", file, "--database", url, home=tmp_path)
    assert done.exit_code == 0, (done.output, done.exception)
    before = file.read_bytes()
    assert json.loads(before)["lots"][0]["lot_id"] == "L1"
    done = run("L2", "--output", file, "--database", url, home=tmp_path)
    assert "there is a file" in str(done.exception)
    done = run("no-such", "--output", tmp_path / "other", "--database", url, home=tmp_path)
    assert "no such lot" in str(done.exception)
    assert file.read_bytes() == before
    assert not (tmp_path / "other").exists()
    assert not [name for name in names_in(tmp_path) if name.endswith(".partial")]


async def test_all_lots_of_a_time_are_one_report(url: str, tmp_path: Path) -> None:
    await fill(url)

    def lots_in(*options: str) -> list[str]:
        done = run("--format", "json", "--database", url, *options, home=tmp_path)
        assert done.exit_code == 0, (done.output, done.exception)
        return [lot["lot_id"] for lot in json.loads(done.output)["lots"]]

    assert lots_in("--from", "2027-01-01", "--to", "2027-01-01") == ["L1", "L2"]
    assert lots_in("--from", "2027-01-02", "--to", "2027-12-31") == []
    assert lots_in("--from", "2026-01-01", "--to", "2026-12-31") == []
    assert "one lot or of a time" in str(run("L1", "--from", "2027-01-01", home=tmp_path).exception)


# ---- scale

DRIVES = 15_000
MOST_BYTES = 16 << 20
READ_ALL = """
import resource, sys
sys.path.append({root!r})
from eraser.ledger.engine import open_engine
from eraser.ledger.export_formats import FORMATS, Export
from eraser.ledger.lot_exports import exported_drives, exported_lot
engine = open_engine({url!r})
def written(lot_id, form):
    size = 0
    with engine.connect() as connection, connection.begin():
        lots = [(exported_lot(lot_id, connection), exported_drives(lot_id, connection))]
        for text in FORMATS[form](Export("t", "s", lots)):
            size += len(text)
    return size
written("small", "json")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
size = written("large", "json")
print(size, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def test_a_lot_of_thousands_of_drives_is_read_in_little_memory(sqlite: str) -> None:
    engine = open_engine(sqlite)
    migrate(engine)
    with writing(engine) as connection, connection.begin():
        for lot_id, count in (("small", 500), ("large", DRIVES)):
            names = (DriveName(f"{lot_id}-{number:07}", f"5000c500{number:08x}{lot_id}") for number in range(count))
            rows = (custody_row(a_record(Received(lot_id), name)) for name in names)
            while page := [row for row, _ in zip(rows, range(5000), strict=False)]:
                connection.execute(insert(custody), page)
    engine.dispose()

    async def describe() -> None:
        store = await open_store(sqlite)
        for lot_id in ("small", "large"):
            await Lots(store, now_utc).put(Lot(lot_id, LotPolicy("nist-clear")), "o")
        await store.close()

    asyncio.run(describe())
    code = READ_ALL.format(root=str(ROOT), url=sqlite)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd="/", capture_output=True, text=True, timeout=280, check=True
    )
    size, grown = map(int, done.stdout.split())
    assert size > DRIVES * 300
    assert grown < MOST_BYTES
