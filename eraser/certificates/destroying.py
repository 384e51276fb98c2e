"""Recording that a drive was destroyed: record, signed document and log entry go into the ledger together, then the file."""

import asyncio
from functools import partial
from pathlib import Path

from eraser.certificates.envelope import DESTRUCTION
from eraser.certificates.issuing import safe_label
from eraser.certificates.keys import station_keys
from eraser.certificates.recording import Recorder, copy_missing, copy_out, signed
from eraser.certificates.verifying import entry_of, verify_destruction
from eraser.domain.custody import CustodyRecord, Destroyed, DriveName, Erased
from eraser.domain.destruction import FORMAT, OUTCOME, VERSION, Destruction, read
from eraser.domain.json_form import to_json
from eraser.errors import Refused
from eraser.ledger import destructions
from eraser.ledger.custody import History, history
from eraser.ledger.signed_records import SignedRecord

_ID_CHARACTERS = 12


class Destroying(Recorder):
    """Records destructions for one station."""

    async def __call__(self, name: DriveName, event: Destroyed, operator: str) -> Path:
        """Durable when it returns: the drive's record, the document and its entry; the document's file.

        Raises Refused for what may not be recorded now; CertificateError or JournalError. An error that says it is on record
        means that only the file is missing.
        """
        self._expect_open()
        found = await self._store.read(partial(history, name))
        if (no := found.may(event)) is not None:
            raise Refused(no.code, f"{event.kind} can't be recorded: {no.what}", subject=name.serial)
        record = CustodyRecord(self._now_utc(), self._station.id, operator, name, event)
        document = await asyncio.to_thread(self._signed, record, event, found)
        await self._store.write(partial(destructions.enter, record, document))
        return await asyncio.to_thread(copy_out, document, self._certificates)

    async def finish(self) -> None:
        """At the station's start: files that were not written. Raises CertificateError, JournalError."""
        await copy_missing(self._store, self._station.id, self._certificates)

    def _signed(self, record: CustodyRecord, event: Destroyed, found: History) -> SignedRecord:
        name = found.gathered.name
        jobs = [item.event.job_id for item in found.gathered.records if isinstance(item.event, Erased)]
        destruction = Destruction(
            format=FORMAT,
            version=VERSION,
            destruction_id=self._new_id(),
            outcome=OUTCOME,
            drive=DriveName(name.serial, name.world_wide_name, record.drive.asset_tag),
            job_id=jobs[-1] if jobs else "",
            was_quarantined=bool(found.standing.quarantine),
            how=event.how,
            destroyed_at=record.at,
            station=self._station,
            operator=record.operator,
            witness=event.witness,
        )
        form = to_json(destruction)
        read(form)  # what could not be read must not be signed
        document = signed(form, DESTRUCTION, destruction.destroyed_at, self._keys)
        verify_destruction(document, station_keys(self._keys))
        file = f"{safe_label(_label(name))}-{destruction.destruction_id[:_ID_CHARACTERS]}.destruction"
        return SignedRecord(entry_of(document), "", self._station.id, record.at, file, document)


def _label(name: DriveName) -> str:
    return name.serial or name.world_wide_name or name.asset_tag
