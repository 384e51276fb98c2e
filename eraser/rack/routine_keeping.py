"""The station's eye on its routine control: how much of it is overdue, for the metrics."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from eraser.errors import EraserError
from eraser.ledger import routine
from eraser.ledger.store import Store
from eraser.rack.ledger_health import LedgerHealth

INTERVAL_SECONDS = 60.0


async def keep_routine(
    store: Store, now_utc: Callable[[], str], health: LedgerHealth, interval_seconds: float = INTERVAL_SECONDS
) -> None:
    """Looks once a minute, until it is cancelled. What can't be read is looked at again; the ledger's own trouble is told
    elsewhere.
    """
    while True:
        with suppress(EraserError):
            health.routine_overdue = (await store.read(partial(routine.state, now_utc()))).overdue
        await asyncio.sleep(interval_seconds)
