"""The tree of RFC 9162 §2.1 over a log that only grows, from hashes that are kept: a proof reads a few hundred of a million.

Kept are the hashes of all entries (row 0) and, in row r, those of whole subtrees of 256^r entries: each is the root over 256
of the row before, so that a row is 256 times shorter. Whatever lies between two rows is computed when it is asked for.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from eraser.domain.merkle import HASH_BYTES, node_hash
from eraser.errors import JournalError, UsageError

ROW_LEVELS = 8
TILE = 1 << ROW_LEVELS
"""Hashes of one row that have a hash in the next."""

ReadHashes = Callable[[int, int, int], Sequence[bytes]]
"""(row, first, count) -> that many kept hashes of a row, from number `first`."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One hash to keep: number `number` of a row."""

    row: int
    number: int
    hash: bytes


def grown(size: int, leaves: Sequence[bytes], read: ReadHashes) -> Iterator[Kept]:
    """What is to be kept when entries with these hashes (`merkle.leaf_hash`) follow the `size` that are there.

    Reads at most 255 hashes of each row; the work is proportional to the number of new entries.
    """
    row, first, new = 0, size, list(leaves)
    while new:
        yield from (Kept(row, first + place, item) for place, item in enumerate(new))
        begun = first % TILE  # of the tile that was not full yet
        hashes = [*_read(read, row, first - begun, begun), *new]
        whole = len(hashes) // TILE
        new = [_folded(hashes[number * TILE : (number + 1) * TILE]) for number in range(whole)]
        row, first = row + 1, (first - begun) // TILE


class Tree:
    """The tree over the first `size` entries. Use one for the proofs of one moment: it remembers the tiles it has read."""

    def __init__(self, size: int, read: ReadHashes) -> None:
        self.size = size
        self._read = read
        self._tiles: dict[tuple[int, int], Sequence[bytes]] = {}

    def root(self) -> bytes:
        """RFC 9162 §2.1.1: MTH(D[size])."""
        return self._hash(0, self.size) if self.size else sha256(b"").digest()

    def inclusion_proof(self, index: int) -> tuple[bytes, ...]:
        """RFC 9162 §2.1.3.1: PATH(index, D[size]), lowest first. Raises UsageError where there is no such entry."""
        if not 0 <= index < self.size:
            raise UsageError(f"entry {index} is not among the log's {self.size}")
        proof: list[bytes] = []
        start, end = 0, self.size
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                proof.append(self._hash(middle, end))
                end = middle
            else:
                proof.append(self._hash(start, middle))
                start = middle
        return tuple(reversed(proof))

    def consistency_proof(self, earlier: int) -> tuple[bytes, ...]:
        """RFC 9162 §2.1.4.1: PROOF(earlier, D[size]). Raises UsageError for a size that the log never had before."""
        if not 0 < earlier <= self.size:
            raise UsageError(f"the log of {self.size} entries was never an earlier one of {earlier}")
        proof: list[bytes] = []
        start, end, is_known = 0, self.size, True  # is_known: the verifier has this very subtree's root
        while end - start != earlier - start:
            middle = start + _split(end - start)
            if earlier <= middle:
                proof.append(self._hash(middle, end))
                end = middle
            else:
                proof.append(self._hash(start, middle))
                start, is_known = middle, False
        if not is_known:
            proof.append(self._hash(start, end))
        return tuple(reversed(proof))

    def _hash(self, start: int, end: int) -> bytes:
        """Of the entries from `start` up to `end`, which the RFC's recursion comes by."""
        count = end - start
        if count & (count - 1):
            middle = start + _split(count)
            return node_hash(self._hash(start, middle), self._hash(middle, end))
        level = count.bit_length() - 1
        row, above = divmod(level, ROW_LEVELS)
        first, width = start >> (row * ROW_LEVELS), 1 << above
        # Subtrees are aligned to their width, so the hashes of one lie in one tile.
        inside = first % TILE
        return _folded(self._tile(row, first // TILE)[inside : inside + width])

    def _tile(self, row: int, number: int) -> Sequence[bytes]:
        if (tile := self._tiles.get((row, number))) is None:
            there = self.size >> (row * ROW_LEVELS)
            first = number * TILE
            tile = self._tiles[row, number] = _read(self._read, row, first, min(TILE, there - first))
        return tile


def _split(count: int) -> int:
    """The largest power of two below `count` (RFC 9162 §2.1.1)."""
    return 1 << ((count - 1).bit_length() - 1)


def _folded(hashes: Sequence[bytes]) -> bytes:
    """The root over a power of two of them: RFC 9162 §2.1.1, level by level, each as one run of bytes.

    A proof folds some 600 hashes, and that is most of what it costs beside reading them.
    """
    level = b"".join(hashes)
    while len(level) > HASH_BYTES:
        pairs = range(0, len(level), 2 * HASH_BYTES)
        level = b"".join([sha256(b"\x01" + level[place : place + 2 * HASH_BYTES]).digest() for place in pairs])
    return level


def _read(read: ReadHashes, row: int, first: int, count: int) -> Sequence[bytes]:
    hashes = read(row, first, count) if count else ()
    if len(hashes) != count or not set(map(len, hashes)) <= {HASH_BYTES}:
        raise JournalError(
            f"the log's hashes {first} to {first + count - 1} of row {row} are not all there",
            remedy="Restore the ledger from its backup; `eraser ledger check` says what else is missing.",
        )
    return hashes
