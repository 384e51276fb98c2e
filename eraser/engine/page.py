"""The shared-memory page of a transfer, as `native/transfer/page.h` lays it out: the plan goes in, counters come out.

Every field is one aligned 64-bit word, written whole by its one writer, so that no lock is needed. The layout comes from the
header itself, through the extension.
"""

import mmap
import os
from dataclasses import dataclass

from eraser.domain.evidence import BadExtent, Extent, Operation
from eraser.engine import _native

_WORDS = {name: index for index, name in enumerate(_native.PAGE_WORDS)}
_WORD_BYTES = 8
_LEAF_BYTES = 32
_BAD_ENTRY_WORDS = 4
_OPERATIONS = {1: Operation.WRITE, 2: Operation.READ}


@dataclass(frozen=True, slots=True)
class Tables:
    """Where the tables lie, in bytes from the start of the page."""

    ranges: int
    bad: int
    leaves: int
    end: int

    @classmethod
    def lay(cls, range_count: int, bad_capacity: int, leaf_count: int) -> "Tables":
        """Tables of these sizes, one behind the other."""
        ranges = int(_native.PAGE_TABLES_OFFSET)
        bad = ranges + range_count * 2 * _WORD_BYTES
        leaves = bad + bad_capacity * _BAD_ENTRY_WORDS * _WORD_BYTES
        end = leaves + leaf_count * _LEAF_BYTES
        return cls(ranges, bad, leaves, -(-end // mmap.PAGESIZE) * mmap.PAGESIZE)


class Page:
    """One page, mapped here and passed to the transfer by its descriptor. Reading is cheap and never blocks."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.fd = os.memfd_create("eraser-transfer", os.MFD_CLOEXEC)
        try:
            os.ftruncate(self.fd, tables.end)
            self._map = mmap.mmap(self.fd, tables.end)
        except BaseException:
            os.close(self.fd)
            raise
        self._bytes = memoryview(self._map)
        self._words = self._bytes.cast("Q")
        self["page_bytes"] = tables.end

    def close(self) -> None:
        """Unmaps it here; a transfer that still runs keeps its own mapping."""
        self._words.release()
        self._bytes.release()
        self._map.close()
        os.close(self.fd)

    def __getitem__(self, name: str) -> int:
        return self._words[_WORDS[name]]

    def __setitem__(self, name: str, value: int) -> None:
        self._words[_WORDS[name]] = value

    def set_pattern(self, data: bytes) -> None:
        """The constant, or the seed: at most 4,096 bytes."""
        start = int(_native.PAGE_PATTERN_OFFSET)
        self._bytes[start : start + len(data)] = data

    def set_ranges(self, ranges: tuple[Extent, ...]) -> None:
        """Ascending, not overlapping."""
        word = self.tables.ranges // _WORD_BYTES
        for extent in ranges:
            self._words[word] = extent.offset_bytes
            self._words[word + 1] = extent.length_bytes
            word += 2

    def latency_us_buckets(self) -> tuple[int, ...]:
        """Count of I/Os by latency: bucket *k* holds those of 2^k to 2^(k+1) microseconds."""
        start = len(_native.PAGE_WORDS)
        return tuple(self._words[start : start + int(_native.PAGE_HISTOGRAM_BUCKETS)])

    def mismatch_places(self) -> tuple[int, ...]:
        """Byte offsets of the first sectors that differed, ascending in processing order."""
        start = len(_native.PAGE_WORDS) + int(_native.PAGE_HISTOGRAM_BUCKETS)
        return tuple(self._words[start : start + self["place_count"]])

    def bad_extents(self, first: int = 0) -> tuple[BadExtent, ...]:
        """What could not be written or read, from the numbered entry on. The last entry may still grow."""
        count = self["bad_count"]
        word = self.tables.bad // _WORD_BYTES + first * _BAD_ENTRY_WORDS
        found = []
        for _ in range(first, count):
            offset, length, operation, errno = self._words[word : word + _BAD_ENTRY_WORDS]
            found.append(BadExtent(Extent(offset, length), _OPERATIONS[operation], errno))
            word += _BAD_ENTRY_WORDS
        return tuple(found)

    def leaves(self) -> tuple[bytes, ...]:
        """BLAKE3-256 of each extent that was read whole, in order."""
        start = self.tables.leaves
        count = self["finished_leaves"]
        return tuple(bytes(self._bytes[start + i * _LEAF_BYTES : start + (i + 1) * _LEAF_BYTES]) for i in range(count))
