from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from eraser.console import access, connection, server
from eraser.console.server import serve_http
from eraser.domain.sayings import Code, recalled, say
from eraser.errors import UsageError
from tests.console.serving import ask, connect, free_port
from tests.console.stations import FakeStation, a_snapshot
from tests.lab.requirements import Need, require


@dataclass(frozen=True)
class Served:
    station: FakeStation
    port: int
    socket: Path


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    here = Served(FakeStation(), free_port(), tmp_path / "eraser.sock")
    async with serve_http(here.station, listen=f"127.0.0.1:{here.port}", socket=here.socket):
        yield here


def assert_problem(answer, status: int, code: str) -> None:
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json["status"], answer.json["code"]) == (status, code)
    assert answer.json["detail"]


async def test_metrics_are_served_in_the_format_that_is_asked_for(served: Served) -> None:
    plain = await ask(served.port, "GET", "/metrics")
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b'eraser_bay_state{bay="A1",state="writing"} 1.0' in plain.body
    openly = await ask(served.port, "GET", "/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert openly.headers["content-type"].startswith("application/openmetrics-text")
    assert list(parse_openmetrics(openly.body.decode()))


async def test_ready_says_why_it_is_not(served: Served) -> None:
    assert (await ask(served.port, "GET", "/health/live")).status == 200
    ready = await ask(served.port, "GET", "/health/ready")
    assert (ready.status, ready.json) == (200, {"ready": True, "reasons": []})
    served.station.shown = a_snapshot(troubles=(recalled("the ledger's disk is full"),))
    ready = await ask(served.port, "GET", "/health/ready")
    assert (ready.status, ready.json) == (503, {"ready": False, "reasons": ["the ledger's disk is full"]})


async def test_ready_names_no_drive_and_no_file_to_people_who_are_not_signed_in(served: Served) -> None:
    troubles = (
        say(Code.TROUBLE_DRIVE, name="sda-SERIAL7", detail="/dev/sda of SERIAL7 is odd"),
        say(Code.TROUBLE_LEDGER, detail="postgresql://plant@db/ledger is away"),
        say(Code.TROUBLE_BAY, bay="A1", detail="SERIAL7"),
    )
    served.station.shown = a_snapshot(troubles=troubles)
    ready = await ask(served.port, "GET", "/health/ready")
    assert ready.json["reasons"] == [
        "drive is not attended to",
        "the ledger can't be read or written",
        "bay A1 is out of service",
    ]


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/api/v1/station"),
        ("GET", "/api/v1/bays/A1"),
        ("GET", "/api/v1/openapi.json"),
        ("POST", "/api/v1/bays/A1/cancel"),
        ("POST", "/metrics"),
        ("GET", "/nothing"),
    ],
)
async def test_nobody_is_shown_anything_but_metrics_and_health(served: Served, method: str, target: str) -> None:
    answer = await ask(served.port, method, target)
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "bearer"
    assert served.station.orders == []


async def test_a_header_does_not_make_tcp_a_unix_socket(served: Served) -> None:
    answer = await ask(served.port, "POST", "/api/v1/bays/A1/cancel", x_forwarded_for="unix", peer_uid="0")
    assert_problem(answer, 401, "unauthenticated")


@pytest.mark.parametrize("order", ["pause", "resume", "cancel"])
async def test_an_order_on_the_socket_reaches_its_bay(served: Served, order: str) -> None:
    answer = await ask(served.socket, "POST", f"/api/v1/bays/A1/{order}")
    assert (answer.status, answer.json) == (202, {"order": order, "bay": "A1"})
    assert served.station.orders == [(order, "A1")]


