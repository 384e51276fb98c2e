"""What is said of a genuine document that is no certificate: a sentence for people, members for machines, its drive."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eraser.certificates.lot_summary import LotSummary, Standing
from eraser.domain.control import Control
from eraser.domain.destruction import Destruction
from eraser.domain.log_entry import EntryKind
from eraser.domain.withdrawal import Withdrawal
from eraser.log.removal import RemovalRecord
from eraser.log.restart import Restart

if TYPE_CHECKING:  # its tables are for whoever reads an audit
    from eraser.domain.audit import Record

LOT = "lot"
"""The summary of a lot, which the log has no entry of."""


@dataclass(frozen=True, slots=True)
class _Words:
    sentence: Callable[[Any], str]
    form: Callable[[Any], dict[str, Any]]
    drives: Callable[[Any], set[str]] | None = None
    """All names of the one drive that it is of; None where it is not of one."""


def sentence_of(kind: str, record: Any) -> str:
    """As in "genuine …"."""
    return _WORDS[kind].sentence(record)


def form_of(kind: str, record: Any) -> dict[str, Any]:
    """Members of what `eraser certificate verify --json` prints."""
    return _WORDS[kind].form(record)


def drive_names(kind: str, record: Any) -> set[str] | None:
    """The names of its drive; None where it is not of one drive."""
    names = _WORDS[kind].drives
    return names(record) if names is not None else None


def _withdrawal(record: Withdrawal) -> str:
    return f"withdrawal of {record.certificate_id}, at {record.withdrawn_at}: {record.reason}"


def _withdrawal_form(record: Withdrawal) -> dict[str, Any]:
    said = {"at": record.withdrawn_at, "reason": record.reason}
    return {"certificate_id": record.certificate_id, "withdraws": said}


def _destruction(record: Destruction) -> str:
    name = record.drive.serial or record.drive.world_wide_name or record.drive.asset_tag
    return f"destruction record: {name}: DESTROYED at {record.destroyed_at}: {record.how}"


def _destruction_form(record: Destruction) -> dict[str, Any]:
    destroyed = {"id": record.destruction_id, "at": record.destroyed_at, "how": record.how}
    return {"outcome": record.outcome, "serial": record.drive.serial, "destruction": destroyed}


def _control(record: Control) -> str:
    found = f"{record.test.value} control of {record.ended_at}: {record.drive.label}: {record.outcome.value.upper()}"
    return found + (", as it must" if record.is_good else ", which it MUST NOT")


def _control_form(record: Control) -> dict[str, Any]:
    control = {
        "id": record.control_id,
        "at": record.ended_at,
        "test": record.test.value,
        "as_expected": record.is_good,
    }
    return {"outcome": record.outcome.value, "serial": record.drive.serial, "control": control}


def _audit(record: "Record") -> str:
    found = record.verdict
    said = "ACCEPTED" if found.is_accepted else "REJECTED"
    drawn = f"{found.sampled} of {record.plan.population} certificates looked at, {found.found} nonconforming"
    return f"audit by {record.auditor} of {record.done_at}: {said}: {drawn}"


def _audit_form(record: "Record") -> dict[str, Any]:
    found = record.verdict
    audit = {
        "id": record.audit_id,
        "at": record.done_at,
        "auditor": record.auditor,
        "accepted": found.is_accepted,
        "population": record.plan.population,
        "sampled": found.sampled,
        "found": found.found,
        "critical": found.critical,
    }
    return {"audit": audit}


def _of_the_log(record: Restart | RemovalRecord) -> str:
    return f"record of the log {record.origin}: {record.sentence()}"


def _restart_form(record: Restart) -> dict[str, Any]:
    said = {"lost": record.lost_size, "resumed": record.resumed_size, "at": record.at, "reason": record.reason}
    return {"restart": {"origin": record.origin} | said}


def _removal_form(record: RemovalRecord) -> dict[str, Any]:
    said = {"before": record.before, "at": record.at, "rows": dict(record.rows), "sha256": record.digest}
    return {"removal": {"origin": record.origin} | said}


def _lot(record: LotSummary) -> str:
    counts = ", ".join(f"{record.count(item)} {item.value}" for item in Standing if record.count(item))
    without = record.drives_without_certificate
    missing = f", {without} drives WITHOUT CERTIFICATE" if without else ""
    head = f"summary of lot {record.lot_id}, made at {record.made_at}: {record.drives_received} drives received: "
    return head + (counts or "no certificate") + missing


def _lot_form(record: LotSummary) -> dict[str, Any]:
    lot = {
        "id": record.lot_id,
        "made_at": record.made_at,
        "drives_received": record.drives_received,
        "drives_without_certificate": record.drives_without_certificate,
        **{item.value: record.count(item) for item in Standing},
    }
    return {"lot": lot}


_WORDS = {
    EntryKind.WITHDRAWAL.value: _Words(_withdrawal, _withdrawal_form),
    EntryKind.DESTRUCTION.value: _Words(
        _destruction,
        _destruction_form,
        lambda record: {record.drive.serial, record.drive.world_wide_name, record.drive.asset_tag},
    ),
    EntryKind.CONTROL.value: _Words(
        _control, _control_form, lambda record: {record.drive.serial, record.drive.world_wide_name}
    ),
    EntryKind.AUDIT.value: _Words(_audit, _audit_form),
    EntryKind.RESTART.value: _Words(_of_the_log, _restart_form),
    EntryKind.REMOVAL.value: _Words(_of_the_log, _removal_form),
    LOT: _Words(_lot, _lot_form),
}
