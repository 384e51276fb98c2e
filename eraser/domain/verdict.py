"""Whether a job passed: computed from its facts, never kept beside them.

Everything must be shown. Whatever is missing, partial or contradictory is a reason to fail, and each reason has a name.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from eraser.domain.drive import Drive, Transport
from eraser.domain.events import Outcome, Reason
from eraser.domain.evidence import (
    BadExtent,
    DriveActivity,
    EndReason,
    MarkersEvidence,
    SightCheck,
    TransferReport,
    VerificationEvidence,
)
from eraser.domain.plan import Plan
from eraser.domain.program import Verification


@dataclass(frozen=True, slots=True)
class PassFacts:
    """One pass as it was written, perhaps in several runs."""

    number: int
    runs: tuple[TransferReport, ...]
    """Those that came to a reported end; a run that died with its host left only its checkpoints."""
    is_complete: bool
    """Whether every byte of the drive was covered and flushed."""
    lost_bad_extents: tuple[BadExtent, ...]
    """Found by a run that died without a report, as far as its checkpoints told."""
    bad_bytes: int
    """All bytes given up in this pass."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the verdict rests on."""

    drive: Drive
    plan: Plan
    sights: int
    """How often we took the drive's claim for this job: more than once means that it was out of our sight in between."""
    passes: tuple[PassFacts, ...]
    markers: MarkersEvidence | None
    sight_checks: tuple[SightCheck, ...]
    """Since the program last began."""
    restarts: tuple[str, ...]
    """Why all passes began again, each time they did."""
    pass_verifications: tuple[VerificationEvidence, ...]
    """Those that the program asks for between its passes."""
    final_verification: VerificationEvidence | None
    """The reading back after the last write, in the same sight as this verdict."""
    activity: DriveActivity | None
    """The kernel's counters from the first write of this sight to the end of verification."""
    abandoned: str
    """Why it was given up; empty if it was not."""


def judge(facts: Facts) -> tuple[Outcome, tuple[Reason, ...]]:
    """*Passed* with no reason, or *failed* with all of them."""
    reasons = tuple(_reasons(facts))
    return (Outcome.FAILED, reasons) if reasons else (Outcome.PASSED, ())


def _reasons(facts: Facts) -> Iterator[Reason]:
    if facts.abandoned:
        yield Reason("abandoned", f"given up: {facts.abandoned}")
    yield from _hidden(facts.drive)
    yield from _markers(facts)
    yield from _passes(facts)
    yield from _sight(facts)
    yield from _pass_verifications(facts)
    yield from _final_verification(facts)
    yield from _activity(facts)


def _hidden(drive: Drive) -> Iterator[Reason]:
    if drive.geometry.hidden_bytes > 0:
        yield Reason(
            "hidden-area",
            f"the drive says that it has {drive.geometry.hidden_bytes} bytes more than the system shows; they were not reached",
        )
    elif drive.geometry.hidden_areas:
        yield Reason(
            "hidden-area", f"the drive hides an area ({', '.join(drive.geometry.hidden_areas)}); it was not reached"
        )


def _markers(facts: Facts) -> Iterator[Reason]:
    if not facts.plan.needs_markers:
        return
    markers = facts.markers
    if markers is None:
        yield Reason("markers-missing", "the markers that show distinct addresses were not written and read back")
        return
    for report in (markers.written, markers.read_back):
        yield from _incomplete(report, "the markers")
        if report.bad_bytes:
            yield Reason(
                "markers-missing", f"{report.bad_bytes} bytes of the markers could not be written or read back"
            )
    if markers.read_back.mismatched_sectors:
        yield Reason(
            "markers-differ",
            f"{markers.read_back.mismatched_sectors} sectors of the markers did not come back as written: "
            "the drive does not keep what it is given at each address",
        )


