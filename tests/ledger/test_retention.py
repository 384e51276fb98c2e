"""What has expired goes, with a record that the log has; nothing else ever goes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import DBAPIError

from eraser.cli.ledger import ledger_group
from eraser.domain.custody import CustodyRecord, Destroyed, DriveName, HandedOver, Quarantined, Received, Released
from eraser.domain.events import Outcome
from eraser.domain.json_form import to_json
from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.domain.lot import Lot, LotPolicy, TagBinding
from eraser.domain.merkle import is_consistent, is_included
from eraser.errors import Refused
from eraser.ledger import destructions, log, outlived, retention, signed_records
from eraser.ledger.check import check
from eraser.ledger.custody import Custody, custody_row
from eraser.ledger.engine import open_engine
from eraser.ledger.lots import Lots
from eraser.ledger.retention import Expired, Periods, cutoff
from eraser.ledger.schema import (
    APPEND_ONLY,
    attendances,
    certificates,
    custody,
    jobs,
    lots,
    removals,
    specifications,
    trail,
)
from eraser.ledger.schema import signed_records as signed_records_table
from eraser.ledger.signed_records import SignedRecord
from eraser.ledger.sql_journal import SqlJournal
from eraser.ledger.store import Store, open_store
from eraser.log import note
from eraser.log.checkpoint import Checkpoint, Withdrawals
from eraser.log.errors import RewrittenLogError
from eraser.log.publishing import OneKey, Publisher, signed_by_all
from eraser.log.removing import Removing
from tests.ledger.children import ROOT
from tests.ledger.stories import a_request, drive_number, until_writing, whole_job
from tests.ledger.tampering import run, tamper
from tests.log.keys import KeyInMemory
from tests.log.test_publishing import ORIGIN, Kept

NOW = "2026-11-24T12:00:00.000Z"
OLD, YOUNG = "2020-05-01T00:00:00.000Z", "2026-10-01T00:00:00.000Z"
KEYS = OneKey(ORIGIN, KeyInMemory(1))


class Plant:
    """A ledger of the past; `kept` is the checkpoint outside."""

    def __init__(self, store: Store, journal: SqlJournal) -> None:
        self.store, self.journal = store, journal
        self.at = OLD
        self.kept = Kept()
        journal.now_utc = lambda: self.at
        self.lots = Lots(store, lambda: self.at)
        self.custody = Custody(store, lambda: self.at)

    async def record(self, number: int, *events: object) -> None:
        identity = drive_number(number).identity
        for event in events:
            name = DriveName(identity.serial, identity.wwn)
            await self.custody.record(CustodyRecord(self.at, "hall 1", "operator-7", name, event))

    async def job(self, job_id: str, number: int, outcome: Outcome | None = Outcome.PASSED) -> None:
        drive = drive_number(number)
        job = await self.journal.begin(a_request(job_id))
        for event in whole_job(job_id, drive, outcome=outcome) if outcome else until_writing(drive):
            await job.append(event)
        await job.close()

    async def sold(self, job_id: str, number: int, lot_id: str = "") -> None:
        await self.record(number, Received(lot_id))
        await self.job(job_id, number)
        await self.record(number, Released("a buyer"), HandedOver("a buyer"))

    async def publish(self) -> None:
        await Publisher(self.store, ORIGIN, KEYS, self.kept, lambda: NOW).publish()

    def removing(self, years: int = 3, now: str = NOW, **options: int) -> Removing:
        return Removing(
            self.store.engine, ORIGIN, KEYS, self.kept, lambda: now, Periods(years), "operator-7", **options
        )

    async def left(self) -> tuple[set[str], set[str]]:
        """Jobs and serial numbers in custody that are there."""
        return await self.store.read(
            lambda connection: (
                set(connection.execute(select(jobs.c.job_id)).scalars()),
                set(connection.execute(select(custody.c.serial)).scalars()),
            )
        )


@pytest.fixture
async def plant(url: str):
    store = await open_store(url)
    journal = await SqlJournal.open(store, "station", lambda: OLD)
    yield Plant(store, journal)
    await journal.close()
    await store.close()


async def fill(plant: Plant) -> None:
    """One drive that has expired, and one for every reason not to."""
    await plant.lots.put(Lot("old-lot", LotPolicy("nist-clear"), "Wang Fang"), "operator-7")
    await plant.lots.put(Lot("kept-lot", LotPolicy("nist-clear")), "operator-7")
    await plant.lots.bind(TagBinding("T1", serial=drive_number(1).identity.serial), "operator-7")
    await plant.sold("expired", 1, "old-lot")
    await plant.record(2, Received("kept-lot"))
    await plant.job("still here", 2)
    await plant.job("failed", 3, Outcome.FAILED)
    await plant.job("open", 4, None)
    await plant.sold("came back", 5)
    await plant.record(6, Received(""), Quarantined("odd"), Destroyed("shredded"))
    plant.at = YOUNG
    await plant.sold("young", 7)
    await plant.record(5, Received(""))
    await plant.publish()


async def test_what_has_expired_goes_and_nothing_else(plant: Plant, url: str) -> None:
    await fill(plant)
    planned = plant.removing().plan()
    assert planned.rows["jobs"] == {"expired"}
    before = await plant.left()
    done = list(plant.removing()())
    jobs_left, serials_left = await plant.left()
    assert before[0] - jobs_left == {"expired"}
    assert before[1] - serials_left == {"S0000001", "S0000006"}
    assert sum(len(item.expired.rows["custody"]) for item in done) == 5 + 3
    assert {
        kind: sum(len(item.expired.rows[kind]) for item in done) for kind in ("asset_tags", "lots", "certificates")
    } == {
        "asset_tags": 1,
        "lots": 1,
        "certificates": 1,
    }
    lots_left = await plant.store.read(lambda connection: list(connection.execute(select(lots.c.lot_id)).scalars()))
    assert lots_left == ["kept-lot"]
    assert check(url).findings == []
    assert list(plant.removing()()) == []


async def test_each_removal_is_signed_and_in_the_log(plant: Plant, url: str) -> None:
    await fill(plant)
    done = list(plant.removing()())
    rows = await plant.store.read(lambda connection: connection.execute(select(removals)).all())
    assert [row.name for row in rows] == [item.name for item in done]
    for row, item in zip(rows, done, strict=True):
        signed = note.parse(bytes(row.note))
        assert note.confirm(signed, KEYS.known())
        assert signed.text == item.text
        [entry] = await plant.store.read(partial(log.entries_about, subject=row.name))
        assert entry.entry.kind is EntryKind.REMOVAL
    assert f"from {OLD}\nto {OLD}\ncustody 8\njobs 1\n" in done[0].text
    assert f"sha256 {done[0].expired.digest.hex()}\n" in done[0].text


async def test_old_proofs_hold_after_a_removal(plant: Plant) -> None:
    await fill(plant)
    [entry] = await plant.store.read(lambda c: log.entries_about(c, "certificate-of-expired"))
    size, root, proof = await plant.store.read(
        lambda c: (log.size(c), log.tree(c).root(), log.tree(c).inclusion_proof(entry.index))
    )
    list(plant.removing()())
    await plant.publish()
    now, new_root, new_proof, grown = await plant.store.read(
        lambda c: (
            log.size(c),
            log.tree(c).root(),
            log.tree(c).inclusion_proof(entry.index),
            log.tree(c).consistency_proof(size),
        )
    )
    leaf = entry.entry.leaf()
    assert is_included(leaf, entry.index, size, proof, root)
    assert is_included(leaf, entry.index, now, new_proof, new_root)
    assert is_consistent(size, root, now, new_root, grown)
    assert await plant.store.read(lambda c: c.execute(select(certificates).where(
        certificates.c.certificate_id == "certificate-of-expired")).first()) is None  # fmt: skip


async def test_parts_are_removed_one_after_the_other(plant: Plant, url: str) -> None:
    for number in range(1, 6):
        await plant.sold(f"job-{number}", number)
    await plant.publish()
    done = list(plant.removing(drives_at_once=2)())
    assert [item.expired.drives for item in done] == [2, 2, 1]
    assert (await plant.left()) == (set(), set())
    assert check(url).is_clean


async def test_a_drive_that_comes_back_while_it_is_being_removed_is_kept(
    plant: Plant, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await plant.sold("one", 1)
    await plant.sold("two", 2)
    await plant.publish()
    look = retention.looked_at_anew
    identity = drive_number(1).identity
    back = CustodyRecord(YOUNG, "hall 1", "operator-7", DriveName(identity.serial, identity.wwn), Received(""))

    def comes_back(found: Expired, before: str, connection: Connection) -> Expired | None:
        if "one" in found.rows["jobs"]:
            connection.execute(insert(custody).values(custody_row(back)))
        return look(found, before, connection)

    monkeypatch.setattr(retention, "looked_at_anew", comes_back)
    [done] = plant.removing()()
    assert done.expired.rows["jobs"] == {"two"}
    assert await plant.left() == ({"one"}, {"S0000001"})
    assert check(url).is_clean


async def test_a_station_writes_while_a_removal_is_looked_for(plant: Plant, url: str) -> None:
    await plant.sold("one", 1)
    await plant.sold("two", 2)
    await plant.publish()
    removals_done = plant.removing(drives_at_once=1)()
    next(removals_done)  # the looking goes on after it
    await plant.sold("three", 3)
    assert [item.expired.rows["jobs"] for item in removals_done] == [{"two"}]
    assert (await plant.left())[0] == {"three"}


# ---- what belongs to no drive


def insert_beside(connection: Connection, at: str, word: str) -> None:
    """A deed, a customer's visit and a specification of that time."""
    connection.execute(insert(trail).values(at=at, name=word, way="", place="", action="", subject="", status=200))
    digest, operator = word.encode(), "operator-7"
    connection.execute(insert(attendances).values(token_digest=digest, at=at, kind="opened", body=b"{}"))
    row = {"reference": word, "serial": word, "at": at, "after": 0, "operator": operator, "body": b"{}"}
    connection.execute(insert(specifications).values(**row))


