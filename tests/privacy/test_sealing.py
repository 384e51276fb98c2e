"""What is sealed opens with its own key in its own place, and nowhere else."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from eraser.privacy.errors import VaultAlteredError
from eraser.privacy.sealing import NONCE_BYTES, context, new_key, seal, unseal

KEY = bytes(range(32))
few = settings(max_examples=50, deadline=None)

# McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, test cases 13, 14 and 16; also NIST's: key, nonce,
# plaintext, additional data, ciphertext and tag.
VECTORS = [
    ("00" * 32, "00" * 12, "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
    ("00" * 32, "00" * 12, "00" * 16, "", "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"),
    (
        "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        "cafebabefacedbaddecaf888",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        "76fc6ece0f4e1768cddf8853bb2d551b",
    ),
]


@pytest.mark.parametrize(("key", "nonce", "plain", "extra", "sealed"), VECTORS)
def test_known_answers(key: str, nonce: str, plain: str, extra: str, sealed: str) -> None:
    made = seal(bytes.fromhex(key), bytes.fromhex(plain), bytes.fromhex(extra), lambda count: bytes.fromhex(nonce))
    assert made.hex() == nonce + sealed
    assert unseal(bytes.fromhex(key), made, bytes.fromhex(extra), "it") == bytes.fromhex(plain)


@few
@given(st.binary(max_size=200), st.binary(max_size=40))
def test_what_is_sealed_opens(plain: bytes, bound: bytes) -> None:
    sealed = seal(KEY, plain, bound)
    assert unseal(KEY, sealed, bound, "it") == plain
    assert AESGCM(KEY).decrypt(sealed[:12], sealed[12:], bound) == plain


def test_each_bit_that_changes_is_found() -> None:
    sealed = seal(KEY, b"Anna", b"here")
    for bit in range(8 * len(sealed)):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(VaultAlteredError, match="record 1"):
            unseal(KEY, bytes(changed), b"here", "record 1")


@pytest.mark.parametrize("length", range(33))
def test_what_is_cut_short_is_found(length: int) -> None:
    with pytest.raises(VaultAlteredError):
        unseal(KEY, seal(KEY, b"Anna!", b"")[:length], b"", "it")


def test_another_key_or_place_does_not_open_it() -> None:
    sealed = seal(KEY, b"Anna", context("record", "lot-1", "r"))
    for key, place in [
        (new_key(), context("record", "lot-1", "r")),
        (KEY, context("record", "lot-2", "r")),
        (KEY, context("receipt", "lot-1", "r")),
        (KEY, context("record", "lot-1r", "")),
    ]:
        with pytest.raises(VaultAlteredError) as refused:
            unseal(key, sealed, place, "it")
        assert "Anna" not in str(refused.value)


def test_a_nonce_is_never_used_twice() -> None:
    nonces = {seal(KEY, b"same", b"same")[:NONCE_BYTES] for _ in range(1000)}
    assert len(nonces) == 1000
