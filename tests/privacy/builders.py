"""A station's vault as tests need it, on either database."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from eraser.domain.commitment import CustomerDetails
from eraser.domain.custody import CustodyRecord, DriveName, Received
from eraser.domain.drive import Identity, SerialSource
from eraser.domain.lot import Lot, LotPolicy
from eraser.ledger.custody import Custody
from eraser.ledger.engine import open_engine
from eraser.ledger.lots import Lots
from eraser.ledger.store import open_store
from eraser.privacy.destruction import Destruction
from eraser.privacy.key_store import FileKeyStore
from eraser.privacy.vault import Scope, Vault

WANG = CustomerDetails(
    "王小明", "secretary Ms. Petrova", "+86 138 1234 5678", "海淀区 中关村 1 号", "passport", "PO-4711"
)
ANNA = CustomerDetails("Anna Schmidt", phone="+49 30 7654321")
UNTIL = "2030-01-01T00:00:00Z"
BEFORE = "2027-01-01T00:00:00.000Z"
AFTER = "2031-01-01T00:00:00.000Z"
NAME = DriveName("ZX001B82", "5000c500a1b2c3d4")
IDENTITY = Identity("ACME", "Drive", NAME.serial, SerialSource.DRIVE, NAME.world_wide_name)


@dataclass
class Plant:
    """A vault with a clock of its own. Opened again, it is another process on the same disk."""

    url: str
    data: Path
    now: str = BEFORE
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @contextmanager
    def vault(self, folder: str = "vault", store_id: str = "") -> Iterator[Vault]:
        engine = open_engine(self.url)
        keys = FileKeyStore(self.data / folder, store_id=store_id)
        try:
            yield Vault(engine, keys, now_utc=lambda: self.now, new_id=lambda: f"{next(self._ids):032x}")
        finally:
            engine.dispose()

    @contextmanager
    def destruction(self) -> Iterator[Destruction]:
        with self.vault() as vault:
            yield Destruction(vault)

    def add(self, details: CustomerDetails = WANG, lot: str = "lot-1", serial: str = "", tag: str = "") -> str:
        with self.vault() as vault:
            return vault.add(Scope(lot, serial, tag), details, "clerk", UNTIL)

    def read(self, record_id: str) -> CustomerDetails:
        with self.vault() as vault:
            return vault.read(record_id, "clerk", "called back")

    def lose_key(self, record_id: str) -> None:
        """By accident: nobody destroyed it."""
        next((self.data / "vault" / "lots").glob(f"*/{record_id}.key")).unlink()

    def receive(self, name: DriveName = NAME, lot: str = "lot-1") -> None:
        async def work() -> None:
            store = await open_store(self.url)
            custody = Custody(store, lambda: self.now)
            await custody.record(CustodyRecord(self.now, "hall 1", "clerk", name, Received(lot)))
            await store.close()

        asyncio.run(work())


def a_plant(url: str, data: Path, lots: tuple[str, ...] = ("lot-1", "lot-2")) -> Plant:
    """With described lots and nobody in its vault."""

    async def work() -> None:
        store = await open_store(url)
        for lot_id in lots:
            await Lots(store, lambda: BEFORE).put(Lot(lot_id, LotPolicy("nist-800-88-clear")), "clerk")
        await store.close()

    asyncio.run(work())
    return Plant(url, data)
