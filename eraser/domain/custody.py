"""The chain of custody (台账) and the exit gate. A drive's standing is the fold of its records, in the ledger's own order:
clocks jump, so no rule here compares times.

Who may leave: a drive that has passed after its last arrival, and nothing speaks against it since.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar, assert_never

from eraser.domain.drive import Identity, SerialSource
from eraser.domain.events import Outcome
from eraser.domain.program import Verification
from eraser.errors import UsageError


@dataclass(frozen=True, slots=True)
class DriveName:
    """By what a drive is known; at least one is not empty. `world_wide_name`: its WWN, else EUI-64, else NGUID."""

    serial: str = ""
    world_wide_name: str = ""
    asset_tag: str = ""

    def __post_init__(self) -> None:
        if not (self.serial or self.world_wide_name or self.asset_tag):
            raise UsageError("a drive without serial number, world-wide name and asset tag has no history")
        if not (self.serial + self.world_wide_name + self.asset_tag).isprintable():
            raise UsageError("a drive's name holds characters that can't be printed")


def world_wide_name(identity: Identity) -> str:
    """The one that the drive says, empty if none."""
    return identity.wwn or identity.eui64 or identity.nguid


def own_serial(identity: Identity) -> str:
    """The drive's own serial number; an enclosure's says nothing about the drive inside."""
    return identity.serial if identity.serial_source is SerialSource.DRIVE else ""


def drive_name(identity: Identity, asset_tag: str = "") -> DriveName | None:
    """Of a drive as it was identified; None when nothing tells it from others."""
    serial, wide = own_serial(identity), world_wide_name(identity)
    return DriveName(serial, wide, asset_tag) if serial or wide or asset_tag else None


def may_be_same(one: DriveName, other: DriveName) -> bool:
    """Whether both may mean one drive: something agrees and neither number of the drive itself contradicts."""
    pairs = (
        (one.serial, other.serial),
        (one.world_wide_name, other.world_wide_name),
    )
    if any(mine and theirs and mine != theirs for mine, theirs in pairs):
        return False
    tags = (one.asset_tag, other.asset_tag)
    return any(mine and mine == theirs for mine, theirs in (*pairs, tags))


class Article(StrEnum):
    """What was delivered."""

    DISK = "disk"
    SOLID_STATE = "solid-state"
    FLASH_STICK = "flash-stick"
    MEMORY_CARD = "memory-card"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Received:
    """It arrived; from here on only what happens now counts."""

    kind: ClassVar[str] = "received"
    lot_id: str
    received_from: str = ""


@dataclass(frozen=True, slots=True)
class Registered:
    """What 台账 asks to be written down of each thing."""

    kind: ClassVar[str] = "registered"
    article: Article
    brand: str
    model: str
    specification: str
    quantity: int
    condition: str


@dataclass(frozen=True, slots=True)
class Moved:
    """To another place within the plant."""

    kind: ClassVar[str] = "moved"
    to: str


@dataclass(frozen=True, slots=True)
class Erased:
    """A job ended; written by the ledger together with the job's own event."""

    kind: ClassVar[str] = "erased"
    job_id: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Verified:
    """The job's final read-back; written likewise."""

    kind: ClassVar[str] = "verified"
    job_id: str
    verification: Verification


@dataclass(frozen=True, slots=True)
class Quarantined:
    """It failed, was refused, or somebody put it aside: it stays until destroyed or until a later job passes."""

    kind: ClassVar[str] = "quarantined"
    reason: str
    job_id: str = ""


@dataclass(frozen=True, slots=True)
class Released:
    """It may be sold: the exit gate let it through."""

    kind: ClassVar[str] = "released"
    to: str = ""


@dataclass(frozen=True, slots=True)
class Destroyed:
    """Nothing is left that could be read: how, and who has seen it."""

    kind: ClassVar[str] = "destroyed"
    how: str
    witness: str = ""


@dataclass(frozen=True, slots=True)
class HandedOver:
    """It left the plant."""

    kind: ClassVar[str] = "handed-over"
    to: str


CustodyEvent = Received | Registered | Moved | Erased | Verified | Quarantined | Released | Destroyed | HandedOver


@dataclass(frozen=True, slots=True)
class CustodyRecord:
    """One line: what happened to which drive, when (RFC 3339, UTC), where, and by whom."""

    at: str
    place: str
    operator: str
    drive: DriveName
    event: CustodyEvent


@dataclass(frozen=True, slots=True)
class Standing:
    """What a drive's records add up to."""

    is_here: bool = False
    place: str = ""
    outcome: Outcome | None = None
    """Of the last job since the last arrival."""
    quarantine: str = ""
    """Why it is quarantined; empty when it is not."""
    is_released: bool = False
    is_destroyed: bool = False


