"""Routine control: at least one in twenty of the drives that passed is read again, drawn blind, by a person who did not erase
it, and by a day that is fixed when it is drawn (R2v3 Appendix B). Pure.

Each draw takes up in the log where the one before ended, so that no certificate is in none. What is drawn from has no name of
an operator in it, only numbers and ids.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from eraser.domain.audit import DriveReading, DriveResult, LogHead
from eraser.domain.blind_draw import ROUTINE, drawn, seed_of

ONE_IN = 20
"""5 %."""
PERIOD_DAYS = 7
"""How long a passed drive may wait to be in a draw, and then, where it is drawn, to be read."""


@dataclass(frozen=True, slots=True)
class Draw:
    """Drawn from the passed certificates among the log's entries from `first` up to, not including, the log's size then."""

    draw_id: str
    at: str
    due_at: str
    first: int
    log: LogHead
    nonce: bytes
    seed: bytes
    passed: int
    """How many were drawn from."""
    certificate_ids: tuple[str, ...]


class Missed(StrEnum):
    """Why a drawn drive was not read."""

    GONE = "gone"
    """It had left before."""
    BROKEN = "broken"
    ERASED_AGAIN = "erased-again"
    """It holds what a later certificate says."""


@dataclass(frozen=True, slots=True)
class ControlCheck:
    """What became of a drawn drive: it was read, or it was missed."""

    draw_id: str
    certificate_id: str
    at: str
    checker: str
    """A pseudonymous role; not the one who erased it."""
    reading: DriveReading | None
    missed: Missed | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """A drawn drive that nobody has read yet."""

    draw_id: str
    certificate_id: str
    due_at: str
    is_overdue: bool


@dataclass(frozen=True, slots=True)
class RoutineState:
    """How the routine control stands. `undrawn` passed certificates are in no draw yet."""

    draws: int
    passed: int
    drawn: int
    read: int
    missed: int
    wrong: tuple[str, ...]
    """Certificates whose drives did not hold what they say."""
    due: tuple[Due, ...]
    undrawn: int
    is_draw_overdue: bool

    @property
    def overdue(self) -> int:
        """How many things should have been done by now."""
        return sum(1 for item in self.due if item.is_overdue) + self.is_draw_overdue


def draw_blind(
    draw_id: str, at: str, first: int, log: LogHead, nonce: bytes, passed: Sequence[str]
) -> Draw:  # fmt: skip
    """One in twenty of these certificates, rounded up. `passed` are ids in the log's order."""
    seed = seed_of(ROUTINE, nonce, log.root, log.size)
    count = -(-len(passed) // ONE_IN)
    return Draw(
        draw_id, at, later(at), first, log, nonce, seed, len(passed), drawn(passed, count, ROUTINE, seed)
    )  # fmt: skip


def state_of(
    draws: Sequence[Draw],
    checks: Sequence[ControlCheck],
    undrawn: int,
    undrawn_since: str,
    now: str,
    withdrawn: Collection[str] = (),
) -> RoutineState:
    """`undrawn_since`: when the oldest passed certificate that is in no draw was seen in the log; empty where there is none. A
    drive that was missed and read after all was read. A certificate that was withdrawn claims nothing any more.
    """
    read = {item.certificate_id: item.reading for item in checks if item.reading is not None}
    missed = {item.certificate_id for item in checks if item.missed is not None} - read.keys()
    due = tuple(
        Due(draw.draw_id, certificate_id, draw.due_at, _is_before(draw.due_at, now))
        for draw in draws
        for certificate_id in draw.certificate_ids
        if certificate_id not in read and certificate_id not in missed and certificate_id not in withdrawn
    )
    good = (DriveResult.HOLDS,)
    return RoutineState(
        draws=len(draws),
        passed=sum(item.passed for item in draws),
        drawn=sum(len(item.certificate_ids) for item in draws),
        read=len(read),
        missed=len(missed),
        wrong=tuple(sorted(name for name, item in read.items() if item.result not in good and name not in withdrawn)),
        due=due,
        undrawn=undrawn,
        is_draw_overdue=bool(undrawn) and bool(undrawn_since) and _is_before(later(undrawn_since), now),
    )


def is_draw_due(newest_at: str, now: str, every_seconds: float) -> bool:
    """Whether it is time for the next draw; `newest_at` is when the last one was made, empty where none was. After a clock was
    set back it is: too many draws do no harm.
    """
    if not newest_at:
        return True
    return not 0 <= (datetime.fromisoformat(now) - datetime.fromisoformat(newest_at)).total_seconds() < every_seconds


def later(moment: str, days: int = PERIOD_DAYS) -> str:
    """So many days later, RFC 3339 in UTC."""
    then = datetime.fromisoformat(moment) + timedelta(days=days)
    return then.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _is_before(one: str, other: str) -> bool:
    return datetime.fromisoformat(one) < datetime.fromisoformat(other)
