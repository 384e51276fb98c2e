"""One writer for the whole ledger: whatever waits goes into one transaction, so that 64 bays share one flush of the disk.

The event loop never waits for a disk: writes happen in one thread, reads in a few others.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Insert
from sqlalchemy.exc import SQLAlchemyError

from eraser.errors import EraserError
from eraser.ledger.engine import explained, open_engine, place, writing
from eraser.ledger.errors import LedgerError, LedgerFull
from eraser.ledger.migrating import migrate

T = TypeVar("T")
Work = Callable[[Connection], T]
OnCommit = Callable[[float, int], None]

MAX_WAITING = 4096
"""Writes that may wait for the writer; the next callers wait before they hand theirs over."""
MAX_TOGETHER = 1024
"""Writes in one transaction."""
_READERS = 4


@dataclass(frozen=True, slots=True)
class _Write:
    """Either `work`, or one row for `insert`; rows for one statement that follow each other are sent together."""

    done: "asyncio.Future[Any]"
    work: Work[Any] | None
    insert: Insert | None = None
    row: dict[str, Any] | None = None


Outcome = tuple["asyncio.Future[Any]", Any, BaseException | None]


class Store:
    """The database of one running station. Belongs to the event loop it was made in.

    Writes take effect in the order in which `write` and `insert` were called, each whole or not at all. They may be
    tried again in a transaction of their own after another one failed, so `work` has no effect but on its connection.
    """

    def __init__(self, engine: Engine, *, on_commit: OnCommit | None = None) -> None:
        """`on_commit` hears of each commit, in the writer's thread: seconds from BEGIN to durable, and number of writes."""
        self.engine = engine
        self.fence: Work[None] | None = None
        """Begins every transaction; raises when this process may no longer write."""
        self._loop = asyncio.get_running_loop()
        self._on_commit = on_commit
        self._room = asyncio.Semaphore(MAX_WAITING)
        self._waiting: deque[_Write] = deque()
        self._wake = threading.Condition()
        self._is_closing = False
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="ledger-reader")
        self._writer = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._writer.start()

    @property
    def waiting(self) -> int:
        """Writes that the writer has not taken yet."""
        return len(self._waiting)

    async def write(self, work: Work[T]) -> T:
        """What `work` returns, once everything it did is durable.

        Raises what `work` raises; LedgerFull or AlreadyThere when nothing of it is there; LedgerError when that can't be
        known. A caller that is cancelled leaves it under way.
        """
        done = await self._hand_over(work, None, None)
        result: T = await done
        return result

    async def insert(self, statement: Insert, row: dict[str, Any]) -> None:
        """The same for one plain row, much cheaper: many at once become one statement."""
        done = await self._hand_over(None, statement, row)
        await done

    async def read(self, work: Work[T]) -> T:
        """What `work` finds, in one snapshot of everything durable, in a thread of its own."""
        return await self._loop.run_in_executor(self._readers, self._read, work)

    async def close(self) -> None:
        """Ends when everything handed over is durable or has failed; nothing is taken afterwards."""
        with self._wake:
            self._is_closing = True
            self._wake.notify()
        await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._readers.shutdown)
        self.engine.dispose()

    async def _hand_over(
        self, work: Work[Any] | None, insert: Insert | None, row: dict[str, Any] | None
    ) -> "asyncio.Future[Any]":
        await self._room.acquire()
        done: asyncio.Future[Any] = self._loop.create_future()
        with self._wake:
            if self._is_closing:
                self._room.release()
                raise LedgerError("the ledger is closed", subject=place(self.engine))
            self._waiting.append(_Write(done, work, insert, row))
            self._wake.notify()
        return done

    def _read(self, work: Work[T]) -> T:
        try:
            with self.engine.connect() as connection, connection.begin():
                return work(connection)
        except SQLAlchemyError as error:
            raise explained(error, self.engine) from error

    # ---- in the writer's thread

    def _run(self) -> None:
        while batch := self._take():
            outcomes = self._commit(batch)
            self._loop.call_soon_threadsafe(self._tell, outcomes)

    def _take(self) -> list[_Write]:
        """All that waits, at least one; empty at the end."""
        with self._wake:
            while not self._waiting and not self._is_closing:
                self._wake.wait()
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_TOGETHER))]

    def _commit(self, batch: Sequence[_Write]) -> list[Outcome]:
        began = time.monotonic()
        try:
            results = self._transaction(batch)
        except _AllFailed as failed:
            error = failed.error
            return _all_failed(batch, explained(error, self.engine) if isinstance(error, SQLAlchemyError) else error)
        except Exception as error:  # outermost edge: `work` is the caller's, the writer serves everybody
            return self._failed(batch, error)
        if self._on_commit is not None:
            self._on_commit(time.monotonic() - began, len(batch))
        return [(write.done, result, None) for write, result in zip(batch, results, strict=True)]

    def _failed(self, batch: Sequence[_Write], error: Exception) -> list[Outcome]:
        told = explained(error, self.engine) if isinstance(error, SQLAlchemyError) else error
        if len(batch) == 1 or isinstance(told, LedgerFull):
            return _all_failed(batch, told)
        # One of them is at fault: the others must not suffer.
        return [outcome for write in batch for outcome in self._commit([write])]

    def _transaction(self, batch: Sequence[_Write]) -> list[Any]:
        with ExitStack() as stack:
            try:
                connection = stack.enter_context(writing(self.engine))
                transaction = stack.enter_context(connection.begin())
                if self.fence is not None:
                    self.fence(connection)
            except (SQLAlchemyError, EraserError) as error:
                raise _AllFailed(error) from error
            results = list(_performed(connection, batch))
            try:
                transaction.commit()
            except SQLAlchemyError as error:
                raise _AllFailed(error) from error
            return results

    # ---- in the loop again

    def _tell(self, outcomes: Sequence[Outcome]) -> None:
        for done, result, error in outcomes:
            self._room.release()
            if done.done():
                continue  # its caller was cancelled
            if error is None:
                done.set_result(result)
            else:
                done.set_exception(error)


class _AllFailed(Exception):
    """What all writes of a transaction share failed, its beginning or its commit: none of them is at fault."""

    def __init__(self, error: SQLAlchemyError | EraserError) -> None:
        super().__init__(str(error))
        self.error = error


def _all_failed(batch: Sequence[_Write], error: BaseException) -> list[Outcome]:
    return [(write.done, None, error) for write in batch]


def _performed(connection: Connection, batch: Sequence[_Write]) -> Iterator[Any]:
    for insert, writes in groupby(batch, key=lambda write: write.insert):
        if insert is None:
            for write in writes:
                assert write.work is not None
                yield write.work(connection)
        else:
            rows = [write.row or {} for write in writes]
            connection.execute(insert, rows)
            yield from [None] * len(rows)


async def open_store(url: str, *, on_commit: OnCommit | None = None) -> Store:
    """The ledger at this URL, made or brought up to date first. Raises UsageError or JournalError."""
    engine = open_engine(url)
    await asyncio.to_thread(migrate, engine)
    return Store(engine, on_commit=on_commit)
