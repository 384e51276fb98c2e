from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from eraser.domain.certificate import Certificate, read
from eraser.domain.certified import contradictions
from eraser.domain.certifying import from_job
from eraser.domain.drive import Condition, Geometry, Transport
from eraser.domain.events import Outcome, Reason
from eraser.domain.evidence import (
    Access,
    EndReason,
    Extent,
    MarkersEvidence,
    Operation,
    SightCheck,
    VerificationEvidence,
    merged,
)
from eraser.domain.job import JobState
from eraser.domain.json_form import to_json
from eraser.domain.pattern import AesCtrStream, Constant
from eraser.domain.plan import Level
from eraser.domain.program import Verification
from eraser.errors import UsageError
from tests.certificates.builders import (
    CAPACITY_BYTES,
    a_certificate,
    a_drive,
    a_failed_job,
    a_job,
    a_job_with_everything,
    a_pass,
    a_plan,
    a_reading,
    a_report,
    a_sampling,
    an_activity,
    an_issuance,
    bad_extents,
)

MEGABYTE = 1_000_000


@pytest.mark.parametrize("job", [a_job(), a_job_with_everything(), a_failed_job()])
def test_a_certificate_reads_back_from_its_json_as_it_was(job: JobState) -> None:
    certificate = a_certificate(job)
    assert read(json.loads(json.dumps(to_json(certificate)))) == certificate


@pytest.mark.parametrize("job", [a_job(), a_job_with_everything(), a_failed_job()])
def test_a_true_certificate_does_not_contradict_itself(job: JobState) -> None:
    assert contradictions(a_certificate(job)) == ()


def test_an_unfinished_job_has_no_certificate() -> None:
    with pytest.raises(UsageError, match="finished"):
        from_job(replace(a_job(), outcome=None), an_issuance())


def test_a_failed_certificate_claims_nothing() -> None:
    sanitization = a_certificate(a_failed_job()).sanitization
    assert sanitization.level_reached is None
    assert sanitization.claim == ""


def test_what_was_left_is_listed_merged_and_counted() -> None:
    left = a_certificate(a_failed_job(3)).exceptions
    assert left.not_written.listed == (Extent(0, 4096), Extent(8192, 4096), Extent(16384, 4096))
    assert left.not_written.bytes_total == left.not_read.bytes_total == 3 * 4096
    assert merged([Extent(4096, 4096), Extent(0, 4096), Extent(100, 10)]) == (Extent(0, 8192),)


def test_bytes_that_overflowed_the_transfers_table_are_counted() -> None:
    job = a_failed_job(3)
    report = replace(job.passes[0].runs[0], bad_bytes=10**9)
    certificate = a_certificate(replace(job, passes=(a_pass(runs=(report,)),)))
    assert certificate.exceptions.not_written.bytes_total == certificate.passes[0].bad.bytes_total == 10**9


def test_the_certificate_of_a_dying_drive_stays_below_a_megabyte_and_says_what_it_leaves_out() -> None:
    patterns = tuple(Constant(bytes([number, 2, 3])) for number in range(35))
    written, seen = bad_extents(4_000), bad_extents(4_000, Operation.READ)
    bad_run = a_report(bad_extents=written, bad_bytes=4096 * 4_000)
    run = a_report(end=EndReason.GONE, errno=19, first_mismatches=tuple(range(64)))
    reading = a_reading(35, report=a_report(bad_extents=seen, bad_bytes=4096 * 4_000, mismatched_sectors=10**9))
    job = a_job(
        patterns,
        passes=tuple(a_pass(number, runs=(bad_run, *[run] * 39), is_complete=False) for number in range(1, 36)),
        pass_verifications=(reading,) * 100,
        final_verification=reading,
        sight_checks=(SightCheck(1, 1 << 40, 1),) * 100,
        restarts=("nothing shows that what was written before had reached the medium",) * 100,
        sights=200,
        outcome=Outcome.FAILED,
        reasons=(Reason("not-written", "bytes could not be written"),) * 100,
    )
    certificate = a_certificate(job)
    assert len(json.dumps(to_json(certificate), indent=1)) < MEGABYTE
    first = certificate.passes[0]
    assert len(first.runs) + first.runs_omitted == 40
    assert len(first.bad.listed) + first.bad.extents_omitted == 4_000
    left = certificate.exceptions.not_written
    assert len(left.listed) + left.extents_omitted == 4_000
    assert left.bytes_total == 4_000 * 4096
    entries = (certificate.sight_checks, certificate.restarts, certificate.pass_verifications)
    assert sum(len(item) for item in entries) + certificate.entries_omitted == 300


