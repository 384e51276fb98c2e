"""What the station proves with: its ledger and log, its keys, its positive control, and who takes back what was said."""

import asyncio
import os
from contextlib import AsyncExitStack

from eraser.certificates.controlling import ControlRecords
from eraser.certificates.destroying import Destroying
from eraser.certificates.filed import FiledCertificates, Folders
from eraser.certificates.issuer import StationIssuer, tool
from eraser.certificates.log_keys import StationLogKeys
from eraser.certificates.withdrawing import Withdrawing
from eraser.cli.station import new_id, now_utc
from eraser.configuration.model import Configuration
from eraser.domain.certificate import Station as CertifiedStation
from eraser.domain.control import ControlTest
from eraser.ledger.journal import FileJournal
from eraser.ledger.station_ledger import StationLedger, open_ledger
from eraser.log.gate import SigningGate
from eraser.privacy.expiring import Expiring
from eraser.privacy.opening import Committing
from eraser.rack.blocking import in_own_thread
from eraser.rack.control_run import ControlParts
from eraser.rack.controls import ControlledIssuer, Controls, NamedDrives, Terms
from eraser.rack.erasing import Station
from eraser.rack.ledger_health import LedgerHealth
from eraser.rack.leftovers import BesideFiles
from eraser.rack.log_keeping import LogFolder, LogKeeper
from eraser.rack.routine_keeping import RoutineTerms
from eraser.rack.station import Rack


async def open_station_ledger(
    configuration: Configuration, health: LedgerHealth, stack: AsyncExitStack
) -> StationLedger:
    """The one that the configuration names, held for this station until the stack ends. Makes the data folder, for its owner
    alone, also where the ledger is not in it.
    """
    configuration.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    opened = open_ledger(configuration.ledger_url, configuration.station.id, now_utc, on_commit=health.committed)
    return await stack.enter_async_context(opened)


async def log_keeper(
    configuration: Configuration, ledger: StationLedger, health: LedgerHealth, gate: SigningGate
) -> LogKeeper:
    """Its key is not the certificates': what one signs must not pass for what the other does."""
    keys = StationLogKeys(configuration.data / "keys" / "log", configuration.log_origin)
    await asyncio.to_thread(keys.known)  # makes the first one
    folder = LogFolder(configuration.data / "log")
    certificates = configuration.data / "certificates"
    return LogKeeper(
        ledger.store, configuration.log_origin, keys, folder, now_utc, health, gate, certificates=certificates
    )


def positive_control(configuration: Configuration, ledger: StationLedger, rack: Rack, gate: SigningGate) -> Controls:
    """The positive control, which does nothing before the configuration names drives for it."""
    data, station_id = configuration.data, configuration.station.id
    records = ControlRecords(ledger.store, data / "certificates", data / "keys", station_id, gate.expect_open)
    terms, parts, find = control_terms(configuration, ledger, rack)
    return Controls(terms, parts, records, find, rack.trouble)


def control_terms(
    configuration: Configuration, ledger: StationLedger, rack: Rack
) -> tuple[Terms, ControlParts, NamedDrives]:
    """What `[control]` says, also while the station runs."""
    settled, data, station = configuration.control, configuration.data, configuration.station
    drives = {ControlTest.CANARY: settled.canary, ControlTest.DIRTY: settled.dirty} if settled.is_on else {}
    certified = CertifiedStation(station.id, station.location)
    parts = ControlParts(certified, settled.standard, tool, now_utc, os.urandom, new_id)
    find = NamedDrives(drives, data / "control", settled.image_bytes, ledger.custody, rack.bay_with, rack.parts.call)
    return Terms(settled.interval_hours * 3600, drives), parts, find


def routine_terms(configuration: Configuration) -> RoutineTerms:
    """What `[routine]` says, also while the station runs."""
    return RoutineTerms(configuration.routine.draw_every_hours * 3600, configuration.log_origin)


def parts_of(configuration: Configuration, ledger: StationLedger, gate: SigningGate) -> Station:
    """What every job needs of this station."""
    data = configuration.data
    issuer = StationIssuer(
        data / "certificates",
        data / "keys",
        now_utc=now_utc,
        new_id=new_id,
        station=CertifiedStation(configuration.station.id, configuration.station.location),
        commit=Committing(data, configuration.ledger_url, configuration.station.id, now_utc=now_utc, new_id=new_id),
        expect_open=gate.expect_open,
    )
    journal = BesideFiles(ledger.journal, FileJournal(data / "journal", now_utc), in_own_thread)
    controlled = ControlledIssuer(issuer, lambda: gate.why_withheld())
    return Station(
        journal,
        controlled,
        now_utc,
        os.urandom,
        new_id,
        waits_for_room=True,
        why_doubted=lambda finished_at: gate.why_doubted(finished_at),
    )


def taking_back(
    configuration: Configuration, ledger: StationLedger, gate: SigningGate
) -> tuple[Withdrawing, Destroying]:
    """Who withdraws certificates, and who signs that a drive was destroyed."""
    data = configuration.data
    station = CertifiedStation(configuration.station.id, configuration.station.location)
    certificates, keys = data / "certificates", data / "keys"
    may_sign = gate.expect_open
    return (
        Withdrawing(ledger.store, certificates, keys, station, now_utc=now_utc, new_id=new_id, expect_open=may_sign),
        Destroying(ledger.store, certificates, keys, station, now_utc=now_utc, new_id=new_id, expect_open=may_sign),
    )


def filed_certificates(configuration: Configuration, ledger: StationLedger) -> FiledCertificates:
    """What was issued, for whoever asks by id."""
    data = configuration.data
    return FiledCertificates(ledger.store, Folders(data / "certificates", data / "keys", data / "log"), now_utc)


def expiring(configuration: Configuration, rack: Rack) -> Expiring:
    """What ends customers' details whose time is over."""
    url, station_id = configuration.ledger_url, configuration.station.id
    return Expiring(configuration.data, url, station_id, rack.trouble, now_utc=now_utc, new_id=new_id)
