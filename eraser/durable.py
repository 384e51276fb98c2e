"""Files that are either whole and durable or not there: for keys and certificates."""

import contextlib
import ctypes
import errno
import os
from pathlib import Path

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1


def write_new(path: Path, content: bytes, mode: int) -> bool:
    """Puts `content` at `path` unless something is there already; tells whether it did.

    When it returns, the file is whole and durable, whoever wrote it. After a crash at any step there is either no file
    of this name or the whole one; what may be left besides is `.<name>.<random>.tmp`. Raises OSError; safe to call
    concurrently, also from several processes.
    """
    # 1. All bytes are on the medium under a name that nobody reads. 2. The real name appears in one step and never
    # replaces anything. 3. The folder is flushed, so that the name is on the medium too before anyone is told of it.
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
    try:
        _write_durably(temporary, content, mode)
        made = _give_name(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
    sync_directory(path.parent)
    return made


def write_over(path: Path, content: bytes, mode: int) -> None:
    """Puts `content` at `path`, in place of what is there; whole and durable when it returns. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
    try:
        _write_durably(temporary, content, mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Makes the names in it durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_durably(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with contextlib.suppress(PermissionError):  # FAT keeps no modes; who needs one checks it when reading
            os.fchmod(descriptor, mode)  # whatever the umask is
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _give_name(temporary: Path, path: Path) -> bool:
    try:
        os.link(temporary, path, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        # FAT and exFAT, as on the stick that a person takes along, have no hard links.
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        return _rename_new(temporary, path)
    return True


def _rename_new(temporary: Path, path: Path) -> bool:
    """renameat2(2) with RENAME_NOREPLACE, which Python does not offer."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_AT_FDCWD, os.fsencode(temporary), _AT_FDCWD, os.fsencode(path), _RENAME_NOREPLACE) == 0:
        return True
    number = ctypes.get_errno()
    if number == errno.EEXIST:
        return False
    raise OSError(number, os.strerror(number), str(path))
