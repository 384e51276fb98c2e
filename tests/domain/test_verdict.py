"""Whether a job passed: each reason by name, alone; and no single fact can be bent without the verdict noticing."""

import types
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any

import pytest

from eraser.domain.drive import Geometry, Transport
from eraser.domain.events import Outcome, Reason
from eraser.domain.evidence import BadExtent, EndReason, Extent, FlushProof, Operation, SightCheck
from eraser.domain.program import Verification
from eraser.domain.verdict import Facts, judge, required_verification
from tests.domain.jobs import (
    CAPACITY,
    DRIVE,
    IMAGE,
    ONE,
    SECTOR,
    SECTORS,
    TWO,
    a_plan,
    a_reading,
    a_report,
    a_sampled_reading,
    an_activity,
    folded,
    honest,
    some_markers,
)


def facts_of(plan: Any, drive: Any = DRIVE) -> Facts:
    return folded(honest(plan, drive)).facts()


HONEST = facts_of(a_plan())
MARKED = facts_of(a_plan(TWO, needs_markers=True))
SAMPLED = facts_of(a_plan(verification=Verification.SAMPLED))
READ_BETWEEN = facts_of(
    replace(plan := a_plan(ONE, TWO), passes=(replace(plan.passes[0], verify=True), plan.passes[1]))
)
BARE = facts_of(a_plan(verification=Verification.NONE, needs_markers=True))
PASS = HONEST.passes[0]
RUN = PASS.runs[0]
BAD = BadExtent(Extent(0, SECTOR), Operation.WRITE, 5)


@pytest.mark.parametrize("facts", [HONEST, MARKED, SAMPLED, READ_BETWEEN, BARE, facts_of(a_plan(), IMAGE)])
def test_honest_facts_pass(facts):
    assert judge(facts) == (Outcome.PASSED, ())


def written_as(**changes: Any) -> Facts:
    """One pass whose only run was otherwise."""
    report = replace(RUN, **changes)
    is_whole = report.end is EndReason.COMPLETED
    return replace(HONEST, passes=(replace(PASS, runs=(report,), is_complete=is_whole),))


def read_as(facts: Facts = HONEST, **changes: Any) -> Facts:
    """What was read back at the end was otherwise."""
    found = facts.final_verification
    assert found is not None
    return replace(facts, final_verification=replace(found, report=replace(found.report, **changes)))


def marked_as(part: str, **changes: Any) -> Facts:
    """The writing or the reading of the markers was otherwise."""
    markers = some_markers()
    return replace(MARKED, markers=replace(markers, **{part: replace(getattr(markers, part), **changes)}))


def active_as(**changes: Any) -> Facts:
    """The kernel counted otherwise."""
    return replace(HONEST, activity=replace(an_activity(), **changes))


def on_geometry(geometry: Geometry) -> Facts:
    return replace(HONEST, drive=replace(DRIVE, geometry=geometry))


