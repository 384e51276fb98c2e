"""What has expired: whole drives that have left, with their jobs, and lots of which nothing is left. Everything else stays.

A drive's records go together or not at all, so that what stays still agrees with itself. The log keeps its entries: its hashes
are what old proofs stand on.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, delete, exists, false, func, insert, or_, select

from eraser.domain.custody import CustodyRecord, Destroyed, DriveName, gather, standing
from eraser.domain.log_entry import EntryKind
from eraser.ledger.lot_exports import DRIVES_AT_ONCE, RecordIndex, related
from eraser.ledger.schema import (
    asset_tags,
    attendances,
    certificate_index,
    certificates,
    custody,
    expiring,
    job_events,
    jobs,
    log_entries,
    lot_openings,
    lots,
    removals,
    signed_records,
    specifications,
    trail,
    vault_log,
    vault_receipts,
    vault_records,
)

KINDS = (
    "custody",
    "jobs",
    "job_events",
    "certificates",
    "asset_tags",
    "lots",
    "lot_openings",
    "signed_records",
    "trail",
    "attendances",
    "specifications",
    "vault_records",
    "vault_receipts",
    "vault_log",
)
"""Of rows that are removed, in the order in which records of removals list them."""


@dataclass(frozen=True, slots=True)
class Periods:
    """For how many years each is kept; as long as the ledger's jobs and custody where nothing is said."""

    ledger: int
    trail: int | None = None
    attendances: int | None = None
    specifications: int | None = None
    vault: int | None = None
    """What is left of a lot's customers, counted from the destruction of their keys."""


_NUMBERED = (custody, asset_tags, signed_records, trail, attendances, specifications, vault_log)
"""Tables whose rows are named by their numbers."""


def cutoff(now: str, years: int) -> str:
    """What is older has expired. Both RFC 3339 in UTC with milliseconds."""
    moment = datetime.fromisoformat(now)
    try:
        earlier = moment.replace(year=moment.year - years)
    except ValueError:  # the 29th of February
        earlier = moment.replace(year=moment.year - years, day=28)
    return earlier.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class Expired:
    """Rows by their ids, and between which moments they were written."""

    rows: dict[str, set[str]] = field(default_factory=lambda: {kind: set() for kind in KINDS})
    first_at: str = ""
    last_at: str = ""
    entries: list[int] = field(default_factory=list)
    """Numbers in the log of the certificates and records of destruction that are among them."""
    drives: int = 0
    names: tuple[DriveName, ...] = ()
    """By which a single drive is found again; none of a job without records, and of many."""

    def add(self, other: "Expired") -> None:
        """Takes in more."""
        for kind in KINDS:
            self.rows[kind] |= other.rows[kind]
        self.saw(other.first_at, other.last_at)
        self.entries += other.entries
        self.drives += other.drives

    def saw(self, *moments: str) -> None:
        """Of rows that are among them."""
        known = [moment for moment in (self.first_at, self.last_at, *moments) if moment]
        self.first_at, self.last_at = (min(known), max(known)) if known else ("", "")

    @property
    def count(self) -> int:
        """Of all rows."""
        return sum(map(len, self.rows.values()))

    @property
    def digest(self) -> bytes:
        """SHA-256 over a line for each row, its table and its id with a space between, sorted by their bytes: whoever has an
        older backup can tell that these rows were removed and no others.
        """
        lines = sorted(f"{kind} {key}\n".encode() for kind, keys in self.rows.items() for key in keys)
        return sha256(b"".join(lines)).digest()


def expired_drives(before: str, connection: Connection) -> Iterator[Expired]:
    """Each drive of which everything is older than that, and which is not here and not held."""
    seen: set[int] = set()
    after = 0
    while page := _old_records(before, after, connection):
        after = page[-1][0]
        index = related([name for _, name in page], connection)
        for number, name in page:
            if number in seen:
                continue
            component, records = _component(name, index)
            seen |= {item for item in component if item > after}
            if number == min(component) and (found := _expired(before, component, records, connection)) is not None:
                yield found
    yield from _jobs_without_records(before, connection)


