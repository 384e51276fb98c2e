"""How the station's ledger does: how long its commits take, and whether this station may still write to it."""

import asyncio
from bisect import bisect_left
from collections.abc import Callable

from eraser.domain.sayings import Code, Saying, say
from eraser.errors import JournalError
from eraser.ledger.sql_journal import LEASE_SECONDS, SqlJournal
from eraser.rack.view import COMMIT_BOUNDS_SECONDS, CommitTimes

RENEW_SECONDS = LEASE_SECONDS / 3

Trouble = Callable[[str, Saying | None], None]
"""Says in the second place what is wrong with the first; None: nothing any more."""


class LedgerHealth:
    """What the picture shows of the ledger. `committed` is called by the ledger's writer, all else on the loop's thread."""

    def __init__(self) -> None:
        self.log_problem = ""
        """Why its transparency log is not signed; empty when it is."""
        self.routine_overdue = 0
        """How much of the routine control is overdue."""
        self.last_commit_seconds = 0.0
        self._all_seconds = 0.0
        self._counts = [0] * (len(COMMIT_BOUNDS_SECONDS) + 1)

    def committed(self, seconds: float, writes: int) -> None:
        """A transaction of so many writes has become durable."""
        self.last_commit_seconds = seconds
        self._all_seconds += seconds
        self._counts[bisect_left(COMMIT_BOUNDS_SECONDS, seconds)] += 1

    def commits(self) -> CommitTimes:
        """All of them."""
        return CommitTimes(self._all_seconds, tuple(self._counts))


async def keep_lease(journal: SqlJournal, trouble: Trouble, interval_seconds: float = RENEW_SECONDS) -> None:
    """Tells other hosts that this one lives, and people whether the ledger can be written. Until it is cancelled."""
    while True:
        try:
            async with asyncio.timeout(interval_seconds):
                await journal.renew()
            trouble("ledger", None)
        except TimeoutError:
            trouble("ledger", say(Code.TROUBLE_LEDGER_SILENT, seconds=interval_seconds))
        except JournalError as error:
            trouble("ledger", say(Code.TROUBLE_LEDGER, detail=str(error)))
        await asyncio.sleep(interval_seconds)
