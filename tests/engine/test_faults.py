"""One pass over a bad drive: no error is lost, no sector beside a bad one is, and a drive that hangs stops nobody else."""

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from eraser.domain.evidence import BadExtent, EndReason, Extent, Operation
from eraser.engine.transfer import HANG_GRACE_SECONDS, Target
from eraser.engine.tuning import AccessLeast
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
from tests.engine.slow_errors import SlowErrors
from tests.lab import (
    BadSectors,
    FailsFrom,
    FuseDrive,
    Hangs,
    On,
    OneSectorPer,
    Sectors,
    ShortTransfers,
    Span,
    failing_flush,
    fuse_drive,
    image_drive,
    loop_drive,
    vanishes_at,
)
from tests.lab.loop import run as run_command

pytestmark = pytest.mark.lab("root", "loop", "fuse")

SIZE = 2 * MIB
DIRECT = [AccessLeast.BEST, AccessLeast.PREAD]
ACCESSES = [*DIRECT, AccessLeast.BUFFERED]
NO_PROGRESS_S = 1.5
LONGEST_LAG_S = 1.0  # a busy machine's own; a loop that waited for the drive would lag by NO_PROGRESS_S and more


def covered(extents: tuple[BadExtent, ...]) -> set[int]:
    """Every byte address that the extents name, in steps of 512."""
    return {at for bad in extents for at in range(bad.extent.offset_bytes, bad.extent.end_bytes, 512)}


