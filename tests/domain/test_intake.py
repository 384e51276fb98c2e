"""Which lot a drive belongs to, and when a person is asked: rules alone, without a ledger."""

from dataclasses import replace
from typing import Any

import pytest

from eraser.domain.custody import (
    Article,
    CustodyEvent,
    CustodyRecord,
    Destroyed,
    DriveName,
    Erased,
    Gathered,
    HandedOver,
    Quarantined,
    Received,
    Released,
)
from eraser.domain.drive import Condition, Media, Transport
from eraser.domain.events import Outcome
from eraser.domain.intake import Belonging, ClosedLot, Opening, OpenLot, belonging, registration
from eraser.domain.lot import Lot, LotPolicy, instant
from eraser.domain.sayings import Code, say
from eraser.errors import UsageError
from tests.domain.builders import a_drive

POLICY = LotPolicy("nist-clear", starts_by_itself=True)
NAME = DriveName("S1", "5000c50000000001")
OTHERS = tuple(DriveName(f"T{number}") for number in range(5))


def an_open_lot(lot_id: str, *bays: str, arrived: tuple[DriveName, ...] = (), **lot: Any) -> OpenLot:
    return OpenLot(Lot(lot_id, POLICY, **lot), Opening(lot_id, "station-1", bays), arrived)


def past(*events: CustodyEvent, is_ambiguous: bool = False) -> Gathered:
    records = tuple(CustodyRecord("2027-01-01T00:00:00Z", "station-1/A1", "op", NAME, event) for event in events)
    return Gathered(NAME, records, is_ambiguous)


def in_bay(bay: str, *lots: OpenLot, history: Gathered | None = None, name: DriveName | None = NAME) -> Belonging:
    return belonging(name, bay, lots, history if history is not None else past())


def test_a_new_drive_comes_with_the_lot_that_its_bay_takes_in() -> None:
    lots = an_open_lot("L7", "A1", "A2"), an_open_lot("L8", "A3")
    assert in_bay("A2", *lots) == Belonging("L7", True)
    assert in_bay("A3", *lots) == Belonging("L8", True)
    assert in_bay("A4", *lots) == Belonging("", True)
    assert in_bay("A4", an_open_lot("L7")) == Belonging("L7", True)


def test_the_lot_that_expects_a_drive_goes_before_the_one_of_its_bay() -> None:
    expecting = an_open_lot("L7", "A1", expected_serials=("S1",))
    assert in_bay("A3", expecting, an_open_lot("L8", "A3")) == Belonging("L7", True)


def test_a_drive_that_two_lots_expect_is_asked_about_unless_its_bay_tells() -> None:
    lots = an_open_lot("L7", "A1", expected_serials=("S1",)), an_open_lot("L8", "A2", expected_serials=("S1",))
    found = in_bay("A3", *lots)
    assert found.lot_id == "" and "L7, L8" in str(found.question)
    assert in_bay("A2", *lots) == Belonging("L8", True)
    found = in_bay("A3", *lots, history=past(Received("L1")))
    assert found.lot_id == "L1" and not found.is_arrival and "L7, L8" in str(found.question)


def test_a_drive_that_its_lot_does_not_expect_is_asked_about() -> None:
    found = in_bay("A1", an_open_lot("L7", "A1", expected_serials=("S2",)))
    assert found == Belonging("L7", True, say(Code.NOT_EXPECTED, lot="L7"))


def test_a_drive_without_a_serial_number_of_its_own_is_none_of_those_expected() -> None:
    found = in_bay("A1", an_open_lot("L7", expected_serials=("S1",)), name=DriveName("", "5000c50000000001"))
    assert "does not expect" in str(found.question)


@pytest.mark.parametrize(("before", "is_asked"), [(2, False), (3, True), (5, True)])
def test_a_drive_beyond_the_number_expected_is_asked_about(before: int, is_asked: bool) -> None:
    found = in_bay("A1", an_open_lot("L7", expected_drives=3, arrived=OTHERS[:before]))
    assert found.lot_id == "L7" and bool(found.question) is is_asked


