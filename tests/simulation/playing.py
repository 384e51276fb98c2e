"""One seed from its beginning to its end."""

from dataclasses import dataclass
from unittest import mock

from eraser.rack import station, watchdog
from tests.rack.simulated_time import Crash, SimulatedTimeLoop
from tests.simulation.journal import Disk
from tests.simulation.program import Desk, Papers, Program
from tests.simulation.story import Story, draw_setting
from tests.simulation.world import World

LOOK_SECONDS = 2.0
TICK_SECONDS = 4.0
"""The picture is drawn so rarely because nobody looks at it here but the checks, who ask for a new one."""


@dataclass(frozen=True, slots=True)
class Played:
    """What came of it: `violation` is empty when everything held."""

    seed: int
    violation: str
    diary: tuple[str, ...]
    turns: int
    seconds: float
    passed: int
    jobs: int
    programs: int

    @property
    def command(self) -> str:
        """Plays it again and tells everything."""
        return f"python -m tests.simulation {self.seed}"


def play(seed: int, *, is_told: bool = False) -> Played:
    """Plays it. Nothing of it depends on anything but the seed."""
    with (
        mock.patch.object(station, "TICK_SECONDS", TICK_SECONDS),
        mock.patch.object(watchdog, "LOOK_SECONDS", TICK_SECONDS),
    ):
        return _Play(seed, is_told).play()


class _Play:
    def __init__(self, seed: int, is_told: bool) -> None:
        self.seed = seed
        self.world = World(seed, is_told=is_told)
        self.setting = draw_setting(self.world.chance)
        self.world.bay_map = self.setting.bay_map
        self.disk = Disk(self.world)
        self.papers = Papers(self.world)
        checks = self.world.checks
        checks.disk, checks.papers = self.disk, self.papers
        checks.starts_by_itself = self.setting.starts_by_itself
        self.desk = Desk(self.setting.request, self.setting.starts_by_itself, self.world, self.disk)
        self.story = Story(self.world, self.setting, self.disk)
        self.turns = self.programs = 0

    def play(self) -> Played:
        self.story.begin()
        checks = self.world.checks
        crashes = self.setting.crashes
        while not self.story.is_over and not checks.violation:
            crash_at = -1
            if crashes and not self.story.is_quiet:
                crashes -= 1
                crash_at = int(30 * 100 ** self.world.chance.random())
            self._run_program(crash_at)
            if not checks.violation and not self.story.is_over:
                if self.world.chance.random() < 0.3:
                    self.world.cut_power()
                self.world.rest(self.world.chance.choice((0.01, 0.5, 4.0)))
                self.disk.refolded()
        if not checks.violation:
            checks.at_end()
        states = self.disk.states.values()
        return Played(
            seed=self.seed,
            violation=checks.violation,
            diary=tuple(self.world.diary),
            turns=self.turns,
            seconds=self.world.now,
            passed=sum(state.outcome == "passed" for state in states),
            jobs=len(self.disk.states),
            programs=self.programs,
        )

    def _run_program(self, crash_at: int) -> None:
        self.programs += 1
        loop = SimulatedTimeLoop(self.world.now)
        loop.crash_at = crash_at
        self.world.begin(loop)
        self.world.tell(f"--- the station begins{f', and dies at turn {crash_at}' if crash_at > 0 else ''}")
        program = Program(self.world, self.disk, self.papers, self.desk, loop)
        self.story.program = program
        self._look(program)
        try:
            loop.run_until_complete(program.rack.run())
            self.world.tell("--- the station has stopped")
        except Crash:
            self.world.tell("--- the station dies")
        except Exception as error:
            self.world.checks.fail(f"the station fell: {error!r}", error)
        self.story.program = None
        self.world.when_slots_change = lambda: None
        self.turns += loop.turns
        program.die()

    def _look(self, program: Program) -> None:
        self.world.checks.look(program)
        program.later(LOOK_SECONDS, lambda: self._look(program))
