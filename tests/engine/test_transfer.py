"""One pass over an honest drive: every byte sent, every difference found, every order obeyed."""

import asyncio
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import blake3
import pytest

from eraser.domain.evidence import Access, EndReason, Extent, FlushProof
from eraser.domain.pattern import Constant, Pattern
from eraser.engine import transfer as transfer_module
from eraser.engine.transfer import Target, Transfer
from eraser.engine.tuning import AccessLeast, Tuning
from eraser.errors import TransferError
from tests.engine.builders import (
    KIB,
    MIB,
    STREAM,
    ZEROS,
    expected,
    image_target,
    read,
    run,
    start,
    stat_of,
    target_of,
    tuning,
    until_ended,
    write,
)
from tests.lab import MARKER, count_marker, fuse_drive, image_drive, loop_drive, read_all
from tests.lab.loop import scratch_folder

pytestmark = pytest.mark.lab

PATTERNS = [
    pytest.param(ZEROS, id="1 byte"),
    pytest.param(Constant(b"\x92\x49\x24"), id="3 bytes"),
    pytest.param(Constant(bytes(range(256)) + bytes(range(255, -1, -1))), id="512 bytes"),
    pytest.param(Constant(os.urandom(4096)), id="4096 bytes"),
    pytest.param(STREAM, id="aes"),
]
ACCESSES = list(AccessLeast)


