"""The JSON form: what goes out comes back the same, and nothing else comes in."""

import json
from dataclasses import replace
from typing import Any, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eraser.domain.drive import Geometry, Identity
from eraser.domain.events import Entry, JobQueued, SightBegan, VerificationStarted
from eraser.domain.evidence import Access, EndReason, Extent, FlushProof, TransferReport
from eraser.domain.json_form import MAX_INTEGER, MAX_NANOSECONDS, Nanoseconds, _quick, _read, from_json, to_json
from eraser.domain.pattern import AesCtrStream, Constant
from eraser.domain.plan import PlannedPass
from eraser.domain.program import Verification
from eraser.errors import UsageError
from tests.domain.strategies import dataclasses_of_the_domain, values_of

CLASSES = dataclasses_of_the_domain()
few = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example]
)


def through_text(value: Any) -> Any:
    return json.loads(json.dumps(to_json(value)))


def leaves(form: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    items = form.items() if isinstance(form, dict) else enumerate(form) if isinstance(form, list) else None
    if items is None:
        return [(path, form)]
    return [leaf for key, content in items for leaf in leaves(content, (*path, key))]


def with_leaf(form: Any, path: tuple[Any, ...], content: Any) -> Any:
    copy = json.loads(json.dumps(form))
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = content
    return copy


def a_report(**changes: Any) -> TransferReport:
    report = TransferReport(
        end=EndReason.COMPLETED,
        errno=0,
        start_position_bytes=0,
        end_position_bytes=1,
        bytes_done=1,
        bytes_sent=1,
        failed_bytes_sent=0,
        bad_extents=(),
        bad_bytes=0,
        retries=0,
        flushes=1,
        flush_proof=FlushProof.KERNEL_SENT,
        mismatched_sectors=0,
        first_mismatches=(),
        access=Access.URING_DIRECT,
        block_bytes=1,
        queue_depth=1,
        started_at="2026-01-01T00:00:00Z",
        first_byte=Nanoseconds(2**53 + 1),
        last_byte=Nanoseconds(2**53 + 2),
    )
    return replace(report, **changes)


def test_the_values_tested_are_those_of_the_whole_domain() -> None:
    assert {item.__name__ for item in CLASSES} >= {
        "Drive",
        "Plan",
        "TransferReport",
        "Entry",
        "CertificateIssued",
        "Constant",
    }


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@few
@given(data=st.data())
def test_every_value_comes_back_the_same(cls: type, data: st.DataObject) -> None:
    value = data.draw(values_of(cls))
    assert from_json(cls, through_text(value)) == value


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@few
@given(data=st.data())
def test_a_missing_or_unknown_field_is_refused(cls: type, data: st.DataObject) -> None:
    form = through_text(data.draw(values_of(cls)))
    with pytest.raises(UsageError, match="unknown field 'surprise'"):
        from_json(cls, {**form, "surprise": 1})
    if form:
        gone = data.draw(st.sampled_from(sorted(form)))
        with pytest.raises(UsageError):
            from_json(cls, {name: content for name, content in form.items() if name != gone})


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@few
@given(data=st.data())
def test_a_float_or_an_object_in_any_place_is_refused(cls: type, data: st.DataObject) -> None:
    form = through_text(data.draw(values_of(cls)))
    if not (places := leaves(form)):
        return
    path, _ = data.draw(st.sampled_from(places))
    wrong = data.draw(st.sampled_from([1.0, 0.5, {}, {"kind": "nonsense"}]))
    with pytest.raises(UsageError):
        from_json(cls, with_leaf(form, path, wrong))


def test_every_event_has_a_kind_of_its_own() -> None:
    kinds = [cls.kind for cls in get_type_hints(Entry)["event"].__args__]
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize("beyond", [MAX_INTEGER + 1, -MAX_INTEGER - 1])
def test_integers_beyond_2_to_the_53_are_refused_both_ways(beyond: int) -> None:
    with pytest.raises(UsageError, match="2\\^53-1"):
        to_json(Extent(beyond, 1))
    with pytest.raises(UsageError, match="offset_bytes"):
        from_json(Extent, {"offset_bytes": beyond, "length_bytes": 1})


def test_true_is_no_integer_and_one_is_no_truth() -> None:
    with pytest.raises(UsageError, match="offset_bytes"):
        from_json(Extent, {"offset_bytes": True, "length_bytes": 1})
    form = to_json(PlannedPass(Constant(b"\0"), reverse=False, verify=False))
    with pytest.raises(UsageError, match="verify"):
        from_json(PlannedPass, {**form, "verify": 1})


@pytest.mark.parametrize("content", ["0", "18446744073709551615"])
def test_nanoseconds_are_decimal_strings(content: str) -> None:
    form = to_json(a_report())
    assert form["first_byte"] == "9007199254740993"
    assert str(from_json(TransferReport, {**form, "first_byte": content}).first_byte) == content


@pytest.mark.parametrize(
    "content", [1, "", "-1", "+1", "01", "1.0", " 1", "1_0", "²", "9" * 5000, "18446744073709551616", None]
)
def test_anything_else_is_no_nanoseconds(content: Any) -> None:
    with pytest.raises(UsageError, match="first_byte"):
        from_json(TransferReport, {**to_json(a_report()), "first_byte": content})


@pytest.mark.parametrize("wrong", [-1, MAX_NANOSECONDS + 1])
def test_nanoseconds_that_could_not_be_read_back_are_not_written(wrong: int) -> None:
    with pytest.raises(UsageError, match="nanoseconds"):
        to_json(a_report(first_byte=wrong))


@pytest.mark.parametrize("content", ["0A", "0", "0 0", "0x00", "zz", " ", "\N{FULLWIDTH DIGIT ONE}" * 2, 0, None, []])
def test_bytes_are_lower_case_hex_and_nothing_else(content: Any) -> None:
    form = to_json(VerificationStarted(1, Verification.FULL, b""))
    with pytest.raises(UsageError, match="sampling_seed"):
        from_json(VerificationStarted, {**form, "sampling_seed": content})


def test_text_that_is_no_unicode_is_refused_both_ways() -> None:
    with pytest.raises(UsageError, match="Unicode"):
        to_json(Identity(model="\udc80"))
    with pytest.raises(UsageError, match="boot_id"):
        from_json(SightBegan, {"kind": "sight-began", "boot_id": "\ud800"})


def test_a_kind_that_is_another_or_unknown_is_refused() -> None:
    queued = to_json(JobQueued("1", "/dev/sdz", "zero", "me"))
    with pytest.raises(UsageError, match="kind is 'queued'"):
        from_json(SightBegan, queued)
    entry = to_json(Entry(0, "2026-01-01T00:00:00Z", JobQueued("1", "/dev/sdz", "zero", "me")))
    with pytest.raises(UsageError, match=r"Entry.event: kind 'invented' is none of"):
        from_json(Entry, {**entry, "event": {**queued, "kind": "invented"}})


def test_a_pattern_that_breaks_its_own_rule_is_refused() -> None:
    with pytest.raises(UsageError, match="1 to 4096 bytes"):
        from_json(Constant, {"kind": "constant", "data": ""})
    with pytest.raises(UsageError, match="seed"):
        from_json(AesCtrStream, {"kind": "aes-256-ctr", "seed": "00"})


@pytest.mark.parametrize("value", [1.5, object(), [1], {"a": 1}, {1, 2}])
def test_what_has_no_json_form_is_not_written(value: Any) -> None:
    with pytest.raises(UsageError, match="no JSON form"):
        to_json(value)
    with pytest.raises(UsageError, match="no JSON form"):
        to_json(Geometry(value, 512, 512))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@few
@given(data=st.data())
def test_the_quick_way_takes_nothing_that_the_strict_one_refuses(cls: type, data: st.DataObject) -> None:
    form = through_text(data.draw(values_of(cls)))
    places = [path for path, _ in leaves(form) if path]
    if places and data.draw(st.booleans()):
        strange = [None, True, 0, -1, 2**53, 1.0, "", "zz", "0A", "\ud800", [], [1], {}, {"kind": "constant"}]
        form = with_leaf(form, data.draw(st.sampled_from(places)), data.draw(st.sampled_from(strange)))
    if data.draw(st.booleans()):
        form["kind" if data.draw(st.booleans()) else "unknown"] = "other"
    try:
        quick = _quick(cls)(form)
    except Exception:  # whatever it is, the strict way decides
        return
    assert quick == _read(cls, form, "value")
