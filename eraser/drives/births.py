"""When a file was made: with its number, what tells it from a later file that was given the same number.

statx(2) has no Python of its own before 3.15, hence ctypes, which is loaded by the first question only.
"""

import os
import struct

from eraser.drives.numbers import FileNumber

_AT_FDCWD = -100
_AT_SYMLINK_NOFOLLOW = 0x100
_STATX_INO = 0x100
_STATX_BTIME = 0x800

# struct statx of <linux/stat.h>: the mask, the inode, the birth time, the file system's device number.
_STATX_BYTES = 256
_MASK = struct.Struct("=I")
_INODE = struct.Struct("=Q")
_BIRTH = struct.Struct("=qI")
_DEVICE = struct.Struct("=II")


def birth_ns(path: str, number: FileNumber) -> int | None:
    """When the file was made, in nanoseconds since 1970; a later file with its number has a later one.

    None where the file system does not keep it, and where another file than `number` is at the path.
    """
    status = _statx(path)
    if status is None or not _MASK.unpack_from(status, 0)[0] & _STATX_BTIME:
        return None
    major, minor = _DEVICE.unpack_from(status, 136)
    if FileNumber(os.makedev(major, minor), _INODE.unpack_from(status, 32)[0]) != number:
        return None
    seconds, nanoseconds = _BIRTH.unpack_from(status, 80)
    born = int(seconds) * 1_000_000_000 + int(nanoseconds)
    return born if born > 0 else None


def _statx(path: str) -> bytes | None:
    try:
        import ctypes
    except ImportError:  # Python may be built without it
        return None
    call = getattr(ctypes.CDLL(None), "statx", None)
    if call is None:
        return None
    buffer = ctypes.create_string_buffer(_STATX_BYTES)
    failed = call(_AT_FDCWD, os.fsencode(path), _AT_SYMLINK_NOFOLLOW, _STATX_INO | _STATX_BTIME, buffer)
    return None if failed else buffer.raw