class TestWhatIsWritten:
    @pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
    @pytest.mark.parametrize("sector_bytes", [512, 4096])
    @pytest.mark.parametrize("pattern", PATTERNS)
    async def test_is_the_pattern_byte_for_byte_on_a_device(
        self, pattern: Pattern, sector_bytes: int, reverse: bool
    ) -> None:
        size = 3 * MIB + 5 * sector_bytes
        with loop_drive(size, sector_bytes=sector_bytes) as drive, target_of(drive) as target:
            before = stat_of(drive)
            done = await run(target, write(pattern, target, reverse=reverse))
            after = stat_of(drive)
            assert read_all(drive.device) == expected(pattern, size)
            assert count_marker(drive.medium) == 0
        report = done.report
        assert report.end is EndReason.COMPLETED and done.is_gone
        assert report.bytes_done == report.bytes_sent == report.end_position_bytes == size
        assert (report.bad_bytes, report.retries, report.failed_bytes_sent) == (0, 0, 0)
        assert (after.sectors_written - before.sectors_written) * 512 == size
        assert (after.discards, after.sectors_discarded) == (before.discards, before.sectors_discarded)
        assert after.flushes - before.flushes == report.flushes == 1
        assert report.flush_proof is FlushProof.KERNEL_SENT

    @pytest.mark.parametrize("access", ACCESSES)
    @pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
    @pytest.mark.parametrize("size", [1, 512, 4095, 4097, MIB, MIB + 512, 2 * MIB + 64 * KIB + 4096 + 777])
    async def test_is_the_pattern_byte_for_byte_in_an_image_of_any_size(
        self, size: int, reverse: bool, access: AccessLeast
    ) -> None:
        with image_drive(size) as path, image_target(path) as target:
            done = await run(target, write(STREAM, target, reverse=reverse), tuning(access_least=access))
            assert path.read_bytes() == expected(STREAM, size)
            again = await run(target, read(STREAM, target, reverse=reverse), tuning(access_least=access))
        assert done.report.end is again.report.end is EndReason.COMPLETED
        assert done.report.bytes_sent == size and again.report.mismatched_sectors == 0
        assert again.report.bytes_done == size and again.report.bytes_sent == 0

    @pytest.mark.parametrize("access", ACCESSES)
    async def test_is_the_pattern_in_an_image_on_a_file_system_of_a_disk(
        self, access: AccessLeast, tmp_path: Path
    ) -> None:
        path, size = tmp_path / "image", MIB + 4096 + 777
        path.write_bytes(os.urandom(size))
        with image_target(path) as target:
            done = await run(target, write(STREAM, target), tuning(access_least=access))
            again = await run(target, read(STREAM, target), tuning(access_least=access))
        assert read_all(path) == expected(STREAM, size)
        assert done.report.end is again.report.end is EndReason.COMPLETED
        assert again.report.mismatched_sectors == 0

    @pytest.mark.parametrize("access", ACCESSES)
    @pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
    async def test_stays_within_its_ranges_and_begins_at_its_start(self, reverse: bool, access: AccessLeast) -> None:
        size = 2 * MIB
        ranges = (Extent(0, 4096), Extent(12288, MIB), Extent(size - 8192, 8192))
        begin = 4096 if not reverse else 8192
        with loop_drive(size) as drive, target_of(drive) as target:
            what = write(Constant(b"\xff"), target, ranges=ranges, reverse=reverse, start_position_bytes=begin)
            done = await run(target, what, tuning(access_least=access))
            content = read_all(drive.device)
        skipped = ranges[0] if not reverse else ranges[2]
        written = [extent for extent in ranges if extent != skipped]
        for extent in written:
            assert content[extent.offset_bytes : extent.end_bytes] == b"\xff" * extent.length_bytes
        assert content.count(0xFF) == sum(extent.length_bytes for extent in written) == done.report.bytes_sent
        assert done.report.start_position_bytes == begin
        assert done.report.end_position_bytes == sum(extent.length_bytes for extent in ranges)

    @pytest.mark.parametrize("depth", [1, 3, 64])
    @pytest.mark.parametrize("block_bytes", [4096, 12 * KIB, 128 * KIB])
    @pytest.mark.parametrize("access", [AccessLeast.BEST, AccessLeast.PREAD])
    async def test_depends_on_neither_block_nor_depth(self, block_bytes: int, depth: int, access: AccessLeast) -> None:
        size = 2 * MIB + 512
        how = tuning(block_bytes=block_bytes, queue_depth=depth, access_least=access)
        with loop_drive(size) as drive, target_of(drive) as target:
            done = await run(target, write(Constant(b"abc"), target), how)
            assert read_all(drive.device) == expected(Constant(b"abc"), size)
            again = await run(target, read(Constant(b"abc"), target), how)
        assert done.report.end is again.report.end is EndReason.COMPLETED
        assert again.report.mismatched_sectors == 0
        assert (done.report.block_bytes, done.report.queue_depth) == (block_bytes, depth)

    async def test_lands_on_two_drives_at_once_as_on_one(self) -> None:
        size = 8 * MIB
        with loop_drive(size) as one, loop_drive(size) as two, target_of(one) as first, target_of(two) as second:
            async with asyncio.TaskGroup() as group:
                group.create_task(run(first, write(STREAM, first)))
                group.create_task(run(second, write(ZEROS, second)))
            assert read_all(one.device) == expected(STREAM, size)
            assert read_all(two.device) == bytes(size)

    async def test_is_sent_as_writes_of_the_whole_drive_once_and_then_flushed(self) -> None:
        with fuse_drive(MIB, records=True) as drive, target_of(drive) as target:
            await run(target, write(ZEROS, target))
            (only,) = drive.passes()
            assert only.flushed and only.content() == bytes(MIB)


