"""The vault's rows: customers' records and receipts as sealed bytes, and the log of who did what with them.

Nothing here has a key or a plaintext: what is sealed, how, and by which keys, `eraser.privacy` alone knows. Functions work
within the caller's transaction.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, insert, literal, or_, select

from eraser.domain.custody import DriveName, drive_name
from eraser.domain.drive import Identity
from eraser.domain.intake import arrived_with
from eraser.ledger.custody import records_of
from eraser.ledger.lots import tag_of
from eraser.ledger.records import corrupt
from eraser.ledger.schema import custody, lots, vault_log, vault_receipts, vault_records

GATE = 0x7661756C74  # "vault": on PostgreSQL, one look and its record at a time


class Action(StrEnum):
    """What was done, as the vault's log calls it. What destroys is on record before it begins and once it is done."""

    ADDED = "added"
    CHANGED = "changed"
    READ = "read"
    SEARCHED = "searched"
    EXPORTED = "exported"
    RECEIPT = "receipt"
    COMMITTED = "committed"
    RETENTION = "retention"
    ERASING = "erasing"
    ERASED = "erased"
    EXPIRING = "expiring"
    EXPIRED = "expired"
    BACKED_UP = "backed-up"
    BACKUP_CLEARED = "backup-cleared"
    RESTORED = "restored"
    CHECKED = "checked"
    MASTER_CHANGED = "master-changed"


ENDS = (Action.ERASING, Action.EXPIRING)
"""From these entries on the record, or all of the lot's, is not read any more, whatever keys are left."""


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """One version of a customer's record. Of the drive with this serial number or world-wide name, or this asset tag, or of all
    drives of the lot.
    """

    record_id: str
    version: int
    lot_id: str
    serial: str
    asset_tag: str
    key_store: str
    at: str
    operator: str
    sealed: bytes


@dataclass(frozen=True, slots=True)
class SealedReceipt:
    """The key of one record's commitments for one drive."""

    record_id: str
    drive: str
    at: str
    operator: str
    sealed: bytes


@dataclass(frozen=True, slots=True)
class VaultEntry:
    """One entry of the vault's log; `number` is 0 until it is there."""

    at: str
    operator: str
    action: Action
    lot_id: str = ""
    record_id: str = ""
    reason: str = ""
    body: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    number: int = 0


# ---- records


def put_record(connection: Connection, record: SealedRecord) -> None:
    """A new version of a record."""
    connection.execute(insert(vault_records).values({name: getattr(record, name) for name in record.__slots__}))


def versions(connection: Connection, record_id: str) -> tuple[SealedRecord, ...]:
    """Of one record, oldest first; empty for one that is not there."""
    query = select(vault_records).where(vault_records.c.record_id == record_id).order_by(vault_records.c.version)
    return tuple(_record(row) for row in connection.execute(query))


def newest_records(
    connection: Connection, lot_id: str | None = None, *, with_content: bool = True
) -> tuple[SealedRecord, ...]:
    """The newest version of each record that is not gone, of one lot or of all, oldest first; to list them, without what is
    sealed.
    """
    columns: list[ColumnElement[Any]] = [column for column in vault_records.c if column.name != "sealed"]
    columns.append(vault_records.c.sealed if with_content else literal(b"").label("sealed"))
    query = select(*columns).order_by(vault_records.c.at, vault_records.c.record_id, vault_records.c.version)
    if lot_id is not None:
        query = query.where(vault_records.c.lot_id == lot_id)
    newest = {row.record_id: _record(row) for row in connection.execute(query)}
    lots_gone, records_gone = ended(connection)
    return tuple(
        item for item in newest.values() if item.lot_id not in lots_gone and item.record_id not in records_gone
    )


def ended(connection: Connection) -> tuple[frozenset[str], frozenset[str]]:
    """The lots and the records whose destruction has begun."""
    query = select(vault_log.c.action, vault_log.c.lot_id, vault_log.c.record_id)
    rows = connection.execute(query.where(vault_log.c.action.in_(ENDS))).all()
    return (
        frozenset(row.lot_id for row in rows if row.action == Action.EXPIRING),
        frozenset(row.record_id for row in rows if row.action == Action.ERASING),
    )


def end_of(connection: Connection, lot_id: str, record_id: str) -> VaultEntry | None:
    """The entry by which the record, or its whole lot, came to an end; None while it has not."""
    is_its = (vault_log.c.action == Action.ERASING) & (vault_log.c.record_id == record_id)
    is_its_lots = (vault_log.c.action == Action.EXPIRING) & (vault_log.c.lot_id == lot_id)
    query = select(vault_log).where(or_(is_its, is_its_lots)).order_by(vault_log.c.number).limit(1)
    return next(_entries(connection, query), None)


