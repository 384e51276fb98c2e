"""What a bay needs of what is around it: how drives are looked at, what became of them before, and its station."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from eraser.domain.bay import BandwidthDomain, Bay, PowerDomain
from eraser.domain.drive import Drive
from eraser.domain.sayings import Sayings
from eraser.rack.admitting import Admissions
from eraser.rack.erasing import Station
from eraser.rack.intake import Reception
from eraser.rack.presence import Sighting

if TYPE_CHECKING:
    from eraser.rack.bay import BayRun


class DriveAccess(Protocol):
    """How the station looks at drives: this host's or a simulated rack's. All of it may block."""

    def identify(self, sighting: Sighting) -> Drive:
        """Who it is. Raises DriveError or Refused."""
        ...

    def refuse_if_used(self, drive: Drive) -> None:
        """Raises Refused when anything else uses it."""
        ...

    def domains(self, sighting: Sighting) -> tuple[BandwidthDomain, ...]:
        """What the machine shows of what its bytes go through."""
        ...

    def light(self, sighting: Sighting) -> "Light | None":
        """The light at its slot; None where it has none."""
        ...

    async def blink(self, sighting: Sighting, seconds: float) -> None:
        """Reads a little, so that the drive's own light blinks. Cancelled at any time; it has let go of the drive then.
        Raises DriveError or Refused. Unlike the rest it does not block.
        """
        ...


class Light(Protocol):
    """At a slot: `eraser.drives.leds.SlotLight`, or a simulated one."""

    def switch(self, *, on: bool) -> None:
        """May block. Raises DriveError when the kernel or the enclosure refuses."""
        ...


@dataclass(frozen=True, slots=True)
class Past:
    """The last finished job on a drive."""

    job_id: str
    outcome: str
    why: Sayings = ()
    """Why it did not pass."""


class History(Protocol):
    """What became of drives that were here before."""

    async def of(self, drive: Drive) -> Past | None:
        """The last finished job on this very drive, also one that ended a moment ago; None where it cannot be recognised."""
        ...


class Surroundings(Protocol):
    """What a bay needs of its station."""

    parts: Station
    access: DriveAccess
    intake: Reception
    admissions: Admissions
    history: History
    log: Any
    unrecorded_cancels: set[str]
    """Jobs that a person cancelled while the journal failed: they do not go on by themselves, and are still owed that word."""

    def domains_of(self, bay: Bay, found: Iterable[BandwidthDomain]) -> tuple[BandwidthDomain, ...]: ...

    def power_of(self, bay: Bay) -> PowerDomain | None: ...

    def rival(self, bay: "BayRun", drive: Drive) -> "BayRun | None":
        """Another bay that has this drive, or is not done with it yet."""
        ...

    async def changed(self) -> None:
        """Waits until something has changed in some bay."""
        ...

    def tell_change(self) -> None: ...

    def count(self, outcome: str, standard: str) -> None: ...

    def new_sighting(self) -> str:
        """A name for what is in a bay from now on; no other station and no other run of this one gives it."""
        ...
