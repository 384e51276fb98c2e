"""Recognisable data on a drive, and an independent reader: plain system calls, nothing of the engine under test."""

from __future__ import annotations

import fcntl
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Divides every sector size in use (512, 4096; 520 and 528 are for the guest), so that each sector is marked whole.
MARKER = b"ERASER-LAB-MARKER: a customer's data that must not survive\n".ljust(64, b".")
CHUNK_BYTES = 4 << 20
BLKFLSBUF = 0x1261  # linux/fs.h: _IO(0x12, 97): write back and drop the buffer cache of a block device


def fill_with_marker(path: Path, size_bytes: int, *, marker: bytes = MARKER) -> None:
    """Write `size_bytes` of repeated `marker` (the last one cut short if need be) to a file or device, and sync."""
    block = marker * (CHUNK_BYTES // len(marker))
    fd = os.open(path, os.O_WRONLY)
    try:
        offset = 0
        while offset < size_bytes:
            # Each block starts where a whole number of markers ends, so the phase stays right.
            offset += os.pwrite(fd, block[offset % len(marker) :][: size_bytes - offset], offset)
        os.fsync(fd)
    finally:
        os.close(fd)


def count_marker(path: Path, *, marker: bytes = MARKER) -> int:
    """Occurrences of `marker`, at any alignment, in a file or on a device, read past every cache."""
    found, tail = 0, b""
    for chunk in read_uncached(path):
        found += (tail + chunk[: len(marker) - 1]).count(marker) + chunk.count(marker)
        tail = chunk[-(len(marker) - 1) :]
    return found


def read_all(path: Path) -> bytes:
    """The whole content of a (small) file or device, read past every cache."""
    return b"".join(read_uncached(path))


def read_uncached(path: Path) -> Iterator[bytes]:
    """The content from start to end in chunks: by O_DIRECT where the file takes it, else after the cache is dropped."""
    with _opened_uncached(path) as fd, mmap.mmap(-1, CHUNK_BYTES) as buffer:
        offset = 0
        while got := os.preadv(fd, [buffer], offset):
            yield buffer[:got]
            offset += got


@contextmanager
def _opened_uncached(path: Path) -> Iterator[int]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    except OSError:
        fd = os.open(path, os.O_RDONLY)
        drop_cache(fd)
    try:
        yield fd
    finally:
        os.close(fd)


def drop_cache(fd: int) -> None:
    """Make the next buffered read of an open file or device come from the storage below it."""
    if stat.S_ISBLK(os.fstat(fd).st_mode):
        fcntl.ioctl(fd, BLKFLSBUF)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
