from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from eraser.domain.bay import Place
from eraser.rack.presence import (
    FLAPPING_ARRIVALS,
    MAX_SETTLE_SECONDS,
    SETTLE_SECONDS,
    Arrived,
    Changed,
    Event,
    Left,
    Presence,
    Sighting,
)


def a_drive(**changes: object) -> Sighting:
    drive = Sighting("sda", "/dev/sda", 100, 7, 1 << 30, False, Place(path="pci-0000:00:17.0-ata-1.0"))
    return replace(drive, **changes)


def look(presence: Presence, drive: Sighting | None, now: float, name: str = "sda") -> list[Event]:
    return list(presence.look([name], {} if drive is None else {name: drive}, now))


def settle(presence: Presence, now: float = 1000.0) -> list[Event]:
    return list(presence.settled(now))


def test_a_drive_is_news_once_it_has_stayed() -> None:
    presence = Presence()
    assert look(presence, a_drive(), 0.0) == []
    assert settle(presence, SETTLE_SECONDS / 2) == []
    assert presence.next_due() == SETTLE_SECONDS
    assert settle(presence, SETTLE_SECONDS) == [Arrived(a_drive())]
    assert presence.next_due() is None


def test_seeing_a_drive_again_is_no_news() -> None:
    presence = Presence()
    for now in (0.0, 0.05, 0.09):
        assert look(presence, a_drive(), now) == []
    assert settle(presence, SETTLE_SECONDS) == [Arrived(a_drive())]
    assert look(presence, a_drive(), 1.0) == []
    assert settle(presence) == []


def test_a_drive_that_leaves_is_told_at_once() -> None:
    presence = Presence()
    look(presence, a_drive(), 0.0)
    settle(presence)
    assert look(presence, None, 2000.0) == [Left(a_drive())]
    assert look(presence, None, 2000.1) == []


def test_a_contact_that_bounces_is_no_news() -> None:
    presence = Presence()
    look(presence, a_drive(), 0.0)
    assert look(presence, None, 0.05) == []
    assert settle(presence) == []


def test_another_plugging_under_the_same_name_is_another_arrival_though_its_removal_was_missed() -> None:
    presence = Presence()
    look(presence, a_drive(), 0.0)
    settle(presence)
    again = a_drive(instance=101, diskseq=8)
    assert look(presence, again, 2000.0) == [Left(a_drive())]
    assert settle(presence, 3000.0) == [Arrived(again)]


def test_another_image_in_a_loop_device_is_another_drive() -> None:
    presence = Presence()
    look(presence, a_drive(), 0.0)
    settle(presence)
    again = a_drive(diskseq=8)
    assert look(presence, again, 2000.0) == [Left(a_drive())]
    assert settle(presence, 3000.0) == [Arrived(again)]


def test_another_medium_in_a_card_reader_is_a_change() -> None:
    presence = Presence()
    look(presence, a_drive(removable=True), 0.0)
    settle(presence)
    card = a_drive(removable=True, diskseq=8)
    assert look(presence, card, 2000.0) == [Changed(a_drive(removable=True), card)]


def test_another_size_is_a_change() -> None:
    presence = Presence()
    look(presence, a_drive(), 0.0)
    settle(presence)
    smaller = a_drive(size_bytes=1 << 20)
    assert look(presence, smaller, 2000.0) == [Changed(a_drive(), smaller)]


def test_what_changes_while_it_settles_arrives_as_it_is_then() -> None:
    presence = Presence()
    look(presence, a_drive(size_bytes=512), 0.0)
    look(presence, a_drive(), 0.05)
    assert settle(presence, SETTLE_SECONDS) == [Arrived(a_drive())]


def test_a_place_that_flaps_has_to_hold_still_ever_longer() -> None:
    presence = Presence()
    now, waits = 0.0, []
    for instance in range(12):
        look(presence, a_drive(instance=instance), now)
        due = presence.next_due()
        assert due is not None
        waits.append(round(due - now, 3))
        now = due
        (arrival,) = settle(presence, now)
        assert isinstance(arrival, Arrived)
        assert arrival.flaps == instance
        look(presence, None, now)
    assert waits[:FLAPPING_ARRIVALS] == [SETTLE_SECONDS] * FLAPPING_ARRIVALS
    assert waits[FLAPPING_ARRIVALS] == 2 * SETTLE_SECONDS
    assert waits[-1] == MAX_SETTLE_SECONDS
    look(presence, a_drive(instance=99), now + 100)
    assert presence.next_due() == now + 100 + SETTLE_SECONDS


@given(st.lists(st.tuples(st.sampled_from([None, 0, 1, 2]), st.floats(0, 1)), max_size=40))
def test_whatever_happens_arrivals_and_departures_alternate_and_end_at_the_truth(
    story: list[tuple[int | None, float]],
) -> None:
    presence, now, here = Presence(), 0.0, None
    drive = None
    for instance, pause in [*story, (story[-1][0] if story else None, 0.0)]:
        now += pause
        drive = None if instance is None else a_drive(instance=instance)
        for event in [*look(presence, drive, now), *settle(presence, now)]:
            if isinstance(event, Arrived):
                assert here is None
                here = event.drive
            else:
                assert isinstance(event, Left)
                assert here == event.drive
                here = None
    for event in settle(presence, now + 10):
        assert isinstance(event, Arrived)
        here = event.drive
    assert here == drive
