"""Drives that fail, hang or go away: the job says what was left, goes on where it can, and no other drive waits for it."""

import errno
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.lab import (
    BadSectors,
    Behaviour,
    FailsFrom,
    FuseDrive,
    Hangs,
    On,
    Sectors,
    Slow,
    Span,
    failing_flush,
    fuse_drive,
    loop_drive,
    read_all,
)
from tests.rack import model
from tests.rack.command import (
    FAILED,
    INTERRUPTED,
    PASSED,
    REFUSED,
    CommandLine,
    Json,
    certificate_of,
    finished,
    reasons_of,
)

KIB, MIB = 1 << 10, 1 << 20
SECTOR = 512
SIZE = MIB
BAD = (0, 5, 6, 1000, SIZE // SECTOR - 1)
"""First and last, two neighbours, one alone."""
BAD_EXTENTS = [(0, 512), (2560, 1024), (512000, 512), (SIZE - 512, 512)]

LARGE = 4 * MIB
"""More than the engine has in flight."""

QUICK = {"no_progress_seconds": 2.0}
END_S = 20.0
"""Within this a command with that limit has given a drive up; without it, it takes two minutes."""

pytestmark = pytest.mark.lab("root", "loop", "fuse")


@pytest.fixture
def desk(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "station", {})


def left(exceptions: Json) -> list[tuple[int, int]]:
    """Extents that a certificate lists as left, neighbours made one."""
    merged: list[tuple[int, int]] = []
    for extent in sorted(exceptions["listed"], key=lambda item: item["offset_bytes"]):
        offset, length = extent["offset_bytes"], extent["length_bytes"]
        if merged and sum(merged[-1]) == offset:
            offset, length = merged[-1][0], merged.pop()[1] + length
        merged.append((offset, length))
    return merged


# Bad sectors


@pytest.mark.parametrize("standard", ["random", "hmg-is5-enhanced", "zero"])
@pytest.mark.parametrize("on", [On.WRITE, On.READ, On.TRANSFER], ids=["write", "read", "both"])
def test_bad_sectors_fail_the_job_and_are_listed_and_all_the_rest_is_erased(
    desk: CommandLine, on: On, standard: str
) -> None:
    with fuse_drive(SIZE) as drive:
        drive.become(BadSectors(Sectors(BAD), on))
        ending = desk.erase(drive, standard=standard)
        assert ending.status == FAILED, ending
        certificate = ending.certificate
        assert certificate["outcome"] == "failed"
        assert desk.verifies(ending.result["certificate"])
        exceptions = certificate["exceptions"]
        assert left(exceptions["not_written"]) == (BAD_EXTENTS if On.WRITE in on else [])
        if On.READ in on:
            # What was never written cannot be missing, but it is not erased either: nobody could tell.
            assert left(exceptions["not_read"]) == BAD_EXTENTS
        assert ("not-written" in reasons_of(certificate)) == (On.WRITE in on)
        assert "foreign-write" not in reasons_of(certificate)
        differing = model.differing_sectors(drive.medium.read_bytes(), model.last_content(certificate, SIZE), SECTOR)
        assert differing == ([at * SECTOR for at in BAD] if On.WRITE in on else [])


@pytest.mark.parametrize("on", [On.WRITE, On.READ, On.TRANSFER], ids=["write", "read", "both"])
def test_sectors_that_recover_when_they_are_tried_again_are_erased_and_the_job_passes(
    desk: CommandLine, on: On
) -> None:
    with fuse_drive(SIZE) as drive:
        drive.become(BadSectors(Sectors(BAD), on, tries=2))
        ending = desk.erase(drive)
        assert ending.status == PASSED, ending
        certificate = ending.certificate
        runs = [run for item in certificate["passes"] for run in item["runs"]]
        runs.append(certificate["final_verification"]["run"])
        assert sum(run["retries"] for run in runs) > 0
        assert left(certificate["exceptions"]["not_written"]) == left(certificate["exceptions"]["not_read"]) == []
        assert drive.medium.read_bytes() == model.last_content(certificate, SIZE)


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EREMOTEIO])
def test_a_drive_that_takes_no_write_at_all_fails_and_keeps_nothing_secret(desk: CommandLine, error: int) -> None:
    with fuse_drive(256 * KIB) as drive:
        drive.become(FailsFrom(1, On.WRITE, error))
        ending = desk.erase(drive)
        assert ending.status == FAILED, ending
        assert left(ending.certificate["exceptions"]["not_written"]) == [(0, 256 * KIB)]


