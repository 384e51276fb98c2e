from __future__ import annotations

import asyncio
from collections.abc import Iterable

from eraser.domain.bay import Bay, BayMap, BayName, Place, PlaceKind, PlacePattern, bay_name
from eraser.drives.sysfs import Host
from eraser.rack import learning
from eraser.rack.hotplug import Hotplug
from eraser.rack.learning import Learned, learn, pass_over_present
from eraser.rack.presence import Arrived, Event, Left, Sighting
from tests.lab import loop_drive


def a_drive(**place: str) -> Sighting:
    return Sighting("sda", "/dev/sda", 1, 1, 1 << 30, False, Place(**place))


class Told:
    """Drives that come and go as a list says; then nothing more."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._events = list(events)

    async def next(self) -> Event:
        if not self._events:
            await asyncio.Event().wait()
        return self._events.pop(0)


async def learned(
    events: Iterable[Event], *names: str, known: BayMap | None = None
) -> tuple[list[Learned], list[BayName], list[str]]:
    """What was learned, what was asked for, and what was refused, when the events had been told."""
    prompts: list[BayName] = []
    refusals: list[str] = []
    found: list[Learned] = []
    telling = learn(
        [bay_name(name) for name in names],
        Told(events),
        known or BayMap(),
        prompt=prompts.append,
        refuse=refusals.append,
    )
    try:
        async with asyncio.timeout(0.2):
            async for item in telling:
                found.append(item)
    except TimeoutError:
        pass
    return found, prompts, refusals


async def test_each_bay_is_where_its_drive_appears_in_the_order_of_the_names() -> None:
    one = a_drive(path="pci-1-usb-0:1:1.0-scsi-0:0:0:0", usb_port="0000:00:14.0/1")
    two = a_drive(path="pci-0000:00:17.0-ata-3.0")
    found, prompts, refusals = await learned([Arrived(one), Left(one), Arrived(two)], "A1", "A2")
    assert [(item.name, str(item.place)) for item in found] == [
        ("A1", "usb_port 0000:00:14.0/1"),
        ("A2", "path pci-0000:00:17.0-ata-3.0"),
    ]
    assert prompts == ["A1", "A2"]
    assert refusals == []


async def test_the_same_slot_twice_is_refused_and_the_bay_still_waits() -> None:
    drive = a_drive(path="pci-0000:00:17.0-ata-3.0")
    found, prompts, refusals = await learned([Arrived(drive), Left(drive), Arrived(drive)], "A1", "A2")
    assert [item.name for item in found] == ["A1"]
    assert prompts == ["A1", "A2"]
    assert refusals == ["/dev/sda: this is bay A1 already. Plug into another slot."]


async def test_a_slot_of_another_bay_in_the_configuration_is_refused() -> None:
    known = BayMap((Bay(bay_name("B1"), (PlacePattern(PlaceKind.PATH, "pci-*-ata-3"),)),))
    found, _, refusals = await learned([Arrived(a_drive(path="pci-0-ata-3.0"))], "A1", known=known)
    assert found == []
    assert "bay B1 already" in refusals[0]


async def test_a_bay_that_is_learned_anew_may_stay_where_it_is() -> None:
    known = BayMap((Bay(bay_name("A1"), (PlacePattern(PlaceKind.PATH, "pci-0-ata-3"),)),))
    found, _, refusals = await learned([Arrived(a_drive(path="pci-0-ata-3.0"))], "A1", known=known)
    assert [item.name for item in found] == ["A1"]
    assert refusals == []


async def test_a_drive_that_sits_nowhere_is_refused() -> None:
    found, _, refusals = await learned([Arrived(a_drive())], "A1")
    assert found == []
    assert "nothing of where it sits" in refusals[0]


async def test_a_slot_is_the_same_for_the_next_drive_with_another_namespace() -> None:
    found, _, _ = await learned([Arrived(a_drive(path="pci-0000:05:00.0-nvme-1"))], "A1")
    assert found[0].place.pattern == "pci-0000:05:00.0-nvme-*"


async def test_real_drives_that_are_here_are_passed_over_and_the_next_one_is_learned(monkeypatch) -> None:
    monkeypatch.setattr(learning, "STILL_SECONDS", 0.3)
    with loop_drive(1 << 20) as present:
        async with Hotplug(Host(), source="kernel") as drives:
            assert present.name in [drive.name for drive in await pass_over_present(drives)]
            prompted = asyncio.Event()
            telling = learn([bay_name("A1")], drives, BayMap(), prompt=lambda _: prompted.set(), refuse=print)
            first = asyncio.create_task(anext(telling))
            await prompted.wait()
            with loop_drive(1 << 20):
                found = await first
            assert found.place.pattern == f"lab-{found.drive.name}"
            assert found.drive.name != present.name
