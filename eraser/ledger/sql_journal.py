"""The journal of jobs in the station's ledger: same promises as the file journal's, for many stations on one database.

A job is held as (station, epoch). The system's own lock (`presence.py`) tells that an earlier process of this station is
dead; of another host's nobody can tell, so its lease must have run out, and taking one of its jobs ends its epoch: whatever
it still tries to write is refused. Losing the lease stops jobs, it never lets two work on one.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    exists,
    false,
    func,
    insert,
    literal_column,
    or_,
    select,
    true,
    update,
)

from eraser.domain.custody import (
    CustodyEvent,
    CustodyRecord,
    Erased,
    Quarantined,
    Verified,
    drive_name,
    own_serial,
    world_wide_name,
)
from eraser.domain.drive import Drive, Identity, is_recognisable, same_drive
from eraser.domain.events import (
    CertificateIssued,
    DriveIdentified,
    Entry,
    JobEvent,
    JobFinished,
    JobQueued,
    JobRefused,
    Outcome,
    Reason,
)
from eraser.domain.job import JobState, apply, fold
from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.errors import JournalError
from eraser.ledger import log
from eraser.ledger.custody import custody_row
from eraser.ledger.errors import JobHeld, LedgerError, LedgerFull
from eraser.ledger.lots import tag_of
from eraser.ledger.presence import announce
from eraser.ledger.records import corrupt, entry_of, event_row
from eraser.ledger.schema import certificates, custody, job_events, jobs, stations
from eraser.ledger.store import Store

LEASE_SECONDS = 60.0
"""How long another host's jobs are left alone after it was last heard of; `renew` is called three times as often."""

_INSERT_EVENT = insert(job_events)
_IDENTIFIED = 1
"""Number of the event that says on which drive a job is: right after its request."""
_PLANNED = 2
"""Number of the event with the plan."""
NEVER_BEGUN = "never-begun"
"""Why a job is refused that its station left without a plan. Of its drive that says nothing."""
_EVENT = (
    job_events.c.job_id,
    job_events.c.sequence,
    job_events.c.at,
    job_events.c.kind,
    job_events.c.body,
    job_events.c.digest,
)


@dataclass(frozen=True, slots=True)
class OpenJob:
    """A job with something left to do, as the index over the events says."""

    job_id: str
    is_certificate_due: bool
    """Whether it has ended, and this station is to issue its certificate: nobody else's file can be there then."""
    is_unplanned: bool = False
    """Whether this station died before it had a plan: nothing was begun, and nothing can go on."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A job with a verdict and a certificate, on the drive as it was identified then."""

    job_id: str
    outcome: Outcome
    drive: Drive
    reasons: tuple[Reason, ...] = field(default=(), compare=False)


class SqlJobLog:
    """One job's events, held by this process. `append` returns once the event is durable; cancelling it loses nothing.

    LedgerFull leaves it as it was, to be tried again; after any other failure the log takes nothing more: the job stops,
    and is taken up anew.
    """

    def __init__(self, journal: "SqlJournal", state: JobState, length: int, place: str) -> None:
        self._journal = journal
        self._state = state
        self._length = length
        self._place = place
        self._pending: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None

    @property
    def state(self) -> JobState:
        """The fold of all events that are durable."""
        return self._state

    async def append(self, event: JobEvent) -> None:
        """Durable when it returns. Raises JournalError when the event can't follow, or the ledger does not take it."""
        await self._settle()
        if self._failure is not None:
            raise LedgerError(
                f"the job's journal failed before ({self._failure})",
                subject=self._state.job_id,
                remedy="The job is taken up again from what is durable.",
            )
        entry = Entry(self._length, self._journal.now_utc(), event)
        state = apply(self._state, event, entry.at)
        # A task of its own, so that a cancelled caller does not leave us guessing whether the event is there.
        self._pending = asyncio.create_task(self._journal.write(entry, self._state, state, self._place))
        self._pending.add_done_callback(partial(self._ended, state))
        await asyncio.shield(self._pending)

    async def close(self) -> None:
        """Gives the job up to whoever takes it next. One whose certificate is missing stays this station's: its file may be
        there already, and another station would issue a second one.
        """
        await self._settle()
        await self._journal.give_up(self._state.job_id, keeps=self._state.is_open and self._state.outcome is not None)

    async def _settle(self) -> None:
        while self._pending is not None:
            await asyncio.wait({self._pending})

    def _ended(self, state: JobState, task: "asyncio.Task[None]") -> None:
        self._pending = None
        if task.cancelled():
            self._failure = asyncio.CancelledError("stopped before the answer")
        elif (error := task.exception()) is None:
            self._state = state
            self._length += 1
        elif not isinstance(error, LedgerFull):
            self._failure = error


