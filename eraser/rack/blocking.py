"""Calls that may block, each in a daemon thread of its own.

Not the event loop's shared pool: it has a handful of threads, so that a few drives whose host recovers from errors would
keep all others waiting, and it is waited for at the end, so that a call which never returns would keep the program.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


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

    threading.Thread(target=work, name=getattr(function, "__name__", "blocking"), daemon=True).start()
    return await future
