"""Behind a reverse proxy: whom it names is known by that, and nobody else is believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from eraser.configuration.reading import ConfigurationError, parse
from eraser.domain.account import Role
from tests.console.people import Plant, a_plant, hash_cheaply
from tests.console.serving import Answer, ask

ELSEWHERE = "203.0.113.7"


async def sign_in(plant: Plant, password: str, forwarded_for: str) -> Answer:
    order = {"name": "Anna", "password": password}
    return await ask(plant.port, "POST", "/api/v1/session", order, x_forwarded_for=forwarded_for)


async def places(plant: Plant) -> list[str]:
    return [deed.place for _, deed in await plant.books.trail.page() if deed.action == "sign-in"]


async def test_who_guesses_behind_a_trusted_proxy_is_stopped_and_nobody_else_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_cheaply(monkeypatch)
    async with a_plant(tmp_path, trusted_proxies=("127.0.0.0/8",)) as plant:
        await plant.hire("Anna", Role.OPERATOR)
        # What whoever guesses says of themselves stands before what the proxy adds, and counts for nothing.
        guesses = [await sign_in(plant, f"guess {number}", f"198.51.100.{number}, {ELSEWHERE}") for number in range(6)]
        assert [answer.status for answer in guesses] == [401] * 5 + [429]
        assert set(await places(plant)) == {ELSEWHERE}
        assert (await sign_in(plant, "a guess", "203.0.113.8")).status == 401


async def test_a_header_of_somebody_who_is_no_trusted_proxy_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_cheaply(monkeypatch)
    for number, trusted in enumerate(((), ("10.0.0.5",))):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with a_plant(folder, trusted_proxies=trusted) as plant:
            await plant.hire("Anna", Role.OPERATOR)
            guesses = [await sign_in(plant, f"guess {number}", f"203.0.113.{number}") for number in range(6)]
            assert [answer.status for answer in guesses] == [401] * 5 + [429]
            assert set(await places(plant)) == {"127.0.0.1"}


def test_a_proxy_is_an_address_or_a_network() -> None:
    found = parse('[console]\ntrusted_proxies = ["10.0.0.5", "fd00::/8"]', "x.toml", {})
    assert found.console.trusted_proxies == ("10.0.0.5", "fd00::/8")
    assert parse("", "x.toml", {}).console.trusted_proxies == ()
    for wrong in ("*", "proxy.example.com", "10.0.0.5/8"):
        with pytest.raises(ConfigurationError, match="no address and no network"):
            parse(f'[console]\ntrusted_proxies = ["{wrong}"]', "x.toml", {})


def test_shifts_have_a_name_and_a_time() -> None:
    found = parse('[shifts]\nearly = "06:00"\nlate = "18:30"', "x.toml", {}).shifts
    assert {name: begins.isoformat("minutes") for name, begins in found.items()} == {"early": "06:00", "late": "18:30"}
    for wrong in ('early = "25:00"', '"" = "06:00"', 'early = "at six"'):
        with pytest.raises(ConfigurationError):
            parse(f"[shifts]\n{wrong}", "x.toml", {})
