"""The growing tree against the RFC's own recursive definition."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraser.domain.log_tree import TILE, Tree
from eraser.domain.merkle import is_consistent, is_included
from eraser.errors import JournalError, UsageError
from tests.domain import rfc9162
from tests.domain.kept_hashes import KeptHashes

ENTRIES = [number.to_bytes(4, "big") for number in range(3 * TILE + 7)]
SIZES = st.integers(1, len(ENTRIES))


def kept(size: int, *, together: int = 1000) -> KeptHashes:
    hashes = KeptHashes()
    for start in range(0, size, together):
        hashes.append(ENTRIES[start : min(start + together, size)])
    return hashes


GROWN = kept(len(ENTRIES))


@given(SIZES)
@settings(deadline=None, max_examples=60)
def test_the_root_of_every_size_is_the_rfcs(size: int) -> None:
    assert GROWN.tree(size).root() == rfc9162.mth(ENTRIES[:size])


def test_an_empty_log_has_the_rfcs_root() -> None:
    assert KeptHashes().tree().root() == rfc9162.mth([])


@given(SIZES, st.data())
@settings(deadline=None, max_examples=60)
def test_an_inclusion_proof_is_the_rfcs_and_is_believed(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = GROWN.tree(size).inclusion_proof(index)
    assert list(proof) == rfc9162.path(index, ENTRIES[:size])
    assert is_included(ENTRIES[index], index, size, proof, rfc9162.mth(ENTRIES[:size]))


@given(SIZES, st.data())
@settings(deadline=None, max_examples=60)
def test_a_consistency_proof_is_the_rfcs_and_is_believed(size: int, data: st.DataObject) -> None:
    earlier = data.draw(st.integers(1, size))
    proof = GROWN.tree(size).consistency_proof(earlier)
    assert list(proof) == rfc9162.proof(earlier, ENTRIES[:size])
    roots = rfc9162.mth(ENTRIES[:earlier]), rfc9162.mth(ENTRIES[:size])
    assert is_consistent(earlier, roots[0], size, roots[1], proof)


def test_every_pair_of_small_sizes_is_consistent_and_no_proof_serves_another_pair() -> None:
    trees = [GROWN.tree(size) for size in range(18)]
    roots = [tree.root() for tree in trees]
    for size in range(1, 18):
        for earlier in range(1, size + 1):
            proof = trees[size].consistency_proof(earlier)
            assert is_consistent(earlier, roots[earlier], size, roots[size], proof)
            for other in range(18):
                if other != earlier:
                    assert not is_consistent(other, roots[other], size, roots[size], proof) or proof == (
                        trees[size].consistency_proof(other) if 0 < other <= size else ()
                    )
                if other != size:
                    assert not is_consistent(earlier, roots[earlier], size, roots[other], proof)


@given(st.integers(1, 400), st.data())
@settings(deadline=None, max_examples=80)
def test_a_rewritten_log_is_never_consistent(size: int, data: st.DataObject) -> None:
    """Whatever entry of the earlier log is another one now, no proof of the new log hides it."""
    earlier = data.draw(st.integers(1, size))
    changed = data.draw(st.integers(0, earlier - 1))
    forged = KeptHashes()
    forged.append([*ENTRIES[:changed], b"forged", *ENTRIES[changed + 1 : size]])
    proof = forged.tree().consistency_proof(earlier)
    assert not is_consistent(earlier, GROWN.tree(earlier).root(), size, forged.tree().root(), proof)


@given(st.integers(2, 400), st.data())
@settings(deadline=None, max_examples=80)
def test_a_proof_with_one_bit_another_way_shows_nothing(size: int, data: st.DataObject) -> None:
    earlier = data.draw(st.integers(1, size - 1))
    tree = GROWN.tree(size)
    proof = list(tree.consistency_proof(earlier))
    place = data.draw(st.integers(0, len(proof) - 1))
    bit = data.draw(st.integers(0, 255))
    proof[place] = (int.from_bytes(proof[place], "big") ^ (1 << bit)).to_bytes(32, "big")
    assert not is_consistent(earlier, GROWN.tree(earlier).root(), size, tree.root(), proof)


def test_only_an_empty_proof_shows_that_a_log_grew_from_nothing() -> None:
    empty = rfc9162.mth([])
    assert is_consistent(0, empty, 5, GROWN.tree(5).root(), ())
    assert not is_consistent(0, GROWN.tree(1).root(), 5, GROWN.tree(5).root(), ())
    assert not is_consistent(0, empty, 5, GROWN.tree(5).root(), (empty,))


@pytest.mark.parametrize("together", [1, 7, 255, 256, 257, 775])
def test_how_many_are_appended_together_changes_nothing(together: int) -> None:
    assert kept(len(ENTRIES), together=together).rows == GROWN.rows


def test_rows_above_the_second_are_kept_and_used() -> None:
    size = TILE * TILE + 300
    hashes = KeptHashes()
    hashes.append([b"%d" % number for number in range(size)])
    assert [len(hashes.rows[row]) for row in range(3)] == [size, TILE + 1, 1]
    for index in (0, 255, 256, TILE * TILE - 1, TILE * TILE, size - 1):
        proof = hashes.tree().inclusion_proof(index)
        assert is_included(b"%d" % index, index, size, proof, hashes.tree().root())


def test_a_proof_reads_a_few_tiles_however_long_the_log() -> None:
    size = TILE * TILE + 300
    hashes = KeptHashes()
    hashes.append([b"%d" % number for number in range(size)])
    for index in random.Random(1).sample(range(size), 20):
        hashes.hashes_read = 0
        hashes.tree().inclusion_proof(index)
        assert hashes.hashes_read <= 4 * TILE
    hashes.hashes_read = 0
    hashes.append([b"one more"])
    assert hashes.hashes_read < 3 * TILE


@pytest.mark.parametrize("index", [-1, 5, 6])
def test_what_is_not_in_the_log_has_no_proof(index: int) -> None:
    with pytest.raises(UsageError):
        GROWN.tree(5).inclusion_proof(index)


@pytest.mark.parametrize("earlier", [-1, 0, 6])
def test_a_size_that_never_was_has_no_proof(earlier: int) -> None:
    with pytest.raises(UsageError):
        GROWN.tree(5).consistency_proof(earlier)


@pytest.mark.parametrize("fault", [lambda hashes: hashes[:-1], lambda hashes: [b"short", *hashes[1:]]])
def test_hashes_that_are_lost_are_told_and_not_computed_around(fault) -> None:
    tree = Tree(300, lambda row, first, count: fault(GROWN.read(row, first, count)))
    with pytest.raises(JournalError, match="not all there"):
        tree.root()
