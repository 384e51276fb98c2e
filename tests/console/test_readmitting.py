"""A ledger from an older backup lacks certificates whose files are there: they are taken in again, once, and nothing else."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from eraser.certificates.log_keys import StationLogKeys
from eraser.certificates.readmitting import Readmitting
from eraser.console.public_check import Answer, PublicCheck
from eraser.domain.log_entry import EntryKind
from eraser.errors import CertificateError, EraserError, Refused
from eraser.ledger import log
from eraser.ledger.check import check
from eraser.ledger.engine import open_engine, sqlite_url
from eraser.ledger.station_ledger import StationLedger, open_ledger
from eraser.log import note
from eraser.log.errors import RewrittenLogError
from eraser.log.restarting import Restarting
from eraser.rack.log_keeping import LogFolder
from tests.console.certified import erase, filed_in, issuer_of, sign_log
from tests.console.desks import STATION, now_utc, withdrawing
from tests.ledger.stories import a_request, drive_number, whole_job

ORIGIN = f"eraser/{STATION}"


def ledger_of(data: Path):
    return open_ledger(sqlite_url(data / "ledger.db"), STATION, now_utc)


async def lose(data: Path, *, withdrawn: bool = False) -> list[Path]:
    """A ledger that lost its second and third certificate, and where their files are."""
    async with ledger_of(data) as ledger:
        first = await erase(ledger, data, drive_number(1), lot_id="L1")
        await sign_log(ledger, data)
    shutil.copy(data / "ledger.db", data / "backup")
    async with ledger_of(data) as ledger:
        issued = [await erase(ledger, data, drive_number(number), lot_id="L1") for number in (2, 3)]
        if withdrawn:
            await withdrawing(ledger.store, data)(issued[0].certificate_id, "wrong level", "operator-7")
        await sign_log(ledger, data)
    shutil.copy(data / "backup", data / "ledger.db")
    assert first.certificate_id
    return [next((data / "certificates").glob(f"S000000{number}*.json")) for number in (2, 3)]


@asynccontextmanager
async def restarted(data: Path) -> AsyncIterator[tuple[StationLedger, Readmitting]]:
    folder, keys = LogFolder(data / "log"), StationLogKeys(data / "keys" / "log", ORIGIN)
    engine = open_engine(sqlite_url(data / "ledger.db"))
    Restarting(engine, ORIGIN, keys, folder, folder, now_utc)("the disk died", "operator-7")
    async with ledger_of(data) as ledger:
        yield ledger, Readmitting(engine, ORIGIN, keys, folder, data / "certificates", data / "keys", STATION)
    engine.dispose()


async def logged(ledger: StationLedger) -> list[tuple[EntryKind, str]]:
    size = await ledger.store.read(log.size)
    entries = await ledger.store.read(lambda connection: log.first_entries(connection, size))
    return [(entry.kind, entry.subject) for entry in entries]


async def test_a_lost_certificate_is_in_the_log_again_once_and_everything_agrees(tmp_path: Path) -> None:
    files = await lose(tmp_path)
    async with restarted(tmp_path) as (ledger, readmit):
        certificate, is_withdrawn = readmit(files[0])
        assert not is_withdrawn
        before = await logged(ledger)
        with pytest.raises(Refused, match="already"):
            readmit(files[0])
        shutil.copy(files[0], tmp_path / "copy.json")
        with pytest.raises(Refused, match="already"):
            readmit(tmp_path / "copy.json")
        assert await logged(ledger) == before
        assert before.count((EntryKind.CERTIFICATE, certificate.certificate_id)) == 1
        await sign_log(ledger, tmp_path)
        filed = filed_in(ledger, tmp_path)
        checked = await PublicCheck(filed).file(files[0].read_bytes())
        assert (checked.answer, checked.is_good) == (Answer.PASSED, True)
        assert (await PublicCheck(filed).file(files[1].read_bytes())).answer is Answer.NOT_ON_RECORD
        found = await filed.known(certificate.certificate_id)
        assert (found.serial, found.outcome, found.job_id) == ("S0000002", "passed", certificate.job_id)
        assert (await filed.bundle(certificate.certificate_id)).startswith(b"{")
        assert check(sqlite_url(tmp_path / "ledger.db")).findings == []
        # It can be taken back like any other.
        done = await withdrawing(ledger.store, tmp_path)(certificate.certificate_id, "wrong level", "operator-7")
        assert done.withdrawal.certificate_id == certificate.certificate_id
        assert (await PublicCheck(filed).file(files[0].read_bytes())).answer is Answer.WITHDRAWN
        assert check(sqlite_url(tmp_path / "ledger.db")).findings == []
        await filed.close()


async def test_one_that_was_withdrawn_is_never_valid_again(tmp_path: Path) -> None:
    files = await lose(tmp_path, withdrawn=True)
    async with restarted(tmp_path) as (ledger, readmit):
        certificate, is_withdrawn = readmit(files[0])
        assert is_withdrawn
        assert (await logged(ledger))[-2:] == [
            (EntryKind.CERTIFICATE, certificate.certificate_id),
            (EntryKind.WITHDRAWAL, certificate.certificate_id),
        ]
        assert check(sqlite_url(tmp_path / "ledger.db")).findings == []


async def test_what_must_not_be_believed_is_not_taken_in(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    files = await lose(tmp_path / "own")
    altered, foreign = tmp_path / "altered.json", tmp_path / "elsewhere"
    altered.write_bytes(files[0].read_bytes().replace(b"S0000002", b"S0000009"))
    foreign.mkdir()
    async with ledger_of(foreign) as ledger:
        await erase(ledger, foreign, drive_number(2), lot_id="L1")
    async with restarted(tmp_path / "own") as (ledger, readmit):
        before = await logged(ledger)
        for file in (altered, next((foreign / "certificates").glob("*.json"))):
            with pytest.raises(CertificateError):
                readmit(file)
        assert await logged(ledger) == before


async def test_a_job_that_the_ledger_knows_gets_no_second_certificate(tmp_path: Path) -> None:
    await lose(tmp_path)
    async with restarted(tmp_path) as (ledger, readmit):
        job_id = uuid.uuid4().hex
        job = await ledger.journal.begin(a_request(job_id))
        *events, _ = whole_job(job_id, drive_number(4))
        for event in events:
            await job.append(event)
        issued = issuer_of(tmp_path)(job.state)
        await job.close()
        before = await logged(ledger)
        with pytest.raises(Refused, match="knows its job"):
            readmit(issued.path)
        assert await logged(ledger) == before


async def test_nothing_is_taken_in_before_the_log_is_whole(tmp_path: Path) -> None:
    files = await lose(tmp_path)
    engine = open_engine(sqlite_url(tmp_path / "ledger.db"))
    keys = StationLogKeys(tmp_path / "keys" / "log", ORIGIN)
    folders = LogFolder(tmp_path / "log"), tmp_path / "certificates", tmp_path / "keys"
    with pytest.raises(RewrittenLogError):
        Readmitting(engine, ORIGIN, keys, *folders, STATION)(files[0])
    engine.dispose()


async def test_a_log_whose_key_was_changed_in_the_lost_part_is_restarted_by_the_new_key(tmp_path: Path) -> None:
    async with ledger_of(tmp_path) as ledger:
        await erase(ledger, tmp_path, drive_number(1))
        await sign_log(ledger, tmp_path)
    shutil.copy(tmp_path / "ledger.db", tmp_path / "backup")
    folder, keys = LogFolder(tmp_path / "log"), StationLogKeys(tmp_path / "keys" / "log", ORIGIN)
    async with ledger_of(tmp_path) as ledger:
        await erase(ledger, tmp_path, drive_number(2))
        await sign_log(ledger, tmp_path)
        keys.begin_change(2)
        await sign_log(ledger, tmp_path)

        keys.end_change(note.parse(folder.newest() or b""))
        await erase(ledger, tmp_path, drive_number(3))
        await sign_log(ledger, tmp_path)
    shutil.copy(tmp_path / "backup", tmp_path / "ledger.db")
    with pytest.raises(EraserError, match="no key of the log signs"):
        keys.signers(1)
    async with restarted(tmp_path) as (ledger, readmit):
        readmit(next((tmp_path / "certificates").glob("S0000002*.json")))
        await sign_log(ledger, tmp_path)
    old, new = keys.known()
    assert (old.since, old.until, new.since, new.until) == (0, 2, 1, None)
    # What the old key signed in its time stays valid, and it signs nothing longer.
    assert not old.signs_at(3) and old.signs_at(2)
