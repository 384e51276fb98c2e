"""Backups of either database: whole, verified, and never mixed up with what is there."""

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eraser.cli.ledger import ledger_group
from eraser.domain.custody import DriveName, Received
from eraser.domain.events import DriveIdentified
from eraser.errors import ExitStatus, JournalError, Refused, UsageError
from eraser.ledger import backup, log
from eraser.ledger.backup import BackupError, back_up, check_backup, content_of, kept_tables, read_manifest
from eraser.ledger.check import check
from eraser.ledger.custody import Custody
from eraser.ledger.engine import open_engine, sqlite_url
from eraser.ledger.errors import JobHeld
from eraser.ledger.migrating import migrate
from eraser.ledger.restore import restore
from eraser.ledger.sql_journal import SqlJournal
from eraser.ledger.store import open_store
from tests.ledger.children import ROOT
from tests.ledger.conftest import NewDatabase
from tests.ledger.stories import a_request, drive_number, now_utc, until_writing
from tests.ledger.tampering import run, tamper
from tests.ledger.test_check import a_record, fill

NOW = "2027-02-03T04:05:06.000Z"


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def contents(url: str):
    """Every row of every table, as hashes."""
    engine = open_engine(url)
    with engine.connect() as connection, connection.begin():
        found = {table.name: content_of(connection, table) for table in kept_tables()}
    engine.dispose()
    return found


@pytest.fixture
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path, url: str) -> str:
    """The URL of a database of the same kind that is not there yet, or is empty."""
    if url.startswith("sqlite"):
        return sqlite_url(tmp_path / "other" / "ledger.db")
    new_postgresql: NewDatabase = request.getfixturevalue("new_postgresql")
    return new_postgresql()


async def test_what_is_restored_is_what_was_backed_up(url: str, elsewhere: str, tmp_path: Path) -> None:
    await fill(url)
    file = tmp_path / "ledger.backup"
    manifest, report = back_up(url, file, NOW)
    assert (report.is_clean, report.jobs, report.events) == (True, 5, 43)
    assert manifest == read_manifest(file)
    assert (manifest.made_at, manifest.stations, manifest.log_size) == (NOW, ("station",), 2)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [name for name in names_in(tmp_path) if "backup" in name] == ["ledger.backup"]
    restore(file, elsewhere, "station")
    assert contents(elsewhere) == contents(url)
    assert check(elsewhere).is_clean


async def test_a_backup_of_one_database_makes_a_ledger_in_the_other(
    sqlite: str, postgresql: str, tmp_path: Path
) -> None:
    await fill(sqlite)
    back_up(sqlite, tmp_path / "one", NOW)
    restore(tmp_path / "one", postgresql, "station")
    assert contents(postgresql) == contents(sqlite)
    back_up(postgresql, tmp_path / "two", NOW)
    assert read_manifest(tmp_path / "two") == read_manifest(tmp_path / "one")


async def test_a_restored_ledger_goes_on(url: str, elsewhere: str, tmp_path: Path) -> None:
    await fill(url)
    back_up(url, tmp_path / "file", NOW)
    restore(tmp_path / "file", elsewhere, "station")
    store = await open_store(elsewhere)
    journal = await SqlJournal.open(store, "station", now_utc)
    job = await journal.take_up("writing")
    assert job.state.is_open
    await Custody(store, now_utc).record(a_record(Received("lot-1"), DriveName("S-new")))
    await journal.close()
    await store.close()
    assert check(elsewhere).is_clean


async def test_a_backup_is_of_one_moment_while_a_station_writes(url: str, tmp_path: Path) -> None:
    await fill(url)
    store = await open_store(url)
    journal = await SqlJournal.open(store, "station", now_utc)
    stop = asyncio.Event()

    async def write() -> int:
        number = 0
        while not stop.is_set():
            number += 1
            job = await journal.begin(a_request(f"meanwhile-{number}"))
            for event in until_writing(drive_number(1000 + number)):
                await job.append(event)
            await job.close()
        return number

    writer = asyncio.create_task(write())
    manifests = [(await asyncio.to_thread(back_up, url, tmp_path / f"{n}.backup", NOW))[0] for n in range(2)]
    stop.set()
    begun = await writer
    assert begun > 0
    await journal.close()
    await store.close()
    assert manifests[0].tables["jobs"].rows <= manifests[1].tables["jobs"].rows <= 5 + begun
    assert manifests[1].tables["jobs"].rows > 5


