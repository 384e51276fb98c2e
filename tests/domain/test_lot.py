"""Lots say what is expected, and what has come of it."""

from typing import Any

import pytest

from eraser.domain.json_form import from_json, to_json
from eraser.domain.lot import Arrivals, Lot, LotPolicy, TagBinding, arrivals
from eraser.domain.plan import Level
from eraser.domain.program import Verification
from eraser.errors import UsageError

POLICY = LotPolicy("nist-800-88-clear")


def test_a_lot_asks_before_it_erases_and_reads_everything_back_unless_told_otherwise() -> None:
    assert not POLICY.starts_by_itself
    assert POLICY.verification is Verification.FULL


@pytest.mark.parametrize(
    "fields",
    [
        {"lot_id": ""},
        {"lot_id": "x" * 129},
        {"lot_id": "a\0"},
        {"expected_serials": ("a", "a")},
        {"expected_serials": ("",)},
        {"expected_serials": ("a",), "expected_drives": 2},
        {"expected_drives": 0},
        {"expected_drives": 100_001},
    ],
)
def test_a_lot_that_contradicts_itself_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Lot(**{"lot_id": "lot-1", "policy": POLICY, **fields})


def test_a_lot_reads_back_from_its_json_form() -> None:
    policy = LotPolicy("gb-t", Level.PURGE, Verification.SAMPLED, True, True, "2027-01-01T00:00:00Z")
    lot = Lot("lot-1", policy, "供应商", ("a", "b"), 2)
    assert from_json(Lot, to_json(lot)) == lot


@pytest.mark.parametrize(
    ("lot", "serials", "expected"),
    [
        (Lot("l", POLICY), (), Arrivals(0, (), (), 0)),
        (Lot("l", POLICY), ("x",), Arrivals(1, (), (), 0)),
        (Lot("l", POLICY, expected_drives=3), ("x", ""), Arrivals(2, (), (), 1)),
        (Lot("l", POLICY, expected_serials=("a", "b")), ("b", "x"), Arrivals(2, ("a",), ("x",), 0)),
        (Lot("l", POLICY, expected_serials=("a", "b")), ("b", "a"), Arrivals(2, (), (), 0)),
    ],
)
def test_what_came_is_compared_with_what_was_expected(lot: Lot, serials: tuple[str, ...], expected: Arrivals) -> None:
    found = arrivals(lot, serials)
    assert found == expected
    assert found.is_complete is not bool(expected.missing_serials or expected.missing_drives)


@pytest.mark.parametrize("fields", [{}, {"bay": "A1", "serial": "S"}, {"serial": "S\0"}])
def test_a_tag_means_one_thing(fields: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        TagBinding("T-1", **fields)
    with pytest.raises(UsageError):
        TagBinding("", serial="S")
