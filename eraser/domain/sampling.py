"""Representative sampling: which places of a drive are read back when not all of it is, and what that proves.

The rule is NIST SP 800-88 Rev. 1 §4.7's: at least 1,000 equal parts, in each at least two samples that do not overlap,
each at least 5 % of its part, at places drawn anew each time, and the first and the last sector that can be addressed.

To draw the places again by hand, from the recorded seed and the capacity C in bytes with physical sectors of B bytes:

1. S = ceil(C / B) sectors. With fewer than 2,000 the whole drive is read.
2. Part i (from 0 to 999) is the sectors from floor(i S / 1000) up to, but not including, floor((i + 1) S / 1000): L of
   them.
3. Each sample has n = ceil(ceil(S / 1000) / 20) sectors.
4. The stream is SHAKE-256 over the ASCII text `eraser sampling v1`, a zero byte and the seed. Part i takes its bytes
   32 i to 32 i + 31: two big-endian integers u and v of 128 bits.
5. The first sample begins at sector a = floor(u L / 2^128) of the part, the second at b = (a + n + d) mod L with
   d = floor(v (L - 2 n + 1) / 2^128). A sample that reaches the end of its part goes on at the part's beginning.

Step 5 lets samples wrap within their part so that *every* sector is read with the same probability 2 n / L, at least
10 %. Were they kept from wrapping, the sectors at the ends of parts would hardly ever be read, and all of them are
known beforehand.

**The bound.** Let the sectors that are not erased be chosen in any way that does not depend on the seed (it is drawn
after the last write). If m >= 1 of a part's L sectors are not erased, then
- at least min(L, m + n - 1) of the L beginnings make the first sample meet one of them: m sectors and the n - 1
  beginnings before each of them cover least when the m are neighbours;
- given that the first sample met none, all m lie in the remaining line of L - n sectors, which has L - 2 n + 1
  beginnings. Those that miss lie in gaps that have L - n - m sectors together: at most L - 2 n - m + 1.
So the part shows no difference with a probability of at most

    q(m) = (1 - (m + n - 1) / L) * (1 - m / (L - 2 n + 1)).

Parts are drawn independently: with m not erased in each of k parts, nothing is seen with at most q(m)^k. log q is
concave, so k unequal shares are seen sooner than k equal ones of the same sum. Hence with 95 % confidence the sectors
not erased are fewer than the largest k * m with q(m)^k >= 5 %, over all k. On a large drive that is about 0.11 % of
it: one part and a bit.
"""

from collections.abc import Sequence
from decimal import ROUND_CEILING, Context, Decimal, localcontext
from functools import lru_cache
from itertools import compress
from operator import add, gt
from struct import Struct

from eraser.domain.chance import WORD_BITS, WORD_BYTES, seeded_bytes
from eraser.domain.evidence import Extent, SamplingEvidence
from eraser.domain.pattern import SEED_BYTES
from eraser.errors import UsageError

PARTS = 1000
SAMPLES_PER_PART = 2
SAMPLES_PER_LENGTH = 20
"""A sample is a twentieth of its part: 5 %."""
PURPOSE = b"eraser sampling v1"
CONFIDENCE_MISS = Decimal("0.05")
_SLOT_BYTES = 2 * WORD_BYTES
_SLOT = bytes(WORD_BYTES) + b"\xff" * WORD_BYTES
_WORDS = int.from_bytes(_SLOT * PARTS, "big")
_FLOORS = Struct(">" + "8xQ16x" * PARTS)
"""The upper halves of the slots: below 2^64, as a drive's sectors are."""

Run = tuple[int, int]
"""First sector, and the first one behind."""


