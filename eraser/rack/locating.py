"""Showing which bay is meant: by the slot's own light, else by making the drive's activity light blink.

The drive is only read, through a descriptor that cannot write, at a trickle; what is read is dropped in the transfer's
own process and seen by nobody.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from eraser.domain.drive import Transport
from eraser.domain.evidence import Extent, FlushProof, Operation
from eraser.drives.leds import SlotLight
from eraser.engine.transfer import Order, Target, Transfer
from eraser.engine.tuning import MIB, tuning_for
from eraser.errors import DriveError
from eraser.rack.rereading import OpenDrive

BLINK_SECONDS = 0.5
"""As long on as off: slower than any work would blink."""
READ_BYTES_PER_SECOND = 8 * MIB


@contextmanager
def lit(light: SlotLight) -> Iterator[None]:
    """The slot's light is on, and off again afterwards, whatever happens."""
    light.switch(on=True)
    try:
        yield
    finally:
        light.switch(on=False)


async def blink(opened: OpenDrive, seconds: float, *, now_utc: Callable[[], str]) -> int:
    """Reads in bursts, so that the drive's activity light blinks; the bytes read. Raises DriveError when it does not read."""
    drive = opened.drive
    target = Target(
        fd=opened.fd,
        drive_bytes=drive.geometry.capacity_bytes,
        logical_sector_bytes=drive.geometry.logical_sector_bytes,
        physical_sector_bytes=drive.geometry.physical_sector_bytes,
        is_block_device=drive.transport is not Transport.IMAGE,
        flush_trust=FlushProof.NOT_FLUSHED,
    )
    order = Order(Operation.READ, None, (Extent(0, drive.geometry.capacity_bytes),))
    tuning = replace(tuning_for(drive), queue_depth=1, retry_limit=0)
    loop = asyncio.get_running_loop()
    until, read = loop.time() + seconds, 0
    while loop.time() < until:
        transfer = await Transfer.start(target, order, tuning, now_utc=now_utc, rate_limit=READ_BYTES_PER_SECOND)
        try:
            await _blink_with(transfer, until)
            snapshot = transfer.snapshot()
            read += max(0, snapshot.bytes_done - snapshot.bad_bytes)
        finally:
            transfer.close()
        await asyncio.sleep(max(0.0, min(BLINK_SECONDS, until - loop.time())))
    if read == 0:
        raise DriveError("it cannot be read, so its light does not blink", subject=drive.path)
    return read


async def _blink_with(transfer: Transfer, until: float) -> None:
    """Bursts of reading and pauses, until the time is up or everything has been read."""
    loop = asyncio.get_running_loop()
    reads = True
    while not transfer.has_ended and loop.time() < until:
        phase_ends = min(until, loop.time() + BLINK_SECONDS)
        while not transfer.has_ended and loop.time() < phase_ends:
            await transfer.changed(phase_ends - loop.time())
            transfer.acknowledge(transfer.snapshot().checkpoints)
        reads = not reads
        if reads:
            transfer.resume()
        else:
            transfer.pause()
