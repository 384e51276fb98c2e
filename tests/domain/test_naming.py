"""What would carry a person's name into records that outlive them is refused, and what the ledger needs is not."""

from __future__ import annotations

import pytest

from eraser.domain.naming import expect_house, expect_nobody, expect_role
from eraser.errors import UsageError


@pytest.mark.parametrize("text", ["", "witness-2", "w-1", "shift-lead-14"])
def test_a_role_s_code_may_witness(text: str) -> None:
    assert expect_role(text, "witness") == text


@pytest.mark.parametrize("text", ["Anna Schmidt", "anna", "王小明", "Witness-2", "witness-2 (Anna)", "witness 2"])
def test_a_name_may_not(text: str) -> None:
    with pytest.raises(UsageError, match="never a name") as error:
        expect_role(text, "witness")
    assert text not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "Mr. Wang brought it",
        "王先生送来",
        "Frau Schmidt",
        "call +86 138 1234 5678",
        "13812345678",
        "anna@example.com",
        "11010519491231002X",
    ],
)
def test_a_text_with_a_person_s_marks_is_refused_and_not_repeated(text: str) -> None:
    for expect in (expect_nobody, expect_house):
        with pytest.raises(UsageError, match="outlive") as error:
            expect(text, "reason")
        assert text not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "shredded to 2 mm",
        "粉碎至 2 毫米,高温焚烧",
        "serial WD-WCC4N1234567 of PO 2027-0113-00042",
        "its certificate 8f1c2d3e4f5061728394a5b6c7d8e9f0 was withdrawn: wrong level",
        "Dr. Martens shredder broke"[4:],
        "5000c500a1b2c3d4",
        "20270131160000000",
    ],
)
def test_what_is_no_person_s_is_let_pass(text: str) -> None:
    assert expect_nobody(text, "reason") == text


@pytest.mark.parametrize(
    "text", ["", "a school", "Wang Recycling Ltd", "王府井百货公司", "林业局", "order 4711", "联想集团", "个人"]
)
def test_companies_are_named(text: str) -> None:
    assert expect_house(text, "supplier") == text


@pytest.mark.parametrize("text", ["王小明", " 李雷 ", "张伟"])
def test_a_private_person_is_no_supplier(text: str) -> None:
    with pytest.raises(UsageError, match="private person"):
        expect_house(text, "supplier")
