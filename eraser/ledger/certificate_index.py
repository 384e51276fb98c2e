"""Finding certificates among very many: by serial number, lot, date, outcome. An index over the log and the jobs' events.

It follows from them alone, so it may be behind or be emptied: `refresh` brings it up to the log's end. Nothing that issues a
certificate waits for it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    exists,
    false,
    func,
    insert,
    or_,
    select,
    true,
    update,
)

from eraser.domain.custody import HandedOver, Received, own_serial, world_wide_name
from eraser.domain.events import (
    CertificateIssued,
    DriveIdentified,
    Entry,
    JobFinished,
    JobPlanned,
    Outcome,
    PassEnded,
    VerificationEnded,
)
from eraser.domain.log_entry import EntryKind
from eraser.errors import EraserError, UsageError
from eraser.ledger import log, readmissions
from eraser.ledger.custody import hold_gate
from eraser.ledger.records import entry_of
from eraser.ledger.schema import certificate_index as index
from eraser.ledger.schema import certificates, custody, job_events, log_entries, signed_records
from eraser.ledger.store import Store, Work

MOST_AT_ONCE = 200
"""Certificates that one step of `refresh` takes in: about 0.1 s of the writer's time."""
MAX_PAGE = 500
_LAST_CHARACTER = "\U0010ffff"

_TELLING: tuple[type[Any], ...] = (
    DriveIdentified,
    JobPlanned,
    PassEnded,
    VerificationEnded,
    JobFinished,
    CertificateIssued,
)
"""The events that a row follows from; there are far fewer of them than checkpoints."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """A certificate as the index knows it; `digest` is SHA-256 of its signed bytes. Sizes in bytes, times RFC 3339 in UTC.

    `level` is what was reached, empty if it failed; `reason` the code of the first one, empty if it passed.
    """

    number: int
    certificate_id: str
    job_id: str
    digest: bytes
    issued_at: str
    finished_at: str
    serial: str
    is_serial_own: bool
    world_wide_name: str
    device: str
    model: str
    lot_id: str
    outcome: str
    standard: str
    level: str
    verification: str
    reason: str
    capacity_bytes: int
    bytes_done: int
    busy_seconds: float
    withdrawn: int | None


@dataclass(frozen=True, slots=True)
class Search:
    """What is asked for; what is empty is not asked. `drive`: the beginning of a serial number, or a whole world-wide name;
    `since` and `until`: days (UTC) of issuing, both included; `outcome`: passed, failed or withdrawn.
    """

    drive: str = ""
    lot_id: str = ""
    outcome: str = ""
    standard: str = ""
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some of what was found, the newest first. `after`: give it to the next search to go on; None at the end."""

    found: tuple[Indexed, ...]
    after: int | None


WITHDRAWN = "withdrawn"