class SqlJournal:
    """All jobs of the stations on one database, seen from one of them. `open` it; `close` it after its logs."""

    def __init__(
        self, store: Store, station_id: str, epoch: int, leave: Callable[[], None], now_utc: Callable[[], str]
    ) -> None:
        self.store = store
        self.now_utc = now_utc
        self._station_id = station_id
        self._epoch = epoch
        self._leave = leave
        self._held: set[str] = set()

    @classmethod
    async def open(cls, store: Store, station_id: str, now_utc: Callable[[], str]) -> "SqlJournal":
        """Begins a new epoch of this station. Raises JobHeld when another process of it is running."""
        leave = await asyncio.to_thread(announce, store.engine, station_id)
        try:
            epoch = await store.write(partial(_begin_epoch, station_id))
        except BaseException:
            leave()
            raise
        store.fence = partial(_require_epoch, station_id, epoch)
        return cls(store, station_id, epoch, leave, now_utc)

    async def begin(self, request: JobQueued, *, place: str = "") -> SqlJobLog:
        """A new job; its first event is durable when this returns. `place` is where custody records say it happened."""
        entry = Entry(0, self.now_utc(), request)
        state = fold((entry,))
        await self._hold(request.job_id, partial(self._insert_job, request.job_id, entry))
        return SqlJobLog(self, state, 1, self._where(place, request))

    async def take_up(self, job_id: str, *, place: str = "") -> SqlJobLog:
        """An earlier job, to go on with. Raises JobHeld when somebody else has it, JournalError when there is none, or it
        can't be believed, or nothing is left to do.
        """
        entries = await self._hold(job_id, partial(self._claim, job_id))
        try:
            state = fold(entries)
            if not state.is_open:
                raise JournalError("nothing is left to do for this job", subject=job_id)
        except BaseException:
            await self.give_up(job_id)
            raise
        return SqlJobLog(self, state, len(entries), self._where(place, state.request))

    async def open_states(self, drive: Drive | None = None) -> list[JobState]:
        """The jobs of all stations with something left to do, however many are finished. With a drive, those of its names, or
        where it has none those of drives without a name: no other is looked at. Raises JournalError naming a job that can't
        be believed.
        """
        return await self.store.read(partial(_open_states, drive))

    async def open_jobs(self) -> list[OpenJob]:
        """The same without looking at their events."""
        return await self.store.read(partial(_open_jobs, self._station_id))

    async def contradiction(self, job_id: str) -> str:
        """Why an open job can't be believed; empty when it can."""
        return await self.store.read(partial(_contradiction, job_id))

    async def last_finished(self, drive: Drive) -> "Finished | None":
        """The last finished job of all stations on this very drive; None if there is none, or nothing tells it from others.
        Raises JournalError for one that can't be believed.
        """
        if not is_recognisable(drive):
            return None
        found = await self.store.read(partial(_finished_on, drive.identity))
        last = next((item for item in found if not same_drive(item.drive, drive)), None)
        if last is None or last.outcome is Outcome.PASSED:
            return last
        return replace(last, reasons=await self.store.read(partial(_reasons, last.job_id)))

    async def entries(self, job_id: str) -> tuple[Entry, ...]:
        """All events of one job, finished or not. Raises JournalError for one that is not there."""
        return await self.store.read(partial(_entries, job_id))

    async def renew(self) -> None:
        """Tells other hosts that this one lives; every write does so, too. Raises JobHeld once they gave it up."""
        await self.store.write(_nothing)

    async def close(self) -> None:
        """Lets another process be this station. The store stays open."""
        await asyncio.to_thread(self._leave)

    # ---- for the logs

    async def write(self, entry: Entry, before: JobState, after: JobState, place: str) -> None:
        """One event and everything that must be there exactly when it is."""
        row = event_row(after.job_id, entry)
        changes = derived_columns(after)
        records = custody_records(entry, before, place)
        is_certificate = isinstance(entry.event, CertificateIssued)
        if changes == derived_columns(before) and not records and not is_certificate:
            await self.store.insert(_INSERT_EVENT, row)
            return

        def work(connection: Connection) -> None:
            connection.execute(_INSERT_EVENT, row)
            connection.execute(update(jobs).where(jobs.c.job_id == after.job_id).values(changes))
            if isinstance(entry.event, CertificateIssued):
                values = {"certificate_id": entry.event.certificate_id, "digest": entry.event.digest}
                connection.execute(insert(certificates).values(job_id=after.job_id, **values))
                issued = LogEntry(EntryKind.CERTIFICATE, entry.event.certificate_id, entry.event.digest)
                log.append(connection, [issued])
            for record in records:
                connection.execute(insert(custody).values(custody_row(_tagged(record, after, connection))))

        await self.store.write(work)

    async def give_up(self, job_id: str, *, keeps: bool = False) -> None:
        """The job is free, or where the station `keeps` it, free for this station. If the ledger does not take it, the epoch's
        end frees it.
        """
        self._held.discard(job_id)
        if keeps:
            return
        free = update(jobs).where(jobs.c.job_id == job_id, jobs.c.holder == self._station_id)
        try:
            await self.store.write(lambda connection: _execute(connection, free.values(holder=None, holder_epoch=None)))
        except (JobHeld, LedgerFull):
            return

    def _where(self, place: str, request: JobQueued) -> str:
        return place or f"{self._station_id} {request.path}"

    async def _hold(self, job_id: str, work: Callable[[Connection], Any]) -> Any:
        if job_id in self._held:
            raise _held(job_id)
        self._held.add(job_id)
        try:
            return await self.store.write(work)
        except BaseException:
            self._held.discard(job_id)
            raise

    def _insert_job(self, job_id: str, entry: Entry, connection: Connection) -> None:
        held = {"holder": self._station_id, "holder_epoch": self._epoch}
        derived = {"is_open": True, "outcome": None, "serial": "", "world_wide_name": ""}
        connection.execute(insert(jobs).values(job_id=job_id, **derived, **held))
        connection.execute(_INSERT_EVENT, event_row(job_id, entry))

    def _claim(self, job_id: str, connection: Connection) -> tuple[Entry, ...]:
        columns = (jobs.c.holder, jobs.c.holder_epoch, jobs.c.outcome)
        row = connection.execute(select(*columns).where(jobs.c.job_id == job_id).with_for_update()).first()
        if row is None:
            raise _unknown(job_id)
        if row.holder is not None and row.holder != self._station_id:
            if row.outcome is not None and connection.dialect.name != "sqlite":
                # However long it was silent: its certificate may lie in its folder, signed, and ours would be a second one.
                raise JobHeld(
                    f"its job has ended, and its certificate is station {row.holder}'s to issue",
                    subject=job_id,
                    remedy=f"Start station {row.holder}: it issues what is due by itself.",
                )
            _end_other(connection, row.holder, row.holder_epoch, job_id)
        mine = {"holder": self._station_id, "holder_epoch": self._epoch}
        connection.execute(update(jobs).where(jobs.c.job_id == job_id).values(mine))
        return _entries(job_id, connection)


