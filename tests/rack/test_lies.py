"""The table of lies: drives that say all went well when it did not. None of them ever passes with full verification."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from eraser.engine.tuning import AccessLeast
from eraser.rack.erasing import Ended
from tests.lab import (
    EVERYWHERE,
    LAST_SECTOR,
    AnswersZeros,
    Behaviour,
    DropsWrites,
    FlipsBit,
    FuseDrive,
    LateWrites,
    On,
    OneSectorPer,
    RepeatsPreviousBlock,
    RevertsAfterFlush,
    RevertsAfterReplug,
    Slow,
    Span,
    StaleReads,
    WrapsAt,
    WritesBeside,
    count_marker,
    fill_with_marker,
    fuse_drive,
    read_all,
    wait_until,
)
from tests.rack import model, station
from tests.rack.command import FAILED, INTERRUPTED, PASSED, CommandLine, finished, reasons_of

SECTOR = 512
SIZE = 1 << 20
NOW_AND_THEN = OneSectorPer(SIZE // 16, nth=5)
"""What one sector in each GiB is on a drive of 16 GiB."""
SOMEWHERE = Span(SIZE // 3 // SECTOR * SECTOR, SIZE // 2)


@dataclass(frozen=True)
class Lie:
    """A row: how the drive lies. `reads_truly`: reading it gives what is on the medium, so differences can be counted."""

    behaviour: Behaviour
    reads_truly: bool = True


LIES = {
    "drops every write": Lie(DropsWrites()),
    "drops writes to its last sector": Lie(DropsWrites(LAST_SECTOR)),
    "drops writes to its first sector": Lie(DropsWrites(Span(0, SECTOR))),
    "drops writes to a sector now and then": Lie(DropsWrites(NOW_AND_THEN)),
    "drops writes to a range": Lie(DropsWrites(SOMEWHERE)),
    "answers what was there before": Lie(StaleReads(), reads_truly=False),
    "answers what was there before, now and then": Lie(StaleReads(NOW_AND_THEN), reads_truly=False),
    "answers what was there before in its last sector": Lie(StaleReads(LAST_SECTOR), reads_truly=False),
    "forgets all and answers zeros": Lie(AnswersZeros(), reads_truly=False),
    "forgets a range and answers zeros": Lie(AnswersZeros(SOMEWHERE), reads_truly=False),
    "forgets its last sector and answers zeros": Lie(AnswersZeros(LAST_SECTOR), reads_truly=False),
    "has half its size": Lie(WrapsAt(), reads_truly=False),
    "has a third of its size": Lie(WrapsAt(SIZE // 3 // SECTOR * SECTOR), reads_truly=False),
    "has an odd part of its size": Lie(WrapsAt(1237 * SECTOR), reads_truly=False),
    "has a sector less than it says": Lie(WrapsAt(SIZE - SECTOR), reads_truly=False),
    "has one sector": Lie(WrapsAt(SECTOR), reads_truly=False),
    "takes everything back at a flush": Lie(RevertsAfterFlush()),
    "takes a range back at a flush": Lie(RevertsAfterFlush(SOMEWHERE)),
    "takes its last sector back at a flush": Lie(RevertsAfterFlush(LAST_SECTOR)),
    "writes late": Lie(LateWrites(3)),
    "never writes what came last": Lie(LateWrites(1)),
    "writes beside": Lie(WritesBeside()),
    "writes its last sector beside": Lie(WritesBeside(LAST_SECTOR)),
    "writes a sector beside, now and then": Lie(WritesBeside(NOW_AND_THEN)),
    "repeats the sector before": Lie(RepeatsPreviousBlock(EVERYWHERE)),
    "turns a bit over when it is read": Lie(FlipsBit(SIZE // 2 + 77, 3), reads_truly=False),
    "turns a bit over when it is written": Lie(FlipsBit(SIZE - 1, 7, On.WRITE)),
}
PROGRAMS = ("zero", "random", "hmg-is5-enhanced", "nnsa")
ACCESSES = {"direct": AccessLeast.BEST, "O_DIRECT refused": AccessLeast.BUFFERED}


@pytest.fixture(scope="module")
def played() -> Iterator[FuseDrive]:
    with fuse_drive(SIZE) as drive:
        yield drive


@pytest.fixture
def drive(played: FuseDrive) -> FuseDrive:
    """Honest and full of a customer's data, with nothing of it in any cache."""
    played.unplug()
    played.become()
    fill_with_marker(played.medium, SIZE)
    played.plug_in()
    return played


