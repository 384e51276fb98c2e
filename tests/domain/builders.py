"""Drives and chance for the domain's tests."""

import itertools
from dataclasses import replace
from hashlib import sha256
from typing import Any

from eraser.domain.drive import Drive, Geometry, Identity, Media, SerialSource, Transport
from eraser.domain.pattern import RandomBytes

GEOMETRY = Geometry(1_000_204_886_016, 512, 4096)
IDENTITY = Identity(manufacturer="Acme", model="Spinner 1000", serial="S3R1AL", serial_source=SerialSource.DRIVE)


def a_drive(**changes: Any) -> Drive:
    """A healthy magnetic SATA drive of 1 TB, but for the changes."""
    drive = Drive("/dev/sdz", Transport.SATA, Media.MAGNETIC, IDENTITY, GEOMETRY)
    return replace(drive, **changes)


def seeded_chance(seed: int = 0) -> RandomBytes:
    """A source of bytes that look random, differ from call to call and are the same on each run."""
    calls = itertools.count()

    def random_bytes(length: int) -> bytes:
        block = sha256(f"{seed} {next(calls)}".encode()).digest()
        return (block * (length // len(block) + 1))[:length]

    return random_bytes
