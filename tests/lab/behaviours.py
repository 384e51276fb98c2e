"""What a drive may do wrong: one class for each fault or lie, stacked on the medium like layers of a bad controller.

A behaviour is a picklable dataclass (it is sent to the process that plays the drive) which changes what its
neighbour `below` does; what it leaves alone goes through. Its parameters are fields, its memory is made in `start`.
Requests arrive on many threads at once: whoever remembers something uses `self.lock`, and never waits under it.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Flag, auto
from typing import Protocol

from tests.lab.regions import EVERYWHERE, Region, split, touches


class On(Flag):
    """The kinds of request that a fault answers."""

    READ = auto()
    WRITE = auto()
    FLUSH = auto()
    TRANSFER = READ | WRITE
    ANY = READ | WRITE | FLUSH


class Drive(Protocol):
    """What the kernel may ask of a drive. An error is an OSError, whose errno the kernel is given."""

    size_bytes: int
    sector_bytes: int

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from byte `offset`; fewer is a short read."""
        ...

    def write(self, offset: int, data: bytes) -> int:
        """Take `data` at byte `offset`; how many bytes were taken, fewer than given is a short write."""
        ...

    def flush(self) -> None:
        """An honest drive returns once all that was written is on the medium."""
        ...

    def replug(self) -> None:
        """The drive was pulled and put back: whatever was volatile in it is gone."""
        ...


class Behaviour:
    """An honest layer: everything goes through to `below`."""

    below: Drive
    lock: threading.Lock
    size_bytes: int
    sector_bytes: int

    def attach(self, below: Drive) -> None:
        """Put this layer on `below`, in the process that plays the drive, before the first request."""
        self.below = below
        self.lock = threading.Lock()
        self.size_bytes = below.size_bytes
        self.sector_bytes = below.sector_bytes
        self.start()

    def start(self) -> None:
        """Make what this layer remembers."""

    def read(self, offset: int, size: int) -> bytes:
        return self.below.read(offset, size)

    def write(self, offset: int, data: bytes) -> int:
        return self.below.write(offset, data)

    def flush(self) -> None:
        self.below.flush()

    def replug(self) -> None:
        self.below.replug()

    def release(self) -> None:
        """Let go of every request that this layer holds back, and hold none from now on."""

    def held(self) -> int:
        """Requests held back at this moment."""
        return 0

    def write_outside(self, region: Region, offset: int, data: bytes) -> int:
        """Write only what is outside `region`, and say that all was written."""
        for start, stop, inside in split(region, self, offset, offset + len(data)):
            if not inside:
                self.below.write(start, data[start - offset : stop - offset])
        return len(data)

    def read_with(self, region: Region, offset: int, size: int, answer: Callable[[int, int], bytes]) -> bytes:
        """Read from below, but what is inside `region` from `answer(offset, size)`."""
        return b"".join(
            (answer if inside else self.below.read)(start, stop - start)
            for start, stop, inside in split(region, self, offset, offset + size)
        )


def stack(medium: Drive, behaviours: tuple[Behaviour, ...]) -> Drive:
    """The drive made of `behaviours` on `medium`: the first is the nearest to the kernel."""
    drive = medium
    for behaviour in reversed(behaviours):
        behaviour.attach(drive)
        drive = behaviour
    return drive


# Faults: the drive says that something went wrong.


