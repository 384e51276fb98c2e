"""Jobs played out on a drive of a few sectors: an honest runner, crashes between any two steps, power cuts that lose what
was not flushed, drives changed out of sight, bad sectors. Whatever happened, a job that passed has erased its drive.

The referee keeps for every sector the history of what was really written to it, and knows nothing of the journal.

Not played: an outsider who writes while we hold the drive, is overwritten by a later pass, and whose sight then ends in a
crash. The counters that would show him die with the sight.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from eraser.domain.events import (
    ActivitySeen,
    Checkpoint,
    JobEvent,
    JobFinished,
    JobInterrupted,
    Outcome,
    PassEnded,
    PassStarted,
    ProgramRestarted,
    SightBegan,
    SightChecked,
    VerificationEnded,
    VerificationStarted,
)
from eraser.domain.evidence import (
    BadExtent,
    DriveActivity,
    EndReason,
    Extent,
    FlushProof,
    Operation,
    SightCheck,
    TransferReport,
)
from eraser.domain.job import JobState, Phase, apply
from eraser.domain.pattern import Pattern
from eraser.domain.plan import Plan, PlannedPass
from eraser.domain.program import Verification
from eraser.domain.resumption import BeginAgain, Check, HoldsEither, holds, resumption
from eraser.domain.verdict import judge, required_verification
from tests.domain.jobs import CAPACITY, ONE, SECTOR, SECTORS, THREE, TWO, a_plan, a_reading, a_report, folded, planned

CHECKPOINT_SECTORS = 3
WINDOW_BYTES = 2 * CHECKPOINT_SECTORS * SECTOR

Writer = Pattern | str
"""What a sector was written with: a pass's pattern, or something of others."""


@dataclass
class Sector:
    """What was written to it, oldest first: as far as it reached the medium, and as the cache has it."""

    medium: list[tuple[int, Writer]] = field(default_factory=lambda: [(0, "a customer's data")])
    cache: list[tuple[int, Writer]] = field(default_factory=lambda: [(0, "a customer's data")])
    is_bad: bool = False

    @property
    def content(self) -> Writer:
        return self.cache[-1][1]


