"""What a kernel has made of a drive, or uses it for, keeps it from being erased: real md, LVM, LUKS, multipath, swap, btrfs."""

from __future__ import annotations

from pathlib import Path

import pytest

from eraser.drives.claim import claim
from eraser.drives.discovery import identify
from eraser.drives.guard import uses
from eraser.errors import Refused
from tests.guest import stacks
from tests.guest.drives import PATIENCE_S, Sockets
from tests.lab.loop import run
from tests.rack.command import PASSED, REFUSED, CommandLine

pytestmark = pytest.mark.guest


def refused(device: Path) -> tuple[str, str]:
    """The reason and the words with which the drive is refused, when it is planned and again when it is claimed."""
    drive = identify(device)
    first = uses(drive)[0]
    with pytest.raises(Refused) as caught, claim(drive):
        pass
    assert caught.value.reason == first.reason.value
    return first.reason.value, first.what


def is_free(device: Path) -> bool:
    """Once udev has looked at what was left on it, which takes long here."""
    with claim(identify(device), settle_seconds=PATIENCE_S):
        return True


def test_a_member_of_a_running_raid_is_refused_and_when_it_is_stopped_erased(
    sockets: Sockets, desk: CommandLine
) -> None:
    first, second = sockets.scsi("scsi0", 1, 0), sockets.scsi("scsi0", 2, 1)
    with stacks.raid(first.device, second.device):
        assert refused(first.device) == ("holder", "the RAID /dev/md0 is made of it")
        assert refused(second.device) == ("holder", "the RAID /dev/md0 is made of it")
        ending = desk.erase(first.device)
        assert ending.status == REFUSED
        assert "the RAID /dev/md0 is made of it" in ending.result["reason"]
    assert desk.erase(first.device, standard="zero").status == PASSED


def test_a_physical_volume_is_refused_while_a_volume_of_its_group_is_active(sockets: Sockets) -> None:
    first, second = sockets.scsi("scsi0", 1, 0), sockets.scsi("scsi0", 2, 1)
    with stacks.volume("stock", first.device, second.device):
        for drive in (first, second):
            reason, what = refused(drive.device)
            assert reason == "holder" and what.startswith("the LVM volume stock-data "), what
    assert is_free(first.device)


def test_a_drive_under_an_opened_encrypted_volume_is_refused(sockets: Sockets) -> None:
    drive = sockets.nvme(1, 0, serial="NVME0001")
    with stacks.opened_luks(drive.device):
        reason, what = refused(drive.device)
        assert reason == "holder" and what.startswith("the opened encrypted volume opened "), what
    assert is_free(drive.device)


def test_a_drive_is_refused_for_its_mounted_partition(sockets: Sockets, tmp_path: Path) -> None:
    drive = sockets.nvme(1, 0, serial="NVME0001")
    part = stacks.one_partition(drive.device)
    run("mkfs.ext4", "-q", part)
    with stacks.mounted(part, tmp_path / "mount") as point:
        assert refused(drive.device) == ("mounted", f"it is mounted at {point} (ext4)")
    assert is_free(drive.device)


def test_a_drive_is_refused_for_swap_on_its_partition(sockets: Sockets) -> None:
    drive = sockets.usb("1", 0, serial="USB0001")
    part = stacks.one_partition(drive.device)
    run("mkswap", part)
    run("swapon", part)
    try:
        assert refused(drive.device) == ("swap", f"the system swaps to {part} on it")
    finally:
        run("swapoff", part)
    assert is_free(drive.device)


def test_each_member_of_a_btrfs_of_several_devices_is_refused(sockets: Sockets, tmp_path: Path) -> None:
    drives = [sockets.scsi("scsi0", target, target) for target in (1, 2, 3)]
    run("mkfs.btrfs", "-q", "--mixed", "-d", "single", "-m", "single", *(drive.device for drive in drives[:2]))
    with stacks.mounted(drives[0].device, tmp_path / "mount"):
        assert {refused(drive.device)[0] for drive in drives[:2]} == {"mounted"}
        run("btrfs", "device", "add", "-f", drives[2].device, tmp_path / "mount")
        assert refused(drives[2].device)[0] in ("mounted", "btrfs-member")
    assert all(is_free(drive.device) for drive in drives)


def test_two_paths_are_one_drive_and_a_use_of_either_is_a_use_of_it(sockets: Sockets, tmp_path: Path) -> None:
    name = {"serial": "TWOPATHS", "wwn": 0x5000C500A000000A}
    paths = [sockets.scsi(adapter, 1, 0, **name) for adapter in ("scsi0", "scsi1")]
    drive = identify(paths[0].device)
    assert drive.other_paths == (str(paths[1].device),)
    run("mkfs.ext4", "-q", paths[1].device)
    with stacks.mounted(paths[1].device, tmp_path / "mount"):
        assert refused(paths[0].device)[0] == "mounted"
    with claim(drive, settle_seconds=PATIENCE_S):
        assert refused(paths[1].device)[0] == "open"
    assert is_free(paths[0].device)


def test_the_paths_of_a_multipath_map_are_refused_and_the_map_is_named(sockets: Sockets, tmp_path: Path) -> None:
    name = {"serial": "TWOPATHS", "wwn": 0x5000C500A000000A}
    with stacks.multipathd(tmp_path):
        paths = [sockets.scsi(adapter, 1, 0, **name) for adapter in ("scsi0", "scsi1")]
        node = stacks.await_map(*(path.device for path in paths))
        for path in paths:
            reason, what = refused(path.device)
            assert reason == "holder" and what.startswith("the multipath device ") and str(node) in what, what


@pytest.mark.parametrize("adapters", [("vscsi", "vscsi")], ids=["virtio"])
def test_two_paths_through_a_virtual_adapter_are_one_drive_too(sockets: Sockets, adapters: tuple[str, str]) -> None:
    name = {"serial": "TWOPATHS", "wwn": 0x5000C500A000000A}
    paths = [sockets.scsi(adapter, target, 0, **name) for target, adapter in enumerate(adapters, 1)]
    assert identify(paths[0].device).other_paths == (str(paths[1].device),)