def test_a_drive_that_came_back_is_counted_where_it_came_first() -> None:
    second = an_open_lot("L7", expected_drives=2, arrived=(OTHERS[0], NAME, *OTHERS[1:]))
    fourth = an_open_lot("L7", expected_drives=2, arrived=(*OTHERS[:3], NAME))
    assert not in_bay("A1", second, history=past(Received("L7"))).question
    assert in_bay("A1", fourth, history=past(Received("L7"))).question


def test_a_nameless_drive_needs_a_tag_before_a_lot_takes_it() -> None:
    assert "bind an asset tag" in str(belonging(None, "A1", [an_open_lot("L7")], None).question)
    assert belonging(None, "A1", [], None) == Belonging("", True)


def test_a_drive_keeps_its_lot_wherever_it_is_put_and_when_the_lot_is_closed() -> None:
    assert in_bay("A3", an_open_lot("L7", "A1"), history=past(Received("L7"))) == Belonging("L7", False)
    assert in_bay("A3", history=past(Received("L7"))) == Belonging("L7", False)


def test_a_drive_that_its_lot_does_not_expect_is_asked_about_when_the_lot_is_closed_too() -> None:
    here = past(Received("L7"))
    closed = ClosedLot(Lot("L7", POLICY, expected_serials=("S2",)))
    assert "does not expect" in str(belonging(NAME, "A1", (), here, came_with=closed).question)
    full = ClosedLot(Lot("L7", POLICY, expected_drives=3), (*OTHERS[:3], NAME))
    assert "as many had come" in str(belonging(NAME, "A1", (), here, came_with=full).question)
    assert not belonging(NAME, "A1", (), here, came_with=ClosedLot(Lot("L7", POLICY))).question


def test_a_drive_of_one_lot_in_the_bay_of_another_is_asked_about() -> None:
    found = in_bay("A1", an_open_lot("L8", "A1"), history=past(Received("L7")))
    assert (found.lot_id, found.is_arrival) == ("L7", False)
    assert "came with lot L7" in str(found.question) and "lot L8" in str(found.question)


def test_a_drive_that_another_lot_expects_has_come_anew() -> None:
    """It was sold without a record of that, and what it holds now is somebody's again."""
    done = past(Received("L7"), Erased("j", Outcome.PASSED))
    assert in_bay("A1", an_open_lot("L8", expected_serials=("S1",)), history=done) == Belonging("L8", True)
    # Its own lot expects it as well: then it may simply have been moved.
    lots = an_open_lot("L7", "A2", expected_serials=("S1",)), an_open_lot("L8", "A1", expected_serials=("S1",))
    assert in_bay("A1", *lots, history=done) == Belonging("L7", False)


def test_a_drive_plugged_in_before_its_lot_was_opened_joins_it_when_somebody_says_so() -> None:
    found = in_bay("A1", an_open_lot("L7", "A1"), history=past(Received("")))
    assert (found.lot_id, found.is_arrival) == ("", False) and "before lot L7 was taken in" in str(found.question)
    said = belonging(NAME, "A1", [an_open_lot("L7", "A1")], past(Received("")), is_ordered=True)
    assert said == Belonging("L7", True)


def test_a_drive_that_came_without_a_lot_and_was_erased_does_not_join_one() -> None:
    history = past(Received(""), Erased("j", Outcome.PASSED))
    said = belonging(NAME, "A1", [an_open_lot("L7", "A1")], history, is_ordered=True)
    assert (said.lot_id, said.is_arrival) == ("", False)
    found = in_bay("A1", an_open_lot("L7", "A1"), history=past(Received(""), Erased("j", Outcome.PASSED)))
    assert (found.lot_id, found.is_arrival) == ("", False) and "came without a lot" in str(found.question)


