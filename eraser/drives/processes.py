"""What other processes hold, from /proc: their mount namespaces, open files and mappings.

Processes come and go while this reads: one that is gone holds nothing. One that may not be read is counted as unknown,
and unknown counts as in use. Containers and other PID namespaces are seen as far as this /proc shows them.
"""

import os
import re
import signal
import stat
from collections.abc import Collection, Container, Iterable, Iterator
from contextlib import suppress
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


@dataclass(frozen=True, slots=True)
class Held:
    """What one process held open or mapped when it was looked at.

    `asked_of_no_server` are inodes of files on file systems whose server may hang, by the kernel's own word; `mapped` are
    entries of its `maps`, as `_as_in_maps` gives them. `is_readable` is False where it could not be seen whole.
    """

    pid: int
    blocks: frozenset[BlockNumber] = frozenset()
    files: frozenset[FileNumber] = frozenset()
    written_files: frozenset[FileNumber] = frozenset()
    asked_of_no_server: frozenset[int] = frozenset()
    mapped: frozenset[bytes] = frozenset()
    is_readable: bool = True


def pids(host: Host) -> Iterator[int]:
    """All processes of this /proc, at this moment."""
    return (int(name) for name in os.listdir(host.proc) if name.isdigit())  # noqa: PTH208


def all_held(host: Host, avoid: Container[str] = ()) -> tuple[Held, ...]:
    """What every process holds that can be a drive, an image, or a mapping of one; who holds nothing of it is left out.

    `avoid` has the paths that must not be looked at, since their server may hang: FUSE and network file systems.
    """
    found = (_held(pid, f"{host.proc}/{pid}", avoid) for pid in pids(host))
    return tuple(held for held in found if held is not None)


def openers(targets: Targets, processes: Iterable[Held], host: Host, *, ignoring: Collection[int] = ()) -> Openers:
    """Of the processes each that had a target open or mapped and is still there, except the `ignoring` ones.

    The first process is passed over where it shuts itself off even from a user who may trace every process: inits of
    containers and sandboxes do so, and every drive of such a machine would count as in use. What it mounts, or holds
    exclusively, is seen elsewhere.
    """
    seen: list[Opener] = []
    unreadable = 0
    privileged = _may_trace_all(host)
    asked_of_no_server = {file.inode for file in targets.files}
    mapped = {_as_in_maps(file) for file in targets.files | targets.mappings}
    for held in processes:
        if held.pid in ignoring:
            continue
        has_open = (
            held.blocks & targets.blocks
            or held.files & targets.files
            or held.written_files & targets.written_files
            or held.asked_of_no_server & asked_of_no_server
        )
        base = f"{host.proc}/{held.pid}"
        try:
            if has_open:
                seen.append(Opener(held.pid, command_of(base), killed=_was_killed(base)))
            elif held.mapped & mapped:
                os.stat(base)  # noqa: PTH116
                seen.append(Opener(held.pid, command_of(base), mapped=True))
            elif not held.is_readable:
                os.stat(base)  # noqa: PTH116
                unreadable += not (held.pid == 1 and privileged)
        except _GONE:
            continue
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


class _Descriptors:
    """What the descriptors of one process, of all its threads where they differ, lead to."""

    def __init__(self, base: str, avoid: Container[str]) -> None:
        self.blocks: set[BlockNumber] = set()
        self.files: set[FileNumber] = set()
        self.written_files: set[FileNumber] = set()
        self.asked_of_no_server: set[int] = set()
        self._avoid = avoid
        names = os.listdir(f"{base}/fd")  # noqa: PTH208
        if names:
            self._read(base, names)
            return
        # A process whose first thread has ended shows its descriptors with the others only. (Links: two, and one each.)
        if os.stat(f"{base}/task").st_nlink <= 3:  # noqa: PTH116
            return
        for thread in os.listdir(f"{base}/task"):  # noqa: PTH208
            here = f"{base}/task/{thread}"
            with suppress(*_GONE):
                self._read(here, os.listdir(f"{here}/fd"))  # noqa: PTH208

    def _read(self, base: str, names: list[str]) -> None:
        for name in names:
            link = f"{base}/fd/{name}"
            try:
                shown = os.readlink(link)  # noqa: PTH115
                # The link is read from the kernel's memory. Sockets, pipes and anonymous inodes have no path.
                if not shown.startswith("/"):
                    continue
                if shown in self._avoid:
                    self.asked_of_no_server |= _number_without_asking(base, name)
                    continue
                found = os.stat(link)  # noqa: PTH116
                if stat.S_ISBLK(found.st_mode):
                    self.blocks.add(BlockNumber(os.major(found.st_rdev), os.minor(found.st_rdev)))
                elif stat.S_ISREG(found.st_mode):
                    file = FileNumber(found.st_dev, found.st_ino)
                    self.files.add(file)
                    # proc_pid_fd(5): the link's own permissions are the modes that the descriptor was opened with.
                    if os.lstat(link).st_mode & stat.S_IWUSR:
                        self.written_files.add(file)
            except _GONE:
                continue


def _held(pid: int, base: str, avoid: Container[str]) -> Held | None:
    """None where it is gone, or holds nothing that counts."""
    try:
        descriptors = _Descriptors(base, avoid)
    except _GONE:
        return None
    except PermissionError:
        return Held(pid, is_readable=False)
    mapped: frozenset[bytes] = frozenset()
    is_readable = True
    try:
        mapped = _mapped(base)
    except PermissionError:
        is_readable = False
    except _GONE:
        pass
    held = Held(
        pid,
        frozenset(descriptors.blocks),
        frozenset(descriptors.files),
        frozenset(descriptors.written_files),
        frozenset(descriptors.asked_of_no_server),
        mapped,
        is_readable,
    )
    return None if held == Held(pid) else held


def _number_without_asking(base: str, descriptor: str) -> set[int]:
    """A descriptor's inode by the kernel's own word (`ino:` of fdinfo, since 5.14), never by its file system's."""
    text = Path(base, "fdinfo", descriptor).read_text()
    return {int(line.split()[1]) for line in text.splitlines() if line.startswith("ino:")}


def _mapped(base: str) -> frozenset[bytes]:
    # The mappings of a process that waits for a drive may be locked: reading them would wait with it.
    if not _has_memory(base) or _waits_uninterruptibly(base):
        return frozenset()
    return frozenset(_MAPPED_FILE.findall(_content(f"{base}/maps")))


def _has_memory(base: str) -> bool:
    """False for kernel threads and what is left of ended processes."""
    try:
        os.readlink(f"{base}/exe")  # noqa: PTH115
    except FileNotFoundError:
        return False
    return True


def _waits_uninterruptibly(base: str) -> bool:
    state = _content(f"{base}/stat")
    return state[state.rfind(b")") :][2:3] == b"D"


def _content(path: str) -> bytes:
    # Unbuffered, and no Path: two of these are read for each process of the machine.
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        return file.readall()


# proc_pid_maps(5): device and inode of a mapping; memory of no file has inode 0.
_MAPPED_FILE = re.compile(rb" [0-9a-f]+:[0-9a-f]+ [1-9][0-9]* ")


def _as_in_maps(file: FileNumber) -> bytes:
    return f" {os.major(file.device):02x}:{os.minor(file.device):02x} {file.inode} ".encode()
