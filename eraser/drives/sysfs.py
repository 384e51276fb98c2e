"""What the kernel tells about block devices in sysfs. Reads only; nothing here can wait for a drive.

Every place is below a `Host`, so that captured trees can stand in for a machine.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eraser.drives.numbers import BlockNumber

SYSFS_SECTOR_BYTES = 512
"""The unit of `size` and `stat`, whatever the drive's sectors are. Source: Documentation/block/stat.rst."""


@dataclass(frozen=True, slots=True)
class Host:
    """Where a machine's own description of itself lies."""

    sys: Path = Path("/sys")
    proc: Path = Path("/proc")
    dev: Path = Path("/dev")
    udev_database: Path = Path("/run/udev/data")

    def disks(self) -> Iterator["BlockDevice"]:
        """Every whole block device the kernel shows, drives or not, in the order of their names."""
        folder = self.sys / "block"
        for name in sorted(os.listdir(folder)):  # noqa: PTH208
            device = BlockDevice(_target(folder / name))
            if device.text("hidden") != "1" and device.text("dev"):
                yield device

    def device(self, number: BlockNumber) -> "BlockDevice | None":
        """The device with this number, None where the kernel has none (any more)."""
        link = self.sys / "dev" / "block" / f"{number.major}:{number.minor}"
        return BlockDevice(link.resolve()) if link.exists() else None

    def node(self, device: "BlockDevice") -> str:
        """Where the device's node is by the kernel's own naming."""
        return str(self.dev / device.name.replace("!", "/"))


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """One directory of sysfs that describes a block device; attributes are empty where the kernel has none."""

    directory: Path

    @property
    def name(self) -> str:
        """The kernel's name, such as `sda`; a `/` in it is written `!`."""
        return self.directory.name

    @property
    def number(self) -> BlockNumber:
        """Its device number. Raises ValueError when the device has gone."""
        return BlockNumber.parse(self.text("dev"))

    @property
    def is_partition(self) -> bool:
        """Whether it is a part of another device."""
        return (self.directory / "partition").exists()

    @property
    def whole(self) -> "BlockDevice":
        """The disk that a partition is part of; a disk itself."""
        return BlockDevice(self.directory.parent) if self.is_partition else self

    def partitions(self) -> Iterator["BlockDevice"]:
        """Its partitions, in the order of their names."""
        for entry in self._entries("", self.name):
            if (entry / "partition").exists():
                yield BlockDevice(entry)

    def slaves(self) -> Iterator["BlockDevice"]:
        """The devices that it is made of: of dm, md and bcache."""
        for entry in self._entries("slaves"):
            yield BlockDevice(_target(entry))

    def holders(self) -> Iterator["BlockDevice"]:
        """The devices that are made of it."""
        for entry in self._entries("holders"):
            yield BlockDevice(_target(entry))

    def text(self, attribute: str) -> str:
        """An attribute without its outer blanks; empty where there is none or the kernel will not say."""
        return self.data(attribute).decode("ascii", "replace").strip("\0 \t\n")

    def data(self, attribute: str) -> bytes:
        """An attribute as it is; empty where there is none."""
        try:
            # Unbuffered, and no Path: the guard reads hundreds of these for each look.
            with open(f"{self.directory}/{attribute}", "rb", buffering=0) as file:  # noqa: PTH123
                return file.readall()
        except OSError:
            return b""

    def integer(self, attribute: str, default: int = 0) -> int:
        """An attribute as a number, `default` where it is none."""
        try:
            return int(self.text(attribute))
        except ValueError:
            return default

    def ancestor_with(self, attribute: str) -> "BlockDevice | None":
        """The nearest directory above that has this attribute: the USB device of a disk has `idVendor`."""
        for directory in self.directory.parents:
            if (directory / attribute).exists():
                return BlockDevice(directory)
        return None

    def _entries(self, folder: str, prefix: str = "") -> list[Path]:
        # The guard looks at every disk of the machine: names are chosen before they become paths.
        try:
            names = os.listdir(self.directory / folder)  # noqa: PTH208
        except OSError:
            return []
        return [self.directory / folder / name for name in sorted(names) if name.startswith(prefix)]


def _target(link: Path) -> Path:
    """Where a link of sysfs leads. Below that there are no links, so that the kernel need not be asked about each folder."""
    try:
        shown = os.readlink(link)  # noqa: PTH115
    except OSError:
        return link  # a folder: kernels with CONFIG_SYSFS_DEPRECATED have no links here
    return Path(os.path.normpath(f"{link.parent}/{shown}" if not shown.startswith("/") else shown))