def looked_at_anew(found: Expired, before: str, connection: Connection) -> Expired | None:
    """The same drive as it is now; None where it is no longer, or something came in between that keeps it."""
    if found.names:
        component, names = _component(found.names[0], related(found.names[:1], connection))
        return _expired(before, component, names, connection) if component else None
    new = Expired()
    query = select(jobs).where(jobs.c.job_id.in_(found.rows["jobs"]), jobs.c.is_open == false(), ~_has_records())
    own = connection.execute(query).all()
    return new if own and _add_jobs(new, own, before, connection) else None


def expired_lots(before: str, connection: Connection) -> Expired:
    """Lots that are closed, of which no drive is left and no customer's data, and of which nothing was said since."""
    has_drives = exists().where(custody.c.lot_id == lots.c.lot_id)
    has_customers = exists().where(vault_records.c.lot_id == lots.c.lot_id)
    query = (
        select(lots.c.lot_id, func.min(lots.c.at), func.max(lots.c.at))
        .where(~has_drives, ~has_customers)
        .group_by(lots.c.lot_id)
        .having(func.max(lots.c.at) < before)
        .order_by(lots.c.lot_id)
    )
    found = Expired()
    for lot_id, first, last in connection.execute(query).all():
        openings = connection.execute(
            select(lot_openings).where(lot_openings.c.lot_id == lot_id).order_by(lot_openings.c.number)
        ).all()
        is_open = {row.station_id: row.is_open for row in openings}
        if any(is_open.values()) or any(row.at >= before for row in openings):
            continue
        revisions = connection.execute(select(lots.c.revision).where(lots.c.lot_id == lot_id)).scalars()
        found.rows["lots"] |= {f"{lot_id} {revision}" for revision in revisions}
        found.rows["lot_openings"] |= {str(row.number) for row in openings}
        found.saw(first, last, *(row.at for row in openings))
    return found


def remove(found: Expired, connection: Connection) -> None:
    """Within a transaction that writes, in which the record of it is kept. The triggers look at each row once more."""
    named = {
        "jobs": found.rows["jobs"],
        "lots": {row.rpartition(" ")[0] for row in found.rows["lots"]},
        "vault_records": {row.partition(" ")[0] for row in found.rows["vault_records"]},
        **{table.name: found.rows[table.name] for table in _NUMBERED},
    }
    rows = [{"relation": relation, "key": key} for relation, keys in named.items() for key in sorted(keys)]
    connection.execute(insert(expiring), rows)
    job_ids, lot_ids = sorted(named["jobs"]), sorted(named["lots"])
    for table in _NUMBERED:
        _delete(table, table.c.number, map(int, named[table.name]), connection)
    for table in (vault_receipts, vault_records):
        _delete(table, table.c.record_id, named["vault_records"], connection)
    _delete(certificate_index, certificate_index.c.number, found.entries, connection)
    # Certificates before the events, by whose times they are old.
    for table in (certificates, job_events, jobs):
        _delete(table, table.c.job_id, job_ids, connection)
    for table in (lot_openings, lots):
        _delete(table, table.c.lot_id, lot_ids, connection)
    connection.execute(delete(expiring))


def keep_record(name: str, at: str, note: bytes, found: Expired, connection: Connection) -> None:
    """The signed record of a removal, in the transaction that removes."""
    body = json.dumps({"entries": sorted(found.entries)}).encode()
    connection.execute(insert(removals).values(name=name, at=at, note=note, body=body))


def removed_entries(connection: Connection) -> set[int]:
    """Numbers in the log of all certificates and records of destruction that were removed with a record."""
    bodies = connection.execute(select(removals.c.body)).scalars()
    return {number for body in bodies for number in json.loads(bytes(body))["entries"]}


