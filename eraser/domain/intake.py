"""Where a drive that arrives belongs: which lot it came with, whether it came anew, and what a person is asked about it.

A lot is *taken in* at bays of a station from when it is opened until it is closed. Where several things may be true nothing
is guessed: the drive is asked about, and never erased by itself.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from eraser.domain.custody import (
    Article,
    CustodyRecord,
    DriveName,
    Gathered,
    HandedOver,
    Received,
    Registered,
    Standing,
    may_be_same,
    standing,
)
from eraser.domain.drive import Drive, Media, Transport
from eraser.domain.lot import Lot
from eraser.domain.sayings import Code, Saying, recalled, say
from eraser.errors import UsageError

MAX_BAYS = 1_000


@dataclass(frozen=True, slots=True)
class Opening:
    """A lot is taken in at these bays of a station; without bays, at every one of them."""

    lot_id: str
    station_id: str
    bays: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.bays)) != len(self.bays) or not all(self.bays) or len(self.bays) > MAX_BAYS:
            raise UsageError("a bay is named twice, or not at all", subject=self.lot_id)

    def is_at(self, bay: str) -> bool:
        """Whether the bay takes the lot in."""
        return not self.bays or bay in self.bays

    def overlaps(self, other: "Opening") -> bool:
        """Whether some bay would take in both lots: then nobody knows whose drive is in it."""
        if self.station_id != other.station_id:
            return False
        return not self.bays or not other.bays or not set(self.bays).isdisjoint(other.bays)


@dataclass(frozen=True, slots=True)
class OpenLot:
    """A lot that is being taken in, with the drives that came with it so far, each once, in the order of their arrival."""

    lot: Lot
    opening: Opening
    arrived: tuple[DriveName, ...] = ()


@dataclass(frozen=True, slots=True)
class ClosedLot:
    """The lot that a drive came with, no longer taken in where the drive is now, and the drives that came with it."""

    lot: Lot
    arrived: tuple[DriveName, ...] = ()


@dataclass(frozen=True, slots=True)
class Belonging:
    """What is known of a drive in a bay. `question`: why a person has to start it, whatever its lot says; None if nobody."""

    lot_id: str
    is_arrival: bool
    question: Saying | None = None
    may_join: str = ""
    """The lot of its bay, which it may have come with: it was plugged in before that was taken in."""
    hold: Saying | None = None
    """Why not even a job that was begun goes on by itself; None if nothing speaks against it."""


def belonging(
    name: DriveName | None,
    bay: str,
    open_lots: Sequence[OpenLot],
    past: Gathered | None,
    *,
    came_with: ClosedLot | None = None,
    is_ordered: bool = False,
) -> Belonging:
    """Of the drive of this name in this bay. `past` is what is on record of it, None for a drive without a name.

    `came_with`: its lot, where that is none of `open_lots`. `is_ordered`: a person who sees it there has just said that it is
    to be erased.
    """
    now = standing(past.records) if past is not None else Standing()
    serial = name.serial if name is not None else ""
    expecting = [item for item in open_lots if serial and serial in item.lot.expected_serials]
    taking = next((item for item in open_lots if item.opening.is_at(bay)), None)
    if now.is_here and past is not None:
        found = _of_one_that_is_here(past.records, now, expecting, taking)
        if found.may_join and is_ordered:
            found = Belonging(found.may_join, True)
    else:
        found = _of_a_newcomer(expecting, taking)
    # Whoever closes a lot does not say that it takes what it did not expect.
    lots = (*open_lots, *(() if came_with is None else (came_with,)))
    lot = next((item for item in lots if item.lot.lot_id == found.lot_id), None)
    question = _on_record(now, past) or found.question or (_unexpected(lot, name) if lot is not None else None)
    # Nothing is received that is on record as destroyed: somebody is wrong, and a person has to find out who.
    hold = _on_record(now, past) if now.is_held or now.twice or now.is_destroyed else None
    return replace(found, is_arrival=found.is_arrival and not now.is_destroyed, question=question, hold=hold)


def _of_a_newcomer(expecting: Sequence[OpenLot], taking: OpenLot | None) -> Belonging:
    if taking is not None and taking in expecting:
        return Belonging(taking.lot.lot_id, True)
    if len(expecting) > 1:
        return Belonging("", True, _expected_twice(expecting))
    if expecting:
        return Belonging(expecting[0].lot.lot_id, True)
    return Belonging(taking.lot.lot_id if taking is not None else "", True)


def _of_one_that_is_here(
    records: Iterable[CustodyRecord], now: Standing, expecting: Sequence[OpenLot], taking: OpenLot | None
) -> Belonging:
    """It keeps its lot, unless another one expects just this drive: then it left without a word and has come back."""
    mine = arrived_with(records)
    others = [item.lot.lot_id for item in expecting]
    if mine not in others and others:
        is_one = len(others) == 1
        return Belonging(others[0], True) if is_one else Belonging(mine, False, _expected_twice(expecting))
    if taking is None or taking.lot.lot_id == mine or mine in others:
        return Belonging(mine, False)
    theirs = taking.lot.lot_id
    if not mine and now.outcome is None and not now.quarantine:
        return Belonging(mine, False, say(Code.MAY_JOIN_LOT, lot=theirs), may_join=theirs)
    came_with = say(Code.CAME_WITH_LOT, lot=mine, other=theirs)
    return Belonging(mine, False, came_with if mine else say(Code.CAME_WITHOUT_LOT, other=theirs))


def _expected_twice(expecting: Sequence[OpenLot]) -> Saying:
    return say(Code.EXPECTED_TWICE, lots=", ".join(item.lot.lot_id for item in expecting))


def arrived_with(records: Iterable[CustodyRecord]) -> str:
    """The lot of the last arrival since the drive last left; empty where it came without one."""
    lot_id = ""
    for record in records:
        match record.event:
            case Received(found):
                lot_id = found
            case HandedOver():
                lot_id = ""
            case _:
                pass
    return lot_id


def is_registered(records: Iterable[CustodyRecord]) -> bool:
    """Whether it was registered since it last arrived: who receives by hand does not read labels."""
    found = False
    for record in records:
        found = isinstance(record.event, Registered) or (found and not isinstance(record.event, Received))
    return found


def _on_record(now: Standing, past: Gathered | None) -> Saying | None:
    if now.is_destroyed:
        return say(Code.RECORDED_DESTROYED)
    if now.twice:
        return say(Code.TO_TELL_APART, cause=recalled(now.twice))
    if now.quarantine:
        return say(Code.QUARANTINED, cause=recalled(now.quarantine))
    if now.is_released:
        return say(Code.RELEASED)
    return say(Code.KNOWN_NAME) if past is not None and past.is_ambiguous else None


def _unexpected(its_lot: OpenLot | ClosedLot, name: DriveName | None) -> Saying | None:
    """Why the lot does not take the drive as its own without a person's word."""
    lot = its_lot.lot
    if name is None:
        return say(Code.NAMELESS_IN_LOT, lot=lot.lot_id)
    if lot.expected_serials:
        is_expected = name.serial in lot.expected_serials
        return None if is_expected else say(Code.NOT_EXPECTED, lot=lot.lot_id)
    arrived = its_lot.arrived
    earlier = next((index for index, other in enumerate(arrived) if may_be_same(other, name)), len(arrived))
    if lot.expected_drives is not None and earlier >= lot.expected_drives:
        return say(Code.MORE_THAN_EXPECTED, lot=lot.lot_id, count=lot.expected_drives)
    return None


