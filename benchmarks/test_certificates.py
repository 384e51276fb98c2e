"""Certificates of a plant whose log has a million entries: what checking one costs, and a thousand, and issuing them.

Checking is measured from the file to the answer, after the program has started, as `eraser certificate verify` does it; half of
the drives were read back in full, half in samples, whose places are drawn again. Issuing is the station's, one thread for each
of a few bays that end together, each certificate durable; pages are made when somebody asks for one.
"""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.comparison import Better, Comparison, middle, record
from eraser.certificates.bundle import bundle
from eraser.certificates.checking import Held, check, check_all
from eraser.certificates.issuer import StationIssuer
from eraser.certificates.verifying import entry_of
from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.domain.program import Verification
from eraser.domain.sampling import sample
from eraser.log import note
from eraser.log.checkpoint import Checkpoint, Withdrawals
from tests.certificates.builders import (
    CAPACITY_BYTES,
    RANDOM,
    a_certificate,
    a_document,
    a_job,
    a_plan,
    a_reading,
    a_report,
    a_signer,
    trusting,
)
from tests.domain.kept_hashes import KeptHashes
from tests.log.keys import KeyInMemory

ENTRIES = 1_000_000
FILES = 1000
BAYS = 8
ORIGIN = "eraser/hall-2"
ONE_SECONDS = 0.050
ALL_SECONDS = 3.0
ISSUED_PER_SECOND = 200.0


def a_sampled_job(number: int) -> object:
    """Its places drawn from a seed of its own."""
    _, drawn = sample(CAPACITY_BYTES, 4096, number.to_bytes(32, "big"))
    report = a_report(bytes_done=drawn.bytes_sampled, end_position_bytes=drawn.bytes_sampled)
    reading = a_reading(1, kind=Verification.SAMPLED, sampling=drawn, report=report, hash_tree=None)
    return a_job(plan=a_plan((RANDOM,), verification=Verification.SAMPLED), final_verification=reading)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[Path], Held]]:
    """A thousand certificates of as many drives, scattered over the log, each with its proof."""
    folder = tmp_path_factory.mktemp("bundles")
    signer, log_key = a_signer(), KeyInMemory(8)
    places = sorted(random.Random(1).sample(range(ENTRIES), FILES))
    documents = {}
    for number, place in enumerate(places):
        job = a_sampled_job(number) if number % 2 else a_job()
        ids = {"certificate_id": f"{number:032x}", "job_id": f"{number + ENTRIES:032x}"}
        documents[place] = a_document(signer, a_certificate(job, **ids))  # type: ignore[arg-type]
    entries = [
        entry_of(documents[place])
        if place in documents
        else LogEntry(EntryKind.CERTIFICATE, f"{place:032x}", bytes(32))
        for place in range(ENTRIES)
    ]
    log = KeptHashes()
    log.append([entry.leaf() for entry in entries])
    tree = log.tree()
    checkpoint = note.sign(Checkpoint(ORIGIN, ENTRIES, tree.root(), Withdrawals.of(())).text(), ORIGIN, log_key)
    paths = []
    for place, document in documents.items():
        paths.append(folder / f"{place}.bundle")
        paths[-1].write_bytes(bundle(document, place, tree.inclusion_proof(place), checkpoint, ()).dump())
    yield paths, Held(trusting(signer), (log_key.key(ORIGIN),))


def test_checking_one_bundle(benchmark: BenchmarkFixture, bundles: tuple[list[Path], Held]) -> None:
    paths, held = bundles
    found: list[float] = []

    def once() -> None:
        for path in paths[:100]:
            began = time.monotonic()
            checked = check(path, held)
            found.append(time.monotonic() - began)
            assert checked.result == "genuine", checked.sentence()
            assert checked.log is not None

    benchmark.pedantic(once, rounds=1, iterations=1)
    slowest = max(found)  # the very first too, which fills what is kept between files
    what = "checking one bundle of a log of 1,000,000 entries, the slowest of 100"
    record(benchmark, Comparison(what, slowest, "the limit", ONE_SECONDS, "s", 1.0, Better.LOWER))


def test_checking_a_thousand_bundles(benchmark: BenchmarkFixture, bundles: tuple[list[Path], Held]) -> None:
    paths, held = bundles
    found: list[float] = []

    def once() -> None:
        began = time.monotonic()
        checks = check_all(paths, held)
        found.append(time.monotonic() - began)
        assert {item.result for item in checks} == {"genuine"}

    benchmark.pedantic(once, rounds=3, iterations=1)
    what = "checking 1,000 bundles of a log of 1,000,000 entries"
    record(benchmark, Comparison(what, middle(found), "the limit", ALL_SECONDS, "s", 1.0, Better.LOWER))


def test_issuing(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    ids, chance = iter(range(10**9)), random.Random(2)  # as a station's: ids that begin alike share a file's first name
    issuer = StationIssuer(
        tmp_path / "certificates",
        tmp_path / "keys",
        now_utc=lambda: "2026-11-24T07:00:00Z",
        new_id=lambda: f"{next(ids):032x}",
    )
    job = a_job()
    found: list[float] = []

    def once() -> None:
        jobs = [replace(job, request=replace(job.request, job_id=chance.randbytes(16).hex())) for _ in range(FILES)]
        issuer(
            replace(job, request=replace(job.request, job_id=f"{next(ids):032x}"))
        )  # makes the key, hashes the program
        began = time.monotonic()
        with ThreadPoolExecutor(BAYS) as bays:
            issued = list(bays.map(issuer, jobs))
        found.append(FILES / (time.monotonic() - began))
        assert len({item.path for item in issued}) == FILES

    benchmark.pedantic(once, rounds=3, iterations=1)
    what = f"issuing certificates at {BAYS} bays at once, each durable"
    record(
        benchmark, Comparison(what, middle(found), "the limit", ISSUED_PER_SECOND, "certificates/s", 1.0, Better.HIGHER)
    )
