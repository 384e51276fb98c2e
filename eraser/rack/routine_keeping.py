"""The station's routine control: draws on its schedule from the drives that passed, and says what is overdue."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection

from eraser.domain.audit import LogHead
from eraser.domain.routine_control import Draw, is_draw_due
from eraser.domain.sayings import Code, say
from eraser.errors import EraserError
from eraser.ledger import log, routine
from eraser.ledger.errors import AlreadyThere
from eraser.ledger.store import Store
from eraser.log import note
from eraser.log.checkpoint import parse_checkpoint
from eraser.rack.ledger_health import LedgerHealth, Trouble

INTERVAL_SECONDS = 60.0
ROUTINE_TROUBLE = "routine control"


@dataclass(frozen=True, slots=True)
class RoutineTerms:
    """How often it draws, 0 for never; from this station's log, by its name."""

    draw_every_seconds: float
    origin: str


class RoutineKeeper:
    """Looks once a minute, until it is cancelled. What can't be read is looked at again; the ledger's own trouble is told
    elsewhere. Several stations on one ledger may all do this: a draw takes up where the one before ended, whoever made it.
    """

    def __init__(
        self,
        store: Store,
        terms: RoutineTerms,
        now_utc: Callable[[], str],
        new_id: Callable[[], str],
        random_bytes: Callable[[int], bytes],
        health: LedgerHealth,
        trouble: Trouble = lambda what, problem: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._terms = terms
        self._now_utc = now_utc
        self._new_id = new_id
        self._random_bytes = random_bytes
        self._health = health
        self._trouble = trouble
        self._sleep = sleep
        self._log: Any = structlog.get_logger()

    def reconfigure(self, terms: RoutineTerms) -> None:
        """Counts from the next look on."""
        self._terms = terms

    async def run(self) -> None:
        """The looks."""
        while True:
            try:
                await self._draw_if_due()
                self._trouble(ROUTINE_TROUBLE, None)
            except EraserError as error:
                self._trouble(ROUTINE_TROUBLE, say(Code.TROUBLE_ROUTINE, detail=str(error)))
            with suppress(EraserError):
                state = await self._store.read(partial(routine.state, self._now_utc()))
                self._health.routine_overdue = state.overdue
            await self._sleep(INTERVAL_SECONDS)

    async def _draw_if_due(self) -> None:
        if not self._terms.draw_every_seconds:
            return
        newest = await self._store.read(routine.newest_draw)
        if not is_draw_due(newest.at if newest is not None else "", self._now_utc(), self._terms.draw_every_seconds):
            return
        head = await self._store.read(partial(_head, self._terms.origin))
        if head is None:
            return
        try:
            draw = await self._store.write(partial(self._drawn, head))
        except AlreadyThere:
            return  # another station was quicker
        if draw is not None:
            self._log.info(
                "routine control drawn", drawn=len(draw.certificate_ids), passed=draw.passed, due=draw.due_at
            )

    def _drawn(self, head: LogHead, connection: Connection) -> Draw | None:
        return routine.draw_next(self._new_id(), self._now_utc(), head, self._random_bytes, connection)


def _head(origin: str, connection: Connection) -> LogHead | None:
    """As of the newest checkpoint that this station signed; None before the first."""
    kept = log.newest_note_of(connection, origin)
    if kept is None:
        return None
    checkpoint = parse_checkpoint(note.parse(kept).text)
    return LogHead(checkpoint.origin, checkpoint.size, checkpoint.root)
