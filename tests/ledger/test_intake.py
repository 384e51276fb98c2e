"""Arrivals in the database: each on record once, with its lot, its tag and its place, whoever tries how often."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from eraser.domain.custody import CustodyRecord, Destroyed, DriveName, HandedOver, Moved, Received, Registered, Released
from eraser.domain.drive import Drive, Identity
from eraser.domain.intake import Opening
from eraser.domain.lot import Lot, LotPolicy, TagBinding
from eraser.errors import Refused, UsageError
from eraser.ledger.check import check
from eraser.ledger.intake import Intake, TakenIn
from eraser.ledger.store import open_store
from tests.domain.builders import a_drive
from tests.ledger.stories import drive_number, now_utc
from tests.ledger.tampering import run
from tests.ledger.test_custody import Plant, a_plant

ONE, TWO, THREE = drive_number(1), drive_number(2), drive_number(3)
NAMELESS = a_drive(identity=Identity(model="USB DISK"))
POLICY = LotPolicy("nist-clear", starts_by_itself=True)


class Desk:
    """A plant's intake with the lots L7 (expects the drive ONE) and L8 (expects two)."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.intake = Intake(plant.store, "station-1", now_utc)

    async def see(self, drive: Drive, bay: str, **more: Any) -> TakenIn:
        return await self.intake.take_in(drive, bay, "operator-7", **more)

    async def kinds(self, drive: Drive) -> list[str]:
        name = DriveName(drive.identity.serial, drive.identity.wwn)
        return [record.event.kind for record in (await self.plant.custody.history(name)).gathered.records]

    async def records(self) -> list[CustodyRecord]:
        return [record for _, record in await self.plant.custody.records()]


@asynccontextmanager
async def a_desk(url: str) -> AsyncIterator[Desk]:
    async with a_plant(url) as plant:
        await plant.lots.put(Lot("L7", POLICY, expected_serials=(ONE.identity.serial,)), "op")
        await plant.lots.put(Lot("L8", POLICY, expected_drives=2), "op")
        yield Desk(plant)


async def test_a_drive_that_arrives_is_received_and_registered_once(url: str) -> None:
    async with a_desk(url) as desk:
        await desk.intake.open("L7", ("A1",), "operator-8")
        for _ in range(3):
            found = await desk.see(ONE, "A1")
        assert found.lot is not None and found.lot.lot_id == "L7" and not found.belonging.question
        received, registered = await desk.records()
        assert received.event == Received("L7") and isinstance(registered.event, Registered)
        assert (received.place, received.operator) == ("station-1/A1", "operator-7")
        assert received.drive == DriveName(ONE.identity.serial, ONE.identity.wwn)
        assert found.standing.is_here and found.standing.place == "station-1/A1"


async def test_one_drive_seen_at_once_from_two_stations_arrives_once(url: str) -> None:
    async with a_desk(url) as desk:
        other = await open_store(url)
        desks = (desk.intake, Intake(other, "station-2", now_utc))
        await asyncio.gather(*(intake.take_in(ONE, "A1", "op") for intake in desks for _ in range(4)))
        await other.close()
        assert [kind for kind in await desk.kinds(ONE) if kind != "moved"] == ["received", "registered"]


async def test_a_drive_in_another_bay_has_moved(url: str) -> None:
    async with a_desk(url) as desk:
        await desk.see(ONE, "A1")
        await desk.see(ONE, "A2")
        await desk.see(ONE, "A2")
        last = (await desk.records())[-1]
        assert last.event == Moved("station-1/A2")
        assert await desk.kinds(ONE) == ["received", "registered", "moved"]


async def test_a_job_is_recorded_under_the_drives_tag_and_the_ledger_agrees_with_itself(url: str) -> None:
    async with a_desk(url) as desk:
        await desk.plant.lots.bind(TagBinding("T-1", serial=ONE.identity.serial), "op")
        assert (await desk.see(ONE, "A1")).asset_tag == "T-1"
        await desk.plant.erase("j")
        assert {record.drive.asset_tag for record in await desk.records()} == {"T-1"}
        history = await desk.plant.custody.history(DriveName(asset_tag="T-1"))
        assert history.may(Released()) is None
    assert check(url).is_clean


async def test_a_tag_on_a_bay_is_the_next_drives_and_no_later_ones(url: str) -> None:
    async with a_desk(url) as desk:
        await desk.plant.lots.bind(TagBinding("T-1", bay="A1"), "op")
        assert (await desk.see(ONE, "A1")).asset_tag == "T-1"
        assert (await desk.see(TWO, "A1")).asset_tag == ""
        assert (await desk.see(ONE, "A2")).asset_tag == "T-1"


async def test_a_nameless_drive_is_known_by_its_bays_tag_for_as_long_as_it_stays(url: str) -> None:
    async with a_desk(url) as desk:
        await desk.intake.open("L8", (), "op")
        assert "bind an asset tag" in str((await desk.see(NAMELESS, "A1")).belonging.question)
        assert await desk.records() == []
        await desk.plant.lots.bind(TagBinding("T-1", bay="A1"), "op")
        assert not (await desk.see(NAMELESS, "A1")).belonging.question
        again = await desk.see(NAMELESS, "A1", known_tag="T-1")
        assert again.asset_tag == "T-1" and len(await desk.records()) == 2
        other = await desk.see(NAMELESS, "A1")
        assert other.asset_tag == "" and other.belonging.question


