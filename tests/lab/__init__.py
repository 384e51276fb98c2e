"""The drives of the tests: real block devices, honest and bad, each a context manager that takes down what it made.

    with fuse_drive(1 << 20, BadSectors(Sectors((5,)), On.READ), records=True) as drive:
        ...                                  # use drive.device, a /dev/loopN
        drive.become(Hangs(On.FLUSH))        # other faults from now on
        count_marker(drive.medium)           # what is really on it

Import from here; nothing of `eraser` is used, so what is seen through it is an independent view. Needs pytest and,
for bad drives, mfusepy.
"""

from tests.lab.behaviours import (
    AnswersZeros,
    BadSectors,
    Behaviour,
    DropsWrites,
    FailsFrom,
    FlipsBit,
    Hangs,
    LateWrites,
    On,
    RepeatsPreviousBlock,
    RevertsAfterFlush,
    RevertsAfterReplug,
    ShortTransfers,
    Slow,
    StaleReads,
    WrapsAt,
    WritesBeside,
    failing_flush,
    vanishes_at,
)
from tests.lab.content import MARKER, count_marker, drop_cache, fill_with_marker, read_all
from tests.lab.controller import Counts
from tests.lab.fuse_drive import FuseDrive, fuse_drive
from tests.lab.in_use import held_open, mapped, mounted, mounted_elsewhere, partitioned, swap_on
from tests.lab.loop import LabError, LoopDrive, image_drive, loop_drive, loop_over, wait_until
from tests.lab.recording import Kind, NotWhole, Pass, Recording, Request, passes
from tests.lab.regions import EVERYWHERE, LAST_SECTOR, OneSectorPer, Region, Sectors, Span
from tests.lab.requirements import Need, require
from tests.lab.throttle import Throttle, throttled
from tests.lab.zram import ZramDrive, ZramSlot, alone_with_zram, zram_drive, zram_slot

__all__ = [
    "EVERYWHERE",
    "LAST_SECTOR",
    "MARKER",
    "AnswersZeros",
    "BadSectors",
    "Behaviour",
    "Counts",
    "DropsWrites",
    "FailsFrom",
    "FlipsBit",
    "FuseDrive",
    "Hangs",
    "Kind",
    "LabError",
    "LateWrites",
    "LoopDrive",
    "Need",
    "NotWhole",
    "On",
    "OneSectorPer",
    "Pass",
    "Recording",
    "Region",
    "RepeatsPreviousBlock",
    "Request",
    "RevertsAfterFlush",
    "RevertsAfterReplug",
    "Sectors",
    "ShortTransfers",
    "Slow",
    "Span",
    "StaleReads",
    "Throttle",
    "WrapsAt",
    "WritesBeside",
    "ZramDrive",
    "ZramSlot",
    "alone_with_zram",
    "count_marker",
    "drop_cache",
    "failing_flush",
    "fill_with_marker",
    "fuse_drive",
    "held_open",
    "image_drive",
    "loop_drive",
    "loop_over",
    "mapped",
    "mounted",
    "mounted_elsewhere",
    "partitioned",
    "passes",
    "read_all",
    "require",
    "swap_on",
    "throttled",
    "vanishes_at",
    "wait_until",
    "zram_drive",
    "zram_slot",
]
