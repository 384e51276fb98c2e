"""Numbers from chance without bias: from a source of random bytes, or from a recorded seed so that anyone can draw
them again."""

import struct
from collections.abc import Sequence
from hashlib import shake_256
from typing import TypeVar

from eraser.domain.pattern import RandomBytes

T = TypeVar("T")

WORD_BYTES = 16
"""One drawn word: an unsigned big-endian integer of 128 bits."""
WORD_BITS = 8 * WORD_BYTES


def seeded_bytes(purpose: bytes, seed: bytes, count: int) -> bytes:
    """The first `count` bytes of SHAKE-256 (FIPS 202) over purpose, a zero byte and seed."""
    return shake_256(purpose + b"\x00" + seed).digest(count)


def seeded_words(purpose: bytes, seed: bytes, count: int) -> list[int]:
    """The first `count` words of `seeded_bytes`: the same on every machine."""
    halves = struct.unpack(f">{2 * count}Q", seeded_bytes(purpose, seed, count * WORD_BYTES))
    return [high << 64 | low for high, low in zip(halves[::2], halves[1::2], strict=True)]


def scaled(word: int, choices: int) -> int:
    """A number from 0 to `choices` - 1: floor(word * choices / 2^128).

    No number is more likely than another by more than one part in 2^128 / choices, for drives below 2^64 bytes 2^-64.
    """
    return word * choices >> WORD_BITS


def shuffled(items: Sequence[T], random_bytes: RandomBytes) -> tuple[T, ...]:
    """The items in an order drawn from all orders alike (Fisher and Yates)."""
    result = list(items)
    for last in range(len(result) - 1, 0, -1):
        chosen = scaled(int.from_bytes(random_bytes(WORD_BYTES), "big"), last + 1)
        result[last], result[chosen] = result[chosen], result[last]
    return tuple(result)
