"""The `eraser` command: one file per command group; parses, calls, prints.

May import everything; nothing imports it.
"""
