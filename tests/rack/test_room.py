"""A disk that fills: jobs wait for room and go on, nothing is lost, and it is said aloud. In simulated time."""

import asyncio
import errno
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eraser.certificates.issuer import Issued
from eraser.domain.drive import Drive
from eraser.domain.events import Checkpoint, JobEvent, JobQueued
from eraser.domain.job import JobState, Phase
from eraser.ledger.errors import LedgerFull
from eraser.ledger.journal import FileJournal, JobLog
from eraser.rack.filing import JournalOfFiles
from eraser.rack.view import BayState
from tests.rack.memory_rack import TUNING, At, MemoryDrive, Papers, a_station
from tests.rack.simulated_time import at_once, run

WAITS = "waits for room in the ledger"


@dataclass
class Disk:
    """Full or not; or full from the numbered checkpoint on."""

    is_full: bool = False
    checkpoints_left: int = 1_000_000

    def take(self, event: object) -> None:
        if isinstance(event, Checkpoint):
            self.is_full = self.is_full or self.checkpoints_left == 0
            self.checkpoints_left -= 1
        if self.is_full:
            raise LedgerFull("the ledger's disk is full")


class FillingLog:
    def __init__(self, log: JobLog, disk: Disk) -> None:
        self._log = log
        self._disk = disk

    @property
    def state(self) -> JobState:
        return self._log.state

    async def append(self, event: JobEvent) -> None:
        self._disk.take(event)
        await self._log.append(event)

    async def close(self) -> None:
        await self._log.close()


@dataclass
class FillingJournal:
    """A journal on a disk that fills."""

    folder: Path
    disk: Disk = field(default_factory=Disk)

    def __post_init__(self) -> None:
        files = FileJournal(self.folder / "journal", lambda: "2027-01-01T00:00:00.000Z")
        self._journal = JournalOfFiles(files, at_once)

    async def begin(self, request: JobQueued, *, place: str = "") -> FillingLog:
        self.disk.take(request)
        return FillingLog(await self._journal.begin(request, place=place), self.disk)

    async def take_up(self, job_id: str, *, place: str = "") -> FillingLog:
        self.disk.take(job_id)
        return FillingLog(await self._journal.take_up(job_id, place=place), self.disk)

    async def open_states(self, drive: Drive | None = None) -> list[JobState]:
        return await self._journal.open_states(drive)


def played(folder: Path, story: Callable[[At], Coroutine[Any, Any, None]], **station: Any) -> float:
    """Plays a story at a station of its own; seconds that its end took."""

    async def play() -> float:
        loop = asyncio.get_running_loop()
        async with a_station(folder, **station) as at:
            await story(at)
            before = loop.time()
        return loop.time() - before

    return run(play())


def certificates(folder: Path) -> list[str]:
    return sorted(path.read_text() for path in folder.glob("*.json"))


async def still_waits(at: At, drive: MemoryDrive) -> None:
    """The drive is left alone, and everybody is told why."""
    seen = await at.until("A1", BayState.PAUSED)
    await asyncio.sleep(10)
    ios = drive.ios
    await asyncio.sleep(100)
    assert drive.ios == ios
    seen, shown = at.bay("A1"), at.station.snapshot()
    assert (seen.state, seen.waits_for) == (BayState.PAUSED, WAITS)
    assert shown.is_ledger_full and any("ledger" in problem for problem in shown.problems)


async def goes_on(at: At) -> None:
    """Once there is room."""
    seen = await at.until("A1", BayState.PASSED)
    assert seen.waits_for == ""
    shown = at.station.snapshot()
    assert not shown.is_ledger_full and not shown.problems


