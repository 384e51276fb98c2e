"""The journal of jobs in a database: durable before it says so, held by one process, replayed from what is unfinished."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.event import listen, remove

from eraser.domain.custody import DriveName, Erased, Quarantined, Verified
from eraser.domain.drive import Drive
from eraser.domain.events import (
    CertificateIssued,
    DriveIdentified,
    Entry,
    JobEvent,
    JobFinished,
    JobInterrupted,
    JobQueued,
    JobRefused,
    Outcome,
)
from eraser.domain.job import JobState, Phase, fold
from eraser.domain.program import Verification
from eraser.errors import JournalError
from eraser.ledger.custody import Custody
from eraser.ledger.engine import open_engine, writing
from eraser.ledger.errors import AlreadyThere, JobHeld, LedgerError, LedgerFull
from eraser.ledger.migrating import migrate
from eraser.ledger.records import entry_of, event_row
from eraser.ledger.schema import certificates, job_events, jobs
from eraser.ledger.sql_journal import LEASE_SECONDS, Finished, SqlJournal
from eraser.ledger.store import Store, open_store
from tests.domain.strategies import values_of
from tests.ledger.children import child
from tests.ledger.stories import (
    OPERATOR,
    a_request,
    checkpoints,
    drive_number,
    entries_of,
    now_utc,
    until_writing,
    whole_job,
)
from tests.ledger.tampering import run, tamper

T = TypeVar("T")
DRIVE = drive_number(1)


@asynccontextmanager
async def opened(url: str, station_id: str = "station") -> AsyncIterator[SqlJournal]:
    store = await open_store(url)
    try:
        journal = await SqlJournal.open(store, station_id, now_utc)
        try:
            yield journal
        finally:
            await journal.close()
    finally:
        await store.close()


def with_names(drive: Drive, **names: str) -> Drive:
    return replace(drive, identity=replace(drive.identity, **names))


async def do_job(journal: SqlJournal, job_id: str, events: list[JobEvent]) -> JobState:
    log = await journal.begin(a_request(job_id))
    for event in events:
        await log.append(event)
    await log.close()
    return log.state


async def test_a_job_reads_back_as_it_was_written(url: str) -> None:
    events = whole_job("j", DRIVE)
    async with opened(url) as journal:
        state = await do_job(journal, "j", events)
        assert state == fold(entries_of("j", events))
        assert await journal.entries("j") == tuple(entries_of("j", events))
    async with opened(url) as journal:
        assert await journal.entries("j") == tuple(entries_of("j", events))


async def test_only_open_jobs_are_replayed(url: str) -> None:
    async with opened(url) as journal:
        await do_job(journal, "finished", whole_job("finished", DRIVE))
        await do_job(journal, "without certificate", whole_job("without certificate", drive_number(2))[:-1])
        await do_job(journal, "writing", until_writing(drive_number(3)))
        await do_job(journal, "refused", [DriveIdentified(drive_number(4)), JobRefused("mounted", "it is mounted")])
    # Reading it would fail.
    tamper(url, "UPDATE job_events SET kind = 'nonsense' WHERE job_id = 'finished'")
    async with opened(url) as journal:
        states = await journal.open_states()
        assert [(state.job_id, state.phase) for state in states] == [
            ("without certificate", Phase.PASSED),
            ("writing", Phase.RUNNING),
        ]


def plan_of(connection: Connection) -> str:
    rows = connection.execute(text("EXPLAIN QUERY PLAN SELECT job_id FROM jobs WHERE jobs.is_open = 1 ORDER BY job_id"))
    return " ".join(str(row[3]) for row in rows)


async def test_finished_jobs_are_not_even_looked_at(sqlite: str) -> None:
    async with opened(sqlite) as journal:
        assert "jobs_open" in await journal.store.read(plan_of)


@contextmanager
def statements_of(store: Store) -> Iterator[list[tuple[str, Any]]]:
    """Each statement that is sent meanwhile, with its parameters."""
    seen: list[tuple[str, Any]] = []

    def sent(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        seen.append((statement, parameters))

    listen(store.engine, "before_cursor_execute", sent)
    try:
        yield seen
    finally:
        remove(store.engine, "before_cursor_execute", sent)


def ways_of(statement: str, parameters: Any, connection: Connection) -> list[str]:
    """How SQLite gets at the rows."""
    return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]


async def test_a_drive_that_arrives_replays_no_job_but_its_own(url: str) -> None:
    async with opened(url) as journal:
        for number in range(64):
            await do_job(journal, f"open-{number:02}", until_writing(drive_number(number)))
        with statements_of(journal.store) as seen:
            for number in range(64):
                (state,) = await journal.open_states(drive_number(number))
                assert state.job_id == f"open-{number:02}"
        # Which jobs are its own, then that job's events.
        assert len([statement for statement, _ in seen if statement.startswith("SELECT")]) == 64 * 2


async def test_a_drive_without_a_name_meets_the_open_jobs_of_such_drives_alone(url: str) -> None:
    nameless = with_names(DRIVE, serial="", wwn="")
    async with opened(url) as journal:
        await do_job(journal, "named", until_writing(DRIVE))
        await do_job(journal, "nameless", until_writing(nameless))
        await do_job(journal, "not identified", [])
        assert [state.job_id for state in await journal.open_states(nameless)] == ["nameless", "not identified"]
        tamper(url, "UPDATE job_events SET kind = 'nonsense' WHERE job_id = 'not identified'")
        with pytest.raises(JournalError, match="job not identified"):
            await journal.open_states(nameless)
        assert [state.job_id for state in await journal.open_states(DRIVE)] == ["named"]


async def test_what_a_station_reads_at_its_start_does_not_grow_with_what_is_finished(sqlite: str) -> None:
    async with opened(sqlite) as journal:
        await do_job(journal, "finished", whole_job("finished", DRIVE))
        await do_job(journal, "open", until_writing(drive_number(2)))
    store = await open_store(sqlite)
    try:
        with statements_of(store) as seen:
            journal = await SqlJournal.open(store, "station", now_utc)
            assert [job.job_id for job in await journal.open_jobs()] == ["open"]
            assert not await journal.contradiction("open")
            assert await journal.open_states(DRIVE) == []
            found = await journal.last_finished(DRIVE)
            assert found is not None and found.job_id == "finished"
        selects = [(statement, parameters) for statement, parameters in seen if statement.startswith("SELECT")]
        assert 5 < len(selects) < 20
        for statement, parameters in selects:
            for way in await store.read(partial(ways_of, statement, parameters)):
                # The index jobs_open holds none but open jobs; whatever else is gone through is found by a key.
                assert not way.startswith("SCAN") or "INDEX jobs_open" in way, (statement, way)
        await journal.close()
    finally:
        await store.close()


async def test_an_event_that_cannot_follow_is_not_written(url: str) -> None:
    async with opened(url) as journal:
        log = await journal.begin(a_request("j"))
        with pytest.raises(JournalError, match="can't follow"):
            await log.append(JobFinished(Outcome.PASSED, ()))
        await log.append(DriveIdentified(DRIVE))
        assert len(await journal.entries("j")) == 2


async def test_a_job_is_begun_once(url: str) -> None:
    async with opened(url) as journal:
        await do_job(journal, "j", until_writing(DRIVE))
        with pytest.raises(AlreadyThere):
            await journal.begin(a_request("j"))
        log = await journal.take_up("j")
        assert log.state.phase is Phase.RUNNING


async def test_the_last_finished_job_of_a_drive_is_found_by_either_of_its_names(url: str) -> None:
    async with opened(url) as journal:
        assert await journal.last_finished(DRIVE) is None
        await do_job(journal, "z-first", whole_job("z-first", DRIVE))
        await do_job(journal, "a-second", whole_job("a-second", DRIVE))
        await do_job(journal, "other", whole_job("other", drive_number(2)))
        await do_job(journal, "unfinished", until_writing(DRIVE))
        assert await journal.last_finished(DRIVE) == Finished("a-second", Outcome.PASSED, DRIVE)
        by_serial, by_wwn = with_names(DRIVE, wwn=""), with_names(DRIVE, serial="")
        for name, drive in (("by-serial", by_serial), ("by-wwn", by_wwn)):
            await do_job(journal, name, whole_job(name, drive))
            assert await journal.last_finished(drive) == Finished(name, Outcome.PASSED, drive)


async def test_a_clones_finished_job_is_not_this_drives(url: str) -> None:
    other = with_names(DRIVE, model="ANOTHER MODEL")
    async with opened(url) as journal:
        await do_job(journal, "mine", whole_job("mine", DRIVE))
        await do_job(journal, "clone", whole_job("clone", other))
        found = await journal.last_finished(DRIVE)
        assert found is not None and found.job_id == "mine"


async def test_a_drive_without_a_name_of_its_own_has_no_finished_job(url: str) -> None:
    nameless = with_names(DRIVE, serial="", wwn="")
    async with opened(url) as journal:
        await do_job(journal, "j", whole_job("j", nameless))
        assert await journal.last_finished(nameless) is None


async def test_a_second_event_with_the_same_number_is_refused(url: str) -> None:
    async with opened(url) as journal:
        log = await journal.begin(a_request("j"))
        row = event_row("j", Entry(1, now_utc(), DriveIdentified(drive_number(2))))
        await journal.store.insert(insert(job_events), row)  # somebody who should not
        with pytest.raises(AlreadyThere):
            await log.append(DriveIdentified(DRIVE))
        assert log.state.phase is Phase.QUEUED
        with pytest.raises(LedgerError, match="failed before"):
            await log.append(DriveIdentified(DRIVE))


async def test_a_job_never_has_a_second_certificate(url: str) -> None:
    async with opened(url) as journal:
        await do_job(journal, "j", whole_job("j", DRIVE))
        await do_job(journal, "other", whole_job("other", drive_number(2))[:-1])
        for certificate_id, job_id in (("new", "j"), ("certificate-of-j", "other")):
            row = {"certificate_id": certificate_id, "job_id": job_id, "digest": bytes(32)}
            with pytest.raises(AlreadyThere):
                await journal.store.insert(insert(certificates), row)
        log = await journal.take_up("other")
        with pytest.raises(AlreadyThere):
            await log.append(CertificateIssued("certificate-of-j", bytes(32)))
        assert len(await journal.entries("other")) == len(whole_job("other", DRIVE))  # one less, and the first


async def test_a_job_that_is_there_no_more_or_finished_cannot_be_taken_up(url: str) -> None:
    async with opened(url) as journal:
        with pytest.raises(JournalError, match="no such job"):
            await journal.take_up("j")
        with pytest.raises(JournalError, match="no such job"):
            await journal.entries("j")
        await do_job(journal, "j", whole_job("j", DRIVE))
        for _ in range(2):
            with pytest.raises(JournalError, match="nothing is left"):
                await journal.take_up("j")


async def test_columns_follow_the_events(url: str) -> None:
    def columns(connection: Connection) -> tuple[object, ...]:
        query = select(jobs.c.is_open, jobs.c.outcome, jobs.c.serial, jobs.c.world_wide_name, jobs.c.holder)
        return tuple(connection.execute(query).one())

    identity = DRIVE.identity
    async with opened(url) as journal:
        log = await journal.begin(a_request("j"))
        assert await journal.store.read(columns) == (True, None, "", "", "station")
        for event in whole_job("j", DRIVE)[:-1]:
            await log.append(event)
        assert await journal.store.read(columns) == (True, "passed", identity.serial, identity.wwn, "station")
        await log.append(whole_job("j", DRIVE)[-1])
        await log.close()
        assert await journal.store.read(columns) == (False, "passed", identity.serial, identity.wwn, None)


# ---- the chain of custody follows


async def test_a_jobs_end_stands_in_its_drives_chain_of_custody(url: str) -> None:
    async with opened(url) as journal:
        custody = Custody(journal.store, now_utc)
        log = await journal.begin(a_request("good"), place="station/A1")
        for event in whole_job("good", DRIVE):
            await log.append(event)
        await do_job(journal, "bad", whole_job("bad", DRIVE, outcome=Outcome.FAILED))
        await do_job(journal, "no", [DriveIdentified(DRIVE), JobRefused("mounted", "it is mounted")])
        records = [record for _, record in await custody.records()]
        name = DriveName(DRIVE.identity.serial, DRIVE.identity.wwn)
        assert {record.drive for record in records} == {name}
        assert {record.operator for record in records} == {OPERATOR}
        assert [record.place for record in records[:3]] == ["station/A1", "station/A1", "station /dev/sdz"]
        assert [record.event for record in records] == [
            Erased("good", Outcome.PASSED),
            Verified("good", Verification.FULL),
            Erased("bad", Outcome.FAILED),
            Quarantined("its job failed: mismatch", "bad"),
            Quarantined("it was refused: mounted", "no"),
        ]


async def test_an_end_that_cannot_be_recorded_has_not_happened(url: str) -> None:
    async with opened(url) as journal:
        log = await journal.begin(a_request("j"))
        for event in whole_job("j", DRIVE)[:-2]:
            await log.append(event)
        run(url, "ALTER TABLE custody RENAME TO elsewhere")
        with pytest.raises(LedgerError):
            await log.append(JobFinished(Outcome.PASSED, ()))
        run(url, "ALTER TABLE elsewhere RENAME TO custody")
        assert not isinstance((await journal.entries("j"))[-1].event, JobFinished)


# ---- cancellation, failure


async def test_a_cancelled_append_is_either_there_and_counted_or_not_there(url: str) -> None:
    async with opened(url) as journal:
        log = await journal.begin(a_request("j"))
        for event in until_writing(DRIVE):
            await log.append(event)
        for number, event in enumerate(checkpoints(DRIVE, 60)):
            append = asyncio.create_task(log.append(event))
            for _ in range(number % 7):
                await asyncio.sleep(0)
            append.cancel()
            await asyncio.gather(append, return_exceptions=True)
        await log.append(JobInterrupted("asked to"))
        entries = await journal.entries("j")
        assert [entry.sequence for entry in entries] == list(range(len(entries)))
        assert fold(entries) == log.state


async def test_a_full_disk_leaves_the_job_where_it_was(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(url) as journal:
        log = await journal.begin(a_request("j"))
        with monkeypatch.context() as patched:

            async def full(*_: object) -> None:
                raise LedgerFull("the ledger's disk is full")

            patched.setattr(journal.store, "write", full)
            with pytest.raises(LedgerFull):
                await log.append(DriveIdentified(DRIVE))
        await log.append(DriveIdentified(DRIVE))
        assert len(await journal.entries("j")) == 2


async def test_64_jobs_at_once_keep_their_events_apart(url: str) -> None:
    async with opened(url) as journal:

        async def one(number: int) -> None:
            drive = drive_number(number)
            await do_job(journal, f"j{number:02}", whole_job(f"j{number:02}", drive, 50))

        await asyncio.gather(*(one(number) for number in range(64)))
        for number in range(64):
            entries = await journal.entries(f"j{number:02}")
            assert [entry.sequence for entry in entries] == list(range(61))
            assert fold(entries).drive == drive_number(number)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("acknowledged", [70, 1500, 6000])
async def test_after_a_kill_everything_acknowledged_is_there(url: str, acknowledged: int) -> None:
    with child("append_for_ever", url) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(acknowledged)]
        process.kill()
        lines += process.stdout.readlines()
    promised: dict[str, int] = {}
    for line in lines:
        if line.endswith("\n"):
            job_id, sequence = line.split()
            promised[job_id] = int(sequence)
    assert len(lines) >= acknowledged
    async with opened(url) as journal:
        for job_id, sequence in promised.items():
            entries = await journal.entries(job_id)
            assert len(entries) > sequence
            log = await journal.take_up(job_id)
            assert log.state == fold(entries)


# ---- one process a job


async def test_a_job_under_way_is_not_taken_up_again_by_the_same_process(url: str) -> None:
    async with opened(url) as journal:
        log = await journal.begin(a_request("j"))
        with pytest.raises(JobHeld):
            await journal.take_up("j")
        await log.close()
        log = await journal.take_up("j")
        with pytest.raises(JobHeld):
            await journal.take_up("j")


def until_held(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "held j\n"


async def test_a_station_runs_once_and_takes_up_its_jobs_at_once_after_a_kill(url: str) -> None:
    with child("hold", url, "station", "j") as process:
        await asyncio.to_thread(until_held, process)
        with pytest.raises(JobHeld, match="running already"):
            async with opened(url):
                pass
    async with eventually_opened(url) as journal:
        log = await journal.take_up("j")
        await log.append(DriveIdentified(DRIVE))


@asynccontextmanager
async def eventually_opened(url: str) -> AsyncIterator[SqlJournal]:
    """A PostgreSQL server takes a moment to notice that its client is gone."""
    for attempt in range(1000):
        try:
            async with opened(url) as journal:
                yield journal
                return
        except JobHeld:
            assert attempt < 999
            await asyncio.sleep(0.01)


async def test_another_stations_job_is_left_alone_until_it_was_silent_for_long(postgresql: str) -> None:
    with child("hold", postgresql, "station", "j") as process:
        await asyncio.to_thread(until_held, process)
        async with opened(postgresql, "other") as journal:
            with pytest.raises(JobHeld, match="station station is working"):
                await journal.take_up("j")
            run(postgresql, f"UPDATE stations SET seen_at = seen_at - {LEASE_SECONDS} WHERE station_id = 'station'")
            log = await journal.take_up("j")
            await log.append(DriveIdentified(DRIVE))


async def test_who_was_given_up_for_dead_writes_nothing_more(postgresql: str) -> None:
    async with opened(postgresql, "slow") as slow, opened(postgresql, "other") as other:
        log = await slow.begin(a_request("j"))
        kept = await slow.begin(a_request("kept"))
        run(postgresql, f"UPDATE stations SET seen_at = seen_at - {LEASE_SECONDS} WHERE station_id = 'slow'")
        taken = await other.take_up("j")
        await taken.append(DriveIdentified(DRIVE))
        for mine in (log, kept):
            with pytest.raises(JobHeld, match="was not heard of"):
                await mine.append(DriveIdentified(drive_number(2)))
        with pytest.raises(JobHeld):
            await slow.renew()
        await log.close()
        assert [entry.event for entry in await other.entries("j")][1:] == [DriveIdentified(DRIVE)]
        assert (await other.take_up("kept")).state.phase is Phase.QUEUED


async def test_the_certificate_that_a_dead_station_owes_is_no_other_stations_to_issue(postgresql: str) -> None:
    *before, _ = whole_job("j", DRIVE)
    async with opened(postgresql, "dead") as dead, opened(postgresql, "other") as other:
        log = await dead.begin(a_request("j"))
        for event in before:
            await log.append(event)
        assert log.state.outcome is Outcome.PASSED and log.state.is_open
        run(postgresql, f"UPDATE stations SET seen_at = seen_at - {LEASE_SECONDS} WHERE station_id = 'dead'")
        with pytest.raises(JobHeld, match="station dead's to issue"):
            await other.take_up("j")
        await log.append(CertificateIssued("c", b"\0" * 32))


async def test_every_write_and_each_renewal_tells_that_a_station_lives(postgresql: str) -> None:
    async with opened(postgresql, "busy") as busy, opened(postgresql, "other") as other:
        log = await busy.begin(a_request("j"))
        for prove in (busy.renew, lambda: log.append(DriveIdentified(DRIVE))):
            run(postgresql, f"UPDATE stations SET seen_at = seen_at - {LEASE_SECONDS} WHERE station_id = 'busy'")
            await prove()
            with pytest.raises(JobHeld):
                await other.take_up("j")


async def test_a_station_with_a_new_name_finds_its_old_jobs_free(sqlite: str) -> None:
    with child("hold", sqlite, "before", "j") as process:
        await asyncio.to_thread(until_held, process)
    async with opened(sqlite, "after") as journal:
        await journal.take_up("j")


# ---- what can't be believed


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE job_events SET at = '2001-01-01T00:00:00.000Z' WHERE sequence = 2",
        "UPDATE job_events SET kind = 'planned' WHERE sequence = 3",
        "DELETE FROM job_events WHERE sequence = 2",
        "UPDATE job_events SET sequence = 9 WHERE sequence = 2",
        "UPDATE job_events SET digest = body WHERE sequence = 1",
        "UPDATE job_events SET body = digest WHERE sequence = 1",
        "UPDATE job_events SET job_id = 'other' WHERE job_id = 'j'",
    ],
)
async def test_a_changed_journal_is_not_believed(url: str, change: str) -> None:
    async with opened(url) as journal:
        await do_job(journal, "j", until_writing(DRIVE))
        log = await journal.begin(a_request("other"))
        await log.close()
    tamper(url, "DELETE FROM job_events WHERE job_id = 'other'", change)
    async with opened(url) as journal:
        with pytest.raises(JournalError):
            await journal.open_states()
        with pytest.raises(JournalError):
            await journal.take_up("j")
        with pytest.raises(JournalError):
            await journal.take_up("j")


# ---- any event


class _AnyEvents:
    """A database to which any events go, whether they can follow one another or not."""

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)
        migrate(self.engine)
        self.jobs = 0

    def write_and_read(self, events: list[JobEvent]) -> list[JobEvent]:
        self.jobs += 1
        job_id = f"j{self.jobs}"
        with writing(self.engine) as connection, connection.begin():
            connection.execute(insert(jobs).values(job_id=job_id, is_open=True, serial="", world_wide_name=""))
            for number, event in enumerate(events):
                connection.execute(insert(job_events).values(event_row(job_id, Entry(number, now_utc(), event))))
        with self.engine.connect() as connection:
            query = select(job_events).where(job_events.c.job_id == job_id).order_by(job_events.c.sequence)
            return [entry_of(*row).event for row in connection.execute(query)]


def test_any_events_read_back_equal(url: str) -> None:
    database = _AnyEvents(url)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(values_of(JobEvent), max_size=6))
    def any_events(events: list[JobEvent]) -> None:
        assert database.write_and_read(events) == events

    try:
        any_events()
    finally:
        database.engine.dispose()


async def test_every_kind_of_append_ends_when_the_ledger_was_closed(url: str) -> None:
    store: Store = await open_store(url)
    journal = await SqlJournal.open(store, "station", now_utc)
    log = await journal.begin(a_request("j"))
    await store.close()
    with pytest.raises(LedgerError, match="closed"):
        await within_a_second(log.append(DriveIdentified(DRIVE)))
    await journal.close()


async def within_a_second(work: Awaitable[T]) -> T:
    async with asyncio.timeout(1):
        return await work


def test_requests_keep_their_fields(url: str) -> None:
    database = _AnyEvents(url)
    request = JobQueued("j", "/dev/disk/by-path/pci-0000:00:1f.2-ata-1", "gb-t", "操作员")
    assert database.write_and_read([request]) == [request]
    database.engine.dispose()
