"""Signing checkpoints: only of a log that continues everything that was ever signed.

The newest checkpoint is also kept outside the ledger. A ledger that was restored from a backup is shorter than that, or
another one: then nothing is signed, since two histories under one name are what a log must never have.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from sqlalchemy import Connection

from eraser.errors import EraserError
from eraser.ledger import log
from eraser.ledger.store import Store
from eraser.log import note
from eraser.log.checkpoint import Checkpoint, Withdrawals, confirm, expect_growth
from eraser.log.errors import RewrittenLogError
from eraser.log.note import Note, NoteKey, NoteSigner, SignatureType


class Outside(Protocol):
    """Keeps the newest checkpoint where a restored ledger does not take it back. Both may block."""

    def newest(self) -> bytes | None:
        """The note that was kept last."""
        ...

    def keep(self, content: bytes) -> None:
        """Durable when it returns."""
        ...


class LogKeys(Protocol):
    """The keys of one log, whose name they bear; asked anew for each checkpoint, so that a change counts from the next one on.

    `known` gives all of them with their times, the oldest first; `signers` those that sign a checkpoint of so many
    entries: one, or while the key is changed the old and the new one. `reopen` lets the key that signs now sign from so many
    entries on: for a log that was set back to before its time, and nothing else. All may block, and raise KeyFileError.
    """

    def known(self) -> tuple[NoteKey, ...]: ...

    def signers(self, size: int) -> tuple[NoteSigner, ...]: ...

    def reopen(self, size: int) -> None: ...


class OneKey:
    """LogKeys of a log whose key was never changed."""

    def __init__(self, origin: str, signer: NoteSigner) -> None:
        self._key = NoteKey(origin, SignatureType.ED25519, signer.raw_public_key)
        self._signer = signer

    def known(self) -> tuple[NoteKey, ...]:
        """The one."""
        return (self._key,)

    def signers(self, size: int) -> tuple[NoteSigner, ...]:
        """The one."""
        return (self._signer,)

    def reopen(self, size: int) -> None:
        """It signs always."""


class Publisher:
    """Signs for one log. Use one at a time for a ledger."""

    def __init__(self, store: Store, origin: str, keys: LogKeys, outside: Outside, now_utc: Callable[[], str]) -> None:
        self._store = store
        self._origin = origin
        self.keys = keys
        self._outside = outside
        self._now_utc = now_utc

    async def expect_continued(self) -> None:
        """Raises RewrittenLogError when the log does not continue what was signed last; NoteError, UnknownLogError or
        ForgedNoteError when what is kept outside is not ours.
        """
        await self._store.read(partial(expect_continued, self._origin, self.keys, self._outside))

    async def publish(self) -> Checkpoint:
        """The checkpoint of the log as it stands, signed, kept outside and then in the ledger. Raises as `expect_continued`."""
        now = await self._store.read(partial(expect_continued, self._origin, self.keys, self._outside))
        signed = str(await asyncio.to_thread(signed_by_all, now, self.keys))
        # Outside first: whatever the ledger then loses, nobody is told of a shorter log afterwards.
        await asyncio.to_thread(self._outside.keep, signed.encode())
        await self._store.write(partial(log.put_checkpoint, entries=now.size, at=self._now_utc(), note=signed))
        return now


def signed_by_all(checkpoint: Checkpoint, keys: LogKeys) -> Note:
    """Its note, by each key that signs at this length. May block."""
    first, *others = keys.signers(checkpoint.size)
    signed = note.sign(checkpoint.text(), checkpoint.origin, first)
    for signer in others:
        signed = note.sign_too(signed, checkpoint.origin, signer)
    return signed


def expect_continued(origin: str, keys: LogKeys, outside: Outside, connection: Connection) -> Checkpoint:
    """The log as it stands, which continues what was signed last. Raises as `Publisher.expect_continued`."""
    earlier = last_signed(origin, keys, outside, connection)
    if earlier is not None:
        _expect_continued(earlier, connection)
        if outside.newest() is None:
            raise _not_continued("the checkpoint that is kept outside the ledger is gone", earlier)
    return checkpoint_of(origin, connection)


def last_signed(origin: str, keys: LogKeys, outside: Outside, connection: Connection) -> Checkpoint | None:
    """What was signed last as far as is known: what is kept outside, or where that is gone, what the ledger has; None for a
    log that never signed. Raises as `eraser.log.checkpoint.confirm` does when it is not ours.
    """
    content = outside.newest() or log.newest_note_of(connection, origin)
    return confirm(note.parse(content), keys.known())[0] if content is not None else None


def continues(earlier: Checkpoint, connection: Connection) -> bool:
    """Whether the ledger's log is that of the checkpoint, with or without entries added."""
    try:
        _expect_continued(earlier, connection)
    except RewrittenLogError:
        return False
    return True


def checkpoint_of(origin: str, connection: Connection, entries: int | None = None) -> Checkpoint:
    """Of the first so many entries, or of all."""
    tree = log.tree(connection, entries)
    return Checkpoint(origin, tree.size, tree.root(), Withdrawals.of(log.withdrawn(connection, tree.size)))


def _expect_continued(earlier: Checkpoint, connection: Connection) -> None:
    now = checkpoint_of(earlier.origin, connection)
    is_longer = 0 < earlier.size <= now.size
    proof = log.tree(connection, now.size).consistency_proof(earlier.size) if is_longer else ()
    try:
        expect_growth(earlier, now, proof)
    except EraserError as error:
        what = f"the ledger's log does not continue the checkpoint that was signed last: {error.what}"
        raise _not_continued(what, earlier) from error


def _not_continued(what: str, earlier: Checkpoint) -> RewrittenLogError:
    return RewrittenLogError(
        what,
        subject=earlier.origin,
        remedy="Nothing is signed. Restore the newest backup that there is; if none has it all, `eraser log restart` says so "
        "to everybody, and goes on.",
    )
