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
    entries: one, or while the key is changed the old and the new one. Both may block, and raise KeyFileError.
    """

    def known(self) -> tuple[NoteKey, ...]: ...

    def signers(self, size: int) -> tuple[NoteSigner, ...]: ...


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


class Publisher:
    """Signs for one log. Use one at a time for a ledger."""

    def __init__(self, store: Store, origin: str, keys: LogKeys, outside: Outside, now_utc: Callable[[], str]) -> None:
        self._store = store
        self._origin = origin
        self.keys = keys
        self._outside = outside
        self._now_utc = now_utc

    async def publish(self) -> Checkpoint:
        """The checkpoint of the log as it stands, signed, kept outside and then in the ledger. Raises RewrittenLogError when
        the log does not continue the one that was kept; NoteError, UnknownLogError or ForgedNoteError when that is not ours.
        """
        earlier = await asyncio.to_thread(self._kept)
        now, proof = await self._store.read(partial(_state, self._origin, earlier.size if earlier else 0))
        if earlier is not None:
            _expect_continued(earlier, now, proof)
        signed = str(await asyncio.to_thread(self._signed, now))
        # Outside first: whatever the ledger then loses, nobody is told of a shorter log afterwards.
        await asyncio.to_thread(self._outside.keep, signed.encode())
        await self._store.write(partial(log.put_checkpoint, entries=now.size, at=self._now_utc(), note=signed))
        return now

    def _signed(self, checkpoint: Checkpoint) -> Note:
        first, *others = self.keys.signers(checkpoint.size)
        signed = note.sign(checkpoint.text(), self._origin, first)
        for signer in others:
            signed = note.sign_too(signed, self._origin, signer)
        return signed

    def _kept(self) -> Checkpoint | None:
        content = self._outside.newest()
        if content is None:
            return None
        return confirm(note.parse(content), self.keys.known())[0]


def checkpoint_of(origin: str, connection: Connection, entries: int | None = None) -> Checkpoint:
    """Of the first so many entries, or of all."""
    tree = log.tree(connection, entries)
    return Checkpoint(origin, tree.size, tree.root(), Withdrawals.of(log.withdrawn(connection, tree.size)))


def _state(origin: str, earlier: int, connection: Connection) -> tuple[Checkpoint, tuple[bytes, ...]]:
    now = checkpoint_of(origin, connection)
    is_longer = 0 < earlier <= now.size
    return now, log.tree(connection, now.size).consistency_proof(earlier) if is_longer else ()


def _expect_continued(earlier: Checkpoint, now: Checkpoint, proof: tuple[bytes, ...]) -> None:
    try:
        expect_growth(earlier, now, proof)
    except EraserError as error:
        raise RewrittenLogError(
            f"the ledger's log does not continue the checkpoint that was signed last: {error.what}",
            subject=earlier.origin,
            remedy="Nothing is signed. If the ledger was restored from a backup, restore the newer one.",
        ) from error
