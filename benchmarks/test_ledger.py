"""The ledger: durable events from 64 bays at once, replaying a million of them, and starting with many finished jobs."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from sqlalchemy import Connection, insert

from benchmarks.comparison import Better, Comparison, record
from eraser.domain.custody import CustodyRecord, DriveName, Erased, Verified
from eraser.domain.events import CertificateIssued, DriveIdentified, Entry, JobEvent, Outcome
from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.domain.program import Verification
from eraser.ledger import log
from eraser.ledger.check import check
from eraser.ledger.custody import custody_row
from eraser.ledger.engine import open_engine, sqlite_url, writing
from eraser.ledger.migrating import migrate
from eraser.ledger.records import event_digest, event_row
from eraser.ledger.schema import certificates, custody, job_events, jobs
from eraser.ledger.sql_journal import SqlJournal
from eraser.ledger.store import open_store
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

BAYS = 64
EVENTS_A_BAY = 500
CHECKED_EVENTS = 1_000_000
FINISHED_JOBS = 10_000
CHECK_SECONDS = 10.0
START_SECONDS = 2.0
LAG_SECONDS = 0.025


@asynccontextmanager
async def a_journal(url: str) -> AsyncIterator[SqlJournal]:
    store = await open_store(url)
    journal = await SqlJournal.open(store, "station", now_utc)
    try:
        yield journal
    finally:
        await journal.close()
        await store.close()


def test_durable_events_of_64_bays(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Each bay waits for its event before it goes on, as jobs do."""
    numbers = iter(range(1_000_000))
    found: list[tuple[float, float]] = []

    def once() -> None:
        found.append(asyncio.run(append_from_all_bays(sqlite_url(tmp_path / f"{next(numbers)}.db"))))

    benchmark.pedantic(once, rounds=3, iterations=1)
    rate = max(rate for rate, _ in found)
    lag = min(lag for _, lag in found)
    record(
        benchmark, Comparison("durable events of 64 bays", rate, "a busy rack's", 64.0, "events/s", 1.0, Better.HIGHER)
    )
    record(benchmark, Comparison("loop lag p99 meanwhile", lag, "the limit", LAG_SECONDS, "s", 1.0, Better.LOWER))


async def append_from_all_bays(url: str) -> tuple[float, float]:
    """Events a second, and the 99th percentile of what the loop's own clock was late by, in seconds."""
    async with a_journal(url) as journal:
        logs = [await journal.begin(a_request(f"job-{bay}")) for bay in range(BAYS)]
        lags: list[float] = []
        watch = asyncio.create_task(measure_lag(lags))
        began = time.monotonic()

        async def one(bay: int) -> None:
            events: list[JobEvent] = [*until_writing(drive_number(bay)), *checkpoints(drive_number(bay), EVENTS_A_BAY)]
            for event in events:
                await logs[bay].append(event)

        await asyncio.gather(*(one(bay) for bay in range(BAYS)))
        seconds = time.monotonic() - began
        watch.cancel()
        lags.sort()
        return BAYS * (EVENTS_A_BAY + 4) / seconds, lags[int(len(lags) * 0.99)]


async def measure_lag(lags: list[float], period_seconds: float = 0.005) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + period_seconds
        await asyncio.sleep(period_seconds)
        lags.append(loop.time() - due)


@pytest.fixture(scope="module")
def a_million_events(tmp_path_factory: pytest.TempPathFactory) -> str:
    """10,000 finished jobs of 100 events each."""
    url = sqlite_url(tmp_path_factory.mktemp("ledger") / "ledger.db")
    engine = open_engine(url)
    migrate(engine)
    with writing(engine) as connection, connection.begin():
        for job in range(FINISHED_JOBS):
            insert_job(connection, job, CHECKED_EVENTS // FINISHED_JOBS - 11)
        log.append(connection, [logged(certificate_of(f"job-{job:06}")) for job in range(FINISHED_JOBS)])
    engine.dispose()
    return url


def insert_job(connection: Connection, number: int, checkpoint_count: int) -> None:
    """Jobs differ in who is erased and what they are called; what lies between is written down once."""
    job_id = f"job-{number:06}"
    head, *between, issued = template(checkpoint_count)
    own = entries_of(job_id, [DriveIdentified(drive_number(number))])
    rows = [event_row(job_id, entry) for entry in own]
    certificate_id = certificate_of(job_id)
    last = Entry(len(between) + 1, now_utc(), CertificateIssued(certificate_id, bytes(32)))
    rows += [of_job(row, job_id) for row in between[1:]] + [event_row(job_id, last)]
    assert (head["sequence"], issued["sequence"]) == (0, last.sequence)
    identity = drive_number(number).identity
    derived = {"is_open": False, "outcome": "passed", "serial": identity.serial, "world_wide_name": identity.wwn}
    connection.execute(insert(jobs).values(job_id=job_id, **derived))
    connection.execute(insert(job_events), rows)
    connection.execute(insert(certificates).values(certificate_id=certificate_id, job_id=job_id, digest=bytes(32)))
    for event in (Erased(job_id, Outcome.PASSED), Verified(job_id, Verification.FULL)):
        item = CustodyRecord(now_utc(), "bay", OPERATOR, DriveName(identity.serial, identity.wwn), event)
        connection.execute(insert(custody).values(custody_row(item)))


def certificate_of(job_id: str) -> str:
    return f"certificate-of-{job_id}"


def logged(certificate_id: str) -> LogEntry:
    return LogEntry(EntryKind.CERTIFICATE, certificate_id, bytes(32))


@cache
def template(checkpoint_count: int) -> list[dict[str, Any]]:
    return [event_row("", entry) for entry in entries_of("", whole_job("", drive_number(0), checkpoint_count))]


def of_job(row: dict[str, Any], job_id: str) -> dict[str, Any]:
    digest = event_digest(job_id, row["sequence"], row["at"], row["kind"], row["body"])
    return {**row, "job_id": job_id, "digest": digest}


def test_check_of_a_million_events(benchmark: BenchmarkFixture, a_million_events: str) -> None:
    report = benchmark.pedantic(check, args=(a_million_events,), rounds=1, iterations=1)
    assert report.is_clean
    assert report.events == CHECKED_EVENTS
    what = "ledger check of 1,000,000 events"
    record(benchmark, Comparison(what, report.seconds, "the limit", CHECK_SECONDS, "s", 1.0, Better.LOWER))


def test_start_with_10_000_finished_jobs(benchmark: BenchmarkFixture, a_million_events: str) -> None:
    """Everything that a start asks of the ledger: migrating, a new epoch, and the jobs that are open."""
    found: list[float] = []

    async def start() -> None:
        began = time.monotonic()
        async with a_journal(a_million_events) as journal:
            assert await journal.open_states() == []
            found.append(time.monotonic() - began)

    benchmark.pedantic(lambda: asyncio.run(start()), rounds=3, iterations=1)
    what = "start with 10,000 finished jobs"
    record(benchmark, Comparison(what, max(found), "the limit", START_SECONDS, "s", 1.0, Better.LOWER))
