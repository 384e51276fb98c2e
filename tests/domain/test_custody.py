"""The exit gate: nothing leaves for sale that has not passed since it last came in."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraser.domain.custody import (
    Article,
    CustodyEvent,
    CustodyRecord,
    Destroyed,
    DriveName,
    Erased,
    Gathered,
    HandedOver,
    Moved,
    Quarantined,
    Received,
    Registered,
    Released,
    SeenTwice,
    Separated,
    Standing,
    Verified,
    drive_name,
    gather,
    may_be_same,
    may_hand_over,
    may_record,
    may_release,
    standing,
)
from eraser.domain.drive import Identity, SerialSource
from eraser.domain.events import Outcome
from eraser.domain.json_form import from_json, to_json
from eraser.domain.program import Verification
from eraser.errors import UsageError
from tests.domain.strategies import values_of

DRIVE = DriveName("S1", "5000c500a1b2c3d4", "T-1")
RECEIVED = Received("lot-1")
PASSED, FAILED = Erased("j", Outcome.PASSED), Erased("j", Outcome.FAILED)
QUARANTINED, RELEASED = Quarantined("it clicks"), Released()
TWICE = SeenTwice("two drives bear its name: one in bay A1 and one in bay A2")
SEPARATED = Separated("the other one was shredded")
DESTROYED, HANDED_OVER = Destroyed("shredded to 2 mm"), HandedOver("a buyer")
OTHERS: tuple[CustodyEvent, ...] = (
    Moved("shelf 3"),
    Verified("j", Verification.FULL),
    Registered(Article.DISK, "Acme", "Spinner", "1 TB", 1, "used"),
)

EVENTS = st.sampled_from(
    [RECEIVED, PASSED, FAILED, QUARANTINED, RELEASED, DESTROYED, HANDED_OVER, *OTHERS, TWICE, SEPARATED]
)


def after(*events: CustodyEvent) -> Standing:
    return standing([CustodyRecord("2027-01-01T00:00:00Z", "hall", "op", DRIVE, event) for event in events])


def code(*events: CustodyEvent, open_jobs: int = 0) -> str:
    no = may_release(after(*events), open_jobs)
    return "" if no is None else no.code


def test_a_drive_that_passed_after_it_came_in_may_leave() -> None:
    assert code(RECEIVED, PASSED) == ""
    assert code(RECEIVED, *OTHERS, PASSED, *OTHERS) == ""


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((), "not-here"),
        ((PASSED,), "not-here"),
        ((RECEIVED,), "not-passed"),
        ((PASSED, RECEIVED), "not-passed"),
        ((RECEIVED, PASSED, RECEIVED), "not-passed"),
        ((RECEIVED, PASSED, RELEASED, HANDED_OVER, RECEIVED), "not-passed"),
        ((RECEIVED, PASSED, RELEASED, HANDED_OVER), "not-here"),
        ((RECEIVED, PASSED, RELEASED), "released"),
        ((RECEIVED, FAILED), "quarantined"),
        ((RECEIVED, PASSED, FAILED), "quarantined"),
        ((RECEIVED, PASSED, QUARANTINED), "quarantined"),
        ((RECEIVED, FAILED, RECEIVED), "quarantined"),
        ((RECEIVED, FAILED, Moved("dispatch")), "quarantined"),
        ((RECEIVED, FAILED, PASSED), ""),
        ((RECEIVED, FAILED, QUARANTINED, PASSED), ""),
        ((RECEIVED, PASSED, DESTROYED), "destroyed"),
        ((RECEIVED, DESTROYED, RECEIVED, PASSED), "destroyed"),
    ],
)
def test_the_exit_gate_by_example(events: tuple[CustodyEvent, ...], expected: str) -> None:
    assert code(*events) == expected


def test_a_drive_with_a_job_that_has_not_ended_stays() -> None:
    assert code(RECEIVED, PASSED, open_jobs=1) == "open-job"
    assert may_hand_over(after(RECEIVED, PASSED, RELEASED), open_jobs=1) is not None


def last(events: list[CustodyEvent], *wanted: CustodyEvent) -> int:
    return max((number for number, event in enumerate(events) if event in wanted), default=-1)


@given(st.lists(EVENTS, max_size=12))
def test_whatever_happened_only_what_passed_since_its_arrival_leaves(events: list[CustodyEvent]) -> None:
    arrival, departure = last(events, RECEIVED), last(events, HANDED_OVER)
    good, bad = last(events, PASSED), last(events, FAILED, QUARANTINED)
    twice, alone = last(events, TWICE), last(events, SEPARATED)
    is_clean = departure < arrival < good and bad < good and DESTROYED not in events
    is_clean = is_clean and twice <= alone < good
    now = after(*events)
    no = may_release(now)
    assert (no is None or no.code == "released") == is_clean
    if no is None:
        assert last(events, RELEASED) < max(good, arrival, departure, bad, twice, alone)


@given(st.lists(EVENTS, max_size=12))
def test_quarantine_ends_by_a_pass_or_by_destruction_alone(events: list[CustodyEvent]) -> None:
    bad, good = last(events, FAILED, QUARANTINED), last(events, PASSED)
    assert bool(after(*events).quarantine) == (bad > good)


@given(st.lists(EVENTS, max_size=12))
def test_nothing_leaves_the_plant_by_rule_unless_released_or_destroyed(events: list[CustodyEvent]) -> None:
    accepted: list[CustodyEvent] = []
    for event in events:
        by_job = isinstance(event, Erased | Verified)
        if by_job or may_record(after(*accepted), event) is None:
            accepted.append(event)
            continue
        assert not isinstance(event, Moved | Registered)
    for number, event in enumerate(accepted):
        before = accepted[:number]
        if event == HANDED_OVER and DESTROYED not in before:
            assert last(before, RELEASED) > last(before, RECEIVED, FAILED, QUARANTINED, HANDED_OVER)
            assert last(before, PASSED) > last(before, RECEIVED)
        if event in (RECEIVED, RELEASED, QUARANTINED, DESTROYED):
            assert DESTROYED not in before


def test_how_a_drive_was_destroyed_must_be_said() -> None:
    for how in ("", "  "):
        no = may_record(after(RECEIVED), Destroyed(how))
        assert no is not None
        assert no.code == "no-how"
    assert may_record(after(RECEIVED), DESTROYED) is None
    assert may_record(after(RECEIVED, FAILED), DESTROYED) is None
    assert may_record(after(RECEIVED), DESTROYED, open_jobs=1) is not None


def test_nobody_writes_down_by_hand_what_a_job_did() -> None:
    for event in (PASSED, FAILED, Verified("j", Verification.FULL)):
        no = may_record(after(RECEIVED), event)
        assert no is not None
        assert no.code == "job-only"


@given(values_of(CustodyEvent))
def test_records_read_back_from_their_json_form(event: CustodyEvent) -> None:
    record = CustodyRecord("2027-01-01T00:00:00Z", "hall", "op", DRIVE, event)
    assert from_json(CustodyRecord, to_json(record)) == record


# ---- names


def test_a_drive_is_named_by_what_is_its_own() -> None:
    identity = Identity(serial="S1", serial_source=SerialSource.DRIVE, wwn="w", eui64="e")
    assert drive_name(identity) == DriveName("S1", "w")
    assert drive_name(Identity(serial="S1", serial_source=SerialSource.ENCLOSURE, nguid="n")) == DriveName("", "n")
    assert drive_name(Identity(serial="S1", serial_source=SerialSource.ENCLOSURE)) is None
    assert drive_name(Identity(), "T-1") == DriveName(asset_tag="T-1")


@pytest.mark.parametrize("name", [{}, {"serial": "S\0"}, {"asset_tag": "a\nb"}])
def test_a_drive_without_a_name_that_can_be_printed_has_no_history(name: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        DriveName(**name)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (DriveName("S1"), DriveName("S1", "w"), True),
        (DriveName("S1", "w"), DriveName("S1", "v"), False),
        (DriveName("S1", "w"), DriveName("S2", "w"), False),
        (DriveName("S1", asset_tag="T"), DriveName("S2", asset_tag="T"), False),
        (DriveName(asset_tag="T"), DriveName("S2", asset_tag="T"), True),
        (DriveName("S1"), DriveName("", "w"), False),
        (DriveName("S1", asset_tag="T"), DriveName("S1", asset_tag="U"), True),
    ],
)
def test_two_names_may_mean_one_drive(one: DriveName, other: DriveName, expected: bool) -> None:
    assert may_be_same(one, other) is may_be_same(other, one) is expected


def gathered(name: DriveName, *records: tuple[DriveName, CustodyEvent]) -> Gathered:
    """From a ledger with these records."""
    all_records = dict(enumerate(CustodyRecord("", "", "", drive, event) for drive, event in records))

    def find(wanted: DriveName) -> dict[int, CustodyRecord]:
        pairs = ("serial", "world_wide_name", "asset_tag")
        return {
            number: record
            for number, record in all_records.items()
            if any(getattr(wanted, pair) and getattr(wanted, pair) == getattr(record.drive, pair) for pair in pairs)
        }

    return gather(name, find)


def test_what_was_recorded_under_one_name_counts_under_the_others() -> None:
    records = [
        (DriveName(asset_tag="T"), RECEIVED),
        (DriveName("S1", asset_tag="T"), Moved("bay 1")),
        (DriveName("S1", "w"), PASSED),
        (DriveName("", "w"), FAILED),
    ]
    found = gathered(DriveName(asset_tag="T"), *records)
    assert [record.event for record in found.records] == [event for _, event in records]
    assert found.name == DriveName("S1", "w", "T")
    assert not found.is_ambiguous


@pytest.mark.parametrize(
    ("name", "is_ambiguous"),
    [
        (DriveName("S1"), True),
        (DriveName("S1", "w"), False),
        (DriveName("S1", "v"), False),
        (DriveName("", "w"), False),
    ],
)
def test_a_cloned_serial_number_is_nobodys_name(name: DriveName, is_ambiguous: bool) -> None:
    found = gathered(name, (DriveName("S1", "w"), PASSED), (DriveName("S1", "v"), FAILED))
    assert found.is_ambiguous is is_ambiguous
    if not is_ambiguous:
        assert len(found.records) == 1


def test_a_tag_used_for_two_drives_is_nobodys_name() -> None:
    two = [(DriveName(serial, asset_tag="T"), RECEIVED) for serial in ("S1", "S2")]
    assert gathered(DriveName(asset_tag="T"), *two).is_ambiguous
    assert not gathered(DriveName("S1", asset_tag="T"), *two).is_ambiguous


NAMES = st.builds(
    DriveName, st.sampled_from(["", "S1", "S2"]), st.sampled_from(["", "w", "v"]), st.sampled_from(["T", "U"])
)


@given(NAMES, st.lists(st.tuples(NAMES, EVENTS), max_size=8))
def test_gathering_ends_and_never_mixes_two_drives(
    name: DriveName, records: list[tuple[DriveName, CustodyEvent]]
) -> None:
    found = gathered(name, *records)
    if found.is_ambiguous:
        return
    for one, other in itertools.combinations([record.drive for record in found.records], 2):
        assert not (one.serial and other.serial and one.serial != other.serial)
        assert not (one.world_wide_name and other.world_wide_name and one.world_wide_name != other.world_wide_name)


# ---- two drives of one name


def test_a_drive_whose_name_two_bear_does_not_leave_whatever_passed():
    assert code(RECEIVED, TWICE, PASSED) == "seen-twice"
    assert code(RECEIVED, PASSED, TWICE) == "seen-twice"
    assert code(RECEIVED, PASSED, RELEASED, TWICE) == "seen-twice"
    assert may_hand_over(after(RECEIVED, PASSED, RELEASED, TWICE)) is not None


def test_once_they_are_separated_it_has_to_pass_anew():
    assert code(RECEIVED, PASSED, TWICE, SEPARATED) == "not-passed"
    assert code(RECEIVED, TWICE, PASSED, SEPARATED) == "not-passed"
    assert code(RECEIVED, TWICE, SEPARATED, PASSED) == ""


def test_of_two_drives_of_one_name_none_is_recorded_as_destroyed_before_they_are_separated():
    no = may_record(after(RECEIVED, TWICE), DESTROYED)
    assert no is not None and no.code == "seen-twice"
    assert may_record(after(RECEIVED, TWICE, SEPARATED), DESTROYED) is None


def test_only_what_was_seen_twice_is_separated_and_it_is_said_how():
    no = may_record(after(RECEIVED), SEPARATED)
    assert no is not None and no.code == "not-twice"
    no = may_record(after(RECEIVED, TWICE), Separated("  "))
    assert no is not None and no.code == "no-how"


def test_being_received_again_separates_nothing():
    assert code(RECEIVED, TWICE, RECEIVED, PASSED) == "seen-twice"
