"""The simulated drives as real block devices, which the kernel tells of: disks of compressed memory (zram). Root, Linux.

What was made is written down before it is filled, by number and the kernel's running number of disks, so that a run which was
killed leaves nothing that the next one does not find, and nobody else's disk is ever taken for one of ours.
"""

import contextlib
import json
import mmap
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from eraser.domain.bay import BayName, Place
from eraser.drives.sysfs import Host
from eraser.errors import DriveError, Refused
from eraser.rack.hotplug import Hotplug, sight
from eraser.rack.presence import Event, Sighting
from eraser.rack.simulated.images import MIB, Note, marker_data, note_from
from eraser.rack.simulated.shelf import SimulatedRack

SHARE_OF_MEMORY = 0.5
"""All disks together: once erased they hold random data, which takes all of its size."""
LET_GO_SECONDS = 10.0
LET_GO_STEP_SECONDS = 0.02
KERNEL_SOURCE = "kernel"
"""Of messages. A udev daemon would keep them back until its rules are done, and there are none for these disks."""


@dataclass(frozen=True, slots=True)
class _Disk:
    """One disk as it is written down."""

    note: Note
    number: int
    diskseq: int
    boot_id: str
    is_filled: bool

    @property
    def name(self) -> str:
        return f"zram{self.number}"


