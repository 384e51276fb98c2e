"""Learning where the bays are: a drive is plugged into each slot in turn, and where it appears is where the slot is."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from eraser.domain.bay import Bay, BayMap, BayName, PlaceKind, PlacePattern
from eraser.errors import UsageError
from eraser.rack.hotplug import DriveEvents
from eraser.rack.presence import Arrived, Sighting

STILL_SECONDS = 1.0
"""When nothing has arrived for so long, everything that was here at the start has been told."""


@dataclass(frozen=True, slots=True)
class Learned:
    """Where a bay is, by the drive that was plugged into it."""

    name: BayName
    place: PlacePattern
    drive: Sighting


async def pass_over_present(drives: DriveEvents) -> list[Sighting]:
    """Takes in the drives that are here already: they were not plugged in for us."""
    present: list[Sighting] = []
    while True:
        try:
            async with asyncio.timeout(STILL_SECONDS):
                event = await drives.next()
        except TimeoutError:
            return present
        if isinstance(event, Arrived):
            present.append(event.drive)


async def learn(
    names: Sequence[BayName],
    drives: DriveEvents,
    known: BayMap,
    *,
    prompt: Callable[[BayName], None],
    refuse: Callable[[str], None],
) -> AsyncIterator[Learned]:
    """The place of each bay, in turn, as soon as a drive appears in it. A place that is taken, or none, is refused in words
    and waited on."""
    taken = [bay for bay in known.bays if bay.name not in names]
    for name in names:
        prompt(name)
        while True:
            event = await drives.next()
            if not isinstance(event, Arrived):
                continue
            try:
                pattern = _pattern(event.drive, taken)
            except UsageError as error:
                refuse(str(error))
                continue
            taken.append(Bay(name, (pattern,)))
            yield Learned(name, pattern, event.drive)
            break


def _pattern(drive: Sighting, taken: Sequence[Bay]) -> PlacePattern:
    """What to know the slot by. Raises UsageError when the drive sits nowhere, or in another bay."""
    found = drive.place.steadiest
    if found is None:
        raise UsageError(
            "this drive says nothing of where it sits", subject=drive.node, remedy="Write its bay by hand."
        )
    for bay in taken:
        if any(pattern.matches(drive.place) for pattern in bay.places):
            raise UsageError(f"this is bay {bay.name} already", subject=drive.node, remedy="Plug into another slot.")
    kind, value = found
    return PlacePattern(kind, _without_unit(value) if kind is PlaceKind.PATH else value)


def _without_unit(path: str) -> str:
    """A path for whatever is in the slot: the last part, a logical unit or namespace, is the drive's and not the slot's."""
    for part in ("-nvme-", "-lun-"):
        head, found, _ = path.rpartition(part)
        if found:
            return f"{head}{part}*"
    return path
