"""A lot: one delivery of drives and how they are to be treated; and tags that people stick on drives and bays. Values only."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from eraser.domain.plan import Level
from eraser.domain.program import Verification
from eraser.errors import UsageError

MAX_DRIVES = 100_000
"""In one lot."""
MAX_NAME_CHARACTERS = 128


@dataclass(frozen=True, slots=True)
class LotPolicy:
    """What happens to the lot's drives. `level` None means the standard's own; `deadline` is RFC 3339 in UTC, or empty."""

    standard: str
    level: Level | None = None
    verification: Verification = Verification.FULL
    starts_by_itself: bool = False
    """Whether a drive is erased as soon as it is plugged in; otherwise somebody is asked first."""
    is_customer_waiting: bool = False
    deadline: str = ""


@dataclass(frozen=True, slots=True)
class Lot:
    """One delivery. What is expected of it is said by serial numbers, by a number of drives, or not at all."""

    lot_id: str
    policy: LotPolicy
    supplier: str = ""
    expected_serials: tuple[str, ...] = ()
    expected_drives: int | None = None

    def __post_init__(self) -> None:
        if not _is_name(self.lot_id):
            raise UsageError("a lot needs a name that can be printed", subject=self.lot_id)
        if len(set(self.expected_serials)) != len(self.expected_serials) or "" in self.expected_serials:
            raise UsageError("an expected serial number is empty or named twice", subject=self.lot_id)
        if self.expected_drives is not None and not 0 < self.expected_drives <= MAX_DRIVES:
            raise UsageError(f"a lot has 1 to {MAX_DRIVES} drives", subject=self.lot_id)
        if self.expected_serials and self.expected_drives not in (None, len(self.expected_serials)):
            raise UsageError("the number of drives is not that of the serial numbers", subject=self.lot_id)
        if self.policy.deadline:
            instant(self.policy.deadline)


def instant(moment: str) -> datetime:
    """The time that a text in RFC 3339 means. Raises UsageError for one that is not in UTC."""
    try:
        found = datetime.fromisoformat(moment)
    except ValueError:
        found = None
    if found is None or "T" not in moment or found.utcoffset() != timedelta():
        raise UsageError("it is no UTC time", subject=moment, remedy="Write one such as 2027-01-31T16:00:00Z.")
    return found


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What has come of a lot against what was expected."""

    arrived: int
    missing_serials: tuple[str, ...]
    unexpected_serials: tuple[str, ...]
    missing_drives: int

    @property
    def is_complete(self) -> bool:
        """Everything expected is here; more may be."""
        return not self.missing_serials and not self.missing_drives


def arrivals(lot: Lot, serials: tuple[str, ...]) -> Arrivals:
    """Compares with the serial numbers of the drives received so far, empty for one that has none."""
    expected = set(lot.expected_serials)
    wanted = lot.expected_drives if lot.expected_drives is not None else len(expected)
    here = set(serials)
    return Arrivals(
        arrived=len(serials),
        missing_serials=tuple(serial for serial in lot.expected_serials if serial not in here),
        unexpected_serials=tuple(sorted(here - expected)) if expected else (),
        missing_drives=max(0, wanted - len(serials)),
    )


@dataclass(frozen=True, slots=True)
class TagBinding:
    """A tag means the drive with this serial number, or whatever drive is put into this bay next. Exactly one is given."""

    tag: str
    bay: str = ""
    serial: str = ""

    def __post_init__(self) -> None:
        if not _is_name(self.tag) or bool(self.bay) == bool(self.serial) or not _is_name(self.bay or self.serial):
            raise UsageError("an asset tag is bound to either a bay or a serial number", subject=self.tag)


def _is_name(text: str) -> bool:
    return 0 < len(text) <= MAX_NAME_CHARACTERS and text.isprintable()
