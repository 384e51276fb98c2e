"""What a lab test needs of the machine: asked for in one place, and a missing part is a skip with its reason.

The conftest.py at the root turns every skip into a failure where the lab must be complete (ERASER_REQUIRE_LAB=1), but
for those whose reason begins with "hardware:".
"""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Callable
from enum import Enum
from pathlib import Path

FUSE_LIBRARIES = ("libfuse3.so.3", "libfuse3.so.4", "libfuse.so.2")
ZRAM_CONTROL = Path("/sys/class/zram-control")
BLKIO_V1 = Path("/sys/fs/cgroup/blkio")
CGROUP_V2 = Path("/sys/fs/cgroup")


def fuse_library() -> str | None:
    """The FUSE library of this machine by its soname, the newest interface first; None when there is none."""
    for name in FUSE_LIBRARIES:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return name
    return None


def _root() -> str | None:
    return None if os.geteuid() == 0 else "this test needs root"


def _loop() -> str | None:
    if not Path("/dev/loop-control").exists():
        return "this kernel has no loop devices (/dev/loop-control is missing)"
    return _root() or _tool("losetup")


def _fuse() -> str | None:
    if not Path("/dev/fuse").exists():
        return "this kernel has no FUSE (/dev/fuse is missing)"
    if fuse_library() is None:
        return "no FUSE library is installed (Debian: fuse3)"
    return _loop()


def _zram() -> str | None:
    # hot_add is never opened to look: reading it makes a device.
    return _root() if (ZRAM_CONTROL / "hot_add").exists() else "this kernel has no zram"


def _throttling() -> str | None:
    if (BLKIO_V1 / "blkio.throttle.write_bps_device").exists() or (BLKIO_V1 / "cgroup.procs").exists():
        return _root()
    controllers = CGROUP_V2 / "cgroup.controllers"
    if controllers.exists() and "io" in controllers.read_text().split():
        return _root()
    return "no cgroup of this machine can limit block I/O"


def _swap() -> str | None:
    return _root() if Path("/proc/swaps").exists() else "this kernel has no swap"


def _ext4() -> str | None:
    if "ext4" not in Path("/proc/filesystems").read_text().split():
        return "this kernel has no ext4"
    return _loop() or _tool("mkfs.ext4")


def _device_mapper() -> str | None:
    if " device-mapper" not in Path("/proc/misc").read_text():
        return "hardware: this kernel has no device mapper, the QEMU guest has"
    return _loop() or _tool("dmsetup")


def _tool(name: str) -> str | None:
    return None if shutil.which(name) else f"the program {name} is not installed"


class Need(Enum):
    """A part of the lab that a machine may lack."""

    ROOT = "root"
    LOOP = "loop"
    FUSE = "fuse"
    ZRAM = "zram"
    THROTTLING = "throttling"
    SWAP = "swap"
    EXT4 = "ext4"
    DEVICE_MAPPER = "device mapper"


_CHECKS: dict[Need, Callable[[], str | None]] = {
    Need.ROOT: _root,
    Need.LOOP: _loop,
    Need.FUSE: _fuse,
    Need.ZRAM: _zram,
    Need.THROTTLING: _throttling,
    Need.SWAP: _swap,
    Need.EXT4: _ext4,
    Need.DEVICE_MAPPER: _device_mapper,
}


def missing(need: Need) -> str | None:
    """Why this machine cannot give `need`, or None when it can."""
    return _CHECKS[need]()


def require(*needs: Need, tools: tuple[str, ...] = ()) -> None:
    """Skip the test, with the reason, unless the machine has every one of `needs` and `tools` (program names)."""
    # Imported here: the process of each bad drive imports this package too, and would start in double the time.
    import pytest

    for need in needs:
        if reason := missing(need):
            pytest.skip(reason)
    for name in tools:
        if reason := _tool(name):
            pytest.skip(reason)
