"""A desk over a ledger of the test's own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from eraser.certificates.destroying import Destroying
from eraser.certificates.withdrawing import Withdrawing
from eraser.console.desk import Desk
from eraser.domain.certificate import Station
from eraser.ledger.engine import sqlite_url
from eraser.ledger.station_ledger import open_ledger
from eraser.ledger.store import Store
from eraser.privacy.opening import OpensLate

STATION = "station-1"
AT = "2027-01-01T00:00:00.000Z"


def now_utc() -> str:
    return AT


async def end_none(job_ids: list[str], why: str) -> None:
    """For drives without open jobs."""
    raise AssertionError(f"{job_ids} were to be ended")


@asynccontextmanager
async def a_desk(url: str, data: Path | None = None) -> AsyncIterator[Desk]:
    """Until the block ends; with a folder for keys and certificates it also takes certificates back."""
    async with open_ledger(url, STATION, now_utc) as ledger:
        withdraw = withdrawing(ledger.store, data) if data is not None else None
        destroy = destroying(ledger.store, data) if data is not None else None
        yield Desk(ledger.custody, ledger.lots, ledger.intake, STATION, now_utc, end_none, withdraw, destroy)


def vault_in(data: Path) -> OpensLate:
    """The vault of the station whose ledger is in this folder."""
    return OpensLate(data, sqlite_url(data / "ledger.db"), now_utc=now_utc, new_id=lambda: uuid.uuid4().hex)


def withdrawing(store: Store, data: Path) -> Withdrawing:
    """Withdraws for this station."""
    station = Station(STATION, "hall 2")
    return Withdrawing(
        store, data / "certificates", data / "keys", station, now_utc=now_utc, new_id=lambda: uuid.uuid4().hex
    )


def destroying(store: Store, data: Path) -> Destroying:
    """Records destructions for this station."""
    station = Station(STATION, "hall 2")
    return Destroying(
        store, data / "certificates", data / "keys", station, now_utc=now_utc, new_id=lambda: uuid.uuid4().hex
    )
