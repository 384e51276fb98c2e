"""Checkpoints: their one form, and what growth is."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraser.log.checkpoint import Checkpoint, Withdrawals, expect_growth, parse_checkpoint
from eraser.log.errors import NoteError, RewrittenLogError
from tests.domain.kept_hashes import KeptHashes

ORIGIN = "plant.example/eraser/hall-2"
HASHES = KeptHashes()
HASHES.append([b"%d" % number for number in range(300)])


def at(size: int, *withdrawn: str) -> Checkpoint:
    return Checkpoint(ORIGIN, size, HASHES.tree(size).root(), Withdrawals.of(withdrawn))


def proof(earlier: int, later: int) -> tuple[bytes, ...]:
    return HASHES.tree(later).consistency_proof(earlier) if 0 < earlier <= later else ()


@given(st.integers(0, 300), st.lists(st.text("0123456789abcdef", min_size=1), max_size=5))
def test_it_reads_back_as_it_was_written(size: int, withdrawn: list[str]) -> None:
    assert parse_checkpoint(at(size, *withdrawn).text()) == at(size, *withdrawn)


def test_the_list_of_withdrawals_can_be_hashed_by_hand() -> None:
    """`sort -u ids | sha256sum`, with LC_ALL=C."""
    assert Withdrawals.of(["b", "a", "b"]) == Withdrawals(2, hashlib.sha256(b"a\nb\n").digest())


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1],
        lambda text: text + "more\n",
        lambda text: text.replace(ORIGIN, ""),
        lambda text: text.replace("\n5\n", "\n05\n"),
        lambda text: text.replace("\n5\n", "\n-5\n"),
        lambda text: text.replace("\n5\n", "\n\u0665\n"),
        lambda text: text.replace("withdrawn", "with drawn"),
        lambda text: text.replace("withdrawn 0", "withdrawn"),
        lambda text: text.replace("withdrawn 0", "withdrawn 00"),
        lambda text: text.replace("=", "", 1),
        lambda text: "\n".join(text.split("\n")[:3]) + "\n",
    ],
)
def test_any_other_form_is_refused(change) -> None:
    with pytest.raises(NoteError):
        parse_checkpoint(change(at(5).text()))


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_log_that_grew_is_one_log(one: int, other: int) -> None:
    earlier, later = sorted((one, other))
    expect_growth(at(earlier), at(later, "a") if later > earlier else at(later), proof(earlier, later))


@pytest.mark.parametrize(
    ("earlier", "later", "why"),
    [
        (at(200), replace(at(300), origin="other.example"), "two logs"),
        (at(300), at(200), "the earlier one had 300"),
        (at(200), replace(at(300), root=at(299).root), "not those"),
        (replace(at(200), root=at(199).root), at(300), "not those"),
        (at(300), replace(at(300), root=at(299).root), "not those"),
        (at(200, "a", "b"), at(300, "a"), "so no more"),
        (at(300, "a"), at(300, "b"), "different certificates"),
        (at(300), at(300, "b"), "different certificates"),
    ],
)
def test_a_log_that_was_rewritten_is_told(earlier: Checkpoint, later: Checkpoint, why: str) -> None:
    with pytest.raises(RewrittenLogError, match=why):
        expect_growth(earlier, later, proof(earlier.size, later.size))
