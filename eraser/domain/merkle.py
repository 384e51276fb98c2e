"""The Merkle tree of RFC 9162 §2.1 over SHA-256: root, inclusion proof and its check, check of a consistency proof.

Used over the BLAKE3 hashes of a drive's extents, and by the transparency log. The leaves are hashed with a prefix of
their own, so that no inner node can pass for a leaf.
"""

from collections.abc import Sequence
from hashlib import sha256

from eraser.errors import UsageError

HASH_BYTES = 32


def leaf_hash(leaf: bytes) -> bytes:
    """RFC 9162 §2.1.1: the hash of one entry."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 9162 §2.1.1: the hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The Merkle tree hash of the entries; of none it is the hash of an empty string."""
    if not leaves:
        return sha256(b"").digest()
    level = [leaf_hash(leaf) for leaf in leaves]
    while len(level) > 1:
        level = _parents(level)
    return level[0]


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """RFC 9162 §2.1.3.1: the hashes that lead from entry `index` (from 0) to the root, lowest first.

    Raises UsageError where there is no such entry.
    """
    if not 0 <= index < len(leaves):
        raise UsageError(f"entry {index} is not among the tree's {len(leaves)}")
    proof = []
    level = [leaf_hash(leaf) for leaf in leaves]
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            proof.append(level[sibling])
        level = _parents(level)
        index //= 2
    return tuple(proof)


def is_included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected_root: bytes) -> bool:
    """RFC 9162 §2.1.3.2: whether the proof shows that `leaf` is entry `index` (from 0) of `size` under this root."""
    if not 0 <= index < size or any(len(item) != HASH_BYTES for item in proof):
        return False
    # `node` and `last` are the positions, on the present level, of the entry's ancestor and of the last node.
    node, last = index, size - 1
    result = leaf_hash(leaf)
    for sibling in proof:
        if last == 0:
            return False
        if node % 2 == 1 or node == last:
            result = node_hash(sibling, result)
            # A last node without a sibling was carried up unchanged: skip the levels on which that happened.
            while node % 2 == 0 and node != 0:
                node, last = node // 2, last // 2
        else:
            result = node_hash(result, sibling)
        node, last = node // 2, last // 2
    return last == 0 and result == expected_root


def is_consistent(
    earlier_size: int, earlier_root: bytes, size: int, expected_root: bytes, proof: Sequence[bytes]
) -> bool:
    """RFC 9162 §2.1.4.2: whether the proof shows that the larger tree begins with all entries of the earlier one.

    Every tree begins with the empty one, of which an empty proof is the only one.
    """
    if any(len(item) != HASH_BYTES for item in proof) or not 0 <= earlier_size <= size:
        return False
    if earlier_size == size:
        return not proof and earlier_root == expected_root
    if earlier_size == 0:
        return not proof and earlier_root == root(())
    # The earlier root is itself the first node where the earlier tree is a whole subtree of the larger one.
    is_whole = earlier_size & (earlier_size - 1) == 0
    nodes = [earlier_root, *proof] if is_whole else list(proof)
    if not nodes:
        return False
    node, last = earlier_size - 1, size - 1
    while node % 2 == 1:
        node, last = node // 2, last // 2
    earlier = later = nodes[0]
    for sibling in nodes[1:]:
        if last == 0:
            return False
        if node % 2 == 1 or node == last:
            earlier, later = node_hash(sibling, earlier), node_hash(sibling, later)
            while node % 2 == 0 and node != 0:
                node, last = node // 2, last // 2
        else:
            later = node_hash(later, sibling)
        node, last = node // 2, last // 2
    return last == 0 and earlier == earlier_root and later == expected_root


def _parents(level: list[bytes]) -> list[bytes]:
    # Pairing from the left and carrying an odd last node up unchanged gives the RFC's tree, which splits at the largest
    # power of two below the size.
    parents = [node_hash(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
    if len(level) % 2:
        parents.append(level[-1])
    return parents
