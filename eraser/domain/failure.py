"""Failure criteria: when a job is not worth going on with. It then has failed, whatever else holds. Pure.

A criterion only ever ends a job; no verdict becomes better by one (`domain/verdict.py`).
"""

from dataclasses import dataclass

from eraser.domain.events import Reason
from eraser.domain.evidence import BadExtent, Extent
from eraser.domain.job import JobState
from eraser.domain.sayings import Code, say


@dataclass(frozen=True, slots=True)
class FailureCriteria:
    """What a job may come to at most, or has to do at least. None: no limit."""

    max_bad_extents: int | None = None
    max_retries: int | None = None
    min_bytes_per_second: int | None = None
    max_reallocated_sectors: int | None = None
    """That the drive may have replaced before the start."""

    def of_faults(self, faults: "Faults") -> Reason | None:
        """Whether the job has more faults than it may have."""
        bad, retries = len(faults.bad_extents), faults.retries
        if self.max_bad_extents is not None and bad > self.max_bad_extents:
            return _met(Code.TOO_MANY_BAD_EXTENTS, count=bad, most=self.max_bad_extents)
        if self.max_retries is not None and retries > self.max_retries:
            return _met(Code.TOO_MANY_RETRIES, count=retries, most=self.max_retries)
        return None

    def of_speed(self, bytes_per_second: float, seconds: float) -> Reason | None:
        """Whether the drive has been too slow, at this rate for so long."""
        least = self.min_bytes_per_second
        if least is None or bytes_per_second >= least:
            return None
        return _met(Code.TOO_SLOW, rate=round(bytes_per_second), seconds=round(seconds), least=least)

    def of_drive(self, reallocated_sectors: int | None) -> Reason | None:
        """Whether the drive has replaced too many sectors to begin with; a drive that does not say is allowed."""
        most = self.max_reallocated_sectors
        if most is None or reallocated_sectors is None or reallocated_sectors <= most:
            return None
        return _met(Code.TOO_MANY_REALLOCATED, count=reallocated_sectors, most=most)


NO_CRITERIA = FailureCriteria()


def _met(code: Code, **values: int) -> Reason:
    return Reason(code.family, say(code, **values).english)


@dataclass(frozen=True, slots=True)
class Faults:
    """What went wrong in a job so far. An extent that fails in several passes is one."""

    retries: int = 0
    bad_extents: frozenset[Extent] = frozenset()

    def with_more(self, retries: int, bad: tuple[BadExtent, ...]) -> "Faults":
        """Together with those of one more transfer."""
        extents = self.bad_extents.union(item.extent for item in bad) if bad else self.bad_extents
        return Faults(self.retries + retries, extents)


def faults_of(state: JobState) -> Faults:
    """Those on record, since the program last began."""
    faults = Faults()
    for item in state.passes:
        faults = faults.with_more(0, (*item.bad_extents_lost, *item.bad_extents_running))
    readings = (*state.pass_verifications, *(() if state.final_verification is None else (state.final_verification,)))
    markers = () if state.markers is None else (state.markers.written, state.markers.read_back)
    reports = (*(run for item in state.passes for run in item.runs), *(item.report for item in readings), *markers)
    for report in reports:
        faults = faults.with_more(report.retries, report.bad_extents)
    return faults
