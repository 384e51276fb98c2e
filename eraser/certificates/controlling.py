"""Controls on record: signed, in the ledger and its log in one transaction, then as a file."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from eraser.certificates.envelope import CONTROL
from eraser.certificates.keys import station_keys
from eraser.certificates.recording import copy_out, signed
from eraser.certificates.verifying import entry_of, verify_control
from eraser.domain.control import Control, ControlTest, read
from eraser.domain.json_form import to_json
from eraser.errors import CertificateError
from eraser.ledger import controls, signed_records
from eraser.ledger.signed_records import SignedRecord
from eraser.ledger.store import Store

_ID_CHARACTERS = 12


class ControlRecords:
    """For one station."""

    def __init__(
        self,
        store: Store,
        certificates: Path,
        keys: Path,
        station_id: str,
        expect_open: Callable[[], None] = lambda: None,
    ) -> None:
        """`expect_open` raises while nothing may be signed (`eraser.log.gate`)."""
        self._expect_open = expect_open
        self._store = store
        self._certificates = certificates
        self._keys = keys
        self._station_id = station_id

    async def newest(self) -> dict[ControlTest, Control]:
        """The last control of each kind; what this station's keys do not vouch for is none. Raises JournalError."""
        documents = await self._store.read(partial(controls.newest, self._station_id))
        return await asyncio.to_thread(self._believed, documents)

    async def put(self, control: Control) -> None:
        """Durable when it returns, its file too. Raises CertificateError, JournalError."""
        self._expect_open()
        record = await asyncio.to_thread(self._signed, control)
        await self._store.write(partial(signed_records.put, record))
        await asyncio.to_thread(copy_out, record, self._certificates)

    def _signed(self, control: Control) -> SignedRecord:
        form = to_json(control)
        read(form)  # what could not be read must not be signed
        document = signed(form, CONTROL, control.ended_at, self._keys)
        file = f"{control.test.value}-{control.control_id[:_ID_CHARACTERS]}.control"
        return SignedRecord(entry_of(document), control.test.value, self._station_id, control.ended_at, file, document)

    def _believed(self, documents: Mapping[ControlTest, bytes]) -> dict[ControlTest, Control]:
        keys, found = station_keys(self._keys), {}
        for test, document in documents.items():
            try:
                control = verify_control(document, keys)
            except CertificateError:
                continue
            if control.test is test:
                found[test] = control
        return found
