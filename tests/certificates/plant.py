"""A plant in memory: its keys, its certificates and its log, and an auditor's folder beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from eraser.certificates.bundle import bundle
from eraser.certificates.envelope import AUDIT, WITHDRAWAL, seal, unseal
from eraser.certificates.keys import FileSigner
from eraser.certificates.validity import Validity
from eraser.certificates.verifying import entry_of as entry_of_any
from eraser.domain.certificate import Certificate, Station
from eraser.domain.drive import Identity
from eraser.domain.json_form import to_json
from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.domain.withdrawal import FORMAT, VERSION, Withdrawal
from eraser.log import note
from eraser.log.checkpoint import Checkpoint, Withdrawals
from eraser.log.note import Note
from eraser.log.removal import RemovalRecord
from eraser.log.restart import Restart
from eraser.log.witnessing import Update
from tests.certificates.builders import a_certificate, a_document, a_drive, a_job
from tests.domain import rfc9162
from tests.domain.test_audit import a_plan, a_record
from tests.log.keys import KeyInMemory

ORIGIN = "eraser/hall-2"
ID_A, ID_B = "a" * 32, "b" * 32
BEGAN, ENDED = "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"

Log = Sequence[LogEntry]


def certificate_of(certificate_id: str, serial: str, **changes: Any) -> Certificate:
    """Of a job and a drive of its own."""
    identity = replace(a_drive().identity, serial=serial, wwn=f"5000c500{serial:0>8}".lower())
    job = a_job(drive=a_drive(identity=identity))
    return a_certificate(job, **{"certificate_id": certificate_id, "job_id": certificate_id[::-1]} | changes)


class Plant:
    """The plant's key signs from 2026 until 2027; its log has A, B and some others, A being entry 3."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.signer = FileSigner(Ed25519PrivateKey.from_private_bytes(b"\x07" * 32), Validity(BEGAN, ENDED))
        self.auditor = FileSigner(Ed25519PrivateKey.from_private_bytes(b"\x09" * 32), Validity(BEGAN, ENDED))
        self.log_key = KeyInMemory(8)
        self.document = self.sign(certificate_of(ID_A, "A1"))
        self.other = self.sign(certificate_of(ID_B, "B8"))
        fill = [LogEntry(EntryKind.CERTIFICATE, f"{number:032x}", bytes(32)) for number in range(9)]
        self.log = [*fill[:3], entry_of(self.document), entry_of(self.other), *fill[3:]]
        self.keys = self.file("plant.pem", self.signer.public.pem())
        self.audit_keys = self.file("auditor.pem", self.auditor.public.pem())
        self.log_key_file = self.file("plant.log.key", f"{self.log_key.key(ORIGIN)}\n".encode())

    def file(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def sign(self, certificate: Certificate) -> bytes:
        return a_document(self.signer, certificate)

    def signed(self, **changes: Any) -> bytes:
        """A, well signed, saying something else."""
        return self.sign(certificate_of(ID_A, "A1", **changes))

    def note(self, log: Log | None = None, origin: str = ORIGIN, signer: KeyInMemory | None = None) -> Note:
        """A signed checkpoint of the log."""
        entries = self.log if log is None else log
        leaves = [item.leaf() for item in entries]
        checkpoint = Checkpoint(origin, len(leaves), rfc9162.mth(leaves), Withdrawals.of(withdrawn(entries)))
        return note.sign(checkpoint.text(), ORIGIN, signer or self.log_key)

    def bundle(self, log: Log | None = None, *, of: bytes | None = None, checkpoint: Note | None = None) -> bytes:
        """A, or another, with its place in the log."""
        entries, document = list(self.log if log is None else log), of or self.document
        index = entries.index(entry_of_any(document))
        proof = rfc9162.path(index, [item.leaf() for item in entries])
        return bundle(document, index, tuple(proof), checkpoint or self.note(entries), withdrawn(entries)).dump()

    def update(self, earlier: int, log: Log | None = None) -> bytes:
        """How the log grew."""
        entries = self.log if log is None else log
        leaves = [item.leaf() for item in entries]
        proof = rfc9162.proof(earlier, leaves) if 0 < earlier < len(leaves) else []
        return str(Update(earlier, tuple(proof), self.note(entries))).encode()

    def withdrawal(self, of: bytes | None = None, signer: FileSigner | None = None, **changes: Any) -> bytes:
        """A, or another, taken back."""
        entry = entry_of(of or self.document)
        withdrawal = Withdrawal(
            FORMAT,
            VERSION,
            "e" * 32,
            entry.subject,
            entry.digest,
            "the wrong label",
            BEGAN,
            Station("rack-3"),
            "operator-7",
        )
        return seal(to_json(replace(withdrawal, **changes)), signer or self.signer, WITHDRAWAL)

    def audit(self, signer: FileSigner | None = None, **changes: Any) -> bytes:
        """The record of an audit of this plant, signed by its auditor."""
        record = replace(a_record(a_plan(list(range(40)))), **({"done_at": "2026-12-01T00:00:00Z"} | changes))
        return seal(to_json(record), signer or self.auditor, AUDIT)

    def restart(self, *, signer: KeyInMemory | None = None, **changes: Any) -> bytes:
        """The log's own record that it went on after its 11 entries, having had 20."""
        leaves = [item.leaf() for item in self.log]
        record = Restart(ORIGIN, 20, bytes(32), len(leaves), rfc9162.mth(leaves), BEGAN, "operator-7", "the disk died")
        return str(note.sign(replace(record, **changes).text(), ORIGIN, signer or self.log_key)).encode()

    def removal(self, *, signer: KeyInMemory | None = None, **changes: Any) -> bytes:
        """The log's own record that something expired."""
        rows = (("jobs", 3), ("lots", 1))
        record = RemovalRecord(ORIGIN, BEGAN, BEGAN, BEGAN, rows, "ab" * 32, BEGAN, "operator-7")
        return str(note.sign(replace(record, **changes).text(), ORIGIN, signer or self.log_key)).encode()

    def logged(self, document: bytes) -> bytes:
        """Its bundle: entry 11 of a log that has it."""
        return self.bundle([*self.log, entry_of_any(document)], of=document)

    def options(self) -> list[Path | str]:
        return ["--keys", self.keys, "--log-key", self.log_key_file, "--audit-keys", self.audit_keys]


def entry_of(document: bytes, kind: EntryKind = EntryKind.CERTIFICATE) -> LogEntry:
    """Of a certificate, also of one that contradicts itself."""
    envelope = unseal(document)
    return LogEntry(kind, envelope.form["certificate_id"], sha256(envelope.signed_bytes).digest())


def withdrawal_of(certificate_id: str) -> LogEntry:
    return LogEntry(EntryKind.WITHDRAWAL, certificate_id, bytes(range(32)))


def withdrawn(entries: Log) -> tuple[str, ...]:
    return tuple(sorted(item.subject for item in entries if item.kind is EntryKind.WITHDRAWAL))


def changed(document: bytes, change: Callable[[Any], object]) -> bytes:
    """The JSON with something changed in it, whatever that does to signatures."""
    form = json.loads(document)
    change(form)
    return json.dumps(form).encode()


def with_identity(document: Certificate, **changes: Any) -> Certificate:
    identity: Identity = replace(document.drive.identity, **changes)
    return replace(document, drive=replace(document.drive, identity=identity))
