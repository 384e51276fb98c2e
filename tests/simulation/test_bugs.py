"""The simulation is worth something because it finds these."""

import pytest

from tests.simulation.bugs import BUGS
from tests.simulation.playing import play

SEEDS = 500


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found_and_the_program_without_it_is_not_blamed(name: str) -> None:
    with BUGS[name]():
        found = next((played for seed in range(SEEDS) if (played := play(seed)).violation), None)
    assert found is not None, f"{SEEDS} seeds do not show {name}"
    assert not play(found.seed).violation
