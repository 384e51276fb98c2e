"""Calls that may block, each in a daemon thread that it has to itself while it lasts.

Not the event loop's shared pool: it has a handful of threads, so that a few drives whose host recovers from errors would
keep all others waiting, and it is waited for at the end, so that a call which never returns would keep the program.

A thread whose call has returned takes another: dozens of drives make thousands of calls. `threading.Thread.start` waits until
the new thread has run, which on a busy machine stopped the loop for 4 to 12 ms at a time; here nothing is waited for.
"""

import _thread
import asyncio
import os
from collections.abc import Callable
from queue import SimpleQueue
from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

Work = Callable[[], None]
_idle: list[SimpleQueue[Work]] = []
"""Threads that wait for a call, by what they take it from. `append` and `pop` are atomic."""
os.register_at_fork(after_in_child=_idle.clear)  # the child has none of them


class BlockingCall(Protocol):
    """Makes a call that may block, while the loop goes on. A simulation, which has no threads, calls at once."""

    async def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T: ...


async def in_own_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What the function returns or raises. Cancelling stops the waiting, not the function."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result: T | None = None
        failure: BaseException | None = None
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            failure = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, failure)

    _give(work)
    return await future


def _give(work: Work) -> None:
    """To an idle thread, or to a new one."""
    try:
        _idle.pop().put(work)
    except IndexError:
        _thread.start_new_thread(_serve, (work,))


def _serve(work: Work) -> None:
    """One call after another, to the end of the program."""
    calls: SimpleQueue[Work] = SimpleQueue()
    while True:
        work()
        del work  # what it holds is not kept until the next call comes
        _idle.append(calls)
        work = calls.get()
