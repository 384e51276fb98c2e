"""The master key is changed: nothing is lost at any step, the old key opens nothing any more, and is gone from the disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eraser.ledger.vault import Action
from eraser.privacy import key_store
from eraser.privacy.errors import VaultAlteredError
from eraser.privacy.key_store import FileKeyStore
from tests.privacy.builders import ANNA, WANG, Plant


class Crash(BaseException):
    """The power fails here."""


def master_of(plant: Plant) -> bytes:
    return (plant.data / "vault" / "master.key").read_bytes().split()[-1]


def test_details_are_read_as_before_and_the_old_key_opens_nothing(small_plant: Plant, tmp_path: Path) -> None:
    plant = small_plant
    first, other = plant.add(WANG), plant.add(ANNA, lot="lot-2")
    old = master_of(plant)
    with plant.vault() as running, plant.destruction() as destruction:
        before = running.read(first, "clerk", "call back")
        assert destruction.change_master("li", "somebody left") == 2
        # A process that had the vault open goes on, and what it puts in later is under the new key.
        assert running.read(first, "clerk", "call back") == before == WANG
        running.keys.put_lot("lot-3")
        [entry] = [item for item in running.log() if item.action is Action.MASTER_CHANGED]
        assert (entry.operator, entry.reason, entry.body["lots"]) == ("li", "somebody left", 2)
    assert plant.read(other) == ANNA
    held = b"".join(path.read_bytes() for path in (plant.data / "vault").rglob("*") if path.is_file())
    assert old not in held
    copy = tmp_path / "copy"
    shutil.copytree(plant.data / "vault", copy)
    (copy / "master.key").write_bytes(b"eraser vault master key v1\n" + old + b"\n")
    for lot_id in ("lot-1", "lot-2", "lot-3"):
        with pytest.raises(VaultAlteredError):
            FileKeyStore(copy).lot_key(lot_id)


def crash_at(patch: pytest.MonkeyPatch, step: int) -> Callable[[], int]:
    """Fails before the so-manieth change of the disk; how many there were."""
    count = 0

    def counted(work: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count == step:
                raise Crash
            return work(*arguments, **named)

        return act

    patch.setattr(key_store, "write_new", counted(key_store.write_new))
    patch.setattr(key_store, "sync_directory", counted(key_store.sync_directory))
    patch.setattr(os, "pwrite", counted(os.pwrite))
    patch.setattr(Path, "replace", counted(Path.replace))
    patch.setattr(Path, "unlink", counted(Path.unlink))
    return lambda: count


def test_a_crash_at_any_step_loses_no_key_and_the_same_order_goes_on(small_plant: Plant, tmp_path: Path) -> None:
    plant = small_plant
    records = {plant.add(WANG): WANG, plant.add(ANNA, lot="lot-2"): ANNA}
    whole = tmp_path / "whole"
    shutil.copytree(plant.data / "vault", whole)
    old = master_of(plant)
    step, is_through = 0, False
    while not is_through:
        step += 1
        shutil.rmtree(plant.data / "vault")
        shutil.copytree(whole, plant.data / "vault")
        with pytest.MonkeyPatch.context() as patch:
            crash_at(patch, step)
            try:
                store = FileKeyStore(plant.data / "vault")
                with store.exclusively():
                    store.change_master()
                is_through = True
            except Crash:
                pass
        for record_id, details in records.items():
            assert plant.read(record_id) == details, step
        with plant.destruction() as destruction:
            assert destruction.change_master("li", "again") == 2
        for record_id, details in records.items():
            assert plant.read(record_id) == details, step
        held = b"".join(path.read_bytes() for path in (plant.data / "vault").rglob("*") if path.is_file())
        assert old not in held, step
        assert {path.name for path in (plant.data / "vault").glob("*.key")} == {"master.key"}
    assert step > 12
