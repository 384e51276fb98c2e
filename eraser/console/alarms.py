"""What must not be overlooked, and who has taken it in hand. Computed from the picture; only the taking is remembered."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from eraser.console.problems import NotFound
from eraser.domain.custody import drive_name
from eraser.domain.sayings import VERIFICATION_FAILURES, Code, Saying, Sayings
from eraser.domain.watchdog import Alarm as Trouble
from eraser.errors import Refused
from eraser.rack.view import BaySnapshot, BayState, StationSnapshot


class Kind(StrEnum):
    """What is the matter. The order is that of their weight."""

    NOT_READY = "not-ready"
    HELD = "held"
    VERIFICATION_FAILED = "verification-failed"
    FAILED = "failed"
    STUCK = "stuck"
    HOT = "hot"
    ERRORS = "errors"
    SLOW = "slow"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"


_ENDED_BEFORE = (Code.FAILED_BEFORE, Code.VERIFICATION_FAILED_BEFORE)
_WEIGHT = {kind: weight for weight, kind in enumerate(Kind)}
_TROUBLES = {
    Trouble.STUCK.value: Kind.STUCK,
    Trouble.HOT.value: Kind.HOT,
    Trouble.ERRORS.value: Kind.ERRORS,
    Trouble.SLOW.value: Kind.SLOW,
}


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing that is the matter, as long as it is. `sighting` tells drives in one bay apart; both are empty for what is the
    station's. `taken_by` and `taken_at` (RFC 3339, UTC) are empty until somebody has acknowledged it.
    """

    bay: str
    sighting: str
    kind: Kind
    sayings: Sayings
    matter: str
    """What is acknowledged: this kind of trouble, with this drive and job, in this bay. After a restart it is the same."""
    taken_by: str = ""
    taken_at: str = ""


def findings(snapshot: StationSnapshot) -> Iterator[Alarm]:
    """Everything that is the matter at this moment, nothing of it acknowledged."""
    for trouble in snapshot.troubles:
        yield Alarm("", "", Kind.NOT_READY, (trouble,), _matter_of_station(trouble))
    for bay in snapshot.bays:
        yield from findings_of(bay)


def findings_of(bay: BaySnapshot) -> Iterator[Alarm]:
    """The same of one bay."""
    if (kind := _kind_of_state(bay)) is not None:
        yield Alarm(bay.name, bay.sighting, kind, bay.reasons or bay.waiting, _matter(bay, kind))
    for name, saying in zip(bay.alarms, bay.alarm_sayings, strict=True):
        if name in _TROUBLES:
            kind = _TROUBLES[name]
            yield Alarm(bay.name, bay.sighting, kind, (saying,), _matter(bay, kind))


def _matter_of_station(trouble: Saying) -> str:
    about = (str(value) for name, value in sorted(trouble.values.items()) if name not in ("detail", "seconds"))
    return " ".join((Kind.NOT_READY.value, trouble.code.value, *about))


def _matter(bay: BaySnapshot, kind: Kind) -> str:
    name = drive_name(bay.drive.identity, bay.asset_tag) if bay.drive is not None else None
    drive = name.serial or name.world_wide_name or name.asset_tag if name is not None else bay.sighting
    past = next((saying.values["job"] for saying in bay.waiting if saying.code in _ENDED_BEFORE), "")
    return f"{bay.name} {drive} {kind.value} {past or bay.job_id}"


def _kind_of_state(bay: BaySnapshot) -> Kind | None:
    match bay.state:
        case BayState.HELD:
            return Kind.HELD
        case BayState.FAILED:
            return Kind.VERIFICATION_FAILED if is_verification_failure(bay) else Kind.FAILED
        case BayState.REFUSED:
            return Kind.REFUSED
        case BayState.INTERRUPTED:
            return Kind.INTERRUPTED
        case BayState.ASKING:
            return _kind_of_past(bay)
        case _:
            return None


