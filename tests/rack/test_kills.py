"""The command killed at any moment: what is on record is enough to go on, and the end is that of a run in one piece."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.lab import FuseDrive, Kind, Slow, fill_with_marker, fuse_drive, wait_until
from tests.lab.loop import openers, run, scratch_folder
from tests.rack import model
from tests.rack.command import FAILED, INTERRUPTED, PASSED, CommandLine, Json, certificate_of, finished, reasons_of

KIB, MIB = 1 << 10, 1 << 20
SECTOR = 512
SIZE = 2 * MIB
SPEED = 8 * MIB
"""Bytes a second: a pass takes a quarter of one."""
CHECKPOINT = 256 * KIB
TUNING = {"checkpoint_bytes": CHECKPOINT, "block_bytes": 32 * KIB}
KILLS_IN_A_ROW = 4
STANDARDS = ("random", "hmg-is5-enhanced", "nist-800-88-clear-usb", "zero")
SEED = 20261124

Words = tuple[object, ...]
"""Of a command: those that name the program."""

pytestmark = pytest.mark.lab("root", "loop", "fuse")


@pytest.fixture
def desk(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "station", TUNING)


BETWEEN = """
name = "read-between"
[[pass]]
pattern = "924924"
reverse = true
verify = true
[[pass]]
pattern = "complement of 1"
verify = true
[[pass]]
pattern = "random"
reverse = true
"""


@pytest.fixture
def between(tmp_path: Path) -> Words:
    """Words that ask for a program of three passes, each read back before the next, two of them from the end."""
    path = tmp_path / "between.toml"
    path.write_text(BETWEEN)
    return ("--program-file", path)


# Kills


def events_of(desk: CommandLine, kind: str) -> list[Json]:
    """The events of one kind on record."""
    return [event for event in desk.events() if event["kind"] == kind]


def count_events(desk: CommandLine) -> int:
    """Events on record, complete lines only; cheap enough to ask a thousand times a second."""
    folder = desk.home / "eraser" / "journal"
    count = 0
    for path in folder.rglob("*.journal"):
        with suppress(FileNotFoundError):  # finished, and put with the others, since its name was read
            count += path.read_bytes().count(b"\n")
    return count


def kill_at(process: "subprocess.Popen[str]", desk: CommandLine, events: int, delay_s: float) -> bool:
    """Kill `process` a moment after the journal has so many events; False when it ended by itself before."""
    while count_events(desk) < events:
        if process.poll() is not None:
            break
        time.sleep(0.0005)
    due_s = time.monotonic() + delay_s
    while time.monotonic() < due_s and process.poll() is None:
        time.sleep(0.0002)
    is_killed = process.poll() is None
    process.kill()
    process.communicate()
    return is_killed


def kill_and_go_on(desk: CommandLine, drive: FuseDrive, program: Words, chance: random.Random) -> int:
    """One job, killed some times in a row and then left to its end; how often it was killed. Checks what must hold."""
    drive.become(Slow(SPEED))
    written_before = sum(request.size for request in drive.recorded() if request.kind is Kind.WRITE)
    process = desk.start("erase", drive.device, *program, "--json", "--yes")
    kills = 0
    for _ in range(KILLS_IN_A_ROW):
        # Between two events lie some 30 ms of I/O, or a fraction of one between those that come together.
        events = count_events(desk) + chance.randint(3 if kills == 0 else 1, 16)
        if not kill_at(process, desk, events, chance.choice((0.0, chance.uniform(0, 0.04)))):
            break
        kills += 1
        wait_until(lambda: not openers(drive.device), "the transfer process to go with its parent")
        if events_of(desk, "certificate-issued"):
            break
        process = desk.start("resume", drive.device, "--json")
    drive.become()
    if process.poll() is None:
        finished(process)
    if not events_of(desk, "certificate-issued"):
        ending = desk.resume(drive)
        assert ending.status == PASSED, ending
    assert_as_in_one_piece(desk, drive, kills, written_before)
    return kills


def assert_as_in_one_piece(desk: CommandLine, drive: FuseDrive, kills: int, written_before: int) -> None:
    """One certificate, which passes; the content of the seeds that were drawn first; next to nothing written twice."""
    (path,) = desk.certificates()
    assert desk.verifies(path)
    certificate = certificate_of({"certificate": path})
    assert certificate["outcome"] == "passed", certificate["reasons"]
    assert certificate["restarts"] == []
    (plan,) = [event["plan"] for event in events_of(desk, "planned")]
    assert [item["pattern"] for item in certificate["passes"]] == [item["pattern"] for item in plan["passes"]]
    assert drive.medium.read_bytes() == model.content(plan["passes"][-1]["pattern"], SIZE)
    written = sum(request.size for request in drive.recorded() if request.kind is Kind.WRITE) - written_before
    markers = events_of(desk, "markers-started")
    marker_bytes = certificate["markers"]["places"] * SECTOR if certificate["markers"] else 0
    # An interval for each kill, and one more: a kill may come after a checkpoint's flush and before its record.
    most = len(plan["passes"]) * SIZE + len(markers) * marker_bytes + (kills + 1) * CHECKPOINT
    assert written <= most, f"{(written - most) // KIB} KiB too many"
    assert openers(drive.device) == []


def kill_until(tmp_path: Path, programs: Sequence[Words], kills: int, seed: int) -> None:
    chance = random.Random(seed)
    done = rounds = 0
    with fuse_drive(SIZE, records=True) as drive:
        while done < kills:
            fill_with_marker(drive.medium, SIZE)
            home = tmp_path / f"round-{rounds}"
            program = programs[rounds % len(programs)]
            try:
                done += kill_and_go_on(CommandLine(home, TUNING), drive, program, chance)
            except BaseException as error:
                error.add_note(f"in round {rounds} ({program}), seed {seed}, journal in {home}")
                raise
            shutil.rmtree(home)
            rounds += 1


@pytest.mark.parametrize("standard", STANDARDS)
def test_a_job_killed_at_any_moment_ends_as_in_one_piece(tmp_path: Path, standard: str) -> None:
    kill_until(tmp_path, [("--standard", standard)], KILLS_IN_A_ROW, SEED + STANDARDS.index(standard))


def test_a_job_that_writes_backwards_and_reads_between_ends_so_too(tmp_path: Path, between: Words) -> None:
    kill_until(tmp_path, [between], KILLS_IN_A_ROW, SEED)


@pytest.mark.soak
def test_a_job_killed_as_often_as_asked_ends_as_in_one_piece(tmp_path: Path, between: Words) -> None:
    seed = int(os.environ.get("ERASER_SOAK_SEED", time.time_ns() % 2**32))
    programs = [*(("--standard", standard) for standard in STANDARDS), between]
    kill_until(tmp_path, programs, int(os.environ.get("ERASER_SOAK_KILLS", "1000")), seed)


@pytest.mark.parametrize("last", ["finished", "verification-ended", "planned", "sight-began"])
def test_a_job_killed_around_its_certificate_or_its_beginning_has_one_in_the_end(desk: CommandLine, last: str) -> None:
    with fuse_drive(SIZE // 4) as drive:
        process = desk.start_erase(drive)
        while not events_of(desk, last) and process.poll() is None:
            time.sleep(0.0002)
        process.kill()
        process.communicate()
        ending = desk.resume(drive)
        assert ending.status == PASSED, ending
        (path,) = desk.certificates()
        assert desk.verifies(path)
        certificate = certificate_of({"certificate": path})
        assert certificate["outcome"] == "passed"
        assert drive.medium.read_bytes() == model.last_content(certificate, drive.size_bytes)


def test_a_job_killed_before_it_was_planned_is_in_nobodys_way(desk: CommandLine) -> None:
    with fuse_drive(SIZE // 4, Slow(SPEED)) as drive:
        process = desk.start_erase(drive)
        wait_until(lambda: bool(events_of(desk, "sight-began")), "the job to begin", deadline_s=30)
        process.kill()
        process.communicate()
        (journal,) = (desk.home / "eraser" / "journal").glob("*.journal")
        first, second, *_ = journal.read_bytes().splitlines(keepends=True)
        journal.write_bytes(first + second[:-20])  # torn, as by the death of the host
        ending = desk.erase(drive)
        assert ending.status == PASSED, ending
        assert len(desk.certificates()) == 1


# Changed elsewhere


def stopped_in(desk: CommandLine, drive: FuseDrive, standard: str, pass_number: int) -> int:
    """A job interrupted in the middle of a pass; up to which byte of it the drive was written."""

    def position() -> int:
        found = [event for event in events_of(desk, "checkpoint") if event["number"] == pass_number]
        return max((event["position_bytes"] for event in found), default=0)

    process = desk.start_erase(drive, standard=standard)
    wait_until(lambda: position() >= SIZE // 4, f"a quarter of pass {pass_number}", deadline_s=30)
    process.send_signal(signal.SIGINT)
    assert finished(process).status == INTERRUPTED
    assert position() < SIZE * 3 // 4
    return position()


def change(drive: FuseDrive, offset: int, size: int = SECTOR) -> None:
    """What somebody else writes to the drive while it is in another machine."""
    with drive.medium.open("r+b") as medium:
        medium.seek(offset)
        medium.write(b"\x5a" * size)


@pytest.mark.parametrize("where", ["written", "at its first byte", "not written yet", "at its last byte", "just ahead"])
def test_a_drive_changed_elsewhere_in_the_middle_of_a_program_gets_all_its_passes_again(
    desk: CommandLine, where: str
) -> None:
    with fuse_drive(SIZE, Slow(SPEED / 2), records=True) as drive:
        position = stopped_in(desk, drive, "gb-46864-2025", 2)
        drive.unplug()
        offset = {
            "written": position // 2,
            "at its first byte": 0,
            "not written yet": SIZE - 16 * SECTOR,
            "at its last byte": SIZE - SECTOR,
            "just ahead": position + SECTOR,
        }[where]
        change(drive, offset)
        drive.become()
        drive.plug_in()
        ending = desk.resume(drive)
        assert ending.status == PASSED, ending
        assert len(ending.certificate["restarts"]) == 1
        # Every pass went over every byte, after the change.
        assert ending.result["bytes_written"] == 3 * SIZE
        assert drive.medium.read_bytes() == model.last_content(ending.certificate, SIZE)


def test_a_drive_left_alone_elsewhere_goes_on_where_it_stopped(desk: CommandLine) -> None:
    with fuse_drive(SIZE, Slow(SPEED / 2)) as drive:
        position = stopped_in(desk, drive, "gb-46864-2025", 2)
        drive.become()
        drive.replug()
        ending = desk.resume(drive)
        assert ending.status == PASSED, ending
        assert ending.certificate["restarts"] == []
        assert ending.result["bytes_written"] == 2 * SIZE - position


def test_a_drive_changed_elsewhere_in_what_the_last_pass_had_written_fails(desk: CommandLine) -> None:
    with fuse_drive(SIZE, Slow(SPEED / 2)) as drive:
        stopped_in(desk, drive, "random", 1)
        drive.unplug()
        change(drive, 5 * SECTOR, 3 * SECTOR)
        drive.become()
        drive.plug_in()
        ending = desk.resume(drive)
        assert ending.status == FAILED, ending
        assert "mismatch" in reasons_of(ending.certificate)
        assert ending.certificate["final_verification"]["run"]["mismatched_sectors"] == 3
        assert ending.certificate["final_verification"]["run"]["first_mismatches"] == [
            place * SECTOR for place in (5, 6, 7)
        ]


# A journal that has no room


@contextmanager
def small_disk() -> Iterator[Path]:
    """A file system with room for next to nothing."""
    with scratch_folder() as folder:
        run("mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", folder)
        try:
            yield folder
        finally:
            run("umount", folder)


def fill_up(folder: Path) -> Path:
    """Leave no room in `folder`; the file that takes it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return filler