class ZramDisks:
    """The zram disks of one folder's notes: `images.Stock`. All methods block, and may be called from any thread."""

    def __init__(self, folder: Path, host: Host) -> None:
        self._folder = folder
        self._host = host
        self._control = host.sys / "class/zram-control"
        self._disks: dict[str, _Disk] = {}
        self._lock = threading.Lock()
        self._is_closed = False

    def refuse_if_lacking(self, disks: int, least_bytes: int) -> int:
        """The bytes that each of so many disks may have. Raises Refused where they cannot be had."""
        if os.geteuid() != 0:
            raise Refused("not-root", "zram disks are made by root alone", remedy="Run it as root, or over images.")
        if not (self._control / "hot_add").exists():
            raise Refused(
                "no-zram", "this kernel has no zram", remedy="Load it (modprobe zram), or simulate over images."
            )
        size = int(_available_bytes(self._host) * SHARE_OF_MEMORY) // disks
        if size < least_bytes:
            raise Refused(
                "no-memory",
                f"{disks} disks of {least_bytes // MIB} MiB are more than half of the memory that is free",
                remedy="Simulate fewer bays, or over images.",
            )
        return size

    # ---- `images.Stock`

    def path(self, note: Note) -> Path:
        """Its device node."""
        return self._host.dev / self._disk(note).name

    def left_over(self) -> list[Note]:
        """The disks that a killed run left. Those that it had not filled yet are removed here."""
        kept = []
        for path in sorted(self._folder.glob("*.json")):
            disk = _read(path)
            if not self._is_ours(disk):
                path.unlink()
            elif disk.is_filled:
                self._disks[disk.note.serial] = disk
                kept.append(disk.note)
            else:
                self._remove(disk)
        return kept

    def make(self, note: Note) -> None:
        """A disk full of marker data. Raises DriveError when the station is about to end."""
        disk = self._add(note)
        (self._attribute(disk, "disksize")).write_text(str(note.size_bytes))
        self._write(disk, 0, note.size_bytes)
        self._keep(replace(disk, is_filled=True))

    def remember_markers(self, note: Note, offset: int, length: int) -> None:
        """Puts back what was there before anything was written: a drive that did not keep it. In whole sectors."""
        self._write(self._disk(note), offset, length)

    def remove(self, note: Note) -> None:
        """The kernel takes it away."""
        self._remove(self._disks.pop(note.serial))

    def close(self) -> None:
        """Removes all of them, and lets no more be made."""
        with self._lock:
            self._is_closed = True
        for disk in list(self._disks.values()):
            with contextlib.suppress(DriveError):  # the next run finds it
                self._remove(disk)

    # ---- what only a rack of them needs

    def announce(self, note: Note, action: str) -> None:
        """Lets the kernel send its message of the disk to everybody: `add` or `remove`.

        Source: Documentation/ABI/testing/sysfs-uevent.
        """
        with contextlib.suppress(OSError):  # it is gone, which the kernel has told already
            self._attribute(self._disk(note), "uevent").write_text(action)

    def _disk(self, note: Note) -> _Disk:
        if (disk := self._disks.get(note.serial)) is None:
            raise DriveError("it is gone", subject=note.serial, remedy="Plug it in again.")
        return disk

    def _add(self, note: Note) -> _Disk:
        with self._lock:
            if self._is_closed:
                raise DriveError("no more disks are made: the station ends", subject=note.serial)
            number = int((self._control / "hot_add").read_text())  # reading it adds a disk
            disk = _Disk(note, number, self._diskseq(number), self._boot_id(), is_filled=False)
            self._keep(disk)
            return disk

    def _keep(self, disk: _Disk) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._note_path(disk)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(disk)))
        fresh.replace(path)
        self._disks[disk.note.serial] = disk

    def _write(self, disk: _Disk, offset: int, length: int) -> None:
        """Past the page cache: what is written late would count as somebody else's write."""
        with _aligned(marker_data()) as buffer:
            fd = os.open(self._host.dev / disk.name, os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
            try:
                while length > 0:
                    inside = offset % len(buffer)
                    written = os.pwrite(fd, buffer[inside : inside + length], offset)
                    offset += written
                    length -= written
            finally:
                os.close(fd)

    def _remove(self, disk: _Disk) -> None:
        """Raises DriveError when somebody has it open for too long."""
        deadline = time.monotonic() + LET_GO_SECONDS
        while self._is_ours(disk):
            try:
                (self._control / "hot_remove").write_text(str(disk.number))
            except OSError as error:
                if time.monotonic() > deadline:
                    raise DriveError(
                        "the kernel does not remove it: somebody has it open", subject=disk.name
                    ) from error
                time.sleep(LET_GO_STEP_SECONDS)
        self._disks.pop(disk.note.serial, None)
        self._note_path(disk).unlink(missing_ok=True)

    def _is_ours(self, disk: _Disk) -> bool:
        """Whether the disk of that number is still the one that was made."""
        try:
            return disk.boot_id == self._boot_id() and disk.diskseq == self._diskseq(disk.number)
        except OSError:
            return False

    def _note_path(self, disk: _Disk) -> Path:
        return self._folder / f"{disk.note.serial}.json"

    def _attribute(self, disk: _Disk, name: str) -> Path:
        return self._host.sys / "block" / disk.name / name

    def _diskseq(self, number: int) -> int:
        return int((self._host.sys / f"block/zram{number}/diskseq").read_text())

    def _boot_id(self) -> str:
        return (self._host.proc / "sys/kernel/random/boot_id").read_text().strip()


class ZramRack(SimulatedRack):
    """The fictional rack over zram disks. `async with` it before its first event.

    A disk is in a bay once it is full of data: then the kernel is asked to send its message of it again. One that is pulled and
    comes back later is told of in the same way, since a disk that the kernel really removes forgets what was on it.
    """

    def __init__(self, disks: ZramDisks, host: Host) -> None:
        super().__init__(disks)
        self._disks = disks
        self.hotplug = Hotplug(host, source=KERNEL_SOURCE, look_at=self._sight)

    def plug(self, note: Note, bay: BayName) -> None:
        """Puts a drive into a bay."""
        self._put_in(note, bay)
        self._disks.announce(note, "add")

    def pull(self, note: Note) -> None:
        """Takes it out, whatever it does."""
        self._take_out(note)
        self._disks.announce(note, "remove")

    async def next(self) -> Event:
        """The next event that the kernel tells of."""
        return await self.hotplug.next()

    def _sight(self, name: str, host: Host, before: Sighting | None = None) -> Sighting | None:
        """What the kernel shows of a disk, in the bay that it was put into; None for one that is in no bay."""
        plugged = self._plugged.get(str(host.dev / name))
        found = sight(name, host, before) if plugged is not None else None
        if plugged is None or found is None:
            return None
        _, put_in = plugged
        return replace(found, place=Place(path=put_in.place.path))


def _read(path: Path) -> _Disk:
    form = json.loads(path.read_text())
    return _Disk(**{**form, "note": note_from(form["note"])})


@contextlib.contextmanager
def _aligned(data: bytes) -> Iterator[memoryview]:
    """A copy that O_DIRECT takes: it begins at a page."""
    with mmap.mmap(-1, len(data)) as pages:
        pages[:] = data
        with memoryview(pages) as view:
            yield view


def _available_bytes(host: Host) -> int:
    """`MemAvailable` of /proc/meminfo."""
    for line in (host.proc / "meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return 0
