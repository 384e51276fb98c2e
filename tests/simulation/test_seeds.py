"""Whatever happens to a station, in whatever order, its invariants hold. Each seed is one story."""

import os
import time

import pytest

from tests.simulation.playing import Played, play

SEEDS = 2000
AT_ONCE = 250
FIRST_OF_A_SOAK = 1_000_000


def expect_all_to_hold(first: int, count: int) -> list[Played]:
    """Stops at the first seed in which something does not hold, with its story."""
    stories = []
    for seed in range(first, first + count):
        stories.append(play(seed))
        if stories[-1].violation:
            told = play(seed, is_told=True)
            pytest.fail("\n".join(told.diary[-60:]) + f"\n{told.violation}\n\nAll of it: {told.command}", pytrace=False)
    return stories


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_whatever_happens_the_invariants_hold(first: int) -> None:
    stories = expect_all_to_hold(first, AT_ONCE)
    # Stories in which nothing happens would prove nothing.
    assert sum(story.passed for story in stories) > 3 * AT_ONCE
    assert sum(story.jobs - story.passed for story in stories) > AT_ONCE
    assert sum(story.programs for story in stories) > 1.5 * AT_ONCE


def test_a_seed_is_the_same_story_each_time() -> None:
    for seed in range(20):
        assert play(seed, is_told=True) == play(seed, is_told=True)


@pytest.mark.soak
def test_the_invariants_hold_for_as_many_seeds_as_asked() -> None:
    first = int(os.environ.get("ERASER_SOAK_SEED", FIRST_OF_A_SOAK + time.time_ns() % 10**9))
    expect_all_to_hold(first, int(os.environ.get("ERASER_SOAK_SEEDS", "10000")))
