"""Loop devices: which file, and which part of it, they show as a disk."""

import fcntl
import hashlib
import os
import struct
from dataclasses import dataclass, replace
from pathlib import Path

from eraser.domain.drive import Identity, SerialSource
from eraser.drives.births import birth_ns
from eraser.drives.mounts import HangingPlaces, hanging_places
from eraser.drives.numbers import BlockNumber, FileNumber
from eraser.drives.sysfs import SYSFS_SECTOR_BYTES, BlockDevice, Host

IMAGE_MODEL = "disk image"
"""The model of an image, and of a loop device that shows one: the same content is the same drive through both."""

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
    def identity(self) -> Identity:
        """The same as the image's own where the whole file is shown."""
        shown = image_identity(self.file, self.path)
        offset = f"-{self.offset_bytes:x}" if self.offset_bytes else ""
        source = shown.serial_source
        if self.block is not None:
            source = SerialSource.NONE  # the node of a device says nothing about the medium in it
        elif self.file is None:
            # A path on a server, to which somebody bound the disk: all that can be had without asking the server.
            source = SerialSource.DRIVE
        return replace(shown, serial=shown.serial + offset, serial_source=source)


def image_identity(file: FileNumber | None, path: str) -> Identity:
    """Who an image is: the numbers of its file system and inode, and when it was made, since a later file may be given
    the same numbers.

    What has only a part of this cannot be told from others when it comes back, and its serial counts as nobody's: a
    file whose file system keeps no birth time, one that its path does not lead to any more, and one on FUSE or on a
    server, which may give other numbers next time (`file` None: a hash stands for its path, which the certificate must
    not tell). The number of a file system without a device of its own (btrfs, tmpfs) may be another after a reboot:
    then the image is not known again, never taken for another.
    """
    if file is None:
        serial = f"path-{hashlib.sha256(os.fsencode(path)).hexdigest()[:24]}"
        return Identity(model=IMAGE_MODEL, serial=serial, serial_source=SerialSource.NONE)
    born = birth_ns(path, file)
    if born is None:
        return Identity(model=IMAGE_MODEL, serial=file.name, serial_source=SerialSource.NONE)
    return Identity(model=IMAGE_MODEL, serial=f"{file.name}-{born:x}", serial_source=SerialSource.DRIVE)


def is_bound(device: BlockDevice) -> bool:
    """Whether it is a loop device with something under it."""
    return os.access(f"{device.directory}/loop/backing_file", os.F_OK)


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
