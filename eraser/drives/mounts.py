"""What is mounted and swapped on, in every mount namespace that a process lives in."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from eraser.drives.numbers import BlockNumber
from eraser.drives.processes import pids
from eraser.drives.sysfs import Host

MAY_HANG = frozenset({"nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "afs", "glusterfs", "lustre"})
"""File systems whose server may not answer; all of FUSE's besides."""


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of a mountinfo. `extra_devices` are paths of further devices that it uses, such as an external log."""

    point: str
    kind: str
    number: BlockNumber
    source: str
    extra_devices: tuple[str, ...] = ()
    root: str = "/"
    """Which part of the file system is seen there; for a bind mount of one file the file's path within it."""

    @property
    def may_hang(self) -> bool:
        """Whether looking at its files may wait for somebody else for ever."""
        return self.kind in MAY_HANG or self.kind.startswith("fuse")


@dataclass(frozen=True, slots=True)
class Mounts:
    """All mounts seen: those of our own namespace and of the first process's (the system), and those of all others.

    `unreadable` counts the processes whose namespace could not be looked into.
    """

    ours: tuple[Mount, ...]
    others: tuple[Mount, ...]
    unreadable: int


class HangingPlaces:
    """Which paths lie on a file system whose server may never answer, so that they must not be looked at."""

    def __init__(self, mounts: Iterable[Mount]) -> None:
        # Of several mounts at one point the last is seen.
        self._points = {mount.point: mount.may_hang for mount in mounts}
        self._any = any(self._points.values())
        self._folders: dict[str, bool] = {}

    def __contains__(self, path: object) -> bool:
        if not self._any or not isinstance(path, str):
            return False
        if path in self._points or path in ("", "/"):
            return self._points.get(path, False)
        folder = path[: path.rfind("/")] or "/"
        # Many files are asked about that lie in few folders.
        if (found := self._folders.get(folder)) is None:
            found = self._folders[folder] = folder in self
        return found


@dataclass(frozen=True, slots=True)
class Swap:
    """One line of /proc/swaps: a partition, a disk, or a file."""

    path: str
    is_file: bool


def all_mounts(host: Host) -> Mounts:
    """The mounts of every mount namespace, each namespace read once."""
    ours: dict[Mount, None] = {}
    others: dict[Mount, None] = {}
    known: set[str] = set()
    unreadable = 0
    for process in ("self", "1", *map(str, pids(host))):
        base = f"{host.proc}/{process}"
        try:
            namespace = _namespace(base)
            if namespace not in known:
                (ours if process in ("self", "1") else others).update(dict.fromkeys(_read(Path(base))))
                known.add(namespace)
        except PermissionError:
            unreadable += 1
        except OSError:
            # It is gone, or (EINVAL) lost its namespace while it ended.
            continue
    return Mounts(tuple(ours), tuple(mount for mount in others if mount not in ours), unreadable)


def hanging_places(host: Host) -> HangingPlaces:
    """By the mounts of our own namespace."""
    try:
        return HangingPlaces(_read(host.proc / "self"))
    except OSError:
        return HangingPlaces(())


def swaps(host: Host) -> list[Swap]:
    """What is swapped on. Empty where the kernel has no swap."""
    try:
        lines = (host.proc / "swaps").read_text().splitlines()[1:]
    except FileNotFoundError:
        return []
    fields = (line.split() for line in lines)
    return [Swap(_unescaped(field[0]), field[1] == "file") for field in fields if len(field) >= 2]


def parse_mountinfo(text: str) -> Iterator[Mount]:
    """Source: proc_pid_mountinfo(5)."""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        head, tail = before.split(" "), after.split(" ")
        if len(head) < 6 or len(tail) < 3:
            continue
        yield Mount(
            point=_unescaped(head[4]),
            kind=tail[0],
            number=BlockNumber.parse(head[2]),
            source=_unescaped(tail[1]),
            extra_devices=tuple(_unescaped(path) for path in _EXTRA_DEVICE.findall(tail[2])),
            root=_unescaped(head[3]),
        )


def mounts_of_file(path: str, mounts: Mounts) -> list[Mount]:
    """Bind mounts of just this file, in any namespace, by its path within its file system; further names of the file
    (hard links) are not seen. `path` is without symbolic links, in our own namespace."""
    inside = [mount for mount in mounts.ours if f"{path}/".startswith(f"{mount.point.rstrip('/')}/")]
    if not inside:
        return []
    # The deepest mount point; of several mounts at one point the last is seen.
    *_, holder = sorted(inside, key=lambda mount: len(mount.point))
    within = f"{holder.root.rstrip('/')}{path.removeprefix(holder.point.rstrip('/'))}"
    # At the file's own mount point nothing is left of the path: the mount's root is the file.
    return [mount for mount in (*mounts.ours, *mounts.others) if (mount.number, mount.root) == (holder.number, within)]


# External logs and journals of XFS, ext4, reiserfs; layers of an overlay are folders, not devices.
_EXTRA_DEVICE = re.compile(r"(?:^|,)(?:logdev|rtdev|journal_path|jdev)=([^,]+)")


def overlay_folders(text: str) -> list[str]:
    """The folders that an overlay at / is made of, from its mountinfo."""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        head, tail = before.split(" "), after.split(" ")
        if len(head) > 4 and head[4] == "/" and len(tail) > 2 and tail[0] == "overlay":
            options = dict(option.partition("=")[::2] for option in tail[2].split(","))
            lower = options.get("lowerdir", "").split(":")
            return [_unescaped(path) for path in (*lower, options.get("upperdir", "")) if path]
    return []


def _read(base: Path) -> list[Mount]:
    return list(parse_mountinfo((base / "mountinfo").read_text(errors="surrogateescape")))


def _namespace(base: str) -> str:
    """Which namespace it is; where that is kept secret the process's own path: its mountinfo may be read anyway."""
    try:
        return os.readlink(f"{base}/ns/mnt")  # noqa: PTH115
    except PermissionError:
        return base


def _unescaped(text: str) -> str:
    """Blanks, tabs, newlines and backslashes are written in octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
