"""Real hot-plug: a disk that appears in the kernel and disappears again, with its uevents and a fresh `diskseq`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.loop import wait_until
from tests.lab.requirements import ZRAM_CONTROL, Need, require


class ZramDrive:
    """A disk of compressed memory: quick to fill with zeros, slow with anything else."""

    def __init__(self, number: int, size_bytes: int) -> None:
        self.number = number
        self.size_bytes = size_bytes
        self.name = f"zram{number}"
        self.device = Path("/dev") / self.name
        self.is_plugged_in = True

    def pull(self) -> None:
        """Remove the disk. The kernel refuses while it is open: LabError after 10 s."""
        wait_until(self._removed, f"{self.device} to be let go")
        self.is_plugged_in = False

    def _removed(self) -> bool:
        try:
            (ZRAM_CONTROL / "hot_remove").write_text(str(self.number))
        except OSError:
            return False
        return True


@contextmanager
def zram_drive(size_bytes: int) -> Iterator[ZramDrive]:
    """Plug in a disk of `size_bytes` (a multiple of 4,096), all zeros; it is pulled at the end if it still is there."""
    require(Need.ZRAM)
    drive = ZramDrive(int((ZRAM_CONTROL / "hot_add").read_text()), size_bytes)  # reading this file adds the disk
    try:
        (Path("/sys/block") / drive.name / "disksize").write_text(str(size_bytes))
        yield drive
    finally:
        if drive.is_plugged_in:
            drive.pull()
