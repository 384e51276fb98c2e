"""Every use of a drive that this kernel can show is seen; a free drive is free."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from eraser.drives.discovery import LIVE, identify
from eraser.drives.guard import Use as GuardUse
from eraser.drives.guard import UseReason, refuse_if_used, settled, uses
from eraser.drives.mounts import HangingPlaces, Mount, overlay_folders, parse_mountinfo
from eraser.drives.numbers import BlockNumber
from eraser.drives.processes import all_held
from eraser.drives.stack import Stack
from eraser.errors import Refused
from tests.drives import devices
from tests.drives.trees import add_disk, add_partition, host_in, write
from tests.lab.loop import loop_over

lab = pytest.mark.lab


def seen(path: Path) -> tuple[GuardUse, ...]:
    """The uses that stay: other tests' guards look into every loop device for a moment."""
    drive = identify(path)
    return settled(lambda: uses(drive), 1)


def reasons(path: Path) -> set[str]:
    return {use.reason.value for use in seen(path)}


@lab
def test_a_free_drive_is_free(tmp_path):
    with loop_over(devices.image(tmp_path)) as device:
        assert seen(device) == ()


def test_a_free_image_is_free(tmp_path):
    assert seen(devices.image(tmp_path)) == ()


@lab
def test_the_machines_own_disk_is_refused_as_the_system_disk():
    number = Path("/").stat().st_dev
    device = LIVE.device(BlockNumber(os.major(number), os.minor(number)))
    if device is None:
        pytest.skip("hardware: the system lies on no block device of its own")
    with pytest.raises(Refused) as refusal:
        refuse_if_used(identify(LIVE.node(device.whole)))
    assert refusal.value.reason == "system-disk"


@lab("root", "loop", "mkfs.ext4")
def test_a_mounted_drive_is_in_use(tmp_path):
    with loop_over(devices.image(tmp_path)) as device, devices.mounted(device, tmp_path / "mount point"):
        with pytest.raises(Refused, match="mount point"):
            refuse_if_used(identify(device))
        assert "mounted" in reasons(device)


@lab("root", "loop", "mkfs.ext4", "addpart")
def test_a_drive_with_a_mounted_partition_is_in_use(tmp_path):
    with (
        loop_over(devices.image(tmp_path)) as device,
        devices.partitioned(device) as part,
        devices.mounted(part, tmp_path / "mount"),
    ):
        assert "mounted" in reasons(device)


@lab("root", "loop", "mkfs.ext4", "unshare")
def test_a_drive_mounted_in_another_mount_namespace_only_is_in_use(tmp_path):
    (tmp_path / "mount").mkdir()
    with loop_over(devices.image(tmp_path)) as device:
        devices.run("mkfs.ext4", "-q", "-F", device)
        mount = "import subprocess; subprocess.run(['mount', '-o', 'ro', *sys.argv[1:]], check=True)"
        with devices.another_process(mount, device, tmp_path / "mount", before=("unshare", "--mount")):
            found = seen(device)
    assert found[0].reason is UseReason.MOUNTED
    assert "another mount namespace" in found[0].what


@lab("root", "loop", "mkfs.ext4")
def test_a_drive_and_an_image_with_a_mounted_loop_on_top_are_in_use(tmp_path):
    file = devices.image(tmp_path)
    with loop_over(file) as lower, loop_over(lower) as upper, devices.mounted(upper, tmp_path / "mount"):
        assert {"mounted", "loop"} <= reasons(lower)
        assert {"mounted", "loop"} <= reasons(file)


@contextmanager
def bound(file: Path, point: Path) -> Iterator[None]:
    point.touch()
    devices.run("mount", "--bind", file, point)
    try:
        yield
    finally:
        devices.run("umount", point)


@lab("root", "loop")
def test_a_file_that_is_mounted_by_itself_is_in_use_as_image_and_as_loop_drive(tmp_path):
    file = devices.image(tmp_path, "blanks in name")
    with loop_over(file) as device, bound(file, tmp_path / "point"):
        for path in (file, device, tmp_path / "point"):
            assert seen(path)[0].reason is UseReason.MOUNTED
            assert "point" in seen(path)[0].what
    assert seen(file) == ()


