"""Drives made of a file: a real block device over it (`loop_drive`), or the file itself (`image_drive`)."""

from __future__ import annotations

import fcntl
import glob
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.content import MARKER, fill_with_marker
from tests.lab.requirements import Need, require

# tmpfs: as fast as memory, takes O_DIRECT, and nothing else of the machine is slowed by it.
SCRATCH = Path("/dev/shm")
TEARDOWN_DEADLINE_S = 10.0

REQUESTS = 128
"""The kernel's own depth of a loop device's queue."""


class LabError(Exception):
    """The lab could not make or unmake a device; never the fault of what is tested."""


def run(*command: str | Path) -> str:
    """The standard output of a command. Raises LabError, with what it said, when it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


def wait_until(happened: Callable[[], bool], what: str, *, deadline_s: float = TEARDOWN_DEADLINE_S) -> None:
    """Return as soon as `happened()`. Raises LabError naming `what` when it does not within `deadline_s` seconds."""
    ends_s = time.monotonic() + deadline_s
    while not happened():
        if time.monotonic() > ends_s:
            raise LabError(f"waited {deadline_s:g} s in vain for {what}")
        time.sleep(0.002)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder of one test on tmpfs, removed at the end with all that is in it."""
    folder = Path(tempfile.mkdtemp(prefix="eraser-lab-", dir=SCRATCH))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


class LoopDrive:
    """A loop device over `backing`, which can be pulled and put back.

    `device` is its path while it is plugged in. The kernel drops a loop device when its last opener closes it, so
    `unplug` waits for that, and names who does not let go.
    """

    def __init__(self, backing: Path, sector_bytes: int, medium: Path | None = None) -> None:
        self.backing = backing
        self.medium = medium or backing
        self.sector_bytes = sector_bytes
        self.size_bytes = self.medium.stat().st_size
        self.size = self.size_bytes
        self._device: Path | None = None
        self._last: Path | None = None

    @property
    def device(self) -> Path:
        """/dev/loopN. Raises LabError while the drive is unplugged."""
        if self._device is None:
            raise LabError(f"the drive over {self.backing} is not plugged in")
        return self._device

    @property
    def name(self) -> str:
        """loopN, its name under /sys/block."""
        return self.device.name

    def sysfs(self, attribute: str) -> str:
        """An attribute of the block device, e.g. `queue/write_cache` or `loop/dio`."""
        return (Path("/sys/block") / self.name / attribute).read_text().strip()

    def assume_write_through(self) -> None:
        """Make the kernel believe that there is no cache, as it does of most USB bridges: no flush is sent any more."""
        _set_write_cache(self.device, "write through")

    def plug_in(self) -> None:
        """Attach a loop device: the same as before when it is still free."""
        if self._device is not None:
            raise LabError(f"{self._device} is plugged in already")
        self._device = self._attach_again() or self._attach("--find", "--show")
        self._last = self._device
        # Somebody who was killed may have left it otherwise, see `unplug`.
        _make_plain(self._device)

    def _attach_again(self) -> Path | None:
        if self._last is None:
            return None
        try:
            self._attach(self._last)
        except LabError:
            return None
        return self._last

    def _attach(self, *where: str | Path) -> Path:
        return attach("--direct-io=on", f"--sector-size={self.sector_bytes}", *where, self.backing)

    def unplug(self) -> None:
        """Detach the loop device. Raises LabError when somebody still has it open after 10 s."""
        device, self._device = self.device, None
        # The kernel keeps settings of the queue for the next file attached to the same number.
        _make_plain(device)
        detach(device, self.backing)

    def replug(self) -> None:
        """Pull the drive and put it back: the same medium, a new `diskseq`."""
        self.unplug()
        self.plug_in()

    @property
    def is_plugged_in(self) -> bool:
        return self._device is not None


def _make_plain(device: Path) -> None:
    """The queue as it is on a new loop device, as far as tests change it."""
    _set_write_cache(device, "write back")
    (Path("/sys/block") / device.name / "queue/nr_requests").write_text(str(REQUESTS))


def _set_write_cache(device: Path, kind: str) -> None:
    (Path("/sys/block") / device.name / "queue/write_cache").write_text(kind)


