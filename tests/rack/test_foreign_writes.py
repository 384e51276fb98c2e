"""Somebody else writes while a job runs: a claim does not keep mere openers out, the kernel's counters tell of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import FuseDrive, Slow, fuse_drive, held_open, wait_until
from tests.rack.command import FAILED, PASSED, CommandLine, finished, reasons_of

MIB = 1 << 20
SIZE = 4 * MIB
SECTOR = 512

pytestmark = pytest.mark.lab("root", "loop", "fuse")


@pytest.fixture
def desk(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "station")


def write_foreign_sector(drive: FuseDrive, sector: int) -> None:
    """What any process with permission can do, claim or not."""
    command = ["dd", "if=/dev/urandom", f"of={drive.device}", f"bs={SECTOR}", "count=1", f"seek={sector}"]
    subprocess.run([*command, "conv=notrunc", "oflag=direct", "status=none"], check=True, timeout=30)


@pytest.mark.parametrize("standard", ["random", "zero"])
def test_a_write_behind_the_reader_that_verifies_fails_the_job(desk: CommandLine, standard: str) -> None:
    with fuse_drive(SIZE, Slow(SIZE)) as drive:
        process = desk.start_erase(drive, standard=standard)
        wait_until(lambda: desk.kinds().count("verification-started") == 1, "verification to begin", deadline_s=60)
        begun = drive.counts.bytes_read
        drive.wait_for(lambda counts: counts.bytes_read > begun + SIZE // 4, "a quarter to be read back")
        write_foreign_sector(drive, 3)
        ending = finished(process)
        assert ending.status == FAILED, ending
        # The reader had been there already: only the counters know.
        assert reasons_of(ending.certificate) == ["foreign-write"]
        activity = ending.certificate["activity"]
        assert activity["sectors_written_seen"] == activity["sectors_written_ours_most"] + 1


def test_a_write_during_a_pass_fails_the_job_though_the_pass_writes_over_it(desk: CommandLine) -> None:
    with fuse_drive(SIZE, Slow(SIZE)) as drive:
        process = desk.start_erase(drive)
        drive.wait_for(lambda counts: counts.bytes_written > SIZE // 8, "an eighth to be written")
        write_foreign_sector(drive, SIZE // SECTOR - 1)
        ending = finished(process)
        assert ending.status == FAILED, ending
        assert reasons_of(ending.certificate) == ["foreign-write"]


def test_a_write_into_what_a_pass_has_written_is_seen_twice(desk: CommandLine) -> None:
    with fuse_drive(SIZE, Slow(SIZE)) as drive:
        process = desk.start_erase(drive)
        drive.wait_for(lambda counts: counts.bytes_written > SIZE // 2, "a half to be written")
        write_foreign_sector(drive, 0)
        ending = finished(process)
        assert ending.status == FAILED, ending
        assert set(reasons_of(ending.certificate)) == {"foreign-write", "mismatch"}
        assert ending.certificate["final_verification"]["run"]["first_mismatches"] == [0]


def test_a_discard_during_the_job_fails_it(desk: CommandLine) -> None:
    with fuse_drive(SIZE, Slow(SIZE)) as drive:
        if not int(drive.sysfs("queue/discard_max_bytes")):
            pytest.skip("hardware: this kernel's loop devices over FUSE take no discard")
        process = desk.start_erase(drive)
        drive.wait_for(lambda counts: counts.bytes_written > SIZE // 2, "a half to be written")
        subprocess.run(["blkdiscard", "--force", "-o", "0", "-l", "4096", drive.device], check=True, timeout=30)
        ending = finished(process)
        assert ending.status == FAILED, ending
        assert "foreign-write" in reasons_of(ending.certificate)


GLANCES = """
import os, sys, time
while True:
    fd = os.open(sys.argv[1], os.O_RDONLY)
    time.sleep(0.05)
    os.close(fd)
    time.sleep(0.05)
"""


def test_who_glances_at_the_drive_does_not_fail_the_job_and_who_stays_does(desk: CommandLine) -> None:
    with fuse_drive(SIZE, Slow(4 * SIZE)) as drive:
        process = desk.start_erase(drive)
        drive.wait_for(lambda counts: counts.bytes_written > 0, "the first byte to be written")
        with subprocess.Popen([sys.executable, "-S", "-c", GLANCES, str(drive.device)]) as glancing:
            ending = finished(process)
            glancing.kill()
        assert ending.status == PASSED, ending

        process = desk.start_erase(drive)
        before = drive.counts.bytes_written
        drive.wait_for(lambda counts: counts.bytes_written > before, "the first byte to be written")
        with held_open(drive.device):
            ending = finished(process)
        assert ending.status == FAILED, ending
        assert reasons_of(ending.certificate) == ["in-use"]
