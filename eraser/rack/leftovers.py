"""What earlier runs left at this station: certificates that are due, documents that are half done, jobs that can't be believed,
journals that are files.

None of it needs a drive, and none of it stops the station: what can be done is done, what can't is told.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from eraser.domain.drive import Drive
from eraser.domain.events import JobQueued, JobRefused
from eraser.domain.job import JobState
from eraser.domain.sayings import Code, say
from eraser.errors import EraserError, JournalError, Refused
from eraser.ledger.errors import JobHeld
from eraser.ledger.journal import FileJournal
from eraser.ledger.sql_journal import NEVER_BEGUN, SqlJobLog, SqlJournal
from eraser.rack.blocking import BlockingCall
from eraser.rack.erasing import Erasing, Result, Station, open_job
from eraser.rack.ledger_health import Trouble

if TYPE_CHECKING:  # cryptography is loaded by those who make them
    from eraser.certificates.destroying import Destroying
    from eraser.certificates.withdrawing import Withdrawing

LOOK_SECONDS = 20.0
"""How often certificates that are due are tried again."""
FIRST_SECONDS = 5.0
"""How long the bays wait for those that are due at the start: so that no bay meets a job that is being put away."""


class Leftovers:
    """`first` before the bays are attended to, then `run` beside them."""

    def __init__(
        self,
        parts: Station,
        journal: SqlJournal,
        trouble: Trouble,
        issued: Callable[[Result], None] = lambda result: None,
    ) -> None:
        """`issued` hears of each job that has got its certificate at last."""
        self._issued = issued
        self._parts = replace(parts, waits_for_room=False)  # it looks again by itself
        self._journal = journal
        self._trouble = trouble

    async def first(self) -> None:
        """Ends what was never begun and issues the certificates that are due, as far as that takes no long time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_SECONDS):
                await self._end_unplanned()
                await self._issue_due()

    async def finish_documents(self, withdraw: "Withdrawing", destroy: "Destroying") -> None:
        """Withdrawals without their entry in the log, destructions without their file: finished before anybody can ask for
        more. What can't be is told, and tried again at the next start.
        """
        try:
            problems = await withdraw.finish()
        except EraserError as error:
            problems = [str(error)]
        unfinished = say(Code.TROUBLE_RECORDS, detail="; ".join(problems)) if problems else None
        self._trouble("withdrawals", unfinished)
        try:
            await destroy.finish()
        except EraserError as error:
            self._trouble("signed records", say(Code.TROUBLE_RECORDS, detail=str(error)))

    async def _end_unplanned(self) -> None:
        """Jobs that died between their first events: left open, they would keep their drives from leaving the house."""
        try:
            unplanned = [job.job_id for job in await self._journal.open_jobs() if job.is_unplanned]
        except JournalError as error:
            self._trouble("ledger", say(Code.TROUBLE_LEDGER, detail=str(error)))
            return
        for job_id in unplanned:
            try:
                log = await self._journal.take_up(job_id)
                try:
                    await log.append(JobRefused(NEVER_BEGUN, "the station ended before it was planned"))
                finally:
                    await log.close()
            except JournalError as error:  # of one that can't be believed: the others' drives must not wait for it
                self._trouble(f"job {job_id}", say(Code.TROUBLE_JOB, job=job_id, detail=str(error)))

    async def run(self) -> None:
        """Says which jobs can't be believed, and goes on issuing what is due, until it is cancelled."""
        await self.tell_contradictions()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._issue_due()

    async def end_jobs(self, job_ids: Iterable[str], why: str) -> None:
        """Ends open jobs of a drive that will never be seen again, as failed. Raises Refused while one of them is under way,
        EraserError where it can't be put on record.
        """
        for job_id in job_ids:
            try:
                await Erasing(self._parts, "").end(job_id, why)
            except JobHeld as error:
                raise Refused(
                    "open-job",
                    f"its job {job_id} is under way: {error.what}",
                    remedy="Cancel it (`eraser cancel BAY`), and do it again when it has stopped.",
                ) from error
            except OSError as error:
                raise EraserError(f"the certificate of job {job_id} can't be issued: {error}") from error

    async def tell_contradictions(self) -> None:
        """Reads the events of every open job: seconds of work for dozens of long ones, a job at a time."""
        try:
            for job in await self._journal.open_jobs():
                found = await self._journal.contradiction(job.job_id)
                trouble = say(Code.TROUBLE_JOB, job=job.job_id, detail=found) if found else None
                self._trouble(f"job {job.job_id}", trouble)
        except JournalError as error:
            self._trouble("ledger", say(Code.TROUBLE_LEDGER, detail=str(error)))

    async def _issue_due(self) -> None:
        try:
            due = [job.job_id for job in await self._journal.open_jobs() if job.is_certificate_due]
        except JournalError as error:
            self._trouble("ledger", say(Code.TROUBLE_LEDGER, detail=str(error)))
            return
        for job_id in due:
            await self._issue(job_id)

    async def _issue(self, job_id: str) -> None:
        problem = None
        try:
            result = await Erasing(self._parts, "").issue_due(job_id)
            if result.certificate is not None:  # else the station certifies nothing now, which is told once for all
                self._issued(result)
        except JobHeld:
            return  # a bay is about to
        except (EraserError, OSError) as error:
            problem = say(Code.TROUBLE_CERTIFICATE, job=job_id, detail=str(error))
        self._trouble(f"certificate of job {job_id}", problem)


class BesideFiles:
    """`eraser.ledger.journal.Journal`: the ledger, at a station whose data folder may hold journals that are files, as the
    commands write them. Their jobs are gone on with by `eraser resume`, and nobody begins another one on their drives.
    """

    def __init__(self, ledger: SqlJournal, files: FileJournal, call: BlockingCall) -> None:
        self._ledger = ledger
        self._files = files
        self._call = call

    async def begin(self, request: JobQueued, *, place: str = "") -> SqlJobLog:
        """A new job, in the ledger."""
        return await self._ledger.begin(request, place=place)

    async def take_up(self, job_id: str, *, place: str = "") -> SqlJobLog:
        """An earlier job of the ledger."""
        return await self._ledger.take_up(job_id, place=place)

    async def open_states(self, drive: Drive | None = None) -> list[JobState]:
        """Those of the ledger. Raises Refused for a drive whose open job is in a file, JournalError as the ledger does; a file
        that can't be believed keeps no drive from being erased, since nobody knows which one.
        """
        if drive is not None:
            left = open_job(drive, await self._call(lambda: list(self._files.open_states(passes_over_doubtful=True))))
            if left is not None:
                raise Refused(
                    "job-of-a-command",
                    f"`eraser erase` left a job on it (job {left.job_id}), which is no business of the station",
                    subject=drive.path,
                    remedy=f"Take the bay out of service and go on with it: eraser resume {drive.path}",
                )
        return await self._ledger.open_states(drive)