BESIDE = (trail.c.name, attendances.c.token_digest, specifications.c.reference)


async def beside_left(plant: Plant) -> list[set[str]]:
    def read(connection: Connection) -> list[set[str]]:
        found = [set(connection.execute(select(column)).scalars()) for column in BESIDE]
        return [{item.decode() if isinstance(item, bytes) else item for item in items} for items in found]

    return await plant.store.read(read)


async def test_deeds_visits_and_specifications_go_whole_and_in_their_own_time(plant: Plant, url: str) -> None:
    for at, word in ((OLD, "old"), (OLD, "again"), (YOUNG, "again"), (YOUNG, "young")):
        await plant.store.write(partial(insert_beside, at=at, word=word))
    await plant.publish()
    removing = replace(plant.removing(), years=Periods(3, attendances=7))
    kinds = [{kind for kind, keys in item.expired.rows.items() if keys} for item in removing()]
    assert kinds == [{"specifications"}, {"trail"}]
    # Of the trail each deed stands for itself; of the others everything stays of what was spoken of since.
    assert await beside_left(plant) == [{"again", "young"}, {"old", "again", "young"}, {"again", "young"}]
    [row] = await plant.store.read(lambda c: c.execute(select(trail.c.at).where(trail.c.name == "again")).all())
    assert row.at == YOUNG
    list(plant.removing()())
    assert await beside_left(plant) == [{"again", "young"}] * 3
    assert check(url).is_clean


