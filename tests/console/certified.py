"""A station's ledger with jobs that ended and certificates that were issued for them, signed, filed and in the log."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path

from eraser.certificates.filed import FiledCertificates, Folders
from eraser.certificates.issuer import StationIssuer
from eraser.certificates.log_keys import StationLogKeys
from eraser.domain.certificate import Station
from eraser.domain.custody import CustodyRecord, Received, drive_name
from eraser.domain.drive import Drive
from eraser.domain.events import CertificateIssued, Outcome
from eraser.ledger.engine import sqlite_url
from eraser.ledger.station_ledger import StationLedger
from eraser.privacy.opening import Committing
from eraser.rack.ledger_health import LedgerHealth
from eraser.rack.log_keeping import LogFolder, LogKeeper
from tests.console.desks import AT, STATION, now_utc
from tests.ledger.stories import a_request, drive_number, whole_job


def filed_in(ledger: StationLedger, data: Path) -> FiledCertificates:
    """What the desk gives away of this folder."""
    return FiledCertificates(ledger.store, Folders(data / "certificates", data / "keys", data / "log"), now_utc)


def issuer_of(data: Path) -> StationIssuer:
    """Issues into this folder, committed to whoever is in the vault."""

    def new_id() -> str:
        return uuid.uuid4().hex

    return StationIssuer(
        data / "certificates",
        data / "keys",
        now_utc=now_utc,
        new_id=new_id,
        station=Station(STATION, "hall 2"),
        commit=Committing(data, sqlite_url(data / "ledger.db"), STATION, now_utc=now_utc, new_id=new_id),
    )


async def erase(
    ledger: StationLedger, data: Path, drive: Drive, *, outcome: Outcome = Outcome.PASSED, lot_id: str = ""
) -> CertificateIssued:
    """A whole job on the drive, which arrived with the lot if there is one, and its certificate."""
    if lot_id and (name := drive_name(drive.identity)) is not None:
        await ledger.custody.record(CustodyRecord(AT, STATION, "operator-7", name, Received(lot_id)))
    job_id = uuid.uuid4().hex
    issuer = issuer_of(data)
    log = await ledger.journal.begin(a_request(job_id))
    for event in whole_job(job_id, drive, outcome=outcome):
        if isinstance(event, CertificateIssued):
            issued = issuer(log.state)
            event = replace(event, certificate_id=issued.certificate_id, digest=issued.digest)
        await log.append(event)
    await log.close()
    assert isinstance(event, CertificateIssued)
    return event


async def erase_many(ledger: StationLedger, data: Path, count: int, **more: str) -> list[CertificateIssued]:
    """Drives S0000001 and so on."""
    return [await erase(ledger, data, drive_number(number), **more) for number in range(1, count + 1)]


async def sign_log(ledger: StationLedger, data: Path) -> None:
    """A checkpoint of the log as it stands."""
    origin, health = f"eraser/{STATION}", LedgerHealth()
    keys = StationLogKeys(data / "keys" / "log", origin)
    keeper = LogKeeper(ledger.store, origin, keys, LogFolder(data / "log"), now_utc, health)
    await keeper.look()
    assert health.log_problem == ""
