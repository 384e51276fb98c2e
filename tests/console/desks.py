"""A desk over a ledger of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from eraser.console.desk import Desk
from eraser.ledger.station_ledger import open_ledger

STATION = "station-1"
AT = "2027-01-01T00:00:00.000Z"


def now_utc() -> str:
    return AT


async def end_none(job_ids: list[str], why: str) -> None:
    """For drives without open jobs."""
    raise AssertionError(f"{job_ids} were to be ended")


@asynccontextmanager
async def a_desk(url: str) -> AsyncIterator[Desk]:
    """Until the block ends."""
    async with open_ledger(url, STATION, now_utc) as ledger:
        yield Desk(ledger.custody, ledger.lots, ledger.intake, STATION, now_utc, end_none)