async def test_orders_with_a_body_reach_the_station(served: Served) -> None:
    start = await ask(
        served.socket, "POST", "/api/v1/bays/A1/start", {"standard": "nist-clear", "sighting": "seen-in-A1"}
    )
    retry = await ask(served.socket, "POST", "/api/v1/bays/A1/retry", {"sighting": "seen-in-A1"})
    maintain = await ask(served.socket, "POST", "/api/v1/bays/A1/maintenance", {"on": True})
    drain = await ask(served.socket, "POST", "/api/v1/drain", {"on": False})
    assert [start.status, retry.status, maintain.status, drain.status] == [202, 202, 202, 202]
    assert served.station.orders == [
        ("start", "A1", "nist-clear"),
        ("retry", "A1"),
        ("maintain", "A1", True),
        ("drain", False),
    ]
    assert served.station.operators == ["root", "root"]


@pytest.mark.parametrize("order", ["start", "retry", "pause", "resume", "cancel"])
async def test_an_order_for_another_drive_than_the_one_that_is_there_is_refused(served: Served, order: str) -> None:
    body = {"sighting": "seen-before"} | ({"standard": "nist-clear"} if order == "start" else {})
    answer = await ask(served.socket, "POST", f"/api/v1/bays/A1/{order}", body)
    assert_problem(answer, 409, "refused")
    assert answer.json["reason"] == "another-drive"
    assert served.station.orders == []


@pytest.mark.parametrize("body", [None, {}, {"sighting": 1}, {"sighting": "x", "bay": "A1"}])
async def test_a_retry_without_what_was_seen_is_none(served: Served, body: object) -> None:
    assert_problem(await ask(served.socket, "POST", "/api/v1/bays/A1/retry", body), 422, "usage")
    assert served.station.orders == []


async def test_bays_and_station_are_shown_on_the_socket(served: Served) -> None:
    station = (await ask(served.socket, "GET", "/api/v1/station")).json
    bays = (await ask(served.socket, "GET", "/api/v1/bays")).json
    bay = (await ask(served.socket, "GET", "/api/v1/bays/A1")).json
    assert station["bays"] == bays
    assert bays[0] == bay
    assert (bay["state"], bay["drive"]["identity"]["serial"]) == ("writing", "S3R1AL")
    assert station["jobs"] == [
        {"outcome": "failed", "standard": "gutmann", "count": 1},
        {"outcome": "passed", "standard": "nist-clear", "count": 5},
    ]


async def test_what_is_refused_is_a_problem_document(served: Served) -> None:
    served.station.refusing.add("A1")
    refused = await ask(served.socket, "POST", "/api/v1/bays/A1/pause")
    assert_problem(refused, 409, "refused")
    assert (refused.json["reason"], refused.json["remedy"]) == ("not-running", "Start one.")
    assert_problem(await ask(served.socket, "POST", "/api/v1/bays/Z9/pause"), 404, "not-found")
    assert_problem(await ask(served.socket, "GET", "/api/v1/bays/Z9"), 404, "not-found")
    assert_problem(await ask(served.socket, "GET", "/api/v1/nothing"), 404, "not-found")
    assert_problem(await ask(served.socket, "GET", "/api/v1/bays/A1/pause"), 405, "not-found")


@pytest.mark.parametrize(
    "body",
    [None, b"{", {}, {"standard": ""}, {"standard": "x"}, {"standard": "x", "sighting": "y", "bay": "A2"}, b"\xff\xfe"],
)
async def test_a_start_that_is_not_in_order_starts_nothing(served: Served, body: object) -> None:
    assert_problem(await ask(served.socket, "POST", "/api/v1/bays/A1/start", body), 422, "usage")
    assert served.station.orders == []


async def test_a_word_is_no_switch(served: Served) -> None:
    assert_problem(await ask(served.socket, "POST", "/api/v1/drain", {"on": "no"}), 422, "usage")
    assert served.station.orders == []


