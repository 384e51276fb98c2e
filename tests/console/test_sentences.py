"""Whatever the station says is said in both languages, by its code."""

from __future__ import annotations

import re

import pytest

from eraser.console.pages.language import Language
from eraser.console.pages.sentences import problems, said, words
from eraser.domain.problem import Problem
from eraser.domain.sayings import Code
from tests.domain.test_sayings import an_example

ENGLISH_WORDS = re.compile(r"[A-Za-z]{3,}")
NAMES = {"RAID", "LVM", "btrfs", "ATA", "TCG", "Opal", "zoned", "root", "zram"}
"""What is called so in Chinese, too."""


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.AS_WRITTEN])
def test_every_code_is_said_in_both_languages(code: Code) -> None:
    saying = an_example(code)
    if "detail" not in code.places or code is not Code.PROBLEM:
        assert said(saying, Language.ENGLISH)
    chinese = said(saying, Language.CHINESE)
    assert chinese and "{" not in chinese
    assert set(ENGLISH_WORDS.findall(chinese)) <= NAMES
    assert re.search("[\u4e00-\u9fff°]", chinese), "no word of it is Chinese"


@pytest.mark.parametrize("problem", Problem)
def test_every_problem_has_a_heading_in_both_languages(problem: Problem) -> None:
    english, chinese = problems(Language.ENGLISH)[problem.value], problems(Language.CHINESE)[problem.value]
    assert english == problem.heading
    assert set(ENGLISH_WORDS.findall(chinese)) <= NAMES and re.search("[\u4e00-\u9fff]", chinese)


def test_a_translation_has_no_place_that_its_code_lacks() -> None:
    for code in Code:
        for language in Language:
            places = set(re.findall(r"\{(\w+)", words(language)[code.value]))
            assert places <= code.places.keys(), code
