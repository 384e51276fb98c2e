"""A simulated rack shows itself without signing in: on its own host, and to nobody who only seems to be there."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from eraser.console.server import serve_http
from tests.console.people import Browser, Plant
from tests.console.serving import ask
from tests.console.stations import FakeStation
from tests.console.test_server import assert_problem


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:8080", "[::1]:8080", "[::1]"])
async def test_on_its_own_host_a_simulated_rack_is_shown_at_once(demo: Plant, host: str) -> None:
    assert (await ask(demo.port, "GET", "/api/v1/bays", host=host)).status == 200
    assert (await ask(demo.port, "GET", "/api/v1/openapi.json", host=host)).status == 200
    who = (await ask(demo.port, "GET", "/api/v1/session", host=host)).json
    assert (who["name"], who["roles"]) == ("demo", ["demo"])


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "rebound.example"},
        {"host": "localhost.evil.example"},
        {"host": "127.0.0.1.evil.example:8080"},
        {"host": "10.0.0.1"},
        {"host": ""},
        {"x_forwarded_for": "127.0.0.1"},
        {"forwarded": "for=127.0.0.1"},
        {"via": "1.1 proxy"},
    ],
)
async def test_nobody_who_only_seems_to_be_there_is_the_demo_user(demo: Plant, headers: dict[str, str]) -> None:
    assert_problem(await ask(demo.port, "GET", "/api/v1/bays", **headers), 401, "unauthenticated")


async def test_the_demo_user_orders_from_its_pages_only_and_makes_no_accounts(demo: Plant) -> None:
    browser = Browser(demo.port)
    order = {"standard": "nist-clear", "sighting": "seen-in-A1"}
    assert_problem(await browser.ask("POST", "/api/v1/bays/A1/start", order), 403, "forbidden")
    browser.csrf_token = (await browser.get("/api/v1/session")).json["csrf_token"]
    foreign = await browser.ask("POST", "/api/v1/bays/A1/start", order, origin="https://evil.example")
    assert_problem(foreign, 403, "forbidden")
    assert (await browser.ask("POST", "/api/v1/bays/A1/start", order)).status == 202
    assert demo.station.operators == ["demo"]
    assert_problem(await browser.get("/api/v1/accounts"), 403, "forbidden")


async def test_a_real_station_has_no_demo_user(plant: Plant) -> None:
    assert_problem(await ask(plant.port, "GET", "/api/v1/bays", host="localhost"), 401, "unauthenticated")


async def test_by_another_address_of_the_host_there_is_no_demo_user(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: it asks by which address this host would
        address = probe.getsockname()[0]
    assert not address.startswith("127.")
    async with serve_http(FakeStation(), listen="0.0.0.0:0", socket=None, is_demo=True) as app:
        port = app.state.port
        assert (await ask(port, "GET", "/api/v1/bays")).status == 200
        outside = await ask(port, "GET", "/api/v1/bays", address=address)
        assert_problem(outside, 401, "unauthenticated")