def test_a_job_whose_checkpoint_has_no_room_waits_at_most_two_ahead_and_goes_on_when_there_is(tmp_path: Path) -> None:
    drive, journal = MemoryDrive(sectors=200), FillingJournal(tmp_path, Disk(checkpoints_left=3))

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await still_waits(at, drive)
        ((state,)) = await journal.open_states()
        written = drive.cache.count(b"customer") * 8
        ahead_bytes = len(drive.cache) - written - state.passes[0].believed_bytes
        assert state.passes[0].believed_bytes == 3 * TUNING.checkpoint_bytes
        assert 0 < ahead_bytes <= 2 * TUNING.checkpoint_bytes
        journal.disk.is_full = False
        await goes_on(at)

    played(tmp_path, story, journal=journal)
    assert certificates(tmp_path) == ["passed"]


def test_nothing_is_written_to_a_drive_whose_job_has_no_room(tmp_path: Path) -> None:
    drive, journal = MemoryDrive(), FillingJournal(tmp_path, Disk(is_full=True))

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await still_waits(at, drive)
        assert drive.ios == 0
        journal.disk.is_full = False
        await goes_on(at)

    played(tmp_path, story, journal=journal)


def test_a_station_that_is_stopped_while_the_disk_is_full_ends_in_time_and_goes_on_later(tmp_path: Path) -> None:
    drive, journal = MemoryDrive(sectors=200), FillingJournal(tmp_path, Disk(checkpoints_left=3))

    async def stopped(at: At) -> None:
        at.memory.plug(drive, "A1")
        await still_waits(at, drive)

    assert played(tmp_path, stopped, journal=journal) < 10
    assert not drive.is_held
    (state,) = run(journal.open_states())
    assert state.phase is Phase.RUNNING and state.passes[0].believed_bytes == 3 * TUNING.checkpoint_bytes

    async def again(at: At) -> None:
        at.memory.plug(drive, "A1")
        await goes_on(at)

    journal.disk = Disk()
    played(tmp_path, again, journal=journal)
    assert certificates(tmp_path) == ["passed"] and not drive.has_customers_data


def test_a_drive_that_is_pulled_while_the_disk_is_full_frees_its_bay(tmp_path: Path) -> None:
    drive, other = MemoryDrive(sectors=200), MemoryDrive(serial="S2")
    journal = FillingJournal(tmp_path, Disk(checkpoints_left=3))

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await still_waits(at, drive)
        at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)
        journal.disk.is_full = False
        at.memory.plug(other, "A1")
        await goes_on(at)
        at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)
        at.memory.plug(drive, "A1")
        await goes_on(at)

    played(tmp_path, story, journal=journal)
    assert certificates(tmp_path) == ["passed", "passed"]


def test_a_drive_that_hangs_while_the_disk_is_full_is_still_noticed(tmp_path: Path) -> None:
    drive, journal = MemoryDrive(sectors=200), FillingJournal(tmp_path, Disk(checkpoints_left=3))

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await still_waits(at, drive)
        drive.hangs = True
        await asyncio.sleep(10 * TUNING.no_progress_seconds)
        journal.disk.is_full = False
        assert "has not returned" in (await at.until("A1", BayState.HELD)).reason

    played(tmp_path, story, journal=journal)
    assert certificates(tmp_path) == ["failed"]


class FullFolder(Papers):
    """A folder of certificates that is full for a while."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.is_full = True
        self.tries = 0

    def __call__(self, state: JobState) -> Issued:
        self.tries += 1
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().__call__(state)


def test_a_certificate_waits_for_room_and_is_issued_once(tmp_path: Path) -> None:
    drive, papers = MemoryDrive(), FullFolder(tmp_path)

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await still_waits(at, drive)
        assert papers.tries > 10 and certificates(tmp_path) == []
        papers.is_full = False
        await goes_on(at)

    played(tmp_path, story, papers=papers)
    assert certificates(tmp_path) == ["passed"]


def test_any_other_fault_of_the_folder_ends_the_waiting(tmp_path: Path) -> None:
    drive = MemoryDrive()

    class Broken(Papers):
        def __call__(self, state: JobState) -> Issued:
            raise OSError(errno.EIO, "Input/output error")

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        assert "Input/output error" in (await at.until("A1", BayState.INTERRUPTED)).reason

    played(tmp_path, story, papers=Broken(tmp_path))
