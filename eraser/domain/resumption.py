"""What a job does when its drive is in sight again.

While we did not hold the drive, anybody may have written to it. What was written before counts only once it has been read back:
the last pass by the final verification, which is then in full, earlier passes by the checks here. Read backwards from pass *k*
that was interrupted at position *p*:

- before *p* the drive must hold pass *k* (left to the final verification when *k* is the last pass);
- from *p* on, over the window in which bytes may have been sent after the last checkpoint on record, each sector must hold
  either pass *k* or pass *k-1*. Readings give counts, and counts show that only where no sector of one pass looks like one of
  the other: else the whole window must hold one of them;
- behind the window it must hold pass *k-1*. What was there before the first pass is unknown, so pass 1 needs no such check.

Where that does not hold, or cannot be known, the program begins again: data that came in between must get all its passes.
"""

from dataclasses import dataclass
from math import lcm
from typing import assert_never

from eraser.domain.evidence import Extent, FlushProof, MarkersEvidence
from eraser.domain.job import JobState, PassState
from eraser.domain.pattern import Constant, Pattern
from eraser.domain.plan import Plan
from eraser.errors import JournalError

LEAST_TELLING_BYTES = 16
"""So many bytes of a stream are those of something else by a chance of 2^-128; fewer tell nothing."""


@dataclass(frozen=True, slots=True)
class HoldsPass:
    """Every sector of `extent` must hold the numbered pass."""

    extent: Extent
    pass_number: int


@dataclass(frozen=True, slots=True)
class HoldsEither:
    """Every sector of `extent` must hold one of the two passes; `are_distinct` where no sector can hold both."""

    extent: Extent
    pass_number: int
    earlier_number: int
    are_distinct: bool


Check = HoldsPass | HoldsEither


@dataclass(frozen=True, slots=True)
class BeginAgain:
    """All passes anew, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class GoOn:
    """After these checks, where it stopped."""

    checks: tuple[Check, ...]


def resumption(state: JobState, window_bytes: int) -> GoOn | BeginAgain:
    """What to do with a job whose drive was out of sight. `window_bytes` bounds what was sent beyond the last checkpoint on
    record. Raises JournalError for a job without a plan.
    """
    if state.plan is None:
        raise JournalError("a job without a plan can't be resumed", subject=state.job_id)
    if any(item.bad_bytes for item in state.passes):
        return GoOn(())  # it can't pass any more; what is left of the drive is erased all the same
    # A crash may have come between what the counters told and the word that the sight has ended.
    if state.had_outsiders or (state.activity is not None and state.activity.has_foreign_writes):
        return BeginAgain("somebody else wrote to the drive while this job did")
    if not any(item.started for item in state.passes):
        # Nothing that could be read back shows that this is the drive which kept them: a twin may say the same of itself.
        if state.markers is not None and not (state.markers.read_back.mismatched_sectors or _bad_bytes(state.markers)):
            return BeginAgain("its markers were read back before it left our sight")
        return GoOn(())
    last_started = max(item.number for item in state.passes if item.started)
    current = state.passes[last_started - 1]
    if current.flush_proof is FlushProof.ASSUMED:
        return BeginAgain("nothing shows that what was written before had reached the medium")
    return GoOn(_checks(state, state.plan, current, window_bytes))


def _bad_bytes(markers: MarkersEvidence) -> int:
    return markers.written.bad_bytes + markers.read_back.bad_bytes


def _checks(state: JobState, plan: Plan, current: PassState, window_bytes: int) -> tuple[Check, ...]:
    capacity, number, position = state.capacity_bytes, current.number, current.believed_bytes
    sector_bytes = state.sector_bytes
    is_reverse = plan.passes[number - 1].reverse
    window_end = (
        capacity if current.is_complete else _window_end(capacity, position + window_bytes, sector_bytes, is_reverse)
    )
    checks: list[Check] = []
    if position > 0 and number < len(state.passes):
        checks.append(HoldsPass(_place(capacity, is_reverse, 0, position), number))
    if number > 1 and position < window_end:
        patterns = plan.passes[number - 1].pattern, plan.passes[number - 2].pattern
        place = _place(capacity, is_reverse, position, window_end)
        shortest = capacity % sector_bytes or sector_bytes
        checks.append(HoldsEither(place, number, number - 1, are_distinct(*patterns, shortest)))
    if number > 1 and window_end < capacity:
        checks.append(HoldsPass(_place(capacity, is_reverse, window_end, capacity), number - 1))
    return tuple(checks)


def _window_end(capacity: int, position: int, sector_bytes: int, is_reverse: bool) -> int:
    """The position from which nothing was sent, put off to the end of its sector: sectors count from the drive's first byte,
    also where a reverse pass begins within one (an image's last may be short).
    """
    if position >= capacity:
        return capacity
    place = capacity - position if is_reverse else position
    aligned = place // sector_bytes * sector_bytes if is_reverse else -(-place // sector_bytes) * sector_bytes
    return min(capacity, capacity - aligned if is_reverse else aligned)


def _place(capacity: int, is_reverse: bool, start: int, end: int) -> Extent:
    """Where on the drive the positions [start, end) of a pass lie."""
    return Extent(capacity - end if is_reverse else start, end - start)


def are_distinct(one: Pattern, other: Pattern, shortest_sector_bytes: int) -> bool:
    """Whether the two surely differ in every sector, the shortest included. False for what would take too long to find out."""
    if not isinstance(one, Constant) or not isinstance(other, Constant):
        return one != other and shortest_sector_bytes >= LEAST_TELLING_BYTES
    period = lcm(len(one.data), len(other.data))
    if period > shortest_sector_bytes:
        return False  # they may agree in some sectors and differ in others
    return one.data * (period // len(one.data)) != other.data * (period // len(other.data))


def holds(check: Check, sectors: int, mismatched: int, mismatched_earlier: int) -> int:
    """How many of the `sectors` read back do not hold what the check asks, from the mismatches against its pass and,
    for `HoldsEither`, against the earlier one. More than 0 where counts can't tell.
    """
    match check:
        case HoldsPass():
            return mismatched
        case HoldsEither():
            if mismatched == 0 or mismatched_earlier == 0:
                return 0
            if not check.are_distinct:
                return max(mismatched, mismatched_earlier)
            # Each sector matches at most one: those that match neither are the rest.
            matching = (sectors - mismatched) + (sectors - mismatched_earlier)
            return max(0, sectors - matching)
        case _:
            assert_never(check)
