"""The log in both databases: no gap, no second entry, no certificate without one."""

import asyncio
import random
from functools import partial

import pytest
from sqlalchemy import text

from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.domain.merkle import is_consistent, is_included
from eraser.errors import UsageError
from eraser.ledger import log
from eraser.ledger.check import check
from eraser.ledger.engine import open_engine
from eraser.ledger.store import open_store
from tests.domain import rfc9162
from tests.ledger.tampering import tamper


def entry(number: int, kind: EntryKind = EntryKind.CERTIFICATE) -> LogEntry:
    return LogEntry(kind, f"certificate-{number}", number.to_bytes(32, "big"))


def appending(*numbers: int):
    return partial(_append, numbers)


def _append(numbers, connection) -> None:
    log.append(connection, [entry(number) for number in numbers])


async def grown_log(url: str, count: int, together: int = 100):
    store = await open_store(url)
    for start in range(0, count, together):
        await store.write(appending(*range(start, min(count, start + together))))
    return store


async def test_proofs_come_from_what_is_kept(url: str) -> None:
    store = await grown_log(url, 600)
    leaves = [entry(number).leaf() for number in range(600)]
    root = await store.read(lambda connection: log.tree(connection).root())
    assert root == rfc9162.mth(leaves)
    for index in random.Random(1).sample(range(600), 10):
        proof = await store.read(lambda connection, index=index: log.tree(connection).inclusion_proof(index))
        assert is_included(leaves[index], index, 600, proof, root)
    proof = await store.read(lambda connection: log.tree(connection).consistency_proof(123))
    assert is_consistent(123, rfc9162.mth(leaves[:123]), 600, root, proof)
    await store.close()


async def test_many_at_once_leave_no_gap(url: str) -> None:
    store = await open_store(url)
    await asyncio.gather(*(store.write(appending(number)) for number in range(300)))
    entries = await store.read(lambda connection: [log.entry_at(connection, index) for index in range(300)])
    assert sorted(entries, key=lambda item: item.digest) == [entry(number) for number in range(300)]
    assert list(await store.read(lambda connection: list(log.disagreements(connection)))) == []
    await store.close()


async def test_stations_that_append_at_once_share_one_log(url: str) -> None:
    first, second = await open_store(url), await open_store(url)
    writes = (store.write(appending(number)) for number in range(60) for store in (first, second))
    await asyncio.gather(*writes)
    assert await second.read(log.size) == 120
    assert list(await first.read(lambda connection: list(log.disagreements(connection)))) == []
    await first.close()
    await second.close()


async def test_what_failed_with_its_transaction_is_not_in_the_log(url: str) -> None:
    store = await grown_log(url, 5)

    def failing(connection) -> None:
        log.append(connection, [entry(99)])
        raise UsageError("no")

    with pytest.raises(UsageError):
        await store.write(failing)
    await store.write(appending(5))
    assert await store.read(log.size) == 6
    assert (await store.read(partial(log.entry_at, index=5))).subject == "certificate-5"
    await store.close()


async def test_what_is_withdrawn_is_found(url: str) -> None:
    store = await grown_log(url, 3)
    await store.write(lambda connection: log.append(connection, [entry(1, EntryKind.WITHDRAWAL)]))
    assert await store.read(lambda connection: log.withdrawn(connection, 4)) == ["certificate-1"]
    assert await store.read(lambda connection: log.withdrawn(connection, 3)) == []
    about = await store.read(lambda connection: log.entries_about(connection, "certificate-1"))
    assert [(item.index, item.entry.kind) for item in about] == [(1, EntryKind.CERTIFICATE), (3, EntryKind.WITHDRAWAL)]
    await store.close()


async def test_checkpoints_are_kept(url: str) -> None:
    store = await grown_log(url, 3)
    assert await store.read(log.newest_checkpoint) is None
    for size in (2, 3):
        await store.write(partial(log.put_checkpoint, entries=size, at="2027-01-01T00:00:00.000Z", note=f"note {size}"))
    assert await store.read(log.newest_checkpoint) == (3, "2027-01-01T00:00:00.000Z", "note 3")
    await store.close()


ENTRY_7 = "(SELECT digest FROM log_entries WHERE number = 7)"
HASH_7 = '(SELECT hash FROM log_hashes WHERE "row" = 0 AND number = 7)'
FAULTS = {
    "an entry is another one": f"UPDATE log_entries SET digest = {ENTRY_7} WHERE number = 3",
    "an entry is gone": "DELETE FROM log_entries WHERE number = 3",
    "the last entry is gone": "DELETE FROM log_entries WHERE number = 299",
    "a hash is another one": f'UPDATE log_hashes SET hash = {HASH_7} WHERE "row" = 1',
    "a hash is gone": 'DELETE FROM log_hashes WHERE "row" = 0 AND number = 299',
    "a row is gone": 'DELETE FROM log_hashes WHERE "row" = 1',
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_log_that_was_changed_behind_our_back_is_found(url: str, fault: str) -> None:
    store = await grown_log(url, 300)
    await store.close()
    tamper(url, FAULTS[fault])
    assert any("log" in finding.subject for finding in check(url).findings)


async def test_a_certificate_that_the_log_lacks_is_found(url: str) -> None:
    await (await open_store(url)).close()
    engine = open_engine(url)
    with engine.connect() as connection, connection.begin():
        connection.execute(
            text("INSERT INTO jobs (job_id, is_open, serial, world_wide_name) VALUES ('j', false, '', '')")
        )
        connection.execute(
            text("INSERT INTO certificates (certificate_id, job_id, digest) VALUES ('c', 'j', :digest)"),
            {"digest": bytes(32)},
        )
    engine.dispose()
    assert any("exactly once" in finding.what for finding in check(url).findings)
