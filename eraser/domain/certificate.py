"""The certificate: what one job proved about one drive, as it is signed and given away: its form, and how it is read. Pure.

Field by field with sources: docs/certificate.md. It carries no customer data and nothing that was read from a drive. How it
comes from a job is `certifying`; what its facts say of it, `certified`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum, StrEnum
from functools import cache
from operator import is_
from typing import Any

from eraser.domain.commitment import Commitment
from eraser.domain.drive import Drive
from eraser.domain.events import Outcome, Reason
from eraser.domain.evidence import (
    Access,
    BadExtent,
    DriveActivity,
    EndReason,
    Extent,
    FlushProof,
    HashTree,
    SamplingEvidence,
    SightCheck,
)
from eraser.domain.json_form import LATER, Nanoseconds, from_json
from eraser.domain.pattern import Pattern
from eraser.domain.plan import Level
from eraser.domain.printable import is_printable, printable
from eraser.domain.program import Standing, Verification
from eraser.domain.rulebook import Rulebooks
from eraser.errors import UsageError

FORMAT = "eraser certificate"
VERSION = 1


class Technique(StrEnum):
    """How the drive was sanitized."""

    OVERWRITE = "overwrite"


class Direction(StrEnum):
    """Which end a pass began at."""

    FORWARD = "forward"
    REVERSE = "reverse"


@dataclass(frozen=True, slots=True)
class Station:
    """The host that did the work, by the plant's own name for it; `location` may be empty."""

    id: str
    location: str = ""


@dataclass(frozen=True, slots=True)
class Provenance:
    """NIST SP 800-88 Rev. 1 Appendix G's optional fields; empty where nobody said."""

    property_tag: str = ""
    source: str = ""
    destination: str = ""
    confidentiality_before: str = ""
    confidentiality_after: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """The program that did it; `build` tells two builds of one version apart."""

    name: str
    version: str
    build: str


@dataclass(frozen=True, slots=True)
class Sanitization:
    """What was asked for and what may be said of it: no `level_reached` and no `claim` unless it passed."""

    standard: str
    program: str
    title: str
    source: str
    standing: Standing
    technique: Technique
    level_asked: Level
    level_reached: Level | None
    claim: str
    verification_asked: Verification
    markers_required: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BadSectors:
    """Sectors that were given up after retries: the first ones by place, all of them by number."""

    listed: tuple[BadExtent, ...]
    extents_omitted: int
    bytes_total: int


@dataclass(frozen=True, slots=True)
class Run:
    """One transfer, as its report told it; its bad extents are listed with its pass or reading."""

    end: EndReason
    errno: int
    start_position_bytes: int
    end_position_bytes: int
    bytes_done: int
    bytes_sent: int
    failed_bytes_sent: int
    bad_bytes: int
    retries: int
    flushes: int
    flush_proof: FlushProof
    mismatched_sectors: int
    first_mismatches: tuple[int, ...]
    access: Access
    block_bytes: int
    queue_depth: int
    started_at: str
    first_byte: Nanoseconds
    last_byte: Nanoseconds


@dataclass(frozen=True, slots=True)
class CertifiedPass:
    """One overwrite. `bytes_written` counts each byte of the drive once per run that wrote it."""

    number: int
    pattern: Pattern
    direction: Direction
    read_back_asked: bool
    """Whether the program asks that this pass be read back in full before the next."""
    is_complete: bool
    bytes_written: int
    runs: tuple[Run, ...]
    runs_omitted: int
    bad: BadSectors


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading back of the drive against the numbered pass."""

    pass_number: int
    verification: Verification
    sampling: SamplingEvidence | None
    run: Run
    bad: BadSectors
    hash_tree: HashTree | None


@dataclass(frozen=True, slots=True)
class Markers:
    """Distinct markers written and read back before constants, to tell addresses apart."""

    seed: bytes
    granularity_bytes: int
    places: int
    written: Run
    read_back: Run


@dataclass(frozen=True, slots=True)
class LeftExtents:
    """Merged extents in the drive's order: the first ones by place, all of them by number."""

    listed: tuple[Extent, ...]
    extents_omitted: int
    bytes_total: int


@dataclass(frozen=True, slots=True)
class Exceptions:
    """What was left. Old content may still stand in `not_written` and in `hidden_bytes`; `not_read` could not be
    checked.
    """

    not_written: LeftExtents
    not_read: LeftExtents
    hidden_bytes: int


@dataclass(frozen=True, slots=True)
class Times:
    """UTC by the host's clock, which may be set meanwhile, beside the duration by CLOCK_MONOTONIC, which may not."""

    started_at: str
    finished_at: str
    duration: Nanoseconds


