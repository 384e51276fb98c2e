"""The light at a drive's slot, where the kernel lets us switch it on."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eraser.drives.place import hardware_of, pci_slots
from eraser.drives.sysfs import BlockDevice, Host
from eraser.errors import DriveError

_PCI_FUNCTION = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")


@dataclass(frozen=True, slots=True)
class SlotLight:
    """A light as a file of sysfs and the words that switch it."""

    kind: str
    file: Path
    on: str
    off: str

    def switch(self, *, on: bool) -> None:
        """Raises DriveError when the kernel or the enclosure refuses."""
        try:
            self.file.write_text(self.on if on else self.off)
        except OSError as error:
            raise DriveError(
                f"the slot's light cannot be switched ({error.strerror})", subject=str(self.file), remedy="Run as root."
            ) from error


def light_of(device: BlockDevice, host: Host) -> SlotLight | None:
    """The light of the slot that a drive is in; None where it has none."""
    return next((light for find in (_ses, _npem, _hotplug_slot) for light in find(device, host)), None)


def _ses(device: BlockDevice, host: Host) -> Iterator[SlotLight]:
    """A SCSI enclosure's. Source: drivers/misc/enclosure.c: a component's `device` leads to what is in it."""
    hardware = (device.directory / "device").resolve()
    for inside in sorted((host.sys / "class/enclosure").glob("*/*/device")):
        locate = inside.parent / "locate"
        if inside.resolve() == hardware and locate.exists():
            yield SlotLight("SES", locate, "1", "0")


def _npem(device: BlockDevice, host: Host) -> Iterator[SlotLight]:
    """A PCIe port's: Native PCIe Enclosure Management names its lights by the port. Source: drivers/pci/npem.c (6.12)."""
    for function in _functions_above(device):
        folder = host.sys / "class/leds" / f"{function}:enclosure:locate"
        if (folder / "brightness").exists():
            yield SlotLight("NPEM", folder / "brightness", "1", "0")


def _hotplug_slot(device: BlockDevice, host: Host) -> Iterator[SlotLight]:
    """A PCIe hot-plug slot's attention indicator. Source: Documentation/ABI/testing/sysfs-bus-pci, slots."""
    addresses = pci_slots(host)
    for function in _functions_above(device):
        for slot, address in addresses.items():
            file = host.sys / "bus/pci/slots" / slot / "attention"
            if address == function.rpartition(".")[0] and file.exists():
                yield SlotLight("PCIe attention indicator", file, "1", "0")


def _functions_above(device: BlockDevice) -> list[str]:
    """PCI functions from the drive's own outwards."""
    return [path.name for path in hardware_of(device).parents if _PCI_FUNCTION.fullmatch(path.name)]
