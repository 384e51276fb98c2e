"""Calls in threads of their own."""

import _thread
import asyncio
import os
import threading
from collections.abc import Callable

import pytest

from eraser.rack.blocking import in_own_thread


def test_each_of_many_calls_at_once_has_a_thread_to_itself() -> None:
    together = threading.Barrier(100, timeout=30)

    async def work() -> list[int]:
        return await asyncio.gather(*(in_own_thread(_met, together) for _ in range(100)))

    assert len(set(asyncio.run(work()))) == 100


def test_calls_after_one_another_start_no_further_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    start = _thread.start_new_thread

    def counted(function: Callable[..., object], args: tuple[object, ...]) -> int:
        started.append(function)
        return start(function, args)

    monkeypatch.setattr(_thread, "start_new_thread", counted)

    async def work() -> None:
        for _ in range(50):
            await in_own_thread(os.getpid)

    asyncio.run(work())
    assert len(started) <= 2  # a thread may answer before it waits for the next call


def test_a_call_that_never_returns_keeps_no_other_waiting_nor_the_loop_from_its_end() -> None:
    release = threading.Event()

    async def work() -> int:
        hung = asyncio.create_task(in_own_thread(release.wait, 600))
        answers = [await in_own_thread(os.getpid) for _ in range(20)]
        assert not hung.done()
        hung.cancel()
        return len(answers)

    try:
        assert asyncio.run(work()) == 20
    finally:
        release.set()


def test_what_a_call_raises_is_raised_to_who_waits_and_its_thread_serves_on() -> None:
    async def work() -> int:
        with pytest.raises(FileNotFoundError, match="no-such"):
            await in_own_thread(os.stat, "/no-such")
        return await in_own_thread(os.getpid)

    assert asyncio.run(work()) == os.getpid()


def test_a_forked_child_does_not_hand_its_calls_to_threads_that_it_has_not() -> None:
    async def work() -> int:
        return await in_own_thread(os.getppid)

    asyncio.run(work())
    child = os.fork()
    if child == 0:
        os._exit(0 if asyncio.run(asyncio.wait_for(work(), 20)) == os.getppid() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _met(together: threading.Barrier) -> int:
    together.wait()
    return threading.get_ident()
