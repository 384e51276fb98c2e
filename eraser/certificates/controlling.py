"""Controls on record: signed, in the ledger and its log in one transaction, then as a file."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from eraser.certificates.envelope import CONTROL
from eraser.certificates.keys import TrustedKeys, station_keys
from eraser.certificates.recording import copy_out, signed
from eraser.certificates.verifying import entry_of, verify_control
from eraser.domain.control import Control, ControlTest, read, why_doubted
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
        return await asyncio.to_thread(self._newest_believed, documents)

    async def why_doubted(self, finished_at: str) -> str:
        """Why what was read back by then (RFC 3339, UTC) is not believed, by the controls around that moment; empty when it is.
        Raises JournalError.
        """
        return await self._store.read(partial(self._doubt, finished_at))

    def _doubt(self, finished_at: str, connection: Connection) -> str:
        keys = station_keys(self._keys)
        for test in ControlTest:
            said = why_doubted(
                _believed(controls.before(self._station_id, test, finished_at, connection), test, keys),
                _believed(controls.after(self._station_id, test, finished_at, connection), test, keys),
            )
            if said:
                return said
        return ""

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

    def _newest_believed(self, documents: Mapping[ControlTest, bytes]) -> dict[ControlTest, Control]:
        keys = station_keys(self._keys)
        found = {test: next(_believed([document], test, keys), None) for test, document in documents.items()}
        return {test: control for test, control in found.items() if control is not None}


def _believed(documents: Iterable[bytes], test: ControlTest, keys: TrustedKeys) -> Iterator[Control]:
    for document in documents:
        try:
            control = verify_control(document, keys)
        except CertificateError:
            continue
        if control.test is test:
            yield control
