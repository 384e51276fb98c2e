"""Plain O_DIRECT reads and writes, to look at a device as a program does that trusts no cache."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class DirectIO:
    """An open device. Offsets and sizes are multiples of its sector; errors are the kernel's own OSError."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def read(self, offset: int, size: int) -> bytes:
        with mmap.mmap(-1, size) as buffer:
            got = os.preadv(self.fd, [buffer], offset)
            return buffer[:got]

    def write(self, offset: int, data: bytes) -> int:
        with mmap.mmap(-1, len(data)) as buffer:
            buffer[:] = data
            return os.pwritev(self.fd, [buffer], offset)

    def flush(self) -> None:
        os.fsync(self.fd)


@contextmanager
def opened(device: Path) -> Iterator[DirectIO]:
    """`device` open for reading and writing past the page cache."""
    fd = os.open(device, os.O_RDWR | os.O_DIRECT)
    try:
        yield DirectIO(fd)
    finally:
        os.close(fd)
