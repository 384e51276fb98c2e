"""The honest drives, the ways to be in use, speed limits and hot-plug: made, seen by the kernel, and gone again."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.lab import (
    MARKER,
    LabError,
    Need,
    count_marker,
    fill_with_marker,
    held_open,
    image_drive,
    loop_drive,
    loop_over,
    mapped,
    mounted,
    mounted_elsewhere,
    partitioned,
    read_all,
    require,
    swap_on,
    throttled,
    zram_drive,
)
from tests.lab.direct import opened
from tests.lab.loop import is_attached, openers
from tests.lab.requirements import missing

MIB = 1 << 20


def test_the_marker_is_counted_at_any_alignment_and_across_chunks(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"x" * (4 * MIB - 10) + MARKER * 3 + b"y" + MARKER[:-1] + b"z" * (4 * MIB) + MARKER)
    assert count_marker(image) == 4


def test_a_marker_is_not_seen_twice_where_chunks_meet(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(8 * MIB + 1000))
    fill_with_marker(image, 8 * MIB)
    assert count_marker(image) == 8 * MIB // len(MARKER)
    assert read_all(image) == MARKER * (8 * MIB // len(MARKER)) + bytes(1000)


def test_an_image_may_end_in_the_middle_of_a_marker() -> None:
    with image_drive(5 * MIB + 100) as image:
        assert image.stat().st_size == 5 * MIB + 100
        assert read_all(image).endswith(MARKER + MARKER[:36])
    assert not image.exists()


@pytest.mark.lab
@pytest.mark.parametrize("sector_bytes", [512, 4096])
def test_a_loop_drive_has_its_sector_size_and_odd_size_and_is_gone_afterwards(sector_bytes: int) -> None:
    size = MIB + 3 * sector_bytes
    with loop_drive(size, sector_bytes=sector_bytes) as drive:
        assert drive.sysfs("loop/dio") == "1"
        assert drive.sysfs("queue/logical_block_size") == str(sector_bytes)
        assert int(drive.sysfs("size")) * 512 == drive.size_bytes == size
        assert count_marker(drive.device) == size // len(MARKER)
        device_path = drive.device
        assert is_attached(device_path, drive.backing)
        with opened(drive.device) as device:
            device.write(0, bytes(sector_bytes))
        assert drive.backing.read_bytes()[:sector_bytes] == bytes(sector_bytes)
    assert not is_attached(device_path, drive.backing)
    assert not drive.backing.exists()


@pytest.mark.lab
def test_a_replugged_drive_keeps_its_content_and_is_seen_as_a_new_one() -> None:
    with loop_drive(MIB) as drive:
        before = drive.sysfs("diskseq")
        drive.unplug()
        with pytest.raises(LabError):
            _ = drive.device
        drive.plug_in()
        assert drive.sysfs("diskseq") != before
        assert count_marker(drive.device) == MIB // len(MARKER)


@pytest.mark.lab
def test_a_drive_of_half_a_sector_is_refused() -> None:
    with pytest.raises(ValueError, match="no whole number"), loop_drive(MIB + 512, sector_bytes=4096):
        pass


@pytest.mark.lab("root", "loop", "mkfs.ext4")
def test_a_mounted_drive_is_listed_and_does_not_change() -> None:
    with loop_drive(8 * MIB) as drive:
        with mounted(drive.device) as folder:
            assert f"{drive.device} {folder} ext4 ro" in Path("/proc/self/mounts").read_text()
            content = read_all(drive.device)
            assert list(folder.iterdir())
        assert read_all(drive.device) == content
        assert str(drive.device) not in Path("/proc/self/mounts").read_text()


@pytest.mark.lab("root", "loop", "mkfs.ext4", "unshare")
def test_a_drive_mounted_in_another_namespace_is_listed_only_there() -> None:
    with loop_drive(8 * MIB) as drive, mounted_elsewhere(drive.device) as pid:
        assert str(drive.device) not in Path("/proc/self/mounts").read_text()
        assert str(drive.device) in Path(f"/proc/{pid}/mounts").read_text()
        with pytest.raises(OSError, match="busy"):
            os.open(drive.device, os.O_RDWR | os.O_EXCL)


@pytest.mark.lab("root", "loop", "swapon")
def test_a_drive_can_be_swap() -> None:
    with loop_drive(MIB) as drive:
        with swap_on(drive.device):
            assert str(drive.device) in Path("/proc/swaps").read_text()
        assert str(drive.device) not in Path("/proc/swaps").read_text()


@pytest.mark.lab("root", "loop", "partx")
@pytest.mark.parametrize("sector_bytes", [512, 4096])
def test_a_partition_is_a_device_of_its_own_and_can_be_mounted(sector_bytes: int) -> None:
    with loop_drive(24 * MIB, sector_bytes=sector_bytes) as drive:
        with partitioned(drive.device, first_sector=MIB // sector_bytes) as partition:
            assert (Path("/sys/block") / drive.name / partition.name / "start").read_text().strip() == "2048"
            with mounted(partition):
                assert str(partition) in Path("/proc/self/mounts").read_text()
        assert not partition.exists()


@pytest.mark.lab
def test_a_loop_device_over_another_is_not_noticed_by_an_exclusive_open() -> None:
    with loop_drive(MIB) as drive:
        with loop_over(drive.device) as upper:
            assert count_marker(upper) == MIB // len(MARKER)
            os.close(os.open(drive.device, os.O_RDWR | os.O_EXCL))
        assert not is_attached(upper, drive.device)


@pytest.mark.lab
def test_a_drive_held_open_by_another_process_shows_in_its_descriptors() -> None:
    with loop_drive(MIB) as drive, held_open(drive.device, os.O_RDWR | os.O_EXCL) as pid:
        assert pid in openers(drive.device)
        with pytest.raises(OSError, match="busy"):
            os.open(drive.device, os.O_RDWR | os.O_EXCL)


@pytest.mark.lab
def test_a_mapped_drive_has_a_holder_where_the_kernel_can() -> None:
    require(Need.DEVICE_MAPPER)
    with loop_drive(MIB) as drive, mapped(drive.device) as upper:
        assert list((Path("/sys/block") / drive.name / "holders").iterdir())
        assert count_marker(upper) == MIB // len(MARKER)


@pytest.mark.lab
def test_a_throttled_drive_is_slow_for_those_placed_under_it_only_until_the_limit_is_raised() -> None:
    with loop_drive(8 * MIB) as drive, throttled(drive.device, MIB // 8) as throttle:
        copy = ["dd", f"if={drive.device}", "of=/dev/null", "iflag=direct", "bs=256k", "status=none"]
        with subprocess.Popen(throttle.command(copy)) as placed:
            subprocess.run(copy, check=True, timeout=30)
            assert placed.poll() is None  # it would take a minute
            throttle.limit(1024 * MIB)
            assert placed.wait(timeout=30) == 0
    assert not throttle.group.exists()


@pytest.mark.lab
def test_a_throttled_drive_takes_the_time_that_its_limit_asks() -> None:
    with loop_drive(8 * MIB) as drive, throttled(drive.device, 16 * MIB) as throttle:
        copy = ["dd", f"if={drive.device}", "of=/dev/null", "iflag=direct", "bs=256k", "status=none"]
        started_s = time.monotonic()
        subprocess.run(throttle.command(copy), check=True)
        assert time.monotonic() - started_s > 0.3


@pytest.mark.lab("root")
def test_a_zram_drive_appears_and_disappears() -> None:
    with zram_drive(4 * MIB) as drive:
        assert read_all(drive.device) == bytes(4 * MIB)
        with opened(drive.device) as device:
            device.write(0, MARKER * 64)
        assert count_marker(drive.device) == 64
        drive.pull()
        assert not drive.device.exists()
    assert not (Path("/sys/block") / drive.name).exists()


def test_what_this_machine_lacks_is_named() -> None:
    for need in Need:
        reason = missing(need)
        assert reason is None or len(reason.split()) > 2
