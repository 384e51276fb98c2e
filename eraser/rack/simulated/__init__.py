"""A fictional rack, to look at and to test with: image files full of marker data that come and go as drives in bays.

Everything but the coming and going, the drives' names and their faults is real: guard, journal, engine, verification,
certificates. A sound drive is erased and read back byte by byte; a faulty one fails because of what really is in its file.
"""
