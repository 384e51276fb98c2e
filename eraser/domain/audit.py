"""An audit: which of a log's certificates are looked at, what was found, and what follows. Pure.

The plan is fixed before anything is looked at, and follows from what it names: anybody who has the log draws it again. The
record holds the plan and what was found; its verdict is computed from them and believed only where it is the same.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from typing import Any, ClassVar

from eraser.domain.acceptance import AcceptancePlan, InspectionLevel, Severity, acceptance_plan, next_severity
from eraser.domain.blind_draw import AUDIT, drawn, seed_of
from eraser.domain.certificate import ID_FORM, UTC_FORM, Tool, expect_printable
from eraser.domain.chosen_extents import ExtentReading
from eraser.domain.defect_rate import MILLION, most_defective, sample_size
from eraser.domain.evidence import SamplingEvidence
from eraser.domain.json_form import LATER, from_json
from eraser.errors import UsageError

PLAN_FORMAT = "eraser audit plan"
FORMAT = "eraser audit"
VERSION = 1
USUAL_CONFIDENCE_PPM = 950_000
CONFORMING = "conforming"
MAX_POPULATION = 10**7
"""More than any plant erases while anybody remembers; a plan that says more would only take long to be refused."""


@dataclass(frozen=True, slots=True)
class ByAql:
    """Single sampling of ISO 2859-1."""

    kind: ClassVar[str] = "iso-2859-1"
    aql: str
    level: InspectionLevel
    severity: Severity


@dataclass(frozen=True, slots=True)
class ByDefectRate:
    """So many that, were that share of the population nonconforming or more, it would be accepted with a probability of at most
    1 - confidence.
    """

    kind: ClassVar[str] = "hypergeometric"
    defect_rate_ppm: int
    accepts: int


Criterion = ByAql | ByDefectRate


@dataclass(frozen=True, slots=True)
class LogHead:
    """The log that is drawn from, as its checkpoint says it."""

    origin: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Member:
    """A certificate as an entry of the log: its number from 0, its id, and the SHA-256 of what was signed."""

    index: int
    certificate_id: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Entries:
    """Entries of the log that follow each other: from `first` up to, not including, `behind`."""

    first: int
    behind: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Version 1."""

    format: str
    version: int
    log: LogHead
    checkpoint: bytes
    """The signed note that says so."""
    nonce: bytes
    issued_from: str
    """The population: certificates issued from this moment on, RFC 3339 in UTC, ..."""
    issued_before: str
    """... and before this one, not withdrawn as of the checkpoint."""
    criterion: Criterion
    confidence_ppm: int
    """Of the statement that the record makes."""
    members: tuple[Entries, ...]
    """The population, in the log's order and in as few pieces as can be."""
    undated_members: int
    """Of them, those whose certificate was not at hand when this was drawn, and which nothing shows to be of other days."""
    letter: str
    """The code letter of ISO 2859-1; empty for the other kind."""
    sample_size: int
    accepts: int
    seed: bytes
    sample: tuple[Member, ...]
    """In the log's order."""

    @property
    def population(self) -> int:
        """How many certificates are drawn from."""
        return sum(item.behind - item.first for item in self.members)


class DriveResult(StrEnum):
    """What became of a sampled drive that was at hand."""

    HOLDS = "drive-holds"
    DIFFERS = "drive-differs"
    HASH_DIFFERS = "drive-hash-differs"
    READER_DIFFERS = "independent-reader-differs"
    """The reader that is not ours found something else than the certificate says."""
    UNREADABLE = "drive-unreadable"
    INCOMPLETE = "drive-not-read-to-the-end"
    WRITTEN_MEANWHILE = "drive-written-meanwhile"
    AS_FAILED = "drive-as-its-failed-certificate"
    """Its certificate says that the erasure failed, and it is as that says."""


@dataclass(frozen=True, slots=True)
class DriveReading:
    """A sampled drive, read again. Without `sampling` and `extents`, all of it was read."""

    result: DriveResult
    bytes_read: int
    sampling: SamplingEvidence | None
    independent_reader: str
    """The programs, such as `dd, openssl, cmp`; empty where they read nothing."""
    independent_places: int
    independent_bytes: int
    extents: ExtentReading | None = field(default=None, metadata=LATER)
    """Where single extents were held against their leaves."""


