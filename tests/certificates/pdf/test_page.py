from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from eraser.certificates.errors import MalformedError
from eraser.certificates.pdf import fonts
from eraser.certificates.pdf.words import MISSING, WORDS, Language
from eraser.domain.certificate import Certificate
from eraser.domain.certified import assessed
from tests.certificates.builders import a_certificate, a_document, a_failed_job, a_job_with_everything, a_signer
from tests.certificates.pdf.builders import (
    LONGEST,
    MARKUP,
    a_renderer,
    failed_in_places,
    named,
    with_the_longest_names,
)
from tests.domain.test_rulebook import CASES

SIGNER = a_signer()
poppler = pytest.mark.lab("pdftotext", "pdfinfo", "pdffonts")
languages = pytest.mark.parametrize("language", list(Language))


def drawn(certificate: Certificate, language: Language, folder: Path, check_url: str = "") -> Path:
    path = folder / "page.pdf"
    path.write_bytes(a_renderer()(a_document(SIGNER, certificate), language, check_url))
    return path


def told(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def text_of(pdf: Path) -> str:
    return told("pdftotext", "-layout", pdf, "-")


def raw_text_of(pdf: Path) -> str:
    """In the order in which it was drawn, without blanks and line ends."""
    return together(told("pdftotext", "-raw", pdf, "-"))


def together(text: str) -> str:
    return "".join(text.split())


@poppler
@languages
def test_the_page_shows_what_the_certificate_says(language: Language, tmp_path: Path) -> None:
    certificate = a_certificate(a_job_with_everything())
    text = text_of(drawn(certificate, language, tmp_path))
    final = certificate.final_verification
    assert final is not None
    assert final.sampling is not None
    for fact in (
        "通过",
        "PASSED",
        certificate.certificate_id,
        certificate.job_id,
        "2026-11-24 07:00:00",
        "Längstdrive 20 TB",
        "ZX00 1B8/2",
        "ACME",
        "5000c500a1b2c3d4",
        "SN04",
        "20,000,588,955,648",
        "512 / 4096",
        "资产-0042",
        "nist-800-88-clear",
        certificate.sanitization.title,
        certificate.sanitization.claim,
        "AES-256-CTR",
        "00 FF",
        f"{final.sampling.places:,}",
        "rack-3",
        "hall 2",
        "operator-7",
        "witness-2",
        "returns",
        "resale",
        "0.1.0 (deadbeef)",
        SIGNER.key_id,
    ):
        assert fact in text, fact
    assert "FAILED" not in text


@poppler
@languages
def test_each_rulebook_stands_there_with_what_is_shown_of_it_or_missing(language: Language, tmp_path: Path) -> None:
    chinese = language is Language.CHINESE
    text = raw_text_of(drawn(a_certificate(a_job_with_everything()), language, tmp_path))
    passes = "末遍后抽样回读一致" if chinese else "passes:3,random:2,readbackbysamplesafterthelast"
    purge = "净化命令" if chinese else "apurgetechnique:overwritingbythehostreachesnopurge"
    start = text.index("✓GB46864-2025")
    claims = [
        text.index(item, start) for item in ("✓NISTSP800-88Clear", "✓IEEE2883-2022Clear", "NISTSP800-88Purge", purge)
    ]
    assert claims == sorted(claims)
    assert text.count(passes) == 3
    text = raw_text_of(drawn(a_certificate(), language, tmp_path))
    missing = "足够的覆写遍数" if chinese else "Notclaimed;missing:3passesoverthewholedrive:thereare1"
    assert "✓GB46864" not in text
    assert text.index("GB46864-2025") < text.index(missing) < text.index("✓NISTSP800-88Clear")


def test_every_piece_of_evidence_that_may_be_missing_has_a_chinese_name() -> None:
    codes = {
        item.code
        for certificate, _, _ in CASES.values()
        for claim in certificate.rulebooks.claims
        for item in claim.missing
    }
    assert codes == set(MISSING) - {"samples"}


@poppler
@languages
def test_a_failed_one_says_so_with_its_reasons_and_what_was_left(language: Language, tmp_path: Path) -> None:
    text = text_of(drawn(a_certificate(a_failed_job()), language, tmp_path))
    for fact in ("FAILED", "未通过", "12288 bytes could not be written in pass 1", "12,288 B"):
        assert fact in text, fact
    assert "PASSED" not in text


@poppler
@languages
@pytest.mark.parametrize("certificate", [a_certificate(), with_the_longest_names(), failed_in_places()])
def test_it_is_one_page_whatever_the_names(certificate: Certificate, language: Language, tmp_path: Path) -> None:
    pdf = drawn(certificate, language, tmp_path, "https://check.example/" + "c" * 270)
    about = told("pdfinfo", pdf)
    assert "Pages:           1\n" in about
    assert "(A4)" in about


@poppler
def test_the_longest_names_are_there_in_full(tmp_path: Path) -> None:
    text = raw_text_of(drawn(with_the_longest_names(), Language.ENGLISH, tmp_path))
    for letters in ("M" * LONGEST, "W" * LONGEST, "8B" * (LONGEST // 2), "F" * LONGEST, "o" * LONGEST, "国" * LONGEST):
        assert letters in text, letters[:2]


@poppler
@languages
def test_nothing_in_a_name_is_markup(language: Language, tmp_path: Path) -> None:
    certificate = replace(named(MARKUP, MARKUP, firmware=MARKUP), operator=MARKUP)
    assert raw_text_of(drawn(certificate, language, tmp_path)).count(together(MARKUP)) == 4


@poppler
def test_hex_and_words_are_drawn_letter_by_letter_without_ligatures(tmp_path: Path) -> None:
    assert "office ffi fl ff" in text_of(drawn(named("office ffi fl ff"), Language.ENGLISH, tmp_path))


@poppler
def test_rare_characters_are_drawn_and_what_no_font_draws_is_written_as_its_number(tmp_path: Path) -> None:
    text = raw_text_of(
        drawn(named("龘𠮷䶮𬭸 한국 かな Ωж", "A\u200bB😀\u05d0𪚥\u00ad\ufe0f"), Language.CHINESE, tmp_path)
    )
    assert "龘𠮷䶮𬭸한국かなΩж" in text
    assert "A[U+200B]B[U+1F600][U+05D0][U+2A6A5][U+00AD][U+FE0F]" in text


@poppler
def test_its_fonts_are_in_it_and_it_is_an_archive_file(tmp_path: Path) -> None:
    pdf = drawn(a_certificate(), Language.CHINESE, tmp_path)
    rows = [line.split() for line in told("pdffonts", pdf).splitlines()[2:]]
    assert rows
    assert all(row[-5:-2] == ["yes", "yes", "yes"] for row in rows), rows  # embedded, subset, with its Unicode
    assert b"<pdfaid:part>3</pdfaid:part>" in pdf.read_bytes()


def test_the_same_document_gives_the_same_bytes() -> None:
    document = a_document(SIGNER, with_the_longest_names())
    first = a_renderer()(document, Language.CHINESE)
    a_renderer()(a_document(SIGNER, a_certificate(a_failed_job())), Language.ENGLISH)
    assert a_renderer()(document, Language.CHINESE) == first


def test_every_word_of_the_page_can_be_drawn() -> None:
    for words in WORDS.values():
        for word in words:
            assert fonts.shown(word) == word


def test_a_day_that_no_month_has_is_refused() -> None:
    with pytest.raises(MalformedError):
        a_renderer()(a_document(SIGNER, replace(a_certificate(), issued_at="2026-02-31T07:00:00Z")), Language.ENGLISH)


@poppler
def test_a_reading_that_found_differences_bounds_nothing(tmp_path: Path) -> None:
    passed = a_certificate(a_job_with_everything())
    assert "95 %" in text_of(drawn(passed, Language.ENGLISH, tmp_path))
    assert passed.final_verification is not None
    run = replace(passed.final_verification.run, mismatched_sectors=3, first_mismatches=(0,))
    differing = replace(passed.final_verification, run=run)
    failed = a_failed_job()
    found = replace(passed, final_verification=differing, outcome=failed.outcome, reasons=failed.reasons)
    bare = replace(found, sanitization=replace(found.sanitization, level_reached=None, claim=""))
    text = text_of(drawn(replace(bare, rulebooks=assessed(bare)), Language.ENGLISH, tmp_path))
    assert "3 sectors differ" in text
    assert "95 %" not in text


@poppler
def test_of_bytes_that_failed_nothing_good_is_said(tmp_path: Path) -> None:
    text = raw_text_of(drawn(a_certificate(a_failed_job(400)), Language.ENGLISH, tmp_path))
    for good in ("complete", "as written"):
        assert together(f"1,638,400 bytes failed, the rest {good}") in text
