"""The station's certificates as files, for whoever asks by id: the document, its bundle, its PDF, many in one archive.

Only what the ledger has on record is given away: a file whose signed bytes are not those of the log's entry is not.
"""

import asyncio
import csv
import hashlib
import io
import zipfile
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from eraser.certificates.bundle import Bundle, bundle
from eraser.certificates.canonical import MAX_DOCUMENT_BYTES
from eraser.certificates.envelope import unseal
from eraser.certificates.errors import AlteredError
from eraser.certificates.issuing import document_names
from eraser.certificates.keys import station_keys
from eraser.certificates.verifying import entry_of, verify
from eraser.errors import CertificateError, Refused, UsageError
from eraser.ledger import log
from eraser.ledger.certificate_index import CertificateIndex, Indexed, Search
from eraser.ledger.export_formats import spreadsheet_safe
from eraser.ledger.reports import Reports
from eraser.ledger.store import Store
from eraser.ledger.withdrawals import UnknownCertificate
from eraser.log import note
from eraser.log.checkpoint import parse_checkpoint
from eraser.log.errors import NotLoggedError
from eraser.log.note import Note
from eraser.log.witnessing import Update, shown

if TYPE_CHECKING:  # a drawn page costs 34 MB of Typst and 0.6 s of pyHanko: loaded with the first one
    from eraser.certificates.pdf.rendering import Renderer

MAX_PDFS_WAITING = 32
"""Pages that may wait to be drawn, one after the other, 30 to 100 ms each."""
MAX_PDFS_KEPT = 64
"""Drawn pages that are kept in memory, about 60 KB each: whoever asks again, asks soon."""
ARCHIVE_PAGE = 100
"""Certificates that are looked up at once for an archive."""

_COLUMNS = (
    "certificate_id",
    "job_id",
    "issued_at",
    "finished_at",
    "outcome",
    "reason",
    "serial",
    "world_wide_name",
    "model",
    "capacity_bytes",
    "lot_id",
    "standard",
    "level",
    "verification",
)


@dataclass(frozen=True, slots=True)
class Folders:
    """Where this station keeps what it gave out and what it signs with."""

    certificates: Path
    keys: Path
    log: Path

    def checkpoint(self) -> Note | None:
        """The newest signed one of the log; None before the first. May block."""
        path = self.log / "checkpoint"
        return note.parse(path.read_bytes()) if path.exists() else None


class FiledCertificates:
    """Of one station. Files are read in threads; pages are drawn one at a time in a thread of their own."""

    def __init__(self, store: Store, folders: Folders, now_utc: Callable[[], str]) -> None:
        self.folders = folders
        self.index = CertificateIndex(store)
        self.reports = Reports(store)
        self._store = store
        self._pages = _Pages(folders.keys, now_utc)

    async def document(self, certificate_id: str) -> bytes:
        """The certificate's file. Raises UnknownCertificate; CertificateError where the file is not the one on record."""
        return await asyncio.to_thread(self.read, await self.known(certificate_id))

    async def known(self, certificate_id: str) -> Indexed:
        """What the index has of it. Raises UnknownCertificate."""
        await self.index.refresh()
        found = await self.index.one(certificate_id)
        if found is None:
            raise UnknownCertificate("this station's ledger has no such certificate", subject=certificate_id)
        return found

    async def bundle(self, certificate_id: str) -> bytes:
        """The same with its place in the log. Raises also NotLoggedError before the next checkpoint."""
        document = await self.document(certificate_id)
        signed = await asyncio.to_thread(self.folders.checkpoint)
        if signed is None:
            raise NotLoggedError("the log has no checkpoint yet", remedy="The station signs one within a minute.")
        return (await self._store.read(partial(bundled, document, signed))).dump()

    async def pdf(self, certificate_id: str, language: str, check_url: str = "") -> bytes:
        """Its page, signed by the station, with the bundle in it, or the certificate alone while the log has no proof yet.

        Raises UsageError for a language that it is not drawn in, Refused while too many wait.
        """
        try:
            document = await self.bundle(certificate_id)
        except NotLoggedError:
            document = await self.document(certificate_id)
        return await self._pages.get(document, language, check_url)

    async def archive(self, search: Search) -> AsyncIterator[bytes]:
        """A ZIP file of the certificates that the search finds, a piece at a time, and `index.csv` at its end, which also
        names those whose file is not there. However many there are, one file is in memory.
        """
        await self.index.refresh()
        archive = _Archive()
        listed: list[Indexed] = []
        after: int | None = None
        while True:
            page = await self.index.search(search, after=after, limit=ARCHIVE_PAGE)
            for item in page.found:
                yield await asyncio.to_thread(self._packed, archive, item)
                listed.append(item)
            after = page.after
            if after is None:
                break
        yield await asyncio.to_thread(archive.end, listed)

    async def update(self, earlier: int) -> str:
        """How the log grew from so many entries to its newest checkpoint. Raises NotLoggedError, or UsageError for more entries
        than it has.
        """
        signed = await asyncio.to_thread(self.folders.checkpoint)
        if signed is None:
            raise NotLoggedError("the log has no checkpoint yet", remedy="The station signs one within a minute.")
        size = parse_checkpoint(signed.text).size
        if earlier > size:
            raise UsageError(f"the log has {size} entries, {earlier} were never there")
        return str(await self._store.read(partial(_update, earlier, size, str(signed))))

    async def close(self) -> None:
        """Waits for the page that is being drawn."""
        await self._pages.close()

    def _packed(self, archive: "_Archive", item: Indexed) -> bytes:
        try:
            document = self.read(item)
        except (CertificateError, UsageError) as error:
            archive.missing[item.certificate_id] = error.what
            return b""
        return archive.add(f"{item.certificate_id}.json", document)

    def read(self, item: Indexed) -> bytes:
        """Its file, which is the one that the log has. May block. Raises CertificateError."""
        for name in document_names(item.serial, item.device, item.job_id):
            path = self.folders.certificates / name
            try:
                with path.open("rb") as file:
                    document = file.read(MAX_DOCUMENT_BYTES + 1)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise CertificateError(f"its file cannot be read: {error.strerror}", subject=name) from error
            envelope = unseal(document)
            if envelope.form.get("certificate_id") != item.certificate_id:
                continue  # another job's of the same drive, whose id begins alike
            if hashlib.sha256(envelope.signed_bytes).digest() != item.digest:
                raise AlteredError(
                    "its file is not the one that the log has", subject=name, remedy="Restore it from a backup."
                )
            return document
        raise CertificateError(
            "its file is not in this station's folder",
            subject=item.certificate_id,
            remedy="Another station may have issued it; else restore the folder from a backup.",
        )


