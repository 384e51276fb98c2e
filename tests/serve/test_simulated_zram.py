"""The fictional rack over real block devices of compressed memory, told of by the kernel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.lab import alone_with_zram, read_all, wait_until
from tests.lab.requirements import ZRAM_CONTROL
from tests.rack import model
from tests.rack.serving import Serving, serving

MARKER = b"SIMULATED CUSTOMER RECORD"
OPTIONS = ("--simulate", 8, "--fast", "--simulate-devices", "zram")

# One worker, so that the other does not wait for the lock.
pytestmark = [pytest.mark.lab("root"), pytest.mark.xdist_group("zram")]


def disks_of(data: Path) -> set[str]:
    """Names of the disks that a station has written down and that are still the ones it made."""
    found = set()
    for path in (data / "zram").glob("*.json"):
        form = json.loads(path.read_text())
        name = f"zram{form['number']}"
        try:
            is_same = int((Path("/sys/block") / name / "diskseq").read_text()) == form["diskseq"]
        except OSError:
            continue
        if is_same:
            found.add(name)
    return found


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A station's data folder. The disks that are left are removed, and there must be none."""
    folder = tmp_path / "data"
    with alone_with_zram():
        yield folder
        left = disks_of(folder)
        for name in left:
            wait_until(partial(removed, name.removeprefix("zram")), f"{name} to be let go")
    assert not left


def removed(number: str) -> bool:
    """Whether the kernel took the disk away."""
    try:
        (ZRAM_CONTROL / "hot_remove").write_text(number)
    except OSError:
        return False
    return True


def passed_ones(station: Serving) -> list[dict[str, Any]]:
    """Certificates that say so."""
    return [item for item in station.certificates() if item["outcome"] == "passed"]


def check_content(station: Serving, certificate: dict[str, Any]) -> bool:
    """Looks at a passed drive while it is still in its bay; False when it was not any more."""
    serial = certificate["drive"]["identity"]["serial"]
    note = station.data / "zram" / f"{serial}.json"
    try:
        before = note.read_bytes()
        content = read_all(Path(certificate["drive"]["path"]))
        if note.read_bytes() != before:
            return False
    except OSError:
        return False
    assert len(content) == json.loads(before)["note"]["size_bytes"]
    assert MARKER not in content
    assert content == model.last_content(certificate, len(content))
    return True


def test_drives_pass_and_fail_for_what_is_really_on_them_and_all_disks_go_at_the_end(data: Path) -> None:
    with serving(data, *OPTIONS) as station:
        station.until(lambda seen: seen["passed"] >= 3 and seen["failed"] >= 1, within_s=60)
        assert len(disks_of(data)) >= 4
        assert [item for item in passed_ones(station) if check_content(station, item)]
        failed = [item for item in station.certificates() if item["outcome"] == "failed"]
        for certificate in failed:  # for their own fault, not because the simulation wrote to them
            assert "foreign-write" not in [reason["code"] for reason in certificate["reasons"]]
        assert {item["drive"]["transport"] for item in station.certificates()} == {"zram"}
        assert {item["drive"]["identity"]["manufacturer"] for item in station.certificates()} == {"Simulated"}
        station.until(lambda seen: seen["drive left"] >= 1, within_s=60)  # one that is pulled too early
        assert station.stop() < 10
        assert station.process.returncode == 0


def test_disks_that_a_killed_run_left_go_on_with_their_jobs_and_go_at_the_end(data: Path) -> None:
    with serving(data, *OPTIONS) as station:
        station.until(lambda seen: seen["job begins"] >= 4, within_s=60)
        station.process.kill()
        station.process.wait()
        began = {event["serial"] for event in station.events() if event["event"] == "job begins"}
    assert disks_of(data)
    with serving(data, *OPTIONS) as station:

        def ended() -> set[str]:
            names = ("passed", "failed")
            return {event["serial"] for event in station.events() if event["event"] in names}

        station.until(lambda _: len(began & ended()) >= 2, within_s=60)
        assert station.stop() < 10
    mine = [item for item in station.certificates() if item["drive"]["identity"]["serial"] in began]
    assert [item for item in mine if item["sights"] == 2]  # written to in the first run, done in the second
