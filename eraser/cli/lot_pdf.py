"""The summary of a lot as `eraser certificate pdf --lot` makes it: from the ledger, whether or not its station runs."""

import asyncio
import os
import socket
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from eraser.certificates.filed import FiledCertificates, Folders
from eraser.certificates.issuing import safe_label
from eraser.certificates.lot_summary import LotSummary
from eraser.certificates.pdf.rendering import Renderer
from eraser.certificates.pdf.signing import open_pdf_signer
from eraser.certificates.pdf.words import Language
from eraser.certificates.summarizing import summarize
from eraser.cli.station import now_utc
from eraser.ledger.engine import explained, open_engine, sqlite_url
from eraser.ledger.lots import Lots
from eraser.ledger.migrating import require_current
from eraser.ledger.store import open_store
from eraser.settings import data_dir


def lot_pdf_name(lot_id: str) -> str:
    """Safe on every file system."""
    return f"lot-{safe_label(lot_id)}.pdf"


def lot_pdf(lot_id: str, language: str, data: Path | None, database: str | None) -> bytes:
    """Signed by the station of this data folder. Raises UsageError for a lot that is not there, JournalError for the ledger,
    CertificateError for a certificate of the lot that is not to be believed.
    """
    folder = data if data is not None else data_dir(os.environ)
    url = database or sqlite_url(folder / "ledger.db")
    _expect_current(url)
    summary = asyncio.run(_summary(url, folder, lot_id))
    return open_pdf_signer(folder / "keys")(Renderer().lot(summary.dump(), Language(language)), now_utc())


def _expect_current(url: str) -> None:
    engine = open_engine(url)
    try:
        require_current(engine)
    except SQLAlchemyError as error:
        raise explained(error, engine) from error
    finally:
        engine.dispose()


async def _summary(url: str, folder: Path, lot_id: str) -> LotSummary:
    now = now_utc()
    store = await open_store(url)
    try:
        filed = FiledCertificates(store, Folders(folder / "certificates", folder / "keys", folder / "log"), now_utc)
        try:
            return await summarize(filed, Lots(store, lambda: now), lot_id, socket.gethostname(), now)
        finally:
            await filed.close()
    finally:
        await store.close()
