"""The engine's patterns against OpenSSL: through `cryptography`, and through the command that an auditor would use."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eraser.engine import _native

PATHS = _native.pattern_paths()
SEED = bytes(range(32))
OFFSET_LIMIT = 1 << 63

seeds = st.binary(min_size=32, max_size=32)
constants = st.one_of(
    st.binary(min_size=1, max_size=64),
    st.sampled_from([1, 2, 3, 4, 7, 512, 4095, 4096]).flatmap(lambda size: st.binary(min_size=size, max_size=size)),
)
lengths = st.one_of(st.integers(0, 100), st.integers(0, 20_000))
offsets = st.one_of(
    st.integers(0, 10_000),
    st.integers(0, OFFSET_LIMIT - 20_000),
    # Around each place where the counter carries into a byte or word of its own.
    st.builds(
        lambda bits, below: (1 << bits) - below,
        st.sampled_from([12, 20, 36, 40, 41, 44, 52, 60, 62]),
        st.integers(0, 4096),
    ),
)
sector_sizes = st.sampled_from([1, 16, 512, 520, 4096, 1 << 40])


def openssl_stream(seed: bytes, offset: int, length: int) -> bytes:
    """Bytes offset to offset + length of the AES-256-CTR stream, by OpenSSL's own code."""
    skip = offset % 16
    counter = (offset // 16).to_bytes(16, "big")
    encryptor = Cipher(algorithms.AES(seed), modes.CTR(counter)).encryptor()
    return encryptor.update(bytes(skip + length))[skip:]


def repeated(constant: bytes, offset: int, length: int) -> bytes:
    """The same bytes of a repeated constant, in plain Python."""
    phase = offset % len(constant)
    return (constant * ((phase + length) // len(constant) + 1))[phase : phase + length]


def generated(seed: bytes, offset: int, length: int) -> bytes:
    out = bytearray(length)
    _native.aes_256_ctr(seed, offset, out)
    return bytes(out)


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each path that this CPU can take, forced for one test."""
    name = str(request.param)
    _native.force_pattern_path(name)
    assert _native.pattern_path() == name
    yield name
    _native.force_pattern_path(None)


def each_path() -> Iterator[str]:
    """The same within one test, for properties."""
    try:
        for name in PATHS:
            _native.force_pattern_path(name)
            yield name
    finally:
        _native.force_pattern_path(None)


@given(seeds, offsets, lengths)
@example(SEED, (1 << 41) + 5, 20_000)
@example(SEED, (1 << 44) - 10_000, 20_000)
@settings(deadline=None)
def test_every_path_makes_the_stream_of_openssl_at_any_offset(seed: bytes, offset: int, length: int) -> None:
    expected = openssl_stream(seed, offset, length)
    for name in each_path():
        assert generated(seed, offset, length) == expected, name


@pytest.mark.lab("openssl")
def test_the_openssl_command_makes_the_same_stream(path: str) -> None:
    arguments = ["openssl", "enc", "-aes-256-ctr", "-K", SEED.hex(), "-iv", "0" * 32]
    stream = subprocess.run(arguments, input=bytes(3 << 20), capture_output=True, check=True).stdout
    for offset, length in [(0, 3 << 20), (1, 100_000), (4095, 4098), (1 << 20, 1 << 20), ((3 << 20) - 7, 7)]:
        assert generated(SEED, offset, length) == stream[offset : offset + length]


@pytest.mark.lab("openssl")
def test_the_openssl_command_makes_the_same_stream_beyond_two_tebibytes(path: str) -> None:
    for offset in [1 << 41, (1 << 44) - (1 << 16), 1 << 62]:
        arguments = ["openssl", "enc", "-aes-256-ctr", "-K", SEED.hex(), "-iv", f"{offset // 16:032x}"]
        stream = subprocess.run(arguments, input=bytes(1 << 17), capture_output=True, check=True).stdout
        assert generated(SEED, offset, 1 << 17) == stream


@given(constants, offsets, lengths)
@settings(deadline=None)
def test_a_constant_repeats_from_the_start_of_the_drive(constant: bytes, offset: int, length: int) -> None:
    out = bytearray(length)
    _native.constant(constant, offset, out)
    assert out == repeated(constant, offset, length)


@given(st.data(), offsets, st.integers(1, 20_000), sector_sizes, st.integers(0, 8))
@settings(deadline=None)
def test_comparison_answers_how_many_sectors_differ_and_where(
    data: st.DataObject, offset: int, length: int, sector_bytes: int, capacity: int
) -> None:
    spoilt = sorted(data.draw(st.sets(st.integers(0, length - 1), max_size=12), label="spoilt bytes"))
    places = sorted({offset + place // sector_bytes * sector_bytes for place in spoilt})
    expected = (len(places), places[:capacity])
    constant = data.draw(constants, label="constant")

    content = bytearray(repeated(constant, offset, length))
    for place in spoilt:
        content[place] ^= 0x80
    assert _native.compare_constant(constant, offset, content, sector_bytes, capacity) == expected

    content = bytearray(openssl_stream(SEED, offset, length))
    for place in spoilt:
        content[place] ^= 0x01
    for name in each_path():
        assert _native.compare_aes_256_ctr(SEED, offset, content, sector_bytes, capacity) == expected, name


def test_another_seed_or_another_offset_differs_in_every_sector(path: str) -> None:
    content = openssl_stream(SEED, 4096, 8192)
    assert _native.compare_aes_256_ctr(SEED, 4096, content, 512) == (0, [])
    every_sector = [4096 + 512 * sector for sector in range(16)]
    assert _native.compare_aes_256_ctr(bytes(32), 4096, content, 512) == (16, every_sector)
    assert _native.compare_aes_256_ctr(SEED, 4097, content, 512)[0] == 16


def test_sixty_four_places_are_kept_unless_asked_for_another_number() -> None:
    content = b"\xff" * 512 * 100
    different, places = _native.compare_constant(b"\0", 0, content, 512)
    assert (different, places) == (100, [512 * sector for sector in range(64)])


def test_any_contiguous_buffer_will_do() -> None:
    out = bytearray(64)
    _native.aes_256_ctr(memoryview(SEED), 8, memoryview(out)[16:48])
    assert out == bytes(16) + openssl_stream(SEED, 8, 32) + bytes(16)
    assert _native.compare_aes_256_ctr(SEED, 8, memoryview(out)[16:48], 512) == (0, [])


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_seed_has_32_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        _native.aes_256_ctr(bytes(size), 0, bytearray(16))
    with pytest.raises(ValueError, match="32 bytes"):
        _native.compare_aes_256_ctr(bytes(size), 0, bytes(16), 512)


@pytest.mark.parametrize("size", [0, 4097])
def test_a_constant_has_1_to_4096_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="1 to 4096 bytes"):
        _native.constant(bytes(size), 0, bytearray(16))
    with pytest.raises(ValueError, match="1 to 4096 bytes"):
        _native.compare_constant(bytes(size), 0, bytes(16), 512)


@pytest.mark.parametrize("offset", [-1, OFFSET_LIMIT - 15, OFFSET_LIMIT, 1 << 64, (1 << 64) - 1, 1 << 100])
def test_no_byte_lies_before_the_drive_or_beyond_the_largest_offset(offset: int) -> None:
    out = bytearray(16)
    with pytest.raises(OverflowError):
        _native.aes_256_ctr(SEED, offset, out)
    with pytest.raises(OverflowError):
        _native.constant(b"\0", offset, out)
    with pytest.raises(OverflowError):
        _native.compare_aes_256_ctr(SEED, offset, out, 512)
    with pytest.raises(OverflowError):
        _native.compare_constant(b"\0", offset, out, 512)
    assert out == bytes(16)


def test_the_last_bytes_before_the_largest_offset_can_be_made(path: str) -> None:
    offset = OFFSET_LIMIT - 16
    assert generated(SEED, offset, 16) == openssl_stream(SEED, offset, 16)


def test_impossible_sectors_and_capacities_are_refused() -> None:
    with pytest.raises(ValueError, match="sector_bytes"):
        _native.compare_constant(b"\0", 0, bytes(16), 0)
    with pytest.raises(OverflowError):
        _native.compare_constant(b"\0", 0, bytes(16), -512)
    for capacity in (-1, 65537):
        with pytest.raises(ValueError, match="capacity"):
            _native.compare_constant(b"\0", 0, bytes(16), 512, capacity)


def test_what_is_no_number_or_no_buffer_is_refused() -> None:
    with pytest.raises(TypeError):
        _native.aes_256_ctr(SEED, 1.5, bytearray(16))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        _native.aes_256_ctr(SEED, 0, "text")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        _native.aes_256_ctr(SEED, 0, bytes(16))
    with pytest.raises((TypeError, BufferError)):
        _native.aes_256_ctr(SEED, 0, memoryview(bytearray(64))[::2])


def test_a_path_that_is_not_there_is_refused_and_changes_nothing(path: str) -> None:
    for name in ("", "vaes1024", "armv8" if "armv8" not in PATHS else "vaes512"):
        with pytest.raises(ValueError, match="path"):
            _native.force_pattern_path(name)
        assert _native.pattern_path() == path


def test_without_force_the_best_path_is_taken() -> None:
    _native.force_pattern_path(None)
    assert _native.pattern_path() == PATHS[0]
    assert PATHS[-1] == "portable"
