"""Destroying keys: of one customer's record when they ask, of a lot when its retention ends; and the backups of both.

The order makes a crash harmless. 1. The log says that it begins: from here on nothing of it is read, whatever is left. 2. The
keys are destroyed, the lot's own first. 3. Backups of the keys that can be reached are rewritten without them. 4. It is looked
whether anything is left. 5. The log says that it is done, and which backups could not be reached. Whatever began and is not
done is done by `finish`, which may be called any time and again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from eraser.domain.lot import instant
from eraser.domain.pattern import RandomBytes
from eraser.errors import Refused, UsageError
from eraser.ledger import vault as rows
from eraser.ledger.custody import hold_gate
from eraser.ledger.vault import Action, VaultEntry
from eraser.privacy.errors import VaultKeyError
from eraser.privacy.key_backup import Clearing, make, opened, read_backup, take_out, write_backup
from eraser.privacy.sealing import new_key
from eraser.privacy.vault import Vault

RETENTION_ENDED = "its retention has ended"
LEDGER_RESTORED = "its keys were destroyed before, and the ledger does not know of it"
_DONE = {Action.ERASING: Action.ERASED, Action.EXPIRING: Action.EXPIRED}


@dataclass(frozen=True, slots=True)
class Destroyed:
    """What was destroyed: the keys of a lot, or of one record of it. Never a name."""

    lot_id: str
    record_id: str
    kept_until: str
    records: int
    commitment_keys: int
    backups: dict[str, Clearing] = field(default_factory=dict)
    """Registered backups that held a key of it, and what became of them."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A backup of keys, as the log knows it."""

    backup_id: str
    path: str
    made_at: str
    operator: str
    holds: dict[str, list[str]]
    """By lot the records whose keys it got."""
    cleared: tuple[VaultEntry, ...]


