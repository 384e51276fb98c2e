"""The files of records that are signed by themselves: copies of what the ledger holds, beside the certificates."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from eraser.certificates.envelope import DocumentKind, Signer, seal
from eraser.certificates.keys import open_signer
from eraser.domain.certificate import Station
from eraser.durable import write_new
from eraser.errors import CertificateError
from eraser.ledger import signed_records
from eraser.ledger.signed_records import SignedRecord
from eraser.ledger.store import Store


class Recorder:
    """What whoever signs records for one station works with."""

    def __init__(
        self,
        store: Store,
        certificates: Path,
        keys: Path,
        station: Station,
        *,
        now_utc: Callable[[], str],
        new_id: Callable[[], str],
        expect_open: Callable[[], None] = lambda: None,
    ) -> None:
        """`expect_open` raises while nothing may be signed (`eraser.log.gate`)."""
        self._expect_open = expect_open
        self._store = store
        self._certificates = certificates
        self._keys = keys
        self._station = station
        self._now_utc = now_utc
        self._new_id = new_id


def signed(form: Any, kind: DocumentKind, moment: str, keys: Path) -> bytes:
    """The document, by the station's key. Raises KeyFileError where that does not sign at the moment (RFC 3339, UTC)."""
    signer: Signer = open_signer(keys)
    signer.expect_valid_at(moment)
    return seal(form, signer, kind)


def copy_out(record: SignedRecord, folder: Path) -> Path:
    """The record's file, durable. May block. Raises CertificateError."""
    return _written(folder / record.file, record.document)


async def copy_missing(store: Store, station_id: str, folder: Path) -> None:
    """Writes the files that a crash or a full disk left out. Raises CertificateError, JournalError."""
    for name in await store.read(partial(signed_records.files, station_id)):
        if not await asyncio.to_thread((folder / name).exists):
            document = await store.read(partial(signed_records.document, name))
            await asyncio.to_thread(_written, folder / name, document)


def _written(path: Path, document: bytes) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_new(path, document, 0o644)
    except OSError as error:
        raise CertificateError(
            f"it is on record, and its file can't be written: {error.strerror}",
            subject=str(path),
            remedy="The station writes the file when it starts again.",
        ) from error
    return path
