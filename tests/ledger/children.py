"""Processes that write to a ledger until they are killed. They say on their standard output what was promised to them."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eraser.domain.events import JobEvent
from eraser.ledger.sql_journal import SqlJobLog, SqlJournal
from eraser.ledger.store import open_store
from tests.ledger.stories import a_request, checkpoints, drive_number, now_utc, until_writing

ROOT = Path(__file__).resolve().parents[2]
WRITERS = 64


@contextmanager
def child(function: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Runs `function` of this module in a process of its own, which does not outlive the block."""
    call = f"import sys; sys.path.append({str(ROOT)!r}); from tests.ledger import children; "
    call += f"children.{function}(*{arguments!r})"
    process = subprocess.Popen([sys.executable, "-c", call], cwd="/", stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def append_for_ever(url: str) -> None:
    """64 jobs at once; a line `JOB SEQUENCE` for each event that `append` returned for."""
    asyncio.run(_append_for_ever(url))


async def _append_for_ever(url: str) -> None:
    journal = await SqlJournal.open(await open_store(url), "station", now_utc)
    async with asyncio.TaskGroup() as group:
        for number in range(WRITERS):
            group.create_task(_write_job(journal, number))


async def _write_job(journal: SqlJournal, number: int) -> None:
    drive = drive_number(number)
    job_id = f"job-{number:03}"
    log = await journal.begin(a_request(job_id))
    _say(f"{job_id} 0")
    events: list[JobEvent] = [*until_writing(drive), *checkpoints(drive, 5000)]
    for sequence, event in enumerate(events, start=1):
        await log.append(event)
        _say(f"{job_id} {sequence}")


def hold(url: str, station_id: str, job_id: str) -> None:
    """Begins the job, or takes it up, says `held`, and keeps it."""
    asyncio.run(_hold(url, station_id, job_id))


async def _hold(url: str, station_id: str, job_id: str) -> None:
    journal = await SqlJournal.open(await open_store(url), station_id, now_utc)
    log: SqlJobLog = await journal.begin(a_request(job_id))
    _say(f"held {log.state.job_id}")
    await asyncio.Event().wait()


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())
