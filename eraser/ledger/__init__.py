"""What happened, written durably before it is acted on.

May import from `eraser.drives`, `eraser.engine` and below.
"""
