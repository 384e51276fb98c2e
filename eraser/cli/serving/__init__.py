"""How `eraser serve` puts a station together: its rack, what it proves with, and how it answers."""
