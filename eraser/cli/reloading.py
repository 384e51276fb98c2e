"""Taking up a changed configuration while the station runs. One that is not in order changes nothing."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from eraser.cli.notifying import Manager
from eraser.domain.sayings import Code, Saying, say
from eraser.errors import EraserError, UsageError
from eraser.rack.blocking import in_own_thread

if TYPE_CHECKING:
    from eraser.configuration.model import Configuration

PROBLEM = "configuration"
NEEDS_RESTART = ("data", "http", "console", "ledger", "station", "metrics")
"""Tables that are read at the start alone."""


class Reconfigured(Protocol):
    """The station, as far as a reload goes."""

    def trouble(self, what: str, problem: Saying | None = None) -> None: ...


class Reload:
    """`ask` whenever somebody wants it, also from a signal handler; `run` in a task of its own."""

    def __init__(
        self,
        station: Reconfigured,
        manager: Manager,
        now: "Configuration",
        read: "Callable[[], Configuration]",
        apply: "Callable[[Configuration], None]",
    ) -> None:
        """`read` may block, and raises ConfigurationError; `apply` is called on the loop, with what was read, but as it was at
        the start where only a restart takes it up.
        """
        self._station = station
        self._manager = manager
        self._at_start = self._now = now
        self._read = read
        self._apply = apply
        self._asked = asyncio.Event()
        self._log: Any = structlog.get_logger()

    def ask(self) -> None:
        """Asked again while it reads: it reads once more, for what it read may be old."""
        self._asked.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            self._manager.reloading()
            try:
                await self._reload()
            except EraserError as error:
                self._refuse(error)
            except Exception as error:
                self._log.exception("fault of this program")
                self._refuse(UsageError(f"a fault of this program: {error!r}", remedy="The old one stays."))
            self._manager.ready()

    async def _reload(self) -> None:
        new = await in_own_thread(self._read)
        changed = [name for name in type(new).model_fields if getattr(new, name) != getattr(self._now, name)]
        self._apply(new.model_copy(update={name: getattr(self._at_start, name) for name in NEEDS_RESTART}))
        self._now = new
        self._station.trouble(PROBLEM)
        late = [name for name in NEEDS_RESTART if getattr(new, name) != getattr(self._at_start, name)]
        self._log.info("configuration reloaded", changed=changed)
        if late:
            self._log.warning("part of the configuration counts after a restart only", needs_restart=late)

    def _refuse(self, error: EraserError) -> None:
        for problem in getattr(error, "problems", (error,)):
            self._log.error("the configuration cannot be used; the old one stays", reason=str(problem))
        self._station.trouble(PROBLEM, say(Code.TROUBLE_CONFIGURATION, detail=str(error)))
