"""What the station says, by code: every code has its values, its English, and what stands in records is read back."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import eraser
from eraser.domain import resumption
from eraser.domain.events import Reason
from eraser.domain.evidence import EndReason
from eraser.domain.problem import Problem, problem_of
from eraser.domain.sayings import Code, Saying, all_recalled, english, recalled, say, say_error
from eraser.errors import DriveError, Refused

EXAMPLES: dict[str, Any] = {"count": 384, "seconds": 12, "limit": 60, "rate": 210e6, "problem": "mounted"}


def an_example(code: Code) -> Saying:
    """A saying of this code, with values of its kinds."""
    values = {name: EXAMPLES.get(kind, "B7") for name, kind in code.places.items()}
    values |= {name: say(Code.END_GONE) for name, kind in code.places.items() if kind == "saying"}
    values |= {name: "mismatch" for name, kind in code.places.items() if kind == "codes"}
    return say(code, **values)


@pytest.mark.parametrize("code", Code)
def test_a_code_says_its_sentence_with_all_of_its_values(code: Code) -> None:
    saying = an_example(code)
    assert "{" not in saying.english and saying.english
    for name, kind in code.places.items():
        if f"{{{name}" in code.template and kind in ("text", "count"):
            assert str(saying.values[name]) in saying.english


def test_a_code_is_not_said_with_other_values_than_its_own() -> None:
    for wrong in ({}, {"bay": 7}, {"bay": "A1", "more": "B"}, {"bay": say(Code.END_GONE)}):
        with pytest.raises(TypeError):
            say(Code.WAITS_BEHIND, **wrong)


@pytest.mark.parametrize("code", [code for code in Code if re.search(r"\w", re.sub(r"\{.*?\}", "", code.template))])
def test_a_sentence_that_is_kept_in_english_is_read_back(code: Code) -> None:
    saying = an_example(code)
    assert recalled(saying.english).english == saying.english
    assert recalled(saying.english).code is code


def test_several_in_a_line_are_read_back_one_by_one() -> None:
    told = (say(Code.MISMATCH, count=384), say(Code.HIDDEN_BYTES, count=5), say(Code.NOT_VERIFIED, count=4096))
    assert all_recalled(english(told)) == told
    assert [saying.code for saying in all_recalled("somebody's own words; and more")] == [Code.AS_WRITTEN] * 2
    assert all_recalled("") == ()


@pytest.mark.parametrize("end", EndReason)
def test_every_end_of_a_transfer_is_known_by_its_word(end: EndReason) -> None:
    assert recalled(end.value).code.family == "end"


def test_why_a_program_begins_again_is_known() -> None:
    source = Path(resumption.__file__).read_text()
    whys = re.findall(r'BeginAgain\("([^"]+)"\)', source)
    assert whys and all(recalled(why).code is not Code.AS_WRITTEN for why in whys)


def test_a_record_of_another_version_is_said_as_it_is_written() -> None:
    reason = Reason("mismatch", "a sentence of a later version")
    assert recalled(reason.what, reason.code) == Saying(Code.AS_WRITTEN, {"text": reason.what})


def test_what_is_refused_is_named_by_its_reason_and_said_in_full_in_english() -> None:
    error = Refused("mounted", "it is mounted at /srv", subject="/dev/sdb", remedy="Unmount it.")
    assert problem_of(error) is Problem.MOUNTED
    assert say_error(error).english == str(error)
    assert problem_of(Refused("never-heard-of", "no")) is Problem.REFUSED
    assert problem_of(DriveError("gone")) is Problem.DRIVE
    assert problem_of(ValueError("ours")) is Problem.FAULT


def test_every_reason_to_refuse_is_in_the_closed_set() -> None:
    found = set()
    for path in Path(eraser.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""
            if isinstance(node, ast.Call) and name in ("Refused", "Forbidden", "TooMany", "Busy") and node.args:
                first = node.args[0]
                found |= {first.value} if isinstance(first, ast.Constant) else set()
    assert len(found) > 50
    assert found - {problem.value for problem in Problem} == set()


def test_a_saying_is_a_value() -> None:
    saying = say(Code.STUCK, seconds=31, most=30.0)
    assert saying == say(Code.STUCK, seconds=31, most=30.0) != replace(saying, values={"seconds": 32, "most": 30.0})
