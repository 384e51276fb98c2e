"""`eraser ledger check`: does the ledger agree with itself? Replays every job and every drive's chain of custody.

Jobs are replayed by several processes, each range of jobs in one snapshot, so that a station may go on writing meanwhile.
"""

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Engine, Select, func, select
from sqlalchemy.exc import SQLAlchemyError

from eraser.domain.custody import (
    AMBIGUOUS,
    CustodyEvent,
    CustodyRecord,
    DriveName,
    Erased,
    HandedOver,
    Released,
    drive_name,
    gather,
    may_record,
    standing,
)
from eraser.domain.events import CertificateIssued
from eraser.domain.intake import Opening
from eraser.domain.job import JobState, apply
from eraser.domain.log_entry import EntryKind
from eraser.domain.lot import Lot
from eraser.errors import EraserError, JournalError
from eraser.ledger import log, readmissions, retention, signed_records
from eraser.ledger.custody import custody_row, record_of
from eraser.ledger.engine import explained, open_engine, place
from eraser.ledger.migrating import require_current
from eraser.ledger.records import corrupt, event_of, value_of
from eraser.ledger.schema import certificates, custody, job_events, jobs, log_entries, lot_openings, lots
from eraser.ledger.sql_journal import custody_events, derived_columns

MAX_FINDINGS = 1000
"""Listed; all are counted."""
_JOBS_IN_A_RANGE = 500
_ROWS_AT_ONCE = 2000
_MANY_EVENTS = 20_000
"""From here on further processes pay for their start."""

_DERIVED = ("is_open", "outcome", "serial", "world_wide_name")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not agree: where, and what."""

    subject: str
    what: str


@dataclass(slots=True)
class Report:
    """What was looked at, and what was found."""

    jobs: int = 0
    open_jobs: int = 0
    events: int = 0
    certificates: int = 0
    custody_records: int = 0
    lots: int = 0
    log_entries: int = 0
    findings_total: int = 0
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        """Whether everything agrees."""
        return self.findings_total == 0

    def add(self, findings: Iterable[Finding]) -> None:
        """Counts all, lists the first ones."""
        for finding in findings:
            self.findings_total += 1
            if len(self.findings) < MAX_FINDINGS:
                self.findings.append(finding)


@dataclass(frozen=True, slots=True)
class _Range:
    """What replaying some jobs gave."""

    jobs: int
    open_jobs: int
    events: int
    certificates: int
    findings: tuple[Finding, ...]


def check(url: str, *, processes: int | None = None) -> Report:
    """Reads everything, changes nothing; blocks. Raises JournalError when the database can't be read at all."""
    began = time.monotonic()
    engine = open_engine(url)
    try:
        require_current(engine)
        report = Report()
        with _replayed(engine, url, processes or os.cpu_count() or 1) as jobs_by_ranges:
            _check_storage(engine, report)
            _check_custody(engine, report)
            _check_lots(engine, report)
            _check_log(engine, report)
            _add(report, jobs_by_ranges)
    except SQLAlchemyError as error:
        raise explained(error, engine) from error
    finally:
        engine.dispose()
        if (own := _engines.pop(url, None)) is not None:
            own.dispose()
    report.seconds = time.monotonic() - began
    return report


def _check_storage(engine: Engine, report: Report) -> None:
    if engine.dialect.name != "sqlite":
        return
    with engine.connect() as connection:
        answers = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA quick_check(100)")]
        if answers != ["ok"]:
            report.add(Finding(place(engine), answer) for answer in answers)


@contextmanager
def _replayed(engine: Engine, url: str, processes: int) -> Iterator[Iterable[_Range]]:
    """What replaying all jobs gives, range by range; where several processes do it, they are at it already."""
    with engine.connect() as connection:
        ids = list(connection.execute(select(jobs.c.job_id).order_by(jobs.c.job_id)).scalars())
        events = connection.execute(select(func.count()).select_from(job_events)).scalar_one()
    ranges = _split(ids, url, processes)
    if processes == 1 or events < _MANY_EVENTS or len(ranges) < 2:
        yield map(_check_range, ranges)
        return
    # Forking would copy the locks of whatever threads run here.
    with ProcessPoolExecutor(min(processes, len(ranges)), multiprocessing.get_context("spawn")) as pool:
        yield pool.map(_check_range, ranges)


