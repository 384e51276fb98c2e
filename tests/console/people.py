"""A station where people can sign in, and a browser of the test's own that keeps their cookies."""

from __future__ import annotations

import asyncio
import atexit
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI

from eraser.audits.filed import FiledAudits
from eraser.console import passwords
from eraser.console.customers import Customers
from eraser.console.desk import Desk
from eraser.console.events import Broadcast
from eraser.console.orders import Books
from eraser.console.pages import pages_router
from eraser.console.pages.desk import desk_pages
from eraser.console.server import serve_http
from eraser.console.wall import Wall
from eraser.domain.account import Account, Permission, Role
from eraser.ledger.accounts import Accounts
from eraser.ledger.answers import Answers
from eraser.ledger.attendances import Attendances
from eraser.ledger.engine import open_engine, sqlite_url
from eraser.ledger.migrating import migrate
from eraser.ledger.specifications import Specifications
from eraser.ledger.station_ledger import StationLedger, open_ledger
from eraser.ledger.trail import Trail
from tests.console.certified import filed_in
from tests.console.desks import STATION, destroying, end_none, now_utc, vault_in, withdrawing
from tests.console.serving import Answer, ask
from tests.console.stations import FakeStation

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Plant:
    """A served station with its accounts."""

    station: FakeStation
    accounts: Accounts
    books: Books
    port: int
    socket: Path
    app: FastAPI | None = None
    ledger: StationLedger | None = None

    @property
    def events(self) -> Broadcast:
        """The stream's source."""
        assert self.app is not None
        found: Broadcast = self.app.state.events
        return found

    async def entry_of(self, role: Role) -> dict[str, str]:
        """The headers by which somebody of this role, or a program without scopes, or the wall, is known."""
        if role in (Role.PROGRAM, Role.WALL):
            return {"authorization": f"Bearer {await self.token(is_wall=role is Role.WALL)}"}
        browser = await self.browser_of(f"the {role}", role)
        return {"cookie": f"eraser-session={browser.cookies['eraser-session']}", "x_csrf_token": browser.csrf_token}

    async def hire(self, name: str, *roles: Role) -> None:
        """Somebody with these roles, whose password is PASSWORD."""
        link = await self.accounts.add(Account(name, roles))
        answer = await ask(self.port, "POST", "/api/v1/password", {"link": link, "password": PASSWORD})
        assert answer.status == 204, answer

    async def browser_of(self, name: str, *roles: Role) -> Browser:
        """Somebody who is signed in."""
        await self.hire(name, *roles)
        browser = Browser(self.port)
        assert (await browser.sign_in(name)).status == 201
        return browser

    async def token(self, *scopes: Permission, is_wall: bool = False) -> str:
        """A program's, with these scopes; or the wall's."""
        _, secret = await self.accounts.add_token("erp", scopes, "test", 3600, is_wall=is_wall)
        return secret


@dataclass
class Browser:
    """Keeps cookies, and sends its pages' token with what it orders."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)
    csrf_token: str = ""

    async def get(self, target: str, **headers: str) -> Answer:
        return await self.ask("GET", target, **headers)

    async def ask(self, method: str, target: str, body: Any = None, **headers: str) -> Answer:
        if self.cookies:
            headers.setdefault("cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        if self.csrf_token and method != "GET":
            headers.setdefault("x-csrf-token", self.csrf_token)
        answer = await ask(self.port, method, target, body, **headers)
        self.cookies |= cookies_of(answer)
        return answer

    async def sign_in(self, name: str, password: str = PASSWORD) -> Answer:
        answer = await self.ask("POST", "/api/v1/session", {"name": name, "password": password})
        if answer.status == 201:
            self.csrf_token = answer.json["csrf_token"]
        return answer

    async def post_form(self, target: str, **fields: str) -> Answer:
        """As a page without a script does."""
        form = urlencode(fields).encode()
        return await self.ask("POST", target, form, content_type="application/x-www-form-urlencoded")


def cookies_of(answer: Answer) -> dict[str, str]:
    """Those that the answer sets."""
    return dict(re.findall(r"^(eraser-[a-z]+|language)=([^;]*)", answer.exact.get("set-cookie", "")))


@asynccontextmanager
async def a_plant(
    folder: Path, *, is_demo: bool = False, station: FakeStation | None = None, trusted_proxies: tuple[str, ...] = ()
) -> AsyncIterator[Plant]:
    """Until the block ends."""
    await asyncio.to_thread(shutil.copyfile, _migrated(), folder / "ledger.db")
    async with open_ledger(sqlite_url(folder / "ledger.db"), STATION, now_utc) as ledger:
        accounts = Accounts(ledger.store, now_utc, time.time)
        books = Books(Trail(ledger.store), Answers(ledger.store), now_utc, time.time)
        filed = filed_in(ledger, folder)
        vault = vault_in(folder)
        desk = Desk(
            ledger.custody,
            ledger.lots,
            ledger.intake,
            STATION,
            now_utc,
            end_none,
            withdraw=withdrawing(ledger.store, folder),
            destroy=destroying(ledger.store, folder),
            filed=filed,
            specified=Specifications(ledger.store, now_utc),
            attendances=Attendances(ledger.store, now_utc),
            audits=FiledAudits(ledger.store, filed.folders, now_utc, lambda: uuid.uuid4().hex),
            customers=Customers(vault),
        )
        plant = Plant(station or FakeStation(), accounts, books, 0, folder / "eraser.sock", ledger=ledger)
        wall = Wall(plant.station.snapshot, now_utc)
        pages = pages_router(plant.station, wall, entries=ledger.journal.entries, custody=ledger.custody)
        pages.include_router(desk_pages(desk, plant.station))
        async with serve_http(
            plant.station,
            listen="127.0.0.1:0",
            socket=plant.socket,
            desk=desk,
            accounts=accounts,
            books=books,
            pages=pages,
            wall=wall,
            is_demo=is_demo,
            trusted_proxies=trusted_proxies,
        ) as app:
            yield replace(plant, app=app, port=app.state.port)
        await filed.close()
        vault.close()


@cache
def _migrated() -> Path:
    """An empty ledger: making one takes longer than most tests here."""
    folder = Path(tempfile.mkdtemp(prefix="eraser-empty-ledger-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    engine = open_engine(sqlite_url(folder / "ledger.db"))
    migrate(engine)
    engine.dispose()
    return folder / "ledger.db"


def hash_cheaply(patch: pytest.MonkeyPatch) -> None:
    """What a guesser must pay, the tests need not."""
    patch.setattr(passwords, "PasswordHasher", lambda: PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
