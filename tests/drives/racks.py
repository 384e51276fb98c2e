"""Builders: sysfs of machines with bays, shaped as real kernels shape it, links to subsystems included.

What udev makes of these same trees is in `test_place.py`, taken down from udev 252's own path_id.
"""

import os
from collections.abc import Mapping
from itertools import count
from pathlib import Path

from eraser.drives.sysfs import BlockDevice, Host
from tests.drives.trees import host_in, write

Attributes = Mapping[str, str]


class Machine:
    """A machine to which devices are added; `host` is how it is seen."""

    def __init__(self, folder: Path) -> None:
        self.host: Host = host_in(folder)
        self._minors = count(0, 16)

    def node(self, place: str, subsystem: str, attributes: Attributes | None = None, *, devtype: str = "") -> Path:
        """A device at `place` below sys/devices, of a bus (`bus/pci`) or class (`class/block`)."""
        directory = self.host.sys / "devices" / place
        directory.mkdir(parents=True, exist_ok=True)
        home = self.host.sys / subsystem
        members = home / "devices" if subsystem.startswith("bus/") else home
        members.mkdir(parents=True, exist_ok=True)
        link(directory / "subsystem", home)
        link(members / directory.name, directory)
        write(directory, {"uevent": f"DEVTYPE={devtype}" if devtype else "", **(attributes or {})})
        return directory

    def pci(self, place: str, *, speed: str = "", width: int = 0) -> str:
        """PCI functions along `place`, each with the link that the last one is given."""
        at = place.split("/")
        for depth in range(1, len(at) + 1):
            if not at[depth - 1].startswith("pci"):
                self.node("/".join(at[:depth]), "bus/pci")
        if speed:
            write(
                self.host.sys / "devices" / place,
                {"current_link_speed": f"{speed} GT/s PCIe", "current_link_width": str(width)},
            )
        return place

    def slot(self, number: str, address: str) -> None:
        """A PCIe slot as its maker numbers it: the address has no function."""
        write(self.host.sys / "bus/pci/slots" / number, {"address": address})

    def disk(self, place: str, name: str, attributes: Attributes | None = None, *, hardware: str = "") -> BlockDevice:
        """A block device below `place`; its `device` leads to `hardware`, by default to `place`."""
        number = f"8:{next(self._minors)}"
        directory = self.node(place, "class/block", devtype="disk")
        write(directory, {"dev": number, "size": "1000", "ro": "0", "removable": "0", "hidden": "0", "diskseq": "1"})
        major, minor = number.split(":")
        write(directory, {"uevent": f"MAJOR={major}\nMINOR={minor}\nDEVNAME={name}\nDEVTYPE=disk"})
        write(directory, attributes or {})
        if hardware:
            link(directory / "device", self.host.sys / "devices" / hardware)
        link(self.host.sys / "block" / name, directory)
        link(self.host.sys / "dev/block" / number, directory)
        return BlockDevice(directory.resolve())

    def scsi_disk(self, target_parent: str, adapter: str, address: str, name: str) -> BlockDevice:
        """A SCSI disk below `target_parent`, of the adapter `hostN` at `adapter`, with its target and logical unit."""
        host_name = adapter.rpartition("/")[2]
        self.node(adapter, "bus/scsi", devtype="scsi_host")
        self.node(f"{adapter}/scsi_host/{host_name}", "class/scsi_host")
        target = f"{target_parent}/target{address.rpartition(':')[0]}"
        self.node(target, "bus/scsi", devtype="scsi_target")
        unit = self.node(f"{target}/{address}", "bus/scsi", {"type": "0"}, devtype="scsi_device")
        self.node(f"{target}/{address}/scsi_device/{address}", "class/scsi_device")
        assert unit.exists()
        return self.disk(f"{target}/{address}/block/{name}", name, hardware=f"{target}/{address}")

    def sata(self, controller: str, port: int, name: str, *, number: int, bus: int = 0) -> BlockDevice:
        """A SATA disk: its port is ata`number` of the machine, `port` of the controller; `bus` a multiplier's port."""
        ata = f"{controller}/ata{number}"
        self.node(ata, "bus/none")
        self.node(f"{ata}/ata_port/ata{number}", "class/ata_port", {"port_no": str(port)})
        adapter = f"{ata}/host{number - 1}"
        return self.scsi_disk(adapter, adapter, f"{number - 1}:{bus}:0:0", name)

    def usb(self, controller: str, bus: int, ports: str, name: str, *, speeds: Mapping[str, str]) -> BlockDevice:
        """A USB disk at a chain of hub ports. `speeds` are of the bus (empty chain), the hubs and the bridge."""
        at = f"{controller}/usb{bus}"
        self.node(at, "bus/usb", {"speed": speeds[""]}, devtype="usb_device")
        chain = ports.split(".")
        for depth in range(1, len(chain) + 1):
            here = ".".join(chain[:depth])
            at = f"{at}/{bus}-{here}"
            self.node(at, "bus/usb", {"speed": speeds[here], "idVendor": "174c"}, devtype="usb_device")
        at = f"{at}/{bus}-{ports}:1.0"
        self.node(at, "bus/usb", devtype="usb_interface")
        adapter = f"{at}/host{20 + bus}"
        return self.scsi_disk(adapter, adapter, f"{20 + bus}:0:0:0", name)

    def sas(
        self, controller: str, name: str, *, phy: int, expander: str = "", phys: int = 1, uplinks: int = 4
    ) -> BlockDevice:
        """A SAS disk at a phy of the adapter, or of the expander with this SAS address."""
        adapter = f"{controller}/host0"
        at, numbers = adapter, "0"
        if expander:
            at = self._sas_expander(adapter, expander, uplinks)
            numbers = "0:0"
        port = f"{at}/port-{numbers}:{phy}"
        self.node(port, "bus/none")
        self.node(f"{port}/sas_port/port-{numbers}:{phy}", "class/sas_port", {"num_phys": str(phys)})
        end = f"{port}/end_device-{numbers}:{phy}"
        self.node(end, "bus/none")
        attributes = {"phy_identifier": str(phy), "sas_address": f"0x5000c500a1b2c3{phy:02x}"}
        self.node(f"{end}/sas_device/end_device-{numbers}:{phy}", "class/sas_device", attributes)
        return self.scsi_disk(end, adapter, f"0:0:{phy}:0", name)

    def _sas_expander(self, adapter: str, address: str, uplinks: int) -> str:
        port = f"{adapter}/port-0:0"
        self.node(port, "bus/none")
        self.node(f"{port}/sas_port/port-0:0", "class/sas_port", {"num_phys": str(uplinks)})
        for number in range(uplinks):
            phy = self.node(f"{adapter}/phy-0:{number}", "bus/none")
            self.node(
                f"{adapter}/phy-0:{number}/sas_phy/phy-0:{number}",
                "class/sas_phy",
                {"negotiated_linkrate": "12.0 Gbit"},
            )
            link(self.host.sys / "devices" / port / f"phy-0:{number}", phy)
        expander = f"{port}/expander-0:0"
        self.node(expander, "bus/none")
        self.node(f"{expander}/sas_device/expander-0:0", "class/sas_device", {"sas_address": address})
        return expander

    def nvme(self, function: str, name: str, *, nsid: int = 1) -> BlockDevice:
        """An NVMe namespace of a controller at a PCI function."""
        controller = f"{function}/nvme/{name.partition('n1')[0]}"
        self.node(controller, "class/nvme", {"serial": "S1"})
        return self.disk(f"{controller}/{name}", name, {"nsid": str(nsid)}, hardware=controller)


