"""What is done to a drive that arrives, and in what order: by its lot and by what is specified for it where there is a ledger,
else the same for all.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from eraser.domain.bay import BayName
from eraser.domain.custody import drive_name
from eraser.domain.drive import Condition, Drive
from eraser.domain.intake import place_of
from eraser.domain.lot import Lot, instant
from eraser.domain.program import Verification
from eraser.domain.sayings import Saying, Sayings
from eraser.domain.specification import Asked, Specification, together
from eraser.rack.erasing import Request

if TYPE_CHECKING:  # a station without a ledger loads no database
    from eraser.ledger.attendances import Attendances
    from eraser.ledger.intake import Intake as LedgerIntake
    from eraser.ledger.intake import TakenIn

_NO_THING = frozenset({Condition.NO_MEDIUM, Condition.BOOT_PARTITION, Condition.AMBIGUOUS_IDENTITY})
"""What shows like this is an empty reader, a part of a drive, or one that can't be told from another: nothing has arrived."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How one drive is to be treated. `deadline` is a time of the loop's clock."""

    request: Request
    starts_by_itself: bool
    question: Saying | None = None
    """Why a person has to start it, whatever the lot says; None if nothing speaks against it."""
    customer_waits: bool = False
    """Then nothing is written before they have agreed (`Reception.has_consented`)."""
    deadline: float = math.inf
    lot_id: str = ""
    asset_tag: str = ""
    specification: Sayings = ()
    """What other programs ask of this drive, and where that is not what its lot says."""
    hold: Saying | None = None
    """Why not even an interrupted job goes on by itself; None if nothing speaks against it."""


class Reception(Protocol):
    """Where a drive is received. Both calls are durable when they return and may be made again after any failure.

    They raise LedgerFull when they can succeed later, and other JournalErrors. Nothing is written to a drive before
    `take_in` has returned for it, so a drive whose arrival can't be recorded waits.
    """

    async def take_in(self, drive: Drive, bay: BayName, known_tag: str = "", *, ordered_by: str | None = None) -> Terms:
        """The drive was identified in this bay. `known_tag`: the tag of an earlier answer, if it has not left since.

        `ordered_by`: who has just said that it is to be erased, empty if that person has no name here; None for nobody.
        """
        ...

    async def set_aside(self, drive: Drive, bay: BayName, reason: str, known_tag: str = "") -> None:
        """It was refused for what it is: from now on it is quarantined."""
        ...

    async def seen_twice(self, drive: Drive, bay: BayName, what: str, known_tag: str = "") -> None:
        """Two drives bear its name: from now on none of them leaves until a person has separated them."""
        ...

    async def has_consented(self, drive: Drive, known_tag: str = "") -> bool:
        """Whether the customer who waits for this drive has agreed to its erasure, on record."""
        ...

    def place_of(self, bay: BayName) -> str:
        """What records call the bay."""
        ...


@dataclass(frozen=True, slots=True)
class Intake:
    """The same for every drive, without lots and records."""

    request: Request
    starts_by_itself: bool

    async def take_in(self, drive: Drive, bay: BayName, known_tag: str = "", *, ordered_by: str | None = None) -> Terms:
        """As for any other."""
        request = replace(self.request, operator=ordered_by) if ordered_by else self.request
        return Terms(request, self.starts_by_itself)

    async def set_aside(self, drive: Drive, bay: BayName, reason: str, known_tag: str = "") -> None:
        """Nothing is recorded here."""

    async def seen_twice(self, drive: Drive, bay: BayName, what: str, known_tag: str = "") -> None:
        """Nothing is recorded here."""

    async def has_consented(self, drive: Drive, known_tag: str = "") -> bool:
        """No customer is known here."""
        return True

    def place_of(self, bay: BayName) -> str:
        """Its name."""
        return bay


class LotIntake:
    """By the drive's lot. `usual` is for drives of no lot, and has the operator of all records and jobs."""

    def __init__(
        self,
        ledger: "LedgerIntake",
        attendances: "Attendances",
        usual: Intake,
        station_id: str,
        now_utc: Callable[[], str],
    ) -> None:
        self._ledger = ledger
        self._attendances = attendances
        self._usual = usual
        self._station_id = station_id
        self._now_utc = now_utc

    async def take_in(self, drive: Drive, bay: BayName, known_tag: str = "", *, ordered_by: str | None = None) -> Terms:
        """Its arrival is on record; then as its lot says."""
        usual = await self._usual.take_in(drive, bay, ordered_by=ordered_by)
        if _NO_THING.intersection(drive.conditions):
            return usual
        operator, is_ordered = usual.request.operator, ordered_by is not None
        found = await self._ledger.take_in(drive, bay, operator, known_tag, is_ordered=is_ordered)
        return self._terms(usual, found)

    async def set_aside(self, drive: Drive, bay: BayName, reason: str, known_tag: str = "") -> None:
        """On record, unless it is already."""
        if not _NO_THING.intersection(drive.conditions):
            await self._ledger.set_aside(drive, bay, reason, self._usual.request.operator, known_tag)

    async def seen_twice(self, drive: Drive, bay: BayName, what: str, known_tag: str = "") -> None:
        """On record, unless it is already."""
        await self._ledger.seen_twice(drive, bay, what, self._usual.request.operator, known_tag)

    async def has_consented(self, drive: Drive, known_tag: str = "") -> bool:
        """As it stands in the ledger, by the drive's name; without one nobody can tell whose it is."""
        name = drive_name(drive.identity, known_tag)
        return name is not None and await self._attendances.has_consented(name)

    def place_of(self, bay: BayName) -> str:
        """Of all stations on the ledger."""
        return place_of(self._station_id, bay)

    def _terms(self, usual: Terms, found: "TakenIn") -> Terms:
        lot_id = found.belonging.lot_id
        question, hold = found.belonging.question, found.belonging.hold
        terms = replace(usual, question=question, hold=hold, lot_id=lot_id, asset_tag=found.asset_tag)
        if found.lot is not None:
            terms = self._by_lot(terms, found.lot)
        elif lot_id:  # received by hand, with a lot that nobody has described
            terms = replace(terms, starts_by_itself=False)
        return _by_specifications(terms, found.asked) if found.asked else terms

    def _by_lot(self, terms: Terms, lot: Lot) -> Terms:
        policy = lot.policy
        request = replace(
            terms.request, standard=policy.standard, level=policy.level, verification=policy.verification, custom=None
        )
        return replace(
            terms,
            request=request,
            starts_by_itself=policy.starts_by_itself,
            customer_waits=policy.is_customer_waiting,
            deadline=self._loop_time(policy.deadline),
        )

    def _loop_time(self, deadline: str) -> float:
        """The moment by the loop's clock. Clocks jump: it is an order among drives, never a reason to do anything else."""
        if not deadline:
            return math.inf
        left = instant(deadline) - instant(self._now_utc())
        return asyncio.get_running_loop().time() + left.total_seconds()


def _by_specifications(terms: Terms, specifications: Sequence[Specification]) -> Terms:
    request = terms.request
    usual = Asked(
        request.custom.name if request.custom is not None else request.standard,
        request.level,
        request.verification or Verification.FULL,
    )
    asked = together(specifications, usual)
    custom = request.custom if asked.standard == usual.standard else None
    request = replace(
        request, standard=asked.standard, level=asked.level, verification=asked.verification, custom=custom
    )
    question = terms.question or asked.question
    return replace(terms, request=request, question=question, specification=asked.told)
