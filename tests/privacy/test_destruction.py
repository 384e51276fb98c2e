"""What is destroyed is gone: after a crash at any step, from every backup that can be reached, and for whoever restores one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from eraser.errors import Refused, UsageError
from eraser.ledger import vault as rows
from eraser.ledger.vault import Action
from eraser.privacy.destruction import Destruction
from eraser.privacy.errors import VaultAlteredError, VaultDestroyedError, VaultKeyError
from eraser.privacy.key_backup import Clearing, read_backup, recovery_code, recovery_key
from eraser.privacy.vault import Scope
from tests.privacy.builders import AFTER, ANNA, BEFORE, IDENTITY, NAME, UNTIL, WANG, Plant

# ---- by request


def test_one_customer_is_erased_and_the_rest_of_the_lot_stays(plant: Plant) -> None:
    gone, stays = plant.add(WANG, serial="S1"), plant.add(ANNA, serial="S2")
    with plant.vault() as vault:
        vault.receipt(gone, "", "clerk", "hand-in")
        done = Destruction(vault).erase(gone, "li", "asked for it")
        assert (done.lot_id, done.record_id, done.records, done.commitment_keys) == ("lot-1", gone, 1, 1)
        assert [item.record_id for item in vault.stored()] == [stays]
        for take_out in (
            lambda: vault.read(gone, "li", "why"),
            lambda: vault.receipt(gone, "", "li", "why"),
            lambda: vault.export([gone], "li", "why"),
            lambda: vault.change(gone, ANNA, "li", "why"),
            lambda: Destruction(vault).erase(gone, "li", "again"),
        ):
            with pytest.raises(VaultDestroyedError):
                take_out()
        entries = [(item.action, item.reason) for item in vault.log(record_id=gone)][-2:]
    assert entries == [(Action.ERASING, "asked for it"), (Action.ERASED, "asked for it")]
    assert plant.read(stays) == ANNA
    with plant.vault() as vault:  # its place is free again
        assert vault.add(Scope("lot-1", "S1"), ANNA, "clerk", UNTIL)


def test_erasing_needs_a_reason_that_names_nobody(small_plant: Plant) -> None:
    record_id = small_plant.add()
    with small_plant.destruction() as destruction:
        for reason in ("", "王小明 asked"):
            with pytest.raises(UsageError):
                destruction.erase(record_id, "li", reason)
    assert small_plant.read(record_id) == WANG


def test_a_record_whose_key_is_lost_can_still_be_brought_to_its_end(small_plant: Plant) -> None:
    record_id = small_plant.add()
    with small_plant.vault() as vault:
        small_plant.lose_key(record_id)
        Destruction(vault).erase(record_id, "li", "asked for it")
        assert vault.stored() == []


# ---- at the end of retention


def test_lots_whose_time_has_ended_are_destroyed_and_no_others(plant: Plant) -> None:
    first, second = plant.add(WANG, serial="S1"), plant.add(ANNA, serial="S2")
    other = plant.add(ANNA, lot="lot-2")
    with plant.vault() as vault:
        vault.receipt(first, "", "clerk", "hand-in")
        vault.keep_until("lot-2", "2032-01-01T00:00:00Z", "clerk", "warranty")
        destruction = Destruction(vault)
        assert (destruction.due(), destruction.expire("timer")) == ({}, [])
        plant.now = AFTER
        assert destruction.due() == {"lot-1": UNTIL}
        (done,) = destruction.expire("timer")
        assert (done.lot_id, done.record_id, done.kept_until) == ("lot-1", "", UNTIL)
        assert (done.records, done.commitment_keys) == (2, 1)
        assert (destruction.due(), destruction.expire("timer")) == ({}, [])
        assert vault.keys.lot_ids() == ("lot-2",)
        for record_id in (first, second):
            with pytest.raises(VaultDestroyedError, match="its retention ended"):
                vault.read(record_id, "li", "why")
        assert vault.read(other, "li", "why") == ANNA


def test_nothing_more_is_put_into_a_lot_that_has_ended(plant: Plant) -> None:
    plant.add()
    plant.now = AFTER
    with plant.vault() as vault:
        Destruction(vault).expire("timer")
        with pytest.raises(Refused, match="retention has ended"):
            vault.add(Scope("lot-1", "S2"), ANNA, "clerk", "2040-01-01T00:00:00Z")
        with pytest.raises(Refused, match="retention has ended"):
            vault.keep_until("lot-1", "2040-01-01T00:00:00Z", "clerk", "regret")
        assert not vault.keys.has_anything_of("lot-1")


def test_a_drive_of_an_ended_lot_gets_no_commitment(small_plant: Plant) -> None:
    small_plant.receive(NAME)
    small_plant.add()
    small_plant.now = AFTER
    with small_plant.vault() as vault:
        Destruction(vault).expire("timer")
        assert vault.commitment_for(IDENTITY, "j", "station") is None


def test_what_is_listed_names_nobody(small_plant: Plant) -> None:
    small_plant.add()
    small_plant.now = AFTER
    with small_plant.destruction() as destruction:
        said = f"{destruction.due()} {destruction.expire('timer')} {destruction.lots()}"
    assert [value for value in WANG.values() if value in said] == []


def test_a_backup_of_ledger_and_key_folder_of_before_is_of_no_use_without_the_master_key(
    small_plant: Plant, tmp_path: Path
) -> None:
    """Even the lot's own files: what is destroyed first is what everything else hangs on."""
    record_id = small_plant.add()
    shutil.copytree(tmp_path / "vault" / "lots", tmp_path / "stolen")
    small_plant.now = AFTER
    with small_plant.destruction() as destruction:
        destruction.expire("timer")
    thief = tmp_path / "thief"
    with small_plant.vault("thief"):
        pass
    (thief / "lots").rmdir()
    shutil.copytree(tmp_path / "stolen", thief / "lots")
    with small_plant.vault("thief") as vault, pytest.raises(VaultAlteredError):
        vault.keys.record_key("lot-1", record_id)


