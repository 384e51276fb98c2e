"""An audit's report as PDF: what the record says on A4, in Chinese or English, with the signed record attached, and signed."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import typst

from eraser.audits.records import Verified, audit_keys_folder
from eraser.audits.reporting import percent
from eraser.audits.words import AuditWords
from eraser.certificates.pdf import fonts
from eraser.certificates.pdf.signing import open_pdf_signer
from eraser.certificates.pdf.words import Language
from eraser.domain.audit import (
    CONFORMING,
    CRITICAL,
    MISSING,
    Item,
    Plan,
    Record,
    findings,
)

ATTACHMENT = "audit.json"
MAX_TEXT_CHARACTERS = 200
MAX_FINDINGS = 200
MAX_SAMPLE_ROWS = 3200
"""More than any plan of ISO 2859-1 draws."""


def signed_report(verified: Verified, document: bytes, language: Language, keys: Path, now: str) -> bytes:
    """PDF/A-3b, signed as a whole (PAdES B-B) with the key for PDFs in the audits' folder below `keys`, made on first use: a
    page of an audit must not pass for a certificate's. Raises KeyFileError, also where it does not sign `now` (RFC 3339, UTC).
    """
    return open_pdf_signer(audit_keys_folder(keys))(pdf_report(verified, document, language), now)


def pdf_report(verified: Verified, document: bytes, language: Language) -> bytes:
    """PDF/A-3b; `document` is the record's file. The same bytes for the same record, not signed yet."""
    template = files(__package__).joinpath("report.typ").read_bytes()
    faces = typst.Fonts(include_system_fonts=False, font_paths=fonts.font_folders())
    form = report_form(verified, AuditWords(language))
    pdf = typst.Compiler(template, font_paths=faces, ignore_system_fonts=True).compile(
        input=template,
        format="pdf",
        sys_inputs={
            "report": json.dumps(form, ensure_ascii=False),
            "done": verified.record.done_at,
            "document": document.decode(),
        },
        pdf_standards="a-3b",
        timestamp=int(datetime.fromisoformat(verified.record.done_at).timestamp()),
    )
    assert isinstance(pdf, bytes)
    return pdf


def report_form(verified: Verified, words: AuditWords) -> dict[str, Any]:
    """The report's content as JSON for `report.typ`."""
    record = verified.record
    verdict = record.verdict
    outcome = "accepted" if verdict.is_accepted else "rejected"
    numbers = (
        ("n", verdict.sampled),
        ("ac", verdict.accepts),
        ("re", verdict.rejects),
        ("found", verdict.found),
        ("critical", verdict.critical),
        ("drives-read", verdict.drives_read),
    )
    return {
        "language": words.language.value,
        "title": words["title"],
        "subtitle": words.other("title"),
        "accepted": verdict.is_accepted,
        "outcome": words[outcome],
        "outcome_beside": words.other(outcome),
        "meaning": words[f"{outcome}-means"],
        "head": [
            _row("audit", record.audit_id, words, code=True),
            _row("done", record.done_at, words, code=True),
            _row("auditor", record.auditor, words),
        ],
        "numbers": [{**_label(name, words), "number": f"{number:,}"} for name, number in numbers],
        "drawn": {**_label("drawn", words), "rows": [*_drawn(record, words)]},
        "follows": {**_label("follows", words), "lines": [*_follows(record, words)]},
        "findings": {**_label("findings", words), "rows": [*_findings(record, words)], "none": words["none"]},
        "sample": {
            **_label("sample", words),
            "columns": [words["entry"], words["certificate"], words["result"], words["drive"]],
            "rows": [*_sample(record, words)],
        },
        "proof": {
            **_label("proof", words),
            "rows": [_row("keys", " ".join(verified.key_ids), words, code=True)],
            "how": words["how"],
        },
        "page": words["page"],
    }


def _drawn(record: Record, words: AuditWords) -> Iterator[dict[str, Any]]:
    plan = record.plan
    log = f"{plan.log.origin}, {plan.log.size:,} {words['entries']}"
    yield _row("log", log, words)
    yield _row("days", f"{plan.issued_from[:10]} – {_last_day(plan)} (UTC)", words)
    yield _row("criterion", words.criterion(plan.criterion), words)
    yield _row("population", _population(plan, words), words)
    yield _row("nonce", plan.nonce.hex(), words, code=True)
    yield _row("as-of", f"{words['entry']} {record.log.size:,}", words)
    yield _row("root", plan.log.root.hex(), words, code=True)
    yield _row("seed", plan.seed.hex(), words, code=True)


def _population(plan: Plan, words: AuditWords) -> str:
    undated = f" ({plan.undated_members:,} {words['not-shown']})" if plan.undated_members else ""
    return f"{plan.population:,}{undated}"


def _follows(record: Record, words: AuditWords) -> Iterator[str]:
    verdict, plan = record.verdict, record.plan
    most, share = verdict.most_defective, percent(verdict.most_defective_ppm)
    yield words["bound"].format(percent(plan.confidence_ppm), f"{plan.population:,}", f"{most:,}", share)
    yield words["bound-drives"].format(f"{verdict.drives_read:,}")
    read = [item.drive.extents for item in record.items if item.drive is not None and item.drive.extents is not None]
    if read:
        share = percent(max(item.most_differing_ppm for item in read))
        yield words["bound-extents"].format(f"{len(read):,}", share)


def _findings(record: Record, words: AuditWords) -> Iterator[dict[str, Any]]:
    wrong = [(item, codes) for item in record.items if (codes := findings(item))]
    for item, codes in wrong[:MAX_FINDINGS]:
        said = "; ".join(words.result(code) for code in codes)
        yield {
            "certificate": item.certificate_id,
            "text": _text(said),
            "message": "" if item.result == MISSING else _text(item.message),
            "critical": bool(CRITICAL.intersection(codes)),
        }


def _sample(record: Record, words: AuditWords) -> Iterator[dict[str, Any]]:
    pairs = zip(record.plan.sample, record.items, strict=True)
    for member, item in list(pairs)[:MAX_SAMPLE_ROWS]:
        yield {
            "cells": [f"{member.index:,}", item.certificate_id, words.result(item.result), _drive(item, words)],
            "good": item.result == CONFORMING and not findings(item),
        }


def _drive(item: Item, words: AuditWords) -> str:
    if item.drive is None:
        return "—"
    result, extents = words.result(item.drive.result.value), item.drive.extents
    if extents is None:
        return result
    return f"{result}, " + words["extents"].format(f"{len(extents.chosen):,}", f"{extents.extents:,}")


def _label(name: str, words: AuditWords) -> dict[str, str]:
    return {"label": words[name], "beside": words.beside(name)}


def _row(name: str, text: str, words: AuditWords, *, code: bool = False) -> dict[str, Any]:
    return {**_label(name, words), "text": _text(text), "code": code}


def _text(text: str) -> str:
    """As the page can show it."""
    return fonts.shown(text if len(text) <= MAX_TEXT_CHARACTERS else text[:MAX_TEXT_CHARACTERS] + "…")


def _last_day(plan: Plan) -> str:
    last = datetime.fromisoformat(plan.issued_before) - timedelta(microseconds=1)
    return last.date().isoformat()
