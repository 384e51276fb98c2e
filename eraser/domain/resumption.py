"""What a job does when its drive is in sight again.

While we did not hold the drive, anybody may have written to it. What was written before counts only once it has been read back:
the last pass by the final verification, which is then in full, earlier passes by the checks here. Read backwards from pass *k*
that was interrupted at position *p*:

- before *p* the drive must hold pass *k* (left to the final verification when *k* is the last pass);
- from *p* on, over the window in which bytes may have been sent after the last checkpoint on record, each sector must hold
  either pass *k* or pass *k-1*;
- behind the window it must hold pass *k-1*. What was there before the first pass is unknown, so pass 1 needs no such check.

Where that does not hold, or cannot be known, the program begins again: data that came in between must get all its passes.
"""

from dataclasses import dataclass
from typing import assert_never

from eraser.domain.evidence import Extent, FlushProof
from eraser.domain.job import JobState
from eraser.errors import JournalError


@dataclass(frozen=True, slots=True)
class HoldsPass:
    """Every sector of `extent` must hold the numbered pass."""

    extent: Extent
    pass_number: int


@dataclass(frozen=True, slots=True)
class HoldsEither:
    """Every sector of `extent` must hold exactly one of the two passes."""

    extent: Extent
    pass_number: int
    earlier_number: int


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
    if not any(item.started for item in state.passes):
        return GoOn(())
    if any(item.bad_bytes for item in state.passes):
        return GoOn(())  # it can't pass any more; what is left of the drive is erased all the same
    last_started = max(item.number for item in state.passes if item.started)
    current = state.passes[last_started - 1]
    if current.flush_proof is FlushProof.ASSUMED:
        return BeginAgain("nothing shows that what was written before had reached the medium")
    return GoOn(_checks(state, current.number, current.believed_bytes, current.is_complete, window_bytes))


def _checks(state: JobState, number: int, position: int, is_complete: bool, window_bytes: int) -> tuple[Check, ...]:
    capacity = state.capacity_bytes
    window_end = capacity if is_complete else min(capacity, position + window_bytes)
    checks: list[Check] = []
    if position > 0 and number < len(state.passes):
        checks.append(HoldsPass(_place(state, number, 0, position), number))
    if number > 1 and position < window_end:
        checks.append(HoldsEither(_place(state, number, position, window_end), number, number - 1))
    if number > 1 and window_end < capacity:
        checks.append(HoldsPass(_place(state, number, window_end, capacity), number - 1))
    return tuple(checks)


def _place(state: JobState, number: int, start: int, end: int) -> Extent:
    """Where on the drive the positions [start, end) of a pass lie."""
    if state.plan is not None and state.plan.passes[number - 1].reverse:
        return Extent(state.capacity_bytes - end, end - start)
    return Extent(start, end - start)


def holds(check: Check, sectors: int, mismatched: int, mismatched_earlier: int) -> int:
    """How many of the `sectors` read back do not hold what the check asks, from the mismatches against its pass and,
    for `HoldsEither`, against the earlier one.
    """
    match check:
        case HoldsPass():
            return mismatched
        case HoldsEither():
            # Patterns that differ leave each sector matching at most one: those that match neither are the rest.
            matching = (sectors - mismatched) + (sectors - mismatched_earlier)
            return 0 if mismatched == 0 or mismatched_earlier == 0 else max(0, sectors - matching)
        case _:
            assert_never(check)
