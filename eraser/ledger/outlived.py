"""Rows that belong to no drive and have outlived their time: what people did, customers who were present, specifications, and
what the vault had once its keys are destroyed.
"""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Connection, Table, func, select

from eraser.ledger.retention import Expired
from eraser.ledger.schema import attendances, specifications, trail, vault_log, vault_receipts, vault_records
from eraser.ledger.vault import Action

AT_ONCE = 2000
"""Rows of the trail, or attendances, or references, in one removal."""
_LOOSE = (
    Action.SEARCHED,
    Action.CHECKED,
    Action.RESTORED,
    Action.MASTER_CHANGED,
    Action.BACKED_UP,
    Action.BACKUP_CLEARED,
)


def old_trail(before: str, connection: Connection) -> Expired:
    """What people did, the oldest first."""
    query = select(trail.c.number, trail.c.at).where(trail.c.at < before).order_by(trail.c.number).limit(AT_ONCE)
    return _taken("trail", connection.execute(query).all())


def old_attendances(before: str, connection: Connection) -> Expired:
    """Customers' visits of which everything is older, whole."""
    return _whole(attendances, attendances.c.token_digest, before, connection)


def old_specifications(before: str, connection: Connection) -> Expired:
    """References of which nothing was said since, answered or not."""
    return _whole(specifications, specifications.c.reference, before, connection)


def old_vault(before: str, connection: Connection) -> Expired:
    """What is left of lots whose keys were destroyed at every station that had some, and of which no backup of keys can still
    hold any; and the log's entries of no lot that tell of none that is left.
    """
    log = connection.execute(select(vault_log).order_by(vault_log.c.number)).all()
    records = connection.execute(select(vault_records)).all()
    held = _held_by_backups(log)
    found, gone = Expired(), set()
    for lot_id in sorted({row.lot_id for row in log if row.action == Action.EXPIRED}):
        own = [row for row in log if row.lot_id == lot_id]
        kept = [row for row in records if row.lot_id == lot_id]
        stores = {_body(row).get("key_store") for row in own if row.action == Action.EXPIRED}
        is_young = any(row.at >= before for row in (*own, *kept))
        if is_young or lot_id in held or not {row.key_store for row in kept} <= stores:
            continue
        gone.add(lot_id)
        _add_lot(found, own, kept, connection)
    living = {row.lot_id for row in (*log, *records)} - gone - {""}
    loose = [row for row in log if not row.lot_id and row.action in _LOOSE and row.at < before]
    kept_backups = {
        _body(row)["backup_id"] for row in log if row.action == Action.BACKED_UP and living & set(_body(row)["holds"])
    }
    loose = [row for row in loose if _body(row).get("backup_id") not in kept_backups]
    found.rows["vault_log"] |= {str(row.number) for row in loose}
    found.saw(*(row.at for row in loose))
    return found


def _add_lot(found: Expired, own: list[Any], kept: list[Any], connection: Connection) -> None:
    ids = sorted({row.record_id for row in kept})
    receipts = connection.execute(select(vault_receipts).where(vault_receipts.c.record_id.in_(ids))).all()
    found.rows["vault_log"] |= {str(row.number) for row in own}
    found.rows["vault_records"] |= {f"{row.record_id} {row.version}" for row in kept}
    found.rows["vault_receipts"] |= {f"{row.record_id} {row.drive}" for row in receipts}
    found.saw(*(row.at for row in (*own, *kept, *receipts)))


def _held_by_backups(log: Sequence[Any]) -> set[str]:
    """Lots of which a registered backup of keys may still hold some."""
    cleared: dict[str, set[str]] = {}
    ended = set()
    for row in log:
        if row.action != Action.BACKUP_CLEARED:
            continue
        body = _body(row)
        # As `eraser.privacy.key_backup.Clearing` calls what became of the whole file.
        if body["how"] in ("by-hand", "destroyed"):
            ended.add(body["backup_id"])
        elif body["records"] is None:
            cleared.setdefault(body["backup_id"], set()).add(row.lot_id)
    held = set()
    for row in log:
        if row.action == Action.BACKED_UP and (name := _body(row)["backup_id"]) not in ended:
            held |= set(_body(row)["holds"]) - cleared.get(name, set())
    return held


def _whole(table: Table, column: Column[Any], before: str, connection: Connection) -> Expired:
    keys = select(column).group_by(column).having(func.max(table.c.at) < before).order_by(column).limit(AT_ONCE)
    wanted = connection.execute(keys).scalars().all()
    rows: list[Any] = []
    for start in range(0, len(wanted), 500):
        part = wanted[start : start + 500]
        rows += connection.execute(select(table.c.number, table.c.at).where(column.in_(part))).all()
    return _taken(table.name, rows)


def _taken(kind: str, rows: Sequence[Any]) -> Expired:
    found = Expired()
    found.rows[kind] = {str(row.number) for row in rows}
    found.saw(*(row.at for row in rows))
    return found


def _body(row: Any) -> dict[str, Any]:
    return dict(json.loads(row.body))
