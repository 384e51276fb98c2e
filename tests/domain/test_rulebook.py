"""Which rulebooks' claims a certificate's evidence bears: against a referee that knows nothing but the certificate's JSON."""

from __future__ import annotations

import copy
from dataclasses import replace
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraser.domain.certificate import Certificate, read
from eraser.domain.certified import assessed, unfounded
from eraser.domain.drive import Drive, Media, Transport
from eraser.domain.events import Outcome
from eraser.domain.evidence import Access, EndReason, FlushProof
from eraser.domain.json_form import to_json
from eraser.domain.pattern import Constant, Pattern
from eraser.domain.program import Verification
from eraser.domain.rulebook import Rulebook
from eraser.errors import UsageError
from tests.certificates.builders import (
    CAPACITY_BYTES,
    RANDOM,
    Steps,
    a_certificate,
    a_drive,
    a_failed_job,
    a_job,
    a_plan,
    a_reading,
    a_report,
    a_sampling,
    leaves,
    some_markers,
    with_leaf,
)

ZEROS, ONES = Constant(b"\x00"), Constant(b"\xff\xff")
THREE = (ZEROS, ONES, RANDOM)
GB, NIST, IEEE = Rulebook.GB_46864, Rulebook.NIST_CLEAR, Rulebook.IEEE_CLEAR
PURGES = {Rulebook.NIST_PURGE, Rulebook.IEEE_PURGE}


def certified(patterns: tuple[Pattern, ...], drive: Drive | None = None, *, sampled: bool = False) -> Certificate:
    """A job that passed; markers where nothing else would tell addresses apart."""
    markers = None if patterns[-1] is RANDOM else some_markers()
    changes: dict[str, Any] = {"drive": drive or a_drive(), "markers": markers}
    if sampled:
        drawn = a_sampling()
        report = a_report(bytes_done=drawn.bytes_sampled, end_position_bytes=drawn.bytes_sampled)
        reading = a_reading(len(patterns), kind=Verification.SAMPLED, sampling=drawn, report=report, hash_tree=None)
        changes |= {"final_verification": reading, "plan": a_plan(patterns, verification=Verification.SAMPLED)}
    return a_certificate(a_job(patterns, **changes))


def unread(patterns: tuple[Pattern, ...]) -> Certificate:
    """It passed, for nothing more was asked: its markers alone were read back."""
    plan = a_plan(patterns, verification=Verification.NONE, needs_markers=True)
    return a_certificate(a_job(patterns, plan=plan, markers=some_markers(), final_verification=None))


def with_geometry(**changes: Any) -> Drive:
    return a_drive(geometry=replace(a_drive().geometry, **changes))


