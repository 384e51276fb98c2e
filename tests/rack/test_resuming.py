"""`eraser erase` stopped and `eraser resume`: nothing is lost, nothing is written twice, nothing else is touched."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.lab import FuseDrive, Slow, count_marker, fuse_drive, image_drive, loop_drive
from tests.lab.loop import detach, run
from tests.rack.command import (
    INTERRUPTED,
    PASSED,
    REFUSED,
    USAGE,
    CommandLine,
    Json,
    assert_proved,
    finished,
    reasons_of,
)

KIB, MIB = 1 << 10, 1 << 20

pytestmark = pytest.mark.lab("root", "loop", "fuse")


@pytest.fixture
def desk(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "station", {})


def slow_drive(size_bytes: int = 2 * MIB) -> Any:
    """A drive on which a pass takes two seconds."""
    return fuse_drive(size_bytes, Slow(size_bytes / 2))


def interrupted(desk: CommandLine, drive: FuseDrive, number: int = signal.SIGINT) -> Json:
    """A job on a slow drive, stopped by a signal in the middle of its first pass; its result."""
    before = drive.counts.bytes_written
    process = desk.start_erase(drive)
    drive.wait_for(lambda counts: counts.bytes_written > before + drive.size_bytes // 4, "a quarter to be written")
    process.send_signal(number)
    ending = finished(process)
    assert ending.status == INTERRUPTED, ending
    return ending.result


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_at_a_checkpoint_and_resume_goes_on_from_there(
    desk: CommandLine, number: signal.Signals
) -> None:
    with slow_drive() as drive:
        stopped = interrupted(desk, drive, number)
        assert stopped["outcome"] == "interrupted"
        assert stopped["certificate"] is None and desk.certificates() == []
        assert 0 < stopped["bytes_written"] < drive.size_bytes
        assert count_marker(drive.medium) > 0
        drive.become()
        ending = desk.resume(drive)
        assert ending.status == PASSED, ending
        # It stopped at a checkpoint, so nothing is written twice; and all of it is read back.
        assert stopped["bytes_written"] + ending.result["bytes_written"] == drive.size_bytes
        assert ending.result["bytes_verified"] == drive.size_bytes
        certificate = assert_proved(desk, ending.result, drive.medium.read_bytes())
    assert certificate["sights"] == 2
    assert len(certificate["passes"][0]["runs"]) == 2


def test_what_a_person_reads_when_it_was_interrupted_says_how_to_go_on(desk: CommandLine) -> None:
    with slow_drive() as drive:
        process = desk.start("erase", drive.device, "--standard", "random", "--yes")
        drive.wait_for(lambda counts: counts.bytes_written > 0, "the first byte to be written")
        process.send_signal(signal.SIGINT)
        ending = finished(process)
        assert ending.status == INTERRUPTED
        assert f"eraser resume {drive.device}" in ending.output


def test_a_drive_with_an_interrupted_job_is_refused_until_that_is_resumed_or_given_up(desk: CommandLine) -> None:
    with slow_drive() as drive:
        interrupted(desk, drive)
        written = drive.counts.bytes_written
        ending = desk.erase(drive)
        assert ending.status == REFUSED
        assert f"eraser resume {drive.device}" in ending.result["reason"]
        assert "--restart" in ending.result["reason"]
        assert drive.counts.bytes_written == written

        drive.become()
        ending = desk.erase(drive, standard="zero", words=("--restart",))
        assert ending.status == PASSED, ending
        assert_proved(desk, ending.result, drive.medium.read_bytes())
        given_up = [path for path in desk.certificates() if str(path) != ending.result["certificate"]]
        (old,) = (json.loads(path.read_text())["certificate"] for path in given_up)
        assert old["outcome"] == "failed" and "abandoned" in reasons_of(old)
        assert desk.resume().status == PASSED  # there is nothing left of it


def test_resume_without_names_goes_on_with_every_drive_that_is_here(desk: CommandLine) -> None:
    with slow_drive() as first, slow_drive() as second:
        processes = desk.start_erase(first, second)
        for drive in (first, second):
            drive.wait_for(lambda counts: counts.bytes_written > MIB // 2, "a quarter to be written")
        processes.send_signal(signal.SIGINT)
        assert finished(processes).status == INTERRUPTED
        for drive in (first, second):
            drive.become()
        ending = desk.resume()
        assert ending.status == PASSED, ending
        assert set(ending.results) == {str(first.device), str(second.device)}
        for drive in (first, second):
            assert_proved(desk, ending.results[str(drive.device)], drive.medium.read_bytes())


def test_a_job_planned_without_verification_is_read_back_in_full_once_it_was_interrupted(desk: CommandLine) -> None:
    with slow_drive() as drive:
        process = desk.start_erase(drive, words=("--verify", "none"))
        drive.wait_for(lambda counts: counts.bytes_written > MIB // 2, "a quarter to be written")
        process.send_signal(signal.SIGINT)
        assert finished(process).status == INTERRUPTED
        drive.become()
        ending = desk.resume(drive)
        assert ending.status == PASSED, ending
        assert ending.result["bytes_verified"] == drive.size_bytes


def test_another_drive_in_the_place_of_an_interrupted_one_is_not_touched(desk: CommandLine) -> None:
    with slow_drive() as drive, image_drive(drive.size_bytes) as other:
        interrupted(desk, drive)
        place = drive.device
        drive.unplug()
        run("losetup", place, other)
        try:
            ending = desk.resume(place)
            assert ending.status == USAGE, ending
            assert desk.resume().output == ""
            assert count_marker(other) == drive.size_bytes // 64
        finally:
            detach(place, other)
        drive.become()
        drive.plug_in()
        ending = desk.resume(drive)
        assert ending.status == PASSED, ending
        assert_proved(desk, ending.result, drive.medium.read_bytes())


def test_two_calls_never_hold_one_drive(desk: CommandLine, tmp_path: Path) -> None:
    with fuse_drive(4 * MIB, Slow(MIB / 4)) as drive:
        first = desk.start_erase(drive)
        drive.wait_for(lambda counts: counts.bytes_written > 0, "the first byte to be written")
        for home in (desk.home, tmp_path / "another-station"):
            ending = CommandLine(home, {}).erase(drive, words=("--restart",))
            assert ending.status == REFUSED, ending
        drive.become()
        ending = finished(first)
        assert ending.status == PASSED, ending
        assert_proved(desk, ending.result, drive.medium.read_bytes())


def test_resuming_a_drive_without_a_job_is_wrong_usage(desk: CommandLine) -> None:
    with loop_drive(64 * KIB) as drive:
        ending = desk.run("resume", drive.device)
        assert ending.status == USAGE
        assert "eraser erase" in ending.errors


@pytest.mark.parametrize("words", [(), ("--restart",)])
def test_a_spoilt_journal_stands_in_the_way_of_its_own_drive_alone(desk: CommandLine, words: tuple[str, ...]) -> None:
    with slow_drive() as drive, loop_drive(MIB) as other:
        interrupted(desk, drive)
        drive.become()
        (journal,) = (desk.home / "eraser" / "journal").glob("*.journal")
        lines = journal.read_bytes().splitlines(keepends=True)
        journal.write_bytes(b"".join((*lines[:2], b"x" + lines[2][1:], *lines[3:])))
        written = drive.counts.bytes_written
        ending = desk.erase(drive, other, words=words)
        outcomes = ending.results
        assert outcomes[str(drive.device)]["outcome"] == "refused"
        assert str(journal) in outcomes[str(drive.device)]["reason"]
        assert outcomes[str(other.device)]["outcome"] == "passed"
        assert drive.counts.bytes_written == written
        # Where not even the drive is known, it may be any.
        journal.write_bytes(b"x" + b"".join(lines)[1:])
        ending = desk.erase(other, words=words)
        assert ending.status == REFUSED and str(journal) in ending.result["reason"]
