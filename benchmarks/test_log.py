"""The transparency log at a million entries, in the ledger: how fast it grows, and what a proof costs."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from sqlalchemy import Engine

from benchmarks.comparison import Better, Comparison, middle, record
from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.domain.merkle import is_consistent, is_included
from eraser.ledger import log
from eraser.ledger.engine import open_engine, sqlite_url, writing
from eraser.ledger.migrating import migrate

ENTRIES = 1_000_000
BATCH = 1000
APPENDS_PER_SECOND = 2000.0
PROOF_SECONDS = 0.005
PROOFS = 200


def entry(number: int) -> LogEntry:
    """As of a certificate."""
    return LogEntry(EntryKind.CERTIFICATE, f"{number:032x}", number.to_bytes(32, "big"))


def appended(engine: Engine, first: int, count: int) -> float:
    """Seconds, each batch durable."""
    began = time.monotonic()
    for start in range(first, first + count, BATCH):
        with writing(engine) as connection, connection.begin():
            log.append(connection, [entry(number) for number in range(start, min(start + BATCH, first + count))])
    return time.monotonic() - began


@pytest.fixture(scope="module")
def a_long_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = open_engine(sqlite_url(tmp_path_factory.mktemp("log") / "ledger.db"))
    migrate(engine)
    appended(engine, 0, ENTRIES)
    yield engine
    engine.dispose()


def test_appending_to_a_million_entries(benchmark: BenchmarkFixture, a_long_log: Engine, tmp_path: Path) -> None:
    found: list[float] = []
    sizes = iter(range(ENTRIES, 10 * ENTRIES, 20 * BATCH))
    benchmark.pedantic(lambda: found.append(appended(a_long_log, next(sizes), 20 * BATCH)), rounds=3, iterations=1)
    rate = 20 * BATCH / middle(found)
    what = "appends to a log of 1,000,000 entries, in batches"
    record(benchmark, Comparison(what, rate, "the limit", APPENDS_PER_SECOND, "entries/s", 1.0, Better.HIGHER))


def test_proofs_from_a_million_entries(benchmark: BenchmarkFixture, a_long_log: Engine) -> None:
    """Each read anew, as for one auditor, and then checked."""
    chosen = random.Random(1)
    inclusion: list[float] = []
    consistency: list[float] = []
    with a_long_log.connect() as connection:
        root = log.tree(connection, ENTRIES).root()

    def once() -> None:
        with a_long_log.connect() as connection:
            for _ in range(PROOFS):
                index = chosen.randrange(ENTRIES)
                began = time.monotonic()
                proof = log.tree(connection, ENTRIES).inclusion_proof(index)
                inclusion.append(time.monotonic() - began)
                assert is_included(entry(index).leaf(), index, ENTRIES, proof, root)
                began = time.monotonic()
                proof = log.tree(connection, ENTRIES).consistency_proof(index + 1)
                consistency.append(time.monotonic() - began)
                earlier = log.tree(connection, index + 1).root()
                assert is_consistent(index + 1, earlier, ENTRIES, root, proof)

    benchmark.pedantic(once, rounds=1, iterations=1)
    for what, found in (("inclusion", inclusion), ("consistency", consistency)):
        slowest = sorted(found)[int(len(found) * 0.99)]
        name = f"{what} proof from 1,000,000 entries, p99"
        record(benchmark, Comparison(name, slowest, "the limit", PROOF_SECONDS, "s", 1.0, Better.LOWER))
