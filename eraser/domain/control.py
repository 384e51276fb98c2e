"""The positive control: a canary drive with known data that must come out erased, and a dirty one that must not. Pure.

Whoever only ever sees *passed* does not know whether anything else can be seen. So a station erases two drives of its own on a
schedule, by the very way that customers' drives go: one as it is, and one on which a few sectors are written to between
erasing and reading back. The first must pass, the second must fail, and for these sectors. Where either does not, or not in
time, the station issues no certificate until both do.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from eraser.domain.certificate import ID_FORM, UTC_FORM, Station, Tool, expect_printable
from eraser.domain.events import Reason
from eraser.domain.json_form import from_json
from eraser.errors import UsageError

FORMAT = "eraser control"
VERSION = 1
OVERDUE_SHARE = 1.5
"""A control that was good counts for so many intervals: one that takes its time is not late."""
RETRY_SECONDS = 900.0
"""When one that was not as it must be is run again, where the interval is longer."""
MISMATCH = "mismatch"


class ControlTest(StrEnum):
    """Which of the two."""

    CANARY = "canary"
    """Known data, erased: must pass."""
    DIRTY = "dirty"
    """Erased, then written to behind the verification's back: must fail, for the very sectors."""


class ControlOutcome(StrEnum):
    """What the station's own judgement of the job was."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not-run"
    """It came to no judgement: that is never as it must be."""


@dataclass(frozen=True, slots=True)
class ControlDrive:
    """By what the drive is known; an image has a path alone."""

    path: str
    serial: str
    world_wide_name: str
    capacity_bytes: int

    @property
    def label(self) -> str:
        """For people."""
        return self.serial or self.world_wide_name or self.path


@dataclass(frozen=True, slots=True)
class Control:
    """Version 1. Places are byte offsets."""

    format: str
    version: int
    control_id: str
    test: ControlTest
    drive: ControlDrive
    standard: str
    outcome: ControlOutcome
    reasons: tuple[Reason, ...]
    verified_bytes: int
    """Read back and compared by the final verification."""
    known_places: int
    """Of the canary: at so many places known data was written and read back before the erasing."""
    known_left: int
    """At so many of them it was found afterwards, by a plain reading that is not the engine's."""
    dirtied: tuple[int, ...]
    """Of the dirty one: sectors that were written to between erasing and verification, sorted."""
    found: tuple[int, ...]
    """Sectors that the verification found, as far as it lists them, sorted."""
    found_total: int
    started_at: str
    ended_at: str
    station: Station
    tool: Tool

    @property
    def is_good(self) -> bool:
        """Whether it came out as it must. Computed from what was found, never stored."""
        is_whole = self.drive.capacity_bytes > 0 and self.verified_bytes == self.drive.capacity_bytes
        if not is_whole:
            return False
        if self.test is ControlTest.CANARY:
            return self.outcome is ControlOutcome.PASSED and self.known_places > 0 and self.known_left == 0
        is_found = bool(self.dirtied) and self.found == self.dirtied and self.found_total == len(self.dirtied)
        has_failed = self.outcome is ControlOutcome.FAILED and any(item.code == MISMATCH for item in self.reasons)
        return has_failed and is_found

    @property
    def is_blind(self) -> bool:
        """Whether it shows that a drive passes here which is not erased. One that came to no judgement shows nothing."""
        if self.outcome is ControlOutcome.NOT_RUN:
            return False
        if self.test is ControlTest.CANARY:
            return self.outcome is ControlOutcome.PASSED and not self.is_good
        is_whole = self.verified_bytes == self.drive.capacity_bytes
        has_missed = is_whole and self.found_total < len(self.dirtied)
        return bool(self.dirtied) and (self.outcome is ControlOutcome.PASSED or has_missed)


def read(form: Any) -> Control:
    """The record that this JSON form stands for. Raises UsageError naming what is missing, unknown or wrong."""
    record = from_json(Control, form, where="control")
    if record.format != FORMAT or record.version != VERSION:
        raise UsageError(f"it is {record.format!r} version {record.version}, known is {FORMAT!r} {VERSION}")
    if not ID_FORM.fullmatch(record.control_id):
        raise UsageError(f"control.control_id: {record.control_id!r} is no UUID")
    for moment in (record.started_at, record.ended_at):
        if not UTC_FORM.fullmatch(moment):
            raise UsageError(f"control: {moment!r} is no UTC time of RFC 3339")
    counts = (record.verified_bytes, record.known_places, record.known_left, record.found_total, *record.dirtied)
    if min(*counts, *record.found, record.drive.capacity_bytes) < 0:
        raise UsageError("a control counts nothing below zero")
    expect_printable(form, "control")
    return record


Newest = Mapping[ControlTest, Control | None]
"""The control of each kind that ended last."""


def age_seconds(control: Control, now: str) -> float:
    """Since its end, by the station's clock (RFC 3339, UTC); negative where that was set back."""
    return (_moment(now) - _moment(control.ended_at)).total_seconds()


def is_due(newest: Control | None, now: str, interval_seconds: float) -> bool:
    """Whether it is time to run this one."""
    if newest is None:
        return True
    return not 0 <= age_seconds(newest, now) < _wait_seconds(newest, interval_seconds)


def next_at(newest: Control | None, interval_seconds: float) -> str:
    """When this one is due, RFC 3339 in UTC; empty: now."""
    if newest is None:
        return ""
    then = _moment(newest.ended_at) + timedelta(seconds=_wait_seconds(newest, interval_seconds))
    return then.isoformat(timespec="seconds").replace("+00:00", "Z")


def _wait_seconds(newest: Control, interval_seconds: float) -> float:
    return interval_seconds if newest.is_good else min(interval_seconds, RETRY_SECONDS)


def why_closed(newest: Newest, now: str, interval_seconds: float) -> str:
    """Why no certificate may be issued now; empty when one may."""
    said = (_complaint(test, newest.get(test), now, interval_seconds) for test in ControlTest)
    return "; ".join(filter(None, said))


def why_doubted(before: Iterable[Control], after: Iterable[Control]) -> str:
    """Why what was read back at a moment is not believed; empty when it is. The controls of one kind that ended before that
    moment and after it, the nearest first: what lies beyond a good one is over.
    """
    for side in (before, after):
        for control in side:
            if control.is_good:
                break
            if control.is_blind:
                return f"the {control.test.value} control of {control.ended_at} {_wrong(control)}"
    return ""


def _complaint(test: ControlTest, newest: Control | None, now: str, interval_seconds: float) -> str:
    if newest is None:
        return f"the {test.value} control has not been run yet"
    if not newest.is_good:
        return f"the {test.value} control of {newest.ended_at} {_wrong(newest)}"
    # A clock that was set back must not make a control count for longer.
    if not 0 <= age_seconds(newest, now) < OVERDUE_SHARE * interval_seconds:
        return f"the {test.value} control is overdue: the last one was at {newest.ended_at}"
    return ""


def _wrong(control: Control) -> str:
    if control.outcome is ControlOutcome.NOT_RUN:
        reasons = "; ".join(item.what for item in control.reasons)
        return f"could not be run to its end: {reasons}"
    if control.test is ControlTest.DIRTY:
        if control.outcome is ControlOutcome.PASSED:
            return f"PASSED although {len(control.dirtied)} sectors were dirty: verification does not see"
        return f"found {control.found_total} sectors that differ where {len(control.dirtied)} were dirty"
    if control.known_left:
        return f"left known data at {control.known_left} of {control.known_places} places"
    return "did not pass: " + ("; ".join(item.what for item in control.reasons) or "it was not read back as a whole")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
