"""What a udev daemon noted about devices. Without one everything here is empty, and nothing is missing."""

import os
from collections.abc import Mapping

from eraser.drives.sysfs import BlockDevice, Host


def properties(device: BlockDevice, host: Host) -> dict[str, str]:
    """The device's udev properties, such as ID_SERIAL_SHORT."""
    number = device.number
    if not (host.udev_database / f"b{number.major}:{number.minor}").exists():
        return {}
    try:
        # Here, not above: it costs 30 ms, and only hosts with a udev daemon have something for it to read.
        import pyudev

        found = pyudev.Devices.from_device_number(
            pyudev.Context(), "block", os.makedev(number.major, number.minor)
        ).properties
        return {str(key): str(value) for key, value in dict(found).items()}
    except (ImportError, OSError, LookupError):
        return {}


def links_by_id(host: Host) -> Mapping[str, tuple[str, ...]]:
    """Names under /dev/disk/by-id, by the name of the device that each leads to."""
    found: dict[str, list[str]] = {}
    folder = host.dev / "disk" / "by-id"
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return {}
    for entry in entries:
        try:
            found.setdefault(entry.readlink().name, []).append(entry.name)
        except OSError:
            continue
    return {name: tuple(links) for name, links in found.items()}
