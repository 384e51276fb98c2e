"""`eraser serve` and its ledger: a database that can't be used, one that goes away, a disk that fills."""

from __future__ import annotations

import contextlib
import shutil
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from eraser.ledger.check import check
from eraser.ledger.engine import open_engine, sqlite_url
from eraser.ledger.migrating import migrate
from tests.console.serving import free_port
from tests.ledger.conftest import new_postgresql, postgresql, postgresql_server  # noqa: F401
from tests.rack.command import ERASER
from tests.rack.serving import serving

pytestmark = pytest.mark.serial


# ---- bad input


def a_ledger(path: Path) -> None:
    engine = open_engine(sqlite_url(path))
    migrate(engine)
    engine.dispose()


def of_a_newer_version(path: Path) -> None:
    a_ledger(path)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")


def corrupt(path: Path) -> None:
    a_ledger(path)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"garbage" * 900)


def no_database(path: Path) -> None:
    path.write_bytes(b"no database at all" * 300)


def somebody_elses(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE accounts (id INTEGER)")


def a_folder(path: Path) -> None:
    path.mkdir()


def what_is_there(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def serve_with(url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    words = [ERASER, "serve", "--simulate", "1", "--data", str(folder / "data"), "--listen", "127.0.0.1:0"]
    return subprocess.run(
        words, env={"ERASER_LEDGER__URL": url}, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (of_a_newer_version, "newer version of Eraser (revision 9999"),
        (corrupt, "is corrupt"),
        (no_database, "is corrupt (file is not a database)"),
        (somebody_elses, "not the ledger's"),
        (a_folder, "can't be written"),
    ],
)
def test_a_database_that_cannot_be_used_stops_the_start_with_what_to_do_and_is_left_as_it_is(
    tmp_path: Path, make: Callable[[Path], None], told: str
) -> None:
    path = tmp_path / "ledger.db"
    make(path)
    before = what_is_there(path)
    ended = serve_with(sqlite_url(path), tmp_path)
    assert ended.returncode == 4
    assert str(path) in ended.stderr and told in ended.stderr and "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert what_is_there(path) == before


def test_a_database_server_that_is_not_there_stops_the_start_and_its_password_is_not_shown(tmp_path: Path) -> None:
    ended = serve_with("postgresql://eraser:secret@127.0.0.1:1/ledger", tmp_path)
    assert ended.returncode == 4
    assert "can't be reached" in ended.stderr and "secret" not in ended.stderr and "Traceback" not in ended.stderr


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.lab("root")
def test_a_read_only_disk_stops_the_start(tmp_path: Path) -> None:
    with small_disk(tmp_path, "4m") as disk:
        a_ledger(disk / "ledger.db")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        ended = serve_with(sqlite_url(disk / "ledger.db"), tmp_path)
    assert ended.returncode == 4
    assert "can't be written" in ended.stderr and "read-only" in ended.stderr and "Traceback" not in ended.stderr


# ---- a disk that fills


def metric(port: int, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines: list[str] = answer.read().decode().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name} "))
    return float(line.rpartition(" ")[2])


def until(is_so: Callable[[], bool], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return filler


@pytest.mark.lab("root")
def test_a_ledger_disk_that_fills_costs_nothing_but_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    with small_disk(tmp_path, "6m") as disk:
        monkeypatch.setenv("ERASER_LEDGER__URL", sqlite_url(disk / "ledger.db"))
        is_full = lambda: metric(port, "eraser_ledger_full") == 1  # noqa: E731
        with serving(tmp_path / "data", "--simulate", 6, "--fast", "--listen", f"127.0.0.1:{port}") as station:
            station.until(lambda seen: seen["job begins"] >= 3, within_s=30)
            filler = fill(disk)
            until(is_full, within_s=30)
            assert metric(port, "eraser_ready") == 0
            filler.unlink()
            until(lambda: not is_full(), within_s=20)
            before = len(station.certificates())
            station.until(lambda seen: seen["passed"] + seen["failed"] > before, within_s=60)
            filler = fill(disk)
            until(is_full, within_s=60)
            assert station.stop() < 10 and station.process.returncode == 0
        filler.unlink()
        shutil.copytree(disk, tmp_path / "kept")
    report = check(sqlite_url(tmp_path / "kept" / "ledger.db"))
    assert report.is_clean and report.open_jobs, report.findings
    assert len(station.certificates()) >= report.certificates


# ---- a server that goes away


class Cable:
    """To a PostgreSQL server's Unix socket, over TCP; it can be pulled and plugged in again."""

    def __init__(self, server: Path) -> None:
        self._server = server
        self._ends: list[socket.socket] = []
        self.is_plugged = True
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def pull(self) -> None:
        self.is_plugged = False
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._ends.clear()

    def close(self) -> None:
        self.pull()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if not self.is_plugged:
                    client.close()
                    continue
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._server))
                self._ends += [client, server]
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    @staticmethod
    def _carry(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def test_jobs_stop_where_the_database_server_goes_away_and_go_on_when_it_is_back(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    postgresql: str,  # noqa: F811
) -> None:
    direct = make_url(postgresql)
    folder = direct.query["host"]
    cable = Cable(next(Path(str(folder)).glob(".s.PGSQL.*[0-9]")))
    url = direct.set(query={}, host="127.0.0.1", port=cable.port)
    monkeypatch.setenv("ERASER_LEDGER__URL", url.render_as_string(hide_password=False))
    try:
        with serving(tmp_path / "data", "--simulate", 4, "--fast") as station:
            station.until(lambda seen: seen["job begins"] >= 2, within_s=30)
            certificates = len(station.certificates())
            cable.pull()
            station.until(lambda seen: seen["interrupted"] >= 1, within_s=30)
            reasons = [event["reason"] for event in station.events() if event["event"] == "interrupted"]
            assert any("database server" in reason for reason in reasons)
            assert station.stop() < 10
            assert len(station.certificates()) <= certificates + 4
        cable.is_plugged = True
        began = {event["job"] for event in station.events() if event["event"] == "interrupted"} - {"-"}
        with serving(tmp_path / "data", "--simulate", 4, "--fast") as station:
            done = ("passed", "failed", "held")
            ended: Callable[[], set[Any]] = lambda: {  # noqa: E731
                event["job"] for event in station.events() if event["event"] in done
            }
            station.until(lambda _: began <= ended(), within_s=90)
            station.stop()
        report = check(postgresql)
        assert report.is_clean, report.findings
    finally:
        cable.close()
