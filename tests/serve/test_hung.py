"""Drives that hang: nobody waits for them, the server ends, and what they write late is in nobody's *passed*."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from tests.lab import (
    FuseDrive,
    Hangs,
    LoopDrive,
    Need,
    On,
    Span,
    count_marker,
    fill_with_marker,
    fuse_drive,
    loop_drive,
    read_all,
    require,
)
from tests.rack import model
from tests.serve.station import Running, Site, assert_erased, bays_of

MIB = 1 << 20
SIZE = 8 * MIB
OTHERS = 12
OTHERS_SOAKED = 31
HANGS = {
    "in a read": Hangs(On.READ, region=Span(SIZE // 2, SIZE)),
    "in a flush": Hangs(On.FLUSH),
    "with its queue full": Hangs(On.WRITE),
}
OTHER_TESTS_S = 5.0
"""What the machine's other work may cost; who waits for a drive that hangs waits for half a minute at least."""
END_S = 10.0
"""Within this the server is gone after SIGTERM, whatever hangs."""

pytestmark = pytest.mark.lab("root", "loop", "fuse")


@contextmanager
def a_rack(others: int) -> Iterator[tuple[list[FuseDrive], list[LoopDrive]]]:
    """A drive for each way to hang, honest so far, and sound ones."""
    require(Need.FUSE)
    with ExitStack() as stack:
        hung = [stack.enter_context(fuse_drive(SIZE)) for _ in HANGS]
        yield hung, [stack.enter_context(loop_drive(SIZE)) for _ in range(others)]


def seconds_to_pass(station: Running) -> list[float]:
    """Of every bay that has passed: from the start of its job."""

    def times(name: str) -> dict[str, datetime]:
        return {event["bay"]: datetime.fromisoformat(event["timestamp"]) for event in station.events_of(name)}

    began, passed = times("job begins"), times("passed")
    return [(passed[bay] - began[bay]).total_seconds() for bay in passed]


def usual_seconds(folder: Path, others: list[LoopDrive]) -> float:
    """How long the slowest of the sound drives takes when nothing hangs."""
    with Site(folder, bays_of(*others)).running() as station:
        station.until_passed(len(others), within_s=60)
        return max(seconds_to_pass(station))


def hang_beside_others(folder: Path, others_count: int) -> None:
    with a_rack(others_count) as (hung, others):
        usual_s = usual_seconds(folder / "usual", others)
        for drive in others:
            fill_with_marker(drive.medium, SIZE)
        for drive, how in zip(hung, HANGS.values(), strict=True):
            drive.become(how)
        site = Site(folder / "station", bays_of(*hung, *others))
        with site.running() as station:
            for drive in hung:
                drive.wait_for(lambda counts: counts.held > 0, "the drive to hang")
            station.until_passed(len(others), within_s=60)
            # Nobody has given the hung ones up yet: the others did not wait for that.
            assert not station.events_of("failed") and not station.events_of("held")
            assert max(seconds_to_pass(station)) < 3 * usual_s + OTHER_TESTS_S
            assert station.stop() < END_S
        assert_erased(site, *others)
        held_after_restart(site, hung, len(others))


def held_after_restart(site: Site, hung: list[FuseDrive], passed: int) -> None:
    """The next server says why the hung drives are held; let go and put back, they pass with what their job wrote."""
    with site.running() as station:
        names = list(bays_of(*hung))
        station.until_answering()

        def are_held() -> bool:
            bays = station.bays()
            return all(bays[name]["state"] == "held" for name in names)

        station.until(are_held, "the hung drives to be held", within_s=30)
        for name in names:
            reason = station.bays()[name]["reason"]
            assert "unfinished I/O" in reason and "power-cycle" in reason.lower()
        assert len(site.certificates()) == passed
        for drive in hung:
            drive.release()  # what it had taken is written now
            drive.become()
            drive.replug()
        station.until_passed(len(hung), within_s=30)
        assert station.stop() < END_S
    by_device = {item["drive"]["path"]: item for item in site.certificates()}
    assert len(by_device) == len(site.certificates()) == passed + len(hung)
    for drive in hung:
        certificate = by_device[str(drive.device)]
        assert certificate["outcome"] == "passed"
        assert read_all(drive.medium) == model.last_content(certificate, SIZE)
        assert not count_marker(drive.medium)
    assert site.verifies_all()


def test_drives_that_hang_delay_no_other_nor_the_end_and_pass_only_with_what_is_on_them(tmp_path: Path) -> None:
    hang_beside_others(tmp_path, OTHERS)


@pytest.mark.soak
def test_beside_31_others_it_is_the_same_as_often_as_asked(tmp_path: Path) -> None:
    for number in range(max(1, int(os.environ.get("ERASER_SOAK_KILLS", "1000")) // 100)):
        hang_beside_others(tmp_path / str(number), OTHERS_SOAKED)
