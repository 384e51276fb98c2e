"""Marker places: whatever a drive's addresses wrap at, writing in ascending order destroys a marker."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraser.domain.evidence import Extent
from eraser.domain.markers import MAX_PLACES, MIN_PLACES, marker_places
from eraser.errors import UsageError

SEED = bytes(range(32))


def destroys_a_marker(places: tuple[Extent, ...], wrap: int) -> bool:
    """Whether a drive whose addresses wrap at so many bytes gives back another byte than was written, for some marker.

    The drive keeps, for every stretch of bytes, which marker wrote it last.
    """
    last_writer: dict[int, int] = {}
    edges = sorted({(edge % wrap) for place in places for edge in (place.offset_bytes, place.end_bytes)} | {0, wrap})
    position = {edge: index for index, edge in enumerate(edges)}

    def stretches(place: Extent) -> list[int]:
        begin, end = place.offset_bytes % wrap, place.offset_bytes % wrap + place.length_bytes
        parts = [(begin, end)] if end <= wrap else [(begin, wrap), (0, end - wrap)]
        return [index for low, high in parts for index in range(position[low], position[high])]

    for number, place in enumerate(places):
        last_writer.update((stretch, number) for stretch in stretches(place))
    return any(last_writer[stretch] != number for number, place in enumerate(places) for stretch in stretches(place))


def check_form(capacity: int, sector: int, granularity: int, places: tuple[Extent, ...]) -> None:
    assert len(places) <= MAX_PLACES
    assert granularity % sector == 0
    assert all(left.end_bytes <= right.offset_bytes for left, right in itertools.pairwise(places))
    assert all(place.offset_bytes % sector == 0 for place in places)
    assert all(place.length_bytes == sector for place in places[:-1])
    assert places[0].offset_bytes == 0
    assert places[-1].end_bytes == capacity


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 700 * 512))
def test_every_wrap_at_a_multiple_of_the_granularity_destroys_a_marker_on_small_drives(capacity: int) -> None:
    granularity, places = marker_places(capacity, 512, SEED)
    check_form(capacity, 512, granularity, places)
    assert granularity == 512
    # A wrap so near the end that no whole sector lies behind it leaves nothing to collide but the short last one.
    for wrap in range(512, capacity, 7 * 512):
        assert destroys_a_marker(places, wrap)


@settings(deadline=None, max_examples=150)
@given(st.integers(1, 40 * 10**12), st.sampled_from([512, 520, 4096]), st.data())
def test_every_wrap_at_a_multiple_of_the_granularity_destroys_a_marker(
    capacity: int, sector: int, data: st.DataObject
) -> None:
    granularity, places = marker_places(capacity, sector, SEED)
    check_form(capacity, sector, granularity, places)
    if capacity > granularity:
        highest = (capacity - 1) // granularity
        multiple = data.draw(st.one_of(st.integers(1, highest), st.integers(max(1, highest - 5000), highest)))
        offsets = {place.offset_bytes for place in places}
        assert any(offset + multiple * granularity in offsets for offset in offsets)


@pytest.mark.parametrize("capacity", [20 * 10**12, 1_000_204_886_016, 4 * 10**12 - 512])
def test_every_single_multiple_of_the_granularity_is_the_distance_of_two_places(capacity: int) -> None:
    granularity, places = marker_places(capacity, 512, SEED)
    marks = np.array([place.offset_bytes // granularity for place in places if place.offset_bytes % granularity == 0])
    found = np.zeros((capacity - 1) // granularity + 1, dtype=bool)
    for mark in marks:
        found[marks[marks >= mark] - mark] = True
    assert found.all()


@pytest.mark.parametrize("capacity", [2000 * 512, 1_000_204_886_016, 20 * 10**12, 123_456_789 * 512 + 77])
@pytest.mark.parametrize("divisor", range(2, 17))
def test_wraps_at_a_fraction_of_any_size_destroy_a_marker(capacity: int, divisor: int) -> None:
    _, places = marker_places(capacity, 512, SEED)
    fraction = capacity // divisor
    for wrap in (fraction, fraction // 512 * 512, fraction // 512 * 512 + 512):
        assert destroys_a_marker(places, wrap)


@pytest.mark.parametrize("exponent", range(20, 44))
def test_wraps_at_powers_of_two_destroy_a_marker_on_the_largest_drives(exponent: int) -> None:
    granularity, places = marker_places(40 * 10**12, 512, SEED)
    assert granularity <= 1 << 22
    if 1 << exponent >= granularity:
        assert destroys_a_marker(places, 1 << exponent)


def test_a_drive_that_keeps_its_addresses_keeps_its_markers() -> None:
    _, places = marker_places(1_000_000 * 512, 512, SEED)
    assert not destroys_a_marker(places, 1_000_000 * 512)


def test_the_granularity_is_one_sector_as_long_as_the_places_suffice() -> None:
    assert marker_places(64 << 20, 512, SEED)[0] == 512
    assert marker_places(79 * 10**8, 512, SEED)[0] == 32 * 512
    assert marker_places(10**12, 4096, SEED)[0] == 16 * 4096


def test_a_small_drive_gets_so_few_places_that_they_take_no_time_beside_a_pass() -> None:
    assert len(marker_places(4 << 30, 512, SEED)[1]) <= MIN_PLACES
    assert len(marker_places(20 * 10**12, 4096, SEED)[1]) > MAX_PLACES // 2


def test_some_places_cannot_be_foreseen_without_the_seed() -> None:
    one, other = (set(marker_places(10**12, 4096, bytes([number]) * 32)[1]) for number in (1, 2))
    assert len(one - other) > 200
    assert marker_places(10**12, 4096, SEED) == marker_places(10**12, 4096, SEED)


@pytest.mark.parametrize(
    ("capacity", "sector", "seed"), [(0, 512, SEED), (-512, 512, SEED), (512, 0, SEED), (512, 512, bytes(31))]
)
def test_senseless_sizes_and_seeds_are_refused(capacity: int, sector: int, seed: bytes) -> None:
    with pytest.raises(UsageError):
        marker_places(capacity, sector, seed)