class TestAccess:
    async def test_takes_the_best_there_is(self) -> None:
        with loop_drive(MIB) as drive, target_of(drive) as target:
            done = await run(target, write(ZEROS, target))
        assert done.report.access is Access.URING_DIRECT_REGISTERED

    @pytest.mark.parametrize(
        ("least", "access"),
        [(AccessLeast.PREAD, Access.PREAD_DIRECT), (AccessLeast.BUFFERED, Access.BUFFERED)],
    )
    async def test_is_not_better_than_asked_for(self, least: AccessLeast, access: Access) -> None:
        with loop_drive(MIB) as drive, target_of(drive) as target:
            done = await run(target, write(ZEROS, target), tuning(access_least=least))
            assert read_all(drive.device) == bytes(MIB)
        assert done.report.access is access

    @pytest.mark.parametrize("errno_name", ["EPERM", "ENOSYS"])
    async def test_goes_on_without_io_uring_where_that_is_forbidden(
        self, errno_name: str, launcher: Callable[[str], None]
    ) -> None:
        launcher(without_io_uring(errno_name))
        with loop_drive(MIB) as drive, target_of(drive) as target:
            done = await run(target, write(STREAM, target))
            assert read_all(drive.device) == expected(STREAM, MIB)
        assert done.report.access is Access.PREAD_DIRECT

    # Newer kernels count the queues themselves too, so that a limit of 0 leaves no io_uring at all.
    @pytest.mark.parametrize(
        ("limit", "depth", "allowed"),
        [
            (0, 32, {Access.URING_DIRECT, Access.PREAD_DIRECT}),
            (4 * MIB, 32, {Access.URING_DIRECT}),
            (4 * MIB, 4, {Access.URING_DIRECT_REGISTERED}),
        ],
    )
    async def test_without_root_goes_on_with_what_memory_may_be_locked(
        self, limit: int, depth: int, allowed: set[Access], launcher: Callable[[str], None]
    ) -> None:
        launcher(f'#!/bin/sh\nexec prlimit --memlock={limit} setpriv --reuid 54321 --clear-groups "$REAL" "$@"\n')
        with loop_drive(16 * MIB) as drive, target_of(drive) as target:
            how = tuning(block_bytes=256 * KIB, queue_depth=depth)
            done = await run(target, write(STREAM, target), how)
            assert read_all(drive.device) == expected(STREAM, 16 * MIB)
        assert done.report.end is EndReason.COMPLETED and done.report.access in allowed

    @pytest.mark.parametrize("access", [AccessLeast.PREAD, AccessLeast.BUFFERED])
    async def test_through_the_page_cache_reads_what_the_drive_holds_now(self, access: AccessLeast) -> None:
        with loop_drive(MIB, fill=b"\0") as drive, target_of(drive) as target:
            os.pread(target.fd, MIB, 0)  # zeros are cached
            with drive.medium.open("r+b") as medium:
                medium.seek(300 * KIB)
                medium.write(b"x")
            done = await run(target, read(ZEROS, target), tuning(access_least=access))
        assert done.report.mismatched_sectors == 1
        assert done.report.first_mismatches == (300 * KIB,)


class TestMemory:
    @pytest.mark.parametrize("pattern", [ZEROS, STREAM], ids=["shared block", "block each"])
    @pytest.mark.parametrize("how", [Tuning(), tuning(block_bytes=128 * KIB, queue_depth=64)], ids=["default", "most"])
    async def test_of_a_transfer_is_at_most_8_mib(self, how: Tuning, pattern: Pattern) -> None:
        with loop_drive(16 * MIB) as drive, target_of(drive) as target:
            tuned = replace(how, checkpoint_bytes=12 * MIB)
            transfer = await start(
                target, write(pattern, target), tuned, rate_limit=16 * MIB
            )  # it must not end meanwhile
            try:
                while transfer.snapshot().checkpoints < 1:
                    await transfer.changed(1)
                buffers_kib = status_kib(transfer.pid, "RssAnon") + status_kib(transfer.pid, "VmLck")
                transfer.set_rate_limit(0)
                await until_ended(transfer)
                await transfer.finish()
            finally:
                transfer.close()
        assert buffers_kib <= 8 * KIB + 256  # the hasher, the stack and libc's own


