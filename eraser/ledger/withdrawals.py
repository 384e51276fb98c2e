"""Withdrawals in the ledger: the log's entry, and the drive put aside, in one transaction."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection, insert, select

from eraser.domain.custody import (
    CustodyRecord,
    DriveName,
    Gathered,
    Quarantined,
    left_to,
    own_serial,
    standing,
    stands_on,
    world_wide_name,
)
from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.errors import Refused, UsageError
from eraser.ledger import log, readmissions
from eraser.ledger.custody import custody_row, hold_gate, records_of
from eraser.ledger.schema import certificates, custody, jobs

ALREADY = "withdrawn"


class UnknownCertificate(UsageError):
    """The ledger has no such certificate."""


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate as the ledger has it; `drive` is None where nothing tells it from others."""

    certificate_id: str
    digest: bytes
    job_id: str
    drive: DriveName | None


@dataclass(frozen=True, slots=True)
class Consequence:
    """What a withdrawal meant for its drive."""

    drive: DriveName | None
    is_quarantined: bool
    """Whether it was put aside: not where a later job ended on it, and not where it is destroyed."""
    is_destroyed: bool
    left_to: str
    """Who has it, if it has left: nobody is told by a record here."""


def certified(certificate_id: str, connection: Connection) -> Certified:
    """Raises UnknownCertificate."""
    found = (
        select(certificates.c.digest, jobs.c.job_id, jobs.c.serial, jobs.c.world_wide_name)
        .join(jobs, jobs.c.job_id == certificates.c.job_id)
        .where(certificates.c.certificate_id == certificate_id)
    )
    row = connection.execute(found).first()
    if row is None:
        row = _readmitted(certificate_id, connection)
    drive = DriveName(row.serial, row.world_wide_name) if row.serial or row.world_wide_name else None
    return Certified(certificate_id, bytes(row.digest), row.job_id, drive)


def withdrawable(certificate_id: str, connection: Connection) -> Certified:
    """Raises UnknownCertificate; Refused where it is withdrawn already."""
    found = certified(certificate_id, connection)
    if any(item.entry.kind is EntryKind.WITHDRAWAL for item in log.entries_about(connection, certificate_id)):
        raise Refused(ALREADY, "it is withdrawn already", subject=certificate_id)
    return found


def _readmitted(certificate_id: str, connection: Connection) -> Any:
    """The same of one whose job's events were lost. Raises UnknownCertificate."""
    said = readmissions.readmitted(certificate_id, connection)
    if said is None:
        raise UnknownCertificate("this station's ledger has no such certificate", subject=certificate_id)
    found = (item for item in log.entries_about(connection, certificate_id) if item.entry.kind is EntryKind.CERTIFICATE)
    identity = said.drive.identity
    names = {"serial": own_serial(identity), "world_wide_name": world_wide_name(identity)}
    return SimpleNamespace(digest=next(found).entry.digest, job_id=said.job_id, **names)


def enter(entry: LogEntry, reason: str, at: str, place: str, operator: str, connection: Connection) -> Consequence:
    """Within a transaction that writes. Raises as `withdrawable` does: another may have come before."""
    # First, so that no drive is let out between the look at its records and its quarantine.
    hold_gate(connection)
    withdrawn = withdrawable(entry.subject, connection)
    log.append(connection, [entry])
    return put_aside(
        withdrawn, f"its certificate {entry.subject} was withdrawn: {reason}", at, place, operator, connection
    )


def put_aside(
    speaking: Certified, reason: str, at: str, place: str, operator: str, connection: Connection
) -> Consequence:
    """Quarantines the drive that this certificate speaks of, unless a later job ended on it. Within a transaction that writes
    and holds the gate.
    """
    if speaking.drive is None:
        return Consequence(None, False, False, "")
    found = records_of(speaking.drive, connection)
    now = standing(found.records)
    is_quarantined = not now.is_destroyed and (found.is_ambiguous or stands_on(found.records, speaking.job_id))
    name = _tagged(speaking.drive, found)
    if is_quarantined:
        # Without the job's number: that would be a record which its own events must tell of.
        event = Quarantined(reason)
        connection.execute(insert(custody).values(custody_row(CustodyRecord(at, place, operator, name, event))))
    return Consequence(name, is_quarantined, now.is_destroyed, left_to(found.records))


def _tagged(name: DriveName, found: Gathered) -> DriveName:
    tags = [record.drive.asset_tag for record in found.records if record.drive.asset_tag]
    is_known = tags and not found.is_ambiguous
    return DriveName(name.serial, name.world_wide_name, tags[-1] if is_known else "")
