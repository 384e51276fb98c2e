"""The fictional rack itself: its bays and what they share, and the drives that are in them now.

It is what `eraser.rack.hotplug` and `eraser.drives` are of a real one: it tells of drives that come and go, says who they
are, and holds them for a job.
"""

import asyncio
import string
from collections.abc import Callable
from dataclasses import replace

from eraser.domain.bay import (
    BandwidthDomain,
    Bay,
    BayMap,
    BayName,
    DomainKind,
    Place,
    PlaceKind,
    PlacePattern,
    Position,
    PowerDomain,
)
from eraser.domain.drive import Drive, Identity, SerialSource, same_drive
from eraser.drives import guard
from eraser.drives.claim import claim
from eraser.drives.discovery import identify
from eraser.drives.erasable import ClaimedDrive, ErasableDrive
from eraser.errors import DriveError, Refused
from eraser.rack.presence import Arrived, Event, Left, Sighting
from eraser.rack.simulated.drive import SimulatedDrive
from eraser.rack.simulated.images import MANUFACTURER, Note, Stock

COLUMNS = 8
"""Bays of a shelf, in one row."""
ACTIVE_PER_SHELF = 6
"""One adapter serves a shelf, and does not serve all of it at once: so that there is a queue to look at."""
SHELF_BYTES_PER_SECOND = 400_000_000
STAGGER_SECONDS = 1.0
SPINNING_UP = 3


def rack_map(bays: int) -> BayMap:
    """A rack of so many bays: shelves A, B, … of eight."""
    shelves = [_shelf_name(index) for index in range(-(-bays // COLUMNS))]
    return BayMap(
        bays=tuple(_bay(_shelf_name(number // COLUMNS), number % COLUMNS + 1) for number in range(bays)),
        bandwidth_domains=tuple(
            BandwidthDomain(f"hba-{shelf}", DomainKind.HBA, ACTIVE_PER_SHELF, SHELF_BYTES_PER_SECOND)
            for shelf in shelves
        ),
        power_domains=tuple(PowerDomain(f"supply-{shelf}", STAGGER_SECONDS, SPINNING_UP) for shelf in shelves),
    )


def _shelf_name(index: int) -> str:
    letters = string.ascii_uppercase
    return letters[index] if index < len(letters) else f"{_shelf_name(index // len(letters) - 1)}{letters[index % 26]}"


def _bay(shelf: str, column: int) -> Bay:
    name = BayName(f"{shelf}{column}")
    place = PlacePattern(PlaceKind.PATH, f"simulated-{name}")
    return Bay(name, (place,), Position(shelf, 1, column), (f"hba-{shelf}",), f"supply-{shelf}")


class ShelfLight:
    """Lights up where nobody can see it."""

    def switch(self, *, on: bool) -> None:
        """Nothing to be seen of it."""


class SimulatedRack:
    """Drives in bays. `plug` and `pull` on the event loop's thread; what looks at drives may block, on any thread."""

    def __init__(self, stock: Stock) -> None:
        self.stock = stock
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._plugged: dict[str, tuple[Note, Sighting]] = {}
        self._held: dict[str, SimulatedDrive] = {}
        self._pluggings = 0

    # ---- hands

    def plug(self, note: Note, bay: BayName) -> None:
        """Puts a drive into a bay."""
        self._events.put_nowait(Arrived(self._put_in(note, bay)))

    def pull(self, note: Note) -> None:
        """Takes it out, whatever it does."""
        self._events.put_nowait(Left(self._take_out(note)))

    def _put_in(self, note: Note, bay: BayName) -> Sighting:
        self._pluggings += 1
        node = str(self.stock.path(note))
        sighting = Sighting(
            name=f"sim-{note.serial}",
            node=node,
            instance=self._pluggings,
            diskseq=self._pluggings,
            size_bytes=note.size_bytes,
            removable=False,
            place=Place(path=f"simulated-{bay}"),
        )
        self._plugged[node] = (note, sighting)
        return sighting

    def _take_out(self, note: Note) -> Sighting:
        node = str(self.stock.path(note))
        _, sighting = self._plugged.pop(node)
        if (drive := self._held.get(node)) is not None:
            drive.pull()
        return sighting

    # ---- `hotplug.DriveEvents`

    async def next(self) -> Event:
        """The next event."""
        return await self._events.get()

    # ---- `bay.DriveAccess`

    def identify(self, sighting: Sighting) -> Drive:
        """The image, under the name of the drive that it stands for."""
        return self._named(identify(sighting.node))

    def refuse_if_used(self, drive: Drive) -> None:
        """As the guard says of the image."""
        guard.refuse_if_used(drive)

    def domains(self, sighting: Sighting) -> tuple[BandwidthDomain, ...]:
        """No machine shows anything: the map says it all."""
        return ()

    def light(self, sighting: Sighting) -> "ShelfLight":
        """Each slot of a fictional rack has one."""
        return ShelfLight()

    async def blink(self, sighting: Sighting, seconds: float) -> None:
        """Never asked for: the slots have lights."""

    # ---- `erasing.Hold`

    def hold(self, drive: Drive, *, now_utc: Callable[[], str]) -> ErasableDrive:
        """Claims the image as itself, then sees that it stands for the drive that was planned."""
        held = claim(identify(drive.path))
        try:
            named = self._named(held.drive)
            if difference := same_drive(drive, named):
                raise Refused(
                    "another-drive", f"it is not the drive that was planned: {difference}", subject=drive.path
                )
            note, plugging = self._plugged_at(drive.path)
        except BaseException:
            held.close()
            raise

        def is_plugged() -> bool:
            now = self._plugged.get(drive.path)
            return now is not None and now[1] is plugging

        simulated = SimulatedDrive(ClaimedDrive(held, now_utc=now_utc), named, note, self.stock, is_plugged)
        self._held[drive.path] = simulated
        return simulated

    def _named(self, image: Drive) -> Drive:
        note, _ = self._plugged_at(image.path)
        identity = Identity(MANUFACTURER, note.model, note.serial, SerialSource.DRIVE, firmware="SIM1")
        return replace(image, media=note.media, identity=identity)

    def _plugged_at(self, path: str) -> tuple[Note, Sighting]:
        if (found := self._plugged.get(path)) is None:
            raise DriveError("it is gone", subject=path, remedy="Plug it in again.")
        return found