@pytest.mark.parametrize("flush", [1, 3])
def test_a_flush_that_fails_fails_the_job(tmp_path: Path, flush: int) -> None:
    desk = CommandLine(tmp_path, {"checkpoint_bytes": SIZE // 4, "block_bytes": SIZE // 16})
    with fuse_drive(SIZE) as drive:
        drive.become(failing_flush(flush))
        ending = desk.erase(drive)
        assert ending.status == FAILED, ending
        assert "flush-failed" in reasons_of(ending.certificate)


# Gone


@pytest.mark.parametrize("standard", ["random", "hmg-is5-enhanced"])
def test_a_drive_that_goes_in_the_middle_interrupts_and_passes_when_it_is_back(
    desk: CommandLine, standard: str
) -> None:
    with fuse_drive(LARGE, Slow(LARGE)) as drive:
        process = desk.start_erase(drive, standard=standard)
        drive.wait_for(lambda counts: counts.bytes_written > LARGE // 4, "a quarter to be written")
        drive.vanish()
        ending = finished(process)
        assert ending.status == INTERRUPTED, ending
        assert ending.result["certificate"] is None
        drive.become()
        drive.replug()
        ending = desk.resume(drive)
        assert ending.status == PASSED, ending
        assert drive.medium.read_bytes() == model.last_content(ending.certificate, LARGE)
        assert ending.certificate["sights"] == 2


def test_a_drive_that_goes_while_it_is_read_back_interrupts_and_passes_when_it_is_back(desk: CommandLine) -> None:
    with fuse_drive(LARGE, Slow(LARGE)) as drive:
        process = desk.start_erase(drive)
        drive.wait_for(lambda counts: counts.bytes_read > LARGE // 4, "a quarter to be read back")
        drive.vanish()
        ending = finished(process)
        assert ending.status == INTERRUPTED, ending
        drive.become()
        drive.replug()
        ending = desk.resume(drive)
        assert ending.status == PASSED, ending
        assert drive.medium.read_bytes() == model.last_content(ending.certificate, LARGE)


# Hanging

HANGS = {
    "in a read": Hangs(On.READ, region=Span(LARGE // 2, LARGE)),
    "in a flush": Hangs(On.FLUSH),
    "with its queue full": Hangs(On.WRITE),
    "in a write": Hangs(On.WRITE, access=3),
}


def held_drive(stack: ExitStack, *behaviours: Behaviour) -> FuseDrive:
    """A drive whose behaviour begins once it is plugged in: the kernel looks into a new disk."""
    drive = stack.enter_context(fuse_drive(LARGE))
    drive.become(*behaviours)
    return drive


@pytest.mark.parametrize("where", HANGS)
def test_a_drive_that_hangs_is_given_up_and_the_next_call_says_why_it_is_held(tmp_path: Path, where: str) -> None:
    desk = CommandLine(tmp_path, QUICK)
    with ExitStack() as stack:
        drive = held_drive(stack, HANGS[where])
        others = [stack.enter_context(loop_drive(LARGE)) for _ in range(2)]
        started_s = time.monotonic()
        ending = desk.erase(others[0], drive, others[1])
        assert time.monotonic() - started_s < END_S
        assert ending.status == FAILED, ending
        reasons = reasons_of(certificate_of(ending.results[str(drive.device)]))
        assert "no-progress" in reasons and "foreign-write" not in reasons
        for other in others:
            result = ending.results[str(other.device)]
            assert result["outcome"] == "passed"
            # It did not wait for the one that hangs, which takes two seconds to be noticed.
            assert result["seconds"] < 1.5
            assert read_all(other.device) == model.last_content(certificate_of(result), LARGE)

        started_s = time.monotonic()
        again = desk.erase(others[0], drive)
        assert time.monotonic() - started_s < END_S
        assert again.status == REFUSED, again
        assert again.results[str(others[0].device)]["outcome"] == "passed"
        reason = again.results[str(drive.device)]["reason"]
        assert "held by an unfinished I/O" in reason and "power-cycle" in reason

        drive.release()
        drive.become()
        drive.replug()
        assert desk.erase(drive).status == PASSED


@pytest.mark.parametrize("where", HANGS)
def test_ctrl_c_ends_the_command_though_a_drive_hangs(desk: CommandLine, where: str) -> None:
    with ExitStack() as stack:
        drive = held_drive(stack, HANGS[where])
        process = desk.start_erase(drive)
        drive.wait_for(lambda counts: counts.held > 0, "the drive to hang", deadline_s=30)
        started_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        ending = finished(process)
        assert time.monotonic() - started_s < 15
        assert ending.status == INTERRUPTED, ending
        refused = desk.erase(drive, words=("--restart",))
        assert refused.status == REFUSED
        assert "held by an unfinished I/O" in refused.result["reason"]

        drive.release()
        drive.become()
        drive.replug()
        resumed = desk.resume(drive)
        assert resumed.status == PASSED, resumed
        assert drive.medium.read_bytes() == model.last_content(resumed.certificate, LARGE)


@pytest.mark.parametrize("where", ["in a read", "in a flush", "with its queue full"])
def test_a_drive_that_hangs_elsewhere_delays_no_other_call(desk: CommandLine, tmp_path: Path, where: str) -> None:
    with ExitStack() as stack:
        hung = held_drive(stack, HANGS[where])
        process = CommandLine(tmp_path / "elsewhere").start_erase(hung)
        try:
            hung.wait_for(lambda counts: counts.held > 0, "the drive to hang", deadline_s=30)
            drive = stack.enter_context(fuse_drive(LARGE, Slow(LARGE)))
            other = desk.start_erase(drive)
            drive.wait_for(lambda counts: counts.bytes_written > LARGE // 4, "a quarter to be written")
            other.send_signal(signal.SIGINT)
            assert finished(other).status == INTERRUPTED
            drive.become()
            started_s = time.monotonic()
            assert desk.resume().status == PASSED
            assert time.monotonic() - started_s < END_S
        finally:
            process.kill()
            process.communicate()