@dataclass(frozen=True, slots=True)
class Certificate:
    """One job's certificate, version 1. Nothing in it is an empty promise: what was not done is not there."""

    format: str
    version: int
    certificate_id: str
    job_id: str
    issued_at: str
    station: Station
    drive: Drive
    provenance: Provenance
    sanitization: Sanitization
    passes: tuple[CertifiedPass, ...]
    markers: Markers | None
    sights: int
    """How often the drive came under our claim; more than once after an interruption."""
    restarts: tuple[str, ...]
    """Why the program began again, each time that it did; what was written before is not in this certificate."""
    sight_checks: tuple[SightCheck, ...]
    pass_verifications: tuple[Reading, ...]
    """Those that the program asks for between its passes."""
    final_verification: Reading | None
    """After the last write."""
    activity: DriveActivity | None
    other_users: tuple[str, ...] | None
    entries_omitted: int
    """Of restarts, sight checks and pass verifications together, those left out: the oldest."""
    abandoned: str
    """Why it was given up; empty if it was not."""
    outcome: Outcome
    reasons: tuple[Reason, ...]
    exceptions: Exceptions
    rulebooks: Rulebooks
    """Which claims its evidence bears, and which it does not."""
    operator: str
    """A pseudonymous role, never a person's name."""
    witness: str
    tool: Tool
    times: Times
    commitment: Commitment | None = field(default=None, metadata=LATER)
    """By which the customer can show that it is theirs (`domain/commitment.py`); tells nobody else anything."""


def read(form: Any) -> Certificate:
    """The certificate that this JSON form stands for. Raises UsageError naming what is missing, unknown or wrong."""
    certificate = from_json(Certificate, form, where="certificate")
    if certificate.format != FORMAT or certificate.version != VERSION:
        raise UsageError(f"it is {certificate.format!r} version {certificate.version}, known is {FORMAT!r} {VERSION}")
    _check_identifiers(certificate)
    if _is_flawed(form):
        expect_printable(form, "certificate")
        _check_counts(form, "certificate")
    return certificate


def cleaned(certificate: Certificate) -> Certificate:
    """The same certificate with every text made printable: paths and serials come from outside."""
    result: Certificate = _clean(certificate)
    return result


ID_FORM = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""A UUID."""
UTC_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|\+00:00)")
"""A time of RFC 3339 in UTC."""


def _check_identifiers(certificate: Certificate) -> None:
    if not ID_FORM.fullmatch(certificate.certificate_id):
        raise UsageError(f"certificate.certificate_id: {certificate.certificate_id!r} is no UUID")
    times = certificate.times
    for name, moment in (
        ("issued_at", certificate.issued_at),
        ("started_at", times.started_at),
        ("finished_at", times.finished_at),
    ):
        if not UTC_FORM.fullmatch(moment):
            raise UsageError(f"{name}: {moment!r} is no UTC time of RFC 3339")


def _is_flawed(form: Any) -> bool:
    """Whether a text or a number in it may not stand there: told quickly, and without its place."""
    texts: list[str] = []
    rest = [form]
    for item in rest:
        match item:
            case str():
                texts.append(item)
            case int():
                if item < 0:
                    return True
            case dict():
                rest.extend(item.values())
            case list():
                rest.extend(item)
    return not is_printable("".join(texts))


def expect_printable(form: Any, where: str) -> None:
    """Raises UsageError for a text that holds what does not show as itself."""
    for place, item in _leaves(form, where):
        if isinstance(item, str) and not is_printable(item):
            raise UsageError(f"{place}: it holds characters that do not show as themselves")


def _check_counts(form: Any, where: str) -> None:
    """Nothing counted in a certificate can be negative; a negative count could balance a true one."""
    for place, item in _leaves(form, where):
        if isinstance(item, int) and item < 0:
            raise UsageError(f"{place}: {item} is negative")


def _leaves(form: Any, where: str) -> Iterable[tuple[str, Any]]:
    if isinstance(form, dict):
        for name, item in form.items():
            yield from _leaves(item, f"{where}.{name}")
    elif isinstance(form, list):
        for index, item in enumerate(form):
            yield from _leaves(item, f"{where}[{index}]")
    else:
        yield where, form


def _clean(value: Any) -> Any:
    """The very same value where nothing is to be done, as nearly always."""
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, tuple):
        items = tuple([_clean(item) for item in value])
        return value if all(map(is_, items, value)) else items
    cls: Any = type(value)
    if names := _names_of(cls):
        changed = {name: made for name in names if (made := _clean(found := getattr(value, name))) is not found}
        return replace(value, **changed) if changed else value
    return value


@cache
def _names_of(cls: Any) -> tuple[str, ...]:
    """Of a dataclass's fields; nothing of other types."""
    return tuple(item.name for item in fields(cls)) if is_dataclass(cls) else ()
