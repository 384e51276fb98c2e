"""What systemd is told of the station: that it is ready, what it does, and that its event loop still turns.

Source: sd_notify(3): one datagram of lines to the socket that $NOTIFY_SOCKET names; sd_watchdog_enabled(3).
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Protocol

STATUS_SECONDS = 5.0


class Turning(Protocol):
    """What is told of: the running station."""

    begun: asyncio.Event
    """Set once every bay is attended to."""
    ticks: int
    """Grows as long as pictures are drawn."""


class Manager:
    """The service manager; without one (`$NOTIFY_SOCKET` is not set) nobody is told anything. No call blocks or raises."""

    def __init__(self, environ: Mapping[str, str], pid: int | None = None) -> None:
        place = environ.get("NOTIFY_SOCKET", "")
        # A name that begins with @ is in no file system: its first byte is 0.
        self._address = "\0" + place[1:] if place.startswith("@") else place
        for_us = environ.get("WATCHDOG_PID", "") in ("", str(os.getpid() if pid is None else pid))
        text = environ.get("WATCHDOG_USEC", "")
        self.watchdog_seconds = int(text) / 1e6 if text.isascii() and text.isdigit() and for_us else 0.0
        """Within this it wants to hear of the event loop; 0 when it does not."""

    def ready(self) -> None:
        """The station attends to its bays and answers; or it has taken up another configuration."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """Another configuration is being read; `ready` or `status` says how that ended."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Every job goes to its next checkpoint."""
        self._tell("STOPPING=1")

    def status(self, words: str) -> None:
        """What `systemctl status` shows."""
        self._tell(f"STATUS={' '.join(words.split())}")

    def still_turns(self) -> None:
        """The event loop."""
        self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        # A manager that is gone or has no room is its own misfortune: the drives go on.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as end,
        ):
            end.setblocking(False)
            end.sendto("\n".join(lines).encode(), self._address)


async def keep_told(manager: Manager, station: Turning, words: Callable[[], str]) -> None:
    """Tells the manager that the station is ready, then what it does and that it turns. Until it is cancelled.

    The sign of life comes from the loop itself, twice as often as it is asked for, and only while pictures are drawn.
    """
    await station.begun.wait()
    manager.ready()
    manager.status(words())
    loop = asyncio.get_running_loop()
    pause = min(STATUS_SECONDS, manager.watchdog_seconds / 2 or STATUS_SECONDS)
    told, status_due = -1, loop.time() + STATUS_SECONDS
    while True:
        if manager.watchdog_seconds and station.ticks != told:
            told = station.ticks
            manager.still_turns()
        if loop.time() >= status_due:
            status_due = loop.time() + STATUS_SECONDS
            manager.status(words())
        await asyncio.sleep(pause)