async def test_numbers_that_were_given_once_are_not_given_again(url: str, elsewhere: str, tmp_path: Path) -> None:
    await fill(url)
    tamper(url, "DELETE FROM custody WHERE number >= 9")
    file = tmp_path / "file"
    manifest = await asyncio.to_thread(_written_without_check, url, file)
    assert manifest.sequences["custody"] >= 10
    engine = open_engine(sqlite_url(file))
    with engine.connect() as connection, connection.begin():
        assert backup.sequences(connection)["custody"] == manifest.sequences["custody"]
    engine.dispose()


def _written_without_check(url: str, file: Path) -> backup.Manifest:
    return backup._written(url, file, NOW)


# ---- what is refused


async def test_nothing_is_overwritten(url: str, elsewhere: str, tmp_path: Path) -> None:
    await fill(url)
    file = tmp_path / "file"
    back_up(url, file, NOW)
    before = contents(url)
    with pytest.raises(UsageError, match="there is a file"):
        back_up(url, file, NOW)
    with pytest.raises(Refused, match="not overwritten") as caught:
        restore(file, url, "station")
    assert caught.value.reason == "ledger-there"
    assert contents(url) == before


async def test_an_empty_ledger_is_taken_for_none(url: str, elsewhere: str, tmp_path: Path) -> None:
    await fill(url)
    back_up(url, tmp_path / "file", NOW)
    store = await open_store(elsewhere)
    await (await SqlJournal.open(store, "station", now_utc)).close()
    await store.close()
    restore(tmp_path / "file", elsewhere, "station")
    assert contents(elsewhere) == contents(url)


async def test_a_backup_of_another_station_is_refused(url: str, elsewhere: str, tmp_path: Path) -> None:
    await fill(url)
    back_up(url, tmp_path / "file", NOW)
    with pytest.raises(Refused, match="a backup of station, this is hall-2") as caught:
        restore(tmp_path / "file", elsewhere, "hall-2")
    assert caught.value.reason == "another-station"


async def test_a_station_that_runs_is_not_restored_under_its_feet(url: str, elsewhere: str, tmp_path: Path) -> None:
    await fill(url)
    back_up(url, tmp_path / "file", NOW)
    store = await open_store(elsewhere)
    journal = await SqlJournal.open(store, "station", now_utc)
    with pytest.raises(JobHeld, match="running already"):
        restore(tmp_path / "file", elsewhere, "station")
    await journal.close()
    await store.close()


def altered(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("DELETE FROM custody WHERE number = 1", "table custody"),
        ("UPDATE job_events SET at = 'x' WHERE sequence = 0", "table job_events"),
        ("DELETE FROM log_entries", "table log_entries"),
        ("INSERT INTO lots VALUES ('l', 1, '', '', x'00')", "table lots"),
        ("DROP TABLE asset_tags", "table asset_tags"),
        ("UPDATE backup_manifest SET body = replace(body, 'station', 'hall-22')", "damaged"),
        ("DROP TABLE backup_manifest", "no backup of a ledger"),
    ],
)
async def test_a_damaged_backup_is_not_restored(sqlite: str, tmp_path: Path, statement: str, what: str) -> None:
    await fill(sqlite)
    file, target = tmp_path / "file", tmp_path / "other" / "ledger.db"
    back_up(sqlite, file, NOW)
    altered(file, statement)
    with pytest.raises(BackupError, match=what):
        restore(file, sqlite_url(target), "station")
    assert not target.exists()


async def test_a_page_that_the_disk_lost_is_found_in_a_backup(sqlite: str, tmp_path: Path) -> None:
    await fill(sqlite)
    file = tmp_path / "file"
    back_up(sqlite, file, NOW)
    content = bytearray(file.read_bytes())
    for start in range(4096, len(content), 8192):
        content[start : start + 4096] = bytes(4096)
    file.write_bytes(content)
    with pytest.raises(JournalError):
        restore(file, sqlite_url(tmp_path / "other.db"), "station")
    assert not (tmp_path / "other.db").exists()