@dataclass(frozen=True, slots=True)
class Item:
    """One of the sample. `result` is `conforming`, or the code of what is wrong with the document; `message` tells it."""

    certificate_id: str
    result: str
    message: str
    drive: DriveReading | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`most_defective` of the population may be nonconforming for all that was found, at the plan's confidence."""

    is_accepted: bool
    sampled: int
    accepts: int
    rejects: int
    found: int
    critical: int
    """Of those found, the ones that no acceptance number excuses."""
    drives_read: int
    most_defective: int
    most_defective_ppm: int
    """Of the population, rounded up."""


@dataclass(frozen=True, slots=True)
class Record:
    """An audit that was done, version 1: what is signed."""

    format: str
    version: int
    audit_id: str
    done_at: str
    auditor: str
    """A pseudonymous role or an organisation, never a person's name; did not erase what was sampled."""
    log: LogHead
    """As of which it was known whether something was withdrawn."""
    plan: Plan
    items: tuple[Item, ...]
    verdict: Verdict
    tool: Tool


MISSING = "missing"
NOT_THE_LOGGED = "not-the-logged"
WITHDRAWN = "withdrawn"

CRITICAL = frozenset(
    {
        "altered",
        "contradictory",
        "duplicate",
        "unknown-key",
        "not-in-log",
        "log-rewritten",
        NOT_THE_LOGGED,
        DriveResult.DIFFERS.value,
        DriveResult.HASH_DIFFERS.value,
        DriveResult.READER_DIFFERS.value,
    }
)
"""Findings that mean a forged certificate or an erasure that did not happen: one is too many, whatever the table accepts. ISO
2859-1 leaves critical nonconformities to whoever asks for the inspection."""
_GOOD = frozenset({DriveResult.HOLDS, DriveResult.AS_FAILED})


def findings(item: Item) -> tuple[str, ...]:
    """The codes of what is nonconforming, of the document first; empty for a conforming one."""
    document = () if item.result == CONFORMING else (item.result,)
    drive = () if item.drive is None or item.drive.result in _GOOD else (item.drive.result.value,)
    return document + drive


def fixed_plan(
    head: LogHead,
    checkpoint: bytes,
    nonce: bytes,
    days: tuple[str, str],
    criterion: Criterion,
    confidence_ppm: int,
    members: Sequence[int],
    member_of: Callable[[int], Member],
    *,
    undated_members: int = 0,
) -> Plan:
    """Draws from the entries of these numbers, which ascend. The same for the same arguments, on every machine.

    Raises UsageError for an empty population.
    """
    how = _acceptance(criterion, len(members), confidence_ppm)
    seed = seed_of(AUDIT, nonce, head.root, head.size)
    chosen = drawn(members, how.sample_size, AUDIT, seed)
    return Plan(
        format=PLAN_FORMAT,
        version=VERSION,
        log=head,
        checkpoint=checkpoint,
        nonce=nonce,
        issued_from=days[0],
        issued_before=days[1],
        criterion=criterion,
        confidence_ppm=confidence_ppm,
        members=_pieces(members),
        undated_members=undated_members,
        letter=how.letter,
        sample_size=how.sample_size,
        accepts=how.accepts,
        seed=seed,
        sample=tuple(member_of(number) for number in sorted(chosen)),
    )


def _pieces(indexes: Sequence[int]) -> tuple[Entries, ...]:
    if not indexes:
        return ()
    breaks = [place for place in range(1, len(indexes)) if indexes[place] != indexes[place - 1] + 1]
    starts, ends = [0, *breaks], [*breaks, len(indexes)]
    return tuple(Entries(indexes[one], indexes[other - 1] + 1) for one, other in zip(starts, ends, strict=True))


def _acceptance(criterion: Criterion, population: int, confidence_ppm: int) -> AcceptancePlan:
    if not population:
        raise UsageError(
            "no certificate of these days is in the log", remedy="Are these its days, and its certificates?"
        )
    if not 0 < confidence_ppm < MILLION:
        raise UsageError("a level of confidence lies between 0 and 1")
    match criterion:
        case ByAql():
            return acceptance_plan(population, criterion.aql, criterion.level, criterion.severity)
        case ByDefectRate():
            size = sample_size(population, criterion.defect_rate_ppm, confidence_ppm, criterion.accepts)
            return AcceptancePlan("", size, criterion.accepts)


