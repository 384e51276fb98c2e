"""Doing an audit: each certificate of the sample is checked as any verifier does, and what was found adds up to a verdict."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from eraser.audits.population import Document, Documents, Logged
from eraser.certificates.checking import Check, Held, check_all
from eraser.domain.audit import (
    CONFORMING,
    FORMAT,
    MISSING,
    NOT_THE_LOGGED,
    VERSION,
    WITHDRAWN,
    DriveReading,
    Item,
    LogHead,
    Member,
    Plan,
    Record,
    verdict,
)
from eraser.domain.certificate import Certificate, Tool
from eraser.domain.printable import printable
from eraser.errors import Refused

MAX_MESSAGE_CHARACTERS = 600
OWN_WORK = "own-work"


@dataclass(frozen=True, slots=True)
class Checked:
    """A certificate of the sample; `certificate` is None where there is none that may be believed."""

    member: Member
    result: str
    message: str
    certificate: Certificate | None


def check_documents(plan: Plan, documents: Documents, now: Logged, held: Held) -> tuple[Checked, ...]:
    """The sample in its order. `now` is the newest log that is known, which may have withdrawn something since."""
    at_hand = {item.certificate_id: _at_hand(item, documents) for item in plan.sample}
    paths = sorted({found.path for found in at_hand.values() if found is not None})
    checks = {check.path: check for check in check_all(paths, held)}
    return tuple(
        _checked(item, found, checks[found.path] if found is not None else None, now)
        for item in plan.sample
        for found in (at_hand[item.certificate_id],)
    )


def refuse_own_work(auditor: str, checked: tuple[Checked, ...]) -> None:
    """Raises Refused where the auditor erased one of the sampled drives, or saw to it as the witness."""
    for item in checked:
        if item.certificate is not None:
            refuse_own(auditor, item.certificate)


def refuse_own(checker: str, certificate: Certificate) -> None:
    """Raises Refused where it is the work of whoever is to check it."""
    names = {_folded(name) for name in (certificate.operator, certificate.witness)} - {""}
    if _folded(checker) in names:
        raise Refused(
            OWN_WORK,
            f"{checker!a} erased this drive or witnessed it, and can't be who checks it",
            subject=certificate.certificate_id,
            remedy="Let somebody else check it.",
        )


def record(
    plan: Plan,
    checked: tuple[Checked, ...],
    drives: Mapping[str, DriveReading],
    *,
    audit_id: str,
    done_at: str,
    auditor: str,
    as_of: LogHead,
    tool: Tool,
) -> Record:
    """What was found, with its verdict; `drives` by their certificates' ids."""
    items = tuple(
        Item(one.member.certificate_id, one.result, one.message, drives.get(one.member.certificate_id))
        for one in checked
    )
    return Record(FORMAT, VERSION, audit_id, done_at, auditor, as_of, plan, items, verdict(plan, items), tool)


def _folded(name: str) -> str:
    return name.strip().casefold()


def _at_hand(item: Member, documents: Documents) -> Document | None:
    return documents.by_digest.get(item.digest) or documents.by_id.get(item.certificate_id)


def _checked(item: Member, found: Document | None, check: Check | None, now: Logged) -> Checked:
    if found is None or check is None:
        return Checked(item, MISSING, "the plant did not show it", None)
    result, message = next(_wrong(item, found, check, now), (CONFORMING, ""))
    certificate = check.certificate if result == CONFORMING else None
    return Checked(item, result, printable(message)[:MAX_MESSAGE_CHARACTERS], certificate)


def _wrong(item: Member, found: Document, check: Check, now: Logged) -> Iterator[tuple[str, str]]:
    """What is wrong with it, the gravest first."""
    if check.error is not None:
        yield check.result, check.error.what
    if found.digest != item.digest:
        yield NOT_THE_LOGGED, "the log has another certificate under this id"
    if item.certificate_id in now.withdrawn:
        yield WITHDRAWN, f"the plant took it back, as of entry {now.head.size} of its log at the latest"