async def test_a_fault_of_the_station_is_told_without_what_it_was(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken():
        raise RuntimeError("secret")

    monkeypatch.setattr(served.station, "snapshot", broken)
    answer = await ask(served.socket, "GET", "/api/v1/station")
    assert_problem(answer, 500, "error")
    assert b"secret" not in answer.body


async def test_the_description_names_every_order(served: Served) -> None:
    paths = (await ask(served.socket, "GET", "/api/v1/openapi.json")).json["paths"]
    orders = ("start", "pause", "resume", "cancel", "retry", "maintenance")
    assert {"/api/v1/drain", *(f"/api/v1/bays/{{bay}}/{order}" for order in orders)} <= set(paths)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Unlike pytest's own, one that every user may enter."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.lab("root")
async def test_another_user_may_look_and_not_order(open_folder: Path) -> None:
    require(Need.ROOT, tools=("curl",))
    place, station = open_folder / "eraser.sock", FakeStation()
    async with serve_http(station, listen=None, socket=place):
        os.chmod(place, 0o666)  # noqa: PTH101  as if the user were of the socket's group
        looked = await curl_as_nobody(place, "GET", "/api/v1/station")
        ordered = await curl_as_nobody(place, "POST", "/api/v1/bays/A1/cancel")
    assert '"at":' in looked
    assert "not-a-master" in ordered
    assert station.orders == []


async def curl_as_nobody(place: Path, method: str, target: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *("curl", "-sS", "-m", "10", "-X", method, "--unix-socket", place, f"http://localhost{target}"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        user=65534,
        group=65534,
        extra_groups=[],
    )
    output, _ = await process.communicate()
    return output.decode()


async def test_a_port_that_is_taken_is_told_in_one_sentence_and_leaves_nothing_behind(tmp_path: Path) -> None:
    place = tmp_path / "eraser.sock"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UsageError, match="another program listens there already") as told:
            async with serve_http(FakeStation(), listen=listen, socket=place):
                pass
    assert told.value.subject == listen
    assert not place.exists()


@pytest.mark.parametrize("listen", ["nowhere.invalid:80", "192.0.2.1:80", "127.0.0.1", "127.0.0.1:99999", ":x"])
async def test_an_address_that_cannot_be_had_is_told(listen: str) -> None:
    with pytest.raises(UsageError) as told:
        async with serve_http(FakeStation(), listen=listen, socket=None):
            pass
    assert told.value.subject == listen


async def test_the_socket_of_a_dead_station_is_taken_over_and_that_of_a_living_one_is_not(served: Served) -> None:
    with pytest.raises(UsageError, match="a station is there already"):
        async with serve_http(FakeStation(), listen=None, socket=served.socket):
            pass
    assert (await ask(served.socket, "GET", "/health/live")).status == 200
    dead = served.socket.with_name("dead.sock")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(dead))
    async with serve_http(FakeStation(), listen=None, socket=dead):
        assert (await ask(dead, "GET", "/health/live")).status == 200
    assert not dead.exists()


async def test_the_socket_of_a_station_that_hangs_is_left_to_it(tmp_path: Path) -> None:
    place = tmp_path / "eraser.sock"
    with contextlib.ExitStack() as opened:
        hanging = opened.enter_context(socket.socket(socket.AF_UNIX))
        hanging.bind(str(place))
        hanging.listen(0)
        waiting = opened.enter_context(socket.socket(socket.AF_UNIX))
        waiting.connect(str(place))  # who waits first; for a second there is no room
        with pytest.raises(UsageError, match="a station is there already"):
            async with serve_http(FakeStation(), listen=None, socket=place):
                pass
        assert await asyncio.to_thread(place.is_socket)


async def test_a_file_in_the_socket_s_place_is_left_alone(tmp_path: Path) -> None:
    place = tmp_path / "notes"
    place.write_text("mine")
    with pytest.raises(UsageError, match="no socket"):
        async with serve_http(FakeStation(), listen=None, socket=place):
            pass
    assert place.read_text() == "mine"


async def test_a_socket_s_place_that_is_too_long_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="path too long"):
        async with serve_http(FakeStation(), listen=None, socket=tmp_path / ("x" * 200)):
            pass


