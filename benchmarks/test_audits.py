"""Drawing an audit's sample at a station whose log has a million certificates: the command, from its start to its plan."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from sqlalchemy import insert

from benchmarks.comparison import Better, Comparison, record
from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.ledger import log
from eraser.ledger.engine import open_engine, sqlite_url, writing
from eraser.ledger.schema import certificate_index, certificates, jobs
from tests.audits.plants import NONCE, Plant

CERTIFICATES = 1_000_000
BATCH = 20_000
PLAN_SECONDS = 10.0
MOST_BYTES = 512 << 20
ISSUED = "2026-11-24T00:00:00.000Z"


def certified(plant: Plant) -> None:
    """A million of November, on record and in the log; no files."""
    engine = open_engine(sqlite_url(plant.data / "ledger.db"))
    facts = {"finished_at": ISSUED, "issued_at": ISSUED, "is_serial_own": True, "busy_seconds": 1.0, "withdrawn": None}
    empty = dict.fromkeys(("lot_id", "reason", "world_wide_name", "device", "model", "standard", "level"), "")
    more = {"outcome": "passed", "verification": "full", "capacity_bytes": 1 << 40, "bytes_done": 1 << 40}
    for start in range(0, CERTIFICATES, BATCH):
        ids = [f"{number:032x}" for number in range(start, start + BATCH)]
        with writing(engine) as connection, connection.begin():
            log.append(connection, [LogEntry(EntryKind.CERTIFICATE, name, bytes.fromhex(name) * 2) for name in ids])
            job = {"is_open": False, "outcome": "passed", "serial": "S", "world_wide_name": ""}
            connection.execute(insert(jobs), [{**job, "job_id": name} for name in ids])
            row = [{"certificate_id": name, "job_id": name, "digest": bytes.fromhex(name) * 2} for name in ids]
            connection.execute(insert(certificates), row)
            told = [
                {**facts, **empty, **more, **item, "serial": item["job_id"], "number": start + place}
                for place, item in enumerate(row)
            ]
            connection.execute(insert(certificate_index), told)
    engine.dispose()


@pytest.mark.parametrize("criterion", [("--aql", "0.65"), ("--defect-rate", "1")], ids=["aql", "rate"])
def test_a_plan_over_a_million_certificates(
    benchmark: BenchmarkFixture, a_million: Plant, criterion: tuple[str, str]
) -> None:
    """The whole command, in a process of its own."""
    command = [Path(sys.executable).with_name("eraser"), "audit", "plan", "--data", a_million.data]
    command += ["--from", "2026-11-01", "--to", "2026-11-30", "--nonce", NONCE, *criterion]
    most: list[int] = []

    def plan() -> None:
        with (a_million.folder / "plan").open("wb") as out:
            process = subprocess.Popen([str(item) for item in command], stdout=out, stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
        assert status == 0
        most.append(usage.ru_maxrss << 10)

    benchmark.pedantic(plan, rounds=3, iterations=1)
    assert b'"behind":1000000' in (a_million.folder / "plan").read_bytes()
    seconds = benchmark.stats.stats.min
    record(
        benchmark,
        Comparison(
            "audit plan over 1,000,000 certificates", seconds, "the limit", PLAN_SECONDS, "s", 1.0, Better.LOWER
        ),
    )
    assert max(most) < MOST_BYTES, f"{max(most) >> 20} MiB"


@pytest.fixture(scope="module")
def a_million(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """Certified and signed."""
    plant = Plant(tmp_path_factory.mktemp("plant"))
    plant.publish()
    certified(plant)
    plant.publish()
    return plant