def _tagged(record: CustodyRecord, state: JobState, connection: Connection) -> CustodyRecord:
    """With the drive's tag, which its job does not know."""
    tag = tag_of(state.drive.identity, "", connection) if state.drive is not None else ""
    return replace(record, drive=replace(record.drive, asset_tag=tag)) if tag else record


def custody_records(entry: Entry, before: JobState, place: str) -> list[CustodyRecord]:
    """What a job's end means for its drive; written in the same transaction, so that neither is there alone."""
    name = drive_name(before.drive.identity) if before.drive is not None else None
    if name is None:
        return []
    return [
        CustodyRecord(entry.at, place, before.request.operator, name, event)
        for event in custody_events(entry.event, before)
    ]


def custody_events(event: JobEvent, before: JobState) -> list[CustodyEvent]:
    """What goes into a drive's chain of custody when this happens to its job."""
    job_id = before.job_id
    match event:
        case JobFinished(outcome, reasons):
            ended: list[CustodyEvent] = [Erased(job_id, outcome)]
            if outcome is not Outcome.PASSED:
                codes = ", ".join(reason.code for reason in reasons)
                return [*ended, Quarantined(f"its job failed: {codes}", job_id)]
            if before.final_verification is not None:
                ended.append(Verified(job_id, before.final_verification.kind))
            return ended
        case JobRefused(reason) if reason != NEVER_BEGUN:
            return [Quarantined(f"it was refused: {reason}", job_id)]
        case _:
            return []


