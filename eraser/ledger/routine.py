"""The routine control in the ledger: draws that follow each other in the log, and what became of the drives."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select

from eraser.domain.audit import DriveResult, LogHead
from eraser.domain.events import Outcome
from eraser.domain.log_entry import EntryKind
from eraser.domain.routine_control import ControlCheck, Draw, RoutineState, draw_blind, state_of
from eraser.errors import Refused, UsageError
from eraser.ledger import log, withdrawals
from eraser.ledger.custody import hold_gate
from eraser.ledger.records import body_of, value_of
from eraser.ledger.schema import certificates, jobs, log_checkpoints, log_entries, routine_checks, routine_draws

PLACE = "routine control"
"""Where custody records say that a drive was put aside."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A passed certificate in the log, by its entry's number and its id. Who erased the drive is not read here."""

    index: int
    certificate_id: str


def draws(connection: Connection) -> list[Draw]:
    """All, in the log's order."""
    rows = connection.execute(select(routine_draws).order_by(routine_draws.c.first))
    return [value_of(Draw, bytes(row.body), f"draw {row.draw_id}") for row in rows]


def newest_draw(connection: Connection) -> Draw | None:
    """The last one; None before the first."""
    row = connection.execute(select(routine_draws).order_by(routine_draws.c.first.desc()).limit(1)).first()
    return None if row is None else value_of(Draw, bytes(row.body), f"draw {row.draw_id}")


def checks(connection: Connection) -> list[ControlCheck]:
    """All, in the order in which they were recorded."""
    rows = connection.execute(select(routine_checks).order_by(routine_checks.c.number))
    return [value_of(ControlCheck, bytes(row.body), f"check {row.number}") for row in rows]


def draw_next(
    draw_id: str, at: str, head: LogHead, random_bytes: Callable[[int], bytes], connection: Connection
) -> Draw | None:
    """Draws from the passed certificates since the last draw, in the log of `head`, and keeps it; None where there are none.

    Within a transaction that writes. The nonce is drawn here, after the root is fixed by a checkpoint that was signed before.
    """
    first = _covered(connection)
    found = undrawn(connection, first, head.size)
    if not found:
        return None
    draw = draw_blind(draw_id, at, first, head, random_bytes(16), [item.certificate_id for item in found])
    row = {"draw_id": draw_id, "first": first, "behind": head.size, "at": at, "body": body_of(draw)}
    connection.execute(insert(routine_draws).values(row))
    return draw


def put_check(check: ControlCheck, connection: Connection) -> None:
    """With the drive's quarantine, where it does not hold what its certificate says. Within a transaction that writes. Raises
    UsageError for a certificate not drawn, Refused for a second reading.
    """
    hold_gate(connection)
    own = next((item for item in draws(connection) if item.draw_id == check.draw_id), None)
    if own is None or check.certificate_id not in own.certificate_ids:
        raise UsageError("it is in no draw of the routine control", subject=check.certificate_id)
    if any(item.certificate_id == check.certificate_id and item.reading is not None for item in checks(connection)):
        raise Refused("checked", "it has been read already", subject=check.certificate_id)
    row = {
        "draw_id": check.draw_id,
        "certificate_id": check.certificate_id,
        "at": check.at,
        "body": body_of(check),
    }
    connection.execute(insert(routine_checks).values(row))
    if check.reading is not None and check.reading.result is not DriveResult.HOLDS:
        # The gate would let it go else: its job passed.
        reason = f"the routine control read it again: {check.reading.result.value}"
        speaking = withdrawals.certified(check.certificate_id, connection)
        withdrawals.put_aside(speaking, reason, check.at, PLACE, check.checker, connection)


def undrawn(connection: Connection, first: int, behind: int) -> list[Passed]:
    """Passed and not withdrawn, among these entries of the log."""
    query = (
        select(log_entries.c.number, log_entries.c.subject)
        .join(certificates, certificates.c.certificate_id == log_entries.c.subject)
        .join(jobs, jobs.c.job_id == certificates.c.job_id)
        .where(log_entries.c.kind == EntryKind.CERTIFICATE.value, jobs.c.outcome == Outcome.PASSED.value)
        .where(log_entries.c.number >= first, log_entries.c.number < behind)
        .order_by(log_entries.c.number)
    )
    gone = set(log.withdrawn(connection, behind))
    return [Passed(row.number, row.subject) for row in connection.execute(query) if row.subject not in gone]


def state(now: str, connection: Connection) -> RoutineState:
    """How it stands."""
    waiting = undrawn(connection, _covered(connection), log.size(connection))
    since = _seen_at(connection, waiting[0].index) if waiting else ""
    withdrawn = frozenset(log.withdrawn(connection, log.size(connection)))
    return state_of(draws(connection), checks(connection), len(waiting), since, now, withdrawn)


def _covered(connection: Connection) -> int:
    """The entry that the next draw begins with."""
    return connection.execute(select(func.max(routine_draws.c.behind))).scalar() or 0


def _seen_at(connection: Connection, index: int) -> str:
    """When a checkpoint first had this entry; empty before it has one."""
    query = select(log_checkpoints.c.at).where(log_checkpoints.c.size > index).order_by(log_checkpoints.c.number)
    return connection.execute(query.limit(1)).scalar() or ""
