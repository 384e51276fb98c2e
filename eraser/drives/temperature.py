"""How warm a drive is, by the kernel's hwmon drivers: `drivetemp` for SATA and SAS, the NVMe driver's own.

Other than the rest of sysfs this may wait for the drive: the kernel asks it anew for each reading. `drivetemp` has to be
loaded (`modprobe drivetemp`); reading wakes no drive that sleeps, but one that hangs keeps the reader.

Source: Documentation/hwmon/drivetemp.rst, nvme.rst and sysfs-interface.rst.
"""

from collections.abc import Iterator
from pathlib import Path

from eraser.drives.sysfs import BlockDevice, Host

COLDEST_CELSIUS, WARMEST_CELSIUS = -40.0, 125.0
"""A sensor beyond these is broken or is none: drives are rated for less, and some say -128 or 255 when they do not know."""

_DRIVERS = ("drivetemp", "nvme")


def celsius_of(name: str, host: Host) -> float | None:
    """The temperature of the disk that the kernel calls `name`; None where it does not tell. May block for as long as the
    drive does not answer.
    """
    for directory in _sensors(BlockDevice((host.sys / "block" / name).resolve())):
        sensor = BlockDevice(directory)
        if sensor.text("name") not in _DRIVERS:
            continue
        try:
            celsius = int(sensor.text("temp1_input")) / 1000
        except ValueError:
            continue
        return celsius if COLDEST_CELSIUS <= celsius <= WARMEST_CELSIUS else None
    return None


def _sensors(disk: BlockDevice) -> Iterator[Path]:
    """The hwmon directories of a disk's hardware: below its SCSI device or NVMe controller, below that one's PCI device (older
    kernels), and below each controller of a subsystem, which is what a namespace with several paths belongs to.
    """
    device = disk.directory / "device"
    for hardware in (device, device / "device", *sorted(device.glob("nvme[0-9]*"))):
        yield from sorted(hardware.glob("hwmon[0-9]*"))
        yield from sorted((hardware / "hwmon").glob("hwmon[0-9]*"))
