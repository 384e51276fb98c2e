"""A claim is had on a free, unchanged drive only, and keeps others out while it is held."""

import errno
import fcntl
import os
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from eraser.domain.drive import Identity, SerialSource, same_drive
from eraser.drives.claim import claim
from eraser.drives.discovery import identify
from eraser.drives.guard import settled
from eraser.errors import DriveError, Refused
from tests.drives import devices
from tests.lab.loop import loop_over
from tests.lab.zram import zram_drive

lab = pytest.mark.lab


def refusal_of(drive) -> str:
    with pytest.raises(Refused) as refusal:
        claim(drive, settle_seconds=0.3).close()
    assert refusal.value.remedy
    return refusal.value.reason


@lab
def test_a_claimed_drive_can_be_written_and_neither_mounted_nor_claimed_by_others(tmp_path):
    with loop_over(devices.image(tmp_path)) as device:
        devices.run("mkfs.ext4", "-q", "-F", device)
        drive = identify(device)
        with claim(drive) as held:
            assert os.pwrite(held.fd, bytes(4096), 0) == 4096
            with pytest.raises(OSError, match="busy"):
                os.open(device, os.O_RDWR | os.O_EXCL)
            with pytest.raises(subprocess.CalledProcessError):
                devices.run("mount", device, tmp_path)
            assert settled(held.uses, 1) == ()
            assert refusal_of(drive) == "open"
        claim(drive).close()


@lab
def test_a_drive_that_udev_looks_into_is_waited_for(tmp_path):
    """udev holds a shared lock meanwhile: on each drive that was plugged in, unmounted or written to a moment ago."""
    with loop_over(devices.image(tmp_path)) as device:
        drive = identify(device)
        looking = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert refusal_of(drive) == "open"
        threading.Timer(0.2, os.close, (looking,)).start()
        claim(drive, settle_seconds=30).close()


def test_a_claimed_image_cannot_be_claimed_again(tmp_path):
    drive = identify(devices.image(tmp_path))
    with claim(drive) as held:
        assert refusal_of(drive) == "open"
        assert held.activity() is None
        assert held.uses() == ()
    claim(drive).close()


@lab
def test_a_claimed_image_that_becomes_a_loop_device_is_seen(tmp_path):
    file = devices.image(tmp_path)
    with claim(identify(file)) as held, loop_over(file):
        assert "loop" in {use.reason.value for use in held.uses()}


def test_the_descriptor_waits_for_its_input_and_output(tmp_path):
    with claim(identify(devices.image(tmp_path))) as held:
        assert not fcntl.fcntl(held.fd, fcntl.F_GETFL) & os.O_NONBLOCK
        assert not os.get_inheritable(held.fd)


@lab
def test_a_process_that_inherits_the_claim_can_be_left_out_of_its_uses(tmp_path):
    with loop_over(devices.image(tmp_path)) as device, claim(identify(device)) as held:
        process = subprocess.Popen(["sleep", "60"], pass_fds=[held.fd])
        try:
            assert {use.reason.value for use in held.uses()} == {"open"}
            assert settled(lambda: held.uses(ignoring={process.pid}), 1) == ()
        finally:
            process.kill()
            process.wait()


@lab
@pytest.mark.parametrize(
    "change",
    [
        {"serial": "file-1-1"},
        {"wwn": "5000c500a1b2c3d4"},
        {"model": "another"},
    ],
)
def test_another_drive_than_planned_is_refused(tmp_path, change):
    with loop_over(devices.image(tmp_path)) as device:
        drive = identify(device)
        assert refusal_of(replace(drive, identity=replace(drive.identity, **change))) == "another-drive"


