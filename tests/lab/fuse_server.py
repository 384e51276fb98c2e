"""The process that plays a bad drive: one file, served through FUSE, whose every request goes through behaviours.

A process of its own, so that it can be ended whatever hangs in it: when it dies the kernel answers all that waits.
Started by `fuse_drive` as `python -m tests.lab.fuse_server`, with a connection to its owner as its only argument's
descriptor; it says "ready" once it is mounted, then obeys the owner's commands, and ends with the connection.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any

import mfusepy

from tests.lab.behaviours import On
from tests.lab.controller import FILE_NAME, Controller, Setup

MOST_REQUESTS = 256  # waiting at once; a hung drive must hang by our choice, not because libfuse ran out of threads


class DriveFile(mfusepy.Operations):  # type: ignore[misc,unused-ignore]
    """The mounted folder with the one file in it."""

    use_ns = True

    def __init__(self, controller: Controller, owner: Connection) -> None:
        self.controller = controller
        self.owner = owner

    def init_with_config(self, conn_info: Any, config_3: Any) -> None:
        if conn_info is not None:
            conn_info.max_background = MOST_REQUESTS
            conn_info.congestion_threshold = MOST_REQUESTS
        threading.Thread(target=self.serve_owner, daemon=True).start()

    def serve_owner(self) -> None:
        try:
            self.owner.send("ready")
            while True:
                try:
                    self.owner.send(self.controller.obey(self.owner.recv()))
                except OSError as error:
                    self.owner.send(error)
        except (EOFError, OSError):
            os._exit(0)

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        if path != "/" + FILE_NAME:
            raise mfusepy.FuseOSError(errno.ENOENT)
        return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": self.controller.medium.size_bytes}

    def open(self, path: str, flags: int) -> int:
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        self.controller.count(On.READ, size)
        return self.controller.drive.read(offset, size)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        self.controller.count(On.WRITE, len(data))
        return self.controller.drive.write(offset, data)

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        self.controller.count(On.FLUSH)
        self.controller.drive.flush()
        return 0


def main() -> None:
    owner = Connection(int(sys.argv[1]))
    setup: Setup = owner.recv()
    # Every request of the loop device must come here: no page cache in between.
    options: dict[str, Any] = {"direct_io": True}
    if (mfusepy.fuse_version_major, mfusepy.fuse_version_minor) >= (3, 12):
        options |= {"max_threads": MOST_REQUESTS, "max_idle_threads": MOST_REQUESTS}
    mfusepy.FUSE(
        DriveFile(Controller(setup), owner), str(setup.mountpoint), foreground=True, fsname="eraser-lab", **options
    )


if __name__ == "__main__":
    main()