def sample(capacity_bytes: int, sector_bytes: int, seed: bytes) -> tuple[tuple[Extent, ...], SamplingEvidence]:
    """The places to read back, sorted and merged, with how they were drawn. Raises UsageError for senseless sizes."""
    evidence = sampling_evidence(capacity_bytes, sector_bytes, seed)
    extents = (
        Extent(first * sector_bytes, min(behind * sector_bytes, capacity_bytes) - first * sector_bytes)
        for first, behind in _runs(-(-capacity_bytes // sector_bytes), seed)
    )
    return tuple(extents), evidence


@lru_cache(maxsize=2)  # a verdict and the claims that rest on it draw the same places, one after the other
def sampling_evidence(capacity_bytes: int, sector_bytes: int, seed: bytes) -> SamplingEvidence:
    """How `sample` draws, without the places themselves: every check of a certificate asks for it."""
    if capacity_bytes < 1 or sector_bytes < 1:
        raise UsageError(f"nothing to sample in {capacity_bytes} bytes of {sector_bytes}-byte sectors")
    if len(seed) != SEED_BYTES:
        raise UsageError(f"a sampling seed has {SEED_BYTES} bytes, not {len(seed)}")
    sectors = -(-capacity_bytes // sector_bytes)
    if _is_whole(sectors):
        return _whole(capacity_bytes, seed)
    starts, ends = _pieces(sectors, seed)
    return SamplingEvidence(
        seed=seed,
        parts=PARTS,
        samples_per_part=SAMPLES_PER_PART,
        sample_bytes=sample_sectors(sectors) * sector_bytes,
        # No two pieces overlap: as many runs as pieces, less one wherever a piece begins where another ends.
        places=len(starts) - len(set(starts).intersection(ends)),
        # The last sector is always among them, and may be cut short.
        bytes_sampled=(sum(ends) - sum(starts)) * sector_bytes - (sectors * sector_bytes - capacity_bytes),
        bound_ppb=bound_ppb(sectors),
    )


def sample_sectors(sectors: int) -> int:
    """Sectors of each sample on a drive of so many: 5 % of the largest part, rounded up."""
    return -(-_largest_part(sectors) // SAMPLES_PER_LENGTH)


@lru_cache(maxsize=256)  # drives of a lot are of few sizes, and it costs 5 ms
def bound_ppb(sectors: int) -> int:
    """Upper 95 % bound on the share of sectors not erased when no sample differs, in parts per thousand million,
    rounded up.

    See the module's text for the proof. Decimal numbers make it the same on every machine.
    """
    part, length = _largest_part(sectors), sample_sectors(sectors)
    with localcontext(Context(prec=50)):
        most = Decimal(0)
        for parts in range(1, PARTS + 1):
            miss = (CONFIDENCE_MISS.ln() / parts).exp()
            if miss > _most_missed(part, length):
                break  # Not one sector in each of so many parts stays unseen.
            most = max(most, parts * _unseen(part, length, miss))
        share = min(Decimal(1), most / sectors)
        return int((share * 10**9).to_integral_value(rounding=ROUND_CEILING))


def _most_missed(part: int, length: int) -> Decimal:
    """q(1): the probability that a single sector stays unseen."""
    return Decimal(part - length) / part * Decimal(part - 2 * length) / (part - 2 * length + 1)


def _unseen(part: int, length: int, miss: Decimal) -> Decimal:
    """The m at which q(m) = miss: the lesser root of (x - m) (y - m) = miss L y; x = L - n + 1, y = L - 2 n + 1."""
    x, y = Decimal(part - length + 1), Decimal(part - 2 * length + 1)
    return ((x + y) - ((x - y) ** 2 + 4 * miss * part * y).sqrt()) / 2


def _is_whole(sectors: int) -> bool:
    """Whether a drive of so few sectors is read as a whole."""
    return sectors < PARTS * SAMPLES_PER_PART


def _whole(capacity_bytes: int, seed: bytes) -> SamplingEvidence:
    return SamplingEvidence(
        seed=seed,
        parts=1,
        samples_per_part=1,
        sample_bytes=capacity_bytes,
        places=1,
        bytes_sampled=capacity_bytes,
        bound_ppb=0,
    )


def _largest_part(sectors: int) -> int:
    return -(-sectors // PARTS)


def _runs(sectors: int, seed: bytes) -> list[Run]:
    """All that is read, in the drive's order: pieces that touch are one run."""
    if _is_whole(sectors):
        return [(0, sectors)]
    runs: list[Run] = []
    for first, behind in sorted(zip(*_pieces(sectors, seed), strict=True)):
        if runs and runs[-1][1] == first:
            runs[-1] = (runs[-1][0], behind)
        else:
            runs.append((first, behind))
    return runs


def _pieces(sectors: int, seed: bytes) -> tuple[list[int], list[int]]:
    """Steps 2 to 5 of the module's text, and both ends of the drive: where each piece begins, and the first sector behind it.

    No two overlap. A sample that goes on at its part's beginning is two pieces.
    """
    length, (firsts, behinds) = sample_sectors(sectors), _parts(sectors)
    begins, gaps = _drawn(sectors, length, seed)
    starts = list(map(add, firsts, begins))
    others = [at + length + gap for at, gap in zip(starts, gaps, strict=True)]
    parts = zip(others, firsts, behinds, strict=True)
    starts += [at if at < behind else at - behind + first for at, first, behind in parts]
    ends = list(map(length.__add__, starts))
    for place in list(compress(range(len(ends)), map(gt, ends, behinds * 2))):
        first, behind = firsts[place % PARTS], behinds[place % PARTS]
        starts.append(first)
        ends.append(first + ends[place] - behind)
        ends[place] = behind
    if 0 not in starts:
        starts.append(0)
        ends.append(1)
    if sectors not in ends:
        starts.append(sectors - 1)
        ends.append(sectors)
    return starts, ends


@lru_cache(maxsize=8)
def _parts(sectors: int) -> tuple[list[int], list[int]]:
    """The first sector of each part, and the first one behind it."""
    bounds = [index * sectors // PARTS for index in range(PARTS + 1)]
    return bounds[:-1], bounds[1:]


def _drawn(sectors: int, length: int, seed: bytes) -> tuple[Sequence[int], Sequence[int]]:
    """Of each part: floor(u L / 2^128), where its first sample begins in it, and the d of step 5.

    All words are one number here and are multiplied at once: each has 256 bits to itself, whose upper half is then the floor.
    Most of what checking a sampled drive's certificate costs would be 2,000 multiplications one by one.
    """
    size, longer = sectors // PARTS, _longer_parts(sectors)
    words = int.from_bytes(seeded_bytes(PURPOSE, seed, PARTS * _SLOT_BYTES), "big")
    u, v = words >> WORD_BITS & _WORDS, words & _WORDS
    begins = u * size + (u & longer)
    gaps = v * (size - 2 * length + 1) + (v & longer)
    return (
        _FLOORS.unpack(begins.to_bytes(PARTS * _SLOT_BYTES, "big")),
        _FLOORS.unpack(gaps.to_bytes(PARTS * _SLOT_BYTES, "big")),
    )


@lru_cache(maxsize=8)
def _longer_parts(sectors: int) -> int:
    """All bits of the words of those parts that have a sector more than the others."""
    firsts, behinds = _parts(sectors)
    size = sectors // PARTS
    slots = (
        _SLOT if behind - first > size else bytes(_SLOT_BYTES) for first, behind in zip(firsts, behinds, strict=True)
    )
    return int.from_bytes(b"".join(slots), "big")