@lab
def test_a_drive_of_another_size_than_planned_is_refused(tmp_path):
    file = devices.image(tmp_path)
    with loop_over(file) as device:
        drive = identify(device)
        os.truncate(file, devices.SIZE_BYTES // 2)
        devices.run("losetup", "--set-capacity", device)
        assert refusal_of(drive) == "another-drive"


@lab
def test_a_drive_that_was_taken_out_and_put_in_again_since_it_was_planned_is_refused(tmp_path):
    file = devices.image(tmp_path)
    with loop_over(file) as device:
        planned = identify(device)
    devices.run("losetup", device, file)
    try:
        assert same_drive(planned, identify(device)) == ""
        assert refusal_of(planned) == "another-drive"
        claim(identify(device)).close()
    finally:
        devices.run("losetup", "--detach", device)


@lab
def test_of_a_drive_with_two_paths_both_are_claimed_or_none(tmp_path):
    with (
        loop_over(devices.image(tmp_path, "one")) as one,
        loop_over(devices.image(tmp_path, "two")) as two,
    ):
        drive = replace(identify(one), other_paths=(str(two),))
        with devices.opened_by_another(two, os.O_RDWR | os.O_EXCL):
            assert refusal_of(drive) == "open"
            claim(identify(one)).close()
        # Both are free now, but the second no longer bears the first's name.
        assert refusal_of(drive) == "another-drive"
        claim(identify(one)).close()
        claim(identify(two)).close()


def test_an_image_that_was_replaced_is_refused(tmp_path):
    drive = identify(devices.image(tmp_path))
    devices.image(tmp_path, "new.img").replace(drive.path)
    assert refusal_of(drive) == "another-drive"


def test_an_image_that_has_gone_is_an_error_with_a_remedy(tmp_path):
    drive = identify(devices.image(tmp_path))
    Path(drive.path).unlink()
    with pytest.raises(DriveError) as error:
        claim(drive)
    assert error.value.remedy


@lab("root", "loop", "mkfs.ext4")
def test_a_mounted_drive_is_not_claimed(tmp_path):
    with loop_over(devices.image(tmp_path)) as device, devices.mounted(device, tmp_path / "mount"):
        assert refusal_of(identify(device)) == "mounted"


@lab("root", "loop", "mkfs.ext4")
def test_a_drive_under_a_mounted_loop_device_is_not_claimed_though_the_kernel_would_grant_it(tmp_path):
    with (
        loop_over(devices.image(tmp_path)) as lower,
        loop_over(lower) as upper,
        devices.mounted(upper, tmp_path / "mount"),
    ):
        # Shows why the guard is needed: the exclusive open does not see it.
        os.close(os.open(lower, os.O_RDONLY | os.O_EXCL))
        assert refusal_of(identify(lower)) == "mounted"


@lab
def test_a_drive_that_another_process_only_reads_is_not_claimed(tmp_path):
    with loop_over(devices.image(tmp_path)) as device, devices.opened_by_another(device):
        assert refusal_of(identify(device)) == "open"


@lab
def test_a_drive_that_is_held_by_nobody_to_be_seen_is_held_by_an_unfinished_io(tmp_path, monkeypatch):
    with loop_over(devices.image(tmp_path)) as device, devices.opened_by_another(device, os.O_RDWR | os.O_EXCL):
        drive = identify(device)
        # As after the death of its process: the kernel holds the claim, /proc shows nobody.
        monkeypatch.setattr("eraser.drives.processes.pids", lambda host: iter(()))
        with pytest.raises(Refused, match="power-cycle") as refusal:
            claim(drive, settle_seconds=0)
        assert refusal.value.reason == "held-by-unfinished-io"


@lab
def test_a_read_only_drive_is_refused(tmp_path):
    with loop_over(devices.image(tmp_path), "--read-only") as device:
        assert refusal_of(identify(device)) == "read-only"


@lab
def test_activity_counts_what_is_written_and_flushed(tmp_path):
    with loop_over(devices.image(tmp_path)) as device, claim(identify(device)) as held:
        before = held.activity()
        os.pwrite(held.fd, bytes(1 << 20), 0)
        os.fsync(held.fd)
        after = held.activity()
        assert after.sectors_written - before.sectors_written == 2048
        assert after.flushes > before.flushes


@lab
def test_a_drive_whose_writes_the_kernel_is_told_not_to_count_is_refused(tmp_path):
    with loop_over(devices.image(tmp_path)) as device:
        switch = Path("/sys/block", device.name, "queue/iostats")
        drive = identify(device)
        switch.write_text("0")
        try:
            with pytest.raises(Refused, match=f"echo 1 > .*{device.name}/queue/iostats") as refusal:
                claim(drive, settle_seconds=0.3).close()
            assert refusal.value.reason == "no-counters"
        finally:
            switch.write_text("1")
        claim(drive).close()


@lab
def test_what_others_wrote_into_the_page_cache_is_counted_once_our_descriptor_is_flushed(tmp_path):
    with loop_over(devices.image(tmp_path)) as device, claim(identify(device)) as held:
        before = held.activity()
        write = "fd = os.open(sys.argv[1], os.O_RDWR); os.pwrite(fd, bytes(1 << 20), 0)"
        with devices.another_process(write, device):
            os.fsync(held.fd)
            assert held.activity().sectors_written - before.sectors_written >= 2048


@lab
def test_flushes_are_unknown_where_the_kernel_is_too_old_to_count_them(tmp_path, monkeypatch):
    with loop_over(devices.image(tmp_path)) as device, claim(identify(device)) as held:
        assert held.activity().flushes is not None
        monkeypatch.setattr("eraser.drives.claim._counters", lambda device, path: list(range(15)))
        assert held.activity().flushes is None


@lab
def test_our_own_transfers_are_no_use_of_the_image_and_others_are(tmp_path):
    with claim(identify(devices.image(tmp_path))) as held:
        code = "fd = os.open(f'/proc/self/fd/{sys.argv[1]}', os.O_RDWR)"
        with devices.another_process(code, str(held.fd), pass_fds=(held.fd,)) as ours:
            assert held.uses(ignoring={ours.pid}) == ()
            with devices.opened_by_another(Path(held.drive.path)):
                assert {use.reason.value for use in held.uses(ignoring={ours.pid})} == {"open"}
        assert held.uses() == ()


@pytest.mark.lab("root")
def test_flushes_of_a_device_without_a_request_queue_are_unknown_and_not_none():
    with zram_drive(16 << 20) as plugged, claim(identify(plugged.device)) as held:
        os.pwrite(held.fd, bytes(1 << 20), 0)
        os.fsync(held.fd)
        assert held.activity().flushes is None
        assert held.activity().sectors_written >= 2048


def test_a_failed_claim_leaves_nothing_open(tmp_path):
    file = devices.image(tmp_path)
    drive = identify(file)
    wrong = replace(drive, identity=Identity("", "x", "y", SerialSource.DRIVE))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        refusal_of(wrong)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_closed_claim_has_no_descriptor(tmp_path):
    held = claim(identify(devices.image(tmp_path)))
    fd = held.fd
    held.close()
    held.close()
    with pytest.raises(OSError) as error:
        os.fstat(fd)
    assert error.value.errno == errno.EBADF
    with pytest.raises(DriveError):
        _ = held.fd


def test_the_boot_is_named(tmp_path):
    with claim(identify(devices.image(tmp_path))) as held:
        assert held.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
