"""What stands on the pages of a lot's summary: texts in one language, as a JSON value for `lot.typ`. Pure."""

from typing import Any

from eraser.certificates.lot_summary import Listed, LotSummary, Standing
from eraser.certificates.pdf.page import label, moment_text, shown_text, size_text
from eraser.certificates.pdf.words import Words
from eraser.domain.rulebook import Rulebook

_CLAIMS = {Rulebook.GB_46864: "GB 46864", Rulebook.NIST_CLEAR: "NIST Clear", Rulebook.IEEE_CLEAR: "IEEE Clear"}
"""Columns: the rulebooks that overwriting can reach."""
_COLUMNS = ("number", "serial", "model", "result", "method", "claims", "certificate")


def lot_form(summary: LotSummary, words: Words) -> dict[str, Any]:
    """The pages' content."""
    passed, failed = summary.count(Standing.PASSED), summary.count(Standing.FAILED)
    totals = (
        ("drives-received", f"{summary.drives_received:,}"),
        ("passed", f"{passed:,}"),
        ("failed", f"{failed:,}"),
        ("withdrawn", f"{summary.count(Standing.WITHDRAWN):,}"),
        ("replaced", f"{summary.count(Standing.REPLACED):,}"),
        ("without-certificate", f"{summary.drives_without_certificate:,}"),
        ("capacity-passed", size_text(summary.bytes_passed)),
    )
    head = (
        ("lot", summary.lot_id, False),
        ("station", summary.station, False),
        ("made", moment_text(summary.made_at), True),
    )
    return {
        "language": words.language.value,
        "title": words["lot-title"],
        "subtitle": words.other("lot-title"),
        "complete": 0
        < passed
        == summary.drives_received
        == len(summary.certificates) - summary.count(Standing.REPLACED)
        and not summary.drives_without_certificate,
        "head": [{**label(name, words), "text": shown_text(said, words), "code": code} for name, said, code in head],
        "totals": [{**label(name, words), "text": said} for name, said in totals],
        "columns": [label(name, words) for name in _COLUMNS],
        "rows": [_row(number, item, words) for number, item in enumerate(summary.certificates, start=1)],
        "empty": words["lot-empty"],
        "mean": words["lot-means"],
        "page": words["page-of"],
        "lot": shown_text(summary.lot_id, words),
    }


def _row(number: int, item: Listed, words: Words) -> dict[str, Any]:
    level = item.level.capitalize() or words["not-reached"]
    counts = item.standing is Standing.PASSED
    return {
        "number": f"{number}",
        "serial": shown_text(item.serial or "—", words),
        "tag": shown_text(item.property_tag, words),
        "model": shown_text(item.model, words),
        "capacity": size_text(item.capacity_bytes),
        "result": words[item.standing.value],
        "kind": item.standing.value,
        "standard": shown_text(item.standard, words),
        "method": words.listed(level, words["lot-passes"].format(item.passes)),
        "reading": words[f"lot-{item.verification}"],
        "claims": [
            {"name": name, "holds": counts and rulebook in item.rulebooks} for rulebook, name in _CLAIMS.items()
        ],
        "certificate": item.certificate_id,
        "issued": moment_text(item.issued_at),
        "entry": f"{words['log-entry']} {item.index}",
    }
