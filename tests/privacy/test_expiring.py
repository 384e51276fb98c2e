"""A running station destroys in time, and says what keeps it from that."""

from __future__ import annotations

import asyncio

from eraser.privacy.destruction import Destruction
from eraser.privacy.expiring import Expiring
from tests.privacy.builders import AFTER, BEFORE, Plant


class Station:
    """What it was told of the vault's trouble, newest last."""

    def __init__(self, plant: Plant) -> None:
        self.told: list[str] = []
        self.expiring = Expiring(
            plant.data,
            plant.url,
            "station-1",
            lambda subject, saying: self.told.append(f"{subject}: {saying or ''}"),
            now_utc=lambda: plant.now,
            new_id=lambda: "a" * 32,
        )

    def look(self) -> str:
        asyncio.run(self.expiring.look())
        return self.told[-1]


def test_a_station_without_a_vault_has_nothing_to_destroy_and_makes_none(small_plant: Plant) -> None:
    assert Station(small_plant).look() == "vault: "
    assert not (small_plant.data / "vault").exists()


def test_what_is_due_is_destroyed(small_plant: Plant) -> None:
    small_plant.add()
    station = Station(small_plant)
    station.look()
    with small_plant.vault() as vault:
        assert vault.keys.lot_ids() == ("lot-1",)
    small_plant.now = AFTER
    assert station.look() == "vault: "
    with small_plant.vault() as vault:
        assert vault.keys.lot_ids() == ()


def test_what_keeps_it_is_told_until_it_is_gone(small_plant: Plant) -> None:
    small_plant.add()
    path = small_plant.data / "keys.json"
    with small_plant.vault() as vault:
        backup, _ = Destruction(vault).back_up(path, "li")
    path.rename(small_plant.data / "away")
    small_plant.now = AFTER
    station = Station(small_plant)
    assert backup.backup_id in station.look()
    (small_plant.data / "away").rename(path)
    assert station.look() == "vault: "
    (small_plant.data / "vault").chmod(0o755)
    assert "can't be destroyed" in station.look()
    (small_plant.data / "vault").chmod(0o700)
    assert station.look() == "vault: "
    assert small_plant.now != BEFORE
