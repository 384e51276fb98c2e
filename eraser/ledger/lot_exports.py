"""What became of a lot's drives, read out of the ledger drive by drive: for reports that others read.

Nothing of a customer or a supplier: no names that people typed, no free text. A drive is told of from its arrival with the lot
until it arrives with another one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Select, func, or_, select, true

from eraser.domain.custody import (
    CustodyRecord,
    DriveName,
    Erased,
    Gathered,
    HandedOver,
    Quarantined,
    Received,
    Verified,
    gather,
    standing,
)
from eraser.domain.log_entry import EntryKind
from eraser.domain.lot import Lot
from eraser.ledger.custody import record_of
from eraser.ledger.lots import newest_lot
from eraser.ledger.schema import certificates, custody, jobs, log_entries, lots

DRIVES_AT_ONCE = 200
"""So many are held in memory, however large the lot is."""


@dataclass(frozen=True, slots=True)
class ExportedLot:
    """`expected_drives` is None where nothing was said."""

    lot_id: str
    described_at: str
    standard: str
    level: str
    verification: str
    expected_drives: int | None


@dataclass(frozen=True, slots=True)
class ExportedJob:
    """`outcome` is empty while it is open; `log_index` counts from 0."""

    job_id: str
    outcome: str
    certificate_id: str = ""
    certificate_sha256: str = ""
    log_index: int | None = None
    is_withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class ExportedRecord:
    """One line of the chain of custody."""

    at: str
    event: str
    place: str
    operator: str
    job_id: str
    outcome: str


@dataclass(frozen=True, slots=True)
class ExportedDrive:
    """`match`: expected, unexpected, missing, or unsaid where no serial numbers were expected. `state`: here, released,
    handed-over, quarantined, destroyed, ambiguous (several drives bear its name), or missing.
    """

    lot_id: str
    serial: str
    world_wide_name: str
    asset_tag: str
    match: str
    state: str
    outcome: str
    received_at: str
    jobs: tuple[ExportedJob, ...]
    custody: tuple[ExportedRecord, ...]


def lots_between(first: str, last: str, connection: Connection) -> list[str]:
    """The lots that were described, or had a drive arrive, from the first moment on and before the last (RFC 3339, UTC)."""
    began = func.min(lots.c.at)
    described = select(lots.c.lot_id).group_by(lots.c.lot_id).having(began >= first, began < last)
    arrived = select(custody.c.lot_id).where(custody.c.lot_id.is_not(None), custody.c.at >= first, custody.c.at < last)
    found = {str(item) for query in (described, arrived.distinct()) for item in connection.execute(query).scalars()}
    return sorted(found)


def exported_lot(lot_id: str, connection: Connection) -> ExportedLot:
    """Raises UsageError for a lot that is not there."""
    lot = newest_lot(lot_id, connection)
    described_at = connection.execute(select(func.min(lots.c.at)).where(lots.c.lot_id == lot_id)).scalar_one()
    policy = lot.policy
    expected = lot.expected_drives if lot.expected_drives is not None else len(lot.expected_serials) or None
    level = policy.level.value if policy.level is not None else ""
    return ExportedLot(lot_id, described_at, policy.standard, level, policy.verification.value, expected)


def exported_drives(lot_id: str, connection: Connection) -> Iterator[ExportedDrive]:
    """In the order of their arrival, then those that are missing in the order in which they were expected. Read in one
    transaction, it is of one moment.
    """
    lot = newest_lot(lot_id, connection)
    expected, arrived = frozenset(lot.expected_serials), set[str]()
    after = 0
    while page := _arrivals(lot_id, after, connection):
        after = page[-1][0]
        for drive in _drives(lot, expected, page, connection):
            arrived.add(drive.serial)
            yield drive
    for serial in lot.expected_serials:
        if serial not in arrived:
            yield ExportedDrive(lot_id, serial, "", "", "missing", "missing", "", "", (), ())


def _arrivals(lot_id: str, after: int, connection: Connection) -> list[tuple[int, DriveName]]:
    query = select(custody.c.number, custody.c.serial, custody.c.world_wide_name, custody.c.asset_tag)
    rows = connection.execute(
        query.where(custody.c.lot_id == lot_id, custody.c.number > after)
        .order_by(custody.c.number)
        .limit(DRIVES_AT_ONCE)
    )
    return [(number, DriveName(*name)) for number, *name in rows]


def _drives(
    lot: Lot, expected: frozenset[str], page: Sequence[tuple[int, DriveName]], connection: Connection
) -> Iterator[ExportedDrive]:
    index = related([name for _, name in page], connection)
    found: list[tuple[Gathered, list[CustodyRecord]]] = []
    for number, name in page:
        gathered = gather(name, index.find)
        numbers = index.numbers(gathered.records)
        stay = list(_with_lot(lot.lot_id, list(zip(numbers, gathered.records, strict=True))))
        if stay and stay[0][0] == number:  # else it came with this lot before, and was told then
            found.append((gathered, [record for _, record in stay]))
    known = _jobs([records for _, records in found], [item.name for item, _ in found], connection)
    for gathered, records in found:
        yield _drive(lot.lot_id, expected, gathered, records, known)


def _with_lot(lot_id: str, records: list[tuple[int, CustodyRecord]]) -> Iterator[tuple[int, CustodyRecord]]:
    """From the arrival with this lot until the arrival with another."""
    is_within = False
    for number, record in records:
        if isinstance(record.event, Received):
            if is_within and record.event.lot_id != lot_id:
                return
            is_within = is_within or record.event.lot_id == lot_id
        if is_within:
            yield number, record


def _drive(
    lot_id: str,
    expected: frozenset[str],
    gathered: Gathered,
    records: list[CustodyRecord],
    known: "_Jobs",
) -> ExportedDrive:
    now, name = standing(records), gathered.name
    tags = [record.drive.asset_tag for record in records if record.drive.asset_tag]
    match = ("expected" if name.serial in expected else "unexpected") if expected else "unsaid"
    ended = [record.event.job_id for record in records if isinstance(record.event, Erased)]
    return ExportedDrive(
        lot_id,
        name.serial,
        name.world_wide_name,
        tags[-1] if tags else name.asset_tag,
        match,
        _state(gathered, records),
        now.outcome.value if now.outcome is not None else "",
        records[0].at,
        tuple([known.of(job_id) for job_id in ended] + known.open_on(name)),
        tuple(_record(record) for record in records),
    )


def _state(gathered: Gathered, records: list[CustodyRecord]) -> str:
    now = standing(records)
    if gathered.is_ambiguous or now.twice:
        return "ambiguous"
    if now.is_destroyed:
        return "destroyed"
    if any(isinstance(record.event, HandedOver) for record in records) and not now.is_here:
        return "handed-over"
    if now.quarantine:
        return "quarantined"
    return "released" if now.is_released else "here"


def _record(record: CustodyRecord) -> ExportedRecord:
    event = record.event
    job_id = event.job_id if isinstance(event, Erased | Verified | Quarantined) else ""
    outcome = event.outcome.value if isinstance(event, Erased) else ""
    return ExportedRecord(record.at, event.kind, record.place, record.operator, job_id, outcome)


# ---- many at once


class RecordIndex:
    """Records by each name of their drives, and their numbers."""

    def __init__(self) -> None:
        self._by_name: dict[tuple[int, str], dict[int, CustodyRecord]] = {}
        self._numbers: dict[int, int] = {}

    def add(self, number: int, record: CustodyRecord) -> None:
        self._numbers[id(record)] = number
        for key in _keys(record.drive):
            self._by_name.setdefault(key, {})[number] = record

    def find(self, name: DriveName) -> Mapping[int, CustodyRecord]:
        """Those that share any name."""
        found: dict[int, CustodyRecord] = {}
        for key in _keys(name):
            found |= self._by_name.get(key, {})
        return found

    def numbers(self, records: Sequence[CustodyRecord]) -> list[int]:
        """Of records that were found here."""
        return [self._numbers[id(record)] for record in records]


def _keys(name: DriveName) -> list[tuple[int, str]]:
    return [(place, value) for place, value in enumerate((name.serial, name.world_wide_name, name.asset_tag)) if value]


def related(names: Sequence[DriveName], connection: Connection) -> RecordIndex:
    """All records of these drives, also those under names that only other records tell."""
    index, seen = RecordIndex(), set[int]()
    asked: set[tuple[int, str]] = set()
    wanted = {key for name in names for key in _keys(name)}
    while wanted:
        asked |= wanted
        rows = list(connection.execute(_named(wanted)))
        wanted = set()
        for row in rows:
            if row.number in seen:
                continue
            seen.add(row.number)
            record = record_of(row.number, bytes(row.body))
            index.add(row.number, record)
            wanted |= {key for key in _keys(record.drive) if key not in asked}
    return index


def _named(keys: set[tuple[int, str]]) -> Select[tuple[int, bytes]]:
    columns = (custody.c.serial, custody.c.world_wide_name, custody.c.asset_tag)
    wanted = [[value for place, value in keys if place == own] for own in range(3)]
    conditions = [column.in_(values) for column, values in zip(columns, wanted, strict=True) if values]
    return select(custody.c.number, custody.c.body).where(or_(*conditions))


class _Jobs:
    """Of some drives."""

    def __init__(self, ended: dict[str, ExportedJob], open_jobs: dict[tuple[int, str], list[ExportedJob]]) -> None:
        self._ended = ended
        self._open = open_jobs

    def of(self, job_id: str) -> ExportedJob:
        """One that has ended."""
        return self._ended.get(job_id) or ExportedJob(job_id, "")

    def open_on(self, name: DriveName) -> list[ExportedJob]:
        """Those that have no verdict yet."""
        found = {job.job_id: job for key in _keys(name) for job in self._open.get(key, ())}
        return [job for job_id, job in sorted(found.items())]


def _jobs(stays: Sequence[Sequence[CustodyRecord]], names: Sequence[DriveName], connection: Connection) -> _Jobs:
    ids = {record.event.job_id for records in stays for record in records if isinstance(record.event, Erased)}
    query = (
        select(jobs.c.job_id, jobs.c.outcome, certificates.c.certificate_id, certificates.c.digest)
        .outerjoin(certificates, certificates.c.job_id == jobs.c.job_id)
        .where(jobs.c.job_id.in_(sorted(ids)))
    )
    rows = list(connection.execute(query)) if ids else []
    placed, withdrawn = _logged([row.certificate_id for row in rows if row.certificate_id], connection)
    ended = {
        row.job_id: ExportedJob(
            row.job_id,
            row.outcome or "",
            row.certificate_id or "",
            bytes(row.digest).hex() if row.digest is not None else "",
            placed.get(row.certificate_id),
            row.certificate_id in withdrawn,
        )
        for row in rows
    }
    return _Jobs(ended, _open_jobs(names, connection))


def _logged(certificate_ids: Sequence[str], connection: Connection) -> tuple[dict[str, int], set[str]]:
    """Where the log has certificates, and which of them it withdraws."""
    if not certificate_ids:
        return {}, set()
    columns = select(log_entries.c.number, log_entries.c.kind, log_entries.c.subject)
    rows = list(connection.execute(columns.where(log_entries.c.subject.in_(certificate_ids))))
    placed = {row.subject: row.number for row in rows if row.kind == EntryKind.CERTIFICATE.value}
    return placed, {row.subject for row in rows if row.kind == EntryKind.WITHDRAWAL.value}


def _open_jobs(names: Sequence[DriveName], connection: Connection) -> dict[tuple[int, str], list[ExportedJob]]:
    serials = [name.serial for name in names if name.serial]
    wide = [name.world_wide_name for name in names if name.world_wide_name]
    query = select(jobs.c.job_id, jobs.c.serial, jobs.c.world_wide_name).where(
        jobs.c.is_open == true(),
        jobs.c.outcome.is_(None),
        or_(jobs.c.serial.in_(serials), jobs.c.world_wide_name.in_(wide)),
    )
    found: dict[tuple[int, str], list[ExportedJob]] = {}
    for row in connection.execute(query):
        for key in [(place, value) for place, value in enumerate((row.serial, row.world_wide_name)) if value]:
            found.setdefault(key, []).append(ExportedJob(row.job_id, ""))
    return found
