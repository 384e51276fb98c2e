"""What the plant did, added up: by day, lot, model or standard, over the index of certificates. Times are UTC."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, select

from eraser.domain.events import Outcome
from eraser.ledger.certificate_index import CertificateIndex, end_of
from eraser.ledger.schema import certificate_index as index
from eraser.ledger.store import Store

MAX_GROUPS = 400


class By(StrEnum):
    """By what is added up."""

    DAY = "day"
    LOT = "lot"
    MODEL = "model"
    STANDARD = "standard"
    REASON = "reason"
    """Of those that failed, by the first reason."""


@dataclass(frozen=True, slots=True)
class Group:
    """All jobs of one day, lot, …, that ended with a certificate which was not withdrawn. Sizes in bytes.

    `erased_bytes`: capacity of the drives that passed; `moved_bytes`: written and read back in `busy_seconds` of all drives.
    """

    name: str
    passed: int
    failed: int
    erased_bytes: int
    moved_bytes: int
    busy_seconds: float

    @property
    def jobs(self) -> int:
        """All of them."""
        return self.passed + self.failed

    @property
    def share_passed(self) -> float:
        """The yield, from 0 to 1."""
        return self.passed / self.jobs if self.jobs else 0.0

    @property
    def bytes_per_second(self) -> float:
        """Of one drive, on the average."""
        return self.moved_bytes / self.busy_seconds if self.busy_seconds else 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """The groups: days in their order, the rest by the number of their jobs. `omitted`: groups that are not listed."""

    by: By
    since: date | None
    until: date | None
    groups: tuple[Group, ...]
    total: Group
    omitted: int


class Reports:
    """Over one ledger."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._index = CertificateIndex(store)

    async def report(self, by: By, since: date | None = None, until: date | None = None) -> Report:
        """Of the jobs that ended on these days, both included."""
        await self._index.refresh()
        return await self._store.read(partial(_report, by, since, until))


def _report(by: By, since: date | None, until: date | None, connection: Connection) -> Report:
    key = _key(by)
    query = select(key.label("name"), *_sums()).where(*_within(since, until, by)).group_by(key)
    # All of them, once over the rows: there are fewer groups than a second question would take to count.
    groups = [_group(row.name, row) for row in connection.execute(query)]
    if by is By.DAY:
        # Of days the newest count; a plant that has more than a year of them asks for a part.
        shown = sorted(groups, key=lambda group: group.name)[-MAX_GROUPS:]
    else:
        shown = sorted(groups, key=lambda group: (-group.jobs, group.name))[:MAX_GROUPS]
    return Report(by, since, until, tuple(shown), _total(groups), len(groups) - len(shown))


def _total(groups: Sequence[Group]) -> Group:
    return Group(
        "",
        sum(group.passed for group in groups),
        sum(group.failed for group in groups),
        sum(group.erased_bytes for group in groups),
        sum(group.moved_bytes for group in groups),
        math.fsum(group.busy_seconds for group in groups),
    )


def _key(by: By) -> ColumnElement[str]:
    match by:
        case By.DAY:
            return func.substr(index.c.finished_at, 1, 10)
        case By.LOT:
            return index.c.lot_id
        case By.MODEL:
            return index.c.model
        case By.STANDARD:
            return index.c.standard
        case By.REASON:
            return index.c.reason


def _sums() -> tuple[ColumnElement[Any], ...]:
    passed = index.c.outcome == Outcome.PASSED.value
    return (
        func.coalesce(func.sum(case((passed, 1), else_=0)), 0).label("passed"),
        func.coalesce(func.sum(case((passed, 0), else_=1)), 0).label("failed"),
        func.coalesce(func.sum(case((passed, index.c.capacity_bytes), else_=0)), 0).label("erased_bytes"),
        func.coalesce(func.sum(index.c.bytes_done), 0).label("moved_bytes"),
        func.coalesce(func.sum(index.c.busy_seconds), 0.0).label("busy_seconds"),
    )


def _within(since: date | None, until: date | None, by: By) -> list[ColumnElement[bool]]:
    asked: list[ColumnElement[bool]] = [index.c.withdrawn.is_(None), index.c.outcome != ""]
    if since is not None:
        asked.append(index.c.finished_at >= since.isoformat())
    if until is not None:
        asked.append(index.c.finished_at < end_of(until))
    if by is By.REASON:
        asked.append(index.c.outcome == Outcome.FAILED.value)
    return asked


def _group(name: str, row: Any) -> Group:
    return Group(
        name, int(row.passed), int(row.failed), int(row.erased_bytes), int(row.moved_bytes), float(row.busy_seconds)
    )