@pytest.mark.parametrize("text", ["a\x7f", "a\nb", "\x00", "\u202egnp", "\ud800", "\u2028", "\ufeff"])
def test_text_from_outside_is_made_printable_and_text_that_hides_is_refused(text: str) -> None:
    certificate = from_job(a_job(drive=a_drive(path=f"/tmp/{text}")), an_issuance())
    assert certificate.drive.path == "/tmp/" + "".join(c if c in "agnpb" else "\ufffd" for c in text)
    form: Any = to_json(certificate)
    form["operator"] = text
    with pytest.raises(UsageError, match=r"certificate\.operator"):
        read(form)


def test_of_an_image_the_certificate_names_the_file_and_not_the_folders_that_lead_to_it() -> None:
    job = a_job(drive=a_drive(path="/home/jo public/a/disk.img", transport=Transport.IMAGE))
    certificate = from_job(job, an_issuance())
    assert certificate.drive.path == "disk.img"
    assert "public" not in json.dumps(to_json(certificate))
    assert from_job(replace(job, drive=certificate.drive), an_issuance()) == certificate
    assert from_job(a_job(drive=a_drive(path="/dev/sdx")), an_issuance()).drive.path == "/dev/sdx"


def test_identifiers_and_times_have_one_form() -> None:
    for changes in ({"certificate_id": "none"}, {"issued_at": "yesterday"}, {"issued_at": "2026-11-24T07:00:00+08:00"}):
        with pytest.raises(UsageError):
            read(to_json(a_certificate(**changes)))


def test_a_negative_count_is_refused() -> None:
    form: Any = to_json(a_certificate(a_failed_job()))
    form["passes"][0]["runs"][0]["bad_bytes"] = -4096
    with pytest.raises(UsageError, match="negative"):
        read(form)


def test_unknown_missing_and_foreign_fields_are_refused() -> None:
    form: Any = to_json(a_certificate())
    for wrong in (form | {"customer": "x"}, {k: v for k, v in form.items() if k != "witness"}, form | {"version": 2}):
        with pytest.raises(UsageError):
            read(wrong)


Lie = Callable[[], Certificate]


def _with_pass(**changes: Any) -> Certificate:
    return a_certificate(a_job(passes=(a_pass(**changes),)))


def _with_reading(evidence: VerificationEvidence | None, **changes: Any) -> Certificate:
    return a_certificate(a_job(final_verification=evidence, **changes))


def _with_geometry(**changes: Any) -> Certificate:
    return a_certificate(a_job(drive=a_drive(geometry=replace(a_drive().geometry, **changes))))


def _with_markers(markers: MarkersEvidence | None) -> Certificate:
    job = a_job((Constant(b"\0"),))
    return a_certificate(replace(job, plan=a_plan((Constant(b"\0"),), needs_markers=True), markers=markers))


def _without_level() -> Certificate:
    certificate = a_certificate()
    return replace(certificate, sanitization=replace(certificate.sanitization, level_reached=None))


def _claiming_failure() -> Certificate:
    certificate = a_certificate(a_failed_job())
    return replace(certificate, sanitization=replace(certificate.sanitization, claim="complies"))


def _sampled_where_full_was_asked() -> Certificate:
    half = a_report(end_position_bytes=1 << 40, bytes_done=1 << 40)
    return _with_reading(a_reading(1, kind=Verification.SAMPLED, sampling=a_sampling(), report=half))


