"""Removing what has expired from the ledger: each removal is a record that the log signs and has an entry of.

The record is a signed note like that of a restart (`restart.py`): how many rows of which table, of which time, and SHA-256 over
their ids. Rows, record and entry go and come in one transaction: after a crash all of it happened, or nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from eraser.errors import Refused
from eraser.ledger import log, outlived, retention
from eraser.ledger.custody import hold_gate
from eraser.ledger.engine import explained, writing
from eraser.ledger.retention import KINDS, Expired, Periods
from eraser.log import note
from eraser.log.publishing import LogKeys, Outside, expect_continued
from eraser.log.removal import RemovalRecord
from eraser.log.restart import one_line

Select = Callable[[str, Connection], Expired]
"""What has expired, of what is older than a moment."""

DRIVES_AT_ONCE = 200
"""In one removal: the station waits for so long at the most."""
MAX_SILENCE = timedelta(days=31)
"""A ledger whose newest checkpoint is older belongs to no station that runs, or the clock is wrong: nothing expires by it."""


@dataclass(frozen=True, slots=True)
class Removal:
    """One that was done: its name in the log, and what went."""

    name: str
    expired: Expired
    text: str


def _still_expired(drives: list[Expired], before: str, connection: Connection) -> Expired:
    found = Expired()
    for drive in drives:
        if (now := retention.looked_at_anew(drive, before, connection)) is not None:
            found.add(now)
    return found


@dataclass(frozen=True, slots=True)
class Removing:
    """Removes from one station's ledger; the station may go on meanwhile."""

    engine: Engine
    origin: str
    keys: LogKeys
    outside: Outside
    now_utc: Callable[[], str]
    years: Periods
    operator: str
    drives_at_once: int = field(default=DRIVES_AT_ONCE)

    def plan(self) -> Expired:
        """What would go now, of a long trail the first part; lots that these drives alone keep are not counted yet.

        Raises Refused for a clock that can't be believed.
        """
        found = Expired()
        try:
            with self.engine.connect() as connection, connection.begin():
                for drive in retention.expired_drives(self._before(self.years.ledger, connection), connection):
                    found.add(drive)
                for years, select in self._beside_drives():
                    found.add(select(self._before(years, connection), connection))
        except SQLAlchemyError as error:
            raise explained(error, self.engine) from error
        return found

    def __call__(self) -> Iterator[Removal]:
        """Removes a part at a time, each durable when it is given. Raises Refused as `plan` does, and RewrittenLogError where
        the log does not continue what was signed last: then nothing is removed.
        """
        # Looking for them takes long in a large ledger: nobody waits for that. Each is looked at anew before it goes.
        try:
            with self.engine.connect() as connection, connection.begin():
                drives = retention.expired_drives(self._before(self.years.ledger, connection), connection)
                while part := list(islice(drives, self.drives_at_once)):
                    if (done := self._remove(self.years.ledger, partial(_still_expired, part))) is not None:
                        yield done
        except SQLAlchemyError as error:
            raise explained(error, self.engine) from error
        for years, select in self._beside_drives():
            while (done := self._remove(years, select)) is not None:
                yield done

    def _beside_drives(self) -> Iterator[tuple[int, Select]]:
        """What goes part by part until nothing is left. Lots after the vault: they stay while it has anything of them."""
        years = self.years
        yield years.vault or years.ledger, outlived.old_vault
        yield years.ledger, retention.expired_lots
        yield years.specifications or years.ledger, outlived.old_specifications
        yield years.attendances or years.ledger, outlived.old_attendances
        yield years.trail or years.ledger, outlived.old_trail

    def _remove(self, years: int, select: Select) -> Removal | None:
        try:
            with writing(self.engine) as connection, connection.begin():
                hold_gate(connection)
                size = expect_continued(self.origin, self.keys, self.outside, connection).size
                before, at = self._before(years, connection), self.now_utc()
                found = select(before, connection)
                if not found.count:
                    return None
                record = self._record(before, at, found)
                signed = str(note.sign(record.text(), self.origin, self.keys.signers(size)[0]))
                retention.remove(found, connection)
                retention.keep_record(record.name, at, signed.encode(), found, connection)
                log.append(connection, [record.entry()])
        except SQLAlchemyError as error:
            raise explained(error, self.engine) from error
        return Removal(record.name, found, record.text())

    def _record(self, before: str, at: str, found: Expired) -> RemovalRecord:
        rows = tuple((kind, len(found.rows[kind])) for kind in KINDS)
        times = (before, found.first_at, found.last_at)
        return RemovalRecord(self.origin, *times, rows, found.digest.hex(), at, one_line(self.operator))

    def _before(self, years: int, connection: Connection) -> str:
        now = self.now_utc()
        newest = log.newest_checkpoint(connection)
        if newest is None or datetime.fromisoformat(now) - datetime.fromisoformat(newest[1]) > MAX_SILENCE:
            raise Refused(
                "clock",
                f"it is {now} by this host's clock, and the ledger has no checkpoint of the last {MAX_SILENCE.days} days",
                remedy="Look whether the clock is right; start the station: it signs a checkpoint within a minute.",
            )
        return retention.cutoff(now, years)