ONLY: list[tuple[str, Facts]] = [
    ("abandoned", replace(HONEST, abandoned="asked to")),
    ("too-slow", replace(HONEST, given_up=Reason("too-slow", "too slow"))),
    ("interrupted", replace(HONEST, interrupted="asked to")),
    ("hidden-area", on_geometry(Geometry(CAPACITY, SECTOR, SECTOR, CAPACITY + 1))),
    ("hidden-area", on_geometry(Geometry(CAPACITY, SECTOR, SECTOR, None, ("hpa",)))),
    ("never-held", replace(HONEST, sights=0)),
    ("unchecked", replace(HONEST, went_on_unchecked=True)),
    ("foreign-write", replace(HONEST, had_outsiders=True)),
    ("changed-out-of-sight", replace(HONEST, sight_checks=(SightCheck(1, CAPACITY, 1),))),
    ("markers-missing", replace(MARKED, markers=None)),
    ("markers-missing", replace(MARKED, markers=replace(some_markers(), places=1))),
    ("markers-missing", replace(MARKED, markers=replace(some_markers(), seed=b"\x01" * 32, granularity_bytes=1))),
    ("markers-missing", replace(MARKED, markers=replace(some_markers(), seed=b""))),
    ("markers-missing", marked_as("written", bytes_done=SECTOR)),
    ("markers-missing", marked_as("read_back", bytes_done=SECTOR)),
    ("markers-missing", marked_as("written", bad_bytes=SECTOR)),
    ("markers-missing", marked_as("read_back", bad_bytes=SECTOR)),
    ("markers-differ", marked_as("read_back", mismatched_sectors=1)),
    ("gone", marked_as("written", end=EndReason.GONE)),
    ("no-progress", marked_as("read_back", end=EndReason.NO_PROGRESS)),
    ("passes-missing", replace(HONEST, passes=(*HONEST.passes, replace(PASS, number=2)))),
    ("passes-missing", replace(HONEST, passes=(replace(PASS, number=2),))),
    ("pass-incomplete", replace(HONEST, passes=(replace(PASS, is_complete=False),))),
    ("pass-incomplete", replace(HONEST, passes=(replace(PASS, runs=()),))),
    ("pass-incomplete", written_as(end=EndReason.CANCELLED)),
    ("gone", written_as(end=EndReason.GONE)),
    ("too-many-errors", written_as(end=EndReason.TOO_MANY_ERRORS)),
    ("no-progress", written_as(end=EndReason.NO_PROGRESS)),
    ("flush-failed", written_as(end=EndReason.FLUSH_FAILED)),
    ("process-died", written_as(end=EndReason.PROCESS_DIED)),
    ("internal", written_as(end=EndReason.INTERNAL)),
    ("pass-incomplete", written_as(end_position_bytes=CAPACITY - SECTOR)),
    ("pass-incomplete", written_as(start_position_bytes=SECTOR)),
    ("pass-incomplete", written_as(bytes_done=CAPACITY - SECTOR)),
    ("pass-incomplete", written_as(flushes=0)),
    ("pass-incomplete", written_as(flush_proof=FlushProof.NOT_FLUSHED)),
    ("not-written", replace(HONEST, passes=(replace(PASS, bad_bytes=SECTOR),))),
    ("not-written", replace(HONEST, passes=(replace(PASS, lost_bad_extents=(BAD,)),))),
    ("not-written", written_as(bad_bytes=SECTOR)),
    ("not-written", written_as(bad_extents=(BAD,))),
    ("verification-missing", replace(HONEST, final_verification=None)),
    ("verification-missing", replace(HONEST, final_verification=a_sampled_reading())),
    ("verification-missing", replace(HONEST, final_verification=a_reading(2))),
    ("verification-missing", replace(SAMPLED, sights=2)),
    ("verification-missing", replace(BARE, sights=2)),
    ("verification-missing", replace(READ_BETWEEN, pass_verifications=())),
    ("verification-missing", replace(READ_BETWEEN, pass_verifications=(a_sampled_reading(),))),
    ("verification-incomplete", replace(READ_BETWEEN, pass_verifications=(a_reading(1, report=a_report(SECTOR)),))),
    ("verification-incomplete", read_as(bytes_done=CAPACITY - SECTOR)),
    ("verification-incomplete", read_as(start_position_bytes=SECTOR)),
    ("verification-incomplete", read_as(SAMPLED, bytes_done=SECTOR)),
    ("verification-incomplete", replace(SAMPLED, final_verification=replace(a_sampled_reading(), sampling=None))),
    ("hash-missing", replace(HONEST, final_verification=a_reading(hash_tree=None))),
    ("cancelled", read_as(end=EndReason.CANCELLED)),
    ("cache-kept", read_as(end=EndReason.CACHE_KEPT)),
    ("not-verified", read_as(bad_bytes=SECTOR)),
    ("mismatch", read_as(mismatched_sectors=1)),
    ("mismatch", replace(HONEST, faulty_verifications=(a_reading(report=a_report(mismatched_sectors=1)),))),
    ("not-verified", replace(HONEST, faulty_verifications=(a_reading(report=a_report(bad_bytes=SECTOR)),))),
    ("activity-unknown", replace(HONEST, activity=None)),
    ("foreign-write", active_as(sectors_written_seen=SECTORS + 1)),
    ("foreign-write", active_as(sectors_written_seen=SECTORS - 1)),
    ("foreign-write", active_as(sectors_discarded_seen=1)),
    ("flush-lost", active_as(flushes_seen=0)),
]


@pytest.mark.parametrize(("code", "facts"), ONLY)
def test_one_wrong_fact_fails_for_its_own_reason_alone(code, facts):
    outcome, reasons = judge(facts)
    assert outcome is Outcome.FAILED
    assert {reason.code for reason in reasons} == {code}
    assert all(reason.what for reason in reasons)