async def test_a_long_trail_goes_in_parts_each_with_its_record(
    plant: Plant, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        await plant.store.write(partial(insert_beside, at=OLD, word=str(number)))
    await plant.publish()
    monkeypatch.setattr(outlived, "AT_ONCE", 2)
    parts = [len(item.expired.rows["trail"]) for item in plant.removing()() if item.expired.rows["trail"]]
    assert parts == [2, 2, 1]
    assert check(url).is_clean


async def test_the_record_of_a_destruction_goes_with_its_drive_and_no_other(plant: Plant, url: str) -> None:
    for number, at, is_gone in ((1, OLD, True), (2, YOUNG, False)):
        plant.at = at
        await plant.record(number, Received(""), Quarantined("odd"))
        identity = drive_number(number).identity
        name = DriveName(identity.serial, identity.wwn)
        document = json.dumps({"destruction": {"drive": to_json(name)}}).encode()
        entry = LogEntry(EntryKind.DESTRUCTION, f"d{number}", bytes(32))
        signed = SignedRecord(entry, "", "station", at, f"{number}.destruction", document)
        record = CustodyRecord(at, "hall 1", "operator-7", name, Destroyed("shredded"))
        await plant.store.write(partial(destructions.enter, record, signed))
        if is_gone:  # another drive's of the same moment
            other = SignedRecord(LogEntry(EntryKind.DESTRUCTION, "d9", bytes(32)), "", "station", at, "9", OTHERS)
            await plant.store.write(partial(signed_records.put, other))
    await plant.publish()
    [done] = plant.removing()()
    assert len(done.expired.rows["signed_records"]) == 1
    left = await plant.store.read(lambda c: set(c.execute(select(signed_records_table.c.subject)).scalars()))
    assert left == {"d2", "d9"}
    assert check(url).is_clean
    tamper(url, "DELETE FROM signed_records WHERE subject = 'd9'")
    assert not check(url).is_clean


OTHERS = json.dumps({"destruction": {"drive": to_json(DriveName("S9999999"))}}).encode()


# ---- what never goes


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM custody WHERE number = 1",
        "DELETE FROM job_events WHERE job_id = 'expired'",
        "DELETE FROM certificates WHERE job_id = 'expired'",
        "DELETE FROM lots WHERE lot_id = 'old-lot'",
        "DELETE FROM asset_tags",
        "UPDATE custody SET at = 'x' WHERE number = 1",
        "UPDATE lots SET operator = 'x'",
        "UPDATE job_events SET kind = 'x' WHERE job_id = 'expired'",
        "DELETE FROM removals",
        "UPDATE removals SET at = 'x'",
    ],
)
async def test_nobody_else_removes_or_changes_what_has_expired(plant: Plant, url: str, statement: str) -> None:
    await fill(plant)
    if "removals" in statement:
        list(plant.removing()())
    with pytest.raises(DBAPIError, match="append-only"):
        run(url, statement)


