"""A station that dies at each step of putting something signed on record: certificate, withdrawal, destruction, control.

A child process is killed at its nth step: before each call by which a file comes into being, before each statement that changes
the database, before each commit, and at the end. A new station then opens what is left, as every start does, and does what is
still to be done.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import traceback
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from eraser.certificates.controlling import ControlRecords
from eraser.certificates.keys import station_keys
from eraser.certificates.recording import copy_missing
from eraser.certificates.verifying import entry_of, verify, verify_control, verify_destruction, verify_withdrawal
from eraser.domain.custody import Destroyed, DriveName
from eraser.domain.events import CertificateIssued
from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.errors import Refused
from eraser.ledger import log
from eraser.ledger.check import check
from eraser.ledger.engine import sqlite_url
from eraser.ledger.station_ledger import StationLedger, open_ledger
from tests.certificates.test_records import DIRTY
from tests.console.certified import erase, issuer_of
from tests.console.desks import STATION, destroying, now_utc, withdrawing
from tests.ledger.stories import a_request, drive_number, whole_job

KILLED = 9
CHANGES = ("INSERT", "UPDATE", "DELETE")
FILE_STEPS = ("open", "write", "fsync", "link", "rename", "replace", "unlink")
DUE, JOB_OF_DUE = drive_number(2), "d" * 32
SERIAL = drive_number(1).identity.serial

Act = Callable[[StationLedger, Path], Awaitable[Any]]


async def certify(ledger: StationLedger, data: Path) -> None:
    """What a station does for a job that is finished, at once or after its start."""
    if not (due := [item.job_id for item in await ledger.journal.open_jobs() if item.is_certificate_due]):
        return
    job = await ledger.journal.take_up(due[0])
    issued = await asyncio.to_thread(issuer_of(data), job.state)
    await job.append(CertificateIssued(issued.certificate_id, issued.digest))
    await job.close()


async def withdraw(ledger: StationLedger, data: Path) -> None:
    order = withdrawing(ledger.store, data)
    assert await order.finish() == []
    try:
        await order(await first_certificate(ledger), "the wrong drive", "operator-7")
    except Refused as error:
        assert error.reason == "withdrawn"


async def destroy(ledger: StationLedger, data: Path) -> None:
    order = destroying(ledger.store, data)
    await order.finish()
    try:
        await order(DriveName(SERIAL), Destroyed("shredded", "witness-2"), "operator-7")
    except Refused as error:
        assert error.reason == "destroyed"


async def control(ledger: StationLedger, data: Path) -> None:
    await copy_missing(ledger.store, STATION, data / "certificates")
    records = ControlRecords(ledger.store, data / "certificates", data / "keys", STATION)
    if not await records.newest():  # else it is not due
        await records.put(replace(DIRTY, control_id=uuid.uuid4().hex, ended_at=now_utc()))


@dataclass(frozen=True)
class Flow:
    act: Act
    kind: EntryKind
    pattern: str
    """Of its files among the certificates."""
    verify: Callable[[bytes, Any], Any]
    already: int = 0
    """So many the template has."""


FLOWS = {
    "certificate": Flow(certify, EntryKind.CERTIFICATE, "*.json", verify, already=1),
    "withdrawal": Flow(withdraw, EntryKind.WITHDRAWAL, "*.withdrawal", verify_withdrawal),
    "destruction": Flow(destroy, EntryKind.DESTRUCTION, "*.destruction", verify_destruction),
    "control": Flow(control, EntryKind.CONTROL, "*.control", verify_control),
}


async def first_certificate(ledger: StationLedger) -> str:
    entry: LogEntry = await ledger.store.read(lambda connection: log.entry_at(connection, 0))
    return entry.subject


def at_station(data: Path, act: Act) -> Any:
    async def run() -> Any:
        async with open_ledger(sqlite_url(data / "ledger.db"), STATION, now_utc) as ledger:
            return await act(ledger, data)

    return asyncio.run(run())


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A station with one certificate, and a job on another drive that is finished and has none yet."""
    data = tmp_path_factory.mktemp("template")

    async def begin(ledger: StationLedger, data: Path) -> None:
        await erase(ledger, data, drive_number(1))
        job = await ledger.journal.begin(a_request(JOB_OF_DUE))
        for item in whole_job(JOB_OF_DUE, DUE)[:-1]:
            await job.append(item)
        await job.close()

    at_station(data, begin)
    return data


def killed_at(step: int, data: Path, act: Act) -> bool:
    """Whether a child that did it was killed at this step; else it has done all of it."""
    child = os.fork()
    if child == 0:
        status = 70
        try:
            at_station(data, lambda ledger, folder: _counted(step, act(ledger, folder)))
            status = 0
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, KILLED)
    return os.waitstatus_to_exitcode(status) == KILLED


async def _counted(last: int, doing: Awaitable[Any]) -> None:
    """In a child of its own: what is changed here dies with it."""
    count = 0

    def step(*_: Any) -> None:
        nonlocal count
        if count == last:
            os._exit(KILLED)
        count += 1

    def counting(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            step()
            return real(*arguments, **options)

        return call

    for name in FILE_STEPS:
        setattr(os, name, counting(getattr(os, name)))
    event.listen(Engine, "commit", step)
    event.listen(Engine, "before_cursor_execute", lambda *told: step() if told[2].startswith(CHANGES) else None)
    await doing
    step()


async def logged(ledger: StationLedger) -> list[LogEntry]:
    found: list[LogEntry] = await ledger.store.read(
        lambda connection: log.first_entries(connection, log.size(connection))
    )
    return found


def expect_whole(data: Path, flow: Flow, entries: list[LogEntry]) -> None:
    """One document, one entry for it, and a ledger that agrees with itself: no entry without a document, no gap."""
    documents = [item.read_bytes() for item in (data / "certificates").glob(flow.pattern)]
    keys = station_keys(data / "keys")
    for document in documents:
        flow.verify(document, keys)
    assert len(documents) == flow.already + 1
    of_this_kind = [item for item in entries if item.kind is flow.kind]
    assert sorted(of_this_kind, key=repr) == sorted(map(entry_of, documents), key=repr)
    report = check(sqlite_url(data / "ledger.db"), processes=1)
    assert report.is_clean, report.findings


@pytest.mark.parametrize("name", FLOWS)
def test_whatever_step_a_station_dies_at_there_is_one_document_with_one_entry(
    template: Path, tmp_path: Path, name: str
) -> None:
    flow, steps, is_killed = FLOWS[name], 0, True

    async def twice(ledger: StationLedger, data: Path) -> list[LogEntry]:
        await flow.act(ledger, data)
        await flow.act(ledger, data)  # what is done is not done again
        return await logged(ledger)

    while is_killed:
        data = tmp_path / str(steps)
        shutil.copytree(template, data)
        is_killed = killed_at(steps, data, flow.act)
        expect_whole(data, flow, at_station(data, twice))
        shutil.rmtree(data)
        steps += 1
    assert steps > 12
