"""Waiting for room: a full disk stops no job. What is to be put on record is tried again until there is room for it."""

import asyncio
import errno
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from eraser.ledger.errors import LedgerFull

T = TypeVar("T")

ROOM_SECONDS = 1.0
"""How often a full disk is tried again."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def is_full(error: Exception) -> bool:
    """Whether it failed for want of room, and left nothing half done."""
    return isinstance(error, LedgerFull) or (isinstance(error, OSError) and error.errno in _NO_ROOM)


class Room:
    """One job's. `given_up` ends the waiting, for it might last for ever; what could not be put on record is then not there.
    Without `is_patient` nothing waits at all: where nobody would be told why.
    """

    def __init__(self, given_up: asyncio.Event, *, is_patient: bool) -> None:
        self._given_up = given_up
        self._is_patient = is_patient
        self.is_awaited = False
        """Whether something waits now."""

    async def until_there_is(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """What `attempt` gives once there is room for it. Raises its error as soon as the waiting is given up."""
        try:
            while True:
                try:
                    return await attempt()
                except (LedgerFull, OSError) as error:
                    if not self._is_patient or not is_full(error) or self._given_up.is_set():
                        raise
                self.is_awaited = True
                with suppress(TimeoutError):
                    async with asyncio.timeout(ROOM_SECONDS):
                        await self._given_up.wait()
        finally:
            self.is_awaited = False