class CertificateIndex:
    """Over one ledger, which several stations may share: each may refresh it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def refresh(self) -> None:
        """Takes in what the log has got since; durable when it returns. After very many it takes seconds, in steps."""
        while rows := await self._store.read(_missing):
            await self._store.write(partial(_take_in, rows))
        if await self._store.read(_unmarked):
            await self._store.write(_mark_withdrawn)

    async def search(self, search: Search, *, after: int | None = None, limit: int = 50) -> Page:
        """The newest first; `after` is what the page before answered."""
        return await self._store.read(partial(_search, search, after, min(limit, MAX_PAGE)))

    async def count(self, search: Search) -> int:
        """How many the search finds."""
        query = select(func.count()).select_from(index).where(*conditions(search))
        return await self._store.read(lambda connection: int(connection.execute(query).scalar() or 0))

    async def one(self, certificate_id: str) -> Indexed | None:
        """By its id; None where the log has none of it."""
        query = select(index).where(index.c.certificate_id == certificate_id)
        found = await self._store.read(partial(indexed, query))
        return found[0] if found else None

    async def newer(self, item: Indexed) -> Indexed | None:
        """The newest of the later certificates of the same drive that are not withdrawn; None if there are none, or nothing
        tells the drive from others.
        """
        names = [index.c.world_wide_name == item.world_wide_name] if item.world_wide_name else []
        if item.is_serial_own:
            names.append(and_(index.c.serial == item.serial, index.c.is_serial_own == true()))
        if not names:
            return None
        query = select(index).where(or_(*names), index.c.number > item.number, index.c.withdrawn.is_(None))
        found = await self._store.read(partial(indexed, query.order_by(index.c.number.desc()).limit(1)))
        return found[0] if found else None

    async def of_job(self, job_id: str) -> Indexed | None:
        """The certificate that a job ended with, if it has."""
        query = (
            select(index)
            .join(certificates, certificates.c.certificate_id == index.c.certificate_id)
            .where(certificates.c.job_id == job_id)
        )
        found = await self._store.read(partial(indexed, query))
        return found[0] if found else None


# ---- searching


def _search(search: Search, after: int | None, limit: int, connection: Connection) -> Page:
    query = select(index).where(*conditions(search)).order_by(index.c.number.desc()).limit(limit + 1)
    found = indexed(query if after is None else query.where(index.c.number < after), connection)
    has_more = len(found) > limit
    return Page(found[:limit], found[limit - 1].number if has_more else None)


def conditions(search: Search) -> list[ColumnElement[bool]]:
    """Of the rows that the search finds. Raises UsageError for an outcome that there is not."""
    asked: list[ColumnElement[bool]] = []
    if not (search.drive + search.lot_id + search.standard).isprintable():
        return [false()]  # nothing has such a name, and PostgreSQL takes no NUL
    if drive := search.drive.strip():
        asked.append(
            or_(
                and_(index.c.serial >= drive, index.c.serial < drive + _LAST_CHARACTER),
                index.c.world_wide_name == drive.lower(),
            )
        )
    if search.lot_id:
        asked.append(index.c.lot_id == search.lot_id)
    if search.outcome == WITHDRAWN:
        asked.append(index.c.withdrawn.is_not(None))
    elif search.outcome:
        asked += [index.c.outcome == _outcome(search.outcome), index.c.withdrawn.is_(None)]
    if search.standard:
        asked.append(index.c.standard == search.standard)
    if search.since:
        asked.append(index.c.issued_at >= search.since.isoformat())
    if search.until:
        asked.append(index.c.issued_at < end_of(search.until))
    return asked


def end_of(day: date) -> str:
    """After every moment of the day (UTC), before the next: the last day that there is has no next one."""
    return f"{day.isoformat()}T24"


def _outcome(text: str) -> str:
    try:
        return Outcome(text).value
    except ValueError:
        raise UsageError("it is no outcome", subject=text, remedy="Ask for passed, failed or withdrawn.") from None


def indexed(query: Any, connection: Connection) -> tuple[Indexed, ...]:
    """The rows of a query over the index."""
    return tuple(
        Indexed(**{**row._asdict(), "digest": bytes(row.digest), "is_serial_own": bool(row.is_serial_own)})
        for row in connection.execute(query)
    )


# ---- filling


def bring_up(read: Callable[[Work[Any]], Any], write: Callable[[Work[Any]], Any]) -> None:
    """The same as `CertificateIndex.refresh` for who holds no store: `read` and `write` are transactions of their own."""
    while rows := read(_missing):
        write(partial(_take_in, rows))
    if read(_unmarked):
        write(_mark_withdrawn)


def _missing(connection: Connection) -> list[dict[str, Any]]:
    """Rows for the next certificates of the log; empty when it has no more."""
    newest = connection.execute(select(func.max(index.c.number))).scalar()
    is_readmitted = and_(
        signed_records.c.kind == EntryKind.CERTIFICATE.value, signed_records.c.subject == log_entries.c.subject
    )
    columns = (log_entries.c.number, log_entries.c.subject, log_entries.c.digest, certificates.c.job_id)
    query = (
        select(*columns, signed_records.c.document)
        .outerjoin(certificates, certificates.c.certificate_id == log_entries.c.subject)
        .outerjoin(signed_records, is_readmitted)
        .where(log_entries.c.kind == EntryKind.CERTIFICATE.value)
        .where(or_(certificates.c.job_id.is_not(None), signed_records.c.document.is_not(None)))  # not what was removed
        .where(log_entries.c.number > (-1 if newest is None else newest))
        .order_by(log_entries.c.number)
        .limit(MOST_AT_ONCE)
    )
    entries = connection.execute(query).all()
    events = _events([item.job_id for item in entries if item.job_id is not None], connection)
    return [
        {
            "number": item.number,
            "certificate_id": item.subject,
            "digest": bytes(item.digest),
            **(
                {"job_id": item.job_id, **_facts(events.get(item.job_id, ()), item.job_id, connection)}
                if item.job_id is not None
                else _said(bytes(item.document))
            ),
        }
        for item in entries
    ]


def _events(job_ids: Sequence[str], connection: Connection) -> dict[str, list[Any]]:
    columns = (job_events.c.job_id, job_events.c.sequence, job_events.c.at, job_events.c.kind)
    kinds = [event.kind for event in _TELLING]
    query = (
        select(*columns, job_events.c.body, job_events.c.digest)
        .where(job_events.c.job_id.in_(job_ids), job_events.c.kind.in_(kinds))
        .order_by(job_events.c.job_id, job_events.c.sequence)
    )
    found: dict[str, list[Any]] = {}
    for row in connection.execute(query):
        found.setdefault(row.job_id, []).append(row)
    return found


def _facts(rows: Iterable[Any], job_id: str | None, connection: Connection) -> dict[str, Any]:
    """What the job's events tell. One that can't be believed is listed by its id alone: `eraser ledger check` names it."""
    facts: dict[str, Any] = {**_UNKNOWN}
    try:
        for row in rows:
            facts |= _told(entry_of(*row), facts)
    except EraserError:
        return {**_UNKNOWN}
    drive = (facts["serial"] if facts["is_serial_own"] else "", facts["world_wide_name"])
    return facts | {"lot_id": _lot_of(job_id, *drive, connection)}


def _said(document: bytes) -> dict[str, Any]:
    """What a certificate says whose job's events were lost."""
    said = readmissions.content(document)
    passed, reading = said.outcome is Outcome.PASSED, said.final_verification
    return {
        **_UNKNOWN,
        "job_id": said.job_id,
        "issued_at": said.issued_at,
        "finished_at": said.times.finished_at,
        "serial": said.drive.identity.serial,
        "is_serial_own": bool(own_serial(said.drive.identity)),
        "world_wide_name": world_wide_name(said.drive.identity),
        "device": said.drive.path,
        "model": said.drive.identity.model,
        "outcome": said.outcome.value,
        "standard": said.sanitization.standard,
        "level": said.sanitization.level_reached.value if passed and said.sanitization.level_reached else "",
        "verification": reading.verification.value if reading is not None else "",
        "reason": said.reasons[0].code if said.reasons else "",
        "capacity_bytes": said.drive.geometry.capacity_bytes,
    }