def test_each_station_destroys_its_own_keys_of_a_lot_that_has_ended(small_plant: Plant) -> None:
    here = small_plant.add(WANG, serial="S1")
    with small_plant.vault("another vault") as other:
        there = other.add(Scope("lot-1", "S2"), ANNA, "clerk", UNTIL)
        alone = other.add(Scope("lot-2"), ANNA, "clerk", UNTIL)
        with pytest.raises(VaultKeyError), small_plant.vault() as vault:
            vault.read(there, "li", "why")
        with pytest.raises(Refused, match="another station"), small_plant.destruction() as destruction:
            destruction.erase(there, "li", "asked for it")
        assert other.read(there, "li", "why") == ANNA
        small_plant.now = AFTER
        with small_plant.vault() as vault:
            assert [item.lot_id for item in Destruction(vault).expire("timer")] == ["lot-1"]
            assert vault.keys.lot_ids() == ()
        assert other.keys.lot_ids() == ("lot-1", "lot-2")
        for record_id in (here, there):
            with pytest.raises(VaultDestroyedError):
                other.read(record_id, "li", "why")
        assert sorted(item.lot_id for item in Destruction(other).expire("timer")) == ["lot-1", "lot-2"]
        assert other.keys.lot_ids() == ()
        with pytest.raises(VaultDestroyedError):
            other.read(alone, "li", "why")
        assert Destruction(other).expire("timer") == []


def test_two_processes_that_expire_at_once_destroy_once(small_plant: Plant) -> None:
    small_plant.add()
    small_plant.now = AFTER

    def expire(_: int) -> int:
        with small_plant.destruction() as destruction:
            return len(destruction.expire("timer"))

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(expire, range(3))) >= 1
    with small_plant.vault() as vault:
        assert vault.keys.lot_ids() == ()
        assert [entry.action for entry in vault.log()].count(Action.EXPIRING) == 1
        assert Destruction(vault).expire("timer") == []


def test_an_older_ledger_that_is_restored_brings_nothing_back(small_plant: Plant, tmp_path: Path) -> None:
    erased, expired = small_plant.add(WANG), small_plant.add(ANNA, lot="lot-2")
    small_plant.receive(NAME)
    with small_plant.destruction() as destruction:
        _, key = destruction.back_up(tmp_path / "keys.json", "li")
    shutil.copy(tmp_path / "keys.json", tmp_path / "copy.json")
    shutil.copy(tmp_path / "ledger.db", tmp_path / "older.db")
    small_plant.now = AFTER
    with small_plant.vault() as vault:
        vault.keep_until("lot-1", "2040-01-01T00:00:00Z", "clerk", "warranty")
        Destruction(vault).erase(erased, "li", "asked for it")
        Destruction(vault).expire("timer")
    for path in tmp_path.glob("ledger.db*"):
        path.unlink()
    (tmp_path / "older.db").rename(tmp_path / "ledger.db")
    with small_plant.vault() as vault:
        destruction = Destruction(vault)
        assert destruction.restore(tmp_path / "copy.json", key, "thief", "try") == 0
        assert vault.stored() == []
        assert vault.commitment_for(IDENTITY, "j", "station") is None
        for record_id in (erased, expired):
            with pytest.raises(VaultDestroyedError):
                vault.read(record_id, "li", "why")
        with pytest.raises(Refused, match="retention has ended"):
            vault.add(Scope("lot-2", "S2"), ANNA, "clerk", UNTIL)
        destruction.finish("timer")
        assert [entry.action for entry in vault.log(record_id=erased)][-2:] == [Action.ERASING, Action.ERASED]
        assert vault.keys.lot_ids() == ("lot-1",)


