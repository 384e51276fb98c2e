"""Jobs, certificates and signers as tests need them: a whole one by default, altered by `dataclasses.replace`."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from eraser.certificates.envelope import seal
from eraser.certificates.keys import FileSigner, TrustedKeys
from eraser.domain.certificate import Certificate, Provenance, Station, Times, Tool
from eraser.domain.certifying import Issuance, from_job
from eraser.domain.commitment import SCHEME, Commitment
from eraser.domain.drive import Drive, Geometry, Identity, Media, SerialSource, Transport
from eraser.domain.events import JobQueued, Outcome, Reason
from eraser.domain.evidence import (
    Access,
    BadExtent,
    DriveActivity,
    EndReason,
    Extent,
    FlushProof,
    HashTree,
    MarkersEvidence,
    Operation,
    SamplingEvidence,
    SightCheck,
    TransferReport,
    VerificationEvidence,
)
from eraser.domain.job import JobState, PassState, Phase
from eraser.domain.json_form import Nanoseconds, to_json
from eraser.domain.markers import marker_places
from eraser.domain.pattern import AesCtrStream, Constant, Pattern
from eraser.domain.plan import Level, Plan, PlannedPass
from eraser.domain.program import Standing, Verification
from eraser.domain.sampling import sample

CAPACITY_BYTES = 20_000_588_955_648
JOB_ID = "0c8f4f0e6f5d4b6e9a3f9a8d54c1b7aa"
CERTIFICATE_ID = "5f0d7a3b1c2e4f60a1b2c3d4e5f60718"
RANDOM = AesCtrStream(bytes(range(32)))


def a_signer() -> FileSigner:
    """With a fresh key."""
    return FileSigner(Ed25519PrivateKey.generate())


def trusting(*signers: FileSigner) -> TrustedKeys:
    return {signer.key_id: signer.public for signer in signers}


def a_drive(**changes: Any) -> Drive:
    identity = Identity(
        manufacturer="ACME",
        model="Längstdrive 20 TB",
        serial="ZX00 1B8/2",
        serial_source=SerialSource.DRIVE,
        wwn="5000c500a1b2c3d4",
        firmware="SN04",
    )
    geometry = Geometry(CAPACITY_BYTES, 512, 4096, CAPACITY_BYTES)
    drive = Drive("/dev/sdx", Transport.SATA, Media.MAGNETIC, identity, geometry, write_cache="write back")
    return replace(drive, **changes)


def a_report(**changes: Any) -> TransferReport:
    report = TransferReport(
        end=EndReason.COMPLETED,
        errno=0,
        start_position_bytes=0,
        end_position_bytes=CAPACITY_BYTES,
        bytes_done=CAPACITY_BYTES,
        bytes_sent=CAPACITY_BYTES,
        failed_bytes_sent=0,
        bad_extents=(),
        bad_bytes=0,
        retries=0,
        flushes=3,
        flush_proof=FlushProof.KERNEL_SENT,
        mismatched_sectors=0,
        first_mismatches=(),
        access=Access.URING_DIRECT_REGISTERED,
        block_bytes=1 << 20,
        queue_depth=4,
        started_at="2026-11-24T06:00:00Z",
        first_byte=Nanoseconds(2**53 + 1),
        last_byte=Nanoseconds(2**53 + 90_000_000_001),
    )
    return replace(report, **changes)


def bad_extents(count: int, operation: Operation = Operation.WRITE) -> tuple[BadExtent, ...]:
    """Every other 4 KiB, so that none merges with the next."""
    return tuple(BadExtent(Extent(index * 8192, 4096), operation, 5) for index in range(count))


def a_plan(patterns: tuple[Pattern, ...], **changes: Any) -> Plan:
    plan = Plan(
        standard="nist-800-88-clear",
        program="random" if len(patterns) == 1 else f"own-{len(patterns)}",
        title="NIST SP 800-88 Clear by one random pass",
        source="NIST SP 800-88 Rev. 2 §3.1.1",
        standing=Standing.SECONDARY_SOURCE,
        claim="pattern of NIST SP 800-88 Clear",
        level_asked=Level.CLEAR,
        level_reached=Level.CLEAR,
        passes=tuple(PlannedPass(pattern, reverse=False, verify=False) for pattern in patterns),
        verification=Verification.FULL,
        hash_extent_bytes=1 << 30,
        needs_markers=False,
        notes=("the whole drive is read back",),
    )
    return replace(plan, **changes)


def a_reading(pass_number: int, **changes: Any) -> VerificationEvidence:
    tree = HashTree(1 << 30, 18627, bytes(range(32)))
    return replace(VerificationEvidence(pass_number, Verification.FULL, None, a_report(), tree), **changes)


def a_sampling() -> SamplingEvidence:
    return sample(CAPACITY_BYTES, 4096, bytes(32))[1]


def some_markers() -> MarkersEvidence:
    seed = bytes(range(32, 64))
    granularity, places = marker_places(CAPACITY_BYTES, 4096, seed)
    size = sum(place.length_bytes for place in places)
    report = a_report(bytes_done=size, bytes_sent=size, end_position_bytes=size)
    return MarkersEvidence(seed, granularity, len(places), report, report)


def a_pass(number: int = 1, **changes: Any) -> PassState:
    """Complete, in one run."""
    return replace(PassState(number, started=True, runs=(a_report(),), is_complete=True), **changes)


def an_activity(**changes: Any) -> DriveActivity:
    return replace(DriveActivity(1000, 1000, 1000, 0, 3, 3), **changes)


def a_job(patterns: tuple[Pattern, ...] = (RANDOM,), **changes: Any) -> JobState:
    """A job that passed: each pass in one run, the last read back in full."""
    job = JobState(
        request=JobQueued(JOB_ID, "/dev/sdx", "nist-800-88-clear", "operator-7"),
        phase=Phase.PASSED,
        drive=a_drive(),
        plan=a_plan(patterns),
        sights=1,
        passes=tuple(a_pass(number) for number, _ in enumerate(patterns, start=1)),
        final_verification=a_reading(len(patterns)),
        activity=an_activity(),
        other_users=(),
        outcome=Outcome.PASSED,
    )
    return replace(job, **changes)


def a_job_with_everything() -> JobState:
    """Every optional part filled, so that a walk over the leaves meets each field there is."""
    patterns = (Constant(b"\x00\xff"), RANDOM, RANDOM)
    plan = a_plan(patterns, needs_markers=True, verification=Verification.SAMPLED)
    planned = (replace(plan.passes[0], verify=True), replace(plan.passes[1], reverse=True), plan.passes[2])
    cancelled = a_report(end=EndReason.CANCELLED, end_position_bytes=1 << 40, bytes_done=1 << 40)
    resumed = a_report(start_position_bytes=1 << 40, bytes_done=CAPACITY_BYTES - (1 << 40))
    sampling = a_sampling()
    sampled = a_report(bytes_done=sampling.bytes_sampled, end_position_bytes=sampling.bytes_sampled)
    return a_job(
        patterns,
        plan=replace(plan, passes=planned),
        passes=(a_pass(1, runs=(cancelled, resumed)), a_pass(2), a_pass(3)),
        markers=some_markers(),
        restarts=("nothing shows that what was written before had reached the medium",),
        sight_checks=(SightCheck(1, 1 << 40, 0),),
        pass_verifications=(a_reading(1),),
        final_verification=VerificationEvidence(3, Verification.SAMPLED, sampling, sampled, None),
    )


def a_failed_job(count: int = 3) -> JobState:
    """Some sectors could be neither written nor read."""
    written, read = bad_extents(count), bad_extents(count, Operation.READ)
    return a_job(
        phase=Phase.FAILED,
        passes=(a_pass(runs=(a_report(bad_extents=written, bad_bytes=4096 * count),)),),
        final_verification=a_reading(1, report=a_report(bad_extents=read, bad_bytes=4096 * count)),
        outcome=Outcome.FAILED,
        reasons=(Reason("not-written", f"{4096 * count} bytes could not be written in pass 1"),),
    )


def an_issuance(**changes: Any) -> Issuance:
    issuance = Issuance(
        certificate_id=CERTIFICATE_ID,
        issued_at="2026-11-24T07:00:00Z",
        station=Station("rack-3", "hall 2"),
        tool=Tool("eraser", "0.1.0", "deadbeef"),
        times=Times("2026-11-24T06:00:00Z", "2026-11-24T06:59:59.5Z", Nanoseconds(3_599_500_000_000)),
        provenance=Provenance("资产-0042", "returns", "resale", "internal", "none"),
        witness="witness-2",
        commitment=Commitment(SCHEME, bytes(range(100, 132))),
    )
    return replace(issuance, **changes)


def a_certificate(job: JobState | None = None, **changes: Any) -> Certificate:
    return replace(from_job(job or a_job(), an_issuance()), **changes)


def a_document(signer: FileSigner, certificate: Certificate | None = None) -> bytes:
    return seal(to_json(certificate or a_certificate()), signer)


Steps = tuple[str | int, ...]


def leaves(form: Any, steps: Steps = ()) -> Iterator[tuple[Steps, Any]]:
    """Every leaf of a JSON value, empty arrays and objects included, with the way to it."""
    items = form.items() if isinstance(form, dict) else enumerate(form) if isinstance(form, list) else None
    if not form or items is None:
        yield steps, form
        return
    for name, item in items:
        yield from leaves(item, (*steps, name))


def with_leaf(form: Any, steps: Steps, value: Any) -> Any:
    """A deep copy of the form with another value at the end of the steps."""
    result = copy.deepcopy(form)
    place = result
    for step in steps[:-1]:
        place = place[step]
    place[steps[-1]] = value
    return result


def other(value: Any) -> Any:
    """A different value of the same JSON type and, for texts, of the same length where it has one."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return value[:-1] + ("2" if value.endswith("1") else "1")
        case None:
            return 1
        case list():
            return ["added"]
        case _:
            return {"added": 1}
