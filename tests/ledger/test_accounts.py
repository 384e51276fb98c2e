"""Accounts, sessions, tokens, links, the trail and kept answers, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from sqlalchemy import delete, insert, select, text, update

from eraser.domain.account import Account, BadLink, Deed, NoAccount, Permission, Role
from eraser.errors import EraserError, Refused
from eraser.ledger.accounts import IDLE_SECONDS, LINK_SECONDS, MAX_SESSIONS, SESSION_SECONDS, Accounts, digest_of
from eraser.ledger.answers import KEPT_SECONDS, Answers, KeptAnswer
from eraser.ledger.schema import access_tokens, account_links, metadata, sessions, trail
from eraser.ledger.store import Store, open_store
from eraser.ledger.trail import Trail

AT = "2027-01-01T00:00:00.000Z"


@dataclass
class Kept:
    store: Store
    now: float = 1000.0

    @property
    def accounts(self) -> Accounts:
        return Accounts(self.store, lambda: AT, lambda: self.now)

    async def with_people(self, *names: str) -> Accounts:
        for number, name in enumerate(names):
            await self.accounts.add(Account(name, (Role.OPERATOR if number else Role.ADMINISTRATOR,)))
        return self.accounts


@pytest.fixture
async def kept(url: str) -> AsyncIterator[Kept]:
    store = await open_store(url)
    yield Kept(store)
    await store.close()


async def test_a_session_ends_when_it_is_old_and_when_nobody_uses_it(kept: Kept) -> None:
    accounts = await kept.with_people("Boss", "Anna")
    secret = await accounts.begin_session("Anna")
    for _ in range(int(SESSION_SECONDS // (IDLE_SECONDS / 2)) - 1):
        kept.now += IDLE_SECONDS / 2
        found = await accounts.session(secret)
        assert found is not None and found.name == "Anna"
    kept.now += IDLE_SECONDS / 2
    assert await accounts.session(secret) is None
    idle = await accounts.begin_session("Anna")
    kept.now += IDLE_SECONDS
    assert await accounts.session(idle) is None


async def test_of_secrets_only_what_they_hash_to_is_kept(kept: Kept) -> None:
    accounts = await kept.with_people("Boss")
    session = await accounts.begin_session("Boss")
    _, token = await accounts.add_token("erp", (Permission.VIEW_RACK,), "Boss", 60, is_wall=False)
    link = await accounts.reset("Boss")
    await accounts.begin_session("Boss")

    def everything(connection) -> str:
        return repr([connection.execute(select(table)).all() for table in metadata.tables.values()])

    dump = await kept.store.read(everything)
    for secret in (session, token, link):
        assert secret not in dump
    for table, secret in ((access_tokens, token), (account_links, link)):
        digests = await kept.store.read(
            lambda connection, table=table: list(connection.execute(select(table.c.digest)).scalars())
        )
        assert digest_of(secret) in [bytes(digest) for digest in digests]


async def test_one_account_has_so_many_sessions_and_no_more(kept: Kept) -> None:
    accounts = await kept.with_people("Boss")
    secrets = []
    for _ in range(MAX_SESSIONS + 3):
        kept.now += 1
        secrets.append(await accounts.begin_session("Boss"))
    alive = [await accounts.session(secret) is not None for secret in secrets]
    assert alive == [False] * 3 + [True] * MAX_SESSIONS
    count = await kept.store.read(lambda connection: len(connection.execute(select(sessions)).all()))
    assert count == MAX_SESSIONS


async def test_a_link_works_once_also_for_two_at_once(kept: Kept) -> None:
    link = await kept.accounts.set_up_link()
    tries = (kept.accounts.use_link(link, name, "hash") for name in ("Anna", "Bo", "Chen"))
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Account", "BadLink", "BadLink"]
    assert len(await kept.accounts.page()) == 1


async def test_a_link_ends_with_its_day_and_with_the_next_one(kept: Kept) -> None:
    earlier, link = await kept.accounts.set_up_link(), await kept.accounts.set_up_link()
    with pytest.raises(BadLink):
        await kept.accounts.link_name(earlier)
    assert await kept.accounts.link_name(link) == ""
    kept.now += LINK_SECONDS
    with pytest.raises(BadLink):
        await kept.accounts.use_link(link, "Anna", "hash")
    assert not await kept.accounts.any()


async def test_no_set_up_link_is_made_or_works_where_there_is_an_account(kept: Kept) -> None:
    link = await kept.accounts.set_up_link()
    await kept.with_people("Boss")
    with pytest.raises(BadLink):
        await kept.accounts.use_link(link, "Mallory", "hash")
    with pytest.raises(Refused, match="accounts already"):
        await kept.accounts.set_up_link()


async def test_the_last_administrator_is_kept_also_from_two_at_once(kept: Kept) -> None:
    accounts = await kept.with_people("Boss")
    await accounts.add(Account("Other", (Role.ADMINISTRATOR,)))
    both = (accounts.change(name, is_disabled=True) for name in ("Boss", "Other"))
    results = await asyncio.gather(*both, return_exceptions=True)
    assert [isinstance(result, Refused) for result in results].count(True) == 1
    assert [account.is_disabled for account in await accounts.page()].count(False) == 1


async def test_what_is_not_there_is_told(kept: Kept) -> None:
    with pytest.raises(NoAccount):
        await kept.accounts.change("Nobody", is_disabled=True)
    with pytest.raises(NoAccount):
        await kept.accounts.reset("Nobody")
    with pytest.raises(NoAccount):
        await kept.accounts.end_token("nothing")
    await kept.with_people("Boss")
    with pytest.raises(Refused, match="of this name"):
        await kept.accounts.add(Account("Boss", (Role.OPERATOR,)))


async def test_a_token_ends_with_its_time_and_when_it_is_ended(kept: Kept) -> None:
    first, secret = await kept.accounts.add_token("erp", (Permission.VIEW_RACK,), "Boss", 60, is_wall=False)
    other, later = await kept.accounts.add_token("wall", (), "Boss", 600, is_wall=True)
    assert await kept.accounts.token(secret) == first
    kept.now += 60
    assert await kept.accounts.token(secret) is None
    assert await kept.accounts.token(later) == other
    await kept.accounts.end_token(other.token_id)
    assert await kept.accounts.token(later) is None
    assert len(await kept.accounts.tokens()) == 2


def a_deed(name: str = "Anna", subject: str = "") -> Deed:
    return Deed(AT, name, "session", "192.0.2.1", "POST /api/v1/drain", subject, 202)


async def test_the_trail_is_read_in_pages_and_changed_by_nobody(kept: Kept) -> None:
    book = Trail(kept.store)
    for name in ("Anna", "Bo", "Anna"):
        await book.note(a_deed(name))
    first = await book.page(0, 2)
    assert [deed.name for _, deed in first] == ["Anna", "Bo"]
    assert [deed.name for _, deed in await book.page(first[-1][0])] == ["Anna"]
    assert len(await book.page(name="Anna")) == 2
    for statement in (
        update(trail).values(name="Mallory"),
        delete(trail),
        text("INSERT OR REPLACE INTO trail SELECT * FROM trail")
        if kept.store.engine.dialect.name == "sqlite"
        else text("TRUNCATE trail"),
    ):
        with pytest.raises(EraserError):
            await kept.store.write(lambda connection, statement=statement: connection.execute(statement))
    assert [deed for _, deed in await book.page()] == [a_deed("Anna"), a_deed("Bo"), a_deed("Anna")]


async def test_an_order_is_begun_once_and_its_answer_kept_for_a_day(kept: Kept) -> None:
    answers, done = Answers(kept.store), KeptAnswer(b"d", 201, "application/json", b"{}")
    begun = await asyncio.gather(*(answers.begin("Anna", "k", b"d", kept.now) for _ in range(5)))
    assert [found is None for found in begun].count(True) == 1
    await answers.finish("Anna", "k", done)
    assert await answers.begin("Anna", "k", b"d", kept.now) == done
    assert await answers.begin("Bo", "k", b"d", kept.now) is None
    await answers.forget("Bo", "k")
    assert await answers.begin("Bo", "k", b"e", kept.now) is None
    assert await answers.begin("Anna", "k", b"d", kept.now + KEPT_SECONDS + 1) is None


async def test_a_session_of_nobody_can_not_be_written(kept: Kept) -> None:
    row = {"digest": b"x", "name": "Nobody", "seen_at": kept.now, "expires_at": kept.now + 9}
    with pytest.raises(EraserError):
        await kept.store.write(lambda connection: connection.execute(insert(sessions).values(row)))
