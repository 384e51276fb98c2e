"""`eraser certificate withdraw`, as it is typed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from eraser.certificates.issuing import issue
from eraser.certificates.keys import open_signer
from eraser.domain.events import CertificateIssued
from eraser.ledger.engine import sqlite_url
from eraser.ledger.station_ledger import open_ledger
from tests.certificates.builders import a_certificate
from tests.certificates.plant import entry_of
from tests.cli.command import assert_one_clear_sentence
from tests.cli.conftest import Command
from tests.console.desks import STATION, now_utc
from tests.console.running import answering
from tests.console.stations import FakeStation
from tests.ledger.stories import a_request, drive_number, whole_job

ONE = drive_number(1)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A station's certificate, of which its ledger tells."""
    path = issue(a_certificate(), open_signer(tmp_path / "keys"), tmp_path / "certificates")
    asyncio.run(_on_record(tmp_path, entry_of(path.read_bytes()).digest))
    return path


async def _on_record(folder: Path, digest: bytes) -> None:
    async with open_ledger(sqlite_url(folder / "ledger.db"), STATION, now_utc) as ledger:
        journal = await ledger.journal.begin(a_request("job-1"))
        for event in whole_job("job-1", ONE):
            issued = isinstance(event, CertificateIssued)
            await journal.append(
                replace(event, certificate_id=a_certificate().certificate_id, digest=digest) if issued else event
            )
        await journal.close()


@pytest.fixture
def station(tmp_path: Path, certificate: Path) -> Iterator[Path]:
    socket = tmp_path / "eraser.sock"
    with answering(FakeStation(), socket, sqlite_url(tmp_path / "ledger.db"), tmp_path):
        yield socket


def test_a_certificate_is_taken_back_by_its_file(eraser: Command, station: Path, certificate: Path) -> None:
    words = ("certificate", "withdraw", certificate, "--reason", "the wrong drive", "--socket", station)
    done = eraser(*words)
    assert done.status == 0, done.stderr
    assert f"The drive {ONE.identity.serial} is quarantined" in done.stdout
    assert (certificate.parent / f"{a_certificate().certificate_id}.withdrawal").exists()
    assert_one_clear_sentence(eraser(*words), 3)


def test_a_file_that_is_not_the_ledgers_takes_nothing_back(eraser: Command, station: Path, certificate: Path) -> None:
    altered = certificate.with_name("altered.json")
    altered.write_bytes(certificate.read_bytes().replace(b'"operator-7"', b'"operator-8"'))
    for named in (altered, "b" * 32):
        done = eraser("certificate", "withdraw", named, "--reason", "x", "--socket", station)
        assert_one_clear_sentence(done, 2)
    assert eraser("certificate", "withdraw", "nowhere", "--reason", "x", "--socket", station).status == 2
    assert list(certificate.parent.glob("*.withdrawal")) == []
