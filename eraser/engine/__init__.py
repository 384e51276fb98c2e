"""The Python face of the native engine: patterns, comparison and hashing; the transfer, a process of its own.

May import `eraser.domain` and the side modules, never `eraser.drives`.
"""
