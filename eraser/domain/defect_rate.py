"""What a sample without replacement says of the share of defective items in a finite lot: exact, with whole numbers.

The number of defective items in a sample of n from a lot of N with D defective ones is hypergeometric. Rates and levels of
confidence are whole numbers of parts per million, so that everybody computes the same.
"""

from math import comb

from eraser.errors import UsageError

MILLION = 10**6


def sample_size(lot_size: int, defect_rate_ppm: int, confidence_ppm: int, accepts: int = 0) -> int:
    """The least n for which a lot with that share of defective items or more is accepted, with at most `accepts` of them in the
    sample, with a probability of at most 1 - confidence. Raises UsageError for senseless numbers, and where no sample can show
    it: a lot of which that share is no more than `accepts` items is always accepted.

    The share is rounded up to whole items, and to one item at least: what is less than one is none.
    """
    _expect_sensible(lot_size, confidence_ppm)
    if not 0 < defect_rate_ppm <= MILLION:
        raise UsageError("a defect rate lies above 0 and at 1 at the most")
    defective = max(1, -(-lot_size * defect_rate_ppm // MILLION))
    if defective <= accepts:
        raise UsageError(
            f"that share of {lot_size} is {defective}, and {accepts} are accepted: no sample can show that there are fewer",
            remedy="Accept fewer, or ask for a larger share.",
        )
    high = 1
    while high < lot_size and not _is_unlikely(lot_size, defective, high, accepts, confidence_ppm):
        high = min(2 * high, lot_size)  # so that no number grows far beyond what is needed
    low = high // 2 + 1
    while low < high:  # the probability falls with n
        middle = (low + high) // 2
        if _is_unlikely(lot_size, defective, middle, accepts, confidence_ppm):
            high = middle
        else:
            low = middle + 1
    return low


def most_defective(lot_size: int, sampled: int, found: int, confidence_ppm: int) -> int:
    """Upper confidence limit: the largest number of defective items in the lot with which so few, or fewer, would be found in
    such a sample with a probability above 1 - confidence. At least `found`; 0 only where all were looked at and none was found.
    """
    _expect_sensible(lot_size, confidence_ppm)
    if not 0 <= found <= sampled <= lot_size:
        raise UsageError("there can't be more found than sampled, nor more sampled than there are")
    low, high = found, lot_size - (sampled - found)
    while low < high:  # the probability falls with D
        middle = (low + high + 1) // 2
        if _is_unlikely(lot_size, middle, sampled, found, confidence_ppm):
            high = middle - 1
        else:
            low = middle
    return low


def acceptance_probability_ppm(lot_size: int, defective: int, sampled: int, accepts: int) -> int:
    """How likely at most `accepts` of the defective items are in the sample, rounded down."""
    ways, of = _ways(lot_size, defective, sampled, accepts)
    return ways * MILLION // of


def _is_unlikely(lot_size: int, defective: int, sampled: int, at_most: int, confidence_ppm: int) -> bool:
    """Whether P(found <= at_most) <= 1 - confidence."""
    ways, of = _ways(lot_size, defective, sampled, at_most)
    return ways * MILLION <= (MILLION - confidence_ppm) * of


def _ways(lot_size: int, defective: int, sampled: int, at_most: int) -> tuple[int, int]:
    """In how many samples there are so few, and how many samples there are.

    Whether the sample is drawn from the lot, or the defective ones are, comes to the same: the fewer are drawn, the shorter the
    numbers.
    """
    drawn, marked = sorted((defective, sampled))
    most = min(at_most, drawn)
    ways = sum(comb(marked, found) * comb(lot_size - marked, drawn - found) for found in range(most + 1))
    return ways, comb(lot_size, drawn)


def _expect_sensible(lot_size: int, confidence_ppm: int) -> None:
    if lot_size < 1:
        raise UsageError("there is nothing in the lot to sample")
    if not 0 < confidence_ppm < MILLION:
        raise UsageError("a level of confidence lies between 0 and 1")
