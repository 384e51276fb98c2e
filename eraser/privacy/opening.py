"""The vault of a station, from its data folder and its ledger."""

import resource
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
    """Until the block ends. From then on a crash of this process leaves no picture of its memory, in which keys and details
    are. Raises UsageError, JournalError where the ledger is not there or not up to date, VaultKeyError.
    """
    _leave_no_core()
    engine = open_engine(url)
    try:
        require_current(engine)
        yield Vault(engine, FileKeyStore(data / FOLDER, store_id=store_id), now_utc=now_utc, new_id=new_id)
    finally:
        engine.dispose()


def _leave_no_core() -> None:
    # 1 and not 0: a program that takes dumps (core(5): `|` in core_pattern) is handed them whatever the limit is, but for 1,
    # which is also too little for a file.
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    most = min(1, hard) if hard != resource.RLIM_INFINITY else 1
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))


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