@pytest.mark.lab("root", "loop", "fuse")
@pytest.mark.parametrize("access", ACCESSES)
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("lie", LIES)
def test_a_drive_that_lies_never_passes(drive: FuseDrive, tmp_path: Path, lie: str, program: str, access: str) -> None:
    row = LIES[lie]
    drive.become(row.behaviour)
    at = station.station(tmp_path, access_least=ACCESSES[access], checkpoint_bytes=SIZE // 2)
    result, certificate = station.erase(at, drive.device, program)
    assert result.outcome is Ended.FAILED
    assert {reason["code"] for reason in certificate["reasons"]} & {"mismatch", "markers-differ"}
    assert certificate["outcome"] == "failed"
    assert certificate["sanitization"]["claim"] == ""
    assert certificate["sanitization"]["level_reached"] is None
    reading = certificate["final_verification"]
    if row.reads_truly and reading is not None:
        # What the medium really holds is what the certificate counts.
        expected = model.last_content(certificate, SIZE)
        differing = model.differing_sectors(drive.medium.read_bytes(), expected, SECTOR)
        assert reading["run"]["mismatched_sectors"] == len(differing)
        assert reading["run"]["first_mismatches"] == differing[: len(reading["run"]["first_mismatches"])]


SEEN_BY_MARKERS = (
    "drops every write",
    "forgets all and answers zeros",
    "has half its size",
    "takes everything back at a flush",
)


@pytest.mark.lab("root", "loop", "fuse")
@pytest.mark.parametrize("lie", SEEN_BY_MARKERS)
def test_a_drive_that_keeps_nothing_does_not_pass_where_nothing_is_read_back(
    drive: FuseDrive, tmp_path: Path, lie: str
) -> None:
    drive.become(LIES[lie].behaviour)
    ending = CommandLine(tmp_path).erase(drive, words=("--verify", "none"))
    assert ending.status == FAILED, ending
    assert "markers-differ" in reasons_of(ending.certificate)


@pytest.mark.lab("root", "loop", "fuse")
def test_an_honest_drive_passes_where_nothing_is_read_back(drive: FuseDrive, tmp_path: Path) -> None:
    ending = CommandLine(tmp_path).erase(drive, words=("--verify", "none"))
    assert ending.status == PASSED, ending
    assert ending.certificate["final_verification"] is None
    assert drive.medium.read_bytes() == model.last_content(ending.certificate, SIZE)


@pytest.mark.lab("root", "loop", "fuse")
@pytest.mark.parametrize("access", ACCESSES)
@pytest.mark.parametrize("program", PROGRAMS)
def test_an_honest_drive_passes(drive: FuseDrive, tmp_path: Path, program: str, access: str) -> None:
    at = station.station(tmp_path, access_least=ACCESSES[access], checkpoint_bytes=SIZE // 2)
    result, certificate = station.erase(at, drive.device, program)
    assert result.outcome is Ended.PASSED, result.reason
    used = certificate["final_verification"]["run"]["access"]
    assert ("buffered" in used) == (access == "O_DIRECT refused")
    assert drive.medium.read_bytes() == model.last_content(certificate, SIZE)
    assert count_marker(drive.device) == 0


PULLED = {
    "forgets everything when it is pulled": RevertsAfterReplug(),
    "forgets a range when it is pulled": RevertsAfterReplug(Span(0, 8 * SECTOR)),
    "forgets its first sector when it is pulled": RevertsAfterReplug(Span(0, SECTOR)),
    "loses when it is pulled what it says is flushed": LateWrites(4, reads_see_them=True),
}


@pytest.mark.lab("root", "loop", "fuse")
@pytest.mark.parametrize("lie", PULLED)
def test_a_drive_that_forgets_when_it_is_pulled_does_not_pass_on_what_was_written_before(
    drive: FuseDrive, tmp_path: Path, lie: str
) -> None:
    desk = CommandLine(tmp_path, {"checkpoint_bytes": SIZE // 8, "block_bytes": SIZE // 32})
    drive.become(Slow(2 * SIZE), PULLED[lie])
    with desk.start_erase(drive) as running:
        wait_until(lambda: last_checkpoint(desk) >= SIZE // 4, "a quarter to be written")
        running.send_signal(signal.SIGINT)
        assert finished(running).status == INTERRUPTED
    drive.replug()
    ending = desk.resume(drive)
    assert ending.status == FAILED, ending
    assert "mismatch" in reasons_of(ending.certificate)
    expected = model.last_content(ending.certificate, SIZE)
    differing = model.differing_sectors(read_all(drive.device), expected, SECTOR)
    assert ending.certificate["final_verification"]["run"]["mismatched_sectors"] == len(differing) > 0


def last_checkpoint(desk: CommandLine) -> int:
    """The position of the last checkpoint on record, in bytes."""
    return max((event["position_bytes"] for event in desk.events() if event["kind"] == "checkpoint"), default=0)
