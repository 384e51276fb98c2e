"""Temperatures, over made-up trees."""

from pathlib import Path

import pytest

from eraser.drives.sysfs import Host
from eraser.drives.temperature import celsius_of
from tests.drives.trees import add_disk, host_in, write

SATA = "pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0"
PCI = "pci0000:00/0000:01:00.0"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return host_in(tmp_path)


def sensor(name: str, millidegrees: int | str) -> dict[str, str | bytes]:
    return {"name": name, "temp1_input": str(millidegrees)}


def test_a_sata_or_sas_drive_is_as_warm_as_drivetemp_says(host: Host) -> None:
    disk = add_disk(host, "sda", SATA, {})
    write(disk.directory / "device/hwmon/hwmon3", sensor("drivetemp", 41000))
    assert celsius_of("sda", host) == 41.0


def test_an_nvme_drive_is_as_warm_as_its_controller_says(host: Host) -> None:
    disk = add_disk(host, "nvme0n1", f"{PCI}/nvme/nvme0", {})
    write(disk.directory / "device/hwmon1", {**sensor("nvme", 38850), "temp2_input": "99000"})
    assert celsius_of("nvme0n1", host) == 38.85


def test_older_kernels_keep_an_nvme_drive_s_sensor_with_its_pci_device(host: Host) -> None:
    disk = add_disk(host, "nvme0n1", f"{PCI}/nvme/nvme0", {})
    (disk.directory / "device/device").symlink_to(host.sys / "devices" / PCI)
    write(host.sys / "devices" / PCI / "hwmon/hwmon1", sensor("nvme", 52000))
    assert celsius_of("nvme0n1", host) == 52.0


def test_a_namespace_of_a_subsystem_is_as_warm_as_its_controller_says(host: Host) -> None:
    disk = add_disk(host, "nvme1n1", "virtual/nvme-subsystem/nvme-subsys1", {})
    controller = host.sys / "devices" / PCI / "nvme/nvme4"
    write(controller / "hwmon2", sensor("nvme", 45000))
    (disk.directory / "device/nvme4").symlink_to(controller)
    assert celsius_of("nvme1n1", host) == 45.0


@pytest.mark.parametrize("reading", ["-128000", "255000", "", "warm"])
def test_a_sensor_that_says_what_cannot_be_says_nothing(host: Host, reading: str) -> None:
    disk = add_disk(host, "sda", SATA, {})
    write(disk.directory / "device/hwmon/hwmon3", sensor("drivetemp", reading))
    assert celsius_of("sda", host) is None


def test_the_temperature_of_something_else_is_not_the_drive_s(host: Host) -> None:
    disk = add_disk(host, "sda", SATA, {})
    write(disk.directory / "device/hwmon/hwmon3", sensor("coretemp", 90000))
    assert celsius_of("sda", host) is None


def test_a_drive_without_a_sensor_and_one_that_is_gone_say_nothing(host: Host) -> None:
    add_disk(host, "sda", SATA, {})
    assert celsius_of("sda", host) is None
    assert celsius_of("sdb", host) is None