def attach(*options: str | Path) -> Path:
    """Run losetup with `options`; the device that it prints, if it does.

    One at a time: two that find the same free device would both open it, and a test would see the other's descriptor
    of its own drive for a moment.
    """
    with Path("/dev/loop-control").open("rb") as control:
        fcntl.flock(control, fcntl.LOCK_EX)
        return Path(run("losetup", *options))


@contextmanager
def loop_over(path: Path, *options: str) -> Iterator[Path]:
    """A loop device over another device or an image: its path. No O_EXCL of the lower one notices it.

    It is taken down by what was attached, not by its number alone: where a test took a tower of them apart, another
    test's may stand there since, of the same numbers.
    """
    device = attach("--find", "--show", *options, path)
    attached = _sequence(device)
    try:
        yield device
    finally:
        if _sequence(device) == attached:
            detach(device, path.resolve())


def _sequence(device: Path) -> str:
    """The kernel counts what was ever attached to it."""
    return (Path("/sys/block") / device.name / "diskseq").read_text()


def detach(device: Path, backing: Path) -> None:
    """Detach a loop device from `backing`, now. Raises LabError when somebody still has it open after 10 s.

    One that is not over `backing` any more was taken apart by the test, and its number may be another test's drive by now.
    """
    if not is_attached(device, backing):
        return
    try:
        run("losetup", "--detach", device)
    except LabError:
        if is_attached(device, backing):
            raise
        return  # whoever opened it last in the kernel's sight has let it go already
    try:
        wait_until(lambda: not is_attached(device, backing), f"{device} to be let go")
    except LabError as error:
        raise LabError(f"{error}; open in processes {openers(device)}") from None


def is_attached(device: Path, backing: Path) -> bool:
    """Whether `device` is a loop device over `backing`: its number may be somebody else's by now."""
    try:
        attached = (Path("/sys/block") / device.name / "loop/backing_file").read_text()
    except OSError:
        return False
    return attached.rstrip("\n") in (str(backing), f"{backing} (deleted)")


def openers(device: Path) -> list[int]:
    """Processes with an open descriptor of `device`."""
    return [pid for pid, path in open_files() if path == device]


def open_files() -> Iterator[tuple[int, Path]]:
    """Each open descriptor of each process: the process, and the path of what it has open."""
    # Not Path.glob: it raises when a process ends while its descriptors are listed.
    for link in glob.iglob("/proc/[0-9]*/fd/*"):  # noqa: PTH207
        try:
            target = Path(link).readlink()
        except OSError:
            continue  # the process or its descriptor is gone by now
        yield int(link.split("/")[2]), target


@contextmanager
def image_drive(size_bytes: int, *, fill: bytes | None = MARKER) -> Iterator[Path]:
    """A plain file of `size_bytes` on tmpfs, full of `fill` repeated, or of holes. Needs no root."""
    with scratch_folder() as folder:
        yield make_image(folder / "drive.img", size_bytes, fill)


def make_image(path: Path, size_bytes: int, fill: bytes | None) -> Path:
    """Make a file of `size_bytes`, full of `fill` repeated, or of holes."""
    with path.open("wb") as file:
        file.truncate(size_bytes)
    if fill is not None:
        fill_with_marker(path, size_bytes, marker=fill)
    return path


@contextmanager
def loop_drive(size_bytes: int, *, sector_bytes: int = 512, fill: bytes | None = MARKER) -> Iterator[LoopDrive]:
    """A loop device of `size_bytes` (a multiple of the sector) over a file on tmpfs, full of `fill` repeated."""
    require(Need.LOOP)
    check_size(size_bytes, sector_bytes)
    with image_drive(size_bytes, fill=fill) as image, plugged_in(LoopDrive(image, sector_bytes)) as drive:
        yield drive


@contextmanager
def plugged_in(drive: LoopDrive) -> Iterator[LoopDrive]:
    """`drive`, plugged in, and unplugged at the end if it still is."""
    drive.plug_in()
    try:
        yield drive
    finally:
        if drive.is_plugged_in:
            drive.unplug()


def check_size(size_bytes: int, sector_bytes: int) -> None:
    """Raises ValueError for a drive that no sectors of `sector_bytes` make up."""
    if size_bytes <= 0 or size_bytes % sector_bytes:
        raise ValueError(f"{size_bytes} bytes are no whole number of sectors of {sector_bytes}")
