"""The queue of the bays: each waits in it for its turn, and gives its place back when its job has ended.

Who may begin is `domain/admission.py`'s; here is only the waiting, in the event loop's time.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from eraser.domain.admission import Applicant, Needs, Waiting, Want, admit, shares
from eraser.domain.bay import BayName
from eraser.domain.sayings import Code, say

_LOG = logging.getLogger(__name__)
_SPIN_UPS_REMEMBERED = 256

SetRate = Callable[[int], None]
"""Takes bytes a second, 0 for no limit."""


class Withdrawn(Exception):
    """The bay was taken out of the queue."""


@dataclass(slots=True)
class _Seat:
    applicant: Applicant
    set_rate: SetRate
    turn: "asyncio.Future[None]"
    reason: Waiting | None = None
    is_ready: bool = True
    """Whether it begins in the step in which its turn comes, or has begun."""


class Admissions:
    """One queue for a whole station. Use on one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[BayName, _Seat] = {}
        self._running: dict[BayName, _Seat] = {}
        self._spin_ups: dict[str, deque[float]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._is_draining = False

    @property
    def is_draining(self) -> bool:
        """Whether nobody begins any more."""
        return self._is_draining

    def drain(self, on: bool) -> None:
        """Lets nobody begin from now on, or everybody again."""
        self._is_draining = on
        self._decide()

    def revise(self, needs: Mapping[BayName, Needs]) -> None:
        """What bays share has changed: from now on this counts, also for those that run; none of these stops for it."""
        for seats in (self._waiting, self._running):
            for bay, seat in seats.items():
                seat.applicant = replace(seat.applicant, needs=needs.get(bay, seat.applicant.needs))
        self._decide()

    def reason(self, bay: BayName) -> Waiting | None:
        """What the bay waits for; None when it does not wait."""
        seat = self._waiting.get(bay)
        return seat.reason if seat is not None else None

    def withdraw(self, bay: BayName) -> None:
        """Takes the bay out of the queue: its wait ends with Withdrawn."""
        seat = self._waiting.get(bay)
        if seat is not None and not seat.turn.done():
            seat.turn.set_exception(Withdrawn())

    @asynccontextmanager
    async def turn(
        self,
        needs: Needs,
        set_rate: SetRate,
        *,
        deadline: float = math.inf,
        customer_waits: bool = False,
        ready: Callable[[], Awaitable[None]] | None = None,
    ) -> AsyncIterator[None]:
        """Waits for the bay's turn, and holds it for the block. The bay's share of what it goes through is told to
        `set_rate` then and whenever it changes. `ready` is what is still to be done when the turn has come: until it is done
        the drive counts as about to spin up, and what it raises gives the turn back. Raises Withdrawn.
        """
        loop = asyncio.get_running_loop()
        applicant = Applicant(needs, loop.time(), deadline, customer_waits)
        seat = _Seat(applicant, set_rate, loop.create_future(), is_ready=ready is None)
        self._waiting[needs.bay] = seat
        try:
            self._decide()
            await seat.turn
            if ready is not None:
                await ready()
                self._spin_up(seat, loop.time())
                self._decide()
            yield
        finally:
            self._waiting.pop(needs.bay, None)
            self._running.pop(needs.bay, None)
            self._decide()

    def _decide(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._is_draining:
            for seat in self._waiting.values():
                seat.reason = Waiting(Want.DRAINING, say(Code.WAITS_WHILE_DRAINING))
        else:
            running = [seat.applicant.needs for seat in self._running.values()]
            spin_ups = {name: list(times) for name, times in self._spin_ups.items()}
            for seat in self._running.values():
                if not seat.is_ready and (power := seat.applicant.needs.power) is not None:
                    spin_ups.setdefault(power.name, []).append(now)
            decision = admit([seat.applicant for seat in self._waiting.values()], running, spin_ups, now)
            for bay in decision.admitted:
                self._begin(bay, now)
            for bay, seat in self._waiting.items():
                seat.applicant = replace(seat.applicant, overtaken=decision.overtaken[bay])
                seat.reason = decision.waiting.get(bay)
            if decision.look_again is not None:
                self._timer = loop.call_at(decision.look_again, self._decide)
        self._share()

    def _begin(self, bay: BayName, now: float) -> None:
        seat = self._waiting.pop(bay)
        if seat.turn.done():  # withdrawn in this very step
            return
        self._running[bay] = seat
        if seat.is_ready:
            self._spin_up(seat, now)
        seat.turn.set_result(None)

    def _spin_up(self, seat: _Seat, now: float) -> None:
        seat.is_ready = True
        if (power := seat.applicant.needs.power) is not None:
            self._spin_ups.setdefault(power.name, deque(maxlen=_SPIN_UPS_REMEMBERED)).append(now)

    def _share(self) -> None:
        rates = shares([seat.applicant.needs for seat in self._running.values()])
        for bay, seat in self._running.items():
            try:
                seat.set_rate(rates[bay])
            except Exception:  # of that bay's job, whoever's change it was that brought us here
                _LOG.exception("the rate of bay %s cannot be set", bay)