# ---- crashes


class Crash(BaseException):
    """The power fails."""


@contextmanager
def power_failing_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Before the numbered durable step of destroying keys: each flush, each name that goes or comes, each entry of the log."""
    steps: list[str] = []

    def failing(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def do(*arguments: Any, **options: Any) -> Any:
            if len(steps) == step:
                steps.append(f"crash before {name}")
                raise Crash
            if len(steps) < step:
                steps.append(name)
            return work(*arguments, **options)

        return do

    with monkeypatch.context() as patch:
        for name in ("fsync", "pwrite", "unlink", "rmdir", "replace", "link"):
            patch.setattr(os, name, failing(name, getattr(os, name)))
        patch.setattr(rows, "note", failing("note", rows.note))
        yield steps


def crashes_of(
    make: Callable[[Path], Plant], destroy: Callable[[Destruction], Any], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> Iterator[tuple[Plant, str]]:
    """A plant for each step, in which the power failed there."""
    for step in range(200):
        plant = make(folder / str(step))
        with plant.destruction() as destruction, power_failing_at(step, monkeypatch) as steps:
            try:
                destroy(destruction)
            except Crash:
                yield plant, steps[-1]
                continue
        assert step > 8, steps
        return
    raise AssertionError("it never ends")


def plant_with_backup(template: Plant, folder: Path) -> Plant:
    """A copy of the template's disk, with a backup of its keys registered where it lies."""
    shutil.copytree(template.data, folder)
    plant = Plant(f"sqlite:///{folder / 'ledger.db'}", folder)
    with plant.destruction() as destruction:
        destruction.back_up(folder / "keys.json", "li")
    return plant


@pytest.fixture
def template(small_plant: Plant) -> Plant:
    """Two customers of one lot, a third of another."""
    with small_plant.vault() as vault:
        for scope in (Scope("lot-1", "S1"), Scope("lot-1", "S2"), Scope("lot-2")):
            vault.receipt(vault.add(scope, WANG, "clerk", UNTIL), "S9", "clerk", "hand-in")
        vault.keep_until("lot-2", "2040-01-01T00:00:00Z", "clerk", "warranty")
    return small_plant


def actions(plant: Plant) -> list[Action]:
    with plant.vault() as vault:
        return [entry.action for entry in vault.log()]