def record_ids(connection: Connection, lot_id: str) -> tuple[str, ...]:
    """The lot's records but for those that were erased by themselves."""
    query = select(vault_records.c.record_id).where(vault_records.c.lot_id == lot_id).distinct()
    _, records_gone = ended(connection)
    return tuple(sorted(item for item in connection.execute(query).scalars() if item not in records_gone))


def is_lot(connection: Connection, lot_id: str) -> bool:
    """Whether the ledger knows the lot, described or by drives that were received with it."""
    described = select(func.count()).select_from(lots).where(lots.c.lot_id == lot_id)
    received = select(func.count()).select_from(custody).where(custody.c.lot_id == lot_id)
    return bool(connection.execute(described).scalar() or connection.execute(received).scalar())


# ---- receipts


def put_receipt(connection: Connection, receipt: SealedReceipt) -> None:
    """The first and only one of this record and drive."""
    connection.execute(insert(vault_receipts).values({name: getattr(receipt, name) for name in receipt.__slots__}))


def receipts(connection: Connection, record_id: str) -> tuple[SealedReceipt, ...]:
    """Of one record, by drive."""
    query = select(vault_receipts).where(vault_receipts.c.record_id == record_id).order_by(vault_receipts.c.drive)
    return tuple(
        SealedReceipt(row.record_id, row.drive, row.at, row.operator, bytes(row.sealed))
        for row in connection.execute(query)
    )


def receipt_of(connection: Connection, record_id: str, drive: str) -> SealedReceipt | None:
    """The one of this drive, if there is one."""
    return next((item for item in receipts(connection, record_id) if item.drive == drive), None)


# ---- the log


def note(connection: Connection, entry: VaultEntry) -> None:
    """Puts an entry into the log."""
    body = json.dumps(dict(entry.body), separators=(",", ":"), sort_keys=True).encode()
    values = {name: getattr(entry, name) for name in entry.__slots__ if name not in ("number", "body")}
    connection.execute(insert(vault_log).values(**values, body=body))


def entries(
    connection: Connection, *, lot_id: str = "", record_id: str = "", actions: Iterable[Action] = (), newest: int = 0
) -> tuple[VaultEntry, ...]:
    """Oldest first; only those of a lot, of a record, or of some actions where they are given; or so many of the newest, the
    newest first.
    """
    query = select(vault_log).order_by(vault_log.c.number.desc() if newest else vault_log.c.number)
    if newest:
        query = query.limit(newest)
    if lot_id:
        query = query.where(vault_log.c.lot_id == lot_id)
    if record_id:
        query = query.where(vault_log.c.record_id == record_id)
    if wanted := list(actions):
        query = query.where(vault_log.c.action.in_(wanted))
    return tuple(_entries(connection, query))


def retention_ends(connection: Connection) -> dict[str, str]:
    """Until when each lot's records are kept: RFC 3339 in UTC, by lot. The newest word counts."""
    found = entries(connection, actions=[Action.RETENTION])
    return {entry.lot_id: str(entry.body["until"]) for entry in found}


# ---- drives


@dataclass(frozen=True, slots=True)
class Arrived:
    """A drive in the house: the lot that it came with, its own names, and the tags that it is known by there."""

    lot_id: str
    name: DriveName
    tags: frozenset[str]


def arrival(connection: Connection, identity: Identity) -> Arrived | None:
    """None for a drive that came with no lot since it last left, and for one that nothing tells from others."""
    name = drive_name(identity)
    if name is None:
        return None
    gathered = records_of(name, connection)
    lot_id = "" if gathered.is_ambiguous else arrived_with(gathered.records)  # of two drives with one number neither's
    if not lot_id:
        return None
    tags = {tag_of(identity, "", connection), *(record.drive.asset_tag for record in gathered.records)}
    return Arrived(lot_id, gathered.name, frozenset(tags - {""}))


def _record(row: Row[Any]) -> SealedRecord:
    values = {name: getattr(row, name) for name in SealedRecord.__slots__}
    return SealedRecord(**{**values, "sealed": bytes(row.sealed)})


def _entries(connection: Connection, query: Select[Any]) -> Iterator[VaultEntry]:
    for row in connection.execute(query):
        try:
            action, body = Action(row.action), json.loads(row.body)
        except ValueError as error:
            raise corrupt(f"vault log entry {row.number}", "it is none that this program writes") from error
        yield VaultEntry(
            row.at, row.operator, action, row.lot_id, row.record_id, row.reason, MappingProxyType(body), row.number
        )