class Destruction:
    """Over one vault."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    # ---- destroying

    def erase(self, record_id: str, operator: str, reason: str) -> Destroyed:
        """One customer's record with its receipts' keys, when they ask for it. The rest of the lot stays. Raises UsageError and
        VaultDestroyedError as `Vault.read` does, Refused where the keys are another station's.
        """
        record = self._vault.expect_unnamed(record_id, reason)
        if record.key_store != self._vault.keys.store_id:
            raise Refused(
                "another-vault",
                "its keys are in another station's vault",
                subject=f"record {record_id}",
                remedy=f"Erase it there: vault {record.key_store}.",
            )
        self._begin(Action.ERASING, record.lot_id, record_id, operator, reason)
        return self._destroy(Action.ERASING, record.lot_id, record_id, operator, reason)

    def expire(self, operator: str) -> list[Destroyed]:
        """The keys of all lots whose retention has ended, and whatever a crash left half destroyed. Of what several stations
        hold, each destroys its own.
        """
        done = self.finish(operator)
        for lot_id in self.due():
            try:
                self._begin(Action.EXPIRING, lot_id, "", operator, RETENTION_ENDED)
            except Refused:  # another process is at it; what is left here then, `finish` sees
                continue
            done.append(self._destroy(Action.EXPIRING, lot_id, "", operator, RETENTION_ENDED))
        return done

    def due(self) -> dict[str, str]:
        """The lots of this station that `expire` would destroy now, and until when they were kept."""
        now = instant(self._vault.now_utc())
        lots_gone, _ = self._vault.read_rows(rows.ended)
        ends = self._vault.read_rows(rows.retention_ends)
        late = {lot: until for lot, until in sorted(ends.items()) if lot not in lots_gone and instant(until) <= now}
        return {lot: until for lot, until in late.items() if self._is_ours(lot)}

    def _is_ours(self, lot_id: str) -> bool:
        keys = self._vault.keys
        records = self._vault.read_rows(lambda connection: rows.newest_records(connection, lot_id))
        return keys.has_anything_of(lot_id) or any(item.key_store == keys.store_id for item in records)

    def finish(self, operator: str) -> list[Destroyed]:
        """Goes on with what a crash interrupted, destroys what another station has brought to its end, and tries backups again
        that could not be reached. What was destroyed and a restored ledger does not know of is put on its record again.
        """
        keys = self._vault.keys
        for item in self._vault.read_rows(rows.newest_records):
            if keys.is_destroyed(item.lot_id, item.record_id):
                self._begin(Action.ERASING, item.lot_id, item.record_id, operator, LEDGER_RESTORED)
        done = []
        with keys.exclusively():  # nobody else of this station is in the middle of it
            left = self._unfinished()
        for entry in left:
            done.append(self._destroy(entry.action, entry.lot_id, entry.record_id, operator, entry.reason))
        with keys.exclusively():
            self._clear_backups(operator)
        return done

    def _unfinished(self) -> list[VaultEntry]:
        """What began at this station and is not done, and of what began elsewhere that of which keys are left here."""
        keys = self._vault.keys
        entries = self._vault.read_rows(lambda connection: rows.entries(connection, actions=[*_DONE, *_DONE.values()]))
        done = {
            (item.action, item.lot_id, item.record_id)
            for item in entries
            if item.body.get("key_store") == keys.store_id
        }
        return [
            item
            for item in entries
            if item.action in _DONE
            and (
                keys.has_anything_of(item.lot_id, item.record_id)
                or (
                    item.body.get("key_store") == keys.store_id
                    and (_DONE[item.action], item.lot_id, item.record_id) not in done
                )
            )
        ]

    def _destroy(self, action: Action, lot_id: str, record_id: str, operator: str, reason: str) -> Destroyed:
        """Of what has begun on the record."""
        keys = self._vault.keys
        records, receipts, until = self._vault.read_rows(lambda connection: _extent(connection, lot_id, record_id))
        with keys.exclusively():
            if record_id:
                keys.destroy_record(lot_id, record_id)
            else:
                keys.destroy_lot(lot_id)
            backups = self._clear_backups(operator)
            if keys.has_anything_of(lot_id, record_id):
                raise VaultKeyError(
                    "its keys were destroyed and are there again",
                    subject=f"record {record_id}" if record_id else f"lot {lot_id}",
                    remedy="Find who puts them back, such as a restored data folder, and do it again.",
                )
            held = {name: how for name, how in backups.items() if self._held(name, lot_id, record_id)}
            body = {
                "key_store": keys.store_id,
                "records": records,
                "commitment_keys": receipts,
                "kept_until": until,
                "backups": {name: how.value for name, how in held.items()},
            }
            done = VaultEntry(self._vault.now_utc(), operator, _DONE[action], lot_id, record_id, reason, body)
            self._vault.write_rows(lambda connection: rows.note(connection, done))
        return Destroyed(lot_id, record_id, until, records, receipts, held)

    def _begin(self, action: Action, lot_id: str, record_id: str, operator: str, reason: str) -> None:
        """Puts on record that it begins. Raises Refused where it has already."""
        body = {"key_store": self._vault.keys.store_id}
        entry = VaultEntry(self._vault.now_utc(), operator, action, lot_id, record_id, reason, body)

        def work(connection: Connection) -> None:
            hold_gate(connection, rows.GATE)
            if rows.end_of(connection, lot_id, record_id) is not None:
                raise Refused("destroyed", "it has come to its end already", subject=record_id or f"lot {lot_id}")
            rows.note(connection, entry)

        # In one hold of the lock with nothing else: between the beginning and the end others wait, or finish it.
        with self._vault.keys.exclusively():
            self._vault.write_rows(work)

    def change_master(self, operator: str, reason: str) -> int:
        """Wraps the keys of all lots by a new master key and destroys the old one; how many lots. After a crash the same call
        goes on. Raises UsageError without a reason, VaultKeyError and VaultAlteredError: then the old key is still there.
        """
        if not reason.strip():
            raise UsageError("whoever changes the master key says why", remedy="Give --reason.")
        vault = self._vault
        with vault.keys.exclusively():
            count = vault.keys.change_master()
            body = {"key_store": vault.keys.store_id, "lots": count}
            entry = VaultEntry(vault.now_utc(), operator, Action.MASTER_CHANGED, reason=reason, body=body)
            vault.write_rows(lambda connection: rows.note(connection, entry))
        return count

    # ---- backups of keys

    def lots(self) -> list[tuple[str, int]]:
        """The lots whose keys are here, and of how many of their records."""
        keys = self._vault.keys
        return [(lot_id, len(keys.record_ids(lot_id))) for lot_id in keys.lot_ids()]

    def backups(self) -> list[Registered]:
        """All that were registered, oldest first."""
        entries = self._vault.read_rows(
            lambda connection: rows.entries(connection, actions=[Action.BACKED_UP, Action.BACKUP_CLEARED])
        )
        return [
            Registered(
                item.body["backup_id"],
                item.body["path"],
                item.at,
                item.operator,
                item.body["holds"],
                tuple(
                    entry
                    for entry in entries
                    if entry.action is Action.BACKUP_CLEARED and entry.body["backup_id"] == item.body["backup_id"]
                ),
            )
            for item in entries
            if item.action is Action.BACKED_UP
        ]

    def back_up(self, path: Path, operator: str, random_bytes: RandomBytes | None = None) -> tuple[Registered, bytes]:
        """Writes all keys into a new file, registered before it is written; the recovery key, which is kept nowhere."""
        vault = self._vault
        draw = random_bytes or vault.random_bytes
        recovery_key = new_key(draw)
        path = path.absolute()
        with vault.keys.exclusively():
            backup = make(vault.keys, vault.new_id(), vault.now_utc(), recovery_key, draw)
            # Registered first: one that is on record and not there is called unreachable, never the other way round.
            body = {"backup_id": backup.backup_id, "path": str(path), "holds": backup.holds()}
            entry = VaultEntry(backup.made_at, operator, Action.BACKED_UP, body=body)
            if path.exists() or path.is_symlink():
                raise UsageError("there is a file already", subject=str(path), remedy="Give another name.")
            vault.write_rows(lambda connection: rows.note(connection, entry))
            write_backup(backup, path)
        return Registered(backup.backup_id, str(path), backup.made_at, operator, backup.holds(), ()), recovery_key

    def restore(self, path: Path, recovery_key: bytes, operator: str, reason: str) -> int:
        """Puts the keys of a backup back that are not here; how many. What was destroyed since stays destroyed. Raises
        VaultAlteredError for another recovery key, Refused for the backup of another station's keys.
        """
        if not reason.strip():
            raise UsageError("whoever restores keys says why", remedy="Give --reason.")
        vault = self._vault
        backup = read_backup(path)
        if backup.store_id != vault.keys.store_id:
            raise Refused("another-vault", "it holds the keys of another station's vault", subject=str(path))
        count = 0
        with vault.keys.exclusively():
            lots_gone, records_gone = vault.read_rows(rows.ended)
            for lot_id, record_id, key in opened(backup, recovery_key):
                if lot_id in lots_gone or record_id in records_gone:
                    continue
                if vault.keys.is_destroyed(lot_id, record_id):
                    continue
                is_here = record_id in vault.keys.record_ids(lot_id) if record_id else lot_id in vault.keys.lot_ids()
                if is_here:
                    continue
                if record_id:
                    vault.keys.put_record(lot_id, record_id, key)
                else:
                    vault.keys.put_lot(lot_id, key)
                count += 1
            body = {"backup_id": backup.backup_id, "keys": count}
            entry = VaultEntry(vault.now_utc(), operator, Action.RESTORED, reason=reason, body=body)
            vault.write_rows(lambda connection: rows.note(connection, entry))
        return count

    def forget(self, backup_id: str, operator: str, reason: str) -> None:
        """A person says that a backup, wherever it was, is destroyed with all that was in it. Raises UsageError for one that
        is not on record.
        """
        if not reason.strip():
            raise UsageError("whoever says that a backup is destroyed says how", remedy="Give --reason.")
        if not any(item.backup_id == backup_id for item in self.backups()):
            raise UsageError("there is no such backup on record", subject=backup_id)
        self._note_cleared(backup_id, "", [], Clearing.BY_HAND, operator, reason)

    def pending(self) -> dict[str, dict[str, list[str] | None]]:
        """By backup what is destroyed here and may still be in it: by lot, all of it (None) or some records."""
        gone = self._vault.read_rows(rows.ended)
        found = {item.backup_id: dict(_still_held(item, *gone)) for item in self.backups()}
        return {backup_id: lots for backup_id, lots in found.items() if lots}

    def _clear_backups(self, operator: str) -> dict[str, Clearing]:
        """Takes what is destroyed out of every backup that may still hold it."""
        pending, results = self.pending(), {}
        for item in self.backups():
            if (gone := pending.get(item.backup_id)) is None:
                continue
            how = take_out(Path(item.path), item.backup_id, gone)
            results[item.backup_id] = how
            if how is not Clearing.UNREACHABLE:
                for lot_id, records in gone.items():
                    self._note_cleared(item.backup_id, lot_id, records, how, operator, "")
        return results

    def _note_cleared(
        self, backup_id: str, lot_id: str, records: list[str] | None, how: Clearing, operator: str, reason: str
    ) -> None:
        body: dict[str, Any] = {"backup_id": backup_id, "records": records, "how": how.value}
        entry = VaultEntry(self._vault.now_utc(), operator, Action.BACKUP_CLEARED, lot_id, reason=reason, body=body)
        self._vault.write_rows(lambda connection: rows.note(connection, entry))

    def _held(self, backup_id: str, lot_id: str, record_id: str) -> bool:
        holds = next(item.holds for item in self.backups() if item.backup_id == backup_id)
        return lot_id in holds and (not record_id or record_id in holds[lot_id])


def _still_held(
    item: Registered, lots_gone: frozenset[str], records_gone: frozenset[str]
) -> Iterator[tuple[str, list[str] | None]]:
    whole = {entry.lot_id for entry in item.cleared if entry.body["records"] is None}
    if any(entry.body["how"] in (Clearing.BY_HAND, Clearing.DESTROYED) for entry in item.cleared):
        return
    single = {record for entry in item.cleared for record in entry.body["records"] or ()}
    for lot_id, records in item.holds.items():
        if lot_id in lots_gone:
            if lot_id not in whole:
                yield lot_id, None
        elif left := [record for record in records if record in records_gone and record not in single]:
            yield lot_id, left


def _extent(connection: Connection, lot_id: str, record_id: str) -> tuple[int, int, str]:
    """How many records and commitment keys die with it, and until when the lot is kept."""
    until = rows.retention_ends(connection).get(lot_id, "")
    ids = [record_id] if record_id else rows.record_ids(connection, lot_id)
    return len(ids), sum(len(rows.receipts(connection, item)) for item in ids), until
