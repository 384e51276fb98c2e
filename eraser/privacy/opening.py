"""The vault of a station, from its data folder and its ledger."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock

from eraser.domain.commitment import Commitment
from eraser.domain.job import JobState
from eraser.ledger.engine import open_engine
from eraser.ledger.migrating import require_current
from eraser.privacy.key_store import FileKeyStore
from eraser.privacy.vault import Vault

FOLDER = "vault"
"""Below the station's data folder. A backup of that folder without this one is of no use to a thief of the ledger."""


@contextmanager
def open_vault(
    data: Path, url: str, *, now_utc: Callable[[], str], new_id: Callable[[], str], store_id: str = ""
) -> Iterator[Vault]:
    """Until the block ends. Raises UsageError, JournalError where the ledger is not there or not up to date, VaultKeyError."""
    engine = open_engine(url)
    try:
        require_current(engine)
        yield Vault(engine, FileKeyStore(data / FOLDER, store_id=store_id), now_utc=now_utc, new_id=new_id)
    finally:
        engine.dispose()


class OpensLate:
    """A station's vault, opened when it is first asked for and kept open. Threads may ask at any time."""

    def __init__(self, data: Path, url: str, *, now_utc: Callable[[], str], new_id: Callable[[], str]) -> None:
        self._data = data
        self._url = url
        self._now_utc = now_utc
        self._new_id = new_id
        self._lock = Lock()
        self._stack = ExitStack()
        self._vault: Vault | None = None

    @property
    def exists(self) -> bool:
        """Whether anything was ever put in."""
        return (self._data / FOLDER).exists()

    def __call__(self) -> Vault:
        """May block, and raises as `open_vault` does."""
        with self._lock:
            if self._vault is None:
                opening = open_vault(self._data, self._url, now_utc=self._now_utc, new_id=self._new_id)
                self._vault = self._stack.enter_context(opening)
            return self._vault

    def close(self) -> None:
        """Gives the database back."""
        with self._lock:
            self._stack.close()
            self._vault = None


class Committing:
    """Commits a station's certificates to their customers. Nothing of the vault is opened before the first certificate."""

    def __init__(
        self, data: Path, url: str, operator: str, *, now_utc: Callable[[], str], new_id: Callable[[], str]
    ) -> None:
        self._vault = OpensLate(data, url, now_utc=now_utc, new_id=new_id)
        self._operator = operator

    def __call__(self, state: JobState) -> Commitment | None:
        """The one for the job's certificate; None where no customer of its drive is known. May block. Raises EraserError: then
        the certificate is due and not issued, since it can get its commitment at no later time.
        """
        # A station without a vault has no customers, and need not have one.
        if state.drive is None or not self._vault.exists:
            return None
        return self._vault().commitment_for(state.drive.identity, state.job_id, self._operator)

    def close(self) -> None:
        """Gives the database back."""
        self._vault.close()
