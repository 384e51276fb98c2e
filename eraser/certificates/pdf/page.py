"""What stands on a certificate's page: facts of the certificate as short texts, in one language. Pure.

The result is a JSON value for `page.typ`, which lays it out. Texts stay texts there; nothing in them is ever markup.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from eraser.certificates.pdf.fonts import shown
from eraser.certificates.pdf.words import MISSING, REASONS, SERIALS_OF_OTHERS, TRANSPORTS, Language, Words
from eraser.domain.certificate import BadSectors, Certificate, CertifiedPass, LeftExtents, Reading, Run
from eraser.domain.events import Outcome
from eraser.domain.evidence import EndReason
from eraser.domain.pattern import Constant, Pattern
from eraser.domain.program import Verification
from eraser.domain.rulebook import Claim

MAX_TEXT_CHARACTERS = 400
MAX_REASONS = 4
MAX_STEPS = 8
"""Rows of passes and readings: the first and the last ones; Gutmann's 35 passes have one page too."""
MAX_MARKS = 400
"""Marks on the strip. Neighbours nearer than a mark's width are drawn as one anyway."""

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


@dataclass(frozen=True, slots=True)
class Seal:
    """What the envelope adds to the certificate: the digest of the signed bytes (hex), and the first signature (Base64)."""

    digest: str
    key_id: str
    signature: str


@dataclass(frozen=True, slots=True)
class _Step:
    """One row of the table: a pass or a reading."""

    name: str
    content: str
    began: str
    seconds: float
    bytes_done: int
    result: str
    is_good: bool


def page_form(certificate: Certificate, seal: Seal, language: Language, check_url: str) -> dict[str, Any]:
    """The page's content as JSON. `check_url` may be empty."""
    words = Words(language)
    passed = certificate.outcome is Outcome.PASSED
    outcome = "passed" if passed else "failed"
    steps = [*_steps(certificate, words)]
    return {
        "language": language.value,
        "title": words["title"],
        "subtitle": words.other("title"),
        "passed": passed,
        "outcome": words[outcome],
        "outcome_beside": words.other(outcome),
        "meaning": words[f"{outcome}-means"],
        "reasons": [] if passed else _reasons(certificate, words),
        "head": _head(certificate, words),
        "drive": _section("drive", words, _drive(certificate, words)),
        "work": _section("work", words, _work(certificate, words)),
        "rulebooks": {
            **label("rulebooks", words),
            "claims": _claims(certificate, words),
            "mean": words["rulebooks-mean"],
        },
        "passes": {
            **_section("passes", words, ()),
            **_table(steps, words),
            "notes": _reading_notes(certificate, words),
        },
        "left": {**_section("left", words, ()), **_left(certificate, words)},
        "who": _section("who", words, _who(certificate, words)),
        "hands": [
            {
                **label("operator", words),
                "name": shown_text(certificate.operator, words),
                "line": words["signature-line"],
            },
            {
                **label("witness", words),
                "name": shown_text(certificate.witness, words),
                "line": words["signature-line"],
            },
        ],
        "proof": {**_section("proof", words, _proof(certificate, seal, words)), "how": words["how"]},
        "scan": words["scan"],
        "check_url": shown_text(check_url, words),
    }


