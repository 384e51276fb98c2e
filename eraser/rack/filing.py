"""The journal of files, for the event loop: each call on it in a thread, since a disk may take its time."""

from eraser.domain.drive import Drive
from eraser.domain.events import JobEvent, JobQueued
from eraser.domain.job import JobState
from eraser.ledger.journal import FileJobLog, FileJournal
from eraser.rack.blocking import BlockingCall, in_own_thread


class FiledJobLog:
    """`eraser.ledger.journal.JobLog` over one job's file."""

    def __init__(self, log: FileJobLog, call: BlockingCall) -> None:
        self._log = log
        self._call = call

    @property
    def state(self) -> JobState:
        """The fold of all events so far."""
        return self._log.state

    async def append(self, event: JobEvent) -> None:
        """Durable when it returns. Raises JournalError."""
        await self._call(self._log.append, event)

    async def close(self) -> None:
        """Gives the job up to whoever takes it next. Raises JournalError."""
        await self._call(self._log.close)


class JournalOfFiles:
    """`eraser.ledger.journal.Journal` over a directory. It keeps no custody records: places are left out."""

    def __init__(self, files: FileJournal, call: BlockingCall = in_own_thread) -> None:
        self.files = files
        self._call = call

    async def begin(self, request: JobQueued, *, place: str = "") -> FiledJobLog:
        """A new job."""
        return FiledJobLog(await self._call(self.files.begin, request), self._call)

    async def take_up(self, job_id: str, *, place: str = "") -> FiledJobLog:
        """An earlier job, to go on with."""
        return FiledJobLog(await self._call(self.files.take_up, job_id), self._call)

    async def open_states(self, drive: Drive | None = None) -> list[JobState]:
        """The jobs with something left to do, on whatever drive: they are few. Of those that can't be believed, where a drive
        is given, another drive's do not matter.
        """
        return await self._call(lambda: list(self.files.open_states(drive)))
