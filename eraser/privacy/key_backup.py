"""Backups of the vault's keys: a file for each, sealed under a recovery key that is shown once and kept nowhere.

Each key lies in it by itself, so that the keys of a lot can be taken out of it later without the recovery key. That is why
backups are registered: where a key is destroyed, it is taken out of those that can be reached, and the others are named.
"""

import json
from base64 import b32encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from eraser.domain.commitment import key_of
from eraser.domain.json_form import from_json, to_json
from eraser.domain.pattern import RandomBytes
from eraser.durable import write_new
from eraser.errors import EraserError, UsageError
from eraser.privacy.errors import VaultAlteredError, VaultKeyError
from eraser.privacy.key_store import KeyStore, destroy_file, read_private, replace_private
from eraser.privacy.sealing import KEY_BYTES, context, seal, unseal

FORMAT = "eraser key backup v1"
MAX_BACKUP_BYTES = 1 << 28
_GROUP = 4


@dataclass(frozen=True, slots=True)
class BackedUpKey:
    """A lot's key (`record_id` is empty) or a record's, sealed under the recovery key."""

    lot_id: str
    record_id: str
    sealed: bytes


@dataclass(frozen=True, slots=True)
class KeyBackup:
    """What the file says."""

    format: str
    backup_id: str
    store_id: str
    made_at: str
    keys: tuple[BackedUpKey, ...]

    def holds(self) -> dict[str, list[str]]:
        """By lot the records whose keys are in it."""
        found: dict[str, list[str]] = {}
        for item in self.keys:
            found.setdefault(item.lot_id, []).extend([item.record_id] if item.record_id else [])
        return found


class Clearing(StrEnum):
    """What became of a backup that held a destroyed key."""

    TAKEN_OUT = "taken-out"
    DESTROYED = "destroyed"
    """The whole file: nothing else was in it."""
    UNREACHABLE = "unreachable"
    """It is not where it was written; wherever it is, the key may still be in it."""
    BY_HAND = "by-hand"
    """A person says that it is destroyed."""


def make(keys: KeyStore, backup_id: str, made_at: str, recovery_key: bytes, random_bytes: RandomBytes) -> KeyBackup:
    """Of every key in the store. Raises VaultKeyError or VaultAlteredError for a key that can't be read."""

    def sealed(lot_id: str, record_id: str, key: bytes) -> BackedUpKey:
        bound = context("backed-up key", backup_id, lot_id, record_id)
        return BackedUpKey(lot_id, record_id, seal(recovery_key, key, bound, random_bytes))

    found: list[BackedUpKey] = []
    for lot_id in keys.lot_ids():
        found.append(sealed(lot_id, "", keys.lot_key(lot_id)))
        found += [sealed(lot_id, item, keys.record_key(lot_id, item)) for item in keys.record_ids(lot_id)]
    return KeyBackup(FORMAT, backup_id, keys.store_id, made_at, tuple(found))


def opened(backup: KeyBackup, recovery_key: bytes) -> list[tuple[str, str, bytes]]:
    """Lot, record and key of each entry. Raises VaultAlteredError for another recovery key, and for a changed file."""
    return [
        (
            item.lot_id,
            item.record_id,
            unseal(
                recovery_key,
                item.sealed,
                context("backed-up key", backup.backup_id, item.lot_id, item.record_id),
                f"backup {backup.backup_id}",
            ),
        )
        for item in backup.keys
    ]


def write_backup(backup: KeyBackup, path: Path) -> None:
    """A new 0600 file, durable when this returns. Raises UsageError where there is one already, or none can be."""
    try:
        made = write_new(path, _dumped(backup), 0o600)
    except OSError as error:
        raise UsageError(f"the backup cannot be written: {error.strerror}", subject=str(path)) from error
    if not made:
        raise UsageError("there is a file already", subject=str(path), remedy="Give another name.")


def read_backup(path: Path) -> KeyBackup:
    """Raises VaultKeyError for a file that is not there or not ours alone, VaultAlteredError for one that is no backup."""
    try:
        form: Any = json.loads(read_private(path, MAX_BACKUP_BYTES))
        backup = from_json(KeyBackup, form)
    except FileNotFoundError:
        raise VaultKeyError("there is no such file", subject=str(path)) from None
    except (ValueError, UsageError):
        raise VaultAlteredError("it is no backup of a vault's keys", subject=str(path)) from None
    if backup.format != FORMAT:
        raise VaultAlteredError("it is no backup of a vault's keys", subject=str(path))
    return backup


def take_out(path: Path, backup_id: str, gone: Mapping[str, Collection[str] | None]) -> Clearing:
    """Takes keys out of the backup: of a lot all where None stands, else those of the records. Durable and read again before
    this returns. Of a file that is not there, cannot be changed or is another backup: unreachable.
    """
    try:
        backup = read_backup(path)
        if backup.backup_id != backup_id:
            return Clearing.UNREACHABLE
        kept = tuple(item for item in backup.keys if not _is_gone(item, gone))
        if not kept:
            destroy_file(path)
            return Clearing.DESTROYED
        if kept != backup.keys:
            replace_private(path, _dumped(replace(backup, keys=kept)))
        if read_backup(path).keys != kept:
            return Clearing.UNREACHABLE
    except (
        EraserError,
        OSError,
    ):  # a stick that is read-only or broken must not keep the other keys from being destroyed
        return Clearing.UNREACHABLE
    return Clearing.TAKEN_OUT


def recovery_code(key: bytes) -> str:
    """The recovery key for people: 52 characters of RFC 4648 base32 in groups of four."""
    letters = b32encode(key).decode().rstrip("=")
    return "-".join(letters[place : place + _GROUP] for place in range(0, len(letters), _GROUP))


def recovery_key(code: str) -> bytes:
    """Raises UsageError for what is no code."""
    return key_of(code, KEY_BYTES)


def _is_gone(item: BackedUpKey, gone: Mapping[str, Collection[str] | None]) -> bool:
    if item.lot_id not in gone:
        return False
    records = gone[item.lot_id]
    return records is None or item.record_id in records


def _dumped(backup: KeyBackup) -> bytes:
    return json.dumps(to_json(backup), indent=1).encode() + b"\n"
