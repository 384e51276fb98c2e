"""Expected paths were taken down from `udevadm test-builtin path_id` of udev 252, run over these same trees."""

from pathlib import Path

import pytest

from eraser.domain.bay import DomainKind, Place, PlaceKind, PlacePattern
from eraser.drives.place import bandwidth_domains_of, place_of
from eraser.drives.sysfs import Host
from tests.drives.racks import HBA, XHCI, Machine, rack
from tests.lab import Need, loop_drive, require

PATHS_BY_UDEV = {
    "sata": "pci-0000:00:17.0-ata-3.0",
    "multiplied": "pci-0000:00:17.0-ata-4.2.0",
    "usb hub": "pci-0000:00:14.0-usb-0:1.4:1.0-scsi-0:0:0:0",
    "usb 2": "pci-0000:00:14.0-usb-0:3:1.0-scsi-0:0:0:0",
    "expander": "pci-0000:01:00.0-sas-exp0x500056b37789abff-phy4-lun-0",
    "sas": "pci-0000:01:00.0-sas-phy6-lun-0",
    "wide": "pci-0000:01:00.0-sas-0x5000c500a1b2c307-lun-0",
    "nvme": "pci-0000:05:00.0-nvme-1",
    "switched": "pci-0000:1a:00.0-nvme-2",
    "raid": "pci-0000:03:00.0-scsi-1:2:3:1",
    "virtio": "pci-0000:00:02.0",
    "platform": "platform-fd500000.pcie-pci-0000:01:00.0-usb-0:2:1.0-scsi-0:0:0:0",
    "multipath": "pci-0000:04:00.0-nvme-1",
}


@pytest.mark.parametrize(("drive", "path"), PATHS_BY_UDEV.items())
def test_a_drives_path_is_the_one_that_udev_gives_it(tmp_path: Path, drive: str, path: str) -> None:
    machine, drives = rack(tmp_path)
    assert place_of(drives[drive], machine.host).path == path


def test_a_slot_is_told_by_what_stays_when_cards_are_added(tmp_path: Path) -> None:
    machine, drives = rack(tmp_path)

    def steadiest(name: str) -> tuple[PlaceKind, str] | None:
        return place_of(drives[name], machine.host).steadiest

    assert steadiest("expander") == (PlaceKind.PHY, "0x500056b37789abff:4")
    assert steadiest("sas") == (PlaceKind.PHY, "pci-0000:01:00.0:6")
    assert steadiest("wide") == (PlaceKind.PHY, "pci-0000:01:00.0:7")
    assert steadiest("switched") == (PlaceKind.PCI_SLOT, "7")
    assert steadiest("usb hub") == (PlaceKind.USB_PORT, "0000:00:14.0/1.4")
    assert steadiest("sata") == (PlaceKind.PATH, "pci-0000:00:17.0-ata-3.0")


def test_every_place_is_matched_by_its_own_pattern_and_no_other(tmp_path: Path) -> None:
    machine, drives = rack(tmp_path)
    places = {name: place_of(drive, machine.host) for name, drive in drives.items()}
    for name, place in places.items():
        assert place.steadiest is not None
        pattern = PlacePattern(*place.steadiest)
        assert [other for other, place in places.items() if pattern.matches(place)] == [name]


def test_lab_devices_sit_where_their_name_says(tmp_path: Path) -> None:
    machine, drives = rack(tmp_path)
    assert place_of(drives["loop"], machine.host) == Place(path="lab-loop5")
    assert place_of(drives["zram"], machine.host) == Place(path="lab-zram1")


def domains(tmp_path: Path, name: str) -> list[tuple[str, DomainKind, int | None, str]]:
    machine, drives = rack(tmp_path)
    found = bandwidth_domains_of(drives[name], machine.host)
    return [(item.name, item.kind, item.max_bytes_per_second, item.within) for item in found]


def test_a_usb_drive_shares_its_hub_and_its_controllers_bus(tmp_path: Path) -> None:
    assert domains(tmp_path, "usb hub") == [
        ("usb3-0000:00:14.0/1", DomainKind.USB_HUB, 500_000_000, "usb3-0000:00:14.0"),
        ("usb3-0000:00:14.0", DomainKind.USB_HUB, 1_212_121_212, ""),
    ]


def test_usb_2_and_usb_3_of_one_controller_are_two_domains(tmp_path: Path) -> None:
    assert domains(tmp_path, "usb 2") == [("usb2-0000:00:14.0", DomainKind.USB_HUB, 60_000_000, "")]


def test_a_drive_behind_an_expander_shares_its_four_phys_then_the_adapter_then_its_link(tmp_path: Path) -> None:
    link = 8_000 * 125_000 * 8 * 128 // 130
    assert domains(tmp_path, "expander") == [
        ("expander-0x500056b37789abff", DomainKind.EXPANDER, 4 * 1_200_000_000, "hba-0000:01:00.0"),
        ("hba-0000:01:00.0", DomainKind.HBA, link, "pcie-0000:01:00.0"),
        ("pcie-0000:01:00.0", DomainKind.PCIE_LINK, link, ""),
    ]


def test_a_drive_behind_a_switch_has_its_own_link_and_the_switchs(tmp_path: Path) -> None:
    assert domains(tmp_path, "switched") == [
        ("pcie-0000:1a:00.0", DomainKind.PCIE_LINK, 3_938_461_538, "pcie-0000:17:00.0"),
        ("pcie-0000:17:00.0", DomainKind.PCIE_LINK, 7_876_923_076, ""),
    ]


def test_an_adapter_built_into_the_chipset_has_no_rate_that_anybody_says(tmp_path: Path) -> None:
    assert domains(tmp_path, "sata") == [("hba-0000:00:17.0", DomainKind.HBA, None, "")]


def test_lab_devices_share_nothing(tmp_path: Path) -> None:
    assert domains(tmp_path, "loop") == []


@pytest.mark.parametrize("file", ["speed", "current_link_width", "current_link_speed", "negotiated_linkrate"])
@pytest.mark.parametrize("content", ["", "Unknown", "fast", "0", "255", "nan GT/s", "1e999 Gbit"])
def test_a_rate_that_makes_no_sense_is_no_rate(tmp_path: Path, file: str, content: str) -> None:
    machine, drives = rack(tmp_path)
    for path in machine.host.sys.glob(f"devices/**/{file}"):
        path.write_text(content)
    for drive in drives.values():
        for domain in bandwidth_domains_of(drive, machine.host):
            assert domain.max_bytes_per_second is None or domain.max_bytes_per_second > 0
        place_of(drive, machine.host)


def test_a_drive_that_went_away_has_a_place_and_no_error(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.pci(HBA)
    machine.pci(XHCI)
    drive = machine.sas(HBA, "sda", phy=1)
    place = place_of(drive, machine.host)
    for path in sorted((machine.host.sys / "devices").rglob("*"), reverse=True):
        path.unlink() if path.is_symlink() or path.is_file() else path.rmdir()
    assert place.phy
    assert isinstance(place_of(drive, machine.host), Place)
    assert bandwidth_domains_of(drive, machine.host) is not None


def test_a_real_loop_device_is_placed_by_its_name() -> None:
    require(Need.LOOP)
    host = Host()
    with loop_drive(1 << 20) as drive:
        device = next(item for item in host.disks() if item.name == drive.name)
        assert place_of(device, host) == Place(path=f"lab-{drive.name}")
