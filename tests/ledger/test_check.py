"""`ledger check` finds whatever contradicts itself, and nothing where nothing does."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import insert

from eraser.cli.ledger import ledger_group
from eraser.domain.custody import CustodyRecord, Destroyed, DriveName, Erased, HandedOver, Received, Released
from eraser.domain.events import DriveIdentified, Entry, JobRefused, Outcome
from eraser.domain.lot import Lot, LotPolicy
from eraser.errors import ExitStatus, JournalError
from eraser.ledger import check as checking
from eraser.ledger.check import check
from eraser.ledger.custody import Custody, custody_row
from eraser.ledger.engine import open_engine, writing
from eraser.ledger.lots import Lots
from eraser.ledger.migrating import migrate
from eraser.ledger.records import body_of, event_row
from eraser.ledger.schema import custody, job_events
from eraser.ledger.sql_journal import SqlJournal
from eraser.ledger.store import open_store
from tests.ledger.stories import a_request, drive_number, now_utc, until_writing, whole_job
from tests.ledger.tampering import tamper

DRIVE = drive_number(1)
NAME = DriveName(DRIVE.identity.serial, DRIVE.identity.wwn)


def a_record(event: Received | Released | HandedOver | Destroyed | Erased, name: DriveName = NAME) -> CustodyRecord:
    return CustodyRecord(now_utc(), "hall 1", "operator-7", name, event)


async def fill(url: str) -> None:
    """Jobs of every end, and a drive that was sold."""
    store = await open_store(url)
    journal = await SqlJournal.open(store, "station", now_utc)
    hand = Custody(store, now_utc)
    await Lots(store, now_utc).put(Lot("lot-1", LotPolicy("nist-800-88-clear")), "operator-7")
    await hand.record(a_record(Received("lot-1")))
    stories = {
        "passed": whole_job("passed", DRIVE),
        "failed": whole_job("failed", drive_number(2), outcome=Outcome.FAILED),
        "writing": until_writing(drive_number(3)),
        "uncertified": whole_job("uncertified", drive_number(4))[:-1],
        "refused": [DriveIdentified(drive_number(5)), JobRefused("mounted", "it is mounted")],
    }
    for job_id, events in stories.items():
        log = await journal.begin(a_request(job_id))
        for event in events:
            await log.append(event)
        await log.close()
    await hand.record(a_record(Released("a buyer")))
    await hand.record(a_record(HandedOver("a buyer")))
    await journal.close()
    await store.close()


async def test_a_sound_ledger_agrees_with_itself(url: str) -> None:
    await fill(url)
    report = check(url)
    assert report.findings == []
    assert report.is_clean
    assert (report.jobs, report.open_jobs, report.certificates, report.lots) == (5, 2, 2, 1)
    assert report.events == 43
    assert report.custody_records == 10


async def test_further_processes_see_the_same(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(url)
    tamper(url, "UPDATE jobs SET serial = 'S2' WHERE job_id IN ('passed', 'writing')")
    alone = check(url, processes=1)
    monkeypatch.setattr(checking, "_MANY_EVENTS", 1)
    many = check(url, processes=3)
    assert many.events == alone.events
    assert many.findings == alone.findings
    assert {finding.subject for finding in many.findings} == {"job passed", "job writing"}


async def test_a_station_may_go_on_meanwhile(url: str) -> None:
    await fill(url)
    store = await open_store(url)
    journal = await SqlJournal.open(store, "station", now_utc)
    log = await journal.begin(a_request("new"))
    assert check(url).is_clean
    await log.append(DriveIdentified(DRIVE))
    assert check(url).is_clean
    await journal.close()
    await store.close()


@pytest.mark.parametrize(
    ("change", "subject", "what"),
    [
        ("UPDATE job_events SET at = 'x' WHERE sequence = 3 AND job_id = 'passed'", "passed", "digest"),
        ("DELETE FROM job_events WHERE sequence = 5 AND job_id = 'passed'", "passed", "event 5 is missing"),
        ("DELETE FROM job_events WHERE sequence = 0 AND job_id = 'passed'", "passed", "event 0 is missing"),
        ("DELETE FROM job_events WHERE sequence > 10 AND job_id = 'passed'", "passed", "certificates"),
        ("DELETE FROM job_events WHERE job_id = 'writing'", "writing", "no events"),
        ("UPDATE jobs SET is_open = NOT is_open WHERE job_id = 'writing'", "writing", "is_open is False"),
        ("UPDATE jobs SET outcome = 'passed' WHERE job_id = 'failed'", "failed", "outcome is 'passed'"),
        ("UPDATE jobs SET world_wide_name = '' WHERE job_id = 'failed'", "failed", "world_wide_name is ''"),
        ("DELETE FROM certificates WHERE job_id = 'passed'", "passed", "list of certificates"),
        ("UPDATE certificates SET certificate_id = 'x' WHERE job_id = 'passed'", "passed", "list of certificates"),
        ("INSERT INTO certificates SELECT 'x', 'writing', digest FROM certificates LIMIT 1", "writing", "certificates"),
        ("DELETE FROM custody WHERE job_id = 'failed' AND kind = 'quarantined'", "failed", "chain of custody"),
        ("DELETE FROM custody WHERE job_id = 'refused'", "refused", "chain of custody"),
        ("UPDATE custody SET job_id = 'refused' WHERE job_id = 'failed'", "failed", "chain of custody"),
    ],
)
async def test_a_contradiction_is_named_with_its_place(url: str, change: str, subject: str, what: str) -> None:
    await fill(url)
    tamper(url, change)
    report = check(url)
    assert not report.is_clean
    assert any(finding.subject == f"job {subject}" and what in finding.what for finding in report.findings), report


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("DELETE FROM custody WHERE kind = 'received'", "exit gate should have refused"),
        ("DELETE FROM custody WHERE kind = 'released'", "exit gate should have refused"),
        ("UPDATE custody SET serial = 'S2' WHERE number = 1", "serial is 'S2'"),
        ("UPDATE custody SET kind = 'moved' WHERE number = 1", "kind is 'moved'"),
        ("UPDATE custody SET at = 'x' WHERE number = 1", "at is 'x'"),
        ("UPDATE custody SET body = (SELECT body FROM lots LIMIT 1) WHERE number = 1", "can't be believed"),
    ],
)
async def test_a_contradiction_in_the_chain_of_custody_is_named(url: str, change: str, what: str) -> None:
    await fill(url)
    tamper(url, change)
    report = check(url)
    assert any("custody record" in finding.subject and what in finding.what for finding in report.findings), report


async def test_a_release_past_the_exit_gate_is_found(url: str) -> None:
    await fill(url)
    engine = open_engine(url)
    failed = DriveName(drive_number(2).identity.serial)
    with writing(engine) as connection, connection.begin():
        connection.execute(insert(custody).values(custody_row(a_record(Released("a buyer"), failed))))
        connection.execute(insert(custody).values(custody_row(a_record(Erased("", Outcome.PASSED), failed))))
    engine.dispose()
    whats = [finding.what for finding in check(url).findings]
    assert len(whats) == 2
    assert "the exit gate should have refused it" in whats[0]
    assert "names none" in whats[1]


async def test_an_event_that_could_not_follow_is_found(url: str) -> None:
    await fill(url)
    engine = open_engine(url)
    with writing(engine) as connection, connection.begin():
        row = event_row("writing", Entry(5, now_utc(), DriveIdentified(DRIVE)))
        connection.execute(insert(job_events).values(row))
    engine.dispose()
    [finding] = check(url).findings
    assert finding.subject == "job writing"
    assert "can't follow" in finding.what


async def test_a_lot_under_a_false_name_is_found(url: str) -> None:
    await fill(url)
    other = body_of(Lot("lot-2", LotPolicy("gb-t"))).hex()
    literal = f"x'{other}'" if url.startswith("sqlite") else f"decode('{other}', 'hex')"
    tamper(url, f"UPDATE lots SET body = {literal}")
    assert [finding.subject for finding in check(url).findings] == ["lot lot-1"]


async def test_what_is_listed_is_limited_and_all_is_counted(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(url)
    tamper(url, "UPDATE job_events SET at = 'x'")
    monkeypatch.setattr(checking, "MAX_FINDINGS", 2)
    report = check(url)
    assert len(report.findings) == 2
    assert report.findings_total == 5


def test_a_page_that_the_disk_lost_is_found(sqlite: str) -> None:
    engine = open_engine(sqlite)
    migrate(engine)
    with writing(engine) as connection, connection.begin():
        connection.exec_driver_sql(
            "INSERT INTO jobs (job_id, is_open, serial, world_wide_name) VALUES ('j', true, '', '')"
        )
        for number in range(3000):
            row = event_row("j", Entry(number, now_utc(), a_request("j")))
            connection.execute(insert(job_events).values(row))
    engine.dispose()
    path = Path(sqlite.removeprefix("sqlite:///"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8192] = bytes(8192)
    path.write_bytes(content)
    try:
        report = check(sqlite)
    except JournalError as error:
        assert "corrupt" in str(error)
    else:
        assert not report.is_clean


def test_a_ledger_that_is_not_there_is_not_made(url: str) -> None:
    with pytest.raises(JournalError, match="there is no ledger"):
        check(url)


def test_the_file_is_not_made_either(tmp_path: Path) -> None:
    with pytest.raises(JournalError):
        check(f"sqlite:///{tmp_path / 'ledger.db'}")
    assert not (tmp_path / "ledger.db").exists()


# ---- the command


async def test_the_command_says_what_it_saw(url: str) -> None:
    await fill(url)
    result = CliRunner().invoke(ledger_group, ["check", "--database", url])
    assert result.exit_code == ExitStatus.PASSED
    assert "5 jobs (2 open) with 43 events" in result.output
    assert "everything agrees" in result.output


async def test_the_command_fails_where_something_does_not_agree(url: str) -> None:
    await fill(url)
    tamper(url, "UPDATE jobs SET outcome = 'passed' WHERE job_id = 'failed'")
    result = CliRunner().invoke(ledger_group, ["check", "--database", url])
    assert result.exit_code == ExitStatus.FAILED
    assert "job failed: outcome is 'passed', its events say 'failed'" in result.output
    result = CliRunner().invoke(ledger_group, ["check", "--database", url, "--json"])
    assert result.exit_code == ExitStatus.FAILED
    form = json.loads(result.output)
    assert (form["is_clean"], form["findings_total"], form["jobs"]) == (False, 1, 5)


def test_a_check_changes_nothing(sqlite: str) -> None:
    asyncio.run(fill(sqlite))
    path = Path(sqlite.removeprefix("sqlite:///"))
    before = path.read_bytes()
    check(sqlite)
    assert path.read_bytes() == before
