"""The installed `eraser` with its event loop watched: `watched.py FILE WORD...`.

At the end FILE has one number a line: how late the loop was, in seconds, each time that it was to wake us up.
"""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from eraser.cli import main

PERIOD_SECONDS = 0.01


async def beside(work: Coroutine[Any, Any, None], lags: list[float]) -> None:
    """Does the work, and notes what is seen meanwhile."""
    watch = asyncio.create_task(look(lags))
    try:
        await work
    finally:
        watch.cancel()


async def look(lags: list[float]) -> None:
    """Until it is cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + PERIOD_SECONDS
        await asyncio.sleep(PERIOD_SECONDS)
        lags.append(loop.time() - due)


if __name__ == "__main__":
    run, lags, file = asyncio.run, list[float](), Path(sys.argv[1])
    asyncio.run = lambda work, **options: run(beside(work, lags), **options)
    sys.argv = ["eraser", *sys.argv[2:]]
    try:
        main.main()
    finally:
        file.write_text("".join(f"{lag:.6f}\n" for lag in lags))