def test_a_drive_without_capacity_never_passes():
    facts = on_geometry(Geometry(0, SECTOR, SECTOR))
    assert "no-capacity" in {reason.code for reason in judge(facts)[1]}


def test_a_plan_without_passes_never_passes():
    empty = replace(BARE, plan=replace(BARE.plan, passes=()), passes=())
    assert {reason.code for reason in judge(empty)[1]} == {"passes-missing"}


def test_all_that_is_wrong_is_said():
    facts = replace(read_as(mismatched_sectors=1), abandoned="asked to", activity=None)
    assert [reason.code for reason in judge(facts)[1]] == ["abandoned", "mismatch", "activity-unknown"]


def test_sectors_of_writes_that_failed_may_or_may_not_be_counted():
    for seen in (SECTORS, SECTORS + 1, SECTORS + 2):
        lenient = active_as(sectors_written_seen=seen, sectors_written_ours_most=SECTORS + 2)
        assert judge(lenient)[0] is Outcome.PASSED


@pytest.mark.parametrize("planned", Verification)
def test_after_a_return_everything_is_read_back(planned):
    plan = a_plan(verification=planned)
    assert required_verification(plan, 1) is planned
    assert required_verification(plan, 2) is Verification.FULL
    assert required_verification(replace(plan, passes=(replace(plan.passes[0], verify=True),)), 1) is Verification.FULL


# ---- every field, bent

HARMLESS = {
    # What a drive is called and how it is reached is the claim's business, not the verdict's.
    "drive.path": "a name",
    "drive.transport": "only an image may lack counters, and there are some",
    "drive.media": "chooses the plan, which is made",
    "drive.identity.*": "compared when the drive is claimed",
    "drive.bridge": "a name",
    "drive.conditions": "refused before planning",
    "drive.write_cache": "chooses the flush, whose proof is in the report",
    "drive.other_paths": "claimed together",
    "drive.geometry.logical_sector_bytes": "counts only where places are drawn, and this drive is read whole",
    "drive.geometry.physical_sector_bytes": "counts only where places are drawn: see the marked facts",
    "drive.geometry.native_capacity_bytes": "less than the system shows hides nothing",
    # What the plan is called; what it asks for is not harmless.
    "plan.standard": "a name",
    "plan.program": "a name",
    "plan.title": "a name",
    "plan.source": "a name",
    "plan.standing": "what may be claimed of a job that passed",
    "plan.claim": "likewise",
    "plan.level_asked": "likewise",
    "plan.level_reached": "likewise",
    "plan.notes": "for people",
    "plan.passes[].pattern.*": "what was written is compared by the transfer, not here",
    "plan.passes[].pattern": "likewise",
    "plan.passes[].reverse": "a direction: coverage is the same",
    "plan.passes[].verify": "asks for what was done anyway",
    "plan.hash_extent_bytes": "0 asks for no hashes",
    "plan.verification": "asks for less than was done",
    "plan.needs_markers": "asks for less than was done",
    "passes[].runs": "one more that was cut short proves nothing and spoils nothing",
    "passes[].runs[].mismatched_sectors": "a write compares nothing",
    "markers.written.mismatched_sectors": "likewise",
    "markers.written.first_mismatches": "likewise",
    "passes[].runs[].first_mismatches": "likewise",
    "pass_verifications": "once more the same; none is missed, as shown above",
    "restarts": "why earlier passes do not count",
    "restarts[]": "likewise",
    "sights": "a second one asks for full verification, which there was",
    "markers": "more evidence than the plan asks for",
    # How the transfer went, told for people and auditors.
    "*.errno": "`end` says how it ended",
    "*.bytes_sent": "more than was done are retries",
    "*.failed_bytes_sent": "counts in the kernel's numbers",
    "*.retries": "the last try counts",
    "*.flushes": "more than one is more than enough",
    "*.flush_proof": "matters for resuming; in one sight reading back is the proof",
    "*.access": "how it went",
    "*.block_bytes": "how it went",
    "*.queue_depth": "how it went",
    "*.started_at": "when",
    "*.first_byte": "when",
    "*.last_byte": "when",
    "final_verification.hash_tree.root": "a witness for later: nothing to compare it with now",
    "pass_verifications[].hash_tree": "asked for after the last pass only",
    "pass_verifications[].hash_tree.*": "likewise",
    "markers.seed": "on a drive as small as this one every sector is a marker's place",
    "final_verification.sampling.seed": "a drive as small as this one is read whole",
    "activity.sectors_written_ours_most": "wider by failed writes: our own count, of the same reports",
    "activity.sectors_written_ours_least": "likewise",
    "activity.flushes_seen": "more than ours",
    "activity.flushes_expected": "fewer than were seen",
    "drive.disk_sequence": "tells one plugging in from the next, for the claim",
}


