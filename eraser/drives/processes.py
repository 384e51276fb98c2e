"""What other processes hold, from /proc: their mount namespaces, open files and mappings.

Processes come and go while this reads: one that is gone holds nothing. One that may not be read is counted as unknown,
and unknown counts as in use. Containers and other PID namespaces are seen as far as this /proc shows them.
"""

import os
import signal
import stat
from collections.abc import Collection, Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from eraser.drives.numbers import BlockNumber, FileNumber
from eraser.drives.sysfs import Host

_CAP_SYS_PTRACE = 19
_GONE = (FileNotFoundError, ProcessLookupError)


@dataclass(frozen=True, slots=True)
class Opener:
    """A process that has something of ours open.

    `mapped` where it holds a mapping and no descriptor; `killed` where it was killed and is still there: an I/O of its has
    not returned.
    """

    pid: int
    command: str
    mapped: bool = False
    killed: bool = False


@dataclass(frozen=True, slots=True)
class Targets:
    """What is looked for: block devices by number, files (an image) by inode. Of `written_files` only writers count, of
    `mappings` (device nodes) only mappings."""

    blocks: frozenset[BlockNumber] = frozenset()
    files: frozenset[FileNumber] = frozenset()
    written_files: frozenset[FileNumber] = frozenset()
    mappings: frozenset[FileNumber] = frozenset()


@dataclass(frozen=True, slots=True)
class Openers:
    """Who was seen, and how many processes could not be looked into."""

    seen: tuple[Opener, ...]
    unreadable: int


def pids(host: Host) -> Iterator[int]:
    """All processes of this /proc, at this moment."""
    return (int(name) for name in os.listdir(host.proc) if name.isdigit())  # noqa: PTH208


def openers(targets: Targets, host: Host, *, ignoring: Collection[int] = (), avoid: Container[str] = ()) -> Openers:
    """Every process that has a target open or mapped, except the `ignoring` ones.

    `avoid` has the paths that must not be looked at, since their server may hang: FUSE and network file systems.

    The first process is passed over where it shuts itself off even from a user who may trace every process: inits of
    containers and sandboxes do so, and every drive of such a machine would count as in use. What it mounts, or holds
    exclusively, is seen elsewhere.
    """
    seen: list[Opener] = []
    unreadable = 0
    privileged = _may_trace_all(host)
    for pid in pids(host):
        if pid in ignoring:
            continue
        base = f"{host.proc}/{pid}"
        try:
            if _has_open(base, targets, avoid):
                seen.append(Opener(pid, command_of(base), killed=_was_killed(base)))
            elif _has_mapped(base, targets):
                seen.append(Opener(pid, command_of(base), mapped=True))
        except _GONE:
            continue
        except PermissionError:
            unreadable += not (pid == 1 and privileged)
    return Openers(tuple(seen), unreadable)


def _may_trace_all(host: Host) -> bool:
    """Whether we have CAP_SYS_PTRACE, which opens every process's /proc."""
    for line in (host.proc / "self" / "status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_PTRACE & 1)
    return False


def command_of(base: str) -> str:
    """A process's short name, empty where it is gone."""
    try:
        return Path(base, "comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def _was_killed(base: str) -> bool:
    """Whether SIGKILL waits for it: only a process in an uninterruptible wait leaves it waiting."""
    pending = 0
    for line in Path(base, "status").read_text(errors="replace").splitlines():
        if line.startswith(("SigPnd:", "ShdPnd:")):
            pending |= int(line.split()[1], 16)
    return bool(pending >> (signal.SIGKILL - 1) & 1)


def _has_open(base: str, targets: Targets, avoid: Container[str]) -> bool:
    names = os.listdir(f"{base}/fd")  # noqa: PTH208
    if names:
        return _has_open_here(base, names, targets, avoid)
    # A process whose first thread has ended shows its descriptors with the others only. (Links: two, and one each.)
    if os.stat(f"{base}/task").st_nlink <= 3:  # noqa: PTH116
        return False
    for thread in os.listdir(f"{base}/task"):  # noqa: PTH208
        here = f"{base}/task/{thread}"
        if _has_open_here(here, os.listdir(f"{here}/fd"), targets, avoid):  # noqa: PTH208
            return True
    return False


def _has_open_here(base: str, names: list[str], targets: Targets, avoid: Container[str]) -> bool:
    folder = f"{base}/fd"
    for name in names:
        link = f"{folder}/{name}"
        try:
            shown = os.readlink(link)  # noqa: PTH115
            # The link is read from the kernel's memory. Sockets, pipes and anonymous inodes have no path.
            if not shown.startswith("/"):
                continue
            if shown in avoid:
                if targets.files and _number_without_asking(base, name) & {file.inode for file in targets.files}:
                    return True
                continue
            found = os.stat(link)  # noqa: PTH116
        except _GONE:
            continue
        if stat.S_ISBLK(found.st_mode):
            if BlockNumber(os.major(found.st_rdev), os.minor(found.st_rdev)) in targets.blocks:
                return True
            continue
        file = FileNumber(found.st_dev, found.st_ino)
        if file in targets.files or (file in targets.written_files and _is_written(base, name)):
            return True
    return False


def _is_written(base: str, descriptor: str) -> bool:
    """Whether the descriptor was opened for writing: `flags:` of fdinfo, octal."""
    for line in Path(base, "fdinfo", descriptor).read_text().splitlines():
        if line.startswith("flags:"):
            return int(line.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
    return True


def _number_without_asking(base: str, descriptor: str) -> set[int]:
    """A descriptor's inode by the kernel's own word (`ino:` of fdinfo, since 5.14), never by its file system's."""
    text = Path(base, "fdinfo", descriptor).read_text()
    return {int(line.split()[1]) for line in text.splitlines() if line.startswith("ino:")}


def _has_mapped(base: str, targets: Targets) -> bool:
    wanted = targets.files | targets.mappings
    # The mappings of a process that waits for a drive may be locked: reading them would wait with it.
    if not wanted or not _has_memory(base) or _waits_uninterruptibly(base):
        return False
    text = Path(base, "maps").read_bytes()
    return any(_as_in_maps(file) in text for file in wanted)


def _has_memory(base: str) -> bool:
    """False for kernel threads and what is left of ended processes."""
    try:
        os.readlink(f"{base}/exe")  # noqa: PTH115
    except FileNotFoundError:
        return False
    return True


def _waits_uninterruptibly(base: str) -> bool:
    state = Path(base, "stat").read_bytes()
    return state[state.rfind(b")") :][2:3] == b"D"


def _as_in_maps(file: FileNumber) -> bytes:
    return f" {os.major(file.device):02x}:{os.minor(file.device):02x} {file.inode} ".encode()
