"""The draw: the same for everybody, fair, and of nobody's choice."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256, shake_256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraser.domain.blind_draw import AUDIT, ROUTINE, drawn, seed_of
from eraser.errors import UsageError

ROOT = bytes(range(32))
NONCE = b"n" * 16


def by_hand(count: int, choose: int, nonce: bytes, root: bytes, size: int) -> list[int]:
    """As the module's text tells it, with a plain list."""
    text = b"eraser audit draw v1\x00"
    seed = sha256(text + bytes([len(nonce)]) + nonce + root + size.to_bytes(8, "big")).digest()
    stream = shake_256(text + seed).digest(16 * choose)
    items = list(range(count))
    for k in range(choose):
        j = k + (int.from_bytes(stream[16 * k : 16 * k + 16], "big") * (count - k) >> 128)
        items[k], items[j] = items[j], items[k]
    return items[:choose]


@given(st.data(), st.integers(1, 300), st.binary(min_size=16, max_size=64), st.binary(min_size=32, max_size=32))
def test_it_can_be_drawn_again_by_hand(data: st.DataObject, count: int, nonce: bytes, root: bytes) -> None:
    choose = data.draw(st.integers(0, count))
    found = drawn(range(count), choose, AUDIT, seed_of(AUDIT, nonce, root, count))
    assert list(found) == by_hand(count, choose, nonce, root, count)
    assert len(set(found)) == choose


def test_every_item_is_drawn_as_often_as_any_other() -> None:
    counts = Counter(
        item
        for number in range(4000)
        for item in drawn(range(10), 3, AUDIT, seed_of(AUDIT, number.to_bytes(16, "big"), ROOT, 10))
    )
    assert all(1050 < counts[item] < 1350 for item in range(10)), counts  # 1200 each; 5 standard deviations are 145


@pytest.mark.parametrize(
    "other",
    [
        seed_of(AUDIT, b"m" * 16, ROOT, 9),
        seed_of(AUDIT, NONCE, ROOT[::-1], 9),
        seed_of(AUDIT, NONCE, ROOT, 10),
        seed_of(ROUTINE, NONCE, ROOT, 9),
        seed_of(AUDIT, NONCE + ROOT[:1], ROOT[1:] + b"\x00", 9),
    ],
)
def test_whatever_goes_into_the_seed_changes_it(other: bytes) -> None:
    assert other != seed_of(AUDIT, NONCE, ROOT, 9)


@pytest.mark.parametrize(
    ("nonce", "root", "size"), [(b"n" * 15, ROOT, 9), (b"n" * 65, ROOT, 9), (NONCE, b"", 9), (NONCE, ROOT, 0)]
)
def test_what_could_be_guessed_is_refused(nonce: bytes, root: bytes, size: int) -> None:
    with pytest.raises(UsageError):
        seed_of(AUDIT, nonce, root, size)


def test_no_more_can_be_drawn_than_there_is() -> None:
    with pytest.raises(UsageError):
        drawn(range(3), 4, AUDIT, bytes(32))
