"""Withdrawing: the signed document on disk first, then the log's entry and the drive's quarantine in one transaction.

After a crash in between, the station's next start or the same order goes on with the document that is there: there is one for
each certificate.
"""

import asyncio
import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from eraser.certificates.envelope import WITHDRAWAL, seal, unseal
from eraser.certificates.errors import DuplicateError
from eraser.certificates.keys import open_signer, station_keys
from eraser.certificates.recording import Recorder
from eraser.certificates.verifying import verify_withdrawal
from eraser.domain.json_form import to_json
from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.domain.withdrawal import FORMAT, VERSION, Withdrawal, read
from eraser.durable import write_new
from eraser.errors import CertificateError, EraserError
from eraser.ledger import log, withdrawals
from eraser.ledger.withdrawals import Certified, Consequence


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What is on record now, and where its document lies."""

    withdrawal: Withdrawal
    path: Path
    consequence: Consequence


class Withdrawing(Recorder):
    """Withdraws for one station."""

    async def __call__(self, certificate_id: str, reason: str, operator: str, digest: bytes = b"") -> Withdrawn:
        """Durable when it returns: document, entry and quarantine. With a `digest`, only the certificate of this one.

        Raises UnknownCertificate, Refused where it is withdrawn already, CertificateError, JournalError.
        """
        self._expect_open()
        certified = await self._store.read(partial(withdrawals.withdrawable, certificate_id))
        if digest and digest != certified.digest:
            raise withdrawals.UnknownCertificate(
                "the ledger's certificate of this id is another one", subject=certificate_id
            )
        path = self._certificates / f"{certificate_id}.withdrawal"
        document = await asyncio.to_thread(self._written, path, certified, reason, operator)
        return await self._enter(document, path)

    async def finish(self) -> list[str]:
        """At the station's start: enters the documents that a crash left without their entry in the log. Why some can't be, a
        sentence each; the others are done. Raises JournalError.
        """
        problems = []
        for path in await self._store.read(self._unfinished):
            try:
                certified = await self._store.read(partial(withdrawals.withdrawable, path.stem))
                document = await asyncio.to_thread(path.read_bytes)
                self._expect_ours(document, path, certified)
                await self._enter(document, path)
            except (EraserError, OSError) as error:
                problems.append(f"the withdrawal {path.name} is not in the log: {error}")
        return problems

    def _unfinished(self, connection: Connection) -> list[Path]:
        done = set(log.withdrawn(connection, log.size(connection)))
        return [path for path in sorted(self._certificates.glob("*.withdrawal")) if path.stem not in done]

    async def _enter(self, document: bytes, path: Path) -> Withdrawn:
        envelope = unseal(document, WITHDRAWAL)
        said = read(envelope.form)
        entry = LogEntry(EntryKind.WITHDRAWAL, said.certificate_id, hashlib.sha256(envelope.signed_bytes).digest())
        enter = partial(withdrawals.enter, entry, said.reason, said.withdrawn_at, self._station.id, said.operator)
        return Withdrawn(said, path, await self._store.write(enter))

    def _written(self, path: Path, certified: Certified, reason: str, operator: str) -> bytes:
        """The document, made where there is none."""
        try:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_new(path, self._signed(certified, reason, operator), 0o644)
            document = path.read_bytes()
        except OSError as error:
            raise CertificateError(f"the withdrawal can't be written: {error.strerror}", subject=str(path)) from error
        self._expect_ours(document, path, certified)
        return document

    def _signed(self, certified: Certified, reason: str, operator: str) -> bytes:
        signer = open_signer(self._keys)
        withdrawal = Withdrawal(
            format=FORMAT,
            version=VERSION,
            withdrawal_id=self._new_id(),
            certificate_id=certified.certificate_id,
            certificate_digest=certified.digest,
            reason=reason,
            withdrawn_at=self._now_utc(),
            station=self._station,
            operator=operator,
        )
        signer.expect_valid_at(withdrawal.withdrawn_at)
        form = to_json(withdrawal)
        read(form)  # what could not be read must not be signed
        return seal(form, signer, WITHDRAWAL)

    def _expect_ours(self, document: bytes, path: Path, certified: Certified) -> None:
        """Also what was just written: what cannot be verified must not go on record."""
        found = verify_withdrawal(document, station_keys(self._keys))
        if (found.certificate_id, found.certificate_digest) != (certified.certificate_id, certified.digest):
            raise DuplicateError(
                "a withdrawal of another certificate is in its place",
                subject=str(path),
                remedy="Move it away; nothing is overwritten.",
            )