FLASH = a_drive(media=Media.FLASH)
STICK = a_drive(media=Media.FLASH, transport=Transport.USB)
CASES: dict[str, tuple[Certificate, set[Rulebook], dict[Rulebook, set[str]]]] = {
    "three passes on a hard disk": (certified(THREE), {GB, NIST, IEEE}, {}),
    "three passes, sampled": (certified(THREE, sampled=True), {GB, NIST, IEEE}, {}),
    "one random pass on a hard disk": (certified((RANDOM,)), {NIST, IEEE}, {GB: {"passes"}}),
    "three constants on a hard disk": (certified((ZEROS, ONES, ZEROS)), {NIST, IEEE}, {GB: {"random-pass"}}),
    "zeros on a hard disk": (certified((ZEROS,)), {NIST, IEEE}, {GB: {"passes", "random-pass"}}),
    "zeros on a solid-state drive": (certified((ZEROS,), FLASH), {GB, NIST, IEEE}, {}),
    "one random pass on an unknown medium": (
        certified((RANDOM,), a_drive(media=Media.UNKNOWN)),
        {NIST, IEEE},
        {GB: {"passes"}},
    ),
    "one pass on a stick": (certified((RANDOM,), STICK), {GB, IEEE}, {NIST: {"passes", "complement-pass"}}),
    "two random passes on a stick": (certified((RANDOM,) * 2, STICK), {GB, IEEE}, {NIST: {"complement-pass"}}),
    "a byte and its complement on a stick": (certified((ZEROS, ONES), STICK), {GB, NIST, IEEE}, {}),
    "a hard disk behind a bridge": (certified(THREE, a_drive(transport=Transport.USB)), {GB, NIST, IEEE}, {}),
    "nothing read back": (unread(THREE), set(), {key: {"verification"} for key in (GB, NIST, IEEE)}),
    "a drive that could not be asked": (
        certified(THREE, with_geometry(hidden_areas_unknown=("hpa",))),
        set(),
        {key: {"hidden-area-unknown"} for key in (GB, NIST, IEEE)},
    ),
    "a hidden area": (
        certified(THREE, with_geometry(hidden_areas=("hpa",))),
        set(),
        {key: {"hidden-area", "passed"} for key in (GB, NIST, IEEE)},
    ),
    "a file": (
        certified(THREE, a_drive(transport=Transport.IMAGE)),
        set(),
        {key: {"drive"} for key in (GB, NIST, IEEE)},
    ),
    "a failed job": (
        a_certificate(a_failed_job()),
        set(),
        {
            GB: {"passed", "passes", "random-pass", "verification"},
            NIST: {"passed", "passes", "verification"},
            IEEE: {"passed", "passes", "verification"},
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_claim_holds_by_itself_or_names_what_it_is_missing(name: str) -> None:
    certificate, holding, missing = CASES[name]
    claims = {item.rulebook: item for item in certificate.rulebooks.claims}
    assert list(claims) == list(Rulebook)
    assert {rulebook for rulebook, item in claims.items() if item.holds} == holding == referee(to_json(certificate))
    for rulebook, codes in missing.items():
        assert {item.code for item in claims[rulebook].missing} == codes
    for item in claims.values():
        assert item.holds == (not item.missing) == bool(item.statement)
        assert not item.statement or (item.statement.startswith("Pattern of") and "no compliance" in item.statement)
    assert all("purge-technique" in {item.code for item in claims[purge].missing} for purge in PURGES)


def test_the_statement_gives_the_numbers_that_readers_may_judge_by() -> None:
    claims = {item.rulebook: item for item in certified(THREE, sampled=True).rulebooks.claims}
    assert "magnetic media: 3 passes, 1 random, read back by samples after the last" in claims[GB].statement
    claims = {item.rulebook: item for item in certified((ZEROS,), FLASH).rulebooks.claims}
    assert "semiconductor media: 1 pass, 0 random, read back in full after the last" in claims[GB].statement
    assert "2 for phones, tablets and SSDs" in claims[GB].asks


def referee(form: Any) -> set[str]:
    """Which claims a certificate's JSON can bear, written from docs/certificate.md alone."""
    drive, final, passes = form["drive"], form["final_verification"], form["passes"]
    sizes, capacity = drive["geometry"], drive["geometry"]["capacity_bytes"]
    seen = form["activity"]
    doubts = (
        form["outcome"] != "passed",
        form["reasons"] or form["abandoned"] or form["other_users"] != [],
        drive["transport"] in ("image", "loop", "zram", "virtio"),
        sizes["hidden_areas"] or sizes["hidden_areas_unknown"] or (sizes["native_capacity_bytes"] or 0) > capacity,
        capacity < 1 or not passes or [item["number"] for item in passes] != list(range(1, len(passes) + 1)),
        any(check["mismatched_sectors"] for check in form["sight_checks"]),
        seen is None or seen["sectors_discarded_seen"] or seen["flushes_seen"] < seen["flushes_expected"],
        seen
        and not seen["sectors_written_ours_least"] <= seen["sectors_written_seen"] <= seen["sectors_written_ours_most"],
        final is None or final["verification"] == "none" or final["pass_number"] != len(passes),
        form["sights"] < 1 or (form["sights"] > 1 and final and final["verification"] != "full"),
    )
    if any(doubts) or not reads_all(final, capacity) or not all(writes_all(item, capacity) for item in passes):
        return set()
    held = {IEEE.value}
    patterns = [item["pattern"] for item in passes]
    if drive["media"] == "flash" or (len(passes) >= 3 and any(item["kind"] == "aes-256-ctr" for item in patterns)):
        held.add(GB.value)
    if drive["transport"] not in ("usb", "mmc") or drive["media"] == "magnetic" or complementary(patterns):
        held.add(NIST.value)
    return held


def reads_all(final: Any, capacity: int) -> bool:
    run, drawn = final["run"], final["sampling"]
    if run["end"] != "completed" or run["mismatched_sectors"] or run["first_mismatches"] or run["bad_bytes"]:
        return False
    asked = capacity
    if final["verification"] == "sampled":
        if drawn is None or (
            drawn["bytes_sampled"] < capacity and (drawn["parts"], drawn["samples_per_part"]) != (1000, 2)
        ):
            return False
        if drawn["bytes_sampled"] < capacity // 10:
            return False
        asked = drawn["bytes_sampled"]
    return (run["start_position_bytes"], run["end_position_bytes"], run["bytes_done"]) == (0, asked, asked)


def writes_all(item: Any, capacity: int) -> bool:
    last = item["runs"][-1] if item["runs"] else None
    return bool(
        item["is_complete"]
        and last
        and last["end"] == "completed"
        and last["end_position_bytes"] == capacity
        and last["flushes"]
        and last["flush_proof"] != "not flushed"
        and last["bytes_done"] == capacity - last["start_position_bytes"] <= last["bytes_sent"]
        and not item["bad"]["bytes_total"]
        and not item["bad"]["listed"]
        and not any(run["bad_bytes"] for run in item["runs"])
    )


def complementary(patterns: list[Any]) -> bool:
    data = [bytes.fromhex(item["data"]) for item in patterns if item["kind"] == "constant"]
    tiled = [(item * 64)[:64] for item in data]
    return any(all(a ^ b == 255 for a, b in zip(x, y, strict=True)) for x in tiled for y in tiled)


KINDS: dict[str, type[StrEnum]] = {
    "end": EndReason,
    "flush_proof": FlushProof,
    "access": Access,
    "media": Media,
    "transport": Transport,
    "verification": Verification,
    "outcome": Outcome,
}
BASES = [to_json(certificate) for certificate, _, _ in CASES.values()]
EVIDENCE = [
    [
        (steps, value)
        for steps, value in leaves(form)
        if steps[0] != "rulebooks"
        and (not isinstance(value, str) or steps[-1] in ("data", *KINDS))
        and value is not None
    ]
    for form in BASES
]
"""What is evidence: numbers, yes or no, kinds, and lists. What only names something can bend no claim."""
NUMBERS = st.sampled_from(
    [0, 1, 2, 3, 4096, CAPACITY_BYTES // 2, CAPACITY_BYTES - 1, CAPACITY_BYTES, CAPACITY_BYTES + 512]
)


@st.composite
def bent(draw: st.DrawFn) -> Any:
    """A certificate of which some pieces of evidence say something else, or are gone."""
    base = draw(st.integers(0, len(BASES) - 1))
    form = BASES[base]
    for steps, value in draw(st.lists(st.sampled_from(EVIDENCE[base]), max_size=3, unique_by=lambda item: item[0])):
        form = with_leaf(form, steps, draw(_another(steps, value)))
    if draw(st.booleans()):
        return form
    form = copy.deepcopy(form)
    match draw(st.sampled_from(["pass", "passed", "reading", "activity"])):
        case "pass":
            form["passes"].pop(draw(st.integers(0, len(form["passes"]) - 1)))
        case "passed":
            form |= {"outcome": "passed", "reasons": []}
        case name:
            form[{"reading": "final_verification"}.get(name, name)] = None
    return form


def _another(steps: Steps, value: Any) -> st.SearchStrategy[Any]:
    match value:
        case bool():
            return st.just(not value)
        case int():
            return st.sampled_from([value + 1, max(0, value - 1)]) | NUMBERS
        case str() if steps[-1] == "data":
            return st.sampled_from(["00", "ff", "00ff", "ff00ff"])
        case str() if steps[-1] in KINDS:
            return st.sampled_from([item.value for item in KINDS[str(steps[-1])]])
        case list():
            return st.sampled_from([[], ["hpa"]])
        case _:
            return st.just(value)


@given(bent())
@settings(deadline=None)
def test_no_evidence_can_be_bent_so_that_a_claim_holds_which_the_rest_does_not_bear(form: Any) -> None:
    try:
        certificate = read(form)
    except UsageError:
        return
    held = {item.rulebook for item in assessed(certificate).claims if item.holds}
    assert held <= referee(form)
    assert not held & PURGES


@given(bent())
@settings(deadline=None)
def test_what_a_certificate_claims_is_held_against_its_own_evidence(form: Any) -> None:
    """Whatever is bent around its claims, a certificate that is not refused claims what the referee allows."""
    try:
        certificate = read(form)
        if unfounded(certificate):
            return
    except UsageError:
        return
    assert {item.rulebook for item in certificate.rulebooks.claims if item.holds} <= referee(form)


def test_every_single_leaf_of_what_is_said_of_a_rulebook_is_computed_again() -> None:
    form = to_json(certified((RANDOM,)))
    places = [(steps, value) for steps, value in leaves(form["rulebooks"]) if steps != ("reading",)]
    assert len(places) > 30
    for steps, value in places:
        stranger = {bool: not value, str: f"{value}!"}.get(type(value), [])
        if steps[-1] in ("rulebook", "standing"):
            stranger = "IEEE 2883-2022 Purge" if steps[-1] == "rulebook" else "current"
        changed = with_leaf(form, ("rulebooks", *steps), stranger)
        if changed != form:
            assert unfounded(read(changed)), steps


def test_another_reading_of_the_rulebooks_is_one_that_is_not_known_here() -> None:
    form = with_leaf(to_json(a_certificate()), ("rulebooks", "reading"), 2)
    with pytest.raises(UsageError, match="reading 2"):
        unfounded(read(form))
