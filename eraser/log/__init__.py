"""The transparency log: the tree over everything that was signed, its checkpoints, and their witnesses.

May import from `eraser.ledger` and below.
"""
