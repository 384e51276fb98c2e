"""Keys are closed to others, outlive a crash, and are gone when they are destroyed."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from eraser.errors import UsageError
from eraser.privacy.errors import VaultAlteredError, VaultDestroyedError, VaultKeyError
from eraser.privacy.key_store import FileKeyStore, destroy_file

RECORD = f"{1:032x}"
OTHER = f"{2:032x}"
ODD_LOT = "../../etc/批次 7"


@pytest.fixture
def store(tmp_path: Path) -> FileKeyStore:
    found = FileKeyStore(tmp_path / "vault")
    found.put_lot("lot-1")
    found.put_record("lot-1", RECORD)
    return found


def files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "vault").rglob("*") if path.is_file()]


def test_keys_are_the_same_for_who_opens_the_store_later(store: FileKeyStore, tmp_path: Path) -> None:
    again = FileKeyStore(tmp_path / "vault")
    assert again.store_id == store.store_id
    assert again.lot_key("lot-1") == store.lot_key("lot-1")
    assert again.record_key("lot-1", RECORD) == store.record_key("lot-1", RECORD)
    assert (again.lot_ids(), again.record_ids("lot-1")) == (("lot-1",), (RECORD,))


def test_a_key_that_is_there_stays(store: FileKeyStore) -> None:
    before = store.lot_key("lot-1"), store.record_key("lot-1", RECORD)
    store.put_lot("lot-1", bytes(32))
    assert store.put_record("lot-1", RECORD, bytes(32)) == before[1]
    assert store.lot_key("lot-1") == before[0]


def test_no_key_lies_in_a_file_as_it_is_but_the_master(store: FileKeyStore, tmp_path: Path) -> None:
    secrets = [store.lot_key("lot-1"), store.record_key("lot-1", RECORD)]
    content = b"".join(path.read_bytes() for path in files(tmp_path))
    assert all(key not in content and key.hex().encode() not in content for key in secrets)


def test_everything_is_closed_to_others_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = FileKeyStore(tmp_path / "vault")
        store.put_lot(ODD_LOT)
        store.put_record(ODD_LOT, RECORD)
        with store.exclusively():
            pass
    finally:
        os.umask(before)
    for path in (tmp_path / "vault", *(tmp_path / "vault").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert store.lot_ids() == (ODD_LOT,)


@pytest.mark.parametrize("name", ["master.key", "store.id"])
def test_a_file_that_others_can_read_is_refused(store: FileKeyStore, tmp_path: Path, name: str) -> None:
    (tmp_path / "vault" / name).chmod(0o640)
    with pytest.raises(VaultKeyError, match="others can get at it"):
        FileKeyStore(tmp_path / "vault")


def test_a_folder_that_others_can_enter_is_refused(store: FileKeyStore, tmp_path: Path) -> None:
    (tmp_path / "vault").chmod(0o755)
    with pytest.raises(VaultKeyError, match="others can get at it"):
        FileKeyStore(tmp_path / "vault")


def test_a_link_in_a_keys_place_is_refused(store: FileKeyStore, tmp_path: Path) -> None:
    path = next((tmp_path / "vault" / "lots").rglob("lot.key"))
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(VaultKeyError):
        store.lot_key("lot-1")


def test_each_bit_of_a_wrapped_key_that_changes_is_found(store: FileKeyStore, tmp_path: Path) -> None:
    path = next((tmp_path / "vault" / "lots").rglob(f"{RECORD}.key"))
    form = json.loads(path.read_text())
    wrapped = bytes.fromhex(form["wrapped"])
    for bit in range(8 * len(wrapped)):
        changed = bytearray(wrapped)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_text(json.dumps(form | {"wrapped": changed.hex()}))
        with pytest.raises(VaultAlteredError, match=RECORD):
            store.record_key("lot-1", RECORD)


def test_a_key_in_another_ones_place_is_found(store: FileKeyStore, tmp_path: Path) -> None:
    store.put_record("lot-1", OTHER)
    store.put_lot("lot-2")
    folder = next((tmp_path / "vault" / "lots").rglob(f"{RECORD}.key")).parent
    other = next(path for path in (tmp_path / "vault" / "lots").iterdir() if path != folder)
    (folder / f"{OTHER}.key").write_bytes((folder / f"{RECORD}.key").read_bytes())
    (other / "lot.key").write_bytes((folder / "lot.key").read_bytes())
    with pytest.raises(VaultAlteredError):
        store.record_key("lot-1", OTHER)
    with pytest.raises(VaultAlteredError):
        store.lot_key("lot-2")


def test_another_master_key_opens_nothing(store: FileKeyStore, tmp_path: Path) -> None:
    (tmp_path / "vault" / "master.key").unlink()
    with pytest.raises(VaultAlteredError, match="lot-1"):
        FileKeyStore(tmp_path / "vault").lot_key("lot-1")


def test_a_destroyed_record_leaves_the_rest(store: FileKeyStore) -> None:
    kept = store.put_record("lot-1", OTHER)
    store.destroy_record("lot-1", RECORD)
    assert not store.has_anything_of("lot-1", RECORD)
    assert store.record_ids("lot-1") == (OTHER,)
    assert store.record_key("lot-1", OTHER) == kept
    with pytest.raises(VaultKeyError, match="no key"):
        store.record_key("lot-1", RECORD)


def test_a_destroyed_lot_leaves_nothing_of_it(store: FileKeyStore, tmp_path: Path) -> None:
    store.put_lot("lot-2")
    store.destroy_lot("lot-1")
    assert not store.has_anything_of("lot-1")
    assert store.lot_ids() == ("lot-2",)
    assert not list((tmp_path / "vault" / "lots").glob(f"*/*{RECORD}*"))
    store.destroy_lot("lot-1")


def test_no_key_is_put_where_one_was_destroyed(store: FileKeyStore) -> None:
    store.destroy_record("lot-1", RECORD)
    with pytest.raises(VaultDestroyedError, match=RECORD):
        store.put_record("lot-1", RECORD)
    store.destroy_lot("lot-1")
    for put in (lambda: store.put_lot("lot-1", bytes(32)), lambda: store.put_record("lot-1", OTHER, bytes(32))):
        with pytest.raises(VaultDestroyedError):
            put()
    assert (store.is_destroyed("lot-1"), store.is_destroyed("lot-2")) == (True, False)


def test_what_a_crash_left_of_writing_a_key_is_destroyed_with_it(store: FileKeyStore, tmp_path: Path) -> None:
    path = next((tmp_path / "vault" / "lots").rglob(f"{RECORD}.key"))
    left = path.with_name(f".{path.name}.0123456789abcdef.tmp")
    left.write_bytes(path.read_bytes())
    store.destroy_record("lot-1", RECORD)
    assert not left.exists()
    assert not store.has_anything_of("lot-1", RECORD)


def test_a_destroyed_file_was_overwritten_where_it_lay(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"secret" * 100)
    os.link(path, tmp_path / "the same blocks")
    destroy_file(path)
    assert not path.exists()
    assert (tmp_path / "the same blocks").read_bytes() == bytes(600)


@pytest.mark.parametrize("name", ["", "x", "../lot", "A" * 32])
def test_a_records_id_that_is_none_is_no_path(store: FileKeyStore, name: str) -> None:
    with pytest.raises(UsageError):
        store.put_record("lot-1", name)