def _section(name: str, words: Words, rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {**label(name, words), "rows": [row for row in rows if row["text"]]}


def label(name: str, words: Words) -> dict[str, str]:
    """A name in this language, and in English beside a Chinese one."""
    return {"label": words[name], "beside": words.beside(name)}


def _row(name: str, text: str, words: Words, *, code: bool = False, strong: bool = False) -> dict[str, Any]:
    return {**label(name, words), "text": shown_text(text, words), "code": code, "strong": strong}


def shown_text(text: str, words: Words) -> str:
    """As the page can show it: every character visible, cut where it is longer than any name."""
    if len(text) > MAX_TEXT_CHARACTERS:
        text = text[:MAX_TEXT_CHARACTERS] + words["cut"]
    return shown(text)


def _head(certificate: Certificate, words: Words) -> list[dict[str, Any]]:
    return [
        _row("certificate", certificate.certificate_id, words, code=True),
        _row("job", certificate.job_id, words, code=True),
        _row("issued", moment_text(certificate.issued_at), words, code=True),
    ]


def _reasons(certificate: Certificate, words: Words) -> list[str]:
    chinese = words.language is Language.CHINESE
    said = [
        shown_text(
            f"{REASONS[reason.code]}：{reason.what}" if chinese and reason.code in REASONS else reason.what, words
        )
        for reason in certificate.reasons[:MAX_REASONS]
    ]
    if (more := len(certificate.reasons) - MAX_REASONS) > 0:
        said.append(f"{more} {words['more-reasons']}")
    return said


def _drive(certificate: Certificate, words: Words) -> Iterable[dict[str, Any]]:
    drive = certificate.drive
    identity, geometry = drive.identity, drive.geometry
    whose = SERIALS_OF_OTHERS.get(identity.serial_source)
    serial = identity.serial + (f" ({words[whose]})" if whose and identity.serial else "")
    transport = TRANSPORTS.get(drive.transport, drive.transport.value)
    yield _row("model", identity.model or drive.path, words, strong=True)
    yield _row("serial", serial, words, code=True, strong=True)
    yield _row("manufacturer", identity.manufacturer, words)
    yield _row("property-tag", certificate.provenance.property_tag, words)
    yield _row(
        "kind",
        words.listed(transport, words[f"media-{drive.media}"], size_text(geometry.capacity_bytes), drive.bridge),
        words,
    )
    yield _row("capacity", f"{geometry.capacity_bytes:,} B", words)
    yield _row(
        "names", " ".join(part for part in (identity.wwn, identity.eui64, identity.nguid) if part), words, code=True
    )
    sectors = f"{geometry.logical_sector_bytes} / {geometry.physical_sector_bytes}"
    yield _row("firmware", identity.firmware, words)
    yield _row("sectors", sectors, words)


def _work(certificate: Certificate, words: Words) -> Iterable[dict[str, Any]]:
    done = certificate.sanitization
    asked = f"{words['asked']} {words[f'level-{done.level_asked}']}"
    reached = words["not-reached"]
    if done.level_reached is not None:
        reached = f"{words['reached']} {words[f'level-{done.level_reached}']}"
    yield _row("standard", done.standard, words)
    yield _row("level", words.listed(reached, asked), words, strong=True)
    yield _row("method", words.listed(words[done.technique.value], done.title), words)
    yield _row("basis", f"{done.source} ({done.standing.value})", words)
    yield _row("claim", done.claim, words)


def _claims(certificate: Certificate, words: Words) -> list[dict[str, Any]]:
    """A row for each rulebook; one row for those that do not hold and say the same."""
    rows: list[dict[str, Any]] = []
    for claim in certificate.rulebooks.claims:
        text = _borne(certificate, words) if claim.holds else _not_claimed(claim, words)
        alike = next((row for row in rows if not row["holds"] and row["text"] == text), None)
        if alike is None:
            rows.append({"name": claim.rulebook.value, "holds": claim.holds, "text": text})
        else:
            alike["name"] += f"; {claim.rulebook.value}"
    return rows


def _borne(certificate: Certificate, words: Words) -> str:
    final = certificate.final_verification
    random = sum(not isinstance(item.pattern, Constant) for item in certificate.passes)
    read = "claim-full" if final is not None and final.verification is Verification.FULL else "claim-sampled"
    return words.listed(words["claim-passes"].format(len(certificate.passes), random), words[read])


def _not_claimed(claim: Claim, words: Words) -> str:
    chinese = words.language is Language.CHINESE
    named = [MISSING.get(item.code, item.what) if chinese else item.what for item in claim.missing]
    return shown_text(words["claim-missing"] + ("、" if chinese else "; ").join(named), words)


def _steps(certificate: Certificate, words: Words) -> Iterable[_Step]:
    checked = {item.pass_number: item for item in certificate.pass_verifications}
    for item in certificate.passes:
        yield _pass_step(item, words)
        if item.number in checked:
            yield _reading_step(checked[item.number], words)
    if certificate.final_verification is not None:
        yield _reading_step(certificate.final_verification, words)


def _pass_step(item: CertifiedPass, words: Words) -> _Step:
    result = [words["complete" if item.is_complete else "incomplete"]]
    if (breaks := len(item.runs) + item.runs_omitted - 1) > 0:
        result.append(words["interrupted"].format(breaks))
    if item.bad.bytes_total:
        result = _but_for(item.bad, words, result, is_rest_good=item.is_complete)
    return _Step(
        name=f"{words['pass']} {item.number}",
        content=_pattern(item.pattern, words) + (" ←" if item.direction.value == "reverse" else ""),
        began=item.runs[0].started_at if item.runs else "",
        seconds=sum(_seconds(run) for run in item.runs),
        bytes_done=item.bytes_written if not item.runs else sum(run.bytes_done for run in item.runs),
        result=words.listed(*result),
        is_good=item.is_complete and not item.bad.bytes_total,
    )


def _reading_step(item: Reading, words: Words) -> _Step:
    ended = item.run.end is EndReason.COMPLETED
    result = [words["matches"] if ended else words["incomplete"]]
    if item.run.mismatched_sectors:
        result = [f"{item.run.mismatched_sectors:,} {words['differs']}"]
    if item.bad.bytes_total:
        is_rest_good = ended and not item.run.mismatched_sectors
        result = _but_for(item.bad, words, result, is_rest_good=is_rest_good)
    return _Step(
        name=f"{words['reading']} {item.pass_number}",
        content=words[f"verification-{item.verification}"],
        began=item.run.started_at,
        seconds=_seconds(item.run),
        bytes_done=item.run.bytes_done,
        result=words.listed(*result),
        is_good=ended and not item.run.mismatched_sectors and not item.bad.bytes_total,
    )


def _but_for(bad: BadSectors, words: Words, result: list[str], *, is_rest_good: bool) -> list[str]:
    """What failed stands first, and a good word is said of the rest alone."""
    first, *more = result
    return [f"{bad.bytes_total:,} {words['bad-bytes']}", words["rest"].format(first) if is_rest_good else first, *more]


def _pattern(pattern: Pattern, words: Words) -> str:
    if not isinstance(pattern, Constant):
        return f"{words['random']} (AES-256-CTR)"
    data = pattern.data[:8].hex(" ").upper()
    return f"{words['constant']} {data}{' …' if len(pattern.data) > 8 else ''}"


def _seconds(run: Run) -> float:
    return max(0, run.last_byte - run.first_byte) / 1e9 if run.first_byte else 0.0


def _table(steps: Sequence[_Step], words: Words) -> dict[str, Any]:
    """Rows with each one's speed as a share of the fastest, for the bar beside the number."""
    half = MAX_STEPS // 2
    listed = [*steps] if len(steps) <= MAX_STEPS else [*steps[:half], None, *steps[-half:]]
    fastest = max((_speed(step) for step in steps), default=0.0)
    rows: list[dict[str, Any]] = []
    for step in listed:
        if step is None:
            rows.append({"more": f"… {len(steps) - 2 * half} {words['more-rows']}"})
            continue
        speed = _speed(step)
        rows.append(
            {
                "cells": [
                    step.name,
                    step.content,
                    moment_text(step.began),
                    _duration(step.seconds),
                    f"{step.bytes_done:,}",
                ],
                "speed": f"{size_text(speed)}/s" if speed else "—",
                "share": speed / fastest if fastest else 0.0,
                "result": step.result,
                "good": step.is_good,
            }
        )
    columns = ("step", "content", "began", "took", "bytes", "speed", "result")
    return {"columns": [label(name, words) for name in columns], "table": rows}


def _speed(step: _Step) -> float:
    return step.bytes_done / step.seconds if step.seconds else 0.0


def _reading_notes(certificate: Certificate, words: Words) -> list[dict[str, Any]]:
    final = certificate.final_verification
    if final is None:
        return [{"text": words["no-reading"], "code": ""}]
    notes = []
    # The bound is of a reading that found no difference; of another one nothing like it can be said.
    is_clean = _reading_step(final, words).is_good
    if final.verification is Verification.SAMPLED and final.sampling is not None and is_clean:
        share = f"{final.sampling.bound_ppb / 1e7:.4f} %"
        text = words["bound"].format(share, f"{final.sampling.places:,}")
        notes.append({"text": text, "code": ""})
    if final.hash_tree is not None:
        notes.append({"text": words["merkle"], "code": final.hash_tree.root.hex()})
    return notes


def _left(certificate: Certificate, words: Words) -> dict[str, Any]:
    """The strip from the drive's first byte to its last, and what it shows in words."""
    left = certificate.exceptions
    capacity = certificate.drive.geometry.capacity_bytes
    lines = [
        f"{words[name]}: {count:,} B"
        for name, count in (
            ("not-written", left.not_written.bytes_total),
            ("not-read", left.not_read.bytes_total),
            ("hidden", left.hidden_bytes),
        )
        if count
    ]
    if certificate.abandoned:
        lines.append(shown_text(f"{words['abandoned']}: {certificate.abandoned}", words))
    nothing = not lines and certificate.outcome is Outcome.PASSED
    return {
        "clean": not lines,
        "lines": lines or [words["nothing-left"] if nothing else "—"],
        "strips": [
            {**label("not-written", words), "marks": _marks(left.not_written, capacity)},
            {**label("not-read", words), "marks": _marks(left.not_read, capacity)},
        ],
        "scale": [words["strip-start"], *(size_text(capacity * part / 4) for part in (1, 2, 3)), size_text(capacity)],
    }


def _marks(left: LeftExtents, capacity_bytes: int) -> list[list[float]]:
    """Start and length of each mark as shares of the drive; those that would touch are one."""
    least = 1 / MAX_MARKS
    marks: list[list[float]] = []
    for extent in left.listed:
        start, end = extent.offset_bytes / capacity_bytes, extent.end_bytes / capacity_bytes
        if marks and start <= marks[-1][0] + max(marks[-1][1], least):
            marks[-1][1] = max(marks[-1][1], end - marks[-1][0])
        else:
            marks.append([min(start, 1.0), end - start])
    return marks


def _who(certificate: Certificate, words: Words) -> Iterable[dict[str, Any]]:
    times, tool, provenance = certificate.times, certificate.tool, certificate.provenance
    station = words.listed(certificate.station.id, certificate.station.location)
    before, after = provenance.confidentiality_before, provenance.confidentiality_after
    yield _row("station", station, words)
    yield _row("time", f"{moment_text(times.started_at)} – {moment_text(times.finished_at)}", words)
    yield _row("tool", f"{tool.name} {tool.version} ({tool.build[:16]})", words)
    yield _row("duration", _duration(times.duration / 1e9), words)
    yield _row("source", provenance.source, words)
    yield _row("destination", provenance.destination, words)
    yield _row("confidentiality", f"{before or '—'} → {after or '—'}" if before or after else "", words)


def _proof(certificate: Certificate, seal: Seal, words: Words) -> Iterable[dict[str, Any]]:
    yield _row("digest", seal.digest, words, code=True)
    yield _row("key", seal.key_id, words, code=True)
    yield _row("signature", seal.signature, words, code=True)


def moment_text(moment: str) -> str:
    """A UTC time of RFC 3339 to the second, without the letters."""
    return moment[:19].replace("T", " ")


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d} h" if hours else f"{minutes}:{rest:02d} min"


def size_text(count: float) -> str:
    """To three digits, in powers of 1,000."""
    for unit in _UNITS:
        if count < 999.5 or unit == _UNITS[-1]:
            return f"{count:.3g} {unit}"
        count /= 1000
    raise AssertionError