def disagreements(connection: Connection) -> Iterator[str]:
    """What removals contradict."""
    if connection.execute(select(expiring.c.key).limit(1)).first() is not None:
        yield "rows are named as expiring, and no removal is under way"
    for row in connection.execute(select(removals).order_by(removals.c.number)).all():
        text = bytes(row.note).rpartition(b"\n\n")[0] + b"\n"
        logged = select(log_entries.c.digest).where(
            log_entries.c.kind == EntryKind.REMOVAL.value, log_entries.c.subject == row.name
        )
        if [bytes(item) for item in connection.execute(logged).scalars()] != [sha256(text).digest()]:
            yield f"the log does not have {row.name} exactly once"
    kept = select(func.count()).select_from(removals)
    entries = select(func.count()).select_from(log_entries).where(log_entries.c.kind == EntryKind.REMOVAL.value)
    if connection.execute(kept).scalar_one() != connection.execute(entries).scalar_one():
        yield "the log has other removals than the ledger"


# ---- one drive


def _old_records(before: str, after: int, connection: Connection) -> list[tuple[int, DriveName]]:
    columns = select(custody.c.number, custody.c.serial, custody.c.world_wide_name, custody.c.asset_tag)
    query = columns.where(custody.c.number > after, custody.c.at < before).order_by(custody.c.number)
    return [(number, DriveName(*name)) for number, *name in connection.execute(query.limit(DRIVES_AT_ONCE))]


def _component(name: DriveName, index: RecordIndex) -> tuple[dict[int, CustodyRecord], list[DriveName]]:
    """All records that share a name with this one, or with one that does, and so on."""
    found: dict[int, CustodyRecord] = {}
    names = [name]
    while names:
        for number, record in index.find(names.pop()).items():
            if number not in found:
                found[number] = record
                names.append(record.drive)
    return found, [record.drive for record in found.values()]


def _expired(
    before: str, component: dict[int, CustodyRecord], names: Sequence[DriveName], connection: Connection
) -> Expired | None:
    if any(record.at >= before for record in component.values()):
        return None
    gathered = gather(names[0], lambda _: component)
    now = standing(gathered.records)
    # What is known of a drive that is here, or is held, or may be two, is needed still.
    is_done = now.is_destroyed or not (now.is_here or now.quarantine or now.twice)
    if gathered.is_ambiguous or len(gathered.records) != len(component) or not is_done:
        return None
    found = Expired(drives=1, names=tuple(names))
    found.rows["custody"] = {str(number) for number in component}
    found.saw(*(record.at for record in component.values()))
    own = _jobs_of(component, names, connection)
    if not {key for row in own for key in (row.serial, row.world_wide_name)} <= {"", *_numbers(names)}:
        return None  # a job knows the drive by a name that its records do not: another one's, perhaps
    if not _add_jobs(found, own, before, connection) or not _add_tags(found, names, before, connection):
        return None
    _add_destructions(
        found, [record for record in component.values() if isinstance(record.event, Destroyed)], connection
    )
    return found


def _numbers(names: Sequence[DriveName]) -> set[str]:
    """The serial numbers and world-wide names."""
    return {key for name in names for key in (name.serial, name.world_wide_name)} - {""}


def _jobs_of(component: dict[int, CustodyRecord], names: Sequence[DriveName], connection: Connection) -> list[Any]:
    serials = sorted({name.serial for name in names} - {""})
    wide = sorted({name.world_wide_name for name in names} - {""})
    recorded = select(custody.c.job_id).where(custody.c.number.in_(component), custody.c.job_id.is_not(None))
    is_own = or_(jobs.c.serial.in_(serials), jobs.c.world_wide_name.in_(wide), jobs.c.job_id.in_(recorded))
    return list(connection.execute(select(jobs).where(is_own)).all())


