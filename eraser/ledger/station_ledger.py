"""The ledger of one running station: the open database and everything that is kept in it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from eraser.ledger.custody import Custody
from eraser.ledger.intake import Intake
from eraser.ledger.lots import Lots
from eraser.ledger.sql_journal import SqlJournal
from eraser.ledger.store import OnCommit, Store, open_store


@dataclass(frozen=True, slots=True)
class StationLedger:
    """All of it over one store, so that one thread writes and whoever waits shares a commit."""

    store: Store
    journal: SqlJournal
    custody: Custody
    lots: Lots
    intake: Intake


@asynccontextmanager
async def open_ledger(
    url: str, station_id: str, now_utc: Callable[[], str], *, on_commit: OnCommit | None = None
) -> AsyncIterator[StationLedger]:
    """This station's, until the block ends. Raises UsageError, JournalError, or JobHeld where the station runs already."""
    store = await open_store(url, on_commit=on_commit)
    try:
        journal = await SqlJournal.open(store, station_id, now_utc)
        try:
            intake = Intake(store, station_id, now_utc)
            yield StationLedger(store, journal, Custody(store, now_utc), Lots(store, now_utc), intake)
        finally:
            await journal.close()
    finally:
        await store.close()
