"""Drives that come and go, as they do: the kernel's messages through pyudev, inside the event loop and without a thread.

Whoever is told of drives needs only `DriveEvents`; a simulated rack implements it without a kernel.
"""

import asyncio
import contextlib
import errno
import os
import socket
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from eraser.drives.discovery import is_drive
from eraser.drives.place import place_of
from eraser.drives.sysfs import SYSFS_SECTOR_BYTES, BlockDevice, Host
from eraser.errors import DriveError
from eraser.rack.presence import Event, Presence, Sighting

RECEIVE_BUFFER_BYTES = 1 << 20
"""Room for some thousand messages: a shelf of drives sends a burst when it is switched on."""
RESCAN_SECONDS = 10.0
"""Everything is looked at so often, message or not: what no message told is found all the same. In turns, a part each:
a rack of 96 drives at once would hold the event loop for 20 ms."""
RESCAN_TURNS = 10
UDEV_CONTROL = Path("/run/udev/control")
MAX_MESSAGES_AT_ONCE = 256
_BOUND_LATER = ("loop", "zram")
"""The kernel shows these before there is anything in them."""
LOOK_AGAIN_SECONDS = 0.1
LOOK_AGAIN_FOR_SECONDS = 3.0
"""Such a disk is looked at so often after a message, for so long: no other message says that zram was given its size.
Source: `set_capacity_and_notify` of the kernel's block/genhd.c."""


class DriveEvents(Protocol):
    """Where drives that come and go are told. Everything that is there already arrives first."""

    async def next(self) -> Event:
        """The next event, in the order in which it happened to one drive. A cancelled wait loses none."""
        ...


def default_source() -> str:
    """`udev` where its daemon runs, so that its rules and links are there before a drive is news; else `kernel`."""
    return "udev" if UDEV_CONTROL.exists() else "kernel"


class LookAt(Protocol):
    """What the kernel shows of a disk now, None where it is no drive: `sight`, or a part of it. `before` was seen last."""

    def __call__(self, name: str, host: Host, before: Sighting | None = None) -> Sighting | None: ...


