"""Programs of the user's own: what is accepted, and every mistake with its place and remedy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraser.domain.custom_program import parse_custom_program
from eraser.domain.pattern import ComplementOf, Constant, RandomByte, RandomStream
from eraser.domain.program import Standing, Verification
from eraser.errors import UsageError

WHOLE = """
name = "shop-3"
title = "Three and a half"
note = "For the shop."
verify = "sampled"
[[pass]]
pattern = "92 49 24"
[[pass]]
pattern = "random-byte"
reverse = true
[[pass]]
pattern = "complement of 2"
verify = true
[[pass]]
pattern = "random"
"""


def one_pass(line: str) -> str:
    return f'name = "mine"\n[[pass]]\n{line}\n'


def test_everything_that_a_program_can_say_is_understood() -> None:
    program = parse_custom_program(WHOLE)
    assert (program.name, program.title, program.note) == ("shop-3", "Three and a half", "For the shop.")
    assert program.standing is Standing.OWN
    assert program.minimum_verification is Verification.SAMPLED
    assert [item.pattern for item in program.passes] == [
        Constant(b"\x92\x49\x24"),
        RandomByte(),
        ComplementOf(2),
        RandomStream(),
    ]
    assert [item.reverse for item in program.passes] == [False, True, False, False]
    assert [item.verify for item in program.passes] == [False, False, True, False]


def test_a_program_needs_only_a_name_and_a_pass() -> None:
    program = parse_custom_program(one_pass('pattern = "DEADBEEF"'))
    assert program.title == "mine"
    assert program.required_verification is Verification.NONE
    assert program.passes[0].pattern == Constant(b"\xde\xad\xbe\xef")


@pytest.mark.parametrize("length", [1, 4096])
def test_a_constant_may_have_1_to_4096_bytes(length: int) -> None:
    program = parse_custom_program(one_pass(f'pattern = "{"5a" * length}"'))
    assert program.passes[0].pattern == Constant(b"\x5a" * length)


def test_99_passes_are_taken_and_100_are_not() -> None:
    text = 'name = "mine"\n' + '[[pass]]\npattern = "random"\n' * 99
    assert len(parse_custom_program(text).passes) == 99
    with pytest.raises(UsageError, match="100 passes are too many"):
        parse_custom_program(text + '[[pass]]\npattern = "00"\n')


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("name = ", "custom program", "not TOML"),
        ('name = "a"\nname = "b"', "custom program", "not TOML"),
        ("", "custom program: name", "needs a name"),
        ('[[pass]]\npattern = "00"', "custom program: name", "needs a name"),
        ("name = 7", "custom program: name", "not a name"),
        ('name = ""', "custom program: name", "not a name"),
        ('name = "Shop"', "custom program: name", "not a name"),
        ('name = "-shop"', "custom program: name", "not a name"),
        ('name = "shop\\n"', "custom program: name", "not a name"),
        ('name = "../shop"', "custom program: name", "not a name"),
        (f'name = "{"a" * 65}"', "custom program: name", "not a name"),
        ('name = "gutmann-35"', "custom program: name", "catalogue's name"),
        ('name = "dodshort"', "custom program: name", "catalogue's name"),
        ('name = "gb-46864-2025"', "custom program: name", "catalogue's name"),
        ('name = "gb--46864--2025"', "custom program: name", "catalogue's name"),
        ('name = "mine"', "custom program", "needs passes"),
        ('name = "mine"\npass = []', "custom program", "needs passes"),
        ('name = "mine"\npass = "random"', "custom program", "needs passes"),
        ('name = "mine"\npass = ["random"]', "custom program", "needs passes"),
        ('name = "mine"\n[pass]\npattern = "00"', "custom program", "needs passes"),
        ('name = "mine"\npasses = 3', "custom program", "unknown key 'passes'"),
        ('name = "mine"\nstanding = "current"', "custom program", "unknown key 'standing'"),
        ('name = "mine"\ntitle = 3\n[[pass]]\npattern = "00"', "custom program: title", "one line of text"),
        ('name = "mine"\ntitle = "a\\nb"\n[[pass]]\npattern = "00"', "custom program: title", "one line of text"),
        (f'name = "mine"\nnote = "{"a" * 201}"\n[[pass]]\npattern = "00"', "custom program: note", "one line of text"),
        ('name = "mine"\nverify = "maybe"\n[[pass]]\npattern = "00"', "custom program: verify", "no verification"),
        ('name = "mine"\nverify = true\n[[pass]]\npattern = "00"', "custom program: verify", "no verification"),
        (one_pass(""), "custom program: pass 1: pattern", "has no pattern"),
        (one_pass("pattern = 0"), "custom program: pass 1: pattern", "is not text"),
        (one_pass('pattern = ""'), "custom program: pass 1: pattern", "has 0 bytes"),
        (one_pass('pattern = "000"'), "custom program: pass 1: pattern", "no pattern"),
        (one_pass('pattern = "0x00"'), "custom program: pass 1: pattern", "no pattern"),
        (one_pass('pattern = "zero"'), "custom program: pass 1: pattern", "no pattern"),
        (one_pass('pattern = "Random"'), "custom program: pass 1: pattern", "no pattern"),
        (one_pass(f'pattern = "{"00" * 4097}"'), "custom program: pass 1: pattern", "has 4097 bytes"),
        (one_pass('pattern = "complement of 1"'), "custom program: pass 1: pattern", "does not come before"),
        (one_pass('pattern = "complement of 0"'), "custom program: pass 1: pattern", "no pattern"),
        (one_pass('pattern = "complement of -1"'), "custom program: pass 1: pattern", "no pattern"),
        (
            one_pass('pattern = "random"\n[[pass]]\npattern = "complement of 1"'),
            "custom program: pass 2: pattern",
            "random stream",
        ),
        (one_pass('pattern = "00"\nreverse = "yes"'), "custom program: pass 1: reverse", "neither true nor false"),
        (one_pass('pattern = "00"\nverify = 1'), "custom program: pass 1: verify", "neither true nor false"),
        (one_pass('pattern = "00"\ncount = 2'), "custom program: pass 1", "unknown key 'count'"),
    ],
)
def test_every_mistake_is_named_with_its_place_and_what_to_do(text: str, place: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_custom_program(text)
    assert caught.value.subject == place
    assert what in caught.value.what
    assert caught.value.remedy.endswith(".")


def test_the_file_that_it_came_from_is_named() -> None:
    with pytest.raises(UsageError, match=r"shop\.toml: pass 1: pattern"):
        parse_custom_program(one_pass('pattern = "x"'), subject="shop.toml")


def test_deep_nesting_is_a_usage_error_like_any_other() -> None:
    with pytest.raises(UsageError):
        parse_custom_program("a = " + "[" * 5000 + "]" * 5000)


@given(st.text(max_size=60))
def test_no_text_at_all_breaks_the_parser(text: str) -> None:
    with pytest.raises(UsageError):
        parse_custom_program(text)