async def test_the_socket_is_closed_to_strangers(served: Served) -> None:
    assert stat.S_IMODE(served.socket.stat().st_mode) == 0o660


async def test_signals_stay_the_station_s(served: Served) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    async with serve_http(FakeStation(), listen=None, socket=served.socket.with_name("other.sock")):
        assert {number: signal.getsignal(number) for number in before} == before


async def test_it_stops_within_three_seconds_whatever_hangs_on_it(tmp_path: Path) -> None:
    place, port = tmp_path / "eraser.sock", free_port()
    hanging = asyncio.Event()

    class Hanging(FakeStation):
        async def pause(self, bay: str, seen: str | None = None) -> None:
            hanging.set()
            await asyncio.sleep(3600)

    async with serve_http(Hanging(), listen=f"127.0.0.1:{port}", socket=place):
        asking = asyncio.create_task(ask(place, "POST", "/api/v1/bays/A1/pause"))
        _, half_sent = await connect(port)
        half_sent.write(b"GET /metrics HTTP/1.1\r\nhost: x\r\n")
        async with asyncio.timeout(5):
            await hanging.wait()
        begun = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - begun < 3
    asking.cancel()
    half_sent.close()


@pytest.mark.parametrize("place", ["port", "socket"])
async def test_a_head_that_does_not_come_is_given_up(
    served: Served, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEADER_SECONDS", 0.2)
    reader, writer = await connect(getattr(served, place))
    async with asyncio.timeout(5):
        for piece in (b"GET /metr", b"ics HTTP/1.1\r\n", b"host: x\r\n"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)
        assert await reader.read() == b""
    writer.close()


async def test_the_second_head_of_a_connection_has_a_limit_too(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEADER_SECONDS", 0.2)
    reader, writer = await connect(served.port)
    async with asyncio.timeout(5):
        writer.write(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b'{"live":true}')
        writer.write(b"GET /health")
        assert await reader.read() == b""
    writer.close()


async def test_a_slow_order_outlives_the_limit_of_its_head(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEADER_SECONDS", 0.1)

    async def slowly(*, on: bool) -> None:
        await asyncio.sleep(0.4)

    monkeypatch.setattr(served.station, "drain", slowly)
    assert (await ask(served.socket, "POST", "/api/v1/drain", {"on": True})).status == 202


async def test_a_body_that_is_too_long_or_too_slow_is_refused(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_problem(await ask(served.socket, "POST", "/api/v1/drain", b" " * 70_000), 413, "too-large")
    monkeypatch.setattr(access, "BODY_SECONDS", 0.2)
    reader, writer = await connect(served.socket)
    async with asyncio.timeout(5):
        writer.write(b"POST /api/v1/drain HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{")
        assert b" 413 " in await reader.readline()
    writer.close()
    assert served.station.orders == []


async def test_a_head_without_end_is_refused(served: Served) -> None:
    reader, writer = await connect(served.port)
    async with asyncio.timeout(5):
        writer.write(b"GET /metrics HTTP/1.1\r\nhost: x\r\npadding: " + b"x" * 20_000)
        assert b" 400 " in await reader.readline()
    writer.close()


async def test_a_crowd_on_tcp_does_not_shut_out_the_socket(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 50)
    here = replace(served, port=free_port(), socket=served.socket.with_name("crowded.sock"))
    async with serve_http(here.station, listen=f"127.0.0.1:{here.port}", socket=here.socket):
        await crowd_out(here)


async def crowd_out(served: Served) -> None:
    crowd = [await connect(served.port) for _ in range(50)]
    assert (await ask(served.port, "GET", "/health/live")).status == 503
    assert (await ask(served.socket, "GET", "/health/live")).status == 200
    for _, writer in crowd:
        writer.close()


def test_asking_loads_no_web_framework() -> None:
    code = "import sys, eraser.console.client; print({'fastapi', 'pydantic', 'uvicorn'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/", env=dict(os.environ)
    )
    assert done.stdout.strip() == "set()"
