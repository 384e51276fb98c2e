"""When a control is as it must be, when it is due, and when nothing may be certified."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from eraser.domain.certificate import Station, Tool
from eraser.domain.control import (
    FORMAT,
    RETRY_SECONDS,
    VERSION,
    Control,
    ControlDrive,
    ControlOutcome,
    ControlTest,
    is_due,
    why_closed,
    why_doubted,
)
from eraser.domain.events import Reason

NOON = "2027-01-01T12:00:00.000Z"
DAY = 86_400.0
SIZE = 1 << 20

CANARY = Control(
    format=FORMAT,
    version=VERSION,
    control_id="a" * 32,
    test=ControlTest.CANARY,
    drive=ControlDrive("/x.img", "", "", SIZE),
    standard="nist-clear",
    outcome=ControlOutcome.PASSED,
    reasons=(),
    verified_bytes=SIZE,
    known_places=256,
    known_left=0,
    dirtied=(),
    found=(),
    found_total=0,
    started_at=NOON,
    ended_at=NOON,
    station=Station("s"),
    tool=Tool("Eraser", "1", "b"),
)
DIRTY = replace(
    CANARY,
    test=ControlTest.DIRTY,
    outcome=ControlOutcome.FAILED,
    reasons=(Reason("mismatch", "2 sectors"),),
    known_places=0,
    dirtied=(0, 4096),
    found=(0, 4096),
    found_total=2,
)


def closed(canary: Control | None = CANARY, dirty: Control | None = DIRTY, now: str = NOON) -> str:
    return why_closed({ControlTest.CANARY: canary, ControlTest.DIRTY: dirty}, now, DAY)


def test_with_both_as_they_must_be_certificates_are_issued() -> None:
    assert CANARY.is_good and DIRTY.is_good
    assert closed() == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": ControlOutcome.FAILED},
        {"outcome": ControlOutcome.NOT_RUN},
        {"known_left": 1},
        {"known_places": 0},
        {"verified_bytes": SIZE - 512},
        {"drive": ControlDrive("/x.img", "", "", 0), "verified_bytes": 0},
    ],
)
def test_a_canary_that_is_not_wholly_erased_and_read_back_closes(changes: dict[str, Any]) -> None:
    canary = replace(CANARY, **changes)
    assert not canary.is_good
    assert "canary" in closed(canary=canary)


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": ControlOutcome.PASSED},
        {"outcome": ControlOutcome.NOT_RUN},
        {"found": (0,), "found_total": 1},
        {"found": (0, 8192)},
        {"found_total": 3},
        {"dirtied": (), "found": (), "found_total": 0},
        {"reasons": (Reason("foreign-writes", "somebody"),)},
        {"verified_bytes": 4096},
    ],
)
def test_a_dirty_drive_that_does_not_fail_for_its_very_sectors_closes(changes: dict[str, Any]) -> None:
    dirty = replace(DIRTY, **changes)
    assert not dirty.is_good
    assert "dirty" in closed(dirty=dirty)


def test_one_that_was_never_run_closes() -> None:
    assert "canary control has not been run" in closed(canary=None)
    assert "dirty control has not been run" in closed(dirty=None)


@pytest.mark.parametrize(
    ("now", "is_open"),
    [
        ("2027-01-02T11:59:59Z", True),
        ("2027-01-02T23:59:59Z", True),
        ("2027-01-03T00:00:00Z", False),
        ("2027-01-01T11:59:59Z", False),  # the clock was set back
    ],
)
def test_a_control_counts_for_one_and_a_half_intervals(now: str, is_open: bool) -> None:
    assert (closed(now=now) == "") is is_open
    assert is_open or "overdue" in closed(now=now)


def test_it_is_due_after_an_interval_and_sooner_where_it_went_wrong() -> None:
    bad = replace(DIRTY, outcome=ControlOutcome.PASSED)
    assert is_due(None, NOON, DAY)
    assert not is_due(DIRTY, "2027-01-02T11:59:59Z", DAY) and is_due(DIRTY, "2027-01-02T12:00:00Z", DAY)
    assert not is_due(bad, "2027-01-01T12:14:59Z", DAY) and is_due(bad, "2027-01-01T12:15:00Z", DAY)
    assert RETRY_SECONDS == 900
    assert is_due(DIRTY, "2026-12-31T12:00:00Z", DAY)  # the clock was set back


UNREAD = replace(DIRTY, outcome=ControlOutcome.NOT_RUN)
BLIND = replace(DIRTY, outcome=ControlOutcome.PASSED, reasons=(), found=(), found_total=0)


@pytest.mark.parametrize(
    ("control", "is_blind"),
    [
        (BLIND, True),
        (replace(DIRTY, found=(0,), found_total=1), True),
        (replace(CANARY, known_left=1), True),
        (DIRTY, False),
        (CANARY, False),
        (UNREAD, False),
        (replace(DIRTY, found=(0, 512, 4096), found_total=3), False),  # it saw more than it had to
        (replace(DIRTY, found=(), found_total=0, verified_bytes=0), False),  # it failed before it was read back
        (replace(DIRTY, outcome=ControlOutcome.PASSED, dirtied=(), found=(), found_total=0), False),  # nothing to see
        (replace(CANARY, outcome=ControlOutcome.FAILED, known_left=1), False),
    ],
)
def test_a_control_is_blind_where_it_let_pass_what_was_not_erased(control: Control, is_blind: bool) -> None:
    assert control.is_blind is is_blind


def test_what_was_read_back_next_to_a_blind_control_is_not_believed_until_a_good_one_lies_between() -> None:
    assert why_doubted([], []) == why_doubted([DIRTY], [DIRTY]) == why_doubted([DIRTY, BLIND], [DIRTY, BLIND]) == ""
    for before, after in (([BLIND], []), ([], [BLIND]), ([UNREAD, BLIND], [DIRTY]), ([DIRTY], [UNREAD, BLIND])):
        assert "verification does not see" in why_doubted(before, after)
