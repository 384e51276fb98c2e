"""An audit's report: for machines, for a spreadsheet, and in a few lines for people."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from eraser.audits.records import Verified
from eraser.domain.acceptance import Severity
from eraser.domain.audit import CRITICAL, ByAql, ByDefectRate, Criterion, Item, Record, findings
from eraser.domain.json_form import to_json

COLUMNS = (
    "entry",
    "certificate_id",
    "result",
    "is_critical",
    "message",
    "drive",
    "bytes_read",
    "extents_read",
    "extents",
    "extents_differing",
    "independent_reader",
    "independent_bytes",
)
_MAX_SHOWN = 20


def criterion_words(criterion: Criterion) -> str:
    """Such as `ISO 2859-1, AQL 0.65, level II, normal inspection`."""
    match criterion:
        case ByAql():
            severity = Severity(criterion.severity).value
            return f"ISO 2859-1, AQL {criterion.aql}, level {criterion.level.value}, {severity} inspection"
        case ByDefectRate():
            return f"hypergeometric, {percent(criterion.defect_rate_ppm)} % nonconforming, Ac {criterion.accepts}"


def percent(ppm: int) -> str:
    """Parts per million as a percentage, exact, such as `0.65`."""
    return f"{ppm // 10_000}.{ppm % 10_000:04}".rstrip("0").rstrip(".")


def summary(record: Record) -> dict[str, Any]:
    """The numbers, and what was found."""
    verdict, plan = record.verdict, record.plan
    return {
        "audit_id": record.audit_id,
        "done_at": record.done_at,
        "auditor": record.auditor,
        "result": "accepted" if verdict.is_accepted else "rejected",
        "log": {"origin": plan.log.origin, "drawn_from": plan.log.size, "as_of": record.log.size},
        "issued_from": plan.issued_from,
        "issued_before": plan.issued_before,
        "criterion": criterion_words(plan.criterion),
        "nonce": plan.nonce.hex(),
        "population": plan.population,
        "undated_members": plan.undated_members,
        "n": verdict.sampled,
        "ac": verdict.accepts,
        "re": verdict.rejects,
        "found": verdict.found,
        "critical": verdict.critical,
        "drives_read": verdict.drives_read,
        "confidence_percent": percent(plan.confidence_ppm),
        "at_most_nonconforming": verdict.most_defective,
        "at_most_percent": percent(verdict.most_defective_ppm),
        "findings": [
            {"certificate_id": item.certificate_id, "codes": list(codes), "message": item.message}
            for item in record.items
            if (codes := findings(item))
        ],
    }


def json_report(verified: Verified) -> bytes:
    """The numbers, then the whole record as it was signed, and by which keys."""
    form = {**summary(verified.record), "key_ids": list(verified.key_ids), "record": to_json(verified.record)}
    return json.dumps(form, ensure_ascii=False, indent=1).encode() + b"\n"


def csv_report(record: Record) -> bytes:
    """One line for each of the sample, with a heading (RFC 4180), as UTF-8 with a mark that spreadsheets know."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for member, item in zip(record.plan.sample, record.items, strict=True):
        writer.writerow([member.index, *_row(item)])
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def _row(item: Item) -> list[object]:
    codes, drive = findings(item), item.drive
    extents = drive.extents if drive is not None else None
    return [
        item.certificate_id,
        " ".join(codes) or item.result,
        "yes" if CRITICAL.intersection(codes) else "no",
        _plain(item.message),
        drive.result.value if drive is not None else "",
        drive.bytes_read if drive is not None else "",
        len(extents.chosen) if extents is not None else "",
        extents.extents if extents is not None else "",
        len(extents.differing) if extents is not None else "",
        drive.independent_reader if drive is not None else "",
        drive.independent_bytes if drive is not None else "",
    ]


def _plain(text: str) -> str:
    """A spreadsheet takes a cell that begins so for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _readings(record: Record) -> Iterator[str]:
    """Of the drives of which single extents were read: how many, and what that leaves open."""
    read = [(item.certificate_id, item.drive.extents) for item in record.items if item.drive and item.drive.extents]
    for certificate_id, extents in read[:_MAX_SHOWN]:
        yield (
            f"{certificate_id}: {len(extents.chosen)} of {extents.extents} extents hashed, {len(extents.differing)} differ; "
            f"with 95 % confidence at most {percent(extents.most_differing_ppm)} % of them do"
        )


def lines_of(record: Record, name: str) -> Iterator[str]:
    """For people."""
    verdict, plan = record.verdict, record.plan
    yield f"{'ACCEPTED' if verdict.is_accepted else 'REJECTED'}  {name}: audit {record.audit_id} by {record.auditor}"
    yield (
        f"        {criterion_words(plan.criterion)}: n {verdict.sampled} of {plan.population}, Ac {verdict.accepts}, "
        f"Re {verdict.rejects}; found {verdict.found}, of which critical {verdict.critical}"
    )
    yield (
        f"        with {percent(plan.confidence_ppm)} % confidence at most {verdict.most_defective} of {plan.population} "
        f"({percent(verdict.most_defective_ppm)} %) are nonconforming"
    )
    yield f"        {verdict.drives_read} drives were read again; of the others their certificates alone were checked"
    yield from (f"        {line}" for line in _readings(record))
    wrong = [(item, codes) for item in record.items if (codes := findings(item))]
    for item, codes in wrong[:_MAX_SHOWN]:
        yield f"        {item.certificate_id}: {', '.join(codes)}" + (f": {item.message}" if item.message else "")
    if len(wrong) > _MAX_SHOWN:
        yield f"        and {len(wrong) - _MAX_SHOWN} more"
