"""Our BLAKE3 on every code path of this machine, against the official `blake3` package."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import blake3 as official
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraser.engine import _native

GROUP_BYTES = 16 * 1024  # what the native code hashes side by side
MAX_RANDOM_BYTES = 300_000

# Lengths of the official test vectors (test_vectors.json of the BLAKE3 project); their inputs are `pattern(length)`.
OFFICIAL_LENGTHS = [
    *range(9), 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 2048, 2049, 3072, 3073, 4096, 4097, 5120, 5121, 6144, 6145,
    7168, 7169, 8192, 8193, 16384, 31744, 102400,
]  # fmt: skip

# From the published test vectors, so that not everything here rests on the installed package.
PUBLISHED_HASHES = {
    0: "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    1: "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
}


def pattern(length: int) -> bytes:
    return bytes(range(251)) * (length // 251) + bytes(range(length % 251))


def random_bytes(seed: int, length: int) -> bytes:
    """Distinct in every chunk and cheap to shrink: the official hash's own output stream."""
    return official.blake3(seed.to_bytes(8, "little")).digest(length)


@pytest.fixture(autouse=True)
def automatic_path_afterwards() -> Iterator[None]:
    yield
    _native.force_blake3_path(None)


@pytest.fixture(params=_native.blake3_paths())
def path(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    _native.force_blake3_path(name)
    assert _native.blake3_path() == name
    return name


@pytest.mark.parametrize("length", OFFICIAL_LENGTHS)
def test_the_official_test_vectors_inputs_give_the_official_hashes(path: str, length: int) -> None:
    assert _native.blake3(pattern(length)) == official.blake3(pattern(length)).digest()


@pytest.mark.parametrize(("length", "expected"), PUBLISHED_HASHES.items())
def test_published_hashes_are_ours(path: str, length: int, expected: str) -> None:
    assert _native.blake3(pattern(length)).hex() == expected


# Each row of the tree that is full, lacks a chunk or has one more is a case of its own in the native code.
@pytest.mark.parametrize("groups", [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33])
@pytest.mark.parametrize("extra_bytes", [-1025, -1024, -1, 0, 1, 1024, 1025])
def test_inputs_around_whole_groups_hash_as_officially(path: str, groups: int, extra_bytes: int) -> None:
    data = random_bytes(groups, groups * GROUP_BYTES + extra_bytes)
    assert _native.blake3(data) == official.blake3(data).digest()


def test_any_input_of_any_length_and_alignment_hashes_as_officially(path: str) -> None:
    @settings(deadline=None, max_examples=150)
    @given(
        seed=st.integers(0, 2**64 - 1),
        length=st.integers(0, MAX_RANDOM_BYTES),
        misaligned_by=st.integers(0, 63),
    )
    def check(seed: int, length: int, misaligned_by: int) -> None:
        data = memoryview(random_bytes(seed, misaligned_by + length))[misaligned_by:]
        assert _native.blake3(data) == official.blake3(data).digest()

    check()


def test_one_changed_bit_anywhere_changes_the_hash(path: str) -> None:
    data = bytearray(random_bytes(1, 3 * GROUP_BYTES + 1500))
    unchanged = _native.blake3(data)
    for place in [0, 1023, 1024, GROUP_BYTES - 1, GROUP_BYTES, 2 * GROUP_BYTES + 5000, len(data) - 1]:
        data[place] ^= 0x10
        assert _native.blake3(data) != unchanged
        data[place] ^= 0x10
    assert _native.blake3(data) == unchanged


def test_bytearrays_and_memoryviews_hash_as_bytes_do() -> None:
    data = random_bytes(2, 70_000)
    assert _native.blake3(bytearray(data)) == _native.blake3(memoryview(data)) == _native.blake3(data)


def test_threads_that_hash_while_the_path_is_switched_all_get_the_official_hash() -> None:
    data = random_bytes(3, 40 * GROUP_BYTES + 77)
    expected = official.blake3(data).digest()
    with ThreadPoolExecutor(max_workers=3) as pool:
        hashes = [pool.submit(_native.blake3, data) for _ in range(60)]
        while not all(hash_.done() for hash_ in hashes):
            for name in _native.blake3_paths():
                _native.force_blake3_path(name)
        assert {hash_.result() for hash_ in hashes} == {expected}


def test_the_portable_path_is_always_there_and_the_first_one_is_the_automatic_choice() -> None:
    paths = _native.blake3_paths()
    assert paths[-1] == "portable"
    _native.force_blake3_path("portable")
    _native.force_blake3_path(None)
    assert _native.blake3_path() == paths[0]


def test_an_unknown_path_is_refused_and_changes_nothing() -> None:
    before = _native.blake3_path()
    with pytest.raises(ValueError):
        _native.force_blake3_path("fastest")
    assert _native.blake3_path() == before
