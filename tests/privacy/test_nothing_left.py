"""Once a lot's key is destroyed no file that the plant has opens its details: not its data, not a backup of either kind."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import select

from eraser.errors import EraserError
from eraser.ledger.backup import back_up
from eraser.ledger.engine import open_engine, sqlite_url
from eraser.ledger.schema import vault_receipts, vault_records
from eraser.privacy.destruction import Destruction
from eraser.privacy.errors import VaultAlteredError
from eraser.privacy.key_backup import opened, read_backup
from eraser.privacy.key_store import FileKeyStore
from eraser.privacy.sealing import context, unseal
from eraser.privacy.vault import Scope, Vault
from tests.privacy.builders import AFTER, ANNA, UNTIL, WANG, Plant

LATER = "2040-01-01T00:00:00Z"


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def sealed_rows(ledger: Path) -> list[tuple[bytes, bytes]]:
    """What is sealed in a ledger of lot-1, with the place that it is bound to."""
    engine = open_engine(sqlite_url(ledger))
    with engine.connect() as connection:
        records = connection.execute(select(vault_records).where(vault_records.c.lot_id == "lot-1")).all()
        receipts = connection.execute(select(vault_receipts)).all()
    engine.dispose()
    ids = {row.record_id for row in records}
    bound = ("lot_id", "record_id", "version", "serial", "asset_tag", "key_store", "at", "operator")
    places = [(row.sealed, context("record", *(str(getattr(row, name)) for name in bound))) for row in records]
    return places + [
        (row.sealed, context("receipt", row.record_id, row.drive)) for row in receipts if row.record_id in ids
    ]


def test_no_file_opens_a_lot_whose_key_was_destroyed(small_plant: Plant, tmp_path: Path) -> None:
    plant, backups = small_plant, tmp_path / "backups"
    backups.mkdir()
    with plant.vault() as vault:
        ids = [vault.add(Scope("lot-1", "S1"), WANG, "clerk", UNTIL), vault.add(Scope("lot-1"), ANNA, "clerk", UNTIL)]
        code = vault.receipt(ids[0], "", "clerk", "hand-in").code
        other = vault.add(Scope("lot-2"), ANNA, "clerk", LATER)
        store = vault.keys
        own_keys = [store.lot_key("lot-1"), *(store.record_key("lot-1", item) for item in ids)]
        wrapped = [path.read_bytes() for path in (plant.data / "vault" / "lots").glob("*/*.key")]
        _, recovery = Destruction(vault).back_up(backups / "keys", "li")
    ledger = backups / "ledger.backup"
    back_up(plant.url, ledger, plant.now)
    held = everything(plant.data) + everything(backups)
    assert wrapped[0] in held  # the search finds what is there
    for secret in (*own_keys, *(key.hex().encode() for key in own_keys)):
        assert secret not in everything(plant.data) + ledger.read_bytes()

    lots_keys = [path for path in wrapped if b'"lot-1"' in path]
    assert len(lots_keys) == 3
    plant.now = AFTER
    with plant.destruction() as destruction:
        [done] = destruction.expire("li")
    assert done.lot_id == "lot-1"

    held = everything(plant.data) + everything(backups)
    spoken = [value.encode() for details in (WANG, ANNA) for value in details.values() if value]
    hidden = [*spoken, code.encode(), *own_keys, *(key.hex().encode() for key in own_keys), *lots_keys]
    assert [secret for secret in hidden if secret in held] == []
    known = {item[0] for item in opened(read_backup(backups / "keys"), recovery)}
    assert known == {"lot-2"}

    # The ledger's backup still has what is sealed: no key that is left anywhere opens it.
    keys = [recovery, bytes.fromhex((plant.data / "vault" / "master.key").read_text().split()[-1])]
    store = FileKeyStore(plant.data / "vault")
    keys += [store.lot_key("lot-2"), store.record_key("lot-2", other)]
    for path in (ledger, plant.data / "ledger.db"):
        assert len(sealed_rows(path)) == 3
        for sealed, bound in sealed_rows(path):
            for key in keys:
                with pytest.raises(VaultAlteredError):
                    unseal(key, sealed, bound, "")

    # Nor does putting both backups back.
    again = tmp_path / "again"
    again.mkdir()
    shutil.copy(ledger, again / "ledger.db")
    engine = open_engine(sqlite_url(again / "ledger.db"))
    keys_there = FileKeyStore(again / "vault", store_id=store.store_id)
    restored = Vault(engine, keys_there, now_utc=lambda: AFTER, new_id=lambda: "f" * 32)
    Destruction(restored).restore(backups / "keys", recovery, "li", "the disk died")
    for record_id in ids:
        with pytest.raises(EraserError):
            restored.read(record_id, "li", "call back")
    assert restored.read(other, "li", "call back") == ANNA
    engine.dispose()
