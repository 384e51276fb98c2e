"""What must not be overlooked, and who has taken it in hand. Computed from the picture; only the taking is remembered."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from eraser.console.problems import NotFound
from eraser.domain.sayings import VERIFICATION_FAILURES, Code, Sayings, english
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
    taken_by: str = ""
    taken_at: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What is acknowledged: this matter, with this drive, in this bay."""
        return self.bay, self.sighting, self.kind.value if self.bay else f"{self.kind.value} {english(self.sayings)}"


def findings(snapshot: StationSnapshot) -> Iterator[Alarm]:
    """Everything that is the matter at this moment, nothing of it acknowledged."""
    for trouble in snapshot.troubles:
        yield Alarm("", "", Kind.NOT_READY, (trouble,))
    for bay in snapshot.bays:
        yield from findings_of(bay)


def findings_of(bay: BaySnapshot) -> Iterator[Alarm]:
    """The same of one bay."""
    if (kind := _kind_of_state(bay)) is not None:
        yield Alarm(bay.name, bay.sighting, kind, bay.reasons or bay.waiting)
    for name, saying in zip(bay.alarms, bay.alarm_sayings, strict=True):
        if name in _TROUBLES:
            yield Alarm(bay.name, bay.sighting, _TROUBLES[name], (saying,))


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


class Alarms:
    """Remembers who has acknowledged what, for as long as it is the matter; on the loop's thread alone."""

    def __init__(self, snapshot: Callable[[], StationSnapshot], now_utc: Callable[[], str]) -> None:
        self._snapshot = snapshot
        self._now_utc = now_utc
        self._taken: dict[tuple[str, str, str], tuple[str, str]] = {}

    def all(self, snapshot: StationSnapshot | None = None) -> tuple[Alarm, ...]:
        """What is the matter now: first what nobody has taken, then by weight and bay. Forgets what is over."""
        found = list(findings(snapshot if snapshot is not None else self._snapshot()))
        keys = {alarm.key for alarm in found}
        self._taken = {key: taken for key, taken in self._taken.items() if key in keys}
        return tuple(sorted((self._with_taker(alarm) for alarm in found), key=_order))

    def take(self, bay: str, sighting: str, kind: str, name: str) -> Alarm:
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
            self._taken.setdefault(alarm.key, (name, self._now_utc()))
        return self._with_taker(wanted[0])

    def _with_taker(self, alarm: Alarm) -> Alarm:
        name, at = self._taken.get(alarm.key, ("", ""))
        return Alarm(alarm.bay, alarm.sighting, alarm.kind, alarm.sayings, name, at)


def _order(alarm: Alarm) -> tuple[bool, int, str]:
    return bool(alarm.taken_by), _WEIGHT[alarm.kind], alarm.bay


def unacknowledged(alarms: Iterable[Alarm]) -> tuple[Alarm, ...]:
    """Those that nobody has taken."""
    return tuple(alarm for alarm in alarms if not alarm.taken_by)
