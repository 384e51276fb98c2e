"""What is asked of one drive by other programs, beside what its lot says: nobody ever gets less than the lot's."""

from itertools import product

from eraser.domain.plan import Level
from eraser.domain.program import Verification
from eraser.domain.sayings import english
from eraser.domain.specification import Asked, Specification, together

LOT = Asked("zero", None, Verification.SAMPLED)
LEVELS = (None, Level.CLEAR, Level.PURGE)
VERIFICATIONS = (Verification.NONE, Verification.SAMPLED, Verification.FULL)


def a_specification(reference: str = "order-1", **asked: object) -> Specification:
    return Specification(reference, "S1", **asked)  # type: ignore[arg-type]


def test_without_a_specification_the_lot_decides() -> None:
    assert together([], LOT) == LOT


def test_a_specification_decides_what_it_says_and_leaves_the_rest_to_the_lot() -> None:
    found = together([a_specification(level=Level.PURGE)], LOT)
    assert (found.standard, found.level, found.verification) == ("zero", Level.PURGE, Verification.SAMPLED)
    assert english(found.told) == "specification order-1 asks for purge"
    found = together([a_specification(standard="gb-46864-2025", verification=Verification.FULL)], LOT)
    assert (found.standard, found.verification) == ("gb-46864-2025", Verification.FULL)
    assert english(found.told).endswith("its lot or the station would take zero")


def test_another_standard_is_read_back_in_full_unless_it_is_said() -> None:
    assert together([a_specification(standard="random")], LOT).verification is Verification.FULL


def test_level_and_verification_never_become_weaker_and_it_is_said_that_they_were_to() -> None:
    for lots, asked in product(product(LEVELS, VERIFICATIONS), product(LEVELS, VERIFICATIONS)):
        found = together([a_specification(level=asked[0], verification=asked[1])], Asked("zero", lots[0], lots[1]))
        assert LEVELS.index(found.level) == max(map(LEVELS.index, (lots[0], asked[0])))
        assert VERIFICATIONS.index(found.verification) == max(map(VERIFICATIONS.index, (lots[1], asked[1])))
        is_less = (asked[0] not in (None, found.level)) or asked[1] is not found.verification
        assert ("the stronger wish counts" in english(found.told)) is is_less


def test_two_programs_that_ask_for_different_standards_leave_it_to_a_person() -> None:
    one, two = a_specification(standard="random"), a_specification("order-2", standard="gb-46864-2025")
    found = together([one, two], LOT)
    assert (found.standard, str(found.question)) == (
        "gb-46864-2025",
        "specifications order-1, order-2 ask for different standards: start it by one of them",
    )
    assert not together([one, a_specification("order-3")], LOT).question