@pytest.mark.parametrize(
    ("relation", "key", "table", "where"),
    [
        ("custody", "number", "custody", "serial = 'S0000007'"),
        ("jobs", "job_id", "job_events", "job_id = 'young'"),
        ("jobs", "job_id", "certificates", "job_id = 'young'"),
        ("lots", "lot_id", "lots", "lot_id = 'young-lot'"),
        ("trail", "number", "trail", "name = 'young'"),
        ("attendances", "number", "attendances", "at > '2026'"),
        ("specifications", "number", "specifications", "reference = 'young'"),
    ],
)
async def test_the_database_keeps_what_is_younger_whoever_names_it(
    plant: Plant, url: str, relation: str, key: str, table: str, where: str
) -> None:
    await fill(plant)
    await plant.lots.put(Lot("young-lot", LotPolicy("nist-clear")), "operator-7")
    await plant.store.write(partial(insert_beside, at=YOUNG, word="young"))
    naming = f"INSERT INTO expiring SELECT DISTINCT '{relation}', CAST({key} AS TEXT) FROM {table} WHERE {where}"
    with pytest.raises(DBAPIError, match="append-only"):
        run(url, naming, f"DELETE FROM {table} WHERE {where}")


async def test_a_longer_retention_keeps_more(plant: Plant) -> None:
    await fill(plant)
    assert plant.removing(years=7).plan().count == 0
    assert plant.removing(years=6).plan().count > 0


async def test_a_clock_that_jumped_ahead_removes_nothing(plant: Plant) -> None:
    await fill(plant)
    for act in (Removing.plan, lambda removing: list(removing())):
        with pytest.raises(Refused, match="clock"):
            act(plant.removing(now="2036-11-24T12:00:00.000Z"))
    assert "expired" in (await plant.left())[0]


async def test_nothing_is_removed_while_the_log_is_not_whole(plant: Plant) -> None:
    await fill(plant)
    longer = Checkpoint(ORIGIN, 99, bytes(32), Withdrawals.of(()))
    plant.kept.content = str(signed_by_all(longer, KEYS)).encode()
    with pytest.raises(RewrittenLogError):
        list(plant.removing()())
    assert "expired" in (await plant.left())[0]


async def test_a_drive_whose_name_another_bears_is_kept(plant: Plant) -> None:
    await plant.sold("one", 1)
    identity = drive_number(1).identity
    clone = DriveName(identity.serial, "5000c500ffffffff")
    await plant.custody.record(CustodyRecord(OLD, "hall 1", "operator-7", clone, Received("")))
    await plant.publish()
    assert plant.removing().plan().count == 0


# ---- what a check finds


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO expiring VALUES ('custody', '1')",
        "DELETE FROM removals",
        "UPDATE removals SET name = 'removal-x' WHERE number = 1",
        "UPDATE removals SET note = (SELECT body FROM lots LIMIT 1) WHERE number = 1",
        "DELETE FROM certificates WHERE job_id = 'young'",
    ],
)
async def test_a_removal_that_was_tampered_with_is_found(plant: Plant, url: str, change: str) -> None:
    await fill(plant)
    list(plant.removing()())
    assert check(url).is_clean
    tamper(url, change)
    assert not check(url).is_clean


# ---- crashes

