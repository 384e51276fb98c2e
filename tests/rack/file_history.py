"""What a journal of files knows of drives that were here before."""

from pathlib import Path

from eraser.domain.drive import Drive, is_recognisable, same_drive
from eraser.domain.job import JobState, fold
from eraser.ledger.journal import FINISHED, FileJournal
from eraser.rack.surroundings import Past


def finished_states(directory: Path) -> list[JobState]:
    """The jobs with nothing left to do, in the order of their numbers."""
    journal = FileJournal(directory, str)
    names = sorted((path.stem for path in (directory / FINISHED).glob("*.journal")), key=lambda name: (len(name), name))
    return [fold(journal.entries(name)) for name in names]


class FileHistory:
    """`eraser.rack.surroundings.History`: reads all of it anew for each drive."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def of(self, drive: Drive) -> Past | None:
        if not is_recognisable(drive):
            return None
        for state in reversed(finished_states(self._directory)):
            if state.drive is not None and state.outcome is not None and not same_drive(state.drive, drive):
                return Past(state.job_id, state.outcome.value)
        return None
