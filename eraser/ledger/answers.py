"""What orders with an idempotency key were answered, so that one that is sent again is not carried out again."""

from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection, delete, insert, select, update

from eraser.ledger.custody import hold_gate
from eraser.ledger.schema import answers
from eraser.ledger.store import Store

KEPT_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """To an order of this digest; status 0: it was begun, and nobody knows how it ended."""

    digest: bytes
    status: int
    media_type: str = ""
    body: bytes = b""


class Answers:
    """By whoever gives the order and the key that they gave it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def begin(self, viewer: str, key: str, digest: bytes, now: float) -> KeptAnswer | None:
        """None: the order is new, and durably begun. Else what is known of the earlier one. `now`: seconds since 1970."""
        return await self._store.write(partial(_begin, viewer, key, digest, now))

    async def finish(self, viewer: str, key: str, answer: KeptAnswer) -> None:
        """From now on this is its answer."""
        await self._store.write(partial(_finish, viewer, key, answer))

    async def forget(self, viewer: str, key: str) -> None:
        """It came to nothing and may be given again."""
        await self._store.write(partial(_forget, viewer, key))


def _begin(viewer: str, key: str, digest: bytes, now: float, connection: Connection) -> KeptAnswer | None:
    hold_gate(connection)
    connection.execute(delete(answers).where(answers.c.at < now - KEPT_SECONDS))
    query = select(answers).where(answers.c.viewer == viewer, answers.c.key == key)
    if (row := connection.execute(query).first()) is not None:
        return KeptAnswer(bytes(row.digest), row.status, row.media_type, bytes(row.body))
    new = {"viewer": viewer, "key": key, "digest": digest, "status": 0, "media_type": "", "body": b"", "at": now}
    connection.execute(insert(answers).values(new))
    return None


def _finish(viewer: str, key: str, answer: KeptAnswer, connection: Connection) -> None:
    found = update(answers).where(answers.c.viewer == viewer, answers.c.key == key)
    connection.execute(found.values(status=answer.status, media_type=answer.media_type, body=answer.body))


def _forget(viewer: str, key: str, connection: Connection) -> None:
    connection.execute(delete(answers).where(answers.c.viewer == viewer, answers.c.key == key))
