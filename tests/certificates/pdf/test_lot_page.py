from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from eraser.certificates.errors import CertificateError
from eraser.certificates.lot_summary import LotSummary, read_summary
from eraser.certificates.pdf.words import Language
from tests.certificates.pdf.builders import LONGEST, MARKUP, a_lot, a_renderer

poppler = pytest.mark.lab("pdftotext", "pdfinfo")
languages = pytest.mark.parametrize("language", list(Language))


def drawn(summary: LotSummary, language: Language, folder: Path) -> Path:
    path = folder / "lot.pdf"
    path.write_bytes(a_renderer().lot(summary.dump(), language))
    return path


def told(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@poppler
@languages
def test_a_long_lot_goes_over_several_pages_each_with_the_tables_head(language: Language, tmp_path: Path) -> None:
    summary = a_lot()
    pdf = drawn(summary, language, tmp_path)
    about = told("pdfinfo", pdf)
    pages = int(next(line for line in about.splitlines() if line.startswith("Pages:")).split()[1])
    assert pages >= 3
    assert "(A4)" in about
    texts = told("pdftotext", "-raw", pdf, "-").split("\f")[:pages]
    head = "序列号" if language is Language.CHINESE else "Serial number"
    assert all(head in text for text in texts[:-1])
    last = f"第 {pages} 页,共 {pages} 页" if language is Language.CHINESE else f"Page {pages} of {pages}"
    assert last in texts[-1].replace("\uff0c", ",")
    together = "".join("".join(texts).split())
    assert all(item.certificate_id in together for item in summary.certificates)
    assert all(f"{item.index}" in together for item in summary.certificates)
    assert "8B" * (LONGEST // 2) in together
    assert "龘" * LONGEST in together


@poppler
@languages
def test_totals_and_outcomes_are_told_in_words(language: Language, tmp_path: Path) -> None:
    text = told("pdftotext", "-layout", drawn(a_lot(20), language, tmp_path), "-")
    words = ("未通过", "已撤回", "已被取代") if language is Language.CHINESE else ("FAILED", "Withdrawn", "Replaced")
    assert all(word in text for word in words)
    assert (
        text.count("✓") == 17 * (1 + 3) + 1
    )  # the outcome and three claims of each that passed, and once what it means
    assert "340 TB" in text  # of the 17 that passed


@poppler
def test_nothing_in_a_lots_name_is_markup(tmp_path: Path) -> None:
    text = told("pdftotext", "-raw", drawn(a_lot(1, MARKUP), Language.ENGLISH, tmp_path), "-")
    assert "".join(MARKUP.split()) in "".join(text.split())


def test_the_same_summary_gives_the_same_pages() -> None:
    one, two = (a_renderer().lot(a_lot(3).dump(), Language.CHINESE) for _ in range(2))
    assert one == two
    assert b"<pdfaid:part>3</pdfaid:part>" in one


def test_a_summary_reads_back_as_it_was_and_nothing_else_is_one() -> None:
    summary = a_lot()
    assert read_summary(summary.dump()) == summary
    for wrong in (
        b"{}",
        summary.dump().replace(b'"version": 1', b'"version": 2'),
        summary.dump().replace(b"lot_id", b"lot"),
    ):
        with pytest.raises(CertificateError):
            read_summary(wrong)
