"""Whether anybody else has a file open: asked of the kernel, which counts every opener, process or not."""

import errno
import fcntl
import os
import signal


def only_we_have_it_open(fd: int) -> bool | None:
    """True when `fd` is the only open description of its file in the whole system, mappings and loop devices included.

    None when this file system, or this user on this file, gets no leases. The kernel grants a write lease only when the
    file's counts of readers and writers are the asking description's own (fcntl(2)). It is given back at once.
    """
    # Somebody who opens the file in this very moment makes the kernel signal us: SIGIO would end the process, SIGURG is
    # ignored by default.
    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError as error:
        return False if error.errno in (errno.EAGAIN, errno.EBUSY) else None
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True


def only_we_could_open_it(path: str) -> bool | None:
    """The same for a file that we have not open. Never waits for another's lease on it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except BlockingIOError:
        return False  # another process holds a lease, so it has the file open
    except OSError:
        return None
    try:
        return only_we_have_it_open(fd)
    finally:
        os.close(fd)