def _add_jobs(found: Expired, own: Sequence[Any], before: str, connection: Connection) -> bool:
    """Whether all of them have ended long enough ago."""
    ids = [row.job_id for row in own]
    if any(row.is_open for row in own):
        return False
    times = select(job_events.c.job_id, job_events.c.sequence, job_events.c.at).where(job_events.c.job_id.in_(ids))
    for row in connection.execute(times):
        if row.at >= before:
            return False
        found.rows["job_events"].add(f"{row.job_id} {row.sequence}")
        found.saw(row.at)
    found.rows["jobs"] |= set(ids)
    issued = list(
        connection.execute(select(certificates.c.certificate_id).where(certificates.c.job_id.in_(ids))).scalars()
    )
    found.rows["certificates"] |= set(issued)
    logged = select(log_entries.c.number).where(
        log_entries.c.kind == EntryKind.CERTIFICATE.value, log_entries.c.subject.in_(issued)
    )
    found.entries += [int(number) for number in connection.execute(logged).scalars()] if issued else []
    return True


def _add_tags(found: Expired, names: Sequence[DriveName], before: str, connection: Connection) -> bool:
    bound = sorted(_numbers(names))
    tags = sorted({name.asset_tag for name in names} - {""})
    query = select(asset_tags).where(or_(asset_tags.c.serial.in_(bound), asset_tags.c.tag.in_(tags)))
    for row in connection.execute(query):
        if row.at >= before:
            return False
        found.rows["asset_tags"].add(str(row.number))
        found.saw(row.at)
    return True


def _add_destructions(found: Expired, destroyed: Sequence[CustodyRecord], connection: Connection) -> None:
    """The signed records of a drive's destruction. Each was put on record at its custody's own moment, and names the drive."""
    if not destroyed:
        return
    at = {record.at for record in destroyed}
    names = {key for record in destroyed for key in _keys(record.drive)}
    query = select(signed_records).where(
        signed_records.c.kind == EntryKind.DESTRUCTION.value, signed_records.c.at.in_(sorted(at))
    )
    for row in connection.execute(query).all():
        drive = json.loads(bytes(row.document))["destruction"]["drive"]
        if not names & set(_keys(DriveName(**drive))):
            continue
        found.rows["signed_records"].add(str(row.number))
        logged = select(log_entries.c.number).where(
            log_entries.c.kind == EntryKind.DESTRUCTION.value, log_entries.c.subject == row.subject
        )
        found.entries += [int(number) for number in connection.execute(logged).scalars()]


def _keys(name: DriveName) -> list[tuple[str, str]]:
    pairs = (("serial", name.serial), ("wwn", name.world_wide_name), ("tag", name.asset_tag))
    return [pair for pair in pairs if pair[1]]


def _jobs_without_records(before: str, connection: Connection) -> Iterator[Expired]:
    """Jobs on drives that nothing tells from others, and jobs that were refused: no chain of custody has them."""
    after = ""
    while True:
        query = select(jobs).where(jobs.c.job_id > after, jobs.c.is_open == false(), ~_has_records())
        page = connection.execute(query.order_by(jobs.c.job_id).limit(DRIVES_AT_ONCE)).all()
        if not page:
            return
        after = page[-1].job_id
        for row in page:
            found = Expired()
            if _add_jobs(found, [row], before, connection) and found.rows["job_events"]:
                yield found


def _has_records() -> ColumnElement[bool]:
    """Of a job: whether a chain of custody has it, or its drive."""
    by_serial = exists().where((jobs.c.serial != "") & (custody.c.serial == jobs.c.serial))
    is_same_name = (jobs.c.world_wide_name != "") & (custody.c.world_wide_name == jobs.c.world_wide_name)
    return or_(by_serial, exists().where(is_same_name), exists().where(custody.c.job_id == jobs.c.job_id))


def _delete(table: Table, column: Any, keys: Any, connection: Connection) -> None:
    wanted = sorted(keys)
    for start in range(0, len(wanted), 500):
        connection.execute(delete(table).where(column.in_(wanted[start : start + 500])))
