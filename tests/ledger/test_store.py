"""The writer: what it acknowledged is there, what it refused is not, and nobody waits for a disk in the loop."""

import asyncio
import sqlite3
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, text

from eraser.errors import JournalError, UsageError
from eraser.ledger.engine import open_engine, sqlite_url
from eraser.ledger.errors import AlreadyThere, LedgerError, LedgerFull
from eraser.ledger.migrating import require_current
from eraser.ledger.schema import lots
from eraser.ledger.store import MAX_WAITING, Store, open_store
from tests.ledger.tampering import run


@asynccontextmanager
async def opened(url: str, on_commit: Callable[[float, int], None] | None = None) -> AsyncIterator[Store]:
    store = await open_store(url, on_commit=on_commit)
    try:
        yield store
    finally:
        await store.close()


def a_lot(number: int, body: bytes = b"") -> dict[str, object]:
    return {"lot_id": f"lot-{number:05}", "revision": 1, "at": "", "operator": "", "body": body}


def put(number: int, connection: Connection) -> int:
    connection.execute(insert(lots).values(a_lot(number)))
    return number


def lot_ids(connection: Connection) -> list[str]:
    return list(connection.execute(select(lots.c.lot_id).order_by(lots.c.lot_id)).scalars())


async def test_what_was_awaited_is_there_for_the_next_process(url: str) -> None:
    async with opened(url) as store:
        assert await store.write(partial(put, 1)) == 1
        await store.insert(insert(lots), a_lot(2))
    async with opened(url) as store:
        assert await store.read(lot_ids) == ["lot-00001", "lot-00002"]


async def test_many_writers_share_few_commits(url: str) -> None:
    commits: list[int] = []
    async with opened(url, lambda seconds, writes: commits.append(writes)) as store:
        await asyncio.gather(*(store.insert(insert(lots), a_lot(number)) for number in range(1000)))
        assert len(await store.read(lot_ids)) == 1000
    assert sum(commits) == 1000
    assert len(commits) < 200


async def test_writes_take_effect_in_the_order_in_which_they_were_handed_over(url: str) -> None:
    seen: list[int] = []

    def work(number: int, connection: Connection) -> None:
        assert len(lot_ids(connection)) == number
        put(number, connection)
        seen.append(number)

    async with opened(url) as store:
        await asyncio.gather(*(store.write(partial(work, number)) for number in range(100)))
    assert seen == list(range(100))


async def test_a_write_that_fails_takes_nobody_with_it_and_leaves_nothing(url: str) -> None:
    def half(connection: Connection) -> None:
        put(500, connection)
        put(0, connection)

    def mistaken(connection: Connection) -> None:
        put(501, connection)
        raise ZeroDivisionError

    async with opened(url) as store:
        await store.write(partial(put, 0))
        results = await asyncio.gather(
            *(store.insert(insert(lots), a_lot(number)) for number in range(1, 20)),
            store.write(half),
            store.write(mistaken),
            store.insert(insert(lots), a_lot(3)),
            *(store.insert(insert(lots), a_lot(number)) for number in range(20, 40)),
            return_exceptions=True,
        )
        failures = [result for result in results if result is not None]
        assert [type(failure) for failure in failures] == [AlreadyThere, ZeroDivisionError, AlreadyThere]
        assert await store.read(lot_ids) == [f"lot-{number:05}" for number in range(40)]


async def test_closing_waits_for_what_was_handed_over_and_takes_nothing_more(url: str) -> None:
    store = await open_store(url)
    writes = [asyncio.create_task(store.insert(insert(lots), a_lot(number))) for number in range(500)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*writes)
    with pytest.raises(LedgerError, match="closed"):
        await store.write(partial(put, 1))
    async with opened(url) as again:
        assert len(await again.read(lot_ids)) == 500


async def test_a_caller_that_is_cancelled_leaves_its_write_under_way(url: str) -> None:
    async with opened(url) as store:
        write = asyncio.create_task(store.write(partial(put, 7)))
        await asyncio.sleep(0)
        write.cancel()
        with pytest.raises(asyncio.CancelledError):
            await write
        await store.write(partial(put, 8))
        assert await store.read(lot_ids) == ["lot-00007", "lot-00008"]


async def test_the_loop_goes_on_while_the_disk_does_not(url: str) -> None:
    stuck, go_on = threading.Event(), threading.Event()

    def wait(connection: Connection) -> None:
        stuck.set()
        go_on.wait()

    async with opened(url) as store:
        write = asyncio.create_task(store.write(wait))
        await asyncio.to_thread(stuck.wait)
        others = [asyncio.create_task(store.insert(insert(lots), a_lot(number))) for number in range(64)]
        for _ in range(1000):
            await asyncio.sleep(0)
        assert not write.done()
        assert not any(other.done() for other in others)
        go_on.set()
        await asyncio.gather(write, *others)


async def test_more_writes_than_may_wait_make_their_callers_wait(url: str) -> None:
    stuck, go_on = threading.Event(), threading.Event()

    def wait(connection: Connection) -> None:
        stuck.set()
        go_on.wait()

    async with opened(url) as store:
        first = asyncio.create_task(store.write(wait))
        await asyncio.to_thread(stuck.wait)
        others = [asyncio.create_task(store.insert(insert(lots), a_lot(number))) for number in range(MAX_WAITING + 100)]
        for _ in range(10):
            await asyncio.sleep(0)
        assert store.waiting == MAX_WAITING - 1  # the first is with the writer
        go_on.set()
        await asyncio.gather(first, *others)