def derived_columns(state: JobState) -> dict[str, Any]:
    """The columns of `jobs` that are only an index over its events."""
    identity = state.drive.identity if state.drive is not None else None
    return {
        "is_open": state.is_open,
        "outcome": state.outcome.value if state.outcome is not None else None,
        "serial": own_serial(identity) if identity is not None else "",
        "world_wide_name": world_wide_name(identity) if identity is not None else "",
    }


def _held(job_id: str) -> JobHeld:
    return JobHeld("another process is working on this job", subject=job_id)


def _unknown(job_id: str) -> JournalError:
    return JournalError("there is no such job", subject=job_id)


def _nothing(_: Connection) -> None:
    """The fence before it says all."""


def _execute(connection: Connection, statement: Any) -> None:
    connection.execute(statement)


def _now(connection: Connection) -> Any:
    """Seconds since 1970 by the database's clock: the hosts' own need not agree."""
    if connection.dialect.name == "sqlite":
        return literal_column("((julianday('now') - 2440587.5) * 86400.0)")
    return literal_column("extract(epoch FROM clock_timestamp())::float8")


def _begin_epoch(station_id: str, connection: Connection) -> int:
    now = _now(connection)
    query = select(stations.c.epoch).where(stations.c.station_id == station_id).with_for_update()
    before = connection.execute(query).scalar()
    if before is None:
        connection.execute(insert(stations).values(station_id=station_id, epoch=1, seen_at=now))
        return 1
    changed = update(stations).where(stations.c.station_id == station_id)
    connection.execute(changed.values(epoch=before + 1, seen_at=now))
    return int(before) + 1


def _require_epoch(station_id: str, epoch: int, connection: Connection) -> None:
    mine = update(stations).where(stations.c.station_id == station_id, stations.c.epoch == epoch)
    if connection.execute(mine.values(seen_at=_now(connection))).rowcount != 1:
        raise JobHeld(
            "another host took this station's jobs over, for it was not heard of",
            subject=station_id,
            remedy="Its clock, network or disk stood still. Start it again.",
        )


def _end_other(connection: Connection, station_id: str, epoch: int, job_id: str) -> None:
    """Raises JobHeld while the holder lives; else makes sure that it writes nothing more."""
    query = select(stations.c.epoch, (_now(connection) - stations.c.seen_at).label("silence"))
    row = connection.execute(query.where(stations.c.station_id == station_id).with_for_update()).one()
    if row.epoch != epoch:
        return  # that holder was restarted or given up before
    # On SQLite the presence that we hold is the whole database's: nobody else is there.
    if connection.dialect.name != "sqlite" and row.silence < LEASE_SECONDS:
        raise JobHeld(f"station {station_id} is working on this job", subject=job_id)
    connection.execute(update(stations).where(stations.c.station_id == station_id).values(epoch=epoch + 1))


