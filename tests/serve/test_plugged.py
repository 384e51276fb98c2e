"""Disks that the kernel adds and removes while a station runs: its own messages, no simulation."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.lab import count_marker, fill_with_marker, read_all, zram_slot
from tests.rack import model
from tests.serve.station import Running, Site

MIB = 1 << 20
SIZE = 32 * MIB
BAY = "Z1"
PULLS = 12
SEED = 20261126

# One worker, so that the other does not wait for the lock.
pytestmark = [pytest.mark.lab("root"), pytest.mark.xdist_group("zram")]


def until_in_state(station: Running, state: str, within_s: float) -> float:
    """Seconds until the bay is in a state."""
    return station.until(lambda: station.bays()[BAY]["state"] == state, state, within_s=within_s)


@pytest.mark.serial
def test_a_disk_that_the_kernel_adds_is_identified_within_a_second_and_erased_and_leaves_when_it_is_pulled(
    tmp_path: Path,
) -> None:
    with zram_slot() as slot:
        site = Site(tmp_path, {BAY: f"lab-{slot.name}"}, starts_by_itself=False)
        with site.running() as station:
            station.until_answering()
            for jobs in (1, 2):  # the second disk has the first one's name and is another
                began_s = time.monotonic()
                slot.plug(SIZE)
                until_in_state(station, "asking", within_s=5)
                assert time.monotonic() - began_s < 1
                fill_with_marker(slot.device, SIZE)
                station.order(BAY, "start", standard="random", sighting=station.bays()[BAY]["sighting"])
                until_in_state(station, "passed", within_s=30)
                newest = max(site.certificates(), key=lambda item: item["issued_at"])
                assert newest["outcome"] == "passed"
                assert read_all(slot.device) == model.last_content(newest, SIZE)
                assert not count_marker(slot.device)
                slot.pull()
                until_in_state(station, "empty", within_s=1)
                assert len(site.certificates()) == jobs
            assert station.stop() < 10
        assert site.verifies_all()


def test_a_disk_may_be_pulled_at_any_moment_and_the_next_one_passes(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    with zram_slot() as slot:
        site = Site(tmp_path, {BAY: f"lab-{slot.name}"})
        with site.running() as station:
            station.until_answering()
            for _ in range(PULLS):
                slot.plug(SIZE)
                time.sleep(chance.uniform(0.0, 0.5))
                slot.pull()  # the kernel refuses while it is open: this is the first moment when it is not
            until_in_state(station, "empty", within_s=5)
            passed_before = len(site.certificates())
            slot.plug(SIZE)
            until_in_state(station, "passed", within_s=30)
            newest = max(site.certificates(), key=lambda item: item["issued_at"])
            assert read_all(slot.device) == model.last_content(newest, SIZE)
            assert not [event for event in station.events() if "fault" in event["event"]]
            assert station.stop() < 10
        certificates = site.certificates()
        assert len({item["job_id"] for item in certificates}) == len(certificates) == passed_before + 1
        assert site.verifies_all()
