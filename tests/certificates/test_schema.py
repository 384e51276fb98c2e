"""The published JSON Schema says what the strict reader says, as far as a schema can."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from eraser.certificates.schema import document_schema
from eraser.domain.certificate import read
from eraser.errors import EraserError
from tests.certificates.builders import (
    a_certificate,
    a_document,
    a_failed_job,
    a_job,
    a_job_with_everything,
    a_signer,
    leaves,
    with_leaf,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "certificate.schema.json"
VALIDATOR = Draft202012Validator(document_schema())
EVERYTHING: dict[str, Any] = json.loads(a_document(a_signer(), a_certificate(a_job_with_everything())))


def test_what_is_published_is_what_the_program_prints() -> None:
    """After a change: `eraser certificate schema > docs/certificate.schema.json`."""
    assert json.loads(PAGE.read_text()) == document_schema()


def test_it_is_a_schema_itself() -> None:
    Draft202012Validator.check_schema(document_schema())


@pytest.mark.parametrize("job", [a_job(), a_job_with_everything(), a_failed_job()])
def test_every_certificate_fits(job: Any) -> None:
    document = a_document(a_signer(), a_certificate(job, operator="é😀 资产"))
    assert list(VALIDATOR.iter_errors(json.loads(document))) == []


def strangers(value: Any) -> list[Any]:
    """What cannot stand in this one's place, by type or by form."""
    match value:
        case bool():
            return [1, "true", None]
        case int():
            return [-1, 0.5, 2**53, "1", True]
        case str():
            return [7, f"{value}\u202e", ["x"]]
        case list():
            return [{}, 1, [[]]]
        case None:
            return [7.5, True]
        case _:
            return [[], "x"]


PLACES = list(leaves(EVERYTHING))


def test_no_leaf_can_be_of_another_kind() -> None:
    for steps, value in PLACES:
        for stranger in strangers(value):
            form = with_leaf(EVERYTHING, steps, stranger)
            assert not VALIDATOR.is_valid(form), (steps, stranger)


def test_nothing_can_be_left_out_and_nothing_added() -> None:
    for steps in {way[:depth] for way, _ in PLACES for depth in range(len(way))}:
        for change in (lambda found: found.pop(next(iter(found))), lambda found: found.update(remark=1)):
            form = copy.deepcopy(EVERYTHING)
            found: Any = form
            for step in steps:
                found = found[step]
            if isinstance(found, dict):
                change(found)
                assert not VALIDATOR.is_valid(form), steps


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("format", "eraser"),
        ("version", 2),
        ("certificate_id", "x"),
        ("issued_at", "2026-11-24T07:00:00+08:00"),
        ("issued_at", "2026-11-24"),
        ("outcome", "Passed"),
        ("sights", -1),
        ("activity", {}),
    ],
)
def test_what_the_reader_refuses_the_schema_refuses(place: str, value: Any) -> None:
    form = copy.deepcopy(EVERYTHING)
    form["certificate"][place] = value
    assert not VALIDATOR.is_valid(form)
    with pytest.raises(EraserError):
        read(form["certificate"])