class TestWhatIsRead:
    @pytest.mark.parametrize("access", ACCESSES)
    @pytest.mark.parametrize("pattern", [ZEROS, Constant(b"\x92\x49\x24"), STREAM], ids=["1 byte", "3 bytes", "aes"])
    async def test_differs_exactly_where_it_was_changed(self, pattern: Pattern, access: AccessLeast) -> None:
        size = MIB + 2048
        places = (0, 5 * 512, 64 * KIB - 512, 64 * KIB, size - 512)
        with loop_drive(size) as drive, target_of(drive) as target:
            await run(target, write(pattern, target))
            for place, byte in zip(places, (0, 511, 3, 256, 511), strict=True):
                flip(drive.medium, place + byte)
            forward = await run(target, read(pattern, target), tuning(access_least=access))
            reverse = await run(target, read(pattern, target, reverse=True), tuning(access_least=access))
        for done in (forward, reverse):
            assert done.report.end is EndReason.COMPLETED
            assert done.report.mismatched_sectors == len(places)
            assert tuple(sorted(done.report.first_mismatches)) == places
        assert forward.report.first_mismatches == places

    async def test_differs_in_the_cut_sector_at_the_end_of_an_image(self) -> None:
        size = MIB + 777
        with image_drive(size) as path, image_target(path) as target:
            await run(target, write(STREAM, target))
            flip(path, size - 1)
            done = await run(target, read(STREAM, target))
        assert (done.report.mismatched_sectors, done.report.first_mismatches) == (1, (MIB + 512,))

    async def test_counts_on_when_the_places_are_full(self) -> None:
        with loop_drive(MIB) as drive, target_of(drive) as target:
            done = await run(target, read(ZEROS, target))
        assert done.report.mismatched_sectors == MIB // 512
        assert done.report.first_mismatches == tuple(range(0, 64 * 512, 512))

    @pytest.mark.parametrize("size", [MIB, MIB + 64 * KIB, MIB + 200 * KIB + 777, 100])
    @pytest.mark.parametrize("access", ACCESSES)
    async def test_has_the_hashes_of_the_official_blake3(self, size: int, access: AccessLeast) -> None:
        content, extent = os.urandom(size), 192 * KIB
        with image_drive(size, fill=None) as path, image_target(path) as target:
            path.write_bytes(content)
            done = await run(target, read(None, target, hash_extent_bytes=extent), tuning(access_least=access))
        official = [blake3.blake3(content[at : at + extent]).digest() for at in range(0, size, extent)]
        assert list(done.leaves) == official and done.report.mismatched_sectors == 0


