"""Whether two checkpoints that came from different hands belong to one log. What cannot be shown is not said."""

from collections.abc import Sequence
from itertools import combinations

from eraser.log.checkpoint import Checkpoint, expect_growth
from eraser.log.errors import RewrittenLogError

Growth = tuple[int, tuple[bytes, ...], Checkpoint]
"""From how many entries, the proof (RFC 9162 §2.1.4), and the later checkpoint; its note is confirmed."""


def is_one_history(one: Checkpoint, other: Checkpoint, growths: Sequence[Growth] = ()) -> bool:
    """Whether it is shown that both are of one log that has only grown: they are the same, or the growths lead from one to the
    other, or from both to a later one, which has all entries of either.

    Raises RewrittenLogError where it is shown that they are not, or a growth is none.
    """
    known = [one, other, *(head for _, _, head in growths)]
    for first, second in combinations(known, 2):
        earlier, later = sorted((first, second), key=lambda item: item.size)
        if earlier.size == later.size:
            expect_growth(earlier, later, ())
        elif earlier.origin == later.origin and earlier.withdrawn.count > later.withdrawn.count:
            raise RewrittenLogError("what was withdrawn once is so no more")
    for size, proof, head in growths:
        for item in known:
            if item.size == size:
                expect_growth(item, head, proof)
    return bool(_later(one, growths) & _later(other, growths))


def _later(checkpoint: Checkpoint, growths: Sequence[Growth]) -> set[tuple[int, bytes]]:
    """Sizes and roots of all that is shown to continue it, itself among them."""
    found = {(checkpoint.size, checkpoint.root)}
    for _ in growths:
        sizes = {size for size, _ in found}
        found |= {(head.size, head.root) for earlier, _, head in growths if earlier in sizes}
    return found