KILLED = """
import os, signal, sys
sys.path.append({root!r})
from unittest import mock
from eraser.ledger.engine import open_engine
from eraser.ledger.retention import Periods
from eraser.log.removing import Removing
from tests.ledger.test_retention import KEYS, NOW, ORIGIN
from tests.log.test_publishing import Kept
kept = Kept()
kept.content = {kept!r}
def die(*arguments, **named):
    os.kill(os.getpid(), signal.SIGKILL)
with mock.patch({step!r}, die):
    list(Removing(open_engine({url!r}), ORIGIN, KEYS, kept, lambda: NOW, Periods(3), "operator-7")())
"""
STEPS = ["eraser.log.removing.note.sign", "eraser.ledger.retention.remove", "eraser.ledger.retention.keep_record"]
STEPS += ["eraser.ledger.log.append", "sqlalchemy.engine.default.DefaultDialect.do_commit"]


@pytest.mark.parametrize("step", STEPS)
async def test_a_removal_that_was_killed_left_everything_and_the_next_one_succeeds(
    plant: Plant, url: str, step: str
) -> None:
    await fill(plant)
    before = await plant.left()
    code = KILLED.format(root=str(ROOT), kept=plant.kept.content, step=step, url=url)
    done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True, timeout=120)  # noqa: ASYNC221
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert await plant.left() == before
    assert check(url).is_clean
    assert len(list(plant.removing()())) == 2
    assert check(url).is_clean


# ---- the edges of time


@pytest.mark.parametrize(
    ("now", "years", "before"),
    [
        ("2027-03-01T10:00:00.000Z", 3, "2024-03-01T10:00:00.000Z"),
        ("2028-02-29T10:00:00.000Z", 3, "2025-02-28T10:00:00.000Z"),
        ("2028-02-29T10:00:00.000Z", 4, "2024-02-29T10:00:00.000Z"),
    ],
)
def test_years_are_those_of_the_calendar(now: str, years: int, before: str) -> None:
    assert cutoff(now, years) == before


def test_every_table_of_the_ledger_that_only_grows_still_refuses(url: str) -> None:
    from eraser.ledger.migrating import migrate

    engine = open_engine(url)
    migrate(engine)
    with engine.connect() as connection:
        query = "SELECT tbl_name FROM sqlite_master WHERE type = 'trigger' AND name LIKE '%_no_delete'"
        if url.startswith("postgresql"):
            query = "SELECT event_object_table FROM information_schema.triggers WHERE event_manipulation = 'DELETE'"
        guarded = set(connection.execute(text(query)).scalars())
    engine.dispose()
    assert guarded >= set(APPEND_ONLY)


# ---- the command


@pytest.mark.parametrize("years", [2, 0, 101])
def test_a_retention_that_is_too_short_or_too_long_is_refused(years: int) -> None:
    from eraser.configuration.reading import ConfigurationError, parse

    with pytest.raises(ConfigurationError, match=r"retention\.ledger_years: a ledger is kept for at least 3 years"):
        parse(f"[retention]\nledger_years = {years}\n", "eraser.toml", {})
    assert parse("[retention]\nledger_years = 3\n", "eraser.toml", {}).retention.ledger_years == 3


async def test_the_command_plans_and_removes(plant: Plant, url: str, tmp_path: Path) -> None:
    from eraser.certificates.log_keys import StationLogKeys
    from eraser.cli.station import now_utc
    from eraser.rack.log_keeping import LogFolder

    await fill(plant)
    tamper(url, "DELETE FROM log_checkpoints")
    data = tmp_path / "data"
    keys = StationLogKeys(data / "keys" / "log", "eraser/station-1")
    await Publisher(plant.store, "eraser/station-1", keys, LogFolder(data / "log"), now_utc).publish()

    def expire(*options: str) -> Result:
        words = ["expire", "--database", url, "--data", str(data), *options]
        return CliRunner().invoke(ledger_group, words, env={"ERASER_CONFIG": ""})

    planned = expire("--plan", "--json")
    assert planned.exit_code == 0, (planned.output, planned.exception)
    assert json.loads(planned.output)["rows"]["jobs"] == 1
    assert "expired" in (await plant.left())[0]
    assert expire().exit_code != 0  # nobody said yes
    assert "expired" in (await plant.left())[0]
    done = expire("--yes", "--operator", "chief")
    assert done.exit_code == 0, (done.output, done.exception)
    assert "removal-" in done.output
    assert "expired" not in (await plant.left())[0]
    assert "Nothing has expired" in expire().output
