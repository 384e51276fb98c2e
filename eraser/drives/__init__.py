"""Everything that knows a drive from outside: discovery, identity, the guard, commands sent through the kernel.

May import `eraser.domain` and the side modules, never `eraser.engine`.
"""
