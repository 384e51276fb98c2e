"""What is said of a drive at work: stuck, slow, failing more and more; and never of one that is well."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraser.domain.watchdog import SLOW_WINDOWS, Alarm, Heat, JobWatch, Limits, Sample, track_share

MB = 1_000_000
LIMITS = Limits(io_seconds=30, window_seconds=10, errors_per_minute=10)
WRITING = ("writing", 1)


class Bench:
    """A drive whose speed, faults and rest are set by hand, looked at once a second."""

    def __init__(self, *, rotates: bool = False, least_rate: int | None = None, limits: Limits = LIMITS) -> None:
        self.watch = JobWatch(limits, rotates, least_rate)
        self.now = Sample(0.0, WRITING, True, 0, 0.0, False, 0, 0.0, 0)
        self.watch.look(self.now)

    def go(self, seconds: int, rate: float, **changes: object) -> set[Alarm]:
        """So long at this rate; the alarms at the end."""
        for _ in range(seconds):
            moved = self.now.moved_bytes + int(rate)
            self.now = replace(self.now, at=self.now.at + 1, moved_bytes=moved, **changes)  # type: ignore[arg-type]
            self.watch.look(self.now)
        return set(self.watch.findings)

    def changes(self, seconds: int, rate: float, **changes: object) -> int:
        """How often the alarms change meanwhile."""
        seen = [self.go(1, rate, **changes) for _ in range(seconds)]
        return sum(before != after for before, after in pairwise(seen))


# ---- stuck


def test_a_drive_is_stuck_when_an_io_reaches_its_limit_and_not_before() -> None:
    bench = Bench()
    assert bench.go(1, 0, oldest_io_seconds=29.9) == set()
    assert bench.go(1, 0, oldest_io_seconds=30.0) == {Alarm.STUCK}
    assert "30 s" in str(bench.watch.findings[Alarm.STUCK])
    assert bench.go(1, 0, oldest_io_seconds=15.0) == {Alarm.STUCK}
    assert bench.go(1, 100 * MB, oldest_io_seconds=0.1) == set()


def test_each_time_that_it_gets_stuck_is_counted_once() -> None:
    bench = Bench()
    for age in (30, 60, 20, 40, 1, 31, 32, 0):
        bench.go(1, 0, oldest_io_seconds=age)
    assert bench.watch.stalls == 2


def test_a_drive_that_is_stuck_is_not_called_slow_for_that() -> None:
    bench = Bench(limits=Limits())
    bench.go(300, 100 * MB)
    for age in range(120):
        assert Alarm.SLOW not in bench.go(1, 0, oldest_io_seconds=age)
    assert bench.go(300, 100 * MB, oldest_io_seconds=0.0) == set()


# ---- slow against itself


def test_a_drive_that_falls_below_half_of_what_it_did_is_slow_until_it_recovers() -> None:
    bench = Bench()
    assert bench.go(60, 200 * MB) == set()
    assert bench.go(20, 90 * MB) == {Alarm.SLOW}
    assert str(bench.watch.findings[Alarm.SLOW]).startswith("90 MB/s, where it would do 200 MB/s")
    assert bench.go(20, 110 * MB) == {Alarm.SLOW}  # it has to do clearly more
    assert bench.go(20, 130 * MB) == set()


def test_a_drive_at_the_edge_of_slowness_does_not_flap() -> None:
    bench = Bench()
    bench.go(200, 200 * MB)
    assert sum(bench.changes(20, rate * MB) for rate in (99, 104, 98, 106, 99, 101, 97, 105)) <= 1


def test_a_drive_is_not_compared_with_itself_before_it_has_done_something() -> None:
    bench = Bench()
    assert bench.go(10, 400 * MB) == set()
    assert bench.go(20, 20 * MB) == set()


def test_each_pass_is_compared_with_itself_alone() -> None:
    bench = Bench()
    bench.go(60, 200 * MB)
    assert bench.go(20, 50 * MB) == {Alarm.SLOW}
    assert bench.go(60, 50 * MB, stage=("verifying", 1)) == set()


def test_pauses_are_no_slowness() -> None:
    bench = Bench()
    bench.go(60, 200 * MB)
    for _ in range(100):
        assert bench.go(1, 0, is_resting=True) == set()
    for _ in range(60):
        assert bench.go(1, 200 * MB, is_resting=False) == set()


@pytest.mark.parametrize("limit", [5, 60, 150])
def test_who_does_what_our_own_limit_allows_is_not_slow(limit: int) -> None:
    bench = Bench()
    bench.go(65, 200 * MB)
    for _ in range(100):
        assert bench.go(1, limit * MB * 0.99, limit_bytes_per_second=limit * MB) == set()
    for _ in range(60):
        assert bench.go(1, 200 * MB, limit_bytes_per_second=0) == set()


def test_who_does_less_than_half_of_what_our_limit_allows_is_slow() -> None:
    bench = Bench()
    bench.go(60, 100 * MB, limit_bytes_per_second=100 * MB)
    assert bench.go(20, 40 * MB, limit_bytes_per_second=100 * MB) == {Alarm.SLOW}


def test_what_does_not_sweep_over_the_drive_is_not_measured() -> None:
    bench = Bench()
    bench.go(60, 200 * MB)
    for _ in range(60):
        assert bench.go(1, 1 * MB, is_sweep=False) == set()


# ---- where on the disk


def sweep(bench: Bench, outer_rate: float, places: Iterable[float]) -> set[Alarm]:
    """All that is said while a rotating drive goes over these places."""
    said: set[Alarm] = set()
    for place in places:
        said |= bench.go(10, outer_rate * track_share(place, rotates=True), place=place)
    return said


INWARDS = [step / 100 for step in range(101)]


def test_inner_tracks_are_half_as_fast_and_flash_has_none() -> None:
    assert track_share(0.0, rotates=True) == 1.0
    assert track_share(1.0, rotates=True) == 0.5
    assert track_share(1.0, rotates=False) == 1.0


@pytest.mark.parametrize("places", [INWARDS, INWARDS[::-1]], ids=["forward", "reverse"])
def test_a_hard_disk_that_is_slower_at_its_inner_tracks_is_well(places: list[float]) -> None:
    assert sweep(Bench(rotates=True), 250 * MB, places) == set()


def test_a_hard_disk_is_slow_where_it_does_half_of_what_its_place_allows() -> None:
    bench = Bench(rotates=True)
    assert sweep(bench, 250 * MB, INWARDS[:90]) == set()
    assert sweep(bench, 120 * MB, INWARDS[90:]) == {Alarm.SLOW}


def test_passes_that_start_anew_at_the_outside_are_well() -> None:
    bench = Bench(rotates=True)
    for number in range(1, 4):
        bench.now = replace(bench.now, stage=("writing", number), moved_bytes=0)
        assert sweep(bench, 250 * MB, INWARDS) == set()


# ---- twins


def pace(rate: float, limits: Limits = LIMITS) -> JobWatch:
    bench = Bench(limits=limits)
    bench.go(20, rate)
    return bench.watch


def test_a_drive_that_does_less_than_half_of_what_three_twins_do_is_slow() -> None:
    watch = pace(60 * MB)
    watch.compare([150 * MB, 140 * MB, 155 * MB])
    assert str(watch.findings[Alarm.SLOW]) == "60 MB/s, where 3 others of its model would do 150 MB/s"


def test_two_twins_are_too_few_to_say_anything() -> None:
    watch = pace(60 * MB)
    watch.compare([150 * MB, 150 * MB])
    assert watch.findings == {}


def test_one_fast_twin_makes_nobody_slow() -> None:
    watch = pace(100 * MB)
    watch.compare([100 * MB, 102 * MB, 900 * MB])
    assert watch.findings == {}


def test_twins_elsewhere_on_their_tracks_are_compared_as_at_the_outer_edge() -> None:
    bench = Bench(rotates=True)
    bench.go(20, 130 * MB, place=1.0)
    assert bench.watch.latest is not None and bench.watch.latest.outer_rate == 260 * MB
    bench.watch.compare([250 * MB, 255 * MB, 245 * MB])
    assert bench.watch.findings == {}


# ---- errors


def test_errors_that_grow_fast_are_said_and_old_ones_are_forgotten() -> None:
    bench = Bench()
    assert bench.go(10, MB, errors=9) == set()
    assert bench.go(1, MB, errors=10) == {Alarm.ERRORS}
    assert bench.go(45, MB, errors=10) == {Alarm.ERRORS}
    assert bench.go(20, MB, errors=10) == set()
    assert bench.go(600, MB, errors=10) == set()


def test_errors_of_an_earlier_sight_are_no_new_ones() -> None:
    bench = Bench()
    bench.watch = JobWatch(LIMITS, rotates=False)
    bench.now = replace(bench.now, errors=5000)
    assert bench.go(5, MB) == set()


# ---- heat


def test_a_drive_is_hot_above_the_one_and_until_below_the_other() -> None:
    heat = Heat(60, 50)
    said = [False]
    for celsius in (45, 60, 60.5, 59, 50, 49.9, 55, 61, None, 49):
        said.append(heat.is_hot(celsius, said[-1]))
    assert said[1:] == [False, False, True, True, True, False, False, True, True, False]


@given(st.lists(st.floats(49.99, 60.01), max_size=60), st.booleans())
def test_between_the_two_nothing_changes(readings: list[float], is_hot: bool) -> None:
    inside = [celsius for celsius in readings if 50 <= celsius <= 60]
    for celsius in inside:
        assert Heat(60, 50).is_hot(celsius, is_hot) is is_hot


# ---- a criterion of speed


def test_a_drive_is_too_slow_after_some_windows_in_a_row_and_not_after_one() -> None:
    bench = Bench(least_rate=50 * MB)
    for _ in range(SLOW_WINDOWS - 1):
        bench.go(10, 40 * MB)
        assert not bench.watch.too_slow_seconds
    bench.go(10, 60 * MB)
    bench.go(20, 40 * MB)
    assert not bench.watch.too_slow_seconds
    bench.go(10, 40 * MB)
    assert bench.watch.too_slow_seconds == 30


def test_whom_our_own_limit_holds_back_is_not_too_slow() -> None:
    bench = Bench(least_rate=50 * MB)
    bench.go(100, 40 * MB, limit_bytes_per_second=40 * MB)
    assert not bench.watch.too_slow_seconds


# ---- whatever comes

RATES = st.floats(0.8, 1.25)


@given(st.lists(RATES, min_size=40, max_size=200), st.floats(1e6, 5e9), st.booleans())
def test_no_drive_is_slow_that_stays_within_a_quarter_of_its_rate(
    factors: list[float], rate: float, rotates: bool
) -> None:
    bench = Bench(rotates=rotates)
    for step, factor in enumerate(factors):
        place = step / len(factors)
        assert bench.go(1, factor * rate * track_share(place, rotates=rotates), place=place) == set()


@given(st.integers(40, 200), st.floats(1e6, 5e9), st.floats(0.0, 0.45), st.booleans())
def test_every_drive_is_slow_that_keeps_below_its_share(
    seconds: int, rate: float, factor: float, rotates: bool
) -> None:
    bench = Bench(rotates=rotates)
    bench.go(seconds, rate)
    assert bench.go(2 * int(LIMITS.window_seconds), factor * rate) == {Alarm.SLOW}


STEPS = st.tuples(
    st.integers(0, 3),
    st.floats(0, 100),
    st.booleans(),
    st.integers(0, 10**9),
    st.integers(0, 50),
    st.integers(0, 10**9),
)


@given(st.lists(STEPS, max_size=100), st.booleans())
def test_the_alarms_are_a_function_of_the_samples_and_nothing_breaks_them(
    steps: list[tuple[int, float, bool, int, int, int]], rotates: bool
) -> None:
    said = []
    for _ in range(2):
        bench = Bench(rotates=rotates, least_rate=MB)
        for stage, age, resting, rate, errors, limit in steps:
            bench.go(
                1,
                rate,
                stage=("writing", stage),
                oldest_io_seconds=age,
                is_resting=resting,
                errors=errors,
                limit_bytes_per_second=limit,
            )
            assert (Alarm.STUCK in bench.watch.findings) <= (age >= LIMITS.io_seconds / 2)
            bench.watch.compare([2.0 * rate, 3.0 * rate, rate])
        said.append((bench.watch.findings, bench.watch.stalls, bench.watch.too_slow_seconds))
    assert said[0] == said[1]


@given(st.lists(st.floats(0, 14.9), max_size=50), st.lists(st.floats(15, 29.9), max_size=50))
def test_ages_between_the_two_thresholds_never_change_whether_it_is_stuck(
    low: list[float], middle: list[float]
) -> None:
    bench = Bench()
    for first, stuck in ((30.0, True), (0.0, False)):
        bench.go(1, 0, oldest_io_seconds=first)
        for age in middle:
            assert (Alarm.STUCK in bench.go(1, 0, oldest_io_seconds=age)) is stuck
    for age in low:
        assert Alarm.STUCK not in bench.go(1, 0, oldest_io_seconds=age)