def test_a_journal_that_runs_out_of_room_stops_the_job_and_loses_nothing() -> None:
    with small_disk() as home, fuse_drive(SIZE, Slow(SPEED / 4)) as drive:
        desk = CommandLine(home, {"checkpoint_bytes": 64 * KIB, "block_bytes": 32 * KIB})
        process = desk.start_erase(drive)
        drive.wait_for(lambda counts: counts.bytes_written > SIZE // 4, "a quarter to be written")
        filler = fill_up(home)
        ending = finished(process)
        assert ending.status == INTERRUPTED, ending
        assert "No space left" in ending.result["reason"] and "journal" in ending.result["reason"]
        assert "Traceback" not in ending.errors
        wait_until(lambda: not openers(drive.device), "the transfer process to end")

        again = desk.erase(drive)
        assert again.status != PASSED, "there still is a job"
        filler.unlink()
        drive.become()
        ending = desk.resume(drive)
        assert ending.status == PASSED, ending
        assert 0 < ending.result["bytes_written"] < SIZE
        assert drive.medium.read_bytes() == model.last_content(ending.certificate, SIZE)


def test_a_certificate_that_finds_no_room_is_issued_by_a_resume_when_there_is() -> None:
    with small_disk() as folder, scratch_folder() as home, fuse_drive(SIZE) as drive:
        desk = CommandLine(home)
        filler = fill_up(folder)
        ending = desk.erase(drive, words=("--certificates", folder))
        assert ending.status == INTERRUPTED, ending
        assert "No space left" in ending.result["reason"]
        assert list(folder.glob("*.json")) == []
        filler.unlink()
        written = drive.counts.bytes_written
        ending = desk.run("resume", drive.device, "--certificates", folder, "--json")
        assert ending.status == PASSED, ending
        assert drive.counts.bytes_written == written
        (path,) = folder.glob("*.json")
        assert str(path) == ending.result["certificate"]
        assert desk.verifies(path)
        assert drive.medium.read_bytes() == model.last_content(ending.certificate, SIZE)


def test_without_room_for_a_journal_nothing_is_written_to_the_drive() -> None:
    with small_disk() as home, fuse_drive(SIZE) as drive:
        desk = CommandLine(home)
        fill_up(home)
        ending = desk.erase(drive)
        assert ending.status not in (PASSED, INTERRUPTED), ending
        assert "No space left" in ending.output + ending.errors
        assert "Traceback" not in ending.errors
        assert drive.counts.bytes_written == 0


# Stopped in the stages beside the passes

STOPS = {"SIGINT": signal.SIGINT, "SIGKILL": signal.SIGKILL}


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("reads", [False, True], ids=["writing", "reading"])
def test_a_job_stopped_among_its_markers_passes_in_the_end(desk: CommandLine, stop: str, reads: bool) -> None:
    with fuse_drive(SIZE, Slow(SPEED / 32)) as drive:
        process = desk.start_erase(drive, standard="zero")
        wait_until(lambda: bool(events_of(desk, "markers-started")), "markers to be begun", deadline_s=30)
        before = drive.counts
        drive.wait_for(
            lambda counts: counts.bytes_read > before.bytes_read + 16 * KIB if reads else counts.bytes_written > 0,
            "markers to come",
        )
        process.send_signal(STOPS[stop])
        finished(process)
        assert desk.events()[-1]["kind"] != "pass-started"
        drive.become()
        ending = desk.resume(drive)
        assert ending.status == PASSED, ending
        assert drive.medium.read_bytes() == bytes(SIZE)


@pytest.mark.parametrize("stop", STOPS)
def test_a_job_stopped_while_it_reads_between_its_passes_passes_in_the_end(
    desk: CommandLine, between: Words, stop: str
) -> None:
    with fuse_drive(SIZE, Slow(SPEED)) as drive:
        process = desk.start("erase", drive.device, *between, "--json", "--yes")
        wait_until(lambda: len(events_of(desk, "verification-started")) == 2, "pass 2 to be read", deadline_s=30)
        process.send_signal(STOPS[stop])
        finished(process)
        assert len(events_of(desk, "pass-started")) == 2
        drive.become()
        ending = desk.resume(drive)
        assert ending.status == PASSED, ending
        certificate = ending.certificate
        assert certificate["restarts"] == []
        assert [item["pass_number"] for item in certificate["pass_verifications"]] == [1, 2]
        assert drive.medium.read_bytes() == model.last_content(certificate, SIZE)
