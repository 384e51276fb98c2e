from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraser.cli.quantities import MAX_QUANTITY, human_seconds, human_size, parse_size, parse_speed
from eraser.errors import UsageError

UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


@given(
    number=st.decimals(min_value=1, max_value=9000, places=3),
    unit=st.sampled_from(sorted(UNITS)),
    blank=st.sampled_from(["", " "]),
    byte=st.sampled_from(["", "B"]),
    upper=st.booleans(),
)
def test_every_number_with_a_unit_is_that_many_bytes(
    number: Decimal, unit: str, blank: str, byte: str, upper: bool
) -> None:
    written = f"{number}{blank}{unit.upper() if upper else unit}{byte}"
    assert parse_size(written) == int(number * UNITS[unit])


@given(st.text(max_size=30))
def test_any_other_text_is_refused_with_a_sentence_or_is_a_size(text: str) -> None:
    try:
        size = parse_size(text)
    except UsageError as error:
        assert error.remedy
    else:
        assert 1 <= size <= MAX_QUANTITY


@pytest.mark.parametrize(
    "text", ["", "TB", "-1TB", "1e9", "0", "0.4B", "5Tb", "1 000", "10EB", "٣TB", "1TB/s", "9" * 20]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text)


@pytest.mark.parametrize("text", ["200MB/s", "200 MB / s", "200MBps", "200M", "200000000"])
def test_a_speed_may_be_written_in_the_usual_ways(text: str) -> None:
    assert parse_speed(text) == 200_000_000


@pytest.mark.parametrize("text", ["", "fast", "0MB/s", "200MB/h", "200Mb/s", "200mbps"])
def test_what_is_no_speed_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a speed"):
        parse_speed(text)


@given(st.integers(min_value=0, max_value=MAX_QUANTITY))
def test_a_size_for_people_is_never_more_than_there_is(size: int) -> None:
    number, unit = human_size(size).split()
    factor = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15}[unit]
    shown = Decimal(number) * factor
    assert shown <= size < shown + max(Decimal(1), size / Decimal(99))


def test_sizes_look_as_on_the_labels_of_drives() -> None:
    assert [human_size(size) for size in (512, 67_108_864, 4_000_787_030_016)] == ["512 B", "67.1 MB", "4.00 TB"]


def test_times_are_as_exact_as_people_need() -> None:
    assert [human_seconds(seconds) for seconds in (12.4, 245, 12_000)] == ["12 s", "4 min 5 s", "3 h 20 min"]
