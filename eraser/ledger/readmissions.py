"""Certificates that a restored ledger lacked, taken in again: the document, and a new entry in the log.

The job's events were lost; the document stands in their place (`signed_records`, of kind `certificate`). Nothing is recomputed
from it but what the index says of it.
"""

import json
from typing import Any

from sqlalchemy import Connection, select

from eraser.domain.certificate import Certificate, read
from eraser.domain.log_entry import EntryKind
from eraser.errors import Refused
from eraser.ledger import log, signed_records
from eraser.ledger.custody import hold_gate
from eraser.ledger.schema import certificates, jobs
from eraser.ledger.schema import signed_records as kept
from eraser.ledger.signed_records import SignedRecord

ABOUT = "readmitted"


def enter(record: SignedRecord, certificate: Certificate, connection: Connection) -> None:
    """Within a transaction that writes. Raises Refused where the log has it, or its job is known: a job has one certificate."""
    hold_gate(connection)
    subject = certificate.certificate_id
    if any(item.entry.kind is EntryKind.CERTIFICATE for item in log.entries_about(connection, subject)):
        raise Refused("logged", "the log has an entry of it already", subject=subject)
    if _is_known(certificate.job_id, connection):
        raise Refused(
            "job-known",
            f"the ledger knows its job {certificate.job_id}, which gets its certificate from the station",
            subject=subject,
            remedy="Start the station: it goes on with the job, and issues what is due.",
        )
    signed_records.put(record, connection)


def readmitted(certificate_id: str, connection: Connection) -> Certificate | None:
    """None for one that was not."""
    query = select(kept.c.document).where(kept.c.kind == EntryKind.CERTIFICATE.value, kept.c.subject == certificate_id)
    found = connection.execute(query).scalar()
    return content(bytes(found)) if found is not None else None


def subjects(connection: Connection) -> set[str]:
    """The ids of all of them."""
    query = select(kept.c.subject).where(kept.c.kind == EntryKind.CERTIFICATE.value)
    return set(connection.execute(query).scalars())


def _is_known(job_id: str, connection: Connection) -> bool:
    own = connection.execute(select(jobs.c.job_id).where(jobs.c.job_id == job_id)).first()
    issued = connection.execute(select(certificates.c.job_id).where(certificates.c.job_id == job_id)).first()
    taken = (content(bytes(item)).job_id for item in connection.execute(_documents()).scalars())
    return own is not None or issued is not None or job_id in taken


def _documents() -> Any:
    return select(kept.c.document).where(kept.c.kind == EntryKind.CERTIFICATE.value)


def content(document: bytes) -> Certificate:
    """What a document says, which was verified when it was taken in. Raises UsageError."""
    return read(json.loads(document)["certificate"])
