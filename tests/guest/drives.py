"""Drives that tests plug into the machine they run on, and pull again."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.guest import machine
from tests.guest.monitor import Monitor, MonitorError

PATIENCE_S = 60.0
"""For what takes a moment on a real machine."""
LOOK_S = 0.05

SYS_BLOCK = Path("/sys/block")


def wait_until(is_so: Callable[[], Any], what: str, within_s: float = PATIENCE_S) -> Any:
    """What `is_so` says once that is true. Fails when it is not in time."""
    deadline = time.monotonic() + within_s
    while not (answer := is_so()):
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
        time.sleep(LOOK_S)
    return answer


def settle() -> None:
    """Until udev has dealt with all that the kernel told it."""
    subprocess.run(["udevadm", "settle", "--timeout=60"], check=True)


@dataclass
class Plugged:
    """A drive that is in the machine. `image` is what it shows."""

    id: str
    image: int
    device: Path
    _pull: Callable[[], None] = field(repr=False)
    is_in: bool = True

    @property
    def sys(self) -> Path:
        """Its directory in sysfs."""
        return SYS_BLOCK / self.device.name

    def pull(self) -> None:
        """Takes it out, whatever is going on in it. It is gone from the kernel afterwards."""
        if self.is_in:
            self.is_in = False
            self._pull()


class Sockets:
    """Everything on the machine that a drive can be plugged into."""

    def __init__(self, monitor: Monitor, first_image: int) -> None:
        """Tests count their images from 0, which is the machine's `first_image`: nobody has written to that yet."""
        self._monitor = monitor
        self._first_image = first_image
        self._ids = (f"drive-{number}" for number in itertools.count())
        self._images: dict[int, int] = {}
        self._in: list[Plugged] = []

    def nvme(self, slot: int, image: int, **properties: Any) -> Plugged:
        """Into a PCIe slot, 1 to 3."""
        return self._plug(image, "nvme", bus=f"slot{slot}", **properties)

    def usb(self, port: str, image: int, **properties: Any) -> Plugged:
        """A USB bridge that hands its drive's commands on as plain SCSI; USB 3."""
        return self._plug(image, "usb-storage", bus="usb.0", port=port, **properties)

    def scsi(self, adapter: str, target: int, image: int, **properties: Any) -> Plugged:
        """Adapters: `scsi0` and `scsi1` (plain SCSI), `vscsi` (virtio). Any number may show one image: paths to one drive."""
        return self._plug(
            image, "scsi-hd", bus=f"{adapter}.0", channel=0, scsi_id=target, lun=0, share_rw=True, **properties
        )

    def empty(self) -> None:
        """Pulls whatever is left."""
        for plugged in reversed(self._in):
            plugged.pull()
        self._in.clear()

    def _plug(self, image: int, driver: str, **properties: Any) -> Plugged:
        before = set(_disks())
        node = f"image-{image}"
        if not self._images.get(image):
            file = machine.image(self._first_image + image)
            self._monitor.execute("blockdev-add", driver="file", node_name=node, filename=file)
        self._images[image] = self._images.get(image, 0) + 1
        name = next(self._ids)
        self._monitor.execute("device_add", driver=driver, id=name, drive=node, **properties)
        (disk,) = wait_until(lambda: set(_disks()) - before, f"a new disk for {driver}")
        settle()
        plugged = Plugged(name, image, Path("/dev", disk), lambda: self._pull(name, disk, image))
        self._in.append(plugged)
        return plugged

    def _pull(self, name: str, disk: str, image: int) -> None:
        self._monitor.execute("device_del", id=name)
        wait_until(lambda: not (SYS_BLOCK / disk).exists(), f"{disk} gone")
        self._images[image] -= 1
        if not self._images[image]:
            wait_until(lambda: self._let_go(f"image-{image}"), f"QEMU lets go of image-{image}")
        settle()

    def _let_go(self, node: str) -> bool:
        """The device is still using it for a moment after the guest has seen it go."""
        with contextlib.suppress(MonitorError):
            self._monitor.execute("blockdev-del", node_name=node)
            return True
        return False


def _disks() -> Iterator[str]:
    """Names of disks with something in them."""
    for entry in SYS_BLOCK.iterdir():
        if entry.name.startswith(("sd", "nvme")):
            with contextlib.suppress(OSError):
                if int((entry / "size").read_text()):
                    yield entry.name


def by_serial(serial: str) -> Path:
    """The node of the SATA drive that is always there, by its serial number."""
    for entry in SYS_BLOCK.glob("sd*"):
        with contextlib.suppress(OSError):
            if serial.encode() in (entry / "device/vpd_pg80").read_bytes():
                return Path("/dev", entry.name)
    raise LookupError(serial)