def _passes(facts: Facts) -> Iterator[Reason]:
    if len(facts.passes) != len(facts.plan.passes):
        yield Reason("passes-missing", f"{len(facts.passes)} of {len(facts.plan.passes)} passes are on record")
    for item in facts.passes:
        if not item.is_complete:
            why = f": {item.runs[-1].end.value}" if item.runs and item.runs[-1].end is not EndReason.COMPLETED else ""
            yield Reason(_end_code(item.runs), f"pass {item.number} did not cover the whole drive{why}")
        if item.bad_bytes:
            yield Reason("not-written", f"{item.bad_bytes} bytes could not be written in pass {item.number}")


def _end_code(runs: tuple[TransferReport, ...]) -> str:
    end = runs[-1].end if runs else EndReason.COMPLETED
    return (
        "pass-incomplete" if end in (EndReason.COMPLETED, EndReason.CANCELLED) else end.name.lower().replace("_", "-")
    )


def _sight(facts: Facts) -> Iterator[Reason]:
    for check in facts.sight_checks:
        if check.mismatched_sectors:
            yield Reason(
                "changed-out-of-sight",
                f"{check.mismatched_sectors} sectors written before pass {check.pass_number} was resumed are no longer there",
            )


def _pass_verifications(facts: Facts) -> Iterator[Reason]:
    by_number = {item.pass_number: item for item in facts.pass_verifications}
    for number, planned in enumerate(facts.plan.passes[:-1], start=1):
        if planned.verify and number not in by_number:
            yield Reason("verification-missing", f"pass {number} was not read back, as the program asks")
    for item in facts.pass_verifications:
        yield from _verification(item)


def _final_verification(facts: Facts) -> Iterator[Reason]:
    required = required_verification(facts.plan, facts.sights)
    if required is Verification.NONE:
        return
    found = facts.final_verification
    if found is None:
        yield Reason("verification-missing", "the drive was not read back after the last write")
        return
    if required is Verification.FULL and found.kind is not Verification.FULL:
        yield Reason("verification-missing", "the drive was read back in part where it has to be read in full")
    if found.pass_number != len(facts.plan.passes):
        yield Reason("verification-missing", "what was read back was not the last pass")
    if found.kind is Verification.FULL and found.report.bytes_done != facts.drive.geometry.capacity_bytes:
        yield Reason("verification-incomplete", f"{found.report.bytes_done} bytes were read back, the drive has more")
    if found.kind is Verification.SAMPLED and (
        found.sampling is None or found.report.bytes_done != found.sampling.bytes_sampled
    ):
        yield Reason("verification-incomplete", "not all of the sampled places were read back")
    yield from _verification(found)


def _verification(found: VerificationEvidence) -> Iterator[Reason]:
    yield from _incomplete(found.report, f"verification of pass {found.pass_number}")
    if found.report.bad_bytes:
        yield Reason("not-verified", f"{found.report.bad_bytes} bytes could not be read back")
    if found.report.mismatched_sectors:
        yield Reason("mismatch", f"{found.report.mismatched_sectors} sectors do not hold what was written")


def _incomplete(report: TransferReport, what: str) -> Iterator[Reason]:
    if report.end is not EndReason.COMPLETED:
        yield Reason(report.end.name.lower().replace("_", "-"), f"{what} did not come to its end: {report.end.value}")


def _activity(facts: Facts) -> Iterator[Reason]:
    if facts.drive.transport is Transport.IMAGE:
        return
    if facts.activity is None:
        yield Reason(
            "activity-unknown", "the kernel's counters of the drive are missing, so nobody knows who else wrote"
        )
        return
    seen, ours = facts.activity.sectors_written_seen, facts.activity.sectors_written_ours_least
    if facts.activity.has_foreign_writes:
        yield Reason(
            "foreign-write",
            f"the drive took {seen} sectors, ours are {ours}: somebody else wrote, or not all of ours went out",
        )
    if facts.activity.has_lost_flushes:
        yield Reason(
            "flush-lost",
            f"{facts.activity.flushes_expected} flushes were asked for, {facts.activity.flushes_seen} went out to the drive",
        )


def required_verification(plan: Plan, sights: int) -> Verification:
    """What has to be read back: as planned, but in full once the drive was out of our sight."""
    return plan.verification if sights <= 1 else Verification.FULL