async def test_a_backup_of_a_newer_program_is_not_restored(sqlite: str, tmp_path: Path) -> None:
    await fill(sqlite)
    tamper(sqlite, "UPDATE lots SET operator = 'x'")
    file = tmp_path / "file"
    back_up(sqlite, file, NOW)
    manifest = read_manifest(file)
    newer = backup.replace(manifest, revision="9999")
    altered(file, "UPDATE alembic_version SET version_num = '9999'", "DELETE FROM backup_manifest")
    with closing(sqlite3.connect(file)) as connection:
        body = newer.dump()
        connection.execute("INSERT INTO backup_manifest VALUES (?, ?)", (body, backup.sha256(body).digest()))
        connection.commit()
    with pytest.raises(JournalError, match="newer version"):
        restore(file, sqlite_url(tmp_path / "other.db"), "station")
    assert not (tmp_path / "other.db").exists()


async def test_a_ledger_that_contradicts_itself_gets_no_backup(url: str, tmp_path: Path) -> None:
    await fill(url)
    tamper(url, "UPDATE jobs SET outcome = 'passed' WHERE job_id = 'failed'")
    with pytest.raises(BackupError, match="job failed: outcome is 'passed'"):
        back_up(url, tmp_path / "file", NOW)
    assert not (tmp_path / "file").exists()


async def test_a_log_that_was_left_behind_is_not_played_into_what_is_restored(sqlite: str, tmp_path: Path) -> None:
    await fill(sqlite)
    back_up(sqlite, tmp_path / "file", NOW)
    target = tmp_path / "other" / "ledger.db"
    target.parent.mkdir()
    target.with_name("ledger.db-wal").write_bytes(b"of another ledger")
    with pytest.raises(Refused, match="not there"):
        restore(tmp_path / "file", sqlite_url(target), "station")