def test_a_crash_at_any_step_of_a_lots_end_leaves_nothing_that_can_be_read_and_is_finished_later(
    template: Plant, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("crashes")

    def make(where: Path) -> Plant:
        plant = plant_with_backup(template, where)
        plant.now = AFTER
        return plant

    ids = [item.record_id for item in stored(template)]
    for plant, step in crashes_of(make, lambda destruction: destruction.expire("timer"), monkeypatch, folder):
        has_begun = Action.EXPIRING in actions(plant)
        with plant.vault() as vault:
            for record_id in ids[:2]:
                if has_begun:
                    with pytest.raises(VaultDestroyedError):
                        vault.read(record_id, "li", "why")
                else:
                    assert vault.read(record_id, "li", "why") == WANG, step
            (done,) = Destruction(vault).expire("timer")
            assert (done.lot_id, done.records, done.commitment_keys) == ("lot-1", 2, 2), step
            assert not vault.keys.has_anything_of("lot-1"), step
            assert vault.read(ids[2], "li", "why") == WANG, step
            assert Destruction(vault).pending() == {}, step
        assert set(read_backup(plant.data / "keys.json").holds()) == {"lot-2"}, step
        said = actions(plant)
        assert (said.count(Action.EXPIRING), said.count(Action.EXPIRED)) == (1, 1), step
        shutil.rmtree(plant.data)


def test_a_crash_at_any_step_of_a_customers_end_is_finished_later(
    template: Plant, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("crashes")
    ids = [item.record_id for item in stored(template)]

    def erase(destruction: Destruction) -> None:
        destruction.erase(ids[0], "li", "asked for it")

    for plant, step in crashes_of(lambda where: plant_with_backup(template, where), erase, monkeypatch, folder):
        has_begun = Action.ERASING in actions(plant)
        with plant.vault() as vault:
            destruction = Destruction(vault)
            if has_begun:
                with pytest.raises(VaultDestroyedError):
                    vault.read(ids[0], "li", "why")
                done = destruction.finish("timer")
                assert [item.record_id for item in done] in ([ids[0]], []), step
            else:
                assert vault.read(ids[0], "li", "why") == WANG
                destruction.erase(ids[0], "li", "asked for it")
            assert not vault.keys.has_anything_of("lot-1", ids[0]), step
            assert destruction.pending() == {}, step
            assert [vault.read(item, "li", "why") for item in ids[1:]] == [WANG, WANG], step
        assert ids[0] not in str(read_backup(plant.data / "keys.json").holds()), step
        said = actions(plant)
        assert (said.count(Action.ERASING), said.count(Action.ERASED)) == (1, 1), step
        shutil.rmtree(plant.data)


def test_a_crash_at_any_step_of_putting_a_customer_in_loses_none_that_was_promised(
    template: Plant, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("crashes")
    for step in range(100):
        where = folder / str(step)
        shutil.copytree(template.data, where)
        plant = Plant(f"sqlite:///{where / 'ledger.db'}", where)
        try:
            with plant.vault() as vault:
                before = len(vault.stored())
                vault.new_id = lambda: "f" * 32
                with power_failing_at(step, monkeypatch):
                    vault.add(Scope("lot-2", "S7"), ANNA, "clerk", UNTIL)
        except Crash:
            with plant.vault() as vault:
                assert len(vault.stored()) == before
                vault.new_id = lambda: "e" * 32
                assert vault.read(vault.add(Scope("lot-2", "S7"), ANNA, "clerk", UNTIL), "li", "why") == ANNA
            shutil.rmtree(where)
            continue
        assert step > 3
        return
    raise AssertionError("it never ends")


def stored(plant: Plant) -> list[Any]:
    with plant.vault() as vault:
        return vault.stored()


# ---- backups of keys


def test_a_backup_gives_back_keys_that_were_lost(plant: Plant, tmp_path: Path) -> None:
    record_id = plant.add()
    with plant.destruction() as destruction:
        registered, key = destruction.back_up(tmp_path / "keys.json", "li")
        assert registered.holds == {"lot-1": [record_id]}
    shutil.rmtree(tmp_path / "vault")
    backup = read_backup(tmp_path / "keys.json")
    with plant.vault(store_id=backup.store_id) as vault:
        code = recovery_code(key)
        assert len(code.replace("-", "")) == 52
        assert Destruction(vault).restore(tmp_path / "keys.json", recovery_key(code), "li", "disk died") == 2
        assert vault.read(record_id, "li", "why") == WANG
        assert Destruction(vault).restore(tmp_path / "keys.json", key, "li", "again") == 0


def test_a_backup_is_of_no_use_without_its_code(small_plant: Plant, tmp_path: Path) -> None:
    record_id = small_plant.add()
    with small_plant.vault() as vault:
        Destruction(vault).back_up(tmp_path / "keys.json", "li")
        secrets = [vault.keys.lot_key("lot-1"), vault.keys.record_key("lot-1", record_id)]
        content = (tmp_path / "keys.json").read_bytes()
        assert not any(key.hex().encode() in content or key in content for key in secrets)
        with pytest.raises(VaultAlteredError):
            Destruction(vault).restore(tmp_path / "keys.json", bytes(32), "thief", "curious")
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600


def test_a_backup_of_another_stations_keys_is_refused(small_plant: Plant, tmp_path: Path) -> None:
    small_plant.add()
    with small_plant.destruction() as destruction:
        _, key = destruction.back_up(tmp_path / "keys.json", "li")
    with small_plant.vault("another vault") as other, pytest.raises(Refused, match="another station"):
        Destruction(other).restore(tmp_path / "keys.json", key, "li", "why")


def test_what_is_destroyed_is_taken_out_of_backups_and_not_restored_from_copies(plant: Plant, tmp_path: Path) -> None:
    gone, stays = plant.add(WANG, serial="S1"), plant.add(ANNA, serial="S2")
    other = plant.add(ANNA, lot="lot-2")
    backup, copy = tmp_path / "keys.json", tmp_path / "copy.json"
    with plant.vault() as vault:
        destruction = Destruction(vault)
        registered, key = destruction.back_up(backup, "li")
        shutil.copy(backup, copy)
        os.link(backup, tmp_path / "the same blocks")
        done = destruction.erase(gone, "li", "asked for it")
        assert done.backups == {registered.backup_id: Clearing.TAKEN_OUT}
        assert read_backup(backup).holds() == {"lot-1": [stays], "lot-2": [other]}
        assert set((tmp_path / "the same blocks").read_bytes()) == {0}
        assert destruction.restore(copy, key, "li", "try") == 0
        with pytest.raises(VaultDestroyedError):
            vault.read(gone, "li", "why")
        plant.now = AFTER
        done_lots = {item.lot_id: item.backups for item in destruction.expire("timer")}
        assert done_lots["lot-2"] == {registered.backup_id: Clearing.DESTROYED}
        assert not backup.exists()
        assert destruction.restore(copy, key, "li", "try") == 0
        assert vault.keys.lot_ids() == ()


def test_a_backup_that_cannot_be_reached_is_named_until_it_is_cleared(small_plant: Plant, tmp_path: Path) -> None:
    gone, stays = small_plant.add(WANG, serial="S1"), small_plant.add(ANNA, serial="S2")
    stick, away = tmp_path / "keys.json", tmp_path / "away.json"
    with small_plant.vault() as vault:
        destruction = Destruction(vault)
        registered, _ = destruction.back_up(stick, "li")
        stick.rename(away)
        done = destruction.erase(gone, "li", "asked for it")
        assert done.backups == {registered.backup_id: Clearing.UNREACHABLE}
        assert destruction.pending() == {registered.backup_id: {"lot-1": [gone]}}
        assert not vault.keys.has_anything_of("lot-1", gone)
        away.rename(stick)
        assert destruction.finish("timer") == []
        assert destruction.pending() == {}
        assert read_backup(stick).holds() == {"lot-1": [stays]}


def test_a_backup_that_was_destroyed_by_hand_is_named_no_more(small_plant: Plant, tmp_path: Path) -> None:
    small_plant.add()
    with small_plant.vault() as vault:
        destruction = Destruction(vault)
        registered, _ = destruction.back_up(tmp_path / "keys.json", "li")
        (tmp_path / "keys.json").unlink()
        small_plant.now = AFTER
        destruction.expire("timer")
        assert destruction.pending() == {registered.backup_id: {"lot-1": None}}
        with pytest.raises(UsageError):
            destruction.forget(registered.backup_id, "li", " ")
        with pytest.raises(UsageError, match="no such backup"):
            destruction.forget("x", "li", "shredded")
        destruction.forget(registered.backup_id, "li", "stick shredded")
        assert destruction.pending() == {}


def test_another_file_in_a_backups_place_is_left_alone(small_plant: Plant, tmp_path: Path) -> None:
    record_id = small_plant.add()
    path = tmp_path / "keys.json"
    with small_plant.destruction() as destruction:
        registered, _ = destruction.back_up(path, "li")
        path.unlink()
        path.write_text("a letter")
        assert destruction.erase(record_id, "li", "asked").backups == {registered.backup_id: Clearing.UNREACHABLE}
        assert path.read_text() == "a letter"
        with pytest.raises(UsageError, match="a file already"):
            destruction.back_up(path, "li")


def test_each_bit_of_a_backed_up_key_that_changes_is_found(small_plant: Plant, tmp_path: Path) -> None:
    small_plant.add()
    path = tmp_path / "keys.json"
    with small_plant.destruction() as destruction:
        _, key = destruction.back_up(path, "li")
        form = json.loads(path.read_text())
        for entry in form["keys"]:
            sealed = bytes.fromhex(entry["sealed"])
            for bit in range(0, 8 * len(sealed), 7):
                changed = bytearray(sealed)
                changed[bit // 8] ^= 1 << bit % 8
                entry["sealed"] = changed.hex()
                path.write_text(json.dumps(form))
                with pytest.raises(VaultAlteredError):
                    destruction.restore(path, key, "li", "try")
            entry["sealed"] = sealed.hex()
        form["keys"][0]["lot_id"] = "lot-2"
        path.write_text(json.dumps(form))
        with pytest.raises(VaultAlteredError):
            destruction.restore(path, key, "li", "try")


def test_keys_that_come_back_while_they_are_destroyed_are_noticed(
    small_plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_id = small_plant.add()
    with small_plant.vault() as vault:
        monkeypatch.setattr(vault.keys, "destroy_record", lambda *_: None)
        with pytest.raises(VaultKeyError, match="there again"):
            Destruction(vault).erase(record_id, "li", "asked for it")
        assert Action.ERASED not in {entry.action for entry in vault.log()}
    assert small_plant.now == BEFORE
