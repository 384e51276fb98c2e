"""Where a drive sits, and what its bytes share with others': from sysfs alone, with no udev daemon and no drive asked.

Paths have the form that udev gives them in /dev/disk/by-path, so that one map serves both. Source: systemd 252,
src/udev/udev-builtin-path_id.c, for the forms; the kernel's sysfs for the rest.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from eraser.domain.bay import BandwidthDomain, DomainKind, Place
from eraser.drives.sysfs import BlockDevice, Host

LAB_PREFIX = "lab-"
"""Devices that sit nowhere (loop, zram, images) are placed by their names."""

_PCI = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_SCSI_ADDRESS = re.compile(r"(\d+):(\d+):(\d+):(\d+)")
_USB_INTERFACE = re.compile(r"(\d+)-([0-9.]+):(\d+\.\d+)")
_USB_DEVICE = re.compile(r"(\d+)-([0-9.]+)")
_NUMBER = re.compile(r"[0-9.]+")

_MEGABIT = 1_000_000 // 8
_USB_BYTES_PER_SECOND = {
    "1.5": 1_500_000 // 8,
    "12": 12 * _MEGABIT,
    "480": 480 * _MEGABIT,
    "5000": 5_000 * _MEGABIT * 8 // 10,
    "10000": 10_000 * _MEGABIT * 128 // 132,
    "20000": 20_000 * _MEGABIT * 128 // 132,
}
"""Of a bus by its `speed` (Mbit/s), after line coding: 8b/10b at 5 Gbit/s, 128b/132b above. Source: USB 3.2 clause 6."""

_PCIE_CODING = {"2.5": (8, 10), "5.0": (8, 10), "5": (8, 10)}
"""Payload of line bits by transfer rate; 128b/130b for all others. Source: PCI Express Base 5.0 clause 4.2."""


def place_of(device: BlockDevice, host: Host) -> Place:
    """Where this disk sits. Everything is empty where the machine says nothing."""
    chain = _chain(device, host)
    if not chain.pci and not chain.platform:
        return Place(path=f"{LAB_PREFIX}{device.name}" if chain.is_virtual else "")
    sas = _sas(chain)
    return Place(
        path=_path(chain, device, host, sas),
        phy=_phy(chain, sas),
        pci_slot=_pci_slot(chain, host) if device.name.startswith("nvme") else "",
        usb_port=_usb_port(chain),
    )


def bandwidth_domains_of(device: BlockDevice, host: Host) -> tuple[BandwidthDomain, ...]:
    """What the disk's bytes go through, from the disk outwards, with the rates that the machine has negotiated.

    A link that only this disk uses is among them: another function or drive may appear behind it.
    """
    chain = _chain(device, host)
    found = [*_usb_domains(chain), *_sas_domains(chain), *_pcie_domains(chain)]
    around = [*(domain.name for domain in found[1:]), ""]
    return tuple(replace(domain, within=name) for domain, name in zip(found, around, strict=False))


@dataclass(frozen=True, slots=True)
class _Chain:
    """The directories from a disk up to the machine, nearest first, and what of them is of which bus."""

    directories: tuple[Path, ...]
    pci: tuple[Path, ...]
    """PCI functions, nearest first."""
    platform: str
    is_virtual: bool

    def named(self, prefix: str) -> Path | None:
        """The nearest directory whose name is the prefix with a number behind it: `host` finds `host3`."""
        for directory in self.directories:
            if directory.name.startswith(prefix) and directory.name[len(prefix) :].isdigit():
                return directory
        return None

    def fitting(self, pattern: re.Pattern[str]) -> tuple[Path, re.Match[str]] | None:
        """The nearest directory whose whole name fits."""
        for directory in self.directories:
            if found := pattern.fullmatch(directory.name):
                return directory, found
        return None


def _chain(device: BlockDevice, host: Host) -> _Chain:
    root = (host.sys / "devices").resolve()
    start = hardware_of(device)
    above = [start, *start.parents]
    directories = tuple(above[: above.index(root)]) if root in above else ()
    pci = tuple(directory for directory in directories if _PCI.fullmatch(directory.name))
    outermost = directories[-1].name if directories else ""
    platform = ""
    if outermost == "platform" and len(directories) > 1:
        platform = _platform(directories)
    return _Chain(directories, pci, platform, outermost == "virtual")


def _platform(directories: tuple[Path, ...]) -> str:
    """The platform device that the buses begin at, as on ARM boards: the one nearest to them."""
    for directory in directories:
        subsystem = directory / "subsystem"
        if subsystem.is_symlink() and subsystem.readlink().name == "platform":
            return directory.name
    return ""


def hardware_of(device: BlockDevice) -> Path:
    """The disk's directory; with native NVMe multipath, which hangs it below a virtual subsystem, its controller's."""
    if device.name.startswith("nvme") and "/nvme-subsystem/" in f"{device.directory}/":
        controllers = sorted(device.directory.parent.glob("nvme[0-9]*"))
        for controller in controllers:
            if controller.is_symlink():
                return controller.resolve() / device.name
    return device.directory


# Paths.


def _path(chain: _Chain, device: BlockDevice, host: Host, sas: "_Sas | None") -> str:
    pci = f"pci-{chain.pci[0].name}" if chain.pci else ""
    platform = f"platform-{chain.platform}" if chain.platform else ""
    ends = [_usb_part(chain), _scsi_part(chain, host, sas), _nvme_part(device)]
    return "-".join(part for part in (platform, pci, *ends) if part)


def _usb_part(chain: _Chain) -> str:
    found = chain.fitting(_USB_INTERFACE)
    return f"usb-0:{found[1][2]}:{found[1][3]}" if found else ""


def _nvme_part(device: BlockDevice) -> str:
    return f"nvme-{device.integer('nsid', 1)}" if device.name.startswith("nvme") else ""


def _scsi_part(chain: _Chain, host: Host, sas: "_Sas | None") -> str:
    found = chain.fitting(_SCSI_ADDRESS)
    adapter = chain.named("host")
    if found is None or adapter is None:
        return ""
    bus, target, unit = (int(text) for text in found[1].groups()[1:])
    if sas is not None:
        return f"{sas.path}-lun-{unit}"
    port = chain.named("ata")
    if port is not None and (number := BlockDevice(port / "ata_port" / port.name).text("port_no")):
        # Behind a port multiplier libata makes each port a bus of its own; a target above 0 is a parallel ATA slave.
        return f"ata-{number}.{bus}.0" if bus else f"ata-{number}.{target}"
    return f"scsi-{_relative(adapter)}:{bus}:{target}:{unit}"


def _relative(adapter: Path) -> int:
    """The host's number among those of one adapter: the kernel counts all hosts since it started."""
    numbers = [int(path.name[4:]) for path in adapter.parent.glob("host*") if path.name[4:].isdigit()]
    return int(adapter.name[4:]) - min(numbers)


