"""A wall clock that jumps by days in both directions while jobs run: nothing but the times on record may show it."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from eraser.certificates.issuer import StationIssuer
from eraser.certificates.keys import station_keys
from eraser.certificates.verifying import verify
from eraser.domain.bay import BandwidthDomain
from eraser.domain.lot import LotPolicy
from eraser.ledger.check import check
from eraser.ledger.engine import sqlite_url
from eraser.ledger.journal import FileJournal
from eraser.rack.filing import JournalOfFiles
from eraser.rack.view import BayState
from tests.rack import ledger_desk
from tests.rack.ledger_desk import a_ledger_desk
from tests.rack.memory_rack import At, MemoryDrive, a_map, a_station
from tests.rack.simulated_time import run
from tests.rack.station import erase, station

JUMPS = {
    "steady": lambda call: timedelta(seconds=call),
    "back by a day each time": lambda call: timedelta(days=-call),
    "forward by a week each time": lambda call: timedelta(weeks=call),
    "back and forth by days": lambda call: timedelta(days=random.Random(call).uniform(-30, 30)),
}


def a_clock(jump: Callable[[int], timedelta]) -> Callable[[], str]:
    calls = iter(range(1_000_000))

    def now_utc() -> str:
        moment = datetime(2027, 1, 1, tzinfo=UTC) + jump(next(calls))
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    return now_utc


@pytest.mark.parametrize("jump", JUMPS)
def test_a_clock_that_jumps_shows_in_times_and_in_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: str
) -> None:
    now_utc = a_clock(JUMPS[jump])
    monkeypatch.setattr(ledger_desk, "now_utc", now_utc)
    drive, other = MemoryDrive(), MemoryDrive(serial="S2")
    took = []

    async def story(at: At) -> None:
        loop = asyncio.get_running_loop()
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.WRITING)
        at.memory.plug(other, "A2")
        await at.until("A2", BayState.WAITING)
        await asyncio.sleep(3)
        at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)
        at.memory.plug(drive, "A1")
        await at.until("A2", BayState.PASSED)
        await at.until("A1", BayState.PASSED)
        took.append(loop.time())
        at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)
        at.memory.plug(drive, "A1")
        seen = await at.until("A1", BayState.ASKING)
        assert "passed here before" in seen.waits_for

    async def play() -> None:
        with a_ledger_desk(tmp_path / "ledger") as desk:
            hub = a_map(2, BandwidthDomain("hub", max_active_drives=1))
            await desk.open("L1", "A1", "A2", policy=LotPolicy("random", starts_by_itself=True))
            async with a_station(tmp_path, bays=hub, journal=desk.journal, intake=desk.intake, now_utc=now_utc) as at:
                await story(at)
            kinds = await desk.kinds("S1")
            assert kinds[:2] == ["received", "registered"]
            assert [kind for kind in kinds if kind in ("erased", "verified")] == ["erased", "verified"]

    run(play())
    assert took and took[0] < 120
    assert sorted(path.read_text() for path in tmp_path.glob("*.json")) == ["passed", "passed"]
    report = check(sqlite_url(tmp_path / "ledger" / "ledger.db"), processes=1)
    assert not report.findings


@pytest.mark.parametrize("jump", JUMPS)
def test_a_certificate_of_such_times_is_issued_and_believed(tmp_path: Path, jump: str) -> None:
    now_utc = a_clock(JUMPS[jump])
    image = tmp_path / "drive.img"
    image.write_bytes(b"customer" * (1 << 17))
    usual = station(tmp_path)
    issuer = StationIssuer(tmp_path / "certificates", tmp_path / "keys", now_utc=now_utc, new_id=usual.new_id)
    journal = JournalOfFiles(FileJournal(tmp_path / "journal", now_utc))
    result, _ = erase(replace(usual, journal=journal, issue=issuer, now_utc=now_utc), image, "random")
    assert result.certificate is not None
    believed = verify(result.certificate.read_bytes(), station_keys(tmp_path / "keys")).certificate
    assert believed.outcome == "passed"
    assert 0 < believed.times.duration < 60 * 10**9
