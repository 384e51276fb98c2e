"""An event loop whose time passes only when everybody waits: hours go by at once, and every run is the same.

It has no selector, no threads and no wakeups from outside: only callbacks and timers, taken one at a time in the order in
which a real loop would.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class _NumberedTask(asyncio.Task[Any]):
    """Tasks lie in sets, whose order must not depend on where memory happened to be free."""

    _numbers = itertools.count()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._number = next(self._numbers)
        super().__init__(*args, **kwargs)

    def __hash__(self) -> int:
        return self._number


class Crash(BaseException):
    """The program is no more."""


class SimulatedTimeLoop(asyncio.BaseEventLoop):
    """`time()` begins at `now`."""

    def __init__(self, now: float = 0.0) -> None:
        super().__init__()
        self.now = now
        self.turns = 0
        """How many callbacks have run."""
        self.crash_at = -1
        """After so many, everything ends where it is."""
        self.set_task_factory(lambda loop, coroutine, **options: _NumberedTask(coroutine, loop=loop, **options))

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        """One callback. Overrides what `asyncio.BaseEventLoop` does in one turn (CPython 3.11)."""
        ready: Any = self._ready  # type: ignore[attr-defined]
        timers: Any = self._scheduled  # type: ignore[attr-defined]
        while timers and (timers[0]._cancelled or timers[0]._when <= self.now or not ready):
            timer = heapq.heappop(timers)
            timer._scheduled = False
            if not timer._cancelled:
                self.now = max(self.now, timer._when)
                ready.append(timer)
        if self.turns == self.crash_at:
            raise Crash
        if not ready:
            raise RuntimeError("everybody waits for something that nobody will do")
        self.turns += 1
        handle = ready.popleft()
        if not handle._cancelled:
            handle._run()

    def _write_to_self(self) -> None:
        """Nobody sleeps."""

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is left where it is until its time comes."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, in simulated time."""
    with asyncio.Runner(loop_factory=SimulatedTimeLoop) as runner:
        return runner.run(main)


async def at_once(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """A call that may block, without a thread; others come to their turn before it, as they would."""
    await asyncio.sleep(0)
    return function(*args, **kwargs)