@lab("root", "unshare")
def test_a_file_that_is_mounted_by_itself_in_another_mount_namespace_is_in_use(tmp_path):
    file = devices.image(tmp_path)
    (tmp_path / "point").touch()
    mount = "import subprocess; subprocess.run(['mount', '--bind', *sys.argv[1:]], check=True)"
    with devices.another_process(mount, file, tmp_path / "point", before=("unshare", "--mount")):
        assert seen(file)[0].reason is UseReason.MOUNTED


@lab("root", "loop", "mkswap")
def test_a_drive_that_is_swapped_to_is_in_use(tmp_path):
    with loop_over(devices.image(tmp_path)) as device, devices.swapped_on(device):
        assert "swap" in reasons(device)


@lab("root", "loop", "mkswap", "addpart")
def test_a_drive_with_a_partition_that_is_swapped_to_is_in_use(tmp_path):
    with (
        loop_over(devices.image(tmp_path)) as device,
        devices.partitioned(device) as part,
        devices.swapped_on(part),
    ):
        assert "swap" in reasons(device)


@lab
def test_an_image_that_is_swapped_to_is_in_use():
    folder = Path(devices.run("mktemp", "-d", "/var/tmp/eraser-swap-XXXXXX"))
    file = folder / "swap"
    try:
        file.write_bytes(bytes(devices.SIZE_BYTES))
        file.chmod(0o600)
        with devices.swapped_on(file):
            assert "swap" in reasons(file)
    finally:
        file.unlink()
        folder.rmdir()


@lab
def test_a_drive_with_a_loop_device_over_it_is_in_use(tmp_path):
    with loop_over(devices.image(tmp_path)) as device, loop_over(device) as upper:
        found = seen(device)
        assert found[0].reason is UseReason.LOOP
        assert str(upper) in found[0].what


@lab("root", "loop", "addpart")
def test_a_drive_with_a_loop_device_over_a_partition_is_in_use(tmp_path):
    with (
        loop_over(devices.image(tmp_path)) as device,
        devices.partitioned(device) as part,
        loop_over(part),
    ):
        assert "loop" in reasons(device)


@lab
def test_an_image_with_a_loop_device_over_it_is_in_use(tmp_path):
    file = devices.image(tmp_path)
    with loop_over(file):
        assert "loop" in reasons(file)
    assert reasons(file) == set()


@lab
def test_two_loop_devices_over_one_file_use_each_other(tmp_path):
    file = devices.image(tmp_path)
    with loop_over(file) as one, loop_over(file) as other:
        assert "loop" in reasons(one)
        assert "loop" in reasons(other)


@lab("root", "loop", "mkfs.ext4")
def test_a_loop_device_over_a_loop_device_that_is_mounted_is_in_use(tmp_path):
    with (
        loop_over(devices.image(tmp_path)) as lower,
        devices.mounted(lower, tmp_path / "mount"),
        loop_over(lower, "--read-only") as upper,
    ):
        assert "mounted" in reasons(upper)


@lab
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_EXCL])
def test_a_drive_that_another_process_has_open_is_in_use(tmp_path, flags):
    with loop_over(devices.image(tmp_path)) as device, devices.opened_by_another(device, flags) as process:
        found = seen(device)
        assert {use.reason for use in found} == {UseReason.OPEN}
        assert any(f"process {process.pid}" in use.what for use in found)


@lab("root", "loop", "addpart")
def test_a_drive_of_which_another_process_has_a_partition_open_is_in_use(tmp_path):
    with (
        loop_over(devices.image(tmp_path)) as device,
        devices.partitioned(device) as part,
        devices.opened_by_another(part),
    ):
        assert reasons(device) == {"open"}


@lab
def test_a_drive_opened_through_a_node_of_another_name_is_in_use(tmp_path):
    with loop_over(devices.image(tmp_path)) as device:
        number = device.stat().st_rdev
        os.mknod(tmp_path / "node", 0o600 | 0o060000, number)
        with devices.opened_by_another(tmp_path / "node"):
            assert reasons(device) == {"open"}


@lab
def test_a_drive_that_another_process_has_mapped_is_in_use(tmp_path):
    mapping = "import mmap; fd = os.open(sys.argv[1], os.O_RDONLY); m = mmap.mmap(fd, 4096, prot=1)"
    with loop_over(devices.image(tmp_path)) as device:
        # mmap.mmap keeps a copy of the descriptor: all are closed, and the mapping stays.
        code = f"{mapping}; os.closerange(3, 64)"
        with devices.another_process(code, device):
            found = seen(device)
        assert {use.reason for use in found} == {UseReason.OPEN}
        assert "mapped" in found[0].what