def _entries(job_id: str, connection: Connection) -> tuple[Entry, ...]:
    query = select(*_EVENT).where(job_events.c.job_id == job_id).order_by(job_events.c.sequence)
    found = tuple(entry_of(*row) for row in connection.execute(query))
    if not found:
        raise _unknown(job_id)
    return found


def _finished_on(identity: Identity, connection: Connection) -> list[Finished]:
    """Finished jobs on drives of either name, the last one first. Clones are among them."""
    # Clocks jump, and stations have their own: in what order jobs ended, the numbers of their custody records tell.
    ended = select(func.max(custody.c.number)).where(custody.c.job_id == jobs.c.job_id).scalar_subquery()
    query = (
        select(jobs.c.outcome, *_EVENT)
        .join(job_events, and_(job_events.c.job_id == jobs.c.job_id, job_events.c.sequence == _IDENTIFIED))
        .where(_is_named_as(identity), jobs.c.is_open == false(), jobs.c.outcome.is_not(None))
        .order_by(ended.desc())
    )
    return [_finished(outcome, *row) for outcome, *row in connection.execute(query)]


def _finished(outcome: str, job_id: str, *row: Any) -> Finished:
    event = entry_of(job_id, *row).event
    if not isinstance(event, DriveIdentified):
        raise corrupt(f"job {job_id}", "it is not known on which drive it was")
    return Finished(job_id, Outcome(outcome), event.drive)


def _reasons(job_id: str, connection: Connection) -> tuple[Reason, ...]:
    """Why a job failed, by its verdict."""
    query = select(*_EVENT).where(job_events.c.job_id == job_id, job_events.c.kind == JobFinished.kind)
    events = [entry_of(*row).event for row in connection.execute(query)]
    return next((event.reasons for event in events if isinstance(event, JobFinished)), ())


def _open_states(drive: Drive | None, connection: Connection) -> list[JobState]:
    query = select(jobs.c.job_id).where(jobs.c.is_open == true()).order_by(jobs.c.job_id)
    if drive is not None:
        query = query.where(_is_named_as(drive.identity))
    return [fold(_entries(job_id, connection)) for job_id in connection.execute(query).scalars().all()]


def _is_named_as(identity: Identity) -> ColumnElement[bool]:
    """Whether a job is on a drive that bears one of these names; without any, on one that has none either."""
    serial, wide = own_serial(identity), world_wide_name(identity)
    if not serial and not wide:
        return and_(jobs.c.serial == "", jobs.c.world_wide_name == "")
    return or_(*(column == name for column, name in ((jobs.c.serial, serial), (jobs.c.world_wide_name, wide)) if name))


def _open_jobs(station_id: str, connection: Connection) -> list[OpenJob]:
    # SQLite is one station's alone, whatever it was called when it worked on the job.
    is_ours = true() if connection.dialect.name == "sqlite" else jobs.c.holder == station_id
    is_planned = exists().where(job_events.c.job_id == jobs.c.job_id, job_events.c.sequence == _PLANNED)
    query = select(jobs.c.job_id, and_(jobs.c.outcome.is_not(None), is_ours), and_(~is_planned, is_ours))
    found = connection.execute(query.where(jobs.c.is_open == true()).order_by(jobs.c.job_id))
    return [OpenJob(job_id, bool(is_due), bool(is_unplanned)) for job_id, is_due, is_unplanned in found]


def _contradiction(job_id: str, connection: Connection) -> str:
    try:
        state = fold(_entries(job_id, connection))
    except JournalError as error:
        return str(error)
    columns = derived_columns(state)
    row = connection.execute(select(*(jobs.c[name] for name in columns)).where(jobs.c.job_id == job_id)).one()
    if row._asdict() != columns:
        return str(corrupt(f"job {job_id}", "its row in `jobs` does not follow from its events"))
    return ""