# SAS.


@dataclass(frozen=True, slots=True)
class _Sas:
    """A SAS drive's port: the path's part, whose it is, and its phy: of a wide port the first one."""

    path: str
    owner: str
    """The expander's SAS address, empty for the adapter itself."""
    phy: str


def _sas(chain: _Chain) -> _Sas | None:
    end = next((path for path in chain.directories if path.name.startswith("end_device-")), None)
    if end is None:
        return None
    device = BlockDevice(end / "sas_device" / end.name)
    port = end.parent
    owner, phy, address = port.parent, device.text("phy_identifier"), ""
    if owner.name.startswith("expander-"):
        address = BlockDevice(owner / "sas_device" / owner.name).text("sas_address")
    if BlockDevice(port / "sas_port" / port.name).integer("num_phys", 1) != 1:
        # udev names a wide port by the drive in it, which is no place.
        return _Sas(f"sas-{device.text('sas_address')}", address, phy)
    return _Sas(f"sas-exp{address}-phy{phy}" if address else f"sas-phy{phy}", address, phy)


def _phy(chain: _Chain, sas: _Sas | None) -> str:
    if sas is None or not sas.phy:
        return ""
    owner = sas.owner or (f"pci-{chain.pci[0].name}" if chain.pci else "")
    return f"{owner}:{sas.phy}" if owner else ""