@dataclass
class BadSectors(Behaviour):
    """Requests that touch `region` fail with `error`; each of its sectors recovers after `tries` failures, if given."""

    region: Region
    on: On = On.TRANSFER
    tries: int | None = None
    error: int = errno.EIO
    failures: dict[int, int] = field(default_factory=dict, init=False)

    def read(self, offset: int, size: int) -> bytes:
        self.fail_if_bad(On.READ, offset, size)
        return self.below.read(offset, size)

    def write(self, offset: int, data: bytes) -> int:
        self.fail_if_bad(On.WRITE, offset, len(data))
        return self.below.write(offset, data)

    def fail_if_bad(self, kind: On, offset: int, size: int) -> None:
        if kind not in self.on or not touches(self.region, self, offset, offset + size):
            return
        if self.tries is None or self.tried(offset, size, self.tries):
            raise OSError(self.error, os.strerror(self.error))

    def tried(self, offset: int, size: int, tries: int) -> bool:
        """Count a failure of each bad sector that the request touches; whether one had not failed `tries` times yet."""
        sector, failing = self.sector_bytes, False
        with self.lock:
            for start, stop in self.region.spans(self, offset, offset + size):
                for address in range(start // sector, -(-stop // sector)):
                    failing |= self.failures.get(address, 0) < tries
                    self.failures[address] = self.failures.get(address, 0) + 1
        return failing


@dataclass
class FailsFrom(Behaviour):
    """Every request of the kinds `on` from the `access`-th one on (from 1) fails with `error`.

    With ENODEV it is a drive that was pulled, with ENOSPC a thin one that is full, with FLUSH a cache that is lost.
    """

    access: int = 1
    on: On = On.ANY
    error: int = errno.EIO
    seen: int = field(default=0, init=False)

    def read(self, offset: int, size: int) -> bytes:
        self.fail_when_due(On.READ)
        return self.below.read(offset, size)

    def write(self, offset: int, data: bytes) -> int:
        self.fail_when_due(On.WRITE)
        return self.below.write(offset, data)

    def flush(self) -> None:
        self.fail_when_due(On.FLUSH)
        self.below.flush()

    def fail_when_due(self, kind: On) -> None:
        if kind not in self.on:
            return
        with self.lock:
            self.seen += 1
            due = self.seen >= self.access
        if due:
            raise OSError(self.error, os.strerror(self.error))


def vanishes_at(access: int) -> FailsFrom:
    """A drive that is gone from its `access`-th request on."""
    return FailsFrom(access, On.ANY, errno.ENODEV)


def failing_flush(flush: int = 1) -> FailsFrom:
    """A drive whose `flush`-th flush and all later ones fail."""
    return FailsFrom(flush, On.FLUSH, errno.EIO)


@dataclass
class ShortTransfers(Behaviour):
    """Requests longer than `limit_bytes` are served only that far. The kernel asks for the rest, or reports EIO."""

    limit_bytes: int
    on: On = On.TRANSFER

    def read(self, offset: int, size: int) -> bytes:
        return self.below.read(offset, min(size, self.limit_bytes) if On.READ in self.on else size)

    def write(self, offset: int, data: bytes) -> int:
        return self.below.write(offset, data[: self.limit_bytes] if On.WRITE in self.on else data)


# Time: the drive answers late or never.


@dataclass
class Hangs(Behaviour):
    """Requests of the kinds `on` touching `region`, from the `access`-th such one on, wait until `release`."""

    on: On = On.ANY
    access: int = 1
    region: Region = EVERYWHERE
    seen: int = field(default=0, init=False)
    waiting: int = field(default=0, init=False)

    def start(self) -> None:
        self.released = threading.Event()

    def read(self, offset: int, size: int) -> bytes:
        if touches(self.region, self, offset, offset + size):
            self.wait(On.READ)
        return self.below.read(offset, size)

    def write(self, offset: int, data: bytes) -> int:
        if touches(self.region, self, offset, offset + len(data)):
            self.wait(On.WRITE)
        return self.below.write(offset, data)

    def flush(self) -> None:
        self.wait(On.FLUSH)
        self.below.flush()

    def wait(self, kind: On) -> None:
        if kind not in self.on or self.released.is_set():
            return
        with self.lock:
            self.seen += 1
            if self.seen < self.access:
                return
            self.waiting += 1
        self.released.wait()
        with self.lock:
            self.waiting -= 1

    def release(self) -> None:
        self.released.set()

    def held(self) -> int:
        return self.waiting


@dataclass
class Slow(Behaviour):
    """Reads and writes together move at most `bytes_per_s`."""

    bytes_per_s: float
    free_at_s: float = field(default=0.0, init=False)

    def read(self, offset: int, size: int) -> bytes:
        self.wait_turn(size)
        return self.below.read(offset, size)

    def write(self, offset: int, data: bytes) -> int:
        self.wait_turn(len(data))
        return self.below.write(offset, data)

    def wait_turn(self, size: int) -> None:
        with self.lock:
            self.free_at_s = max(self.free_at_s, time.monotonic()) + size / self.bytes_per_s
            turn_ends_s = self.free_at_s
        time.sleep(max(0.0, turn_ends_s - time.monotonic()))


# Lies: the drive says that all went well.


@dataclass
class DropsWrites(Behaviour):
    """Writes to `region` are acknowledged and forgotten."""

    region: Region = EVERYWHERE

    def write(self, offset: int, data: bytes) -> int:
        return self.write_outside(self.region, offset, data)


@dataclass
class AnswersZeros(Behaviour):
    """Writes to `region` are forgotten, reads of it answer zeros whatever is there."""

    region: Region = EVERYWHERE

    def read(self, offset: int, size: int) -> bytes:
        return self.read_with(self.region, offset, size, lambda _, length: bytes(length))

    def write(self, offset: int, data: bytes) -> int:
        return self.write_outside(self.region, offset, data)


@dataclass
class StaleReads(Behaviour):
    """Reads of `region` answer what was there before the last write, though the write did reach the medium."""

    region: Region = EVERYWHERE

    def start(self) -> None:
        self.before = bytearray(self.below.read(0, self.size_bytes))

    def read(self, offset: int, size: int) -> bytes:
        return self.read_with(self.region, offset, size, self.read_before)

    def read_before(self, offset: int, size: int) -> bytes:
        return bytes(self.before[offset : offset + size])

    def write(self, offset: int, data: bytes) -> int:
        with self.lock:
            self.before[offset : offset + len(data)] = self.below.read(offset, len(data))
            return self.below.write(offset, data)


@dataclass
class WrapsAt(Behaviour):
    """There is less drive than it says: addresses start again from 0 at `real_bytes` (default: half of its size)."""

    real_bytes: int = 0

    def start(self) -> None:
        half = self.size_bytes // 2
        self.real = self.real_bytes or half - half % self.sector_bytes

    def read(self, offset: int, size: int) -> bytes:
        return b"".join(self.below.read(at, length) for at, length in self.folded(offset, size))

    def write(self, offset: int, data: bytes) -> int:
        done = 0
        for at, length in self.folded(offset, len(data)):
            done += self.below.write(at, data[done : done + length])
        return done

    def folded(self, offset: int, size: int) -> list[tuple[int, int]]:
        runs: list[tuple[int, int]] = []
        stop = offset + size
        while offset < stop:
            at = offset % self.real
            length = min(stop - offset, self.real - at)
            runs.append((at, length))
            offset += length
        return runs


class _Undoes(Behaviour):
    """Remembers what each write to `region` replaced, and can put it back."""

    region: Region

    def start(self) -> None:
        self.replaced: list[tuple[int, bytes]] = []

    def write(self, offset: int, data: bytes) -> int:
        with self.lock:
            for start, stop in self.region.spans(self, offset, offset + len(data)):
                self.replaced.append((start, self.below.read(start, stop - start)))
            return self.below.write(offset, data)

    def undo(self) -> None:
        with self.lock:
            for start, old in reversed(self.replaced):
                self.below.write(start, old)
            self.replaced.clear()


@dataclass
class RevertsAfterFlush(_Undoes):
    """A flush takes back every write to `region` since the flush before it."""

    region: Region = EVERYWHERE

    def flush(self) -> None:
        self.below.flush()
        self.undo()


@dataclass
class RevertsAfterReplug(_Undoes):
    """What was written to `region` lives, flushed or not, until the drive is pulled."""

    region: Region = EVERYWHERE

    def replug(self) -> None:
        self.below.replug()
        self.undo()


@dataclass
class LateWrites(Behaviour):
    """Each write is acknowledged at once and reaches the medium when `writes` more have come; flushes change nothing.

    With `reads_see_them` the drive answers from what it still holds; pulled, it loses that.
    """

    writes: int
    reads_see_them: bool = False

    def start(self) -> None:
        self.pending: deque[tuple[int, bytes]] = deque()

    def write(self, offset: int, data: bytes) -> int:
        with self.lock:
            self.pending.append((offset, data))
            while len(self.pending) > self.writes:
                self.below.write(*self.pending.popleft())
        return len(data)

    def read(self, offset: int, size: int) -> bytes:
        with self.lock:
            answer = bytearray(self.below.read(offset, size))
            for start, data in self.pending if self.reads_see_them else ():
                first, last = max(start, offset), min(start + len(data), offset + size)
                if first < last:
                    answer[first - offset : last - offset] = data[first - start : last - start]
        return bytes(answer)

    def replug(self) -> None:
        with self.lock:
            self.pending.clear()
        self.below.replug()


@dataclass
class FlipsBit(Behaviour):
    """One bit, `bit` of the byte at `offset_byte`, is turned over on its way, by default when it is read."""

    offset_byte: int
    bit: int = 0
    on: On = On.READ

    def read(self, offset: int, size: int) -> bytes:
        data = self.below.read(offset, size)
        return self.flipped(offset, data) if On.READ in self.on else data

    def write(self, offset: int, data: bytes) -> int:
        return self.below.write(offset, self.flipped(offset, data) if On.WRITE in self.on else data)

    def flipped(self, offset: int, data: bytes) -> bytes:
        place = self.offset_byte - offset
        if not 0 <= place < len(data):
            return data
        return data[:place] + bytes([data[place] ^ 1 << self.bit]) + data[place + 1 :]


@dataclass
class WritesBeside(Behaviour):
    """Writes to `region` land one sector further on (the last sector's on the first)."""

    region: Region = EVERYWHERE

    def write(self, offset: int, data: bytes) -> int:
        for start, stop, inside in split(self.region, self, offset, offset + len(data)):
            piece = data[start - offset : stop - offset]
            if not inside:
                self.below.write(start, piece)
                continue
            fits = min(len(piece), self.size_bytes - start - self.sector_bytes)
            self.below.write(start + self.sector_bytes, piece[:fits])
            self.below.write(0, piece[fits:])
        return len(data)


@dataclass
class RepeatsPreviousBlock(Behaviour):
    """In `region` each sector gets what the sector before it was to get (its first sector, its own)."""

    region: Region = EVERYWHERE

    def write(self, offset: int, data: bytes) -> int:
        sector = self.sector_bytes
        repeated = data[:sector] + data[:-sector]
        for start, stop, inside in split(self.region, self, offset, offset + len(data)):
            self.below.write(start, (repeated if inside else data)[start - offset : stop - offset])
        return len(data)
