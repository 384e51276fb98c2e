"""The log's hashes in memory."""

from collections import defaultdict
from collections.abc import Sequence

from eraser.domain.log_tree import Tree, grown
from eraser.domain.merkle import leaf_hash


class KeptHashes:
    """Grows by entries, and counts what was read."""

    def __init__(self) -> None:
        self.rows: dict[int, list[bytes]] = defaultdict(list)
        self.hashes_read = 0

    @property
    def size(self) -> int:
        return len(self.rows[0])

    def append(self, entries: Sequence[bytes]) -> None:
        for kept in list(grown(self.size, [leaf_hash(entry) for entry in entries], self.read)):
            assert kept.number == len(self.rows[kept.row]), "a row grows at its end"
            self.rows[kept.row].append(kept.hash)

    def read(self, row: int, first: int, count: int) -> Sequence[bytes]:
        self.hashes_read += count
        return self.rows[row][first : first + count]

    def tree(self, size: int | None = None) -> Tree:
        return Tree(self.size if size is None else size, self.read)
