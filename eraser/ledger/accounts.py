"""Accounts, sessions, access tokens and one-time links in the ledger. Of each secret only the SHA-256 is kept.

SHA-256 without salt is right for them, since they are random (256 bits) and no password; of passwords Argon2id's hash is kept.
"""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, false, insert, select, update

from eraser.domain.account import AccessToken, Account, BadLink, NoAccount, Permission, Role
from eraser.errors import Refused
from eraser.ledger.custody import hold_gate
from eraser.ledger.schema import access_tokens, account_links, accounts, sessions
from eraser.ledger.store import Store

SESSION_SECONDS = 12 * 3600.0
"""A shift; then people sign in anew."""
IDLE_SECONDS = 4 * 3600.0
SEEN_SECONDS = 60.0
"""How exactly it is kept when a session was last used."""
LINK_SECONDS = 24 * 3600.0
MAX_SESSIONS = 20
"""Of one account; the oldest ends."""

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Known:
    """An account as signing in needs it."""

    account: Account
    password_hash: str


class Accounts:
    """Everything about who may come in. `now` is seconds since 1970."""

    def __init__(self, store: Store, now_utc: Callable[[], str], now: Callable[[], float]) -> None:
        self._store = store
        self._now_utc = now_utc
        self._now = now

    # ---- accounts

    async def any(self) -> bool:
        """Whether there is one."""
        return await self._store.read(
            lambda connection: connection.execute(select(accounts.c.name)).first() is not None
        )

    async def page(self, after: str = "", limit: int = 100) -> list[Account]:
        """By name, from the one after `after` on."""
        return await self._store.read(partial(_page, after, limit))

    async def known(self, name: str) -> Known | None:
        """The account of this name, with its password's hash."""
        return await self._store.read(partial(_known, name))

    async def add(self, account: Account) -> str:
        """Makes it, without a password; the secret of the link for setting one. Raises Refused where the name is taken."""
        link = new_secret()
        await self._store.write(partial(_add, account, self._now_utc(), link, self._now() + LINK_SECONDS))
        return link

    async def change(
        self,
        name: str,
        *,
        roles: Sequence[Role] | None = None,
        is_disabled: bool | None = None,
        language: str | None = None,
    ) -> Account:
        """As it is then; disabling ends its sessions. Raises NoAccount; Refused where nobody would be left to let people in."""
        changes: dict[str, Any] = {"is_disabled": is_disabled, "language": language}
        changes["roles"] = _joined(roles) if roles is not None else None
        changes = {key: value for key, value in changes.items() if value is not None}
        return await self._store.write(partial(_change, name, changes))

    async def reset(self, name: str) -> str:
        """Ends its sessions and its password; the secret of the link for setting another. Raises NoAccount."""
        link = new_secret()
        await self._store.write(partial(_reset, name, link, self._now() + LINK_SECONDS))
        return link

    async def set_password(self, name: str, password_hash: str, keep: str = "") -> None:
        """Ends all its sessions but the one of the secret `keep`."""
        await self._store.write(partial(_set_password, name, password_hash, digest_of(keep)))

    # ---- one-time links

    async def set_up_link(self) -> str:
        """The secret of a link for whoever makes the first account; earlier ones end. Raises Refused where there is one."""
        link = new_secret()
        await self._store.write(partial(_set_up, link, self._now() + LINK_SECONDS))
        return link

    async def link_name(self, link: str) -> str:
        """Whose link it is; empty for the first account's. Raises BadLink."""
        return await self._store.read(partial(_link_name, link, self._now()))

    async def use_link(self, link: str, name: str, password_hash: str) -> Account:
        """Sets the password of the link's account, or makes the first account, of this name; the link ends. Raises BadLink."""
        return await self._store.write(partial(_use_link, link, name, password_hash, self._now(), self._now_utc()))

    # ---- sessions

    async def begin_session(self, name: str, instead_of: str = "") -> str:
        """The secret of a new session; the one of the secret `instead_of` ends."""
        secret = new_secret()
        await self._store.write(partial(_begin_session, name, secret, instead_of, self._now()))
        return secret

    async def session(self, secret: str) -> Account | None:
        """Whose session it is; None where it has ended or its account is disabled."""
        now, digest = self._now(), digest_of(secret)
        found = await self._store.read(partial(_session, digest, now))
        if found is None:
            return None
        account, seen_at = found
        if now - seen_at >= SEEN_SECONDS:
            await self._store.write(
                lambda connection: connection.execute(
                    update(sessions).where(sessions.c.digest == digest).values(seen_at=now)
                )
            )
        return account

    async def end_session(self, secret: str) -> None:
        """It is no session any more."""
        await self._store.write(
            lambda connection: connection.execute(delete(sessions).where(sessions.c.digest == digest_of(secret)))
        )

    # ---- access tokens

    async def add_token(
        self, label: str, scopes: Sequence[Permission], made_by: str, seconds: float, *, is_wall: bool
    ) -> tuple[AccessToken, str]:
        """A new token and its secret, which is not kept."""
        secret = new_secret()
        ends_at = self._now() + seconds
        token = AccessToken(secrets.token_hex(4), label, tuple(scopes), is_wall, made_by, self._now_utc(), ends_at)
        row = {
            "token_id": token.token_id,
            "digest": digest_of(secret),
            "label": label,
            "scopes": ",".join(scopes),
            "is_wall": is_wall,
            "made_by": made_by,
            "made_at": token.made_at,
            "expires_at": ends_at,
            "is_ended": False,
        }
        await self._store.write(lambda connection: connection.execute(insert(access_tokens).values(row)))
        return token, secret

    async def tokens(self, after: str = "", limit: int = 100) -> list[AccessToken]:
        """By their ids, from the one after `after` on; also those that have ended."""
        return await self._store.read(partial(_tokens, after, limit))

    async def token(self, secret: str) -> AccessToken | None:
        """Of this secret; None where it has ended."""
        return await self._store.read(partial(_token, secret, self._now()))

    async def end_token(self, token_id: str) -> None:
        """It opens nothing any more. Raises NoAccount."""
        await self._store.write(partial(_end_token, token_id))