def verdict(plan: Plan, items: Sequence[Item]) -> Verdict:
    """What follows from what was found."""
    wrong = [codes for item in items if (codes := findings(item))]
    critical = sum(1 for codes in wrong if CRITICAL.intersection(codes))
    most = most_defective(plan.population, plan.sample_size, len(wrong), plan.confidence_ppm)
    return Verdict(
        is_accepted=len(wrong) <= plan.accepts and not critical,
        sampled=len(items),
        accepts=plan.accepts,
        rejects=plan.accepts + 1,
        found=len(wrong),
        critical=critical,
        drives_read=sum(1 for item in items if item.drive is not None),
        most_defective=most,
        most_defective_ppm=-(-most * MILLION // plan.population),
    )


def next_severities(records: Sequence[Record]) -> dict[tuple[str, InspectionLevel], Severity | None]:
    """By AQL and level, what the next audit inspects with after these, the oldest first (ISO 2859-1 §9.3); None where
    inspection is to be discontinued until something was done (§9.4).
    """
    stories: dict[tuple[str, InspectionLevel], tuple[Severity, list[bool]]] = {}
    for item in records:
        if isinstance(by := item.plan.criterion, ByAql):
            severity, accepted = stories.get((by.aql, by.level), (by.severity, []))
            if severity is not by.severity:
                accepted = []
            stories[by.aql, by.level] = (by.severity, [*accepted, item.verdict.is_accepted])
    return {key: next_severity(severity, accepted) for key, (severity, accepted) in stories.items()}


def read_plan(form: Any) -> Plan:
    """The plan that this JSON form stands for. Raises UsageError naming what is missing, unknown or wrong."""
    plan = from_json(Plan, form, where="plan")
    if plan.format != PLAN_FORMAT or plan.version != VERSION:
        raise UsageError(f"it is {plan.format!r} version {plan.version}, known is {PLAN_FORMAT!r} {VERSION}")
    expect_printable(form, "plan")
    if against := "; ".join(_against_plan(plan)):
        raise UsageError(f"the plan contradicts itself: {against}", remedy="Draw it anew.")
    return plan


def read(form: Any) -> Record:
    """The record that this JSON form stands for. Raises UsageError also where its verdict does not follow from it."""
    record = from_json(Record, form, where="audit")
    if record.format != FORMAT or record.version != VERSION:
        raise UsageError(f"it is {record.format!r} version {record.version}, known is {FORMAT!r} {VERSION}")
    if not ID_FORM.fullmatch(record.audit_id) or not UTC_FORM.fullmatch(record.done_at):
        raise UsageError("an audit has a UUID and a UTC time of RFC 3339")
    expect_printable(form, "audit")
    read_plan(form["plan"])
    if [item.certificate_id for item in record.items] != [item.certificate_id for item in record.plan.sample]:
        raise UsageError("the audit's items are not the plan's sample, each once and in its order")
    if record.log.origin != record.plan.log.origin or record.log.size < record.plan.log.size:
        raise UsageError("it was done as of another log, or of an earlier one than was drawn from")
    if record.verdict != verdict(record.plan, record.items):
        raise UsageError("the audit's verdict does not follow from what it found")
    if not record.auditor.strip():
        raise UsageError("an audit says who did it")
    return record


def _against_plan(plan: Plan) -> Iterator[str]:
    """What can be seen without the log: whether the seed is the nonce's, and all else follows from seed and criterion."""
    if not UTC_FORM.fullmatch(plan.issued_from) or not UTC_FORM.fullmatch(plan.issued_before):
        yield "its days are no times of RFC 3339"
    places = [0, *chain.from_iterable((item.first, item.behind) for item in plan.members), plan.log.size]
    if places != sorted(places) or not all(item.first < item.behind for item in plan.members):
        yield "its population is not in the log's order"
        return  # nothing can be drawn from it
    if plan.population > MAX_POPULATION:
        yield f"its population is of more than {MAX_POPULATION:,}"
        return
    if plan.seed != seed_of(AUDIT, plan.nonce, plan.log.root, plan.log.size):
        yield "its seed is not that of its nonce and its log"
    how = _acceptance(plan.criterion, plan.population, plan.confidence_ppm)
    if (plan.letter, plan.sample_size, plan.accepts) != (how.letter, how.sample_size, how.accepts):
        yield "its sample size or acceptance number is not the criterion's"
    members = [index for item in plan.members for index in range(item.first, item.behind)]
    chosen = drawn(members, min(plan.sample_size, len(members)), AUDIT, plan.seed)
    if [item.index for item in plan.sample] != sorted(chosen):
        yield "its sample is not the one that its seed draws"