class Hotplug:
    """The drives of this host. `async with Hotplug(…) as drives: event = await drives.next()`."""

    def __init__(
        self,
        host: Host,
        *,
        source: str = "",
        rescan_seconds: float = RESCAN_SECONDS,
        look_at: LookAt | None = None,
    ) -> None:
        self._host = host
        self._look_at = look_at or sight
        self._source = source or default_source()
        self._rescan_seconds = rescan_seconds
        self._presence = Presence()
        self._events: deque[Event] = deque()
        self._readable = asyncio.Event()
        self._turn = 0
        self._still_empty: dict[str, float] = {}
        self.overflows = 0
        """How often the kernel had more to say than the buffer holds, so that everything was looked at anew."""

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        # The monitor first: what comes between it and the look around is seen twice, and the second time is no news.
        self._monitor = _open_monitor(self._source)
        self._loop.add_reader(self._monitor.fileno(), self._on_message)
        self._look_around()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.remove_reader(self._monitor.fileno())
        del self._monitor

    async def next(self) -> Event:
        """The next event. One caller at a time; a cancelled wait loses none."""
        while not self._events:
            await self._wait()
            self._take_messages()
            if self._loop.time() >= self._rescan_at:
                self._look_at_some()
            self._look_at_empty()
            self._events.extend(self._presence.settled(self._loop.time()))
        return self._events.popleft()

    def _on_message(self) -> None:
        # Level-triggered: the reader is off until the messages are taken, or the loop would spin.
        self._loop.remove_reader(self._monitor.fileno())
        self._readable.set()

    async def _wait(self) -> None:
        """Until there is a message, a drive has settled, or it is time to look around."""
        due = self._presence.next_due()
        until = self._rescan_at if due is None else min(due, self._rescan_at)
        if self._still_empty:
            until = min(until, self._loop.time() + LOOK_AGAIN_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._readable.wait()

    def _take_messages(self) -> None:
        if not self._readable.is_set():
            return
        names: set[str] = set()
        try:
            for _ in range(MAX_MESSAGES_AT_ONCE):
                message = self._monitor.poll(timeout=0)
                if message is None:
                    break
                names.add(message.sys_name)
        except OSError as error:
            number = error.errno or _take_socket_error(self._monitor.fileno())
            if number != errno.ENOBUFS:
                raise DriveError(
                    f"the kernel's messages about drives cannot be read ({os.strerror(number)})"
                ) from error
            self.overflows += 1
            self._look_around()
        self._readable.clear()
        self._loop.add_reader(self._monitor.fileno(), self._on_message)
        self._look(names)
        again_until = self._loop.time() + LOOK_AGAIN_FOR_SECONDS
        self._still_empty.update({name: again_until for name in names if name.startswith(_BOUND_LATER)})

    def _look_at_empty(self) -> None:
        """Looks again at what a message was about before there was anything in it."""
        now, known = self._loop.time(), self._presence.names
        self._still_empty = {name: end for name, end in self._still_empty.items() if now < end and name not in known}
        self._look(self._still_empty)

    def _look_around(self) -> None:
        """Looks at every drive, here or remembered."""
        self._plan_rescan()
        self._look(self._presence.names | self._names_here())

    def _look_at_some(self) -> None:
        """Looks at what came or went without a message, and at a part of what seems to have stayed."""
        self._plan_rescan()
        self._turn = (self._turn + 1) % RESCAN_TURNS
        here, known = self._names_here(), self._presence.names
        self._look((here ^ known) | set(sorted(here & known)[self._turn :: RESCAN_TURNS]))

    def _names_here(self) -> set[str]:
        return set(os.listdir(self._host.sys / "block"))  # noqa: PTH208

    def _plan_rescan(self) -> None:
        self._rescan_at = self._loop.time() + self._rescan_seconds / RESCAN_TURNS

    def _look(self, names: Iterable[str]) -> None:
        wanted = {name.replace("/", "!") for name in names}
        before = self._presence.latest
        seen = {name: found for name in wanted if (found := self._look_at(name, self._host, before(name))) is not None}
        self._events.extend(self._presence.look(wanted, seen, self._loop.time()))


def sight(name: str, host: Host, before: Sighting | None = None) -> Sighting | None:
    """What the kernel shows of the disk of that name now; None where there is none, or nothing that is a drive.

    A device that is still the one of `before` sits where it did: looking again costs some 50 microseconds, the first time
    twenty times that.
    """
    link = BlockDevice(host.sys / "block" / name)
    try:
        instance = os.stat(link.directory).st_ino  # noqa: PTH116 - a third of the time of Path.stat
    except OSError:
        return None
    size_bytes = link.integer("size") * SYSFS_SECTOR_BYTES
    if before is not None and before.instance == instance and size_bytes:
        return replace(before, diskseq=link.integer("diskseq"), size_bytes=size_bytes)
    if not size_bytes and name.startswith(_BOUND_LATER):
        return None
    try:
        device = BlockDevice(link.directory.resolve(strict=True))
    except OSError:
        return None
    if device.text("hidden") == "1" or not is_drive(device):
        return None
    return Sighting(
        name=name,
        node=host.node(device),
        instance=instance,
        diskseq=device.integer("diskseq"),
        size_bytes=size_bytes,
        removable=device.text("removable") == "1",
        place=place_of(device, host),
    )


def _take_socket_error(fd: int) -> int:
    """The error that waits at a socket, and waits no more. pyudev's poll says only that there is one."""
    with socket.socket(fileno=os.dup(fd)) as same:
        return same.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def _open_monitor(source: str) -> Any:
    """A pyudev monitor of whole disks. Raises DriveError when the kernel gives none."""
    import pyudev

    try:
        monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source=source)
        monitor.filter_by("block", "disk")
        with contextlib.suppress(OSError):  # without CAP_NET_ADMIN the usual buffer has to do: an overflow is noticed
            monitor.set_receive_buffer_size(RECEIVE_BUFFER_BYTES)
        monitor.start()
    except OSError as error:
        raise DriveError(
            f"the kernel's messages about drives cannot be had ({error})",
            subject=source,
            remedy="Run as root on Linux with libudev.",
        ) from error
    return monitor