def _sas_domains(chain: _Chain) -> Iterator[BandwidthDomain]:
    """Each expander with the width and rate of its port towards the adapter, then the adapter itself."""
    for directory in chain.directories:
        if directory.name.startswith("expander-"):
            address = BlockDevice(directory / "sas_device" / directory.name).text("sas_address")
            rate = _port_bytes_per_second(directory.parent)
            yield BandwidthDomain(f"expander-{address}", DomainKind.EXPANDER, None, rate)
    adapter = chain.named("host")
    if adapter is not None and chain.pci and chain.fitting(_USB_INTERFACE) is None:
        link = _link_bytes_per_second(BlockDevice(chain.pci[0]))
        yield BandwidthDomain(f"hba-{chain.pci[0].name}", DomainKind.HBA, None, link)


def _port_bytes_per_second(port: Path) -> int | None:
    """Of a SAS port: the sum of its phys' negotiated rates, 8b/10b coded. Source: scsi_transport_sas's `sas_phy`."""
    total = 0
    for phy in sorted(port.glob("phy-*")):
        rate = BlockDevice(phy / "sas_phy" / phy.name).text("negotiated_linkrate")
        number, _, unit = rate.partition(" ")
        if unit == "Gbit" and _NUMBER.fullmatch(number):
            total += int(float(number) * 1000) * _MEGABIT * 8 // 10
    return total or None


# USB.


def _usb_port(chain: _Chain) -> str:
    found = chain.fitting(_USB_INTERFACE)
    return f"{chain.pci[0].name}/{found[1][2]}" if found and chain.pci else ""


def _usb_domains(chain: _Chain) -> Iterator[BandwidthDomain]:
    """Each hub by its own speed towards the machine, then the controller's bus.

    USB 2 and USB 3 of one controller are buses of their own, so their names differ.
    """
    if not chain.pci:
        return
    controller = chain.pci[0].name
    found = chain.fitting(_USB_INTERFACE)
    if found is None:
        return
    bus = chain.named("usb")
    side = _usb_side(bus)
    inside = chain.directories[chain.directories.index(found[0]) + 1 :]
    # The nearest USB device is the drive's own bridge, which is no hub.
    for hub in [directory for directory in inside if _USB_DEVICE.fullmatch(directory.name)][1:]:
        name = f"{side}-{controller}/{hub.name.partition('-')[2]}"
        yield BandwidthDomain(name, DomainKind.USB_HUB, None, _usb_bytes_per_second(hub))
    if bus is not None:
        yield BandwidthDomain(f"{side}-{controller}", DomainKind.USB_HUB, None, _usb_bytes_per_second(bus))


def _usb_side(bus: Path | None) -> str:
    speed = BlockDevice(bus).text("speed") if bus is not None else ""
    return "usb2" if speed in ("1.5", "12", "480") else "usb3"


def _usb_bytes_per_second(directory: Path) -> int | None:
    return _USB_BYTES_PER_SECOND.get(BlockDevice(directory).text("speed"))


# PCI Express.


def _pci_slot(chain: _Chain, host: Host) -> str:
    """The maker's number of the slot that the nearest function, or the bridge above it, is in."""
    slots = {address: slot for slot, address in pci_slots(host).items()}
    for function in chain.pci:
        if slot := slots.get(function.name.rpartition(".")[0]):
            return slot
    return ""


def pci_slots(host: Host) -> dict[str, str]:
    """The address, without function, of each PCIe slot by its number."""
    return {path.name: BlockDevice(path).text("address") for path in sorted((host.sys / "bus/pci/slots").glob("*"))}


def _pcie_domains(chain: _Chain) -> Iterator[BandwidthDomain]:
    """Each link once, by the function at its lower end: every second one from the root, where bridges alternate."""
    downwards = chain.pci[::-1]
    links = [function for depth, function in enumerate(downwards) if depth % 2]
    for function in reversed(links):
        rate = _link_bytes_per_second(BlockDevice(function))
        if rate is not None:
            yield BandwidthDomain(f"pcie-{function.name}", DomainKind.PCIE_LINK, None, rate)


def _link_bytes_per_second(function: BlockDevice) -> int | None:
    """Of a function's link, one direction, after line coding; None for one that is built in and has none."""
    speed, _, unit = function.text("current_link_speed").partition(" ")
    width = function.integer("current_link_width")
    if not width or not unit.startswith("GT/s") or not _NUMBER.fullmatch(speed):
        return None
    payload, line = _PCIE_CODING.get(speed, (128, 130))
    return int(float(speed) * 1000) * _MEGABIT * width * payload // line
