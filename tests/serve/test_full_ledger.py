"""The disk of the ledger fills while jobs run: they pause, nothing of them is lost, and they go on when there is room."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.lab import LoopDrive, Need, loop_drive, require
from tests.lab.loop import run
from tests.serve.station import Running, Site, assert_erased, bays_of, ready_made

KIB, MIB = 1 << 10, 1 << 20
SIZE = 12 * MIB
DRIVES = 4
BUS = f'[[bandwidth_domains]]\nname = "bus"\nmax_bytes_per_second = {DRIVES * 10_000_000}\n'
TUNING = {"checkpoint_bytes": MIB, "block_bytes": 256 * KIB}
ROOM = "8m"
FULL = "eraser_ledger_full"

pytestmark = pytest.mark.lab("root", "loop")


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of its own at `folder`, with little room."""
    folder.mkdir(parents=True)
    run("mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", folder)
    try:
        yield
    finally:
        run("umount", folder)


def fill_up(folder: Path) -> Path:
    """Leave no room in `folder`; the file that takes it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(64 * KIB))
        except OSError:
            return filler


@contextmanager
def a_site(folder: Path) -> Iterator[tuple[Site, list[LoopDrive]]]:
    """Drives that take a second or two each, and a station that keeps what it knows on a small disk."""
    require(Need.LOOP)
    with ExitStack() as stack:
        start = stack.enter_context(ready_made(**TUNING))
        drives = [stack.enter_context(loop_drive(SIZE)) for _ in range(DRIVES)]
        site = Site(folder, bays_of(*drives), words=BUS, each_bay='bandwidth_domains = ["bus"]\n', start=start)
        stack.enter_context(small_disk(site.data))
        yield site, drives


def until_writing(station: Running) -> None:
    """Every drive is written, and none is done."""

    def are_writing() -> bool:
        return all(bay["state"] == "writing" and bay["done_bytes"] > MIB for bay in station.bays().values())

    station.until_answering()
    station.until(are_writing, "all to be written", within_s=30)


def until_paused(station: Running) -> None:
    """All stand still, and the station says why."""

    def are_paused() -> bool:
        return {bay["state"] for bay in station.bays().values()} == {"paused"}

    station.until(are_paused, "all to pause", within_s=30)
    station.until(lambda: station.metric(FULL) == 1, "the metric to rise", within_s=5)
    status, reasons = station.ask("/health/ready")
    assert status == 503 and b"full" in reasons
    assert all("room" in bay["waits_for"] for bay in station.bays().values())
    assert not station.site.certificate_files()


def test_jobs_pause_while_the_ledger_has_no_room_and_pass_when_it_has(tmp_path: Path) -> None:
    with a_site(tmp_path / "station") as (site, drives), site.running() as station:
        until_writing(station)
        assert station.metric(FULL) == 0
        filler = fill_up(site.data)
        until_paused(station)
        filler.unlink()
        station.until_passed(DRIVES, within_s=60)
        station.until(lambda: station.metric(FULL) == 0, "the metric to fall", within_s=10)
        assert station.ask("/health/ready")[0] == 200
        assert station.stop() < 10
        assert_erased(site, *drives)


@pytest.mark.parametrize("end", ["SIGTERM", pytest.param("SIGKILL", marks=pytest.mark.soak)])
def test_a_station_that_ends_while_its_ledger_has_no_room_loses_nothing(tmp_path: Path, end: str) -> None:
    with a_site(tmp_path / "station") as (site, drives):
        with site.running() as station:
            until_writing(station)
            filler = fill_up(site.data)
            until_paused(station)
            if end == "SIGTERM":
                assert station.stop() < 10
        filler.unlink()
        with site.running() as station:
            station.until_passed(DRIVES, within_s=60)
            assert station.stop() < 10
        assert_erased(site, *drives)
        assert all(item["sights"] == 2 for item in site.certificates())
