"""What a path leads to is said with its own error, and what is a drive is found."""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from eraser.domain.drive import Condition, SerialSource, Transport, is_recognisable, same_drive
from eraser.drives.commands import KernelCourier, NoAnswer
from eraser.drives.discovery import LIVE, identify, list_drives
from eraser.drives.loops import backing, backing_without_opening
from eraser.drives.numbers import BlockNumber
from eraser.errors import Refused, UsageError
from tests.drives import devices
from tests.drives.trees import host_in
from tests.lab.loop import loop_over

lab = pytest.mark.lab


@pytest.mark.parametrize(
    ("path", "word"), [("/dev/null", "character device"), ("/", "directory"), ("/nowhere", "No such file")]
)
def test_what_is_no_drive_is_said_to_be_what_it_is(path, word):
    with pytest.raises(UsageError, match=word) as error:
        identify(path)
    assert error.value.remedy


def test_a_pipe_is_no_drive(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="pipe"):
        identify(tmp_path / "pipe")


def test_an_empty_file_is_refused(tmp_path):
    with pytest.raises(Refused) as refusal:
        identify(devices.image(tmp_path, size_bytes=0))
    assert refusal.value.reason == "zero-capacity"


@pytest.mark.parametrize("path", ["/etc/passwd", "/etc/os-release", "/bin/sh", "/usr/bin/env"])
def test_a_file_of_the_running_system_is_no_image(path):
    with pytest.raises(Refused, match="running system") as refusal:
        identify(path)
    assert refusal.value.reason == "system-file"


def test_a_regular_file_among_the_device_nodes_is_no_image(tmp_path):
    host = host_in(tmp_path)
    (host.dev / "sdx").write_bytes(bytes(4096))
    with pytest.raises(Refused) as refusal:
        identify(host.dev / "sdx", host)
    assert refusal.value.reason == "file-in-dev"


def test_an_image_in_shared_memory_is_one():
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        file.write(bytes(4096))
        file.flush()
        assert identify(file.name).transport is Transport.IMAGE


@lab("root", "loop", "addpart")
def test_a_partition_is_refused_and_its_disk_named(tmp_path):
    with loop_over(devices.image(tmp_path)) as device, devices.partitioned(device) as part:
        with pytest.raises(Refused, match=f"{device}") as refusal:
            identify(part)
        assert refusal.value.reason == "partition"


@lab
def test_a_loop_drive_and_its_image_differ_in_transport_only(tmp_path):
    file = devices.image(tmp_path)
    through_file = identify(file)
    with loop_over(file) as device:
        through_loop = identify(device)
    assert (through_file.transport, through_loop.transport) == (Transport.IMAGE, Transport.LOOP)
    assert same_drive(replace(through_file, transport=Transport.LOOP), through_loop) == ""
    assert is_recognisable(through_loop)
    with loop_over(file) as again:
        assert same_drive(through_loop, identify(again)) == ""


def test_a_later_file_with_the_number_of_an_image_is_another_drive(tmp_path, monkeypatch):
    # File systems give the numbers of deleted files again.
    monkeypatch.setattr("eraser.drives.numbers.FileNumber.name", "file-1-1")
    first, later = (identify(devices.image(tmp_path, name)) for name in ("first", "later"))
    assert is_recognisable(first)
    assert "serial" in same_drive(first, later)


def test_an_image_without_a_birth_time_is_not_known_again(tmp_path, monkeypatch):
    file = devices.image(tmp_path)
    monkeypatch.setattr("eraser.drives.births._statx", lambda path: None)
    assert not is_recognisable(identify(file))


@lab
def test_a_loop_drive_whose_file_nobody_can_name_any_more_is_not_known_again(tmp_path):
    file = devices.image(tmp_path)
    with loop_over(file) as device:
        file.unlink()
        assert not is_recognisable(identify(device))


@lab
def test_a_loop_drive_over_a_device_is_not_known_again(tmp_path):
    with loop_over(devices.image(tmp_path)) as lower, loop_over(lower) as upper:
        assert not is_recognisable(identify(upper))


@pytest.mark.parametrize("folder", ["/dev/shm", "/var/tmp"])
def test_an_image_is_born_once_on_each_file_system(folder):
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(bytes(4096))
        file.flush()
        first = identify(file.name)
        os.utime(file.name, (0, 0))
        Path(file.name).chmod(0o640)
        assert identify(file.name) == first
        assert is_recognisable(first)


@lab
def test_a_loop_drive_over_a_part_of_a_file_is_another_drive(tmp_path):
    file = devices.image(tmp_path)
    with loop_over(file, "--offset", "1048576") as device:
        assert identify(device).identity.serial != identify(file).identity.serial


