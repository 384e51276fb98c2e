"""Each bad drive does what it says, seen through its real block device by plain system calls."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import monotonic

import pytest

from tests.lab import (
    LAST_SECTOR,
    AnswersZeros,
    BadSectors,
    Behaviour,
    DropsWrites,
    FailsFrom,
    FlipsBit,
    FuseDrive,
    Hangs,
    Kind,
    LateWrites,
    NotWhole,
    On,
    OneSectorPer,
    RepeatsPreviousBlock,
    Request,
    RevertsAfterFlush,
    RevertsAfterReplug,
    Sectors,
    ShortTransfers,
    Slow,
    Span,
    StaleReads,
    WrapsAt,
    WritesBeside,
    count_marker,
    failing_flush,
    fuse_drive,
    passes,
    read_all,
    vanishes_at,
    wait_until,
)
from tests.lab.direct import DirectIO, opened

pytestmark = pytest.mark.lab("root", "loop", "fuse")

SIZE = 1 << 20
BLOCK = 64 << 10
OLD = random.Random(1).randbytes(64)
NEW = random.Random(2).randbytes(SIZE)


def write_whole(drive: DirectIO, data: bytes = NEW) -> None:
    """Write the whole drive, block by block."""
    for offset in range(0, len(data), BLOCK):
        assert drive.write(offset, data[offset : offset + BLOCK]) == BLOCK


def errno_of(request: Callable[[], object]) -> int:
    """The error with which `request` fails."""
    with pytest.raises(OSError) as failure:
        request()
    assert failure.value.errno is not None
    return failure.value.errno


@dataclass
class Seen:
    """A drive after a whole write and a flush: what a reader is told, and what is really there."""

    told: bytes
    medium: bytes


def after_writing(*behaviours: Behaviour) -> Seen:
    """Write NEW over a drive full of OLD and look at it."""
    with fuse_drive(SIZE, *behaviours, fill=OLD) as drive:
        with opened(drive.device) as device:
            write_whole(device)
            device.flush()
        return Seen(read_all(drive.device), drive.medium.read_bytes())


WAS = OLD * (SIZE // len(OLD))


def mixed(old_at: Callable[[int], bool], *, sector: int = 512) -> bytes:
    """NEW, but WAS in the sectors where `old_at(number)`."""
    return b"".join(
        (WAS if old_at(number) else NEW)[number * sector : (number + 1) * sector] for number in range(SIZE // sector)
    )


@pytest.mark.parametrize("sector_bytes", [512, 4096])
def test_an_honest_drive_keeps_what_it_is_given_and_has_its_sector_size(sector_bytes: int) -> None:
    with fuse_drive(SIZE, sector_bytes=sector_bytes) as drive:
        assert drive.sysfs("queue/logical_block_size") == str(sector_bytes)
        assert drive.sysfs("loop/dio") == "1"
        assert count_marker(drive.device) == SIZE // 64
        with opened(drive.device) as device:
            write_whole(device)
        assert read_all(drive.device) == NEW == drive.medium.read_bytes()
        assert count_marker(drive.device) == 0


def test_a_drive_may_have_any_whole_number_of_sectors() -> None:
    with fuse_drive(SIZE + 3 * 512) as drive:
        assert int(drive.sysfs("size")) * 512 == SIZE + 3 * 512
        assert count_marker(drive.device) == SIZE // 64 + 3 * 512 // 64


def test_a_flush_reaches_the_drive_unless_the_kernel_assumes_write_through() -> None:
    with fuse_drive(SIZE) as drive, opened(drive.device) as device:
        at_first = drive.counts.flushes
        device.flush()
        assert drive.counts.flushes == at_first + 1
        drive.assume_write_through()
        device.flush()
        assert drive.counts.flushes == at_first + 1


# Faults


@pytest.mark.parametrize(("on", "reads_fail", "writes_fail"), [
    (On.READ, True, False), (On.WRITE, False, True), (On.TRANSFER, True, True),
])  # fmt: skip
@pytest.mark.parametrize("sector_bytes", [512, 4096])
def test_bad_sectors_fail_and_their_neighbours_do_not(
    sector_bytes: int, on: On, reads_fail: bool, writes_fail: bool
) -> None:
    bad = BadSectors(Sectors((5,)), on)
    at = 5 * sector_bytes
    with fuse_drive(SIZE, bad, sector_bytes=sector_bytes) as drive, opened(drive.device) as device:
        for offset in (at - sector_bytes, at + sector_bytes):
            assert len(device.read(offset, sector_bytes)) == sector_bytes
            assert device.write(offset, bytes(sector_bytes)) == sector_bytes
        for offset, size in ((at, sector_bytes), (0, BLOCK)):
            if reads_fail:
                assert errno_of(partial(device.read, offset, size)) == errno.EIO
            else:
                device.read(offset, size)
            if writes_fail:
                assert errno_of(partial(device.write, offset, bytes(size))) == errno.EIO
            else:
                device.write(offset, bytes(size))


def test_bad_sectors_may_recover_after_some_tries() -> None:
    with fuse_drive(SIZE, BadSectors(Sectors((5,)), tries=2)) as drive, opened(drive.device) as device:
        for _ in range(2):
            assert errno_of(lambda: device.read(5 * 512, 512)) == errno.EIO
        assert len(device.read(5 * 512, 512)) == 512


def test_a_vanishing_drive_answers_nothing_from_that_access_on() -> None:
    with fuse_drive(SIZE) as drive, opened(drive.device) as device:
        drive.become(vanishes_at(3))
        device.read(0, 512)
        device.write(0, bytes(512))
        errors = {errno_of(lambda: device.read(0, 512)), errno_of(lambda: device.write(0, bytes(512)))}
        assert errors <= {errno.ENODEV, errno.EIO}
        assert errno_of(device.flush) in (errno.ENODEV, errno.EIO)


def test_a_full_drive_says_so() -> None:
    with fuse_drive(SIZE, FailsFrom(1, On.WRITE, errno.ENOSPC)) as drive, opened(drive.device) as device:
        assert errno_of(lambda: device.write(0, bytes(512))) == errno.ENOSPC
        assert len(device.read(0, 512)) == 512


def test_a_failing_flush_fails_only_the_flush() -> None:
    with fuse_drive(SIZE) as drive, opened(drive.device) as device:
        drive.become(failing_flush(2))
        device.write(0, bytes(512))
        device.flush()
        assert errno_of(device.flush) == errno.EIO
        device.write(0, bytes(512))


def test_short_reads_are_completed_by_the_kernel() -> None:
    with fuse_drive(SIZE, ShortTransfers(4096, On.READ), fill=OLD) as drive, opened(drive.device) as device:
        assert device.read(0, BLOCK) == WAS[:BLOCK]
        assert drive.counts.reads >= BLOCK // 4096


def test_short_writes_do_not_pass_for_whole_ones() -> None:
    with fuse_drive(SIZE, ShortTransfers(4096, On.WRITE), fill=OLD) as drive, opened(drive.device) as device:
        assert errno_of(lambda: device.write(0, NEW[:BLOCK])) == errno.EIO


# Lies


@pytest.mark.parametrize(
    ("behaviour", "told", "medium"),
    [
        pytest.param(DropsWrites(), WAS, WAS, id="drops writes"),
        pytest.param(DropsWrites(LAST_SECTOR), *[mixed(lambda n: n == SIZE // 512 - 1)] * 2, id="drops the last"),
        pytest.param(DropsWrites(Span(1024, 4096)), *[mixed(lambda n: 2 <= n < 8)] * 2, id="drops a range"),
        pytest.param(
            DropsWrites(OneSectorPer(BLOCK, nth=3)), *[mixed(lambda n: n % 128 == 3)] * 2, id="drops some"
        ),
        pytest.param(StaleReads(), WAS, NEW, id="stale reads"),
        pytest.param(AnswersZeros(), bytes(SIZE), WAS, id="answers zeros"),
        pytest.param(WrapsAt(), NEW[SIZE // 2 :] * 2, NEW[SIZE // 2 :] + WAS[SIZE // 2 :], id="wraps at half"),
        pytest.param(RevertsAfterFlush(), WAS, WAS, id="reverts after a flush"),
        pytest.param(LateWrites(2), *[NEW[: -2 * BLOCK] + WAS[-2 * BLOCK :]] * 2, id="late writes"),
        pytest.param(
            LateWrites(2, reads_see_them=True), NEW, NEW[: -2 * BLOCK] + WAS[-2 * BLOCK :], id="late writes, seen"
        ),
        pytest.param(
            FlipsBit(700, bit=3), NEW[:700] + bytes([NEW[700] ^ 8]) + NEW[701:], NEW, id="flips a bit on reading"
        ),
        pytest.param(
            FlipsBit(700, bit=3, on=On.WRITE), *[NEW[:700] + bytes([NEW[700] ^ 8]) + NEW[701:]] * 2,
            id="flips a bit on writing",
        ),
        pytest.param(WritesBeside(), *[NEW[-512:] + NEW[:-512]] * 2, id="writes beside"),
        pytest.param(
            WritesBeside(Span(1024, 1536)), *[NEW[:1024] + WAS[1024:1536] + NEW[1536:]] * 2, id="writes one beside",
        ),
        pytest.param(
            RepeatsPreviousBlock(Span(1024, 1536)), *[NEW[:1024] + NEW[512:1024] + NEW[1536:]] * 2, id="repeats"
        ),
    ],
)  # fmt: skip
def test_each_lie_is_told_as_described(behaviour: Behaviour, told: bytes, medium: bytes) -> None:
    seen = after_writing(behaviour)
    assert seen.told == told
    assert seen.medium == medium


def test_stale_reads_are_one_write_behind() -> None:
    with fuse_drive(SIZE, StaleReads(), fill=OLD) as drive, opened(drive.device) as device:
        write_whole(device)
        assert device.read(BLOCK, BLOCK) == WAS[:BLOCK]
        write_whole(device, NEW[::-1])
        assert device.read(BLOCK, BLOCK) == NEW[BLOCK : 2 * BLOCK]


def test_a_drive_that_reverts_when_replugged_is_honest_until_then() -> None:
    with fuse_drive(SIZE, RevertsAfterReplug(), fill=OLD) as drive:
        before = drive.sysfs("diskseq")
        with opened(drive.device) as device:
            write_whole(device)
            device.flush()
        assert read_all(drive.device) == NEW
        drive.replug()
        assert read_all(drive.device) == WAS
        assert drive.sysfs("diskseq") != before


def test_late_writes_are_lost_when_the_drive_is_pulled() -> None:
    with fuse_drive(SIZE, LateWrites(1, reads_see_them=True), fill=OLD) as drive:
        with opened(drive.device) as device:
            write_whole(device)
            device.flush()
        drive.replug()
        assert read_all(drive.device) == NEW[:-BLOCK] + WAS[-BLOCK:]


def test_behaviours_stack_and_change_while_the_drive_is_open() -> None:
    layers = (BadSectors(Sectors((0,)), On.READ), DropsWrites(LAST_SECTOR))
    with fuse_drive(SIZE, *layers, fill=OLD) as drive, opened(drive.device) as device:
        write_whole(device)
        assert errno_of(lambda: device.read(0, 512)) == errno.EIO
        drive.become()
        assert device.read(0, 512) == NEW[:512]
        assert device.read(SIZE - 512, 512) == WAS[-512:]


# Time


def hanging(device: Path, action: str, flags: int = os.O_RDWR | os.O_DIRECT) -> subprocess.Popen[bytes]:
    """A process that does one thing to the drive: `read`, `write` or `flush`."""
    script = (
        f"import mmap, os, sys; fd = os.open(sys.argv[1], {flags}); b = mmap.mmap(-1, 4096);"
        "{'read': lambda: os.preadv(fd, [b], 0), 'write': lambda: os.pwritev(fd, [b], 0),"
        " 'flush': lambda: os.fsync(fd)}[sys.argv[2]]()"
    )
    return subprocess.Popen([sys.executable, "-S", "-c", script, str(device), action], stderr=subprocess.DEVNULL)


@pytest.mark.parametrize(("action", "on"), [("read", On.READ), ("write", On.WRITE), ("flush", On.FLUSH)])
def test_a_hanging_request_waits_until_it_is_released(action: str, on: On) -> None:
    with fuse_drive(SIZE) as drive:
        drive.become(Hangs(on))
        # Not in a `with` of its own: should this fail, the drive must be taken down before the process can end.
        process = hanging(drive.device, action)
        drive.wait_for(lambda counts: counts.held == 1, f"the {action} to hang")
        assert process.poll() is None
        drive.release()
        assert process.wait(timeout=10) == 0
        assert drive.counts.held == 0


@pytest.mark.parametrize(("action", "on"), [("read", On.READ), ("write", On.WRITE), ("flush", On.FLUSH)])
def test_a_hanging_drive_can_always_be_taken_down(action: str, on: On) -> None:
    with fuse_drive(SIZE) as drive:
        drive.become(Hangs(on))
        process = hanging(drive.device, action)
        drive.wait_for(lambda counts: counts.held == 1, f"the {action} to hang")
        process.kill()
        wait_until(lambda: " D " in Path(f"/proc/{process.pid}/stat").read_text(), "it to be unkillable")
    assert process.wait(timeout=10) == -signal.SIGKILL


def test_a_killed_process_keeps_its_claim_until_its_request_returns() -> None:
    exclusively = os.O_RDWR | os.O_DIRECT | os.O_EXCL
    with fuse_drive(SIZE) as drive:
        drive.become(Hangs(On.WRITE))
        process = hanging(drive.device, "write", exclusively)
        drive.wait_for(lambda counts: counts.held == 1, "the write to hang")
        process.kill()
        assert errno_of(lambda: os.open(drive.device, exclusively)) == errno.EBUSY
        drive.release()
        process.wait(timeout=10)
        os.close(os.open(drive.device, exclusively))


def test_a_drive_can_hang_with_its_whole_queue_full() -> None:
    with fuse_drive(SIZE) as drive:
        drive.become(Hangs(On.TRANSFER))
        processes = [hanging(drive.device, "write") for _ in range(24)]
        drive.wait_for(lambda counts: counts.held == 24, "all writes to hang")
        drive.release()
        assert [process.wait(timeout=10) for process in processes] == [0] * 24


def test_a_killed_drive_fails_what_is_under_way_and_all_that_comes() -> None:
    with fuse_drive(SIZE) as drive, opened(drive.device) as device:
        drive.kill()
        assert errno_of(lambda: device.read(0, 512)) in (errno.EIO, errno.ENODEV)


def test_a_slow_drive_keeps_to_its_speed() -> None:
    with fuse_drive(SIZE, Slow(8 * SIZE)) as drive, opened(drive.device) as device:
        started_s = monotonic()
        write_whole(device)
        assert monotonic() - started_s >= 0.12


# Recording


def test_a_recording_drive_shows_each_pass_whole_in_order_with_its_flush() -> None:
    contents = [NEW, bytes(SIZE), NEW[::-1]]
    with fuse_drive(SIZE, records=True) as drive:
        with opened(drive.device) as device:
            for content in contents:
                write_whole(device, content)
                device.flush()
                device.read(0, BLOCK)
        seen = drive.passes()
        assert [one.content() for one in seen] == contents
        assert all(one.flushed and one.bytes_read_after == BLOCK for one in seen)
        offsets = [write.offset for write in seen[0].writes]
        assert all(first < second for first, second in pairwise(offsets))


def test_a_pass_without_a_flush_or_not_whole_is_not_taken_for_one() -> None:
    whole = [Request(Kind.WRITE, 0, 512), Request(Kind.WRITE, 512, 512)]
    assert [one.flushed for one in passes([*whole, *whole, Request(Kind.FLUSH)], 1024)] == [False, True]
    for broken in (whole[:1], [whole[0], whole[0]], [*whole, whole[1]], [Request(Kind.WRITE, 0, 2048)]):
        with pytest.raises(NotWhole):
            passes(broken, 1024)


def test_a_recording_goes_on_when_the_drive_changes_its_behaviour() -> None:
    with fuse_drive(SIZE, records=True) as drive:
        with opened(drive.device) as device:
            write_whole(device)
            drive.become(Slow(1 << 30))
            device.flush()
            write_whole(device, NEW[::-1])
            device.flush()
        assert [one.content() for one in drive.passes()] == [NEW, NEW[::-1]]


def test_nothing_is_left_when_a_drive_is_taken_down(tmp_path: Path) -> None:
    def left(drive: FuseDrive) -> list[str]:
        folder = str(drive.backing.parent.parent)
        mounts = Path("/proc/self/mounts").read_text()
        backing = []
        for path in Path("/sys/block").glob("loop*/loop/backing_file"):
            with suppress(OSError):  # another test's, detached since it was listed
                backing.append(path.read_text())
        return [text for text in (mounts, *backing) if folder in text] + [folder] * os.path.exists(folder)  # noqa: PTH110

    with pytest.raises(ZeroDivisionError), fuse_drive(SIZE) as drive:
        assert left(drive)
        raise ZeroDivisionError
    assert left(drive) == []
