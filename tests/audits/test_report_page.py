"""An audit's report as PDF, as another's program reads it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from eraser.audits.page import MAX_TEXT_CHARACTERS, pdf_report, report_form
from eraser.audits.records import Verified, trusted_audit_keys, verify
from eraser.audits.words import RESULTS, WORDS, AuditWords
from eraser.certificates.keys import curve_key_id
from eraser.certificates.pdf.fonts import drawable
from eraser.certificates.pdf.signing import station_pdf_keys
from eraser.certificates.pdf.words import Language
from eraser.certificates.verifying import entry_of
from eraser.domain.audit import CRITICAL, DriveResult
from tests.audits.plants import Plant, answer, sampled

pytestmark = pytest.mark.lab("pdftotext", "pdfinfo", "pdfdetach")


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plant, Path]:
    """Rejected: one of its certificates was altered, one is missing."""
    plant = Plant(tmp_path_factory.mktemp("plant"))
    plant.issue(*range(1, 21))
    plant.publish()
    plan = plant.plan("--aql", "6.5")
    altered, missing = (plant.path(number) for number in sampled(plan)[:2])
    altered.write_bytes(altered.read_bytes().replace(b"operator-7", b"operator-8"))
    missing.unlink()
    return plant, Path(answer(plant.run(plan))["record"])


def told(*command: object) -> str:
    return subprocess.run([str(item) for item in command], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "zh-CN",
            ["数据清除审核报告", "不接收", "已被改动 (altered)", "未出示 (missing)", "正常检验", "20"],
        ),
        (
            "en",
            ["Audit of data sanitization", "REJECTED", "altered", "not shown by the plant", "level II, normal", "20"],
        ),
    ],
)
def test_the_pdf_says_what_was_found_and_has_the_signed_record_in_it(
    record: tuple[Plant, Path], language: str, words: list[str], tmp_path: Path
) -> None:
    plant, path = record
    target = tmp_path / "report.pdf"
    for name in (target, tmp_path / "again.pdf"):
        done = plant("report", path, "--format", "pdf", "--lang", language, "--out", name)
        assert done.exit_code == 0, done.output or done.exception
    text = told("pdftotext", "-layout", target, "-")
    assert [word for word in words if word not in text] == []
    assert json.loads(path.read_bytes())["audit"]["audit_id"] in text
    told("pdfdetach", "-savefile", "audit.json", "-o", tmp_path / "attached", target)
    assert (tmp_path / "attached").read_bytes() == path.read_bytes()
    page = pdf_report(
        verify(path.read_bytes(), trusted_audit_keys(plant.data / "keys")), path.read_bytes(), Language(language)
    )
    assert all(name.read_bytes().startswith(page) for name in (target, tmp_path / "again.pdf")), "but for its signature"
    info = told("pdfinfo", target)
    assert "A4" in info and "Page size" in info


@pytest.mark.lab("pdfsig")
def test_the_pdf_is_signed_as_a_whole_by_a_key_of_the_audits_own(record: tuple[Plant, Path], tmp_path: Path) -> None:
    plant, path = record
    target, altered = tmp_path / "report.pdf", tmp_path / "altered.pdf"
    assert plant("report", path, "--format", "pdf", "--out", target).exit_code == 0
    said = told("pdfsig", "-nocert", target)
    assert said.count("Signature is Valid.") == 1 and "ETSI.CAdES.detached" in said
    assert "Total document signed" in said
    key = load_pem_public_key(plant("key", "--pdf").stdout.encode())
    assert isinstance(key, ec.EllipticCurvePublicKey) and curve_key_id(key) in said
    assert curve_key_id(key) not in station_pdf_keys(plant.data / "keys"), (
        "no page of an audit passes for a certificate's"
    )
    content = target.read_bytes()
    altered.write_bytes(content.replace(b"%%EOF", b"%%EOF ", 1))
    assert "Signature is Valid." not in told("pdfsig", "-nocert", altered)


def test_what_no_font_draws_and_what_is_very_long_still_make_a_page(record: tuple[Plant, Path]) -> None:
    plant, path = record
    found = verify(path.read_bytes(), trusted_audit_keys(plant.data / "keys"))
    item = replace(found.record.items[0], message="\U0001f600" * 600)
    odd = replace(found.record, auditor="审计 \u0378 " + "x" * 5000, items=(item, *found.record.items[1:]))
    form = report_form(Verified(odd, found.key_ids, entry_of(path.read_bytes())), AuditWords(Language.ENGLISH))
    shown = json.dumps(form, ensure_ascii=False)
    assert "[U+1F600]" in shown and "[U+0378]" in shown
    assert max(map(len, shown.split('"'))) < 12 * MAX_TEXT_CHARACTERS
    assert all(ord(character) in drawable() for character in shown if character.isprintable())


def test_every_finding_has_words_in_both_languages() -> None:
    assert {item.value for item in DriveResult} | CRITICAL <= set(RESULTS)
    for texts in (*WORDS.values(), *RESULTS.values()):
        assert len(texts) == 2 and all(texts)
        assert all(ord(character) in drawable() for text in texts for character in text)
        assert texts[0].count("{}") == texts[1].count("{}")