_UNKNOWN: dict[str, Any] = {
    **dict.fromkeys(("issued_at", "finished_at", "serial", "world_wide_name", "device", "model", "lot_id"), ""),
    **dict.fromkeys(("outcome", "standard", "level", "verification", "reason"), ""),
    "is_serial_own": False,
    "capacity_bytes": 0,
    "bytes_done": 0,
    "busy_seconds": 0.0,
    "withdrawn": None,
}


def _told(entry: Entry, facts: dict[str, Any]) -> dict[str, Any]:
    match entry.event:
        case DriveIdentified(drive):
            return {
                "serial": drive.identity.serial,
                "is_serial_own": bool(own_serial(drive.identity)),
                "world_wide_name": world_wide_name(drive.identity),
                "device": drive.path,
                "model": drive.identity.model,
                "capacity_bytes": drive.geometry.capacity_bytes,
            }
        case JobPlanned(plan):
            return {
                "standard": plan.standard,
                "level": plan.level_reached.value,
                "verification": plan.verification.value,
            }
        case PassEnded(_, report):
            return _with_transfer(facts, report)
        case VerificationEnded(evidence):
            return _with_transfer(facts, evidence.report)
        case JobFinished(outcome, reasons):
            level = facts["level"] if outcome is Outcome.PASSED else ""
            reason = reasons[0].code if reasons else ""
            return {"outcome": outcome.value, "reason": reason, "finished_at": entry.at, "level": level}
        case CertificateIssued():
            return {"issued_at": entry.at}
        case _:
            return {}


def _with_transfer(facts: dict[str, Any], report: Any) -> dict[str, Any]:
    seconds = max(0, report.last_byte - report.first_byte) / 1e9 if report.first_byte else 0.0
    return {
        "bytes_done": facts["bytes_done"] + report.bytes_done,
        "busy_seconds": facts["busy_seconds"] + seconds,
    }


def _lot_of(job_id: str | None, serial: str, wide: str, connection: Connection) -> str:
    """The lot of the drive's last arrival before its job ended."""
    names = [column == name for column, name in ((custody.c.serial, serial), (custody.c.world_wide_name, wide)) if name]
    if not names or not job_id:
        return ""
    ended = select(func.min(custody.c.number)).where(custody.c.job_id == job_id).scalar_subquery()
    query = (
        select(custody.c.kind, custody.c.lot_id)
        .where(or_(*names), custody.c.kind.in_((Received.kind, HandedOver.kind)), custody.c.number < ended)
        .order_by(custody.c.number.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return row.lot_id or "" if row is not None and row.kind == Received.kind else ""


def _take_in(rows: list[dict[str, Any]], connection: Connection) -> None:
    hold_gate(connection)  # another station may do the same
    numbers = [row["number"] for row in rows]
    there = set(connection.execute(select(index.c.number).where(index.c.number.in_(numbers))).scalars())
    if missing := [row for row in rows if row["number"] not in there]:
        connection.execute(insert(index), missing)


def unmarked_withdrawals() -> Select[Any]:
    """Withdrawals of certificates that the index has without them: of one that was removed nothing is to be marked."""
    is_unmarked = exists().where(index.c.certificate_id == log_entries.c.subject, index.c.withdrawn.is_(None))
    return select(log_entries.c.subject, log_entries.c.number).where(*log.ARE_WITHDRAWALS, is_unmarked)


def _unmarked(connection: Connection) -> bool:
    return connection.execute(unmarked_withdrawals().limit(1)).first() is not None


def _mark_withdrawn(connection: Connection) -> None:
    for certificate_id, number in connection.execute(unmarked_withdrawals()).all():
        mark = update(index).where(index.c.certificate_id == certificate_id, index.c.withdrawn.is_(None))
        connection.execute(mark.values(withdrawn=number))
