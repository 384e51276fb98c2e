"""Single extents of a drive, held against the tree of hashes in its certificate: what of a large drive can be read in minutes.

The certificate has the tree's root; its leaves, 32 bytes for each extent, lie beside it (`<job id>.leaves`). They count only
where they give the root. Then a chosen extent that hashes to its leaf holds what the whole drive's reading had found there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from eraser.domain.blind_draw import drawn
from eraser.domain.defect_rate import MILLION, most_defective
from eraser.domain.evidence import Extent, HashTree
from eraser.domain.merkle import HASH_BYTES, root

PURPOSE = b"eraser audit extents v1"
MOST_CHOSEN = 59
"""The least with which, where none differs, fewer than 5 % of very many do, with 95 % confidence."""
CONFIDENCE_PPM = 950_000


@dataclass(frozen=True, slots=True)
class ExtentReading:
    """Which extents of a drive were read, by their numbers from 0, and which of them did not hash to their leaves."""

    extent_bytes: int
    extents: int
    """Of the whole drive."""
    chosen: tuple[int, ...]
    differing: tuple[int, ...]

    @property
    def most_differing_ppm(self) -> int:
        """Share of all extents of which more may be otherwise, with a confidence of 95 %, rounded up."""
        most = most_defective(self.extents, len(self.chosen), len(self.differing), CONFIDENCE_PPM)
        return -(-most * MILLION // self.extents)


@dataclass(frozen=True, slots=True)
class ChosenExtents:
    """Extents to be read; `leaves` are those of the whole drive, and give the root in its certificate."""

    extent_bytes: int
    leaves: tuple[bytes, ...]
    numbers: tuple[int, ...]
    """Sorted, from 0."""

    def places(self, capacity_bytes: int) -> tuple[Extent, ...]:
        """Where they are; the drive's last one may be short."""
        return tuple(extent_at(number, self.extent_bytes, capacity_bytes) for number in self.numbers)

    def reading(self, hashes: Sequence[bytes]) -> ExtentReading:
        """What follows from the hashes of the places, in their order. What was not read counts as differing."""
        found = dict(zip(self.numbers, hashes, strict=False))
        differing = tuple(number for number in self.numbers if found.get(number) != self.leaves[number])
        return ExtentReading(self.extent_bytes, len(self.leaves), self.numbers, differing)


def leaves_of(content: bytes, tree: HashTree, capacity_bytes: int) -> tuple[bytes, ...] | None:
    """The leaves in a file, or None where they are not those of this tree over a drive of this size."""
    if len(content) % HASH_BYTES or not tree.extent_bytes:
        return None
    leaves = tuple(content[place : place + HASH_BYTES] for place in range(0, len(content), HASH_BYTES))
    is_whole = len(leaves) == tree.leaves == -(-capacity_bytes // tree.extent_bytes)
    return leaves if is_whole and root(leaves) == tree.root else None


def choose(
    tree: HashTree, leaves: tuple[bytes, ...], capacity_bytes: int, bad: Sequence[Extent], seed: bytes
) -> ChosenExtents:
    """So many as MOST_CHOSEN, drawn as `blind_draw` tells, from the extents in which no place is listed as bad."""
    size = tree.extent_bytes
    spoilt = {number for item in bad for number in range(item.offset_bytes // size, -(-item.end_bytes // size))}
    good = [number for number in range(len(leaves)) if number not in spoilt]
    return ChosenExtents(size, leaves, tuple(sorted(drawn(good, min(MOST_CHOSEN, len(good)), PURPOSE, seed))))


def extent_at(number: int, extent_bytes: int, capacity_bytes: int) -> Extent:
    """The place of an extent."""
    start = number * extent_bytes
    return Extent(start, min(extent_bytes, capacity_bytes - start))