@lab
def test_a_thread_that_outlives_its_process_is_seen(tmp_path):
    code = (
        "import threading, ctypes\n"
        "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
        "main = threading.main_thread()\n"
        "def wait():\n"
        "    while open(f'/proc/{os.getpid()}/stat').read().rpartition(')')[2].split()[0] != 'Z': pass\n"
        "    print('ready', flush=True); sys.stdin.read(); os._exit(0)\n"
        "threading.Thread(target=wait).start()\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    with loop_over(devices.image(tmp_path)) as device, devices.another_process(code, device):
        assert reasons(device) == {"open"}


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR])
def test_an_image_that_another_process_has_open_is_in_use(tmp_path, flags):
    file = devices.image(tmp_path)
    with devices.opened_by_another(file, flags) as process:
        found = seen(file)
        assert found[0].reason is UseReason.OPEN
        assert any(f"process {process.pid}" in use.what for use in found)


@lab
def test_drives_that_are_looked_at_together_share_pictures_and_each_sees_its_own_users(tmp_path, monkeypatch):
    taken = []
    monkeypatch.setattr("eraser.drives.picture.all_held", lambda *given: taken.append(None) or all_held(*given))
    with ExitStack() as stack:
        names = [f"drive-{number}" for number in range(8)]
        found = [stack.enter_context(loop_over(devices.image(tmp_path, name))) for name in names]
        process = stack.enter_context(devices.opened_by_another(found[3]))
        drives = [identify(device) for device in found]
        with ThreadPoolExecutor(len(drives)) as pool:
            answers = list(pool.map(uses, drives))
    names_it = [any(f"process {process.pid})" in use.what for use in answer) for answer in answers]
    assert names_it == [number == 3 for number in range(8)]
    assert len(taken) < len(drives)


def test_an_image_that_another_process_has_mapped_is_in_use(tmp_path):
    file = devices.image(tmp_path)
    code = "import mmap; fd = os.open(sys.argv[1], 2); m = mmap.mmap(fd, 4096); os.closerange(3, 64)"
    with devices.another_process(code, file):
        assert reasons(file) == {"open"}


@lab
def test_a_loop_drive_whose_file_another_process_may_write_is_in_use(tmp_path):
    file = devices.image(tmp_path)
    with loop_over(file) as device:
        with devices.opened_by_another(file, os.O_RDWR):
            assert reasons(device) == {"open"}
        with devices.opened_by_another(file, os.O_RDONLY):
            assert reasons(device) == set()


@lab("root", "loop", "mkfs.btrfs")
def test_every_member_of_a_mounted_btrfs_is_in_use(tmp_path):
    files = [devices.image(tmp_path, name, 128 << 20) for name in ("one", "two")]
    with loop_over(files[0]) as one, loop_over(files[1]) as two:
        devices.run("mkfs.btrfs", "-q", "-f", "-d", "single", "-m", "raid1", one, two)
        (tmp_path / "mount").mkdir()
        devices.run("mount", "-o", f"device={one},device={two}", one, tmp_path / "mount")
        try:
            assert {"mounted", "btrfs-member"} <= reasons(one)
            assert {"mounted", "btrfs-member"} <= reasons(two)
        finally:
            devices.run("umount", tmp_path / "mount")


@lab("root", "loop", "setpriv")
def test_without_root_what_cannot_be_seen_counts_as_in_use(tmp_path):
    with loop_over(devices.image(tmp_path)) as device:
        device.chmod(0o666)
        try:
            assert "unknown-use" in as_nobody(device)
        finally:
            device.chmod(0o660)


@lab("root", "loop", "setpriv")
def test_without_root_an_image_of_ones_own_is_proved_free_by_a_lease(tmp_path):
    file = nobodys(devices.image(nobodys(Path(devices.run("mktemp", "-d", "/var/tmp/eraser-nobody-XXXXXX")))))
    try:
        assert as_nobody(file) == []
        with devices.opened_by_another(file):
            assert as_nobody(file) == ["unknown-use"]
        with loop_over(file):
            assert "unknown-use" in as_nobody(file) or "loop" in as_nobody(file)
    finally:
        file.unlink()
        file.parent.rmdir()


def nobodys(path: Path) -> Path:
    os.chown(path, 65534, 65534)
    return path


