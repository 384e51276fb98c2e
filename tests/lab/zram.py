"""Real hot-plug: a disk that appears in the kernel and disappears again, with its uevents and a fresh `diskseq`."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.lab.loop import LabError, wait_until
from tests.lab.requirements import ZRAM_CONTROL, Need, require


class ZramDrive:
    """A disk of compressed memory: quick to fill with zeros, slow with anything else."""

    def __init__(self, number: int, size_bytes: int) -> None:
        self.number = number
        self.size_bytes = size_bytes
        self.name = f"zram{number}"
        self.device = Path("/dev") / self.name
        self.is_plugged_in = True

    def give_size(self) -> None:
        """What makes it a disk of `size_bytes`; the kernel sends no message of it."""
        (Path("/sys/block") / self.name / "disksize").write_text(str(self.size_bytes))

    def pull(self) -> None:
        """Remove the disk. The kernel refuses while it is open: LabError after 10 s, which says who has it open."""
        try:
            wait_until(self._removed, f"{self.device} to be let go")
        except LabError as error:
            raise LabError(
                f"{error}; it is open in: {', '.join(self._holders()) or 'no process that can be seen'}"
            ) from None
        self.is_plugged_in = False

    def _holders(self) -> set[str]:
        found = set()
        for opened in Path("/proc").glob("[0-9]*/fd/*"):
            with suppress(OSError):  # a process that ends meanwhile
                if opened.readlink() == self.device:
                    command = opened.parents[1].joinpath("cmdline").read_bytes().decode("utf-8", "replace")
                    found.add(f"{opened.parts[2]} ({command.replace(chr(0), ' ').strip()[:120]})")
        return found

    def _removed(self) -> bool:
        try:
            (ZRAM_CONTROL / "hot_remove").write_text(str(self.number))
        except OSError:
            return False
        return True


@contextmanager
def alone_with_zram() -> Iterator[None]:
    """Until the block ends nobody else's test makes zram disks: the kernel gives the lowest number that is free."""
    require(Need.ZRAM)
    fd = os.open(ZRAM_CONTROL, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextmanager
def zram_drive(size_bytes: int, *, is_sized: bool = True) -> Iterator[ZramDrive]:
    """Plug in a disk of `size_bytes` (a multiple of 4,096), all zeros; it is pulled at the end if it still is there.

    One that is not sized is empty until `give_size`.
    """
    with alone_with_zram():
        drive = ZramDrive(_hot_add(), size_bytes)
        try:
            if is_sized:
                drive.give_size()
            yield drive
        finally:
            if drive.is_plugged_in:
                drive.pull()


class ZramSlot:
    """A number that a zram disk has each time it is plugged in: what a bay's map can name before there is a disk."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.drive: ZramDrive | None = None
        self.name = f"zram{number}"
        self.device = Path("/dev") / self.name

    def plug(self, size_bytes: int) -> ZramDrive:
        """A new disk, all zeros. LabError when somebody else has taken the number meanwhile."""
        number = _hot_add()
        self.drive = ZramDrive(number, size_bytes)
        if number != self.number:
            self.pull()
            raise LabError(f"{self.device} was taken by somebody else")
        self.drive.give_size()
        return self.drive

    def pull(self) -> None:
        """Remove the disk, if there is one, as soon as nobody has it open: LabError after 10 s."""
        drive, self.drive = self.drive, None
        if drive is not None:
            drive.pull()


@contextmanager
def zram_slot() -> Iterator[ZramSlot]:
    """A slot without a disk; what is in it at the end is pulled."""
    with alone_with_zram():
        reserved = ZramDrive(_hot_add(), 0)
        reserved.pull()
        slot = ZramSlot(reserved.number)
        try:
            yield slot
        finally:
            slot.pull()


def _hot_add() -> int:
    """Reading this file adds a disk."""
    return int((ZRAM_CONTROL / "hot_add").read_text())