class Played(RuleBasedStateMachine):
    """Rules are what may happen to a drive and to the program; `step` lets the runner do its next thing."""

    @initialize(
        patterns=st.sampled_from([(ONE,), (ONE, TWO), (TWO, TWO), (TWO, ONE, TWO), (ONE, TWO, THREE), (TWO, TWO, TWO)]),
        reverse=st.lists(st.booleans(), min_size=3, max_size=3),
        between=st.lists(st.booleans(), min_size=3, max_size=3),
        verification=st.sampled_from([Verification.FULL, Verification.FULL, Verification.NONE]),
        is_flushed=st.sampled_from([True, True, True, False]),
    )
    def begin(
        self,
        patterns: tuple[Pattern, ...],
        reverse: list[bool],
        between: list[bool],
        verification: Verification,
        is_flushed: bool,
    ) -> None:
        passes = tuple(
            PlannedPass(pattern, reverse=reverse[index], verify=between[index])
            for index, pattern in enumerate(patterns)
        )
        self.plan: Plan = a_plan(ONE, passes=passes, verification=verification)
        self.state: JobState = folded(planned(self.plan))
        self.sectors = [Sector() for _ in range(SECTORS)]
        self.proof = FlushProof.KERNEL_SENT if is_flushed else FlushProof.ASSUMED
        self.runner: Iterator[None] | None = None
        self.seen_writes = self.our_writes = 0
        self.has_unseen_outsider = False
        self.lags = False
        self.is_cancelled = False

    def append(self, what: JobEvent) -> None:
        self.state = apply(self.state, what, "")  # the honest runner is never refused

    # ---- the honest runner; every yield is a place where it may die

    def run(self) -> Iterator[None]:
        decision = resumption(self.state, WINDOW_BYTES)
        self.append(SightBegan("boot"))
        self.seen_writes = self.our_writes = 0
        yield
        if isinstance(decision, BeginAgain):
            self.append(ProgramRestarted(decision.why))
        else:
            yield from self.check_back(decision.checks)
        while (item := self.state.next_pass) is not None:
            yield
            if item.number > 1 and not item.started and self.plan.passes[item.number - 2].verify:
                done = [found for found in self.state.pass_verifications if found.pass_number == item.number - 1]
                if not done:
                    yield from self.verify(item.number - 1)
            yield from self.write(item.number, item.believed_bytes // SECTOR)
            if self.state.phase is Phase.INTERRUPTED:
                return
        if required_verification(self.plan, self.state.sights) is not Verification.NONE:
            yield from self.verify(len(self.plan.passes))
        yield
        self.append(self.counted())
        yield
        outcome, reasons = judge(self.state.facts())
        self.append(JobFinished(outcome, reasons))
        if outcome is Outcome.PASSED and not self.has_unseen_outsider:
            self.referee()

    def counted(self) -> ActivitySeen:
        return ActivitySeen(DriveActivity(self.seen_writes, self.our_writes, self.our_writes, 0, 0, 0))

    def check_back(self, checks: tuple[Check, ...]) -> Iterator[None]:
        for check in checks:
            first, last = check.extent.offset_bytes // SECTOR, check.extent.end_bytes // SECTOR
            differing = self.differing(check.pass_number, first, last)
            if isinstance(check, HoldsEither):
                differing = holds(check, last - first, differing, self.differing(check.earlier_number, first, last))
            yield
            self.append(SightChecked(SightCheck(check.pass_number, check.extent.length_bytes, differing)))
            yield
            if differing:
                self.append(ProgramRestarted("changed"))
                return

    def differing(self, number: int, first: int, last: int) -> int:
        pattern = self.plan.passes[number - 1].pattern
        return sum(sector.content != pattern for sector in self.sectors[first:last])

    def write(self, number: int, start: int) -> Iterator[None]:
        planned_pass = self.plan.passes[number - 1]
        self.append(PassStarted(number, start * SECTOR))
        bad: list[BadExtent] = []
        unrecorded: list[Checkpoint] = []
        for position in range(start, SECTORS):
            yield
            place = SECTORS - 1 - position if planned_pass.reverse else position
            if self.sectors[place].is_bad:
                bad.append(BadExtent(Extent(place * SECTOR, SECTOR), Operation.WRITE, 5))
            else:
                self.put(place, planned_pass.pattern, number)
                self.our_writes += 1
            if (position + 1 - start) % CHECKPOINT_SECTORS == 0 or self.is_cancelled:
                yield
                self.flush()
                unrecorded.append(Checkpoint(number, (position + 1) * SECTOR, self.proof, tuple(bad)))
                # The transfer runs at most one checkpoint ahead of what is on record.
                while len(unrecorded) > (1 if self.lags else 0):
                    yield
                    self.append(unrecorded.pop(0))
            if self.is_cancelled and position + 1 < SECTORS:
                yield
                stopped = a_report(start * SECTOR, (position + 1) * SECTOR, end=EndReason.CANCELLED)
                self.append(PassEnded(number, self.with_bad(stopped, bad)))
                self.append(self.counted())
                self.append(JobInterrupted("asked to"))
                return
        yield
        self.flush()
        yield
        for late in unrecorded:
            self.append(late)
        self.append(PassEnded(number, self.with_bad(a_report(start * SECTOR, CAPACITY), bad)))

    def with_bad(self, report: TransferReport, bad: list[BadExtent]) -> TransferReport:
        listed = tuple(dict.fromkeys(bad))
        return replace(report, flush_proof=self.proof, bad_extents=listed, bad_bytes=len(listed) * SECTOR)

    def put(self, place: int, value: Writer, number: int) -> None:
        self.seen_writes += 1
        self.sectors[place].cache.append((number, value))

    def flush(self) -> None:
        if self.proof is FlushProof.KERNEL_SENT:
            for sector in self.sectors:
                sector.medium = list(sector.cache)

    def verify(self, number: int) -> Iterator[None]:
        self.append(VerificationStarted(number, Verification.FULL, b""))
        differing = unreadable = 0
        for place in range(SECTORS):
            yield
            unreadable += self.sectors[place].is_bad
            differing += not self.sectors[place].is_bad and self.differing(number, place, place + 1)
        report = a_report(mismatched_sectors=differing, bad_bytes=unreadable * SECTOR)
        self.append(VerificationEnded(a_reading(number, report=report)))

    # ---- what may happen

    def is_running(self) -> bool:
        return self.runner is not None and self.state.outcome is None

    def is_away(self) -> bool:
        return not self.is_running() and self.state.outcome is None

    @precondition(lambda self: self.is_away())
    @rule(lags=st.booleans())
    def plug_in(self, lags: bool) -> None:
        self.lags = lags
        self.is_cancelled = False
        self.runner = self.run()
        self.has_outsider = False
        next(self.runner)  # whoever writes before the counters are read first is one who wrote out of sight

    @precondition(lambda self: self.is_running())
    @rule(steps=st.integers(1, 40))
    def step(self, steps: int) -> None:
        assert self.runner is not None
        for _ in range(steps):
            if next(self.runner, "ended") == "ended":
                self.leave()
                return

    @precondition(lambda self: self.is_running())
    @rule()
    def run_to_the_end(self) -> None:
        assert self.runner is not None
        for _ in self.runner:
            pass
        self.leave()

    @precondition(lambda self: self.is_running())
    @rule()
    def ask_to_stop(self) -> None:
        self.is_cancelled = True

    @precondition(lambda self: self.is_running())
    @rule()
    def kill_the_program(self) -> None:
        self.leave()

    @precondition(lambda self: self.is_running())
    @rule(kept=st.integers(0, 2**SECTORS - 1))
    def cut_the_power(self, kept: int) -> None:
        self.leave()
        for place, sector in enumerate(self.sectors):
            if kept >> place & 1:
                sector.medium = list(sector.cache)
            else:
                sector.cache = list(sector.medium)

    def leave(self) -> None:
        self.runner = None
        if self.state.phase in (Phase.RUNNING, Phase.VERIFYING):
            self.has_unseen_outsider |= self.has_outsider

    @precondition(lambda self: self.is_away())
    @rule(place=st.integers(0, SECTORS - 1))
    def write_elsewhere(self, place: int) -> None:
        self.put(place, "somebody's data", 0)
        self.sectors[place].medium = list(self.sectors[place].cache)

    @precondition(lambda self: self.is_running())
    @rule(place=st.integers(0, SECTORS - 1))
    def write_behind_our_back(self, place: int) -> None:
        self.put(place, "somebody's data", 0)
        self.has_outsider = True

    @rule(place=st.integers(0, SECTORS - 1), is_bad=st.booleans())
    def a_sector_goes_bad_or_recovers(self, place: int, is_bad: bool) -> None:
        self.sectors[place].is_bad = is_bad

    def teardown(self) -> None:
        """Every job is brought to its end, so that each play is judged."""
        if self.is_away():
            self.plug_in(lags=False)
        while self.is_running():
            self.is_cancelled = False
            self.run_to_the_end()
            if self.is_away():
                self.plug_in(lags=False)
        event(f"ended {self.state.outcome} in {min(self.state.sights, 3)} sights")

    # ---- the referee

    def referee(self) -> None:
        numbers = list(range(1, len(self.plan.passes) + 1))
        for place, sector in enumerate(self.sectors):
            assert sector.content == self.plan.passes[-1].pattern, f"sector {place} does not hold the last pass"
            since = 1 + max(index for index, (number, _) in enumerate(sector.cache) if number == 0)
            left = iter(number for number, _ in sector.cache[since:])
            assert all(number in left for number in numbers), f"sector {place} did not get every pass in order"
        assert not self.has_outsider, "somebody else wrote"


TestPlayed = Played.TestCase
TestPlayed.settings = settings(
    max_examples=300, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