async def test_a_read_sees_one_moment(url: str) -> None:
    async with opened(url) as store:
        await store.write(partial(put, 1))
        looked, written = threading.Event(), threading.Event()

        def look_twice(connection: Connection) -> tuple[list[str], list[str]]:
            first = lot_ids(connection)
            looked.set()
            written.wait()
            return first, lot_ids(connection)

        reading = asyncio.create_task(store.read(look_twice))
        await asyncio.to_thread(looked.wait)
        await store.write(partial(put, 2))
        written.set()
        assert await reading == (["lot-00001"], ["lot-00001"])


async def test_a_server_that_ended_our_connection_does_not_end_the_ledger(postgresql: str) -> None:
    async with opened(postgresql) as store:
        await store.write(partial(put, 1))
        run(
            postgresql,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        await store.write(partial(put, 2))
        assert len(await store.read(lot_ids)) == 2


# ---- disks that are full, or may not be written


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.lab("root")
async def test_a_full_disk_loses_nothing_and_work_goes_on_when_there_is_room(small_disk: Path) -> None:
    filler = small_disk / "filler"
    async with opened(sqlite_url(small_disk / "ledger.db")) as store:
        filler.write_bytes(bytes(2 << 20))
        written = []
        with pytest.raises(LedgerFull, match="full"):
            for number in range(10_000):
                await store.insert(insert(lots), a_lot(number, bytes(10_000)))
                written.append(f"lot-{number:05}")
        assert await store.read(lot_ids) == written
        failed = len(written)
        results = await asyncio.gather(
            *(store.insert(insert(lots), a_lot(failed + number, bytes(100_000))) for number in range(8)),
            return_exceptions=True,
        )
        assert any(isinstance(result, LedgerFull) for result in results)
        filler.unlink()
        missing = [failed + number for number, result in enumerate(results) if result is not None]
        for number in missing:
            await store.insert(insert(lots), a_lot(number, bytes(10_000)))
        assert len(await store.read(lot_ids)) == failed + 8
    async with opened(sqlite_url(small_disk / "ledger.db")) as store:
        assert len(await store.read(lot_ids)) == failed + 8


async def test_a_server_without_room_loses_nothing_either(postgresql: str) -> None:
    async with opened(postgresql) as store:
        run(
            postgresql,
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$",
            "CREATE TRIGGER full_disk BEFORE INSERT ON lots FOR EACH ROW EXECUTE FUNCTION full_disk()",
        )
        with pytest.raises(LedgerFull):
            await store.insert(insert(lots), a_lot(1))
        run(postgresql, "DROP TRIGGER full_disk ON lots")
        await store.insert(insert(lots), a_lot(1))
        assert await store.read(lot_ids) == ["lot-00001"]


@pytest.mark.lab("root")
async def test_a_read_only_disk_is_named_with_what_to_do(small_disk: Path) -> None:
    async with opened(sqlite_url(small_disk / "ledger.db")):
        pass
    await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(LedgerError, match=r"ledger\.db: the database can't be written .*read-only"):
        await open_store(sqlite_url(small_disk / "ledger.db"))
    with pytest.raises(LedgerError, match="can't be written"):
        await open_store(sqlite_url(small_disk / "new.db"))


async def test_a_read_only_server_is_named(postgresql: str) -> None:
    run(
        postgresql,
        f"ALTER DATABASE {postgresql.split('?')[0].rpartition('/')[2]} SET default_transaction_read_only = on",
    )
    with pytest.raises(LedgerError, match="read-only"):
        await open_store(postgresql)


async def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(LedgerError, match="can't be reached") as caught:
        await open_store("postgresql://eraser:secret@127.0.0.1:1/ledger")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("content", [b"not a database at all\n" * 1000, b""])
async def test_a_file_that_is_no_database_is_not_touched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(content)
    if not content:  # that is an empty database
        async with opened(sqlite_url(path)) as store:
            assert await store.read(lot_ids) == []
        return
    with pytest.raises(LedgerError, match="corrupt"):
        await open_store(sqlite_url(path))
    assert path.read_bytes() == content


async def test_somebody_elses_database_is_refused(url: str) -> None:
    run(url, "CREATE TABLE theirs (number INTEGER)")
    with pytest.raises(LedgerError, match="not the ledger's"):
        await open_store(url)


async def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(url: str) -> None:
    async with opened(url) as store:
        await store.write(partial(put, 1))
    run(url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(JournalError, match=r"newer version of Eraser \(revision 9999"):
        await open_store(url)
    engine = open_engine(url)
    with pytest.raises(JournalError, match="newer version"):
        require_current(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"
        assert lot_ids(connection) == ["lot-00001"]
    engine.dispose()


async def test_a_locked_database_is_named(sqlite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eraser.ledger.engine.BUSY_TIMEOUT_MS", 50)
    async with opened(sqlite) as store:
        other = sqlite3.connect(sqlite.removeprefix("sqlite:///"), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        results = await asyncio.gather(
            *(store.write(partial(put, number)) for number in range(500)), return_exceptions=True
        )
        assert all(isinstance(result, LedgerError) and "locked" in str(result) for result in results)
        assert time.monotonic() - began < 500 * 0.05  # they waited together
        other.execute("ROLLBACK")
        other.close()
        await store.write(partial(put, 1))


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://", "sqlite:///:memory:", "nonsense"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        open_engine(url)


async def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "ledger.db"
    async with opened(sqlite_url(path)) as store:
        await store.write(partial(put, 1))
        for file in path.parent.iterdir():
            assert file.stat().st_mode & 0o077 == 0, file
    assert path.parent.stat().st_mode & 0o077 == 0


async def test_each_commit_tells_how_long_it_took(url: str) -> None:
    told: list[tuple[float, int]] = []
    async with opened(url, lambda seconds, writes: told.append((seconds, writes))) as store:
        began = time.monotonic()
        await store.write(partial(put, 1))
        elapsed = time.monotonic() - began
    assert len(told) == 1
    assert 0 < told[0][0] <= elapsed
