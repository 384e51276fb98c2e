"""What is left of a lot's customers goes years after their keys did: whole, with a record, and not while anything is held."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import func, select

from eraser.ledger import log as ledger_log
from eraser.ledger.check import check
from eraser.ledger.engine import open_engine, writing
from eraser.ledger.retention import Periods
from eraser.ledger.schema import vault_log, vault_receipts, vault_records
from eraser.log.publishing import OneKey, checkpoint_of, signed_by_all
from eraser.log.removing import Removing
from eraser.privacy.destruction import Destruction
from eraser.privacy.vault import Scope
from tests.log.keys import KeyInMemory
from tests.log.test_publishing import ORIGIN, Kept
from tests.privacy.builders import ANNA, WANG, Plant

PUT_IN, ENDED = "2017-01-01T00:00:00.000Z", "2020-02-01T00:00:00.000Z"
NOW = "2026-11-24T12:00:00.000Z"
KEYS = OneKey(ORIGIN, KeyInMemory(1))
UNTIL = "2020-01-01T00:00:00Z"


def expire(plant: Plant, years: int = 3) -> list[dict[str, int]]:
    """By removal, how many rows of which kind went."""
    engine, kept = open_engine(plant.url), Kept()
    with writing(engine) as connection, connection.begin():
        checkpoint = checkpoint_of(ORIGIN, connection)
        kept.content = str(signed_by_all(checkpoint, KEYS)).encode()
        ledger_log.put_checkpoint(connection, checkpoint.size, NOW, kept.content.decode())
    done = list(Removing(engine, ORIGIN, KEYS, kept, lambda: NOW, Periods(50, vault=years), "li")())
    engine.dispose()
    return [{kind: len(keys) for kind, keys in item.expired.rows.items() if keys} for item in done]


def rows_of(plant: Plant) -> tuple[int, int, int]:
    engine = open_engine(plant.url)
    with engine.connect() as connection:
        tables = (vault_records, vault_receipts, vault_log)
        counts = [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]
    engine.dispose()
    return counts[0], counts[1], counts[2]


def put_in(plant: Plant) -> None:
    """A lot of two customers, one of them changed, one with a receipt."""
    plant.now = PUT_IN
    with plant.vault() as vault:
        first = vault.add(Scope("lot-1", "S1"), WANG, "clerk", UNTIL)
        vault.add(Scope("lot-1", "S2"), ANNA, "clerk", UNTIL)
        vault.change(first, ANNA, "clerk", "put right")
        vault.receipt(first, "", "clerk", "hand-in")
        vault.find("anna", "li", "complaint")


def end(plant: Plant) -> None:
    plant.now = ENDED
    with plant.vault() as vault:
        Destruction(vault).expire("li")


def test_the_rows_go_once_the_keys_have_long_been_destroyed(plant: Plant) -> None:
    put_in(plant)
    plant.now = NOW
    with plant.vault() as vault:
        vault.add(Scope("lot-2", "S3"), WANG, "clerk", "2030-01-01T00:00:00Z")
    assert expire(plant) == [{"vault_log": 1}]  # the search, which is of no lot
    end(plant)
    assert expire(plant, years=7) == []
    [done] = expire(plant)
    assert (done["vault_records"], done["vault_receipts"]) == (3, 1)
    assert rows_of(plant) == (1, 0, 2)
    assert check(plant.url).is_clean
    with plant.destruction() as destruction:  # what is gone is not missed
        assert destruction.finish("li") == []
    assert expire(plant) == []


def test_the_rows_stay_while_a_backup_may_still_hold_a_key(plant: Plant, tmp_path: Path) -> None:
    put_in(plant)
    backup = tmp_path / "stick" / "keys.backup"
    backup.parent.mkdir()
    with plant.destruction() as destruction:
        registered, _ = destruction.back_up(backup, "li")
    backup.rename(backup.with_name("elsewhere"))
    end(plant)
    assert expire(plant) == [{"vault_log": 1}]
    assert rows_of(plant)[0] == 3
    with plant.destruction() as destruction:
        destruction.forget(registered.backup_id, "li", "burnt")
    [done] = expire(plant)
    assert done["vault_records"] == 3
    assert rows_of(plant) == (0, 0, 0)
