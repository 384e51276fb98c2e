"""A drive with a given speed: the kernel's own limit on block I/O, for the processes placed under it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.lab.loop import wait_until
from tests.lab.requirements import BLKIO_V1, CGROUP_V2, Need, require


class Throttle:
    """A cgroup that limits one device, or more. Reads and writes have the limit each; a request that the block layer splits
    may be charged twice, so compare with another program at the same block size."""

    def __init__(self, group: Path, device: Path) -> None:
        self.group = group
        self.device = device

    def limit(self, bytes_per_s: int) -> None:
        """Set or change the limit, at once."""
        self.also(self.device, bytes_per_s)

    def also(self, device: Path, bytes_per_s: int) -> None:
        """Limit another device for the same processes."""
        number = device.stat().st_rdev
        device_number = f"{os.major(number)}:{os.minor(number)}"
        if (self.group / "io.max").exists():
            (self.group / "io.max").write_text(f"{device_number} rbps={bytes_per_s} wbps={bytes_per_s}")
            return
        for direction in ("read", "write"):
            limit = self.group / f"blkio.throttle.{direction}_bps_device"
            limit.write_text(f"{device_number} {bytes_per_s}")

    def place(self, pid: int) -> None:
        """Put a process, with the children it will have, under the limit."""
        (self.group / "cgroup.procs").write_text(str(pid))

    def command(self, command: Sequence[str | Path]) -> list[str]:
        """`command` as one that puts itself under the limit before it starts."""
        enter = 'echo $$ > "$0" && exec "$@"'
        return ["sh", "-c", enter, str(self.group / "cgroup.procs"), *map(str, command)]


@contextmanager
def throttled(device: Path, bytes_per_s: int) -> Iterator[Throttle]:
    """A limit of `bytes_per_s` on `device` for those placed under it; its processes are let out at the end."""
    require(Need.THROTTLING)
    top = BLKIO_V1 if BLKIO_V1.exists() else CGROUP_V2
    if top == CGROUP_V2:
        (top / "cgroup.subtree_control").write_text("+io")
    group = Path(tempfile.mkdtemp(prefix="eraser-lab-", dir=top))
    try:
        throttle = Throttle(group, device)
        throttle.limit(bytes_per_s)
        yield throttle
    finally:
        _remove(group)


def _remove(group: Path) -> None:
    for pid in (group / "cgroup.procs").read_text().split():
        try:
            (group.parent / "cgroup.procs").write_text(pid)
        except ProcessLookupError:
            continue  # it has ended in the meantime
    wait_until(lambda: _rmdir(group), f"{group} to be empty")


def _rmdir(group: Path) -> bool:
    try:
        group.rmdir()
    except OSError:
        return False
    return True
