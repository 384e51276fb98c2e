"""How the station's ledger does: how long its commits take, and whether this station may still write to it."""

import asyncio
from bisect import bisect_left

from eraser.errors import JournalError
from eraser.ledger.sql_journal import LEASE_SECONDS, SqlJournal
from eraser.rack.view import COMMIT_BOUNDS_SECONDS, CommitTimes

RENEW_SECONDS = LEASE_SECONDS / 3


class LedgerHealth:
    """What the picture shows of the ledger. `committed` is called by the ledger's writer, all else on the loop's thread."""

    def __init__(self) -> None:
        self.problem = ""
        """Why it can't be written, in words; empty when it can."""
        self.log_problem = ""
        """Why its transparency log is not signed; empty when it is."""
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

    async def keep_lease(self, journal: SqlJournal) -> None:
        """Tells other hosts that this one lives, and finds out whether it may still write. Until it is cancelled."""
        while True:
            try:
                await journal.renew()
                self.problem = ""
            except JournalError as error:
                self.problem = str(error)
            await asyncio.sleep(RENEW_SECONDS)