class TestBadSectors:
    @pytest.mark.parametrize("access", DIRECT)
    @pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
    @pytest.mark.parametrize("sector_bytes", [512, 4096])
    async def test_on_write_are_named_exactly_and_their_neighbours_written(
        self, sector_bytes: int, reverse: bool, access: AccessLeast
    ) -> None:
        last = SIZE // sector_bytes - 1
        block = 64 * KIB // sector_bytes
        bad = (0, 5, 6, 2 * block - 1, 2 * block, last)
        faults = BadSectors(Sectors(bad), On.WRITE)
        with fuse_drive(SIZE, faults, sector_bytes=sector_bytes) as drive, target_of(drive) as target:
            before = stat_of(drive)
            done = await run(target, write(STREAM, target, reverse=reverse), tuning(access_least=access))
            written = (stat_of(drive).sectors_written - before.sectors_written) * 512
            content = drive.medium.read_bytes()
        report, wanted = done.report, expected(STREAM, SIZE)
        assert report.end is EndReason.COMPLETED and report.bytes_done == SIZE
        assert report.bad_bytes == len(bad) * sector_bytes
        assert {(e.operation, e.errno) for e in report.bad_extents} == {(Operation.WRITE, errno.EIO)}
        addresses = [e.extent.offset_bytes // sector_bytes for e in report.bad_extents]
        lengths = [e.extent.length_bytes // sector_bytes for e in report.bad_extents]
        named = {at + i for at, length in zip(addresses, lengths, strict=True) for i in range(length)}
        assert named == set(bad)
        for sector in range(last + 1):
            span = slice(sector * sector_bytes, (sector + 1) * sector_bytes)
            assert (content[span] == wanted[span]) is (sector not in bad), sector
        assert report.bytes_sent - report.failed_bytes_sent <= written <= report.bytes_sent

    @pytest.mark.parametrize("access", DIRECT)
    @pytest.mark.parametrize("sector_bytes", [512, 4096])
    async def test_on_read_are_named_exactly_and_their_neighbours_compared(
        self, sector_bytes: int, access: AccessLeast
    ) -> None:
        last = SIZE // sector_bytes - 1
        faults = BadSectors(Sectors((0, 5, last)), On.READ)
        with fuse_drive(SIZE, sector_bytes=sector_bytes) as drive, target_of(drive) as target:
            await run(target, write(STREAM, target))
            drive.become(faults)
            with drive.medium.open("r+b") as medium:
                medium.seek(6 * sector_bytes)
                medium.write(b"differs beside the bad one")
            done = await run(target, read(STREAM, target), tuning(access_least=access))
        report = done.report
        assert report.end is EndReason.COMPLETED and report.bytes_done == SIZE
        assert [e.extent for e in report.bad_extents] == [
            Extent(at * sector_bytes, sector_bytes) for at in (0, 5, last)
        ]
        assert {e.operation for e in report.bad_extents} == {Operation.READ}
        assert (report.mismatched_sectors, report.first_mismatches) == (1, (6 * sector_bytes,))

    async def test_within_a_larger_physical_sector_are_named_by_that(self) -> None:
        faults = BadSectors(Sectors((9,)), On.WRITE)
        with fuse_drive(SIZE, faults) as drive, target_of(drive, physical_sector_bytes=4096) as target:
            done = await run(target, write(ZEROS, target))
        assert [e.extent for e in done.report.bad_extents] == [Extent(4096, 4096)]

    @pytest.mark.parametrize("on", [On.WRITE, On.READ, On.TRANSFER], ids=["write", "read", "both"])
    async def test_are_found_by_whichever_pass_meets_them(self, on: On) -> None:
        with fuse_drive(SIZE, BadSectors(Sectors((100,)), on)) as drive, target_of(drive) as target:
            written = await run(target, write(ZEROS, target))
            verified = await run(target, read(ZEROS, target))
        assert written.report.bad_bytes == (512 if On.WRITE in on else 0)
        assert verified.report.bad_bytes == (512 if On.READ in on else 0)
        # What could not be written differs, where it can be read.
        assert verified.report.mismatched_sectors == (1 if on is On.WRITE else 0)

    @pytest.mark.parametrize("access", DIRECT)
    @pytest.mark.parametrize("operation", list(Operation))
    async def test_that_recover_are_retried_and_pass(self, operation: Operation, access: AccessLeast) -> None:
        on = On.WRITE if operation is Operation.WRITE else On.READ
        with fuse_drive(SIZE, fill=b"\0") as drive, target_of(drive) as target:
            drive.become(BadSectors(Sectors((200,)), on, tries=2))
            what = write(ZEROS, target) if on is On.WRITE else read(ZEROS, target)
            done = await run(target, what, tuning(access_least=access, retry_limit=2))
        assert done.report.end is EndReason.COMPLETED
        # More where the kernel made one request of neighbouring blocks, which then failed together.
        assert 2 <= done.report.retries <= 5
        assert (done.report.bad_bytes, done.report.mismatched_sectors) == (0, 0)

    @pytest.mark.parametrize("access", ACCESSES)
    @pytest.mark.parametrize("bad", [Span(0, 512), Span(700 * KIB, 700 * KIB + 512), Span(SIZE - 512, SIZE)])
    async def test_are_never_lost(self, bad: Span, access: AccessLeast) -> None:
        with fuse_drive(SIZE, BadSectors(bad, On.WRITE)) as drive, target_of(drive) as target:
            done = await run(target, write(ZEROS, target), tuning(access_least=access))
        assert bad.start_byte in covered(done.report.bad_extents)
        assert 512 <= done.report.bad_bytes <= 4096

    @pytest.mark.parametrize("access", ACCESSES)
    async def test_in_a_large_area_end_the_pass_at_the_limit(self, access: AccessLeast) -> None:
        limit = 64 * KIB
        with fuse_drive(SIZE, BadSectors(Span(512 * KIB, SIZE))) as drive, target_of(drive) as target:
            how = tuning(access_least=access, bad_bytes_limit=limit, retry_limit=0)
            for what in (write(ZEROS, target), read(ZEROS, target)):
                report = (await run(target, what, how)).report
                assert report.end is EndReason.TOO_MANY_ERRORS and report.errno == errno.EIO
                assert limit < report.bad_bytes <= limit + 4096
                assert report.end_position_bytes <= 512 * KIB + limit

    async def test_beyond_the_table_still_count(self) -> None:
        with fuse_drive(5 * MIB, BadSectors(OneSectorPer(KIB), On.WRITE)) as drive, target_of(drive) as target:
            report = (await run(target, write(ZEROS, target), tuning(retry_limit=0))).report
        assert report.end is EndReason.COMPLETED
        assert len(report.bad_extents) == 4096 and report.bad_bytes == 5 * KIB * 512


class TestOtherErrors:
    @pytest.mark.parametrize("access", ACCESSES)
    @pytest.mark.parametrize("error", [errno.ENODEV, errno.EIO, errno.ENOSPC, errno.ETIMEDOUT, errno.EREMOTEIO])
    async def test_from_the_middle_on_never_end_in_completed_and_clean(self, error: int, access: AccessLeast) -> None:
        with fuse_drive(SIZE, FailsFrom(10, On.WRITE, error)) as drive, target_of(drive) as target:
            how = tuning(access_least=access, bad_bytes_limit=64 * KIB, retry_limit=0)
            report = (await run(target, write(ZEROS, target), how)).report
        assert report.end in (EndReason.GONE, EndReason.TOO_MANY_ERRORS, EndReason.FLUSH_FAILED)
        assert report.end_position_bytes < SIZE

    @pytest.mark.parametrize("access", DIRECT)
    async def test_of_a_pulled_drive_say_that_it_is_gone(self, access: AccessLeast) -> None:
        with fuse_drive(SIZE, vanishes_at(12)) as drive, target_of(drive) as target:
            report = (await run(target, write(ZEROS, target), tuning(access_least=access))).report
        if report.end is not EndReason.GONE:
            # Kernels before 6.10 turn a loop device's ENODEV into EIO.
            assert report.end is EndReason.TOO_MANY_ERRORS
        assert report.end_position_bytes < SIZE

    @pytest.mark.parametrize("access", ACCESSES)
    @pytest.mark.parametrize("flush", [1, 2])
    async def test_of_a_flush_fail_the_pass(self, flush: int, access: AccessLeast) -> None:
        with fuse_drive(SIZE) as drive, target_of(drive) as target:
            drive.become(failing_flush(flush))
            how = tuning(access_least=access, checkpoint_bytes=MIB)
            report = (await run(target, write(ZEROS, target), how)).report
        assert report.end is EndReason.FLUSH_FAILED and report.errno == errno.EIO
        assert report.flushes == flush - 1

    @pytest.mark.parametrize("access", ACCESSES)
    async def test_short_io_is_finished_or_reported(self, access: AccessLeast) -> None:
        with fuse_drive(SIZE, ShortTransfers(4096)) as drive, target_of(drive) as target:
            how = tuning(access_least=access, retry_limit=1)
            written = (await run(target, write(STREAM, target), how)).report
            content = drive.medium.read_bytes()
            verified = (await run(target, read(STREAM, target), how)).report
        wrong = {at for at in range(0, SIZE, 512) if content[at : at + 512] != expected(STREAM, SIZE)[at : at + 512]}
        assert wrong <= covered(written.bad_extents)
        assert verified.end is EndReason.COMPLETED and verified.bytes_done == SIZE
        assert verified.mismatched_sectors == 0 or wrong


class TestASizeThatChanges:
    @staticmethod
    async def resize_while_writing(path: Path, device: Path, target: Target, size: int, **changes: object) -> EndReason:
        transfer = await start(target, write(ZEROS, target, **changes), rate_limit=4 * MIB)
        try:
            while transfer.snapshot().position_bytes < MIB:
                await transfer.changed(0.01)
            os.truncate(path, size)
            run_command("losetup", "--set-capacity", device)
            transfer.set_rate_limit(0)
            await until_ended(transfer)
            return (await transfer.finish())[0].end
        finally:
            transfer.close()

    @pytest.mark.parametrize("size", [2 * MIB, 6 * MIB], ids=["shrunk", "grown"])
    @pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
    async def test_ends_the_pass_as_gone(self, size: int, reverse: bool) -> None:
        with loop_drive(4 * MIB) as drive, target_of(drive) as target:
            end = await self.resize_while_writing(drive.backing, drive.device, target, size, reverse=reverse)
        assert end is EndReason.GONE

    async def test_ends_the_reading_of_an_image_as_gone(self) -> None:
        with image_drive(4 * MIB, fill=b"\0") as path, image_target(path) as target:
            transfer = await start(target, read(ZEROS, target), rate_limit=4 * MIB)
            try:
                while transfer.snapshot().position_bytes < MIB:
                    await transfer.changed(0.01)
                os.truncate(path, 2 * MIB)
                transfer.set_rate_limit(0)
                await until_ended(transfer)
                report, _ = await transfer.finish()
            finally:
                transfer.close()
        assert report.end is EndReason.GONE


@dataclass
class Lag:
    """The longest time that the event loop was kept from a task that wanted to run."""

    longest_s: float = 0.0


@asynccontextmanager
async def ticking() -> AsyncIterator[Lag]:
    """Measures the event loop's lag meanwhile."""
    lag = Lag()

    async def tick() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            lag.longest_s = max(lag.longest_s, time.monotonic() - before - 0.01)

    task = asyncio.create_task(tick())
    try:
        yield lag
    finally:
        task.cancel()


async def has_died(pid_fd: int) -> None:
    """Returns when the process is no more. TimeoutError after 10 s."""
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(pid_fd, gone.set)
    try:
        await asyncio.wait_for(gone.wait(), 10)
    finally:
        loop.remove_reader(pid_fd)
        os.close(pid_fd)


@contextmanager
def released_at_the_end(drive: FuseDrive, access: AccessLeast) -> Iterator[None]:
    """Lets go of a hung drive where the last to close it would wait for its locked page: a buffered reader can be killed, and
    then that is us.
    """
    try:
        yield
    except BaseException:
        drive.release()
        raise
    if access is AccessLeast.BUFFERED:
        drive.release()


def may_be_claimed(drive: FuseDrive) -> bool:
    try:
        os.close(os.open(drive.device, os.O_RDONLY | os.O_EXCL))
    except OSError:
        return False
    return True


MIDDLE = Span(MIB, MIB + 4096)
HANGS = [
    pytest.param(Hangs(On.READ), Operation.READ, AccessLeast.BEST, id="in the very first read"),
    pytest.param(Hangs(On.READ, region=MIDDLE), Operation.READ, AccessLeast.BEST, id="in a read"),
    pytest.param(Hangs(On.READ, region=MIDDLE), Operation.READ, AccessLeast.PREAD, id="in a pread"),
    pytest.param(Hangs(On.READ, region=MIDDLE), Operation.READ, AccessLeast.BUFFERED, id="in a buffered read"),
    pytest.param(Hangs(On.WRITE, region=MIDDLE), Operation.WRITE, AccessLeast.BEST, id="in a write"),
    pytest.param(Hangs(On.WRITE, region=MIDDLE), Operation.WRITE, AccessLeast.PREAD, id="in a pwrite"),
    pytest.param(Hangs(On.WRITE, region=MIDDLE), Operation.WRITE, AccessLeast.BUFFERED, id="in a buffered write"),
    pytest.param(Hangs(On.FLUSH), Operation.WRITE, AccessLeast.BEST, id="in a flush"),
    pytest.param(Hangs(On.FLUSH), Operation.WRITE, AccessLeast.BUFFERED, id="in a buffered flush"),
]


class TestADriveThatHangs:
    @pytest.mark.parametrize(("hang", "operation", "access"), HANGS)
    async def test_ends_its_transfer_and_stays_held_until_it_answers(
        self, hang: Hangs, operation: Operation, access: AccessLeast
    ) -> None:
        what = (write if operation is Operation.WRITE else read)(ZEROS, SIZE)
        how = tuning(access_least=access, no_progress_seconds=NO_PROGRESS_S)
        with fuse_drive(SIZE, fill=b"\0") as drive:
            with target_of(drive) as target, released_at_the_end(drive, access):
                drive.become(hang)
                began = time.monotonic()
                transfer = await start(target, what, how)
                pid_fd = os.pidfd_open(transfer.pid)
                try:
                    async with ticking() as lag:
                        await until_ended(transfer)
                        report, is_free = await transfer.finish()
                finally:
                    transfer.close()
                took_s = time.monotonic() - began
                assert report.end is EndReason.NO_PROGRESS and not is_free and drive.counts.held > 0
                assert took_s < NO_PROGRESS_S + HANG_GRACE_SECONDS + 3
                assert lag.longest_s < LONGEST_LAG_S
            if access is not AccessLeast.BUFFERED:
                assert drive.counts.held > 0 and not may_be_claimed(drive)
                drive.release()
            await has_died(pid_fd)
            drive.wait_for(lambda _: may_be_claimed(drive), "the claim to be given back")

    async def test_with_its_queue_full_ends_its_transfer(self) -> None:
        with fuse_drive(32 * MIB, Hangs(On.WRITE), fill=None) as drive, target_of(drive) as target:
            how = tuning(block_bytes=128 * KIB, queue_depth=64, no_progress_seconds=NO_PROGRESS_S)
            (Path("/sys/block") / drive.name / "queue/nr_requests").write_text("4")
            transfer = await start(target, write(ZEROS, target), how)
            try:
                async with ticking() as lag:
                    await until_ended(transfer)
                    report, is_free = await transfer.finish()
            finally:
                transfer.close()
            assert report.end is EndReason.NO_PROGRESS and not is_free and lag.longest_s < LONGEST_LAG_S
            drive.release()

    @pytest.mark.serial
    async def test_does_not_slow_a_transfer_beside_it(self) -> None:
        """Paced, so that the time alone is known: 0.5 s."""
        with (
            loop_drive(16 * MIB, fill=None) as good,
            target_of(good) as healthy,
            fuse_drive(SIZE, Hangs(On.WRITE, access=5)) as drive,
            target_of(drive) as target,
        ):
            hung = await start(target, write(ZEROS, target), tuning(no_progress_seconds=NO_PROGRESS_S))
            try:
                while drive.counts.held == 0:
                    await hung.changed(0.05)
                beside = (await run(healthy, write(STREAM, healthy), rate_limit=32 * MIB)).report
                assert not hung.has_ended
            finally:
                hung.close()
            drive.release()
        assert beside.end is EndReason.COMPLETED
        assert (beside.last_byte - beside.first_byte) / 1e9 == pytest.approx(0.5, abs=0.15)

    @pytest.mark.parametrize("access", DIRECT)
    @pytest.mark.parametrize("how_it_is_ended", ["cancelled", "killed"])
    async def test_does_not_hold_up_who_ends_it(self, how_it_is_ended: str, access: AccessLeast) -> None:
        with fuse_drive(SIZE, Hangs(On.WRITE, access=5)) as drive, target_of(drive) as target:
            how = tuning(access_least=access, no_progress_seconds=NO_PROGRESS_S)
            transfer = await start(target, write(ZEROS, target), how)
            try:
                while drive.counts.held == 0:
                    await transfer.changed(0.05)
                began = time.monotonic()
                if how_it_is_ended == "killed":
                    transfer.kill(EndReason.CANCELLED)
                else:
                    transfer.cancel()
                await until_ended(transfer)
                report, is_free = await transfer.finish()
                took_s = time.monotonic() - began
            finally:
                transfer.close()
            assert not is_free
            if how_it_is_ended == "killed":
                assert report.end is EndReason.CANCELLED and took_s < 2
            else:
                # Whether the cancelled pass reached a checkpoint cannot be said of a drive that does not answer.
                assert report.end is EndReason.NO_PROGRESS
                assert took_s < NO_PROGRESS_S + HANG_GRACE_SECONDS + 3
            drive.release()

    @pytest.mark.parametrize("access", ACCESSES)
    async def test_is_told_from_one_that_is_slow_about_many_bad_sectors(self, access: AccessLeast) -> None:
        bad = Sectors(tuple(range(0, 128, 16)))
        with fuse_drive(SIZE, SlowErrors(bad, 0.5)) as drive, target_of(drive) as target:
            how = tuning(access_least=access, no_progress_seconds=1.0, retry_limit=0)
            began = time.monotonic()
            report = (await run(target, write(ZEROS, target), how)).report
            took_s = time.monotonic() - began
        assert took_s > how.no_progress_seconds + HANG_GRACE_SECONDS, "not slow enough to show anything"
        assert report.end is EndReason.COMPLETED and covered(report.bad_extents) >= {16 * 512 * i for i in range(8)}