async def test_a_tag_on_record_is_never_another_drives(url: str) -> None:
    async with a_desk(url) as desk:
        await desk.plant.lots.bind(TagBinding("T-1", serial=ONE.identity.serial), "op")
        # Nothing is on record under it yet: a slip of the scanner is put right.
        await desk.plant.lots.bind(TagBinding("T-1", serial=TWO.identity.serial), "op")
        assert (await desk.see(ONE, "A1")).asset_tag == ""
        assert (await desk.see(TWO, "A2")).asset_tag == "T-1"
        for binding in (TagBinding("T-1", serial=ONE.identity.serial), TagBinding("T-1", bay="A3")):
            with pytest.raises(Refused) as caught:
                await desk.plant.lots.bind(binding, "op")
            assert caught.value.reason == "tag-taken"
        await desk.plant.lots.bind(TagBinding("T-1", serial=TWO.identity.serial), "op")


async def test_the_drives_beyond_the_number_expected_are_asked_about(url: str) -> None:
    async with a_desk(url) as desk:
        await desk.intake.open("L8", (), "op")
        questions = [(await desk.see(drive, "A1")).belonging.question for drive in (ONE, TWO, THREE, TWO, THREE)]
        assert [bool(question) for question in questions] == [False, False, True, False, True]


async def test_a_drive_that_another_lot_expects_must_be_erased_again(url: str) -> None:
    async with a_desk(url) as desk:
        await desk.intake.open("L8", (), "op")
        await desk.see(ONE, "A1")
        await desk.plant.erase("j")
        await desk.intake.close("L8", "op")
        await desk.intake.open("L7", (), "op")
        await desk.see(ONE, "A1")
        with pytest.raises(Refused, match="no job has passed"):
            await desk.plant.record(Released())


async def test_a_drive_that_left_and_came_back_is_received_again(url: str) -> None:
    async with a_desk(url) as desk:
        await desk.see(ONE, "A1")
        await desk.plant.erase("j")
        await desk.plant.record(Released())
        await desk.plant.record(HandedOver("a buyer"))
        found = await desk.see(ONE, "A1")
        assert found.standing.is_here and found.standing.outcome is None
        assert (await desk.kinds(ONE))[-2:] == ["received", "registered"]


async def test_a_drive_on_record_as_destroyed_is_not_received(url: str) -> None:
    async with a_desk(url) as desk:
        await desk.plant.record(Destroyed("shredded"))
        assert "destroyed" in str((await desk.see(ONE, "A1")).belonging.question)
        assert await desk.kinds(ONE) == ["destroyed"]


async def test_a_refused_drive_is_quarantined_once_and_stays_so_when_it_comes_again(url: str) -> None:
    async with a_desk(url) as desk:
        await desk.see(ONE, "A1")
        for _ in range(2):
            await desk.intake.set_aside(ONE, "A1", "it was refused: security-locked", "operator-7")
        assert await desk.kinds(ONE) == ["received", "registered", "quarantined"]
        assert "security-locked" in str((await desk.see(ONE, "A2")).belonging.question)
        assert (await desk.plant.custody.history(DriveName(ONE.identity.serial))).standing.quarantine


# ---- which lots are taken in


async def test_a_lot_is_taken_in_until_it_is_closed(url: str) -> None:
    async with a_desk(url) as desk:
        await desk.intake.open("L7", ("A1",), "op")
        await desk.intake.open("L7", ("A1", "A2"), "op")
        await desk.intake.open("L8", ("A3",), "op")
        assert await desk.intake.openings() == [
            Opening("L7", "station-1", ("A1", "A2")),
            Opening("L8", "station-1", ("A3",)),
        ]
        assert await Intake(desk.plant.store, "station-2", now_utc).openings() == []
        await desk.intake.close("L7", "op")
        assert [opening.lot_id for opening in await desk.intake.openings()] == ["L8"]
        with pytest.raises(Refused, match="not being taken in"):
            await desk.intake.close("L7", "op")


async def test_no_bay_takes_in_two_lots(url: str) -> None:
    async with a_desk(url) as desk:
        await desk.intake.open("L7", ("A1", "A2"), "op")
        for bays in (("A2", "A3"), ()):
            with pytest.raises(Refused, match="lot L7 is taken in there already") as caught:
                await desk.intake.open("L8", bays, "op")
            assert caught.value.reason == "bay-taken"
        assert [opening.lot_id for opening in await desk.intake.openings()] == ["L7"]


async def test_a_lot_that_nobody_described_is_not_taken_in(url: str) -> None:
    async with a_desk(url) as desk:
        for order in (desk.intake.open("L9", (), "op"), desk.intake.close("L9", "op")):
            with pytest.raises(UsageError, match="no such lot"):
                await order


async def test_the_check_finds_an_opening_that_was_altered(sqlite: str) -> None:
    async with a_desk(sqlite) as desk:
        await desk.intake.open("L7", ("A1",), "op")
    assert check(sqlite).is_clean
    run(sqlite, "DROP TRIGGER lot_openings_no_update", "UPDATE lot_openings SET lot_id = 'L8'")
    assert [finding.subject for finding in check(sqlite).findings] == ["opening 1 of lot L8"]


async def test_a_drive_received_by_hand_with_a_lot_of_which_nothing_is_known_has_no_policy(url: str) -> None:
    async with a_desk(url) as desk:
        await desk.plant.record(Received("L9"))
        found = await desk.see(ONE, "A1")
        assert found.belonging.lot_id == "L9" and found.lot is None