def test_what_no_backup_may_hold_is_not_in_it(sqlite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(fill(sqlite))
    run(sqlite, "INSERT INTO asset_tags (tag, bay, serial, at, operator) VALUES ('secret-tag', '', 'S1', '', '')")
    monkeypatch.setattr(backup, "NOT_IN_BACKUPS", ("asset_tags",))
    back_up(sqlite, tmp_path / "file", NOW)
    assert b"secret-tag" not in (tmp_path / "file").read_bytes()


# ---- crashes: killed in the middle of each step, for good

STEPS = ["eraser.ledger.backup.copy_table", "eraser.ledger.backup._put_manifest", "eraser.ledger.backup.make_one_file"]
STEPS += ["eraser.ledger.backup.check_backup", "eraser.ledger.backup.sync", "os.link"]
KILLED = """
import os, signal, sys
sys.path.append({root!r})
from pathlib import Path
from unittest import mock
from eraser.ledger import backup, restore
def die(*arguments, **named):
    os.kill(os.getpid(), signal.SIGKILL)
with mock.patch({step!r}, die):
    {call}
"""


def killed_at(step: str, call: str) -> None:
    code = KILLED.format(root=str(ROOT), step=step, call=call)
    done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("step", STEPS)
def test_a_backup_that_was_killed_leaves_no_file_and_the_next_one_succeeds(
    sqlite: str, tmp_path: Path, step: str
) -> None:
    asyncio.run(fill(sqlite))
    file = tmp_path / "backups" / "file"
    file.parent.mkdir()
    killed_at(step, f"backup.back_up({sqlite!r}, Path({str(file)!r}), 'x')")
    assert not file.exists()
    back_up(sqlite, file, NOW)
    assert names_in(file.parent) == ["file"]
    assert check_backup(file).is_clean


RESTORING = ["eraser.ledger.restore.copy_current", "eraser.ledger.restore.make_one_file", "eraser.ledger.restore.sync"]
RESTORING += ["os.link", "eraser.ledger.restore._expect_content"]


@pytest.mark.parametrize("step", RESTORING)
def test_a_restore_that_was_killed_left_no_ledger_and_the_next_one_succeeds(
    sqlite: str, tmp_path: Path, step: str
) -> None:
    asyncio.run(fill(sqlite))
    file, target = tmp_path / "file", tmp_path / "other" / "ledger.db"
    back_up(sqlite, file, NOW)
    killed_at(step, f"restore.restore(Path({str(file)!r}), {sqlite_url(target)!r}, 'station')")
    assert not target.exists()
    restore(file, sqlite_url(target), "station")
    assert contents(sqlite_url(target)) == contents(sqlite)
    assert names_in(target.parent) == ["ledger.db", "ledger.db.station"]


@pytest.mark.parametrize("step", ["eraser.ledger.restore.set_sequence", "eraser.ledger.restore._expect_same"])
def test_a_restore_into_a_server_that_was_killed_left_nothing(
    sqlite: str, postgresql: str, tmp_path: Path, step: str
) -> None:
    asyncio.run(fill(sqlite))
    file = tmp_path / "file"
    back_up(sqlite, file, NOW)
    killed_at(step, f"restore.restore(Path({str(file)!r}), {postgresql!r}, 'station')")
    assert all(table.rows == 0 for table in contents(postgresql).values())
    restore(file, postgresql, "station")
    assert contents(postgresql) == contents(sqlite)


# ---- an older revision


def test_a_backup_from_before_an_update_is_brought_up_to_date(sqlite: str, tmp_path: Path) -> None:
    from alembic import command

    from eraser.ledger.engine import writing
    from eraser.ledger.migrating import configuration

    engine = open_engine(sqlite)
    with writing(engine) as connection, connection.begin():
        config = configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.exec_driver_sql("INSERT INTO stations VALUES ('station', 1, 0.0)")
    engine.dispose()
    file = tmp_path / "file"
    Path(sqlite.removeprefix("sqlite:///")).rename(file)
    old = backup.Manifest(NOW, "0002", ("station",), 0, log.Tree(0, lambda *_: []).root().hex(), "", {}, {})
    backup.make_one_file(file)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE backup_manifest (body BLOB NOT NULL, digest BLOB NOT NULL)")
        body = old.dump()
        connection.execute("INSERT INTO backup_manifest VALUES (?, ?)", (body, backup.sha256(body).digest()))
        connection.commit()
    assert check_backup(file).is_clean
    restore(file, sqlite, "station")
    assert check(sqlite).is_clean


# ---- the commands


def command(*arguments: object, home: Path) -> Result:
    environ = {"XDG_DATA_HOME": str(home), "HOME": str(home), "ERASER_CONFIG": ""}
    return CliRunner().invoke(ledger_group, [str(item) for item in arguments], env=environ)


async def test_the_commands_say_what_they_did(url: str, elsewhere: str, tmp_path: Path) -> None:
    await fill(url)
    file = tmp_path / "file"
    done = command("backup", file, "--database", url, home=tmp_path)
    assert done.exit_code == ExitStatus.PASSED, done.output
    assert "5 jobs with 43 events" in done.output
    done = command("check", file, home=tmp_path)
    assert (done.exit_code, "everything agrees" in done.output) == (ExitStatus.PASSED, True)
    done = command("restore", file, "--database", elsewhere, "--station", "station", "--json", home=tmp_path)
    assert done.exit_code == ExitStatus.PASSED, done.output
    assert json.loads(done.output)["rows"]["job_events"] == 43


async def test_a_check_of_a_backup_leaves_it_as_it_is(sqlite: str, tmp_path: Path) -> None:
    await fill(sqlite)
    file = tmp_path / "backups" / "file"
    file.parent.mkdir()
    back_up(sqlite, file, NOW)
    before = file.read_bytes()
    assert command("check", file, home=tmp_path).exit_code == ExitStatus.PASSED
    altered(file, "DELETE FROM log_entries")
    done = command("check", file, home=tmp_path)
    assert (done.exit_code, "table log_entries" in done.output) == (ExitStatus.FAILED, True)
    file.write_bytes(before)
    assert command("check", file, home=tmp_path).exit_code == ExitStatus.PASSED
    assert file.read_bytes() == before
    assert names_in(file.parent) == ["file"]


def test_an_event_after_the_backup_is_not_in_it(url: str, elsewhere: str, tmp_path: Path) -> None:
    asyncio.run(fill(url))
    back_up(url, tmp_path / "file", NOW)

    async def one_more() -> None:
        store = await open_store(url)
        journal = await SqlJournal.open(store, "station", now_utc)
        await (await journal.begin(a_request("later"))).append(DriveIdentified(drive_number(9)))
        await journal.close()
        await store.close()

    asyncio.run(one_more())
    restore(tmp_path / "file", elsewhere, "station")
    assert check(elsewhere).jobs == check(url).jobs - 1
    migrate(open_engine(elsewhere))