def link(path: Path, target: Path) -> None:
    """A symbolic link, relative as in sysfs; one that is there already is the same one."""
    if path.is_symlink():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(os.path.relpath(target, path.parent.resolve()))


HBA = "pci0000:00/0000:00:01.0/0000:01:00.0"
XHCI = "pci0000:00/0000:00:14.0"
AHCI = "pci0000:00/0000:00:17.0"


def rack(folder: Path) -> tuple[Machine, dict[str, BlockDevice]]:
    """One machine with a drive at every kind of place that we know, by a name for each."""
    machine = Machine(folder)
    machine.pci(AHCI)
    machine.pci(HBA, speed="8.0", width=8)
    machine.pci(XHCI)
    machine.pci("pci0000:00/0000:00:02.0")
    machine.pci("pci0000:00/0000:00:03.0")
    direct = machine.pci("pci0000:00/0000:00:1d.0/0000:05:00.0", speed="16.0", width=4)
    switch = "pci0000:16/0000:16:02.0/0000:17:00.0"
    machine.pci(switch, speed="8.0", width=8)
    switched = machine.pci(f"{switch}/0000:18:01.0/0000:1a:00.0", speed="8.0", width=4)
    machine.slot("7", "0000:1a:00")
    usb3 = {"": "10000", "1": "5000", "1.4": "5000", "3": "5000"}
    usb2 = {"": "480", "3": "480"}
    drives = {
        "sata": machine.sata(AHCI, 3, "sda", number=5),
        "multiplied": machine.sata(AHCI, 4, "sdb", number=6, bus=2),
        "usb hub": machine.usb(XHCI, 2, "1.4", "sdc", speeds=usb3),
        "usb 2": machine.usb(XHCI, 1, "3", "sdd", speeds=usb2),
        "expander": machine.sas(HBA, "sde", phy=4, expander="0x500056b37789abff"),
        "sas": machine.sas(HBA, "sdf", phy=6),
        "wide": machine.sas(HBA, "sdg", phy=7, phys=2),
        "nvme": machine.nvme(direct, "nvme0n1"),
        "switched": machine.nvme(switched, "nvme1n1", nsid=2),
    }
    raid = machine.pci("pci0000:00/0000:00:1c.0/0000:03:00.0", speed="5.0", width=8)
    machine.node(f"{raid}/host9", "bus/scsi", devtype="scsi_host")
    drives["raid"] = machine.scsi_disk(f"{raid}/host10", f"{raid}/host10", "10:2:3:1", "sdh")
    drives["virtio"] = _virtio(machine)
    pi = "platform/scb/fd500000.pcie/pci0000:00/0000:00:00.0/0000:01:00.0"
    machine.node("platform/scb", "bus/platform")
    machine.node("platform/scb/fd500000.pcie", "bus/platform")
    machine.node("platform/scb/fd500000.pcie/pci0000:00/0000:00:00.0", "bus/pci")
    machine.node(pi, "bus/pci")
    drives["platform"] = machine.usb(pi, 4, "2", "sdi", speeds={"": "5000", "2": "5000"})
    drives["multipath"] = _multipath(machine)
    drives["loop"] = machine.disk("virtual/block/loop5", "loop5")
    drives["zram"] = machine.disk("virtual/block/zram1", "zram1")
    return machine, drives


def _virtio(machine: Machine) -> BlockDevice:
    bus = "pci0000:00/0000:00:02.0/virtio1"
    machine.node(bus, "bus/virtio")
    return machine.disk(f"{bus}/block/vda", "vda", hardware=bus)


def _multipath(machine: Machine) -> BlockDevice:
    """An NVMe drive that the kernel shows below a subsystem, because it could have a second controller."""
    function = machine.pci("pci0000:00/0000:00:1b.0/0000:04:00.0", speed="16.0", width=4)
    machine.node(f"{function}/nvme/nvme2", "class/nvme")
    subsystem = "virtual/nvme-subsystem/nvme-subsys2"
    machine.node(subsystem, "class/nvme-subsystem")
    link(machine.host.sys / "devices" / subsystem / "nvme2", machine.host.sys / "devices" / function / "nvme/nvme2")
    return machine.disk(f"{subsystem}/nvme2n1", "nvme2n1", {"nsid": "1"}, hardware=subsystem)
