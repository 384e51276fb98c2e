"""Names of roles, and what looks like a person's."""

from __future__ import annotations

import pytest

from eraser.domain.pseudonym import MAX_CHARACTERS, may_name_a_person, role_named
from eraser.errors import UsageError


@pytest.mark.parametrize(
    "name", ["王小明", "欧阳·娜娜", "李强", "Jane Doe", "Dr. Maria Van-Dyk Smith", "a.b@example.com"]
)
def test_what_looks_like_a_persons_name_is_seen(name: str) -> None:
    assert may_name_a_person(name)


@pytest.mark.parametrize(
    "name",
    [
        "auditor-1",
        "auditors.example",
        "quality-2",
        "质检组",
        "审核员三",
        "Quality Control",
        "SGS China",
        "Acme GmbH",
        "",
        "7",
    ],
)
def test_a_role_or_an_organisation_is_let_pass(name: str) -> None:
    assert not may_name_a_person(name)


@pytest.mark.parametrize("name", ["", "  ", "x" * (MAX_CHARACTERS + 1), "a\nb", "a\u202eb"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        role_named(name)
    assert role_named(" auditor-1 ") == "auditor-1"
