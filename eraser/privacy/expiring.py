"""Beside a running station: what is to be destroyed is destroyed in time, without anybody thinking of it."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

from eraser.domain.sayings import Code, Saying, say
from eraser.errors import EraserError
from eraser.privacy.destruction import Destruction
from eraser.privacy.opening import FOLDER, open_vault

LOOK_SECONDS = 3600.0


class Expiring:
    """Of one station; a station without a vault need not have one."""

    def __init__(
        self,
        data: Path,
        url: str,
        operator: str,
        trouble: Callable[[str, Saying | None], None],
        *,
        now_utc: Callable[[], str],
        new_id: Callable[[], str],
    ) -> None:
        """`trouble` hears, under `vault`, what keeps keys from being destroyed; None when nothing does."""
        self._folder = data / FOLDER
        self._open = partial(open_vault, data, url, now_utc=now_utc, new_id=new_id)
        self._operator = operator
        self._trouble = trouble

    async def run(self) -> None:
        """Looks at once and every hour, until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Destroys what is due. Nothing is raised: the station goes on, and is told."""
        try:
            pending = await asyncio.to_thread(self._expire)
        except (EraserError, OSError) as error:
            self._trouble("vault", say(Code.TROUBLE_KEYS, detail=str(error)))
            return
        names = ", ".join(pending)
        self._trouble("vault", say(Code.TROUBLE_KEY_BACKUPS, detail=names) if names else None)

    def _expire(self) -> list[str]:
        """Backups that may still hold what was destroyed."""
        if not self._folder.exists():
            return []
        with self._open() as vault:
            destruction = Destruction(vault)
            destruction.expire(self._operator)
            return sorted(destruction.pending())