def test_a_drive_that_left_the_plant_and_comes_back_has_come_anew() -> None:
    history = past(Received("L7"), Erased("j", Outcome.PASSED), Released(), HandedOver("a buyer"))
    assert in_bay("A1", an_open_lot("L8", "A1"), history=history) == Belonging("L8", True)
    assert in_bay("A1", history=history) == Belonging("", True)


@pytest.mark.parametrize(
    ("history", "asked"),
    [
        (past(Received("L7"), Erased("j", Outcome.FAILED)), "quarantined (its last job failed)"),
        (past(Quarantined("it clicks")), "quarantined (it clicks)"),
        (past(Quarantined("it clicks"), HandedOver("a shop")), "quarantined (it clicks)"),
        (past(Received("L7"), Erased("j", Outcome.PASSED), Released()), "released"),
        (past(Received("L7"), is_ambiguous=True), "several drives"),
    ],
)
def test_a_drive_with_something_against_it_is_asked_about(history: Gathered, asked: str) -> None:
    assert asked in str(in_bay("A1", an_open_lot("L7", "A1"), history=history).question)


@pytest.mark.parametrize("history", [past(Destroyed("shredded")), past(Received("L7"), Destroyed("shredded"))])
def test_a_drive_on_record_as_destroyed_is_not_received_again(history: Gathered) -> None:
    found = in_bay("A1", an_open_lot("L8", expected_serials=("S1",)), history=history)
    assert not found.is_arrival and "destroyed" in str(found.question)


def test_lots_overlap_where_a_bay_would_take_in_both() -> None:
    one = Opening("L7", "station-1", ("A1", "A2"))
    assert one.overlaps(Opening("L8", "station-1", ("A2",)))
    assert one.overlaps(Opening("L8", "station-1"))
    assert not one.overlaps(Opening("L8", "station-1", ("A3",)))
    assert not one.overlaps(Opening("L8", "station-2", ("A1",)))


@pytest.mark.parametrize("bays", [("A1", "A1"), ("",), tuple(map(str, range(1001)))])
def test_an_opening_names_each_bay_once(bays: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        Opening("L7", "station-1", bays)


def test_what_is_registered_is_what_the_drive_says_of_itself() -> None:
    drive = a_drive()
    found = registration(drive)
    assert (found.article, found.quantity, found.condition) == (Article.DISK, 1, "answers")
    assert (found.brand, found.model) == (drive.identity.manufacturer, drive.identity.model)
    assert found.specification.startswith(f"{drive.geometry.capacity_bytes} bytes, ")
    locked = replace(drive, conditions=(Condition.SECURITY_LOCKED,))
    assert registration(locked).condition == "security-locked"


@pytest.mark.parametrize(
    ("transport", "media", "bridge", "article"),
    [
        (Transport.SATA, Media.MAGNETIC, "", Article.DISK),
        (Transport.NVME, Media.FLASH, "", Article.SOLID_STATE),
        (Transport.USB, Media.FLASH, "", Article.FLASH_STICK),
        (Transport.USB, Media.FLASH, "JMS578", Article.SOLID_STATE),
        (Transport.MMC, Media.FLASH, "", Article.MEMORY_CARD),
        (Transport.USB, Media.UNKNOWN, "", Article.OTHER),
    ],
)
def test_the_article_is_told_by_medium_and_transport(
    transport: Transport, media: Media, bridge: str, article: Article
) -> None:
    assert registration(a_drive(transport=transport, media=media, bridge=bridge)).article is article


@pytest.mark.parametrize(
    "moment", ["tomorrow", "2027-01-31", "2027-01-31T16:00:00", "2027-01-31T16:00:00+08:00", "2027-02-30T00:00:00Z"]
)
def test_a_deadline_that_is_no_utc_time_is_refused(moment: str) -> None:
    with pytest.raises(UsageError, match="no UTC time"):
        Lot("L7", replace(POLICY, deadline=moment))


def test_a_deadline_is_a_moment() -> None:
    assert (instant("2027-01-01T01:00:00Z") - instant("2027-01-01T00:00:00.500Z")).total_seconds() == 3599.5
