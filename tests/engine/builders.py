"""Transfers for tests: targets over the lab's drives, orders with defaults, and what must then be on the drive."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from eraser.domain.evidence import Extent, FlushProof, Operation, TransferReport
from eraser.domain.pattern import AesCtrStream, Constant, Pattern
from eraser.engine.transfer import Order, Target, Transfer
from eraser.engine.tuning import Tuning
from tests.lab import LoopDrive

KIB, MIB = 1 << 10, 1 << 20
SEED = bytes(range(32))
ZEROS, STREAM = Constant(b"\0"), AesCtrStream(SEED)
DEADLINE_S = 60.0


def now_utc() -> str:
    return "2026-11-24T00:00:00Z"


@contextmanager
def target_of(drive: LoopDrive, *, physical_sector_bytes: int = 0) -> Iterator[Target]:
    """A block device as the transfer sees it, claimed."""
    size = int(drive.sysfs("size")) * 512
    fd = os.open(drive.device, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    try:
        physical = physical_sector_bytes or drive.sector_bytes
        yield Target(fd, size, drive.sector_bytes, physical, True, FlushProof.KERNEL_SENT)
    finally:
        os.close(fd)


@contextmanager
def image_target(path: Path) -> Iterator[Target]:
    """A file, in the sectors that the product counts images in."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield Target(fd, path.stat().st_size, 512, 4096, False, FlushProof.FILE_SYSTEM)
    finally:
        os.close(fd)


def order(operation: Operation, pattern: Pattern | None, drive: Target | int, **changes: object) -> Order:
    """The whole drive (a target, or its size), unless `ranges` are named."""
    size = drive if isinstance(drive, int) else drive.drive_bytes
    ranges = changes.pop("ranges", (Extent(0, size),))
    return Order(operation, pattern, ranges, **changes)  # type: ignore[arg-type]


def write(pattern: Pattern, drive: Target | int, **changes: object) -> Order:
    return order(Operation.WRITE, pattern, drive, **changes)


def read(pattern: Pattern | None, drive: Target | int, **changes: object) -> Order:
    return order(Operation.READ, pattern, drive, **changes)


def tuning(**changes: object) -> Tuning:
    """Small blocks, so that small drives have many."""
    defaults: dict[str, object] = {"block_bytes": 64 * KIB, "queue_depth": 4}
    return Tuning(**(defaults | changes))  # type: ignore[arg-type]


async def start(target: Target, what: Order, how: Tuning | None = None, *, rate_limit: int = 0) -> Transfer:
    return await Transfer.start(target, what, how or tuning(), now_utc=now_utc, rate_limit=rate_limit)


async def until_ended(transfer: Transfer) -> None:
    """Follows the transfer as a job does: each checkpoint is acknowledged at once."""
    while not transfer.has_ended:
        await transfer.changed(0.1)
        transfer.acknowledge(transfer.snapshot().checkpoints)


@dataclass(frozen=True)
class Run:
    """What a transfer left: its report, the hashes, and whether its process was gone."""

    report: TransferReport
    leaves: tuple[bytes, ...]
    is_gone: bool


async def run(target: Target, what: Order, how: Tuning | None = None, *, rate_limit: int = 0) -> Run:
    """One transfer from start to end."""
    transfer = await start(target, what, how, rate_limit=rate_limit)
    try:
        await until_ended(transfer)
        report, is_gone = await transfer.finish()
        return Run(report, transfer.leaves(), is_gone)
    finally:
        transfer.close()


def expected(pattern: Pattern, size_bytes: int) -> bytes:
    """The pattern's first bytes by an independent hand: plain repetition, and OpenSSL."""
    match pattern:
        case Constant(data):
            return (data * (size_bytes // len(data) + 1))[:size_bytes]
        case AesCtrStream(seed):
            return Cipher(algorithms.AES(seed), modes.CTR(bytes(16))).encryptor().update(bytes(size_bytes))


@dataclass(frozen=True)
class Stat:
    """The kernel's counters of a device (Documentation/block/stat.rst); sectors of 512 bytes."""

    sectors_read: int
    sectors_written: int
    discards: int
    sectors_discarded: int
    flushes: int


def stat_of(drive: LoopDrive) -> Stat:
    fields = [int(word) for word in drive.sysfs("stat").split()]
    return Stat(fields[2], fields[6], fields[11], fields[13], fields[15])
