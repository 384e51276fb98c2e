"""Where distinct markers go before a program whose passes all repeat, so that a drive that wraps its addresses is
found out.

A drive that wraps at m answers address p + m with what belongs to p. Writing markers in ascending order on such a drive
destroys one of them as soon as two places are m apart, and reading all of them back shows it. So the places form a
*sparse ruler*: with s places at 0, g, 2 g ... (s - 1) g, others at every s g, and the last multiple of g, every
multiple of g below the capacity is the distance of two places, since k = s j - i for some j and some i below s.

Wraps at a fraction of a drive of odd size are no multiple of g: the places size / k for k = 2 to 16 lie that far from
0. Besides, places from the seed lie where no firmware can foresee them: answering zeros everywhere but at the ruler
does not help.
"""

from functools import lru_cache
from math import isqrt

from eraser.domain.chance import scaled, seeded_words
from eraser.domain.evidence import Extent
from eraser.domain.pattern import SEED_BYTES
from eraser.errors import UsageError

MAX_PLACES = 8192
MIN_PLACES = 1024
"""So many at most on a drive up to 4 GiB, where thousands would take as long as the passes themselves."""
PLACE_EVERY_BYTES = 4 << 20
"""Larger ones get one place at most for so many bytes, up to `MAX_PLACES`."""
SEEDED_PLACES = 256
LARGEST_FRACTION = 16
PURPOSE = b"eraser markers v1"

# First, last, and two for each fraction: its sector and the one behind.
_EXTRA_PLACES = SEEDED_PLACES + 2 + 2 * (LARGEST_FRACTION - 1)


# The verdict is computed anew by whoever asks for it: when the job ends, and at each step of issuing its certificate.
@lru_cache(maxsize=8)
def marker_places(capacity_bytes: int, sector_bytes: int, seed: bytes) -> tuple[int, tuple[Extent, ...]]:
    """The ruler's granularity g in bytes, and the places: one physical sector each, sorted, none overlapping.

    g is the smallest power of two of sectors with which the places allowed for a drive of this size suffice. The last sector
    of an image of odd size is short. Raises UsageError for sizes that make no sense.
    """
    if capacity_bytes < 1 or sector_bytes < 1:
        raise UsageError(f"no place for markers in {capacity_bytes} bytes of {sector_bytes}-byte sectors")
    if len(seed) != SEED_BYTES:
        raise UsageError(f"a marker seed has {SEED_BYTES} bytes, not {len(seed)}")
    sectors = -(-capacity_bytes // sector_bytes)
    step = 1
    most = min(MAX_PLACES, max(MIN_PLACES, capacity_bytes // PLACE_EVERY_BYTES))
    while _ruler_size(_last_mark(sectors, step)) > most - _EXTRA_PLACES:
        step *= 2
    places = {0, sectors - 1}
    places.update(mark * step for mark in _ruler(_last_mark(sectors, step)))
    places.update(_fractions(capacity_bytes, sector_bytes, sectors))
    places.update(scaled(word, sectors) for word in seeded_words(PURPOSE, seed, SEEDED_PLACES))
    extents = (
        Extent(place * sector_bytes, min(sector_bytes, capacity_bytes - place * sector_bytes))
        for place in sorted(places)
    )
    return step * sector_bytes, tuple(extents)


def _last_mark(sectors: int, step: int) -> int:
    """The highest multiple of the step that is a sector of the drive."""
    return (sectors - 1) // step


def _ruler(last: int) -> set[int]:
    """Marks from 0 to `last` among which every distance from 1 to `last` occurs."""
    spacing = max(1, isqrt(last))
    # Distances above the last spaced mark are measured from `last` itself to the dense ones.
    return {*range(min(spacing, last + 1)), *range(0, last + 1, spacing), last}


def _ruler_size(last: int) -> int:
    """At most so many marks, without making them."""
    spacing = max(1, isqrt(last))
    return spacing + last // spacing + 2


def _fractions(capacity_bytes: int, sector_bytes: int, sectors: int) -> set[int]:
    """For every fraction the sector that a wrap there lays over the first one, wherever the wrap is rounded to."""
    found: set[int] = set()
    for divisor in range(2, LARGEST_FRACTION + 1):
        sector = capacity_bytes // divisor // sector_bytes
        found.update(place for place in (sector, sector + 1) if place < sectors)
    return found