def new_secret() -> str:
    """Random, fit for cookies, headers and addresses."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def digest_of(secret: str) -> bytes:
    """What is kept of it."""
    return hashlib.sha256(secret.encode()).digest()


def _page(after: str, limit: int, connection: Connection) -> list[Account]:
    query = select(accounts).where(accounts.c.name > after).order_by(accounts.c.name).limit(limit)
    return [_account(row) for row in connection.execute(query).mappings()]


def _known(name: str, connection: Connection) -> Known | None:
    row = connection.execute(select(accounts).where(accounts.c.name == name)).mappings().first()
    return Known(_account(row), row["password_hash"]) if row is not None else None


def _account(row: RowMapping) -> Account:
    roles = tuple(Role(name) for name in row["roles"].split(",") if name)
    return Account(row["name"], roles, row["language"], row["is_disabled"], bool(row["password_hash"]), row["made_at"])


def _joined(roles: Sequence[Role]) -> str:
    return ",".join(role.value for role in roles)


def _required(name: str, connection: Connection) -> Account:
    known = _known(name, connection)
    if known is None:
        raise NoAccount("there is no such account", subject=name, remedy="`eraser account list` shows them.")
    return known.account


def _add(account: Account, at: str, link: str, expires_at: float, connection: Connection) -> None:
    hold_gate(connection)
    if _known(account.name, connection) is not None:
        raise Refused("account-exists", "there is an account of this name", subject=account.name)
    _insert(account, "", at, connection)
    _put_link(account.name, link, expires_at, connection)


def _insert(account: Account, password_hash: str, at: str, connection: Connection) -> None:
    row = {
        "name": account.name,
        "roles": _joined(account.roles),
        "language": account.language,
        "is_disabled": False,
        "password_hash": password_hash,
        "made_at": at,
    }
    connection.execute(insert(accounts).values(row))


def _change(name: str, changes: dict[str, Any], connection: Connection) -> Account:
    hold_gate(connection)
    _required(name, connection)
    if changes:
        connection.execute(update(accounts).where(accounts.c.name == name).values(changes))
    account = _required(name, connection)
    if not _administrators(connection):
        raise Refused(
            "last-administrator",
            "then nobody would be left who lets people in",
            subject=name,
            remedy="Make somebody else an administrator first.",
        )
    if account.is_disabled:
        _end_all(name, connection)
    return account


def _administrators(connection: Connection) -> list[str]:
    enabled = connection.execute(select(accounts).where(accounts.c.is_disabled == false())).mappings()
    return [row["name"] for row in enabled if Role.ADMINISTRATOR in _account(row).roles]


def _reset(name: str, link: str, expires_at: float, connection: Connection) -> None:
    _required(name, connection)
    connection.execute(update(accounts).where(accounts.c.name == name).values(password_hash=""))
    _end_all(name, connection)
    _put_link(name, link, expires_at, connection)


def _end_all(name: str, connection: Connection, keep: bytes = b"") -> None:
    connection.execute(delete(sessions).where(sessions.c.name == name, sessions.c.digest != keep))


def _set_password(name: str, password_hash: str, keep: bytes, connection: Connection) -> None:
    _required(name, connection)
    connection.execute(update(accounts).where(accounts.c.name == name).values(password_hash=password_hash))
    _end_all(name, connection, keep)


def _set_up(link: str, expires_at: float, connection: Connection) -> None:
    hold_gate(connection)
    if connection.execute(select(accounts.c.name)).first() is not None:
        raise Refused(
            "set-up-done", "there are accounts already", remedy="`eraser account reset` makes a link for one."
        )
    _put_link("", link, expires_at, connection)


def _put_link(name: str, link: str, expires_at: float, connection: Connection) -> None:
    connection.execute(delete(account_links).where(account_links.c.name == name))
    row = {"digest": digest_of(link), "name": name, "expires_at": expires_at}
    connection.execute(insert(account_links).values(row))


def _link_name(link: str, now: float, connection: Connection) -> str:
    found = select(account_links.c.name).where(
        account_links.c.digest == digest_of(link), account_links.c.expires_at > now
    )
    name = connection.execute(found).scalar()
    if name is None:
        raise BadLink
    return str(name)


def _use_link(link: str, name: str, password_hash: str, now: float, at: str, connection: Connection) -> Account:
    hold_gate(connection)
    owner = _link_name(link, now, connection)
    connection.execute(delete(account_links).where(account_links.c.digest == digest_of(link)))
    if owner:
        _set_password(owner, password_hash, b"", connection)
        return _required(owner, connection)
    if connection.execute(select(accounts.c.name)).first() is not None:
        raise BadLink
    _insert(Account(name, (Role.ADMINISTRATOR,)), password_hash, at, connection)
    return _required(name, connection)


def _begin_session(name: str, secret: str, instead_of: str, now: float, connection: Connection) -> None:
    _required(name, connection)
    is_over = (sessions.c.expires_at <= now) | (sessions.c.seen_at <= now - IDLE_SECONDS)
    connection.execute(delete(sessions).where(is_over | (sessions.c.digest == digest_of(instead_of))))
    mine = select(sessions.c.digest).where(sessions.c.name == name).order_by(sessions.c.expires_at.desc())
    for digest in list(connection.execute(mine).scalars())[MAX_SESSIONS - 1 :]:
        connection.execute(delete(sessions).where(sessions.c.digest == digest))
    row = {"digest": digest_of(secret), "name": name, "seen_at": now, "expires_at": now + SESSION_SECONDS}
    connection.execute(insert(sessions).values(row))


def _session(digest: bytes, now: float, connection: Connection) -> tuple[Account, float] | None:
    query = (
        select(accounts, sessions.c.seen_at)
        .join(sessions, sessions.c.name == accounts.c.name)
        .where(sessions.c.digest == digest, sessions.c.expires_at > now, sessions.c.seen_at > now - IDLE_SECONDS)
        .where(accounts.c.is_disabled == false())
    )
    row = connection.execute(query).mappings().first()
    return (_account(row), row["seen_at"]) if row is not None else None


def _tokens(after: str, limit: int, connection: Connection) -> list[AccessToken]:
    query = select(access_tokens).where(access_tokens.c.token_id > after).order_by(access_tokens.c.token_id)
    return [_access_token(row) for row in connection.execute(query.limit(limit)).mappings()]


def _token(secret: str, now: float, connection: Connection) -> AccessToken | None:
    query = select(access_tokens).where(
        access_tokens.c.digest == digest_of(secret),
        access_tokens.c.expires_at > now,
        access_tokens.c.is_ended == false(),
    )
    row = connection.execute(query).mappings().first()
    return _access_token(row) if row is not None else None


def _access_token(row: RowMapping) -> AccessToken:
    # A scope that a later version knew opens nothing here.
    known = {permission.value: permission for permission in Permission}
    return AccessToken(
        token_id=row["token_id"],
        label=row["label"],
        scopes=tuple(known[name] for name in row["scopes"].split(",") if name in known),
        is_wall=row["is_wall"],
        made_by=row["made_by"],
        made_at=row["made_at"],
        expires_at=row["expires_at"],
        is_ended=row["is_ended"],
    )


def _end_token(token_id: str, connection: Connection) -> None:
    ended = connection.execute(update(access_tokens).where(access_tokens.c.token_id == token_id).values(is_ended=True))
    if not ended.rowcount:
        raise NoAccount("there is no such token", subject=token_id, remedy="`eraser account token list` shows them.")
