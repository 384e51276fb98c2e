"""What the station's ledger knows of drives that were here before."""

from eraser.domain.drive import Drive
from eraser.domain.sayings import recalled
from eraser.ledger.sql_journal import SqlJournal
from eraser.rack.surroundings import Past


class LedgerHistory:
    """`eraser.rack.surroundings.History` over the ledger: asked anew for each drive, so that it needs no memory of its own."""

    def __init__(self, journal: SqlJournal) -> None:
        self._journal = journal

    async def of(self, drive: Drive) -> Past | None:
        """The last finished job on this very drive, whichever station did it. Raises JournalError."""
        found = await self._journal.last_finished(drive)
        if found is None:
            return None
        why = tuple(recalled(reason.what, reason.code) for reason in found.reasons)
        return Past(found.job_id, found.outcome.value, why)
