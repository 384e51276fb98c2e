"""The station's log: a checkpoint after each batch of certificates, and at least once an hour."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

from eraser.certificates.lacking import Lacking, lacking
from eraser.durable import write_over
from eraser.errors import CertificateError, EraserError
from eraser.ledger import log
from eraser.ledger.store import Store
from eraser.log.gate import SigningGate
from eraser.log.publishing import LogKeys, Publisher
from eraser.rack.ledger_health import LedgerHealth

BATCH_SECONDS = 10.0
"""Certificates that are issued within so long share a checkpoint."""
LONGEST_SECONDS = 3600.0
MAX_NAMED = 10
"""Certificates that are named in a sentence; `eraser log restart` and `ledger restore` name all."""


class LogFolder:
    """`eraser.log.publishing.Outside` in a folder beside the ledger: the newest checkpoint, and the log's public keys."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def newest(self) -> bytes | None:
        """The note that was kept last."""
        path = self._folder / "checkpoint"
        return path.read_bytes() if path.exists() else None

    def keep(self, content: bytes) -> None:
        """Durable when it returns. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_over(self._folder / "checkpoint", content, 0o644)

    def restart(self, name: str) -> bytes | None:
        """The record of a restart (`eraser.log.restarting.RestartRecords`)."""
        path = self._folder / "restarts" / name
        return path.read_bytes() if path.exists() else None

    def keep_restart(self, name: str, content: bytes) -> None:
        """Durable when it returns. Raises OSError."""
        (self._folder / "restarts").mkdir(parents=True, exist_ok=True)
        write_over(self._folder / "restarts" / name, content, 0o644)

    def show_keys(self, text: str) -> None:
        """For those who verify."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_over(self._folder / "key", text.encode(), 0o644)


class LogKeeper:
    """Publishes for as long as the station runs, and holds the gate before everything that it signs; what goes wrong stands in
    the ledger's health, with the certificates on disk that the log lacks.
    """

    def __init__(
        self,
        store: Store,
        origin: str,
        keys: LogKeys,
        folder: LogFolder,
        now_utc: Callable[[], str],
        health: LedgerHealth,
        gate: SigningGate | None = None,
        certificates: Path | None = None,
    ) -> None:
        self._gate = gate or SigningGate()
        self._certificates = certificates
        self._lacking: str | None = None
        self._store = store
        self._folder = folder
        self._publisher = Publisher(store, origin, keys, folder, now_utc)
        self._health = health
        self._size = -1
        self._due = 0.0

    async def run(self) -> None:
        """Until it is cancelled. What fails is tried again with the next batch."""
        while True:
            await self.look()
            await asyncio.sleep(BATCH_SECONDS)

    async def look(self) -> None:
        """Publishes if there is something new, or it is time to say that there is nothing."""
        now = asyncio.get_running_loop().time()
        try:
            if await self._store.read(log.size) != self._size or now >= self._due or self._gate.reason:
                await self._look_at_history()
                await asyncio.to_thread(self._show_keys)
                self._size = (await self._publisher.publish()).size
                self._due = now + LONGEST_SECONDS
            self._health.log_problem = ""
        except (EraserError, OSError) as error:
            self._health.log_problem = f"the transparency log is not signed: {error}{self._lacking or ''}"

    async def _look_at_history(self) -> None:
        """Opens the gate, or closes it and raises what `Publisher.expect_continued` raises."""
        try:
            await self._publisher.expect_continued()
        except (CertificateError, OSError) as error:
            self._gate.close(str(error))
            if self._lacking is None:
                self._lacking = await self._named_lacking()
            raise
        self._lacking = None
        self._gate.open()

    async def _named_lacking(self) -> str:
        if self._certificates is None:
            return ""
        found: list[Lacking] = await self._store.read(partial(lacking, self._certificates))
        names = ", ".join(item.path.name for item in found[:MAX_NAMED])
        more = f" and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
        return f" Certificates that the ledger lacks: {names}{more}." if found else ""

    def _show_keys(self) -> None:
        self._folder.show_keys("".join(key.lines() for key in self._publisher.keys.known()))
