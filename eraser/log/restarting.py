"""Restarting the station's log: the record, its entry, and the first checkpoint that the log signs again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from eraser.domain.merkle import HASH_BYTES
from eraser.errors import Refused
from eraser.ledger import log
from eraser.ledger.engine import explained, writing
from eraser.log import note
from eraser.log.checkpoint import Checkpoint
from eraser.log.publishing import LogKeys, Outside, checkpoint_of, continues, last_signed, signed_by_all
from eraser.log.restart import Restart, one_line, parse_restart


class RestartRecords(Protocol):
    """Keeps the records where they outlive the ledger. Both may block."""

    def restart(self, name: str) -> bytes | None:
        """The record of this name, if there is one."""
        ...

    def keep_restart(self, name: str, content: bytes) -> None:
        """Durable when it returns; replaces what is there."""
        ...


@dataclass(frozen=True, slots=True)
class Restarting:
    """Restarts one log. Only while nobody else signs for it: the station must not run."""

    engine: Engine
    origin: str
    keys: LogKeys
    outside: Outside
    records: RestartRecords
    now_utc: Callable[[], str]

    def __call__(self, reason: str, operator: str) -> Restart:
        """Durable when it returns: the record, its entry, and a checkpoint that continues from there. Blocks.

        After a crash at any step the same call goes on; until it has ended nothing is signed. Raises Refused where nothing is
        lost, NoteError for what can't be said in a note, CertificateError for a checkpoint outside that is not this log's.
        """
        try:
            with writing(self.engine) as connection, connection.begin():
                lost = last_signed(self.origin, self.keys, self.outside, connection)
                record = self._recorded(lost, reason, operator, connection)
            with writing(self.engine) as connection, connection.begin():
                now = checkpoint_of(self.origin, connection)
                signed = str(signed_by_all(now, self.keys))
                # Outside first, as always. From here on the station signs again.
                self.outside.keep(signed.encode())
                log.put_checkpoint(connection, now.size, self.now_utc(), signed)
        except SQLAlchemyError as error:
            raise explained(error, self.engine) from error
        return record

    def _recorded(self, lost: Checkpoint | None, reason: str, operator: str, connection: Connection) -> Restart:
        now = checkpoint_of(self.origin, connection)
        if lost is None or (self.outside.newest() is not None and continues(lost, connection)):
            raise Refused(
                "nothing-lost",
                "the log continues what was signed last: there is nothing to restart",
                subject=self.origin,
            )
        if (begun := self._begun(lost, connection)) is not None:
            return begun
        # The key may have been changed in the part that is lost: the old one is gone, and the new one's time had not come.
        self.keys.reopen(now.size)
        at = self.now_utc()
        record = Restart(
            self.origin, lost.size, lost.root, now.size, now.root, at, one_line(operator), one_line(reason)
        )
        signed = str(note.sign(record.text(), self.origin, self.keys.signers(now.size)[0]))
        # The record before its entry: an entry whose record nobody has would tell nothing. A record without one counts for
        # nothing, and is replaced.
        self.records.keep_restart(record.name, signed.encode())
        log.append(connection, [record.entry()])
        return record

    def _begun(self, lost: Checkpoint, connection: Connection) -> Restart | None:
        """An earlier call's record that is in the log already."""
        name = Restart(self.origin, lost.size, lost.root, 0, bytes(HASH_BYTES), "", "", "").name
        content = self.records.restart(name)
        if content is None:
            return None
        record, _ = parse_restart(content)
        entries = [item.entry for item in log.entries_about(connection, name)]
        return record if record.entry() in entries else None