def bundled(document: bytes, signed: Note, connection: Connection) -> Bundle:
    """The document with the proof that it is in the log as of this checkpoint. Raises NotLoggedError."""
    size = parse_checkpoint(signed.text).size
    own = entry_of(document)
    for item in log.entries_about(connection, own.subject):
        if item.entry.kind is own.kind and item.index < size:
            proof = log.tree(connection, size).inclusion_proof(item.index)
            withdrawn = tuple(sorted(log.withdrawn(connection, size)))
            return bundle(document, item.index, proof, signed, withdrawn)
    raise NotLoggedError(
        f"the log of {size} entries does not have it", subject=own.subject, remedy="The next checkpoint may."
    )


def _update(earlier: int, size: int, signed: str, connection: Connection) -> Update:
    proof = log.tree(connection, size).consistency_proof(earlier) if 0 < earlier < size else ()
    return shown(earlier, proof, signed)


class _Archive:
    """A ZIP file that is written to nowhere but the next piece."""

    def __init__(self) -> None:
        self._out = _Pieces()
        self._zip = zipfile.ZipFile(self._out, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self.missing: dict[str, str] = {}

    def add(self, name: str, content: bytes) -> bytes:
        """What the archive has grown by."""
        self._zip.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
        return self._out.take()

    def end(self, listed: list[Indexed]) -> bytes:
        """With the list of what is in it."""
        out = io.StringIO()
        write = csv.writer(out)
        write.writerow([*_COLUMNS, "is_withdrawn", "file"])
        for item in listed:
            missing = self.missing.get(item.certificate_id)
            file = f"{item.certificate_id}.json" if missing is None else f"missing: {missing}"
            values = [getattr(item, name) for name in _COLUMNS]
            write.writerow([*map(spreadsheet_safe, values), item.withdrawn is not None, file])
        self._zip.writestr(
            zipfile.ZipInfo("index.csv"), b"\xef\xbb\xbf" + out.getvalue().encode(), zipfile.ZIP_DEFLATED
        )
        self._zip.close()
        return self._out.take()


class _Pieces(io.RawIOBase):
    """A file that can't be wound back, taken away as it is written."""

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: "bytes | bytearray | memoryview", /) -> int:  # type: ignore[override]
        self._held += data
        return len(data)

    def take(self) -> bytes:
        """Everything since the last time."""
        piece = bytes(self._held)
        self._held.clear()
        return piece


_Key = tuple[bytes, str, str]


class _Pages:
    """Draws and signs pages, one at a time: a renderer is not for two at once."""

    def __init__(self, keys: Path, now_utc: Callable[[], str]) -> None:
        self._keys = keys
        self._now_utc = now_utc
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="certificate-pages")
        self._kept: OrderedDict[_Key, bytes] = OrderedDict()
        self._drawing: dict[_Key, asyncio.Future[bytes]] = {}
        self._renderer: Renderer | None = None

    async def get(self, document: bytes, language: str, check_url: str) -> bytes:
        key = (hashlib.sha256(document).digest(), language, check_url)
        if (kept := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return kept
        if (drawing := self._drawing.get(key)) is None:
            if len(self._drawing) >= MAX_PDFS_WAITING:
                raise Refused("busy", "too many pages are being drawn just now", remedy="Try again in a few seconds.")
            loop = asyncio.get_running_loop()
            drawing = loop.run_in_executor(self._thread, self._draw, document, language, check_url)
            drawing.add_done_callback(partial(self._drawn, key))
            self._drawing[key] = drawing
        return await asyncio.shield(drawing)  # whoever leaves does not take it away from the others

    def _drawn(self, key: "_Key", drawing: "asyncio.Future[bytes]") -> None:
        del self._drawing[key]
        if drawing.cancelled() or drawing.exception() is not None:
            return
        self._kept[key] = drawing.result()
        while len(self._kept) > MAX_PDFS_KEPT:
            self._kept.popitem(last=False)

    async def close(self) -> None:
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    def _draw(self, document: bytes, language: str, check_url: str) -> bytes:
        from eraser.certificates.bundle import is_bundle, load
        from eraser.certificates.pdf.rendering import Renderer
        from eraser.certificates.pdf.signing import open_pdf_signer
        from eraser.certificates.pdf.words import Language

        try:
            chosen = Language(language)
        except ValueError:
            raise UsageError(
                "no page is drawn in this language", subject=language[:40], remedy="Ask for zh-CN or en."
            ) from None
        # What the station signs as a page, it has checked.
        verify(load(document).document if is_bundle(document) else document, station_keys(self._keys))
        self._renderer = self._renderer or Renderer()
        # Opened anew for each page: the key may have been changed since the last one.
        return open_pdf_signer(self._keys)(self._renderer(document, chosen, check_url), self._now_utc())
