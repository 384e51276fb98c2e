"""`eraser serve` on a ledger from an older backup: it says so, and signs nothing until the log was restarted."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from eraser.ledger.backup import back_up
from eraser.ledger.check import check
from eraser.ledger.engine import sqlite_url
from tests.rack.command import ERASER
from tests.rack.serving import serving

WITHIN_S = 90.0


def eraser(data: Path, *words: object) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "ERASER_CONFIG": ""}
    done = subprocess.run(
        [ERASER, *map(str, words), "--data", str(data)],
        env=environ,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def problems(data: Path) -> list[str]:
    words = [ERASER, "status", "--json", "--socket", str(data / "eraser.sock")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return list(json.loads(done.stdout)["problems"]) if done.returncode == 0 else []


def due(data: Path) -> int:
    """Jobs that have ended and have no certificate."""
    with closing(sqlite3.connect(data / "ledger.db")) as connection:
        query = "SELECT count(*) FROM jobs WHERE is_open AND outcome IS NOT NULL"
        return int(connection.execute(query).fetchone()[0])


def test_a_restored_station_signs_nothing_until_the_log_was_restarted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data, "--simulate", 3, "--fast") as station:
        station.until(lambda seen: seen["station begins"] > 0, WITHIN_S)
        station.until(lambda _: len(station.certificates()) >= 1, WITHIN_S)
        back_up(sqlite_url(data / "ledger.db"), tmp_path / "backup", "now")
        count = len(station.certificates())
        station.until(lambda _: len(station.certificates()) > count, WITHIN_S)
        checkpoint = data / "log" / "checkpoint"
        station.until(lambda _: int(checkpoint.read_text().splitlines()[1]) > count, WITHIN_S)
        station.stop()
    for path in data.glob("ledger.db*"):
        path.unlink()
    done = eraser(data, "ledger", "restore", tmp_path / "backup")
    assert "NOTHING WILL BE SIGNED" in done.stdout
    assert "The ledger lacks certificate" in done.stdout
    before, signed = checkpoint.read_bytes(), sorted(path.name for path in (data / "certificates").glob("*.json"))
    with serving(data, "--simulate", 3, "--fast") as station:
        station.until(lambda seen: seen["station begins"] > 1, WITHIN_S)
        station.until(lambda _: any("Certificates that the ledger lacks" in item for item in problems(data)), WITHIN_S)
        station.until(lambda _: due(data) > 0, WITHIN_S)
        station.until(lambda _: any("can't be issued: nothing is signed" in item for item in problems(data)), WITHIN_S)
        station.stop()
    assert checkpoint.read_bytes() == before
    assert sorted(path.name for path in (data / "certificates").glob("*.json")) == signed
    assert "was restarted" in eraser(data, "log", "restart", "--reason", "a test", "--operator", "operator-7").stdout
    with serving(data, "--simulate", 3, "--fast", "--seed", 2) as station:
        station.until(lambda _: len(station.certificates()) > len(signed) and due(data) == 0, WITHIN_S)
        station.stop()
    assert check(sqlite_url(data / "ledger.db")).is_clean