@dataclass(frozen=True, slots=True)
class No:
    """Why not: a stable `code` for machines, and the sentence for people."""

    code: str
    what: str


def standing(records: Iterable[CustodyRecord]) -> Standing:
    """Of one drive, from its records in the order of the ledger."""
    result = Standing()
    for record in records:
        result = _after(result, record)
    return result


def _after(before: Standing, record: CustodyRecord) -> Standing:
    match record.event:
        case Received():
            # Being quarantined or destroyed does not end by being carried in once more.
            return replace(before, is_here=True, place=record.place, outcome=None, is_released=False)
        case Registered() | Verified():
            return before
        case Moved(to):
            return replace(before, place=to)
        case Erased(_, outcome):
            passed = outcome is Outcome.PASSED
            quarantine = "" if passed else before.quarantine or "its last job failed"
            return replace(before, outcome=outcome, quarantine=quarantine, is_released=False)
        case Quarantined(reason):
            return replace(before, quarantine=reason or "put aside", is_released=False)
        case Released():
            return replace(before, is_released=True)
        case Destroyed():
            return replace(before, is_destroyed=True, is_released=False)
        case HandedOver():
            return replace(before, is_here=False, outcome=None, is_released=False)
        case _:
            assert_never(record.event)


def stands_on(records: Iterable[CustodyRecord], job_id: str) -> bool:
    """Whether what is known of the drive rests on this job: no other has ended since."""
    ended = [record.event.job_id for record in records if isinstance(record.event, Erased)]
    return not ended or ended[-1] == job_id


def left_to(records: Iterable[CustodyRecord]) -> str:
    """Who took the drive, if it has left and not come back; empty if not."""
    taker = ""
    for record in records:
        if isinstance(record.event, HandedOver):
            taker = record.event.to
        elif isinstance(record.event, Received):
            taker = ""
    return taker


AMBIGUOUS = No("ambiguous", "several drives are known by this name: name it by its world-wide name, too")


@dataclass(frozen=True, slots=True)
class Gathered:
    """All records of one drive, oldest first, and everything that it is known by."""

    name: DriveName
    records: tuple[CustodyRecord, ...]
    is_ambiguous: bool
    """Whether the name fits several drives: a cloned serial number, a tag used twice."""


def gather(name: DriveName, find: Callable[[DriveName], Mapping[int, CustodyRecord]]) -> Gathered:
    """A drive's records, also those under only one of its names. `find` gives those that share any, by their numbers."""
    before: set[int] | None = None
    while True:
        fitting = {number: record for number, record in find(name).items() if may_be_same(name, record.drive)}
        serials = {name.serial, *(record.drive.serial for record in fitting.values())} - {""}
        wide = {name.world_wide_name, *(record.drive.world_wide_name for record in fitting.values())} - {""}
        is_ambiguous = len(serials) > 1 or len(wide) > 1
        if is_ambiguous or fitting.keys() == before:
            return Gathered(name, tuple(record for _, record in sorted(fitting.items())), is_ambiguous)
        before = set(fitting)
        name = DriveName(next(iter(serials), ""), next(iter(wide), ""), name.asset_tag)


def may_release(now: Standing, open_jobs: int = 0) -> No | None:
    """The exit gate: None when the drive may be sold. `open_jobs` counts its jobs that have not ended."""
    if now.is_destroyed:
        return No("destroyed", "it is recorded as destroyed")
    if now.quarantine:
        return No("quarantined", f"it is quarantined: {now.quarantine}")
    if not now.is_here:
        return No("not-here", "no arrival is recorded since it last left")
    if open_jobs:
        return No("open-job", "a job of it has not ended")
    if now.outcome is not Outcome.PASSED:
        return No("not-passed", "no job has passed since its last arrival")
    return No("released", "it is released already") if now.is_released else None


def may_hand_over(now: Standing, open_jobs: int = 0) -> No | None:
    """Only what was released, or destroyed, leaves the plant."""
    if now.is_destroyed or (now.is_released and not open_jobs):
        return None
    return may_release(replace(now, is_released=False), open_jobs) or No("not-released", "it has not been released")


def may_record(now: Standing, event: CustodyEvent, open_jobs: int = 0) -> No | None:
    """Whether a person may write this record now. What jobs did (`Erased`, `Verified`) only jobs write."""
    match event:
        case Released():
            return may_release(now, open_jobs)
        case HandedOver():
            return may_hand_over(now, open_jobs)
        case Destroyed(how) if not how.strip():
            return No("no-how", "how it was destroyed must be said")
        case Erased() | Verified():
            return No("job-only", "what a job did is recorded by the job")
        case Destroyed() | Received() | Quarantined() if now.is_destroyed:
            return No("destroyed", "it is recorded as destroyed")
        case Destroyed() if open_jobs:
            return No("open-job", "a job of it has not ended: cancel it first")
        case _:
            return None