class TestCheckpoints:
    async def test_come_by_bytes_each_with_a_flush_that_the_kernel_sent(self) -> None:
        with loop_drive(8 * MIB) as drive, target_of(drive) as target:
            before = stat_of(drive)
            done = await run(target, write(ZEROS, target), tuning(checkpoint_bytes=MIB))
            assert stat_of(drive).flushes - before.flushes == done.report.flushes
        assert done.report.flushes >= 8

    async def test_come_by_time(self) -> None:
        with loop_drive(4 * MIB) as drive, target_of(drive) as target:
            transfer = await start(target, write(ZEROS, target), tuning(checkpoint_seconds=0.1), rate_limit=4 * MIB)
            began, seen, gaps = time.monotonic(), 0, []
            try:
                while not transfer.has_ended:
                    await transfer.changed(5)
                    now = transfer.snapshot()
                    if now.checkpoints > seen:
                        gaps.append(time.monotonic() - began)
                        began, seen = time.monotonic(), now.checkpoints
                        transfer.acknowledge(seen)
                await transfer.finish()
            finally:
                transfer.close()
        assert seen >= 5 and sorted(gaps)[len(gaps) // 2] < 0.3

    async def test_that_are_not_acknowledged_hold_the_transfer_back(self) -> None:
        with loop_drive(8 * MIB) as drive, target_of(drive) as target:
            before = stat_of(drive)
            transfer = await start(target, write(ZEROS, target), tuning(checkpoint_bytes=MIB))
            try:
                while transfer.snapshot().checkpoints < 2:
                    await transfer.changed(5)
                await self.let_another_drive_be_written()
                assert transfer.snapshot().checkpoints == 2
                assert (stat_of(drive).sectors_written - before.sectors_written) * 512 == 2 * MIB
                transfer.acknowledge(1)
                while transfer.snapshot().checkpoints < 3:
                    await transfer.changed(5)
                await self.let_another_drive_be_written()
                assert transfer.snapshot().position_bytes == 3 * MIB
                await until_ended(transfer)
                report, _ = await transfer.finish()
            finally:
                transfer.close()
        assert report.end is EndReason.COMPLETED and report.bytes_sent == 8 * MIB

    @staticmethod
    async def let_another_drive_be_written() -> None:
        with loop_drive(4 * MIB) as other, target_of(other) as elsewhere:
            await run(elsewhere, write(ZEROS, elsewhere))

    async def test_lie_where_the_drive_was_flushed_when_a_transfer_is_cancelled(self) -> None:
        size = 64 * MIB
        with loop_drive(size) as drive, target_of(drive) as target:
            transfer = await start(target, write(Constant(b"\xff"), target), rate_limit=16 * MIB)
            try:
                while transfer.snapshot().position_bytes < MIB:
                    await transfer.changed(0.01)
                transfer.cancel()
                await until_ended(transfer)
                report, is_gone = await transfer.finish()
                checkpoint = transfer.snapshot().checkpoint_position_bytes
            finally:
                transfer.close()
            content = read_all(drive.device)
        assert report.end is EndReason.CANCELLED and is_gone and report.flushes >= 1
        assert checkpoint == report.end_position_bytes == report.bytes_sent < size
        assert content[:checkpoint] == b"\xff" * checkpoint and b"\xff" not in content[checkpoint:]


class TestOrders:
    @pytest.mark.parametrize("access", [AccessLeast.BEST, AccessLeast.PREAD])
    async def test_to_pause_and_resume_are_obeyed(self, access: AccessLeast) -> None:
        size = 16 * MIB
        with loop_drive(size) as drive, target_of(drive) as target:
            transfer = await start(target, write(STREAM, target), tuning(access_least=access), rate_limit=8 * MIB)
            try:
                while transfer.snapshot().position_bytes < MIB:
                    await transfer.changed(0.01)
                transfer.pause()
                while not transfer.snapshot().is_paused:
                    await transfer.changed(5)
                paused, stat = transfer.snapshot(), stat_of(drive)
                assert paused.in_flight == 0 and paused.checkpoint_position_bytes == paused.position_bytes
                await TestCheckpoints.let_another_drive_be_written()
                assert stat_of(drive) == stat and transfer.snapshot() == paused
                transfer.set_rate_limit(0)
                transfer.resume()
                await until_ended(transfer)
                report, _ = await transfer.finish()
            finally:
                transfer.close()
            assert read_all(drive.device) == expected(STREAM, size)
        assert report.end is EndReason.COMPLETED and report.bytes_sent == size

    async def test_to_cancel_are_obeyed_while_paused(self) -> None:
        with loop_drive(16 * MIB) as drive, target_of(drive) as target:
            transfer = await start(target, write(ZEROS, target), rate_limit=8 * MIB)
            try:
                transfer.pause()
                while not transfer.snapshot().is_paused:
                    await transfer.changed(5)
                transfer.cancel()
                await until_ended(transfer)
                report, is_gone = await transfer.finish()
            finally:
                transfer.close()
        assert report.end is EndReason.CANCELLED and is_gone

    @pytest.mark.serial
    @pytest.mark.parametrize("access", [AccessLeast.BEST, AccessLeast.PREAD])
    async def test_to_keep_a_rate_are_obeyed_within_ten_percent(self, access: AccessLeast) -> None:
        with loop_drive(128 * MIB, fill=None) as drive, target_of(drive) as target:
            transfer = await start(target, write(ZEROS, target), tuning(access_least=access), rate_limit=16 * MIB)
            try:
                slow = await measured_rate(transfer, 12 * MIB)
                transfer.set_rate_limit(48 * MIB)
                fast = await measured_rate(transfer, 36 * MIB)
            finally:
                transfer.close()
        assert slow == pytest.approx(16 * MIB, rel=0.1)
        assert fast == pytest.approx(48 * MIB, rel=0.1)


async def measured_rate(transfer: Transfer, over_bytes: int) -> float:
    """Bytes per second from one change of the position to another, at least so many bytes later."""

    async def next_position(least: int) -> tuple[int, float]:
        while (position := transfer.snapshot().position_bytes) < least:
            await transfer.changed(0.001)
        return position, time.monotonic()

    first, began = await next_position(transfer.snapshot().position_bytes + MIB)
    last, ended = await next_position(first + over_bytes)
    return (last - first) / (ended - began)


class TestTheProcess:
    def test_dies_with_its_parent_and_writes_no_more(self) -> None:
        with loop_drive(64 * MIB) as drive:
            parent = subprocess.Popen(
                [sys.executable, "-P", "-c", PARENT, str(drive.device), "64"],
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            )
            with parent:
                assert parent.stdout is not None
                child = os.pidfd_open(int(parent.stdout.readline()))
                parent.send_signal(signal.SIGKILL)
            assert select.select([child], [], [], 10)[0], "the transfer outlives its parent"
            os.close(child)
            after = stat_of(drive)
            with loop_drive(4 * MIB) as other, target_of(other) as elsewhere:
                asyncio.run(self.write_all(elsewhere))
            assert stat_of(drive) == after
            assert 0 < read_all(drive.device).count(0xFF) < 64 * MIB
            os.close(os.open(drive.device, os.O_RDWR | os.O_EXCL))  # the claim went with it

    @staticmethod
    async def write_all(target: Target) -> None:
        await run(target, write(ZEROS, target))

    async def test_that_is_killed_is_reported(self) -> None:
        with loop_drive(16 * MIB) as drive, target_of(drive) as target:
            transfer = await start(target, write(ZEROS, target), rate_limit=MIB)
            try:
                os.kill(transfer.pid, signal.SIGKILL)
                await asyncio.wait_for(transfer.changed(30), 10)
                assert transfer.has_ended
                report, is_gone = await transfer.finish()
            finally:
                transfer.close()
        assert report.end is EndReason.PROCESS_DIED and is_gone

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    async def test_leaves_a_signal_for_the_whole_group_to_its_parent(self, number: signal.Signals) -> None:
        with loop_drive(4 * MIB) as drive, target_of(drive) as target:
            transfer = await start(target, write(ZEROS, target))
            try:
                os.kill(transfer.pid, number)
                await until_ended(transfer)
                report, _ = await transfer.finish()
            finally:
                transfer.close()
        assert report.end is EndReason.COMPLETED

    async def test_wakes_its_parent_when_it_ends(self) -> None:
        with loop_drive(MIB) as drive, target_of(drive) as target:
            for _ in range(20):
                transfer = await start(target, write(ZEROS, target))
                try:
                    async with asyncio.timeout(20):
                        while not transfer.has_ended:
                            await transfer.changed(60)
                        _, is_gone = await transfer.finish()
                    assert is_gone
                finally:
                    transfer.close()

    async def test_leaves_no_descriptor_behind(self) -> None:
        with loop_drive(MIB) as drive, target_of(drive) as target:
            await run(target, write(ZEROS, target))
            before = open_descriptors()
            for _ in range(5):
                await run(target, write(ZEROS, target))
            assert open_descriptors() == before

    @pytest.mark.parametrize("what", ["os.pidfd_open", "subprocess.Popen", "os.eventfd", "mmap.mmap"])
    async def test_that_cannot_be_started_leaves_nothing_behind(
        self, what: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise OSError(24, "Too many open files")

        with loop_drive(MIB) as drive, target_of(drive) as target:
            descriptors, processes = open_descriptors(), children()
            with monkeypatch.context() as broken:
                broken.setattr(what, fail)
                with pytest.raises(TransferError):
                    await start(target, write(ZEROS, target))
            assert open_descriptors() == descriptors and children() == processes

    @pytest.mark.parametrize("turns", range(6))
    async def test_that_is_cancelled_while_it_starts_leaves_nothing_behind(self, turns: int) -> None:
        with loop_drive(MIB) as drive, target_of(drive) as target:
            await run(target, write(ZEROS, target))  # what is loaded once is loaded
            descriptors, processes = open_descriptors(), children()
            starting = asyncio.create_task(start(target, write(ZEROS, target)))
            another = asyncio.create_task(start(target, write(ZEROS, target)))
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in (starting, another):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    transfer = await task  # it had begun before
                    transfer.kill(EndReason.CANCELLED)
                    await transfer.finish()
                    transfer.close()
            assert open_descriptors() == descriptors and children() == processes

    async def test_is_not_started_for_a_plan_that_cannot_be_written_down(self) -> None:
        with loop_drive(MIB) as drive, target_of(drive) as target:
            descriptors = open_descriptors()
            with pytest.raises((ValueError, OverflowError)):
                await start(target, write(ZEROS, target, start_position_bytes=-1))
            assert open_descriptors() == descriptors

    async def test_refuses_a_malformed_plan_and_touches_nothing(self) -> None:
        with loop_drive(MIB) as drive, target_of(drive) as target:
            done = await run(target, write(ZEROS, target, ranges=(Extent(100, 512),)))
            assert done.report.end is EndReason.INTERNAL and done.report.bytes_sent == 0
            assert count_marker(drive.device) == MIB // len(MARKER)

    async def test_refuses_a_drive_of_another_size(self) -> None:
        with loop_drive(2 * MIB) as drive, target_of(drive) as target:
            smaller = replace(target, drive_bytes=MIB)
            done = await run(smaller, write(ZEROS, smaller))
            assert done.report.end is EndReason.GONE and done.report.bytes_sent == 0
            assert count_marker(drive.device) == 2 * MIB // len(MARKER)


PARENT = """
import asyncio, os, sys
from eraser.domain.evidence import Extent, FlushProof, Operation
from eraser.domain.pattern import Constant
from eraser.engine.transfer import Order, Target, Transfer
from eraser.engine.tuning import Tuning

async def main():
    fd, size = os.open(sys.argv[1], os.O_RDWR | os.O_EXCL), int(sys.argv[2]) << 20
    target = Target(fd, size, 512, 512, True, FlushProof.KERNEL_SENT)
    order = Order(Operation.WRITE, Constant(b"\\xff"), (Extent(0, size),))
    transfer = await Transfer.start(target, order, Tuning(block_bytes=65536), now_utc=str, rate_limit=8 << 20)
    while transfer.snapshot().position_bytes < 1 << 20:
        await transfer.changed(0.01)
    print(transfer.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def status_kib(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def children() -> set[str]:
    found: set[str] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # a thread that has ended since it was listed
            found.update(task.read_text().split())
    return found


def without_io_uring(errno_name: str) -> str:
    """A program that starts the transfer where seccomp answers io_uring's system calls with an error."""
    return f"""#!{sys.executable} -I
import ctypes, errno, os, struct, sys
LOAD, EQUAL, RETURN, ALLOW, ERRNO = 0x20, 0x15, 0x06, 0x7FFF0000, 0x00050000  # linux/bpf_common.h, seccomp.h
def op(code, yes, no, k): return struct.pack("HBBI", code, yes, no, k)
# The calls' numbers (425 to 427) are the same on every processor.
steps = [op(LOAD, 0, 0, 0), op(EQUAL, 2, 0, 425), op(EQUAL, 1, 0, 426), op(EQUAL, 0, 1, 427),
         op(RETURN, 0, 0, ERRNO | errno.{errno_name}), op(RETURN, 0, 0, ALLOW)]
program = ctypes.create_string_buffer(b"".join(steps))
filters = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(program)))
libc = ctypes.CDLL(None, use_errno=True)
NO_NEW_PRIVILEGES, SECCOMP, FILTER = 38, 22, 2
if libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(SECCOMP, FILTER, filters):
    sys.exit("seccomp: " + os.strerror(ctypes.get_errno()))
os.execv(os.environ["REAL"], sys.argv)
"""


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Starts transfers through a script, which finds the executable (readable by anybody) in $REAL."""
    with scratch_folder() as folder:
        folder.chmod(0o755)
        real = Path(shutil.copy(transfer_module.EXECUTABLE, folder))
        real.chmod(0o755)
        monkeypatch.setenv("REAL", str(real))

        def use(script: str) -> None:
            path = folder / "launcher"
            path.write_text(script)
            path.chmod(0o755)
            monkeypatch.setattr(transfer_module, "EXECUTABLE", path)

        yield use