def _kind_of_past(bay: BaySnapshot) -> Kind | None:
    """A drive that failed here is the matter until it leaves or passes, also after the station began anew."""
    codes = {saying.code for saying in bay.waiting}
    if Code.VERIFICATION_FAILED_BEFORE in codes:
        return Kind.VERIFICATION_FAILED
    return Kind.FAILED if Code.FAILED_BEFORE in codes else None


def is_verification_failure(bay: BaySnapshot) -> bool:
    """Whether what was read back is not what was written: the drive lies or another has written to it."""
    return bool(bay.mismatched_sectors) or any(saying.code in VERIFICATION_FAILURES for saying in bay.reasons)


class Book(Protocol):
    """Where it is kept who has acknowledged what; `eraser.ledger.alarms.AlarmBook`."""

    async def add(self, matter: str, name: str) -> str: ...

    async def taken(self) -> dict[str, tuple[str, str]]: ...


class Alarms:
    """Remembers who has acknowledged what, for as long as it is the matter; on the loop's thread alone. With a book, also after
    the station began anew.
    """

    def __init__(
        self, snapshot: Callable[[], StationSnapshot], now_utc: Callable[[], str], book: Book | None = None
    ) -> None:
        self._snapshot = snapshot
        self._now_utc = now_utc
        self._book = book
        self._taken: dict[str, tuple[str, str]] = {}
        self._seen: set[str] = set()
        """Matters of this run: what is in the book alone may still show once its drive is identified."""
        self._over: list[str] = []

    async def recall(self) -> None:
        """What the book has. Raises JournalError."""
        if self._book is not None:
            self._taken = await self._book.taken() | self._taken

    def expect_no_more(self) -> None:
        """By now everything has shown that is still the matter."""
        self._seen |= self._taken.keys()

    async def keep(self) -> None:
        """Writes into the book what is over. Raises JournalError; what could not be written is tried again."""
        while self._over and self._book is not None:
            await self._book.add(self._over[0], "")
            self._over.pop(0)

    def all(self, snapshot: StationSnapshot | None = None) -> tuple[Alarm, ...]:
        """What is the matter now: first what nobody has taken, then by weight and bay. Forgets what is over."""
        found = list(findings(snapshot if snapshot is not None else self._snapshot()))
        matters = {alarm.matter for alarm in found}
        over = [matter for matter in self._taken if matter in self._seen and matter not in matters]
        self._seen = self._seen & self._taken.keys() | matters
        for matter in over:
            del self._taken[matter]
        if self._book is not None:
            self._over += over
        return tuple(sorted((self._with_taker(alarm) for alarm in found), key=_order))

    async def take(self, bay: str, sighting: str, kind: str, name: str) -> Alarm:
        """Somebody has taken it in hand. Whoever was first stays. Raises NotFound for what is not the matter any more, Refused
        without a name.
        """
        if not name:
            raise Refused("no-name", "an alarm is acknowledged by a name", remedy="Sign in.")
        wanted = [
            alarm for alarm in self.all() if (alarm.bay, alarm.sighting, alarm.kind.value) == (bay, sighting, kind)
        ]
        if not wanted:
            raise NotFound("it is not the matter any more", subject=f"bay {bay}" if bay else kind, remedy="Look again.")
        for alarm in wanted:
            if alarm.matter in self._taken:
                continue
            self._taken[alarm.matter] = (name, self._now_utc())
            try:
                await self._write_down(alarm.matter, name)
            except BaseException:
                del self._taken[alarm.matter]
                raise
        return self._with_taker(wanted[0])

    async def _write_down(self, matter: str, name: str) -> None:
        if self._book is not None:
            await self.keep()  # first that an earlier one is over
            await self._book.add(matter, name)

    def _with_taker(self, alarm: Alarm) -> Alarm:
        name, at = self._taken.get(alarm.matter, ("", ""))
        return replace(alarm, taken_by=name, taken_at=at)


def _order(alarm: Alarm) -> tuple[bool, int, str]:
    return bool(alarm.taken_by), _WEIGHT[alarm.kind], alarm.bay