def _split(ids: Sequence[str], url: str, processes: int) -> list[tuple[str, str, str]]:
    """Ranges of jobs, several for each process, at most `_JOBS_IN_A_RANGE` in one."""
    size = max(1, min(_JOBS_IN_A_RANGE, len(ids) // (4 * processes)))
    return [(url, ids[start], ids[min(start + size, len(ids)) - 1]) for start in range(0, len(ids), size)]


def _add(report: Report, results: Iterable[_Range]) -> None:
    for result in results:
        report.jobs += result.jobs
        report.open_jobs += result.open_jobs
        report.events += result.events
        report.certificates += result.certificates
        report.add(result.findings)


def _check_log(engine: Engine, report: Report) -> None:
    with engine.connect() as connection, connection.begin():
        report.log_entries = log.size(connection)
        report.add(Finding("the log", what) for what in log.disagreements(connection))
        issued = select(certificates.c.certificate_id, certificates.c.digest)
        logged = select(log_entries.c.subject, log_entries.c.digest, log_entries.c.number).where(
            log_entries.c.kind == EntryKind.CERTIFICATE.value
        )
        removed = retention.removed_entries(connection)
        counts = Counter(
            (row[0], bytes(row[1])) for row in connection.execute(logged) if not removed or row.number not in removed
        )
        for certificate_id, digest in connection.execute(issued):
            if counts.pop((certificate_id, bytes(digest)), 0) != 1:
                report.add([Finding(f"certificate {certificate_id}", "the log does not have it exactly once")])
        again = readmissions.subjects(connection)
        for key in [key for key, count in counts.items() if count == 1 and key[0] in again]:
            counts.pop(key)
        report.add(Finding("the log", f"it has certificate {subject}, the ledger has not") for subject, _ in counts)
        report.add(_wrong_withdrawals(removed, connection))
        report.add(Finding("the log", what) for what in retention.disagreements(connection))
        report.add(Finding("the log", what) for what in signed_records.disagreements(removed, connection))


def _wrong_withdrawals(removed: set[int], connection: Connection) -> list[Finding]:
    known = set(connection.execute(select(certificates.c.certificate_id)).scalars()) | readmissions.subjects(connection)
    subjects = select(log_entries.c.number, log_entries.c.subject) if removed else None
    if subjects is not None:
        known |= {row.subject for row in connection.execute(subjects) if row.number in removed}
    counts = Counter(log.withdrawn(connection, log.size(connection)))
    unknown = [
        Finding("the log", f"it withdraws certificate {item}, the ledger has none") for item in counts.keys() - known
    ]
    return unknown + [
        Finding("the log", f"it withdraws certificate {item} {n} times") for item, n in counts.items() if n > 1
    ]


# ---- one range of jobs, perhaps in a process of its own


def _check_range(arguments: tuple[str, str, str]) -> _Range:
    url, first, last = arguments
    engine = _engine(url)
    with engine.connect() as connection, connection.begin():
        rows = {row.job_id: row for row in connection.execute(_between(select(jobs), jobs.c.job_id, first, last))}
        issued = _grouped(connection, select(certificates), certificates.c.job_id, first, last)
        recorded = _grouped(connection, select(custody).order_by(custody.c.number), custody.c.job_id, first, last)
        columns = select(*(job_events.c[name] for name in ("job_id", "sequence", "at", "kind", "body", "digest")))
        query = _between(columns, job_events.c.job_id, first, last).execution_options(yield_per=_ROWS_AT_ONCE)
        events = connection.execute(query.order_by(job_events.c.job_id, job_events.c.sequence))
        findings: list[Finding] = []
        count = open_jobs = 0
        unseen = set(rows)
        for job_id, group in groupby(events, key=itemgetter(0)):
            unseen.discard(job_id)
            own = list(group)
            count += len(own)
            found, is_open = _check_job(job_id, own, rows.get(job_id), issued.get(job_id, []), recorded.get(job_id, []))
            findings += found
            open_jobs += is_open
        findings += [Finding(f"job {job_id}", "it has no events") for job_id in sorted(unseen)]
        return _Range(len(rows), open_jobs, count, sum(map(len, issued.values())), tuple(findings))


_engines: dict[str, Engine] = {}


def _engine(url: str) -> Engine:
    """One a process."""
    if url not in _engines:
        _engines[url] = open_engine(url)
    return _engines[url]


def _between(query: Select[Any], column: Any, first: str, last: str) -> Select[Any]:
    return query.where(column >= first, column <= last)


def _grouped(connection: Connection, query: Select[Any], column: Any, first: str, last: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in connection.execute(_between(query, column, first, last)):
        found.setdefault(row.job_id, []).append(row)
    return found


def _check_job(
    job_id: str, events: Sequence[Any], row: Any, issued: Sequence[Any], recorded: Sequence[Any]
) -> tuple[list[Finding], bool]:
    try:
        state, certified, expected = _replay(job_id, events)
    except EraserError as error:
        return [Finding(f"job {job_id}", str(error))], False
    wrong = []
    derived = derived_columns(state)
    wrong += [
        f"{name} is {getattr(row, name)!r}, its events say {derived[name]!r}"
        for name in _DERIVED
        if getattr(row, name) != derived[name]
    ]
    if [(item.certificate_id, bytes(item.digest)) for item in issued] != certified:
        wrong.append("the list of certificates differs from its events")
    try:
        records = [record_of(item.number, bytes(item.body)) for item in recorded]
    except EraserError as error:
        return [Finding(f"job {job_id}", str(error))], state.is_open
    name = drive_name(state.drive.identity) if state.drive is not None else None
    # The tag is what it was called by then; the job's events do not know it.
    if [(replace(record.drive, asset_tag=""), record.event) for record in records] != [
        (name, event) for event in expected if name is not None
    ]:
        wrong.append("its drive's chain of custody differs from its events")
    return [Finding(f"job {job_id}", what) for what in wrong], state.is_open


def _replay(job_id: str, rows: Sequence[Any]) -> tuple[JobState, list[tuple[str, bytes]], list[CustodyEvent]]:
    """The state, the certificates (id, digest) and what must stand in the drive's chain of custody."""
    state: JobState | None = None
    certified: list[tuple[str, bytes]] = []
    expected: list[CustodyEvent] = []
    for number, row in enumerate(rows):
        event = event_of(*row)
        if row[1] != number:
            raise corrupt(f"job {job_id}", f"event {number} is missing (found {row[1]})")
        if state is not None:
            expected += custody_events(event, state)
        state = apply(state, event, row[2])
        if isinstance(event, CertificateIssued):
            certified.append((event.certificate_id, event.digest))
    if state is None or state.job_id != job_id:
        raise JournalError("its first event is of another job", subject=job_id)
    return state, certified, expected


# ---- chain of custody, lots


def _check_custody(engine: Engine, report: Report) -> None:
    """Every record reads, agrees with its columns, and the exit gate would let pass again what it let pass."""
    seen = _Index()
    with engine.connect() as connection, connection.begin():
        for row in connection.execute(select(custody).order_by(custody.c.number)):
            report.custody_records += 1
            try:
                record = record_of(row.number, bytes(row.body))
            except EraserError as error:
                report.add([Finding(f"custody record {row.number}", str(error))])
                continue
            report.add(_check_record(row, record, seen))
            seen.add(row.number, record)


def _check_record(row: Any, record: CustodyRecord, seen: "_Index") -> Iterator[Finding]:
    subject = f"custody record {row.number}"
    for name, value in custody_row(record).items():
        if name != "body" and getattr(row, name) != value:
            yield Finding(subject, f"{name} is {getattr(row, name)!r}, its content says {value!r}")
    if isinstance(record.event, Erased) and row.job_id is None:
        yield Finding(subject, "it tells of a job and names none")
    if isinstance(record.event, Released | HandedOver):
        known = gather(record.drive, seen.find)
        no = AMBIGUOUS if known.is_ambiguous else may_record(standing(known.records), record.event)
        if no is not None:
            yield Finding(subject, f"the exit gate should have refused it: {no.what}")


class _Index:
    """Records by each name of their drives."""

    def __init__(self) -> None:
        self._by_name: dict[tuple[str, str], dict[int, CustodyRecord]] = {}

    def add(self, number: int, record: CustodyRecord) -> None:
        for key in _keys(record.drive):
            self._by_name.setdefault(key, {})[number] = record

    def find(self, name: DriveName) -> Mapping[int, CustodyRecord]:
        """Those that share any name."""
        found: dict[int, CustodyRecord] = {}
        for key in _keys(name):
            found |= self._by_name.get(key, {})
        return found


def _keys(name: DriveName) -> list[tuple[str, str]]:
    pairs = (("serial", name.serial), ("world_wide_name", name.world_wide_name), ("asset_tag", name.asset_tag))
    return [pair for pair in pairs if pair[1]]


def _check_lots(engine: Engine, report: Report) -> None:
    with engine.connect() as connection, connection.begin():
        for row in connection.execute(select(lots).order_by(lots.c.lot_id, lots.c.revision)):
            report.lots += row.revision == 1
            try:
                lot = value_of(Lot, bytes(row.body), f"lot {row.lot_id}")
            except EraserError as error:
                report.add([Finding(f"lot {row.lot_id}", str(error))])
                continue
            if lot.lot_id != row.lot_id:
                report.add([Finding(f"lot {row.lot_id}", f"its content is of lot {lot.lot_id}")])
        for row in connection.execute(select(lot_openings).order_by(lot_openings.c.number)):
            report.add(_check_opening(row))


def _check_opening(row: Any) -> Iterator[Finding]:
    subject = f"opening {row.number} of lot {row.lot_id}"
    try:
        opening = value_of(Opening, bytes(row.body), subject)
    except EraserError as error:
        yield Finding(subject, str(error))
        return
    if (opening.lot_id, opening.station_id) != (row.lot_id, row.station_id):
        yield Finding(subject, f"its content is of lot {opening.lot_id} at {opening.station_id}")
