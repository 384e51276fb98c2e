"""Loop devices: which file, and which part of it, they show as a disk."""

import fcntl
import hashlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from eraser.drives.mounts import HangingPlaces, hanging_places
from eraser.drives.numbers import BlockNumber, FileNumber
from eraser.drives.sysfs import SYSFS_SECTOR_BYTES, BlockDevice, Host

LOOP_GET_STATUS64 = 0x4C05
# struct loop_info64 of <linux/loop.h>: device, inode, rdevice, offset, size limit, four words, names, key, two words.
_LOOP_INFO = struct.Struct("=QQQQQIIII64s64s32sQQ")


@dataclass(frozen=True, slots=True)
class Backing:
    """What a loop device shows, from `offset_bytes` on: a file, or with `block` another block device.

    `file` is None where the file's server may hang, so that it must not be asked: then the path stands for it.
    """

    file: FileNumber | None
    block: BlockNumber | None
    offset_bytes: int
    path: str
    size_bytes: int = 0
    """Of the file, where it was looked at."""

    @property
    def serial(self) -> str:
        """The same as the image's own where the whole file is shown."""
        offset = f"-{self.offset_bytes:x}" if self.offset_bytes else ""
        return file_serial(self.file, self.path) + offset


def file_serial(file: FileNumber | None, path: str) -> str:
    """What tells an image from others when it comes back: its file system's and inode's number.

    Without these (FUSE and network file systems may give others next time) a hash of its path: the certificate then tells
    nothing about the path itself.
    """
    return file.name if file is not None else f"path-{hashlib.sha256(os.fsencode(path)).hexdigest()[:24]}"


def is_bound(device: BlockDevice) -> bool:
    """Whether it is a loop device with something under it."""
    return (device.directory / "loop" / "backing_file").exists()


def backing(device: BlockDevice, host: Host, hanging: HangingPlaces | None = None) -> Backing | None:
    """What is under a loop device; None where that cannot be found out (no permission, no answer, or just detached).

    `hanging` is for who looks at many at one moment; else it is read here.
    """
    path = device.text("loop/backing_file")
    if path in (hanging if hanging is not None else hanging_places(host)):
        # LOOP_GET_STATUS64 makes the kernel ask the file's own file system, for as long as that takes.
        return Backing(None, None, device.integer("loop/offset"), path)
    try:
        info = _loop_status(host.node(device))
    except PermissionError:
        return _backing_by_path(path)
    except OSError:
        return None
    holder, inode, shown, offset, *_ = _LOOP_INFO.unpack(info)
    block = BlockNumber(os.major(shown), os.minor(shown)) if shown else None
    return Backing(FileNumber(holder, inode), block, offset, path)


def backing_without_opening(device: BlockDevice, host: Host, hanging: HangingPlaces | None = None) -> Backing | None:
    """The same, where it can be told without opening the loop device: who detaches it would have to wait for us.

    By the path that the kernel names now. It may be one of another mount namespace, so the size must fit, too.
    """
    path = device.text("loop/backing_file")
    hanging = hanging if hanging is not None else hanging_places(host)
    found = None if path in hanging else _backing_by_path(path)
    if found is None or device.integer("loop/sizelimit") or device.integer("loop/offset"):
        return backing(device, host, hanging)
    size_bytes = device.integer("size") * SYSFS_SECTOR_BYTES
    fits = found.block is not None or 0 <= found.size_bytes - size_bytes < SYSFS_SECTOR_BYTES
    return found if fits else backing(device, host, hanging)


def _loop_status(node: str) -> bytes:
    fd = os.open(node, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        info = bytearray(_LOOP_INFO.size)
        fcntl.ioctl(fd, LOOP_GET_STATUS64, info)
        return bytes(info)
    finally:
        os.close(fd)


def _backing_by_path(path: str) -> Backing | None:
    """By the path alone, for users who may not ask the device. A path that was deleted or replaced answers None."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    block = BlockNumber(os.major(found.st_rdev), os.minor(found.st_rdev)) if found.st_rdev else None
    return Backing(FileNumber(found.st_dev, found.st_ino), block, 0, path, found.st_size)