@lab
def test_a_loop_drive_has_the_sector_size_it_was_given(tmp_path):
    with loop_over(devices.image(tmp_path), "--sector-size", "4096") as device:
        drive = identify(device)
    assert drive.geometry.logical_sector_bytes == 4096
    assert drive.geometry.capacity_bytes == devices.SIZE_BYTES
    assert drive.identity.serial_source is SerialSource.DRIVE


@lab
def test_a_link_to_a_device_leads_to_the_kernels_own_node(tmp_path):
    with loop_over(devices.image(tmp_path)) as device:
        (tmp_path / "by-id").symlink_to(device)
        assert identify(tmp_path / "by-id").path == str(device)


def test_a_link_to_an_image_leads_to_the_image(tmp_path):
    file = devices.image(tmp_path)
    (tmp_path / "link").symlink_to(file)
    assert identify(tmp_path / "link").path == str(file)


def test_an_image_is_read_only_where_its_permissions_say_so(tmp_path):
    file = devices.image(tmp_path)
    file.chmod(0o444)
    expected = () if os.geteuid() == 0 else (Condition.READ_ONLY,)
    assert identify(file).conditions == expected


@lab
def test_bound_loop_devices_are_listed_and_unbound_ones_are_not(tmp_path):
    with loop_over(devices.image(tmp_path)) as device:
        assert str(device) in [drive.path for drive in list_drives()]
    if LIVE.device(BlockNumber(7, int(device.name.removeprefix("loop")))).integer("size") == 0:
        assert str(device) not in [drive.path for drive in list_drives()]


@lab
def test_what_a_loop_device_shows_is_the_same_asked_of_it_or_of_its_path(tmp_path):
    with loop_over(devices.image(tmp_path)) as path:
        number = path.stat().st_rdev
        device = LIVE.device(BlockNumber(os.major(number), os.minor(number)))
        assert backing(device, LIVE).file == backing_without_opening(device, LIVE).file


@lab
def test_what_a_loop_device_shows_is_asked_of_it_when_its_path_leads_elsewhere(tmp_path):
    file = devices.image(tmp_path)
    inode = file.stat().st_ino
    with loop_over(file) as path:
        number = path.stat().st_rdev
        device = LIVE.device(BlockNumber(os.major(number), os.minor(number)))
        # The kernel still names the path, under which another file is seen now.
        devices.run("mount", "--bind", devices.image(tmp_path, "new", size_bytes=4096), file)
        try:
            assert file.stat().st_ino != inode
            assert backing_without_opening(device, LIVE).file.inode == inode
        finally:
            devices.run("umount", file)


@lab
def test_a_device_that_takes_no_commands_gives_no_answer(tmp_path):
    with loop_over(devices.image(tmp_path)) as path, KernelCourier(str(path)) as courier:
        with pytest.raises(NoAnswer):
            courier.scsi(bytes((0x12, 0, 0, 0, 96, 0)), 96)
        with pytest.raises(NoAnswer):
            courier.nvme_admin(6, 1, 1, 0, 4096)


def test_a_device_that_is_gone_gives_no_answer():
    with KernelCourier("/nowhere") as courier, pytest.raises(NoAnswer):
        courier.scsi(bytes(6), 0)


@pytest.mark.serial
def test_a_drive_that_never_answers_costs_the_deadline_and_no_more(tmp_path, monkeypatch):
    silent = tmp_path / "silent.py"
    silent.write_text("import sys\nfor line in sys.stdin: pass\n")
    monkeypatch.setattr("eraser.drives.commands._MESSENGER", silent)
    began = time.monotonic()
    with KernelCourier("/dev/null", deadline_seconds=0.2) as courier:
        for _ in range(20):
            with pytest.raises(NoAnswer):
                courier.scsi(bytes(6), 0)
    assert time.monotonic() - began < 2


@pytest.mark.serial
def test_a_drive_that_takes_no_commands_is_identified_in_milliseconds(tmp_path):
    file = devices.image(tmp_path)
    began = time.process_time()
    identify(file)
    assert time.process_time() - began < 0.05


def test_importing_loads_nothing_but_the_standard_library():
    script = (
        "import sys\nimport eraser.drives.claim\n"
        "print(*sorted({'numpy', 'pyudev', 'ctypes', 'structlog', 'rich', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""


def test_paths_may_be_text_or_path(tmp_path):
    file = devices.image(tmp_path)
    assert identify(str(file)) == identify(Path(file))
