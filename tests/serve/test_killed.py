"""The server killed at any moment, and started again at once: each job has one certificate in the end, and none lies."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.lab import LoopDrive, Need, count_marker, fill_with_marker, loop_drive, require
from tests.lab.loop import openers, wait_until
from tests.rack import model
from tests.serve.station import ReadyMade, Running, Site, assert_erased, bays_of, ready_made

KIB, MIB = 1 << 10, 1 << 20
SIZES = tuple(size * 512 * KIB for size in (1, 2, 3, 4, 6, 8, 8))
"""Of the drives: the first are done when the last have hardly begun."""
RATE = len(SIZES) * 10_000_000
"""Bytes a second of all drives together, which a bus carries: each gets its share at once, and takes up to a second."""
TUNING = {"checkpoint_bytes": 256 * KIB, "block_bytes": 32 * KIB}
KILLS = 20
KILLS_IN_A_ROW = 10
MOMENTS = ("drive arrived", "identifying", "waiting", "job begins", "passed")
"""Events of the log around which much happens at once."""
MOMENT_S = 2.0
"""An event that has not come by then does not come: all that is left is done, or asks."""
SEED = 20261125

pytestmark = pytest.mark.lab("root", "loop")


def kill_somewhen(station: Running, chance: random.Random) -> None:
    """Among its first steps, around one of the log's events, or in the middle of the writing and reading."""
    match chance.randrange(3):
        case 0:
            moment, many, delay_s = "", 0, chance.uniform(0.0, 0.5)
        case 1:
            moment, many, delay_s = chance.choice(MOMENTS), chance.randint(1, 3), chance.uniform(0.0, 0.03)
        case _:
            moment, many, delay_s = "job begins", 1, chance.uniform(0.0, 0.6)
    end_s = time.monotonic() + MOMENT_S
    while len(station.events_of(moment)) < many and time.monotonic() < end_s:
        time.sleep(0.002)
    time.sleep(delay_s)
    station.kill()


def check_certificates(site: Site, drives: Sequence[LoopDrive], checked: set[str]) -> None:
    """What a certificate says to be erased is so, and has one certificate. `checked` are devices that need no look again."""
    by_device = {str(drive.device): drive for drive in drives}
    certificates = site.certificates()
    assert len({item["job_id"] for item in certificates}) == len(certificates)
    assert len({item["drive"]["path"] for item in certificates}) == len(certificates)
    for certificate in certificates:
        device = certificate["drive"]["path"]
        if device not in checked:
            assert certificate["outcome"] == "passed", certificate["reasons"]
            assert not count_marker(by_device[device].medium)
            assert by_device[device].medium.read_bytes() == model.last_content(
                certificate, by_device[device].size_bytes
            )
            checked.add(device)


def one_round(site: Site, drives: Sequence[LoopDrive], kills: int, chance: random.Random) -> int:
    """Drives with data on them, erased by a server that is killed up to `kills` times on its way; how often it was."""
    for drive in drives:
        fill_with_marker(drive.medium, drive.size_bytes)
    done = 0
    checked: set[str] = set()
    while done < kills and len(checked) < len(drives):
        kill_somewhen(site.start(), chance)
        done += 1
        check_certificates(site, drives, checked)
    with site.running() as station:
        station.until(lambda: len(site.certificate_files()) == len(drives), "all certificates", within_s=60)
        station.until_answering()
        assert station.stop() < 10
    assert_erased(site, *drives)
    wait_until(lambda: not any(openers(drive.device) for drive in drives), "the transfers to go with their parent")
    return done


def kill_until(tmp_path: Path, kills: int, seed: int) -> None:
    """Rounds of new jobs until the server has been killed so often."""
    require(Need.LOOP)
    chance = random.Random(seed)
    done = rounds = 0
    with ExitStack() as stack:
        start = stack.enter_context(ready_made(**TUNING))
        drives = [stack.enter_context(loop_drive(size)) for size in SIZES]
        while done < kills:
            site = slowed_site(tmp_path / f"round-{rounds}", drives, start)
            try:
                done += one_round(site, drives, min(KILLS_IN_A_ROW, kills - done), chance)
            except BaseException as error:
                error.add_note(f"in round {rounds}, after {done} kills, seed {seed}, station in {site.folder}")
                raise
            rounds += 1


def slowed_site(folder: Path, drives: Sequence[LoopDrive], start: ReadyMade) -> Site:
    """A station whose drives share a bus that carries `RATE`."""
    bus = f'[[bandwidth_domains]]\nname = "bus"\nmax_bytes_per_second = {RATE}\n'
    return Site(folder, bays_of(*drives), words=bus, each_bay='bandwidth_domains = ["bus"]\n', start=start)


def test_a_server_killed_at_random_moments_ends_with_one_true_certificate_a_job(tmp_path: Path) -> None:
    kill_until(tmp_path, KILLS, SEED)


@pytest.mark.soak
def test_a_server_killed_as_often_as_asked_ends_so_too(tmp_path: Path) -> None:
    # A kill of a server is one of seven jobs: 200 of them for the thousand of one command.
    seed = int(os.environ.get("ERASER_SOAK_SEED", time.time_ns() % 2**32))
    kill_until(tmp_path, int(os.environ.get("ERASER_SOAK_KILLS", "1000")) // 5, seed)
