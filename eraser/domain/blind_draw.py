"""Drawing from a list so that nobody can choose alone what is drawn, and everybody can draw it again.

By hand:

1. The seed is SHA-256 over the ASCII text of the purpose (`eraser audit draw v1`, `eraser routine draw v1`), a zero byte, the
   nonce's length in one byte, the nonce, the root of the log's tree (32 bytes), and the log's size (8 bytes, big-endian).
2. The stream is SHAKE-256 over the same text, a zero byte and the seed; it gives big-endian integers u_0, u_1, ... of 128 bits.
3. The items lie in the log's order, numbered from 0 to N - 1. For k = 0, 1, ..., n - 1: j = k + floor(u_k (N - k) / 2^128),
   and item k and item j change places. The first n are drawn (Fisher and Yates): without replacement, every set alike.

The nonce is the auditor's, the root is the plant's. Whoever knows both before the other has fixed theirs could choose: so the
plant signs the checkpoint first, and the auditor draws the nonce afterwards.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import TypeVar

from eraser.domain.chance import scaled, seeded_words
from eraser.domain.merkle import HASH_BYTES
from eraser.errors import UsageError

T = TypeVar("T")

AUDIT = b"eraser audit draw v1"
ROUTINE = b"eraser routine draw v1"
LEAST_NONCE_BYTES = 16
MOST_NONCE_BYTES = 64


def seed_of(purpose: bytes, nonce: bytes, root: bytes, size: int) -> bytes:
    """32 bytes that neither side knew before. Raises UsageError for a nonce that could be guessed, and for no log's root."""
    if not LEAST_NONCE_BYTES <= len(nonce) <= MOST_NONCE_BYTES:
        raise UsageError(
            f"a nonce has {LEAST_NONCE_BYTES} to {MOST_NONCE_BYTES} bytes, not {len(nonce)}",
            remedy="`openssl rand -hex 16` draws one.",
        )
    if len(root) != HASH_BYTES or size < 1:
        raise UsageError("there is no log to draw from")
    return sha256(purpose + b"\x00" + bytes([len(nonce)]) + nonce + root + size.to_bytes(8, "big")).digest()


def drawn(items: Sequence[T], count: int, purpose: bytes, seed: bytes) -> tuple[T, ...]:
    """So many of the items, in the order in which they are drawn. Raises UsageError where there are not so many."""
    if not 0 <= count <= len(items):
        raise UsageError(f"{count} can't be drawn from {len(items)}")
    moved: dict[int, int] = {}  # places whose item is no longer the list's: few of many
    result = []
    for place, word in enumerate(seeded_words(purpose, seed, count)):
        other = place + scaled(word, len(items) - place)
        result.append(items[moved.get(other, other)])
        moved[other] = moved.get(place, place)
    return tuple(result)