LIES: dict[str, Lie] = {
    "passed with reasons against it": lambda: a_certificate(reasons=(Reason("mismatch", "it differs"),)),
    "passed without a level": _without_level,
    "failed without a reason": lambda: a_certificate(a_failed_job(), reasons=()),
    "failed and claims": _claiming_failure,
    "no pass at all": lambda: a_certificate(passes=()),
    "a pass left out": lambda: a_certificate(passes=a_certificate(a_job((Constant(b"\0"),) * 2)).passes[1:]),
    "a pass not completed": lambda: _with_pass(is_complete=False),
    "a pass without a run": lambda: _with_pass(runs=()),
    "a pass that was cancelled": lambda: _with_pass(runs=(a_report(end=EndReason.CANCELLED),)),
    "a pass that ended early": lambda: _with_pass(runs=(a_report(end_position_bytes=CAPACITY_BYTES - 1),)),
    "a pass that began late": lambda: _with_pass(runs=(a_report(start_position_bytes=1),)),
    "bad sectors of a run": lambda: _with_pass(runs=(a_report(bad_bytes=512),)),
    "bad sectors of a pass": lambda: _with_pass(bad_extents_lost=bad_extents(1)),
    "no verification": lambda: _with_reading(None),
    "verification of another pass": lambda: a_certificate(
        a_job((Constant(b"\0"),) * 2, final_verification=a_reading(1))
    ),
    "verification cancelled": lambda: _with_reading(a_reading(1, report=a_report(end=EndReason.CANCELLED))),
    "verification of a half": lambda: _with_reading(a_reading(1, report=a_report(end_position_bytes=1 << 40))),
    "sampled where full was asked": _sampled_where_full_was_asked,
    "mismatches": lambda: _with_reading(a_reading(1, report=a_report(mismatched_sectors=1))),
    "places of mismatches": lambda: _with_reading(a_reading(1, report=a_report(first_mismatches=(0,)))),
    "unreadable sectors": lambda: _with_reading(
        a_reading(1, report=a_report(bad_extents=bad_extents(1, Operation.READ), bad_bytes=4096))
    ),
    "nothing read back, and no markers": lambda: _with_reading(
        None, plan=replace(a_plan((AesCtrStream(bytes(32)),)), verification=Verification.NONE)
    ),
    "resumed and never read back": lambda: _with_reading(
        None, sights=2, plan=replace(a_plan((Constant(b"\0"),)), verification=Verification.NONE)
    ),
    "not found again after a return": lambda: a_certificate(a_job(sights=2, sight_checks=(SightCheck(1, 1, 1),))),
    "somebody else wrote": lambda: a_certificate(a_job(activity=an_activity(sectors_written_seen=1001))),
    "our writes did not go out": lambda: a_certificate(a_job(activity=an_activity(sectors_written_seen=999))),
    "somebody discarded": lambda: a_certificate(a_job(activity=an_activity(sectors_discarded_seen=8))),
    "a flush was lost": lambda: a_certificate(a_job(activity=an_activity(flushes_seen=2))),
    "nobody counted": lambda: a_certificate(a_job(activity=None)),
    "given up": lambda: a_certificate(a_job(abandoned="restarted")),
    "sampled places not all read": lambda: _with_reading(
        a_reading(1, kind=Verification.SAMPLED, sampling=a_sampling()),
        plan=a_plan((Constant(b"\0"),), verification=Verification.SAMPLED),
    ),
    "hidden bytes": lambda: _with_geometry(native_capacity_bytes=CAPACITY_BYTES + 512),
    "a larger drive than was covered": lambda: _with_geometry(
        capacity_bytes=CAPACITY_BYTES + 512, native_capacity_bytes=None
    ),
    "a locked drive": lambda: a_certificate(a_job(drive=a_drive(conditions=(Condition.SECURITY_LOCKED,)))),
    "markers missing": lambda: _with_markers(None),
    "markers not found": lambda: _with_markers(
        MarkersEvidence(bytes(32), 1, 1, a_report(), a_report(mismatched_sectors=1))
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_a_certificate_whose_facts_do_not_bear_its_outcome_contradicts_itself(name: str) -> None:
    assert contradictions(LIES[name]()) != ()


def test_a_smaller_native_capacity_hides_nothing() -> None:
    geometry = Geometry(CAPACITY_BYTES, 512, 4096, CAPACITY_BYTES - 512)
    assert contradictions(a_certificate(a_job(drive=a_drive(geometry=geometry)))) == ()


def _sanitized(**changes: Any) -> Certificate:
    certificate = a_certificate()
    return replace(certificate, sanitization=replace(certificate.sanitization, **changes))


@pytest.mark.parametrize(
    ("certificate", "against"),
    [
        (_sanitized(level_reached=Level.PURGE), "reaches no purge"),
        (_sanitized(claim="Complies with everything."), "claims to comply"),
        (_sanitized(program="gutmann-35"), "has 35 passes, it shows 1"),
        (a_certificate(a_job((Constant(b"\0"),))), "no markers were written before"),
        (_with_pass(runs=(a_report(access=Access.NONE),)), "without any access"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_claim_that_the_evidence_cannot_bear_is_found(certificate: Certificate, against: str) -> None:
    assert any(against in sentence for sentence in contradictions(certificate))
