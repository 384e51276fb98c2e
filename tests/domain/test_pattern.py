"""Patterns: chance is asked anew for every random pass, complements are exact."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraser.domain.chance import scaled, seeded_words, shuffled
from eraser.domain.pattern import AesCtrStream, ComplementOf, Constant, RandomByte, RandomStream, draw
from eraser.domain.program import PassSpec, Program, Standing, Verification
from eraser.errors import UsageError
from tests.domain.builders import seeded_chance


def test_every_random_pass_draws_a_seed_of_its_own() -> None:
    drawn = draw((RandomStream(),) * 35, seeded_chance())
    assert len({pattern.seed for pattern in drawn if isinstance(pattern, AesCtrStream)}) == 35


def test_a_random_byte_is_one_byte_of_chance() -> None:
    assert draw((RandomByte(),), lambda length: b"\x5a" * length) == (Constant(b"\x5a"),)


@given(st.binary(min_size=1, max_size=40))
def test_a_complement_flips_every_bit_of_the_pass_it_names(data: bytes) -> None:
    drawn = draw((Constant(data), RandomStream(), ComplementOf(1), ComplementOf(3)), seeded_chance())
    assert isinstance(drawn[2], Constant)
    assert all(one ^ other == 0xFF for one, other in zip(data, drawn[2].data, strict=True))
    assert drawn[3] == drawn[0]


@pytest.mark.parametrize("of", [0, 2, 3, -1])
def test_a_complement_of_a_pass_that_does_not_come_before_is_refused(of: int) -> None:
    with pytest.raises(UsageError, match="does not come before it"):
        draw((Constant(b"a"), ComplementOf(of)), seeded_chance())


def test_a_random_stream_has_no_complement() -> None:
    with pytest.raises(UsageError, match="a random stream and not a constant"):
        draw((RandomStream(), ComplementOf(1)), seeded_chance())


@pytest.mark.parametrize("length", [0, 4097])
def test_a_constant_has_1_to_4096_bytes(length: int) -> None:
    with pytest.raises(UsageError, match="1 to 4096"):
        Constant(bytes(length))


def test_a_program_that_cannot_be_drawn_cannot_be_made() -> None:
    def program(*patterns: Constant | RandomStream | ComplementOf, shuffled: tuple[int, int] | None = None) -> Program:
        passes = tuple(PassSpec(pattern) for pattern in patterns)
        return Program("mine", "Mine", passes, source="", standing=Standing.OWN, shuffled=shuffled)

    with pytest.raises(UsageError, match="at least one pass"):
        program()
    with pytest.raises(UsageError, match="random stream"):
        program(RandomStream(), ComplementOf(1))
    with pytest.raises(UsageError, match="shuffled stretch moves"):
        program(Constant(b"a"), ComplementOf(1), Constant(b"b"), shuffled=(2, 3))
    for outside in ((0, 2), (2, 2), (1, 4), (3, 2)):
        with pytest.raises(UsageError, match="outside"):
            program(Constant(b"a"), Constant(b"b"), Constant(b"c"), shuffled=outside)


def test_a_program_whose_last_pass_is_verified_requires_full_verification() -> None:
    passes = (PassSpec(RandomStream(), verify=True), PassSpec(RandomStream()))
    program = Program("mine", "Mine", passes, source="", standing=Standing.OWN)
    assert program.required_verification is Verification.NONE
    turned = Program("mine", "Mine", passes[::-1], source="", standing=Standing.OWN)
    assert turned.required_verification is Verification.FULL


def test_words_from_a_seed_differ_by_purpose_and_seed_and_continue_each_other() -> None:
    first = list(seeded_words(b"a", bytes(32), 8))
    assert list(seeded_words(b"a", bytes(32), 4)) == first[:4]
    assert not {*first} & {*seeded_words(b"b", bytes(32), 8)}
    assert not {*first} & {*seeded_words(b"a", bytes([1]) * 32, 8)}


def test_a_word_is_scaled_to_every_number_below_its_choices() -> None:
    assert scaled(0, 27) == 0
    assert scaled(2**128 - 1, 27) == 26
    assert [scaled((2 * k + 1) << 125, 4) for k in range(4)] == [0, 1, 2, 3]


def test_every_order_of_a_shuffle_is_as_likely_as_any_other() -> None:
    chance, counts = seeded_chance(7), dict.fromkeys(range(24), 0)
    orders = {
        order: index for index, order in enumerate(sorted({shuffled("abcd", seeded_chance(k)) for k in range(500)}))
    }
    assert len(orders) == 24
    for _ in range(4800):
        counts[orders[shuffled("abcd", chance)]] += 1
    # 99.9 % quantile of chi-square with 23 degrees of freedom.
    assert sum((count - 200) ** 2 / 200 for count in counts.values()) < 49.7
