"""The ledger on a disk that takes its time, is full, fails, and forgets at a crash what was not flushed."""

import asyncio
from typing import TYPE_CHECKING

from eraser.domain.drive import Drive, is_recognisable, same_drive
from eraser.domain.events import Entry, JobEvent, JobQueued
from eraser.domain.job import JobState, apply, fold
from eraser.errors import JournalError
from eraser.ledger.errors import JobHeld, LedgerError, LedgerFull
from eraser.ledger.sql_journal import Finished

if TYPE_CHECKING:
    from tests.simulation.program import Program
    from tests.simulation.world import World


class Disk:
    """What is durable. Outlives every program."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.entries: dict[str, list[Entry]] = {}
        self.states: dict[str, JobState] = {}
        self.open: dict[str, JobState] = {}
        self.finished: list[JobState] = []
        """In the order in which they ended."""
        self.is_full = False
        self.fails = 0
        """So many of the next writes end in an error of which nobody knows what it did."""
        self.slow_seconds = 0.0

    def commit(self, job_id: str, entry: Entry, after: JobState, place: str) -> None:
        """The event is there for good."""
        events = self.entries.setdefault(job_id, [])
        if entry.sequence != len(events):
            self._world.checks.fail(f"{job_id} has two writers: event {entry.sequence} comes after {len(events)}")
        events.append(entry)
        before = self.states.get(job_id)
        self.states[job_id] = after
        if after.is_open:
            self.open[job_id] = after
        else:
            self.open.pop(job_id, None)
            if after.outcome is not None:
                self.finished.append(after)
        self._world.tell(f"{job_id}: {entry.event.kind} is durable")
        self._world.checks.committed(job_id, entry.event, before, after, place)
        self._world.when_something_happens(place)

    def latency(self) -> float:
        """Seconds until a write is durable."""
        return self._world.chance.uniform(0.002, 0.03) + self.slow_seconds

    def refolded(self) -> None:
        """What a new program reads is what the old one believed."""
        for job_id, entries in self.entries.items():
            if fold(entries) != self.states[job_id]:
                self._world.checks.fail(f"{job_id} reads otherwise than it was written")

    def last_finished(self, drive: Drive) -> JobState | None:
        """The last job that came to its end on this very drive."""
        if not is_recognisable(drive):
            return None
        return next(
            (state for state in reversed(self.finished) if state.drive and not same_drive(state.drive, drive)), None
        )


class LossyJournal:
    """`eraser.ledger.journal.Journal` of one program over the disk."""

    def __init__(self, program: "Program", disk: Disk) -> None:
        self.program = program
        self.disk = disk
        self.held: set[str] = set()

    async def begin(self, request: JobQueued, *, place: str = "") -> "LossyLog":
        log = LossyLog(self, request.job_id, None, place)
        self.held.add(request.job_id)
        try:
            await log.append(request)
        except BaseException:
            self.held.discard(request.job_id)
            raise
        return log

    async def take_up(self, job_id: str, *, place: str = "") -> "LossyLog":
        await asyncio.sleep(0.005)
        if job_id in self.held:
            raise JobHeld("somebody works on this job", subject=job_id)
        if job_id not in self.disk.open:
            raise JournalError("nothing is left to do for this job", subject=job_id)
        self.held.add(job_id)
        return LossyLog(self, job_id, self.disk.states[job_id], place)

    async def open_states(self, drive: Drive | None = None) -> list[JobState]:
        await asyncio.sleep(0.005)
        return list(self.disk.open.values())

    async def last_finished(self, drive: Drive) -> Finished | None:
        """As `eraser.ledger.sql_journal.SqlJournal` answers."""
        await asyncio.sleep(0.005)
        found = self.disk.last_finished(drive)
        if found is None or found.drive is None or found.outcome is None:
            return None
        return Finished(found.job_id, found.outcome, found.drive)


class LossyLog:
    """One job's events, as `eraser.ledger.sql_journal.SqlJobLog` keeps them: what is cancelled is written all the same."""

    def __init__(self, journal: LossyJournal, job_id: str, state: JobState | None, place: str) -> None:
        self._journal = journal
        self._job_id = job_id
        self._state = state
        self._place = place
        self._length = len(journal.disk.entries.get(job_id, ()))
        self._pending: asyncio.Future[None] | None = None
        self._is_broken = False

    @property
    def state(self) -> JobState:
        assert self._state is not None
        return self._state

    async def append(self, event: JobEvent) -> None:
        await self._settle()
        if self._is_broken:
            raise LedgerError("the job's journal failed before", subject=self._job_id)
        entry = Entry(self._length, self._journal.program.now_utc(), event)
        after = apply(self._state, event, entry.at)
        self._journal.program.world.checks.announced(self._job_id, event, after)
        self._pending = asyncio.get_running_loop().create_future()
        Writing(self, entry, after).begin()
        await asyncio.shield(self._pending)

    async def close(self) -> None:
        await self._settle()
        await asyncio.sleep(0.005)
        self._journal.held.discard(self._job_id)

    async def _settle(self) -> None:
        while self._pending is not None and not self._pending.done():
            await asyncio.wait({self._pending})


class Writing:
    """One event on its way to the disk. The program may die at any point of it."""

    def __init__(self, log: LossyLog, entry: Entry, after: JobState) -> None:
        self._log = log
        self._program = log._journal.program
        self._disk = log._journal.disk
        self._entry = entry
        self._after = after
        self._is_durable = False

    def begin(self) -> None:
        self._program.writings.append(self)
        self._program.later(self._disk.latency(), self._arrive)

    def _arrive(self) -> None:
        """It reaches the disk. The caller hears of it later."""
        chance = self._program.world.chance
        error: JournalError | None = None
        if self._disk.is_full:
            error = LedgerFull("there is no room", subject=self._log._job_id)
        elif self._disk.fails:
            self._disk.fails -= 1
            self._log._is_broken = True
            error = LedgerError("the disk did not answer", subject=self._log._job_id)
        if error is None or (not isinstance(error, LedgerFull) and chance.random() < 0.5):
            self.commit()
        self._program.later(chance.uniform(0.0, 0.005), lambda: self._answer(error))

    def commit(self) -> None:
        self._is_durable = True
        self._disk.commit(self._log._job_id, self._entry, self._after, self._log._place)

    def _answer(self, error: JournalError | None) -> None:
        self._program.writings.remove(self)
        assert self._log._pending is not None
        if error is None:
            self._log._state = self._after
            self._log._length += 1
        if self._log._pending.done():
            return
        if error is not None:
            self._log._pending.set_exception(error)
            self._log._pending.exception()  # nobody may be waiting any more
        else:
            self._log._pending.set_result(None)

    def crash(self) -> None:
        """Of what was on its way the disk has all or nothing; a torn line is nothing."""
        if not self._is_durable and self._program.world.chance.random() < 0.4 and not self._disk.is_full:
            self.commit()
