"""What earlier runs left at a station: certificates that are due, jobs that can't be believed, journals that are files."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from eraser.certificates.issuer import Issued
from eraser.domain.custody import DriveName
from eraser.domain.events import CertificateIssued, DriveIdentified, JobQueued
from eraser.domain.job import JobState, fold
from eraser.domain.sayings import Saying
from eraser.errors import JournalError, Refused
from eraser.ledger.check import check
from eraser.ledger.custody import Custody
from eraser.ledger.engine import sqlite_url
from eraser.ledger.journal import FileJournal
from eraser.ledger.sql_journal import SqlJournal
from eraser.ledger.store import open_store
from eraser.rack.erasing import Station
from eraser.rack.leftovers import BesideFiles, Leftovers
from tests.ledger.stories import a_request, drive_number, now_utc, until_writing, whole_job
from tests.ledger.tampering import tamper
from tests.rack.memory_rack import Papers
from tests.rack.simulated_time import at_once

DRIVE = drive_number(1)


class Killed(BaseException):
    """The station dies here."""


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[SqlJournal]:
    store = await open_store(url)
    try:
        journal = await SqlJournal.open(store, "station", now_utc)
        try:
            yield journal
        finally:
            await journal.close()
    finally:
        await store.close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return sqlite_url(tmp_path / "ledger.db")


@dataclass
class Looked:
    """A station that looks at what was left."""

    journal: SqlJournal
    issue: Papers
    problems: dict[str, str] = field(default_factory=dict)

    def leftovers(self) -> Leftovers:
        parts = Station(self.journal, self.issue, now_utc, bytes, lambda: "new", call=at_once)
        return Leftovers(parts, self.journal, self.tell)

    def tell(self, what: str, problem: Saying | None) -> None:
        if problem is not None:
            self.problems[what] = problem.english
        else:
            self.problems.pop(what, None)


def certified(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.json"))


async def leave(journal: SqlJournal, job_id: str, number: int, *, left_out: int = 1) -> None:
    """A job that has ended, without its last events."""
    log = await journal.begin(a_request(job_id))
    for event in whole_job(job_id, drive_number(number))[: -left_out or None]:
        await log.append(event)
    await log.close()


async def test_certificates_that_are_due_are_issued_without_their_drives(url: str, tmp_path: Path) -> None:
    async with opened(url) as journal:
        await leave(journal, "due", 1)
        await leave(journal, "due-too", 2)
        await leave(journal, "running", 3, left_out=2)
        await leave(journal, "done", 4, left_out=0)
    async with opened(url) as journal:
        looked = Looked(journal, Papers(tmp_path))
        await looked.leftovers().first()
        assert certified(tmp_path) == ["due", "due-too"]
        assert [state.job_id for state in await journal.open_states()] == ["running"]
        assert looked.problems == {}


async def test_a_job_that_died_before_its_plan_ends_and_says_nothing_of_its_drive(url: str, tmp_path: Path) -> None:
    async with opened(url) as journal:
        await journal.begin(a_request("queued"))
        log = await journal.begin(a_request("identified"))
        await log.append(DriveIdentified(DRIVE))
    async with opened(url) as journal:
        await Looked(journal, Papers(tmp_path)).leftovers().first()
        assert await journal.open_jobs() == []
        history = await Custody(journal.store, now_utc).history(DriveName(DRIVE.identity.serial))
        assert (history.open_jobs, history.gathered.records) == (0, ())
    assert check(url).is_clean


async def test_one_that_cannot_be_believed_leaves_no_other_open(url: str, tmp_path: Path) -> None:
    async with opened(url) as journal:
        for job_id in ("a-altered", "identified"):
            log = await journal.begin(a_request(job_id))
            await log.append(DriveIdentified(DRIVE))
    tamper(url, "UPDATE job_events SET digest = body WHERE job_id = 'a-altered' AND sequence = 1")
    async with opened(url) as journal:
        looked = Looked(journal, Papers(tmp_path))
        await looked.leftovers().first()
        assert [job.job_id for job in await journal.open_jobs()] == ["a-altered"]
        assert list(looked.problems) == ["job a-altered"]


class Dying(Papers):
    """Dies before or after the file is there."""

    def __init__(self, folder: Path, when: str) -> None:
        super().__init__(folder)
        self._when = when
        self.files = 0

    def __call__(self, state: JobState) -> Issued:
        if self._when == "before":
            raise Killed
        self.files += 1
        issued = super().__call__(state)
        if self._when == "after":
            raise Killed
        return issued


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_job_has_one_certificate_wherever_the_station_died(url: str, tmp_path: Path, when: str) -> None:
    async with opened(url) as journal:
        await leave(journal, "j", 1)
    async with opened(url) as journal:
        with pytest.raises(Killed):
            await Looked(journal, Dying(tmp_path, when)).leftovers().first()
    for _ in range(2):
        async with opened(url) as journal:
            await Looked(journal, Papers(tmp_path)).leftovers().first()
            events = [entry.event for entry in await journal.entries("j")]
            assert sum(isinstance(event, CertificateIssued) for event in events) == 1
    assert certified(tmp_path) == ["j"]


async def test_a_certificate_that_cannot_be_issued_is_told_and_keeps_no_other_waiting(url: str, tmp_path: Path) -> None:
    class Picky(Papers):
        def __call__(self, state: JobState) -> Issued:
            if state.job_id == "bad" and not (tmp_path / "mended").exists():
                raise OSError(5, "Input/output error")
            return super().__call__(state)

    async with opened(url) as journal:
        await leave(journal, "bad", 1)
        await leave(journal, "good", 2)
        looked = Looked(journal, Picky(tmp_path))
        leftovers = looked.leftovers()
        await leftovers.first()
        assert certified(tmp_path) == ["good"]
        assert "job bad" in looked.problems["certificate of job bad"]
        (tmp_path / "mended").touch()
        await leftovers.first()
        assert looked.problems == {} and certified(tmp_path) == ["bad", "good"]


async def test_a_job_that_a_bay_is_putting_away_is_left_to_it(url: str, tmp_path: Path) -> None:
    async with opened(url) as journal:
        log = await journal.begin(a_request("j"))
        for event in whole_job("j", DRIVE)[:-1]:
            await log.append(event)
        looked = Looked(journal, Papers(tmp_path))
        await looked.leftovers().first()
        assert certified(tmp_path) == [] and looked.problems == {}
        await log.close()


# ---- what can't be believed


async def test_an_open_job_that_cannot_be_believed_is_named_and_refuses_its_drive_alone(
    url: str, tmp_path: Path
) -> None:
    async with opened(url) as journal:
        await leave(journal, "torn", 1, left_out=2)
        await leave(journal, "sound", 2, left_out=2)
    tamper(url, "UPDATE job_events SET kind = 'nonsense' WHERE job_id = 'torn' AND sequence = 3")
    async with opened(url) as journal:
        looked = Looked(journal, Papers(tmp_path))
        await looked.leftovers().tell_contradictions()
        assert list(looked.problems) == ["job torn"] and "job torn, event 3" in looked.problems["job torn"]
        with pytest.raises(JournalError, match="job torn, event 3"):
            await journal.open_states(drive_number(1))
        assert [state.job_id for state in await journal.open_states(drive_number(2))] == ["sound"]
        assert await journal.open_states(drive_number(3)) == []


async def test_a_row_that_does_not_follow_from_its_events_is_named(url: str, tmp_path: Path) -> None:
    async with opened(url) as journal:
        await leave(journal, "j", 1, left_out=2)
    tamper(url, "UPDATE jobs SET serial = 'another' WHERE job_id = 'j'")
    async with opened(url) as journal:
        looked = Looked(journal, Papers(tmp_path))
        await looked.leftovers().tell_contradictions()
        assert "does not follow from its events" in looked.problems["job j"]


# ---- journals that are files


def left_in_a_file(folder: Path) -> FileJournal:
    files = FileJournal(folder / "journal", now_utc)
    log = files.begin(JobQueued("by-hand", "/dev/sdz", "random", "somebody"))
    for event in until_writing(DRIVE):
        log.append(event)
    log.close()
    return files


async def test_a_drive_with_a_job_of_a_command_is_refused_and_the_job_is_named(url: str, tmp_path: Path) -> None:
    files = left_in_a_file(tmp_path)
    (tmp_path / "journal" / "torn.journal").write_text("nonsense\n")
    async with opened(url) as ledger:
        journal = BesideFiles(ledger, files, at_once)
        with pytest.raises(Refused, match=r"job by-hand.*eraser resume /dev/") as refused:
            await journal.open_states(DRIVE)
        assert refused.value.reason == "job-of-a-command"
        assert await journal.open_states(drive_number(2)) == []
        log = files.take_up("by-hand")
        assert fold(files.entries("by-hand")) == log.state
        log.close()


async def test_a_station_keeps_its_own_jobs_in_the_ledger(url: str, tmp_path: Path) -> None:
    files = FileJournal(tmp_path / "journal", now_utc)
    async with opened(url) as ledger:
        journal = BesideFiles(ledger, files, at_once)
        log = await journal.begin(a_request("j"))
        for event in until_writing(DRIVE):
            await log.append(event)
        await log.close()
        (state,) = await journal.open_states(DRIVE)
        assert state.job_id == "j" and list(files.open_states()) == []
        again = await journal.take_up("j")
        assert again.state == state
        await again.close()
