"""Which jobs ended at a station since a moment: what the totals of a shift are made of, also after the station began anew."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, and_, select

from eraser.domain.custody import Erased
from eraser.domain.events import DriveIdentified, Outcome
from eraser.domain.intake import place_of
from eraser.domain.lot import instant
from eraser.ledger.custody import record_of
from eraser.ledger.records import entry_of
from eraser.ledger.schema import custody, job_events
from eraser.ledger.store import Store

_IDENTIFIED = 1
"""The number of a job's event that says which drive it is on."""


@dataclass(frozen=True, slots=True)
class EndedJob:
    """A job with a verdict; `capacity_bytes` of its drive."""

    job_id: str
    has_passed: bool
    capacity_bytes: int


class EndedJobs:
    """Of one station. Jobs on drives without a name are in nobody's chain of custody, and not found."""

    def __init__(self, store: Store, station_id: str) -> None:
        self._store = store
        self._place = place_of(station_id, "")

    async def since(self, moment: datetime) -> list[EndedJob]:
        """Those that ended from this moment on, the last one first."""
        return await self._store.read(partial(_since, self._place, moment))


def _since(place: str, moment: datetime, connection: Connection) -> list[EndedJob]:
    query = (
        select(custody.c.number, custody.c.at, custody.c.body, job_events)
        .join(job_events, and_(job_events.c.job_id == custody.c.job_id, job_events.c.sequence == _IDENTIFIED))
        .where(custody.c.kind == Erased.kind)
        .order_by(custody.c.number.desc())
    )
    found = []
    for number, at, body, *event in connection.execute(query):
        if instant(at) < moment:
            break
        record, identified = record_of(number, body), entry_of(*event).event
        if not record.place.startswith(place) or not isinstance(record.event, Erased):
            continue
        capacity = identified.drive.geometry.capacity_bytes if isinstance(identified, DriveIdentified) else 0
        found.append(EndedJob(record.event.job_id, record.event.outcome is Outcome.PASSED, capacity))
    return found