def as_nobody(path: Path) -> list[str]:
    """The reasons that a user without rights gets. In a forked child: nobody need be able to read our installation."""
    script = (
        "import sys, os\n"
        "from eraser.drives import guard, discovery, commands, identity, claim\n"
        "os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)\n"
        "print(*[use.reason.value for use in guard.uses(discovery.identify(sys.argv[1]))])\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def test_a_partition_on_a_raid_on_a_partition_leads_down_to_its_disks(tmp_path):
    host = host_in(tmp_path)
    disk = add_disk(host, "sda", "pci/ata1/host0/0:0:0:0", {}, number="8:0")
    part = add_partition(host, disk, "sda2", "8:2")
    raid = add_disk(host, "md0", "virtual", {}, number="9:0")
    write(raid.directory, {"slaves/.keep": ""})
    (raid.directory / "slaves/.keep").unlink()
    (raid.directory / "slaves/sda2").symlink_to(part.directory)
    top = add_partition(host, raid, "md0p1", "259:1")
    stack = Stack(host)
    assert BlockNumber(8, 0) in stack.beneath({top.number})
    assert top.number in stack.above({BlockNumber(8, 0)})


def test_a_mount_of_an_anonymous_number_leads_to_all_members_of_its_btrfs(tmp_path):
    host = host_in(tmp_path)
    for index, name in enumerate(("sda", "sdb")):
        disk = add_disk(host, name, f"pci/ata{index}/host{index}/0:0:0:0", {}, number=f"8:{index * 16}")
        members = host.sys / "fs/btrfs/1234/devices"
        members.mkdir(parents=True, exist_ok=True)
        (members / name).symlink_to(disk.directory)
    assert set(Stack(host).btrfs_members) == {BlockNumber(8, 0), BlockNumber(8, 16)}


def test_mountinfo_is_read_with_its_escapes_and_further_devices():
    line = r"36 35 8:1 / /mnt/a\040b rw,noatime shared:1 - xfs /dev/sda1 rw,logdev=/dev/sdb1,noquota"
    (mount,) = parse_mountinfo(line)
    assert mount == Mount("/mnt/a b", "xfs", BlockNumber(8, 1), "/dev/sda1", ("/dev/sdb1",))


def test_the_layers_of_an_overlay_at_the_root_are_found():
    line = "1 0 0:30 / / rw - overlay overlay rw,lowerdir=/ro:/base,upperdir=/rw/up,workdir=/rw/work"
    assert overlay_folders(line) == ["/ro", "/base", "/rw/up"]


def test_paths_below_a_server_that_may_hang_are_told_from_others():
    mounts = [
        Mount("/", "nfs4", BlockNumber(0, 30), "server:/"),
        Mount("/dev", "devtmpfs", BlockNumber(0, 6), "dev"),
        Mount("/mnt/f", "fuse.lab", BlockNumber(0, 40), "lab"),
    ]
    places = HangingPlaces(mounts)
    assert "/home/x" in places
    assert "/mnt/f/drive" in places
    assert "/dev/sda" not in places
    assert "/mnt/f" not in HangingPlaces([mounts[1]])


def test_a_killed_opener_that_is_still_there_is_an_unfinished_io(tmp_path, monkeypatch):
    monkeypatch.setattr("eraser.drives.processes._was_killed", lambda base: True)
    file = devices.image(tmp_path)
    with devices.opened_by_another(file):
        found = seen(file)
    assert found[0].reason is UseReason.HELD_BY_UNFINISHED_IO
    assert "power-cycle" in found[0].remedy


def test_a_passing_opener_is_waited_for_and_a_mount_is_not():
    opened, mount = (GuardUse(reason, "", "") for reason in (UseReason.OPEN, UseReason.MOUNTED))
    answers = [(opened,), (opened,), ()]
    assert settled(lambda: answers.pop(0), 60) == ()
    assert settled(lambda: (mount, opened), 60) == (mount, opened)
    assert settled(lambda: (opened,), 0) == (opened,)


@pytest.mark.serial
def test_the_guard_takes_less_than_a_tenth_of_a_second_of_processor_time(tmp_path):
    drive = identify(devices.image(tmp_path))
    with devices.opened_by_another(Path(drive.path)):
        began = time.process_time()
        uses(drive)
        assert time.process_time() - began < 0.1