def is_harmless(place: str) -> bool:
    last = place.rsplit(".", 1)[-1]
    prefixes = [key[:-1] for key in HARMLESS if key.endswith(".*")]
    return place in HARMLESS or f"*.{last}" in HARMLESS or any(place.startswith(prefix) for prefix in prefixes)


def others(value: Any) -> Iterator[Any]:
    """Values of the same type that are not this one."""
    match value:
        case bool():
            yield not value
        case Enum():
            yield from (item for item in type(value) if item is not value)
        case int():
            yield from (value + 1, value - 1, value + SECTOR, value - SECTOR, 2 * value + 1, 0, -1)
        case str():
            yield value + "!"
        case bytes():
            yield bytes(byte ^ 1 for byte in value)
        case tuple() if value:
            yield from ((), value + value[-1:])


def bent(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The value with one thing in it otherwise, and where."""
    for other in others(value):
        if other != value:
            yield place, other
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            for where, changed in bent(item, f"{place}[]"):
                yield where, (*value[:index], changed, *value[index + 1 :])
    elif is_dataclass(value) and not isinstance(value, type):
        for item in fields(value):
            inner = getattr(value, item.name)
            step = f"{place}.{item.name}".lstrip(".")
            yield from ((where, replace(value, **{item.name: new})) for where, new in _bent_safely(inner, step))
            if inner is not None and types.NoneType in getattr(item.type, "__args__", ()):
                yield step, replace(value, **{item.name: None})


def _bent_safely(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if place.endswith(".pattern"):
        return  # patterns refuse what is none
    yield from bent(value, place)


@pytest.mark.parametrize("facts", [HONEST, MARKED, SAMPLED, READ_BETWEEN], ids=["full", "marked", "sampled", "between"])
def test_no_fact_can_be_bent_without_failing_but_for_those_that_prove_nothing(facts):
    passing = {place for place, changed in bent(facts) if judge(changed)[0] is Outcome.PASSED}
    assert {place for place in passing if not is_harmless(place)} == set()


def test_bending_reaches_every_fact():
    reached = {place for place, _ in bent(READ_BETWEEN)}
    for needed in (
        "passes[].runs[].end_position_bytes",
        "final_verification.report.mismatched_sectors",
        "activity.sectors_written_seen",
        "pass_verifications[].report.bytes_done",
        "drive.geometry.capacity_bytes",
        "interrupted",
    ):
        assert needed in reached


def test_an_image_has_no_counters_and_no_other_kind_of_drive_is_excused():
    for transport in Transport:
        facts = replace(HONEST, drive=replace(DRIVE, transport=transport), activity=None)
        assert (judge(facts)[0] is Outcome.PASSED) == (transport is Transport.IMAGE)


def test_a_drive_that_somebody_else_used_at_the_end_does_not_pass():
    outcome, reasons = judge(replace(HONEST, other_users=("it is opened by dd (process 7)",)))
    assert outcome is Outcome.FAILED and [reason.code for reason in reasons] == ["in-use"]
    outcome, reasons = judge(replace(HONEST, other_users=None))
    assert outcome is Outcome.FAILED and [reason.code for reason in reasons] == ["use-unknown"]


def test_an_assumed_flush_is_not_enough_where_nothing_is_read_back():
    (item,) = BARE.passes
    assumed = replace(item, runs=tuple(replace(run, flush_proof=FlushProof.ASSUMED) for run in item.runs))
    assert judge(BARE)[0] is Outcome.PASSED
    outcome, reasons = judge(replace(BARE, passes=(assumed,)))
    assert outcome is Outcome.FAILED and [reason.code for reason in reasons] == ["flush-assumed"]


def test_where_nothing_is_read_back_no_plan_does_without_markers():
    unmarked = replace(BARE, plan=replace(BARE.plan, needs_markers=False), markers=None)
    outcome, reasons = judge(unmarked)
    assert outcome is Outcome.FAILED and [reason.code for reason in reasons] == ["markers-missing"]
    # After a return the whole of it is read back, which shows more than markers.
    returned = replace(unmarked, sights=2, final_verification=HONEST.final_verification)
    assert judge(returned)[0] is Outcome.PASSED