def another_of_the_name(records: Iterable[CustodyRecord], drive: Drive) -> str:
    """Why this can't be the drive that was registered last under its name; empty if it can be."""
    newest: Registered | None = None
    for record in records:
        newest = record.event if isinstance(record.event, Registered) else newest
    if newest is None or newest.article not in (_article(drive), Article.OTHER):
        # An adapter hides what kind of drive it is, and much else.
        return ""
    now = registration(drive)
    for before, seen in ((newest.model, now.model), (_size(newest), _size(now))):
        if before and seen and before != seen:
            return say(Code.CUSTODY_ANOTHER, before=before, seen=seen).english
    return ""


def _size(registered: Registered) -> str:
    return registered.specification.partition(",")[0]


def place_of(station_id: str, bay: str) -> str:
    """How custody records name a bay."""
    return f"{station_id}/{bay}"


def registration(drive: Drive) -> Registered:
    """What 台账 asks to be written down, as far as the drive itself tells it."""
    geometry = drive.geometry
    sectors = f"{geometry.logical_sector_bytes}/{geometry.physical_sector_bytes}-byte sectors"
    conditions = ", ".join(condition.value for condition in drive.conditions)
    return Registered(
        article=_article(drive),
        brand=drive.identity.manufacturer,
        model=drive.identity.model,
        specification=f"{geometry.capacity_bytes} bytes, {drive.transport.value}, {sectors}",
        quantity=1,
        condition=conditions or "answers",
    )


def _article(drive: Drive) -> Article:
    if drive.transport is Transport.MMC:
        return Article.MEMORY_CARD
    match drive.media:
        case Media.MAGNETIC:
            return Article.DISK
        case Media.FLASH:
            is_stick = drive.transport is Transport.USB and not drive.bridge
            return Article.FLASH_STICK if is_stick else Article.SOLID_STATE
    return Article.OTHER
