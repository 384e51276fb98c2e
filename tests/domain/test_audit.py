"""Plans and records as values: what follows from what, and that nothing else is believed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from eraser.domain.acceptance import AQLS, InspectionLevel, Severity
from eraser.domain.audit import (
    CONFORMING,
    CRITICAL,
    FORMAT,
    ByAql,
    ByDefectRate,
    Criterion,
    DriveReading,
    DriveResult,
    Item,
    LogHead,
    Member,
    Plan,
    Record,
    findings,
    fixed_plan,
    next_severities,
    read,
    read_plan,
    verdict,
)
from eraser.domain.certificate import Tool
from eraser.domain.json_form import to_json
from eraser.errors import UsageError
from tests.certificates.builders import leaves, other, with_leaf

DAYS = ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
ROOT, NONCE = bytes(range(32)), b"n" * 16


def member_of(index: int) -> Member:
    return Member(index, f"{index:032x}", index.to_bytes(32, "big"))


def a_plan(indexes: list[int], criterion: Criterion | None = None) -> Plan:
    head = LogHead("log", max(indexes) + 5, ROOT)
    by = criterion or ByAql("6.5", InspectionLevel.II, Severity.NORMAL)
    return fixed_plan(head, b"note", NONCE, DAYS, by, 950_000, indexes, member_of, undated_members=1)


def a_record(plan: Plan, **results: str) -> Record:
    items = tuple(
        Item(member.certificate_id, results.get(f"r{place}", CONFORMING), "", None)
        for place, member in enumerate(plan.sample)
    )
    tool = Tool("Eraser", "0", "b")
    return Record(FORMAT, 1, "a" * 32, DAYS[1], "auditor-1", plan.log, plan, items, verdict(plan, items), tool)


INDEXES = st.lists(st.integers(0, 400), min_size=1, max_size=80, unique=True).map(sorted)
CRITERIA = st.one_of(
    st.builds(ByAql, st.sampled_from(AQLS), st.sampled_from(InspectionLevel), st.sampled_from(Severity)),
    st.builds(ByDefectRate, st.integers(10_000, 10**6), st.integers(0, 3)),
)


@given(INDEXES, CRITERIA)
def test_a_plan_is_read_as_it_was_drawn(indexes: list[int], criterion: Criterion) -> None:
    if isinstance(criterion, ByDefectRate):
        # Else no sample can show it, and there is no plan.
        assume(criterion.accepts * 10**6 < criterion.defect_rate_ppm * len(indexes))
    plan = a_plan(indexes, criterion)
    assert read_plan(to_json(plan)) == plan
    assert plan.population == len(indexes)
    assert {item.index for item in plan.sample} <= set(indexes)
    assert len(plan.sample) == plan.sample_size <= plan.population


NOT_IN_THE_PLAN_ALONE = (
    "origin",
    "checkpoint",
    "issued_from",
    "issued_before",
    "undated_members",
    "certificate_id",
    "digest",
)
"""What a plan says of other things: the log's signature, its entries and the certificates tell whether it is true."""


def test_whatever_else_is_changed_in_a_plan_contradicts_it() -> None:
    form = to_json(a_plan([*range(3, 20), *range(30, 45)]))
    for steps, value in leaves(form):
        changed = with_leaf(form, steps, other(value))
        if steps[-1] in NOT_IN_THE_PLAN_ALONE or steps == ("confidence_ppm",):
            continue
        with pytest.raises(UsageError):
            read_plan(changed)


@given(st.data())
def test_the_verdict_counts_what_was_found(data: st.DataObject) -> None:
    plan = a_plan(list(range(40)))  # n 8, Ac 1
    places = data.draw(st.sets(st.integers(0, plan.sample_size - 1), max_size=4))
    code = data.draw(st.sampled_from(["missing", "withdrawn", "altered", "not-in-log"]))
    found = a_record(plan, **{f"r{place}": code for place in places}).verdict
    assert found.found == len(places)
    assert found.critical == (len(places) if code in CRITICAL else 0)
    assert found.is_accepted == (not found.critical and len(places) <= plan.accepts)
    assert found.most_defective >= found.found


def test_what_a_drive_shows_is_found_too() -> None:
    def seen(result: DriveResult) -> tuple[str, ...]:
        return findings(Item("c", CONFORMING, "", DriveReading(result, 1, None, "", 0, 0)))

    good = {result for result in DriveResult if not seen(result)}
    assert good == {DriveResult.HOLDS, DriveResult.AS_FAILED}
    assert {result for result in DriveResult if CRITICAL.intersection(seen(result))} == {
        DriveResult.DIFFERS,
        DriveResult.HASH_DIFFERS,
        DriveResult.READER_DIFFERS,
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda record: replace(record, items=record.items[1:]),
        lambda record: replace(record, items=record.items[::-1]),
        lambda record: replace(record, auditor=" "),
        lambda record: replace(record, log=replace(record.log, size=1)),
        lambda record: replace(record, log=replace(record.log, origin="other")),
        lambda record: replace(record, verdict=replace(record.verdict, found=0, is_accepted=True)),
        lambda record: replace(record, done_at="yesterday"),
    ],
)
def test_a_record_that_does_not_follow_is_refused(change: Any) -> None:
    record = a_record(a_plan(list(range(40))), r0="missing", r1="missing", r2="missing")
    assert read(to_json(record)) == record
    with pytest.raises(UsageError):
        read(to_json(change(record)))


def test_a_plan_of_more_than_there_can_be_is_refused_at_once() -> None:
    form = to_json(a_plan([1]))
    form["members"] = [{"first": 0, "behind": 10**15}]
    form["log"]["size"] = 10**15
    with pytest.raises(UsageError, match="population"):
        read_plan(form)


def test_audits_tighten_and_ease_as_the_standard_switches() -> None:
    good, bad = a_plan(list(range(40))), ByAql("6.5", InspectionLevel.II, Severity.TIGHTENED)
    rejected = a_record(good, r0="missing", r1="missing", r2="missing", r3="missing", r4="missing", r5="missing")
    assert not rejected.verdict.is_accepted
    key = ("6.5", InspectionLevel.II)
    assert next_severities([rejected, a_record(good)]) == {key: Severity.NORMAL}
    assert next_severities([rejected, a_record(good), rejected]) == {key: Severity.TIGHTENED}
    tightened = a_record(a_plan(list(range(40)), bad))
    assert next_severities([rejected, rejected, *[tightened] * 4]) == {key: Severity.TIGHTENED}
    assert next_severities([rejected, rejected, *[tightened] * 5]) == {key: Severity.NORMAL}
