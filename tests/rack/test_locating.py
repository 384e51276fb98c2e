from __future__ import annotations

import time
from pathlib import Path

import pytest

from eraser.cli.station import now_utc
from eraser.drives.leds import SlotLight
from eraser.errors import DriveError
from eraser.rack.locating import READ_BYTES_PER_SECOND, blink, lit
from eraser.rack.rereading import OpenDrive
from tests.lab import MARKER, BadSectors, On, count_marker, fuse_drive, loop_drive
from tests.lab.regions import EVERYWHERE

SIZE_BYTES = 4 << 20


def reads_and_writes(name: str) -> tuple[int, int]:
    words = (Path("/sys/block") / name / "stat").read_text().split()
    return int(words[0]), int(words[4])


async def test_a_drives_own_light_blinks_for_as_long_as_asked_and_nothing_is_written() -> None:
    with loop_drive(SIZE_BYTES) as drive:
        before = reads_and_writes(drive.name)
        with OpenDrive(str(drive.device)) as opened:
            began = time.monotonic()
            read = await blink(opened, 1.5, now_utc=now_utc)
            took = time.monotonic() - began
        after = reads_and_writes(drive.name)
        assert 1.4 < took < 4
        assert 0 < read < READ_BYTES_PER_SECOND * took
        assert after[0] > before[0]
        assert after[1] == before[1]
        assert count_marker(drive.medium) == SIZE_BYTES // len(MARKER)


async def test_a_small_drive_blinks_on_after_it_has_been_read_once() -> None:
    with loop_drive(64 << 10) as drive, OpenDrive(str(drive.device)) as opened:
        assert await blink(opened, 1.2, now_utc=now_utc) > 64 << 10


async def test_a_drive_that_cannot_be_read_is_not_said_to_blink() -> None:
    with (
        fuse_drive(1 << 20, BadSectors(EVERYWHERE, On.READ)) as drive,
        OpenDrive(str(drive.device)) as opened,
        pytest.raises(DriveError, match="cannot be read"),
    ):
        await blink(opened, 0.5, now_utc=now_utc)


def test_a_slots_light_is_off_again_whatever_happens(tmp_path: Path) -> None:
    file = tmp_path / "locate"
    file.write_text("0")
    with pytest.raises(RuntimeError), lit(SlotLight("SES", file, "1", "0")):
        assert file.read_text() == "1"
        raise RuntimeError
    assert file.read_text() == "0"
