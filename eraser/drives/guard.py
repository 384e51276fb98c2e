"""Is the drive in use? Everything that may need its content is looked for, and what cannot be known counts as a use.

Nothing here forces anything: there is no way past a use but to end it. The answer is of one moment; `claim.py` asks
again while it holds the drive.
"""

import errno
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from eraser.domain.drive import Drive, Transport
from eraser.drives import lease, loops
from eraser.drives.discovery import LIVE
from eraser.drives.mounts import Mount, Mounts, all_mounts, mounts_of_file, overlay_folders, swaps
from eraser.drives.numbers import BlockNumber, FileNumber
from eraser.drives.picture import Picture, picture_from_now_on
from eraser.drives.processes import Openers, Targets, openers
from eraser.drives.stack import Node, Stack, block_number
from eraser.drives.sysfs import BlockDevice, Host
from eraser.errors import DriveError, Refused

SETTLE_SECONDS = 2.0
"""How long a mere opener may take to go away: udev and health monitors look into each drive that appears."""
SETTLE_STEP_SECONDS = 0.05

SYSTEM_MOUNT_POINTS = frozenset({"/", "/boot", "/boot/efi", "/boot/firmware", "/efi", "/etc", "/usr", "/var", "/nix"})
"""Where the running system's own files lie. Every disk under one of them is a system disk."""


class UseReason(StrEnum):
    """The machine's word for a use; the order is the one in which a person should hear of them."""

    SYSTEM_DISK = "system-disk"
    MOUNTED = "mounted"
    SWAP = "swap"
    BTRFS_MEMBER = "btrfs-member"
    HOLDER = "holder"
    LOOP = "loop"
    OPEN = "open"
    HELD_BY_KERNEL = "held-by-kernel"
    HELD_BY_UNFINISHED_IO = "held-by-unfinished-io"
    UNKNOWN_USE = "unknown-use"


PASSING = frozenset({UseReason.OPEN, UseReason.HELD_BY_UNFINISHED_IO})
"""Uses that may be gone in a moment, without anybody's doing."""


@dataclass(frozen=True, slots=True)
class Use:
    """One thing that uses the drive, and how a person ends that."""

    reason: UseReason
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class _Scope:
    """What belongs to the drive.

    `own` are its devices; `ground` also, for a loop device on a device, that device and its disk; `parts` their
    partitions; `file` is an image's own number; `backing` the file that a loop drive shows.
    """

    ground: frozenset[Node]
    parts: frozenset[Node]
    own: frozenset[BlockNumber]
    file: FileNumber | None
    backing: Node | None

    @property
    def nodes(self) -> frozenset[Node]:
        return self.ground | self.parts


def refuse_if_used(drive: Drive, host: Host = LIVE, *, settle_seconds: float = SETTLE_SECONDS) -> None:
    """Raises Refused with the first use of the drive. Mere openers get `settle_seconds` to go away by themselves."""
    refuse(drive, settled(lambda: uses(drive, host), settle_seconds))


def settled(look: Callable[[], tuple[Use, ...]], settle_seconds: float) -> tuple[Use, ...]:
    """What `look` finds, once it finds nothing or something that does not go away by itself, or time is up."""
    deadline = time.monotonic() + settle_seconds
    while True:
        found = look()
        if not found or not all(use.reason in PASSING for use in found) or time.monotonic() >= deadline:
            return found
        time.sleep(SETTLE_STEP_SECONDS)


def refuse(drive: Drive, found: tuple[Use, ...]) -> None:
    """Raises Refused when there is any use; the first gives the reason, all are told."""
    if found:
        what = "; ".join(dict.fromkeys(use.what for use in found))
        raise Refused(found[0].reason.value, what, subject=drive.path, remedy=found[0].remedy)


def uses(
    drive: Drive, host: Host = LIVE, *, ignoring: Collection[int] = (), held_fd: int | None = None
) -> tuple[Use, ...]:
    """Everything that uses the drive now, the gravest first; empty when it is provably free.

    `held_fd` is our claim on the drive where there is one: our own descriptors do not count then, nor those of the
    processes that we gave it to (`ignoring`), and the kernel need not be asked whether it would grant the claim. While
    one of these lives, openers of an image that /proc does not show stay unseen. Raises DriveError when the drive is
    gone.
    """
    is_image = drive.transport is Transport.IMAGE
    if is_image and not _bound(drive, all_mounts(host), host) and _is_provably_closed(drive.path, held_fd):
        return ()
    picture = picture_from_now_on(host)
    mounts, stack = picture.mounts, picture.stack
    scope = _scope(drive, stack, host)
    found = [
        *_bound(drive, mounts, host),
        *_system(scope, stack, mounts, host),
        *_mounted(scope, stack, mounts),
        *_swapped(scope, stack, host),
        *_btrfs(scope, stack),
        *_stacked(scope, stack, host),
    ]
    others = _openers(scope, picture, host, {*ignoring, os.getpid()} if held_fd is not None else ignoring)
    found += _opened(others)
    if held_fd is None and not found:
        found += _exclusively_held(drive, host)
    found += _unknown(scope, stack, mounts.unreadable + others.unreadable)
    # The kernel counts openers and does not name them: while a process of ours is among them, it cannot tell of others.
    ours_are_gone = not any((host.proc / str(pid)).exists() for pid in ignoring)
    if not found and is_image and ours_are_gone and _is_open_somewhere(drive.path, held_fd):
        found.append(_unseen_opener())
    return tuple(dict.fromkeys(found))


def _bound(drive: Drive, mounts: Mounts, host: Host) -> list[Use]:
    """Places where the image's file, or the file that a loop drive shows, is mounted by itself: that opens nothing."""
    path = drive.path
    if drive.transport is Transport.LOOP:
        number = _stat(path).st_rdev
        device = host.device(BlockNumber(os.major(number), os.minor(number)))
        path = device.text("loop/backing_file") if device is not None else ""
    elif drive.transport is not Transport.IMAGE:
        return []
    return [
        Use(
            UseReason.MOUNTED,
            f"its file is also mounted at {mount.point}",
            f"Unmount it there (umount {mount.point}), or end the container that it belongs to.",
        )
        for mount in mounts_of_file(path, mounts)
    ]


def _is_provably_closed(path: str, held_fd: int | None) -> bool:
    return (lease.only_we_could_open_it(path) if held_fd is None else lease.only_we_have_it_open(held_fd)) is True


def _is_open_somewhere(path: str, held_fd: int | None) -> bool:
    return (lease.only_we_could_open_it(path) if held_fd is None else lease.only_we_have_it_open(held_fd)) is False


def _scope(drive: Drive, stack: Stack, host: Host) -> _Scope:
    if drive.transport is Transport.IMAGE:
        status = _stat(drive.path)
        file = FileNumber(status.st_dev, status.st_ino)
        return _Scope(frozenset({file, drive.path}), frozenset(), frozenset(), file, None)
    own: set[BlockNumber] = set()
    for path in (drive.path, *drive.other_paths):
        device_number = _stat(path).st_rdev
        own.add(BlockNumber(os.major(device_number), os.minor(device_number)))
    ground: set[Node] = set(own)
    # A loop device on a device is that device: whatever uses it, or any part of its disk, uses the drive.
    ground |= stack.beneath_as_devices(own)
    backing = next(iter(stack.files_below(ground)), None)
    parts = {part.number for node in ground for part in _partitions(node, stack)}
    return _Scope(frozenset(ground), frozenset(parts), frozenset(own), None, backing)


def _stat(path: str) -> os.stat_result:
    try:
        return Path(path).stat()
    except OSError as error:
        raise DriveError("it is not there any more", subject=path, remedy="Plug it in again.") from error


def _partitions(node: Node, stack: Stack) -> Iterator[BlockDevice]:
    device = stack.device(node) if isinstance(node, BlockNumber) else None
    return iter(()) if device is None else device.partitions()


def _system(scope: _Scope, stack: Stack, mounts: Mounts, host: Host) -> Iterator[Use]:
    nodes: set[Node] = set()
    for mount in mounts.ours:
        if mount.point in SYSTEM_MOUNT_POINTS:
            nodes |= _under(mount, stack)
    for folder in _root_layers(host):
        number = os.stat(folder).st_dev if Path(folder).exists() else 0  # noqa: PTH116
        nodes |= stack.beneath(stack.under_file_system(BlockNumber(os.major(number), os.minor(number)), ""))
    if nodes & scope.nodes:
        yield Use(
            UseReason.SYSTEM_DISK,
            "the running system lies on it",
            "It is never erased from here. To erase it, start another system, or put it into another machine.",
        )


def _root_layers(host: Host) -> list[str]:
    try:
        return overlay_folders((host.proc / "self" / "mountinfo").read_text(errors="surrogateescape"))
    except OSError:
        return []


def _under(mount: Mount, stack: Stack) -> set[Node]:
    nodes = stack.under_file_system(mount.number, mount.source)
    extra = {number for path in mount.extra_devices if (number := block_number(path)) is not None}
    return stack.beneath(nodes | extra)


def _mounted(scope: _Scope, stack: Stack, mounts: Mounts) -> Iterator[Use]:
    for place, seen in (("", mounts.ours), (" in another mount namespace", mounts.others)):
        for mount in seen:
            if _under(mount, stack) & scope.nodes:
                yield Use(
                    UseReason.MOUNTED,
                    f"it is mounted at {mount.point} ({mount.kind}){place}",
                    f"Unmount it: umount {mount.point}" if not place else "Unmount it there, or end its container.",
                )


def _swapped(scope: _Scope, stack: Stack, host: Host) -> Iterator[Use]:
    for swap in swaps(host):
        nodes: set[Node] = set()
        if swap.is_file:
            nodes = _file_node(swap.path)
        elif (number := block_number(swap.path)) is not None:
            nodes = {number}
        if stack.beneath(nodes) & scope.nodes or scope.backing in nodes:
            yield Use(UseReason.SWAP, f"the system swaps to {swap.path} on it", f"Stop that: swapoff {swap.path}")


def _file_node(path: str) -> set[Node]:
    try:
        status = Path(path).stat()
    except OSError:
        return set()
    return {FileNumber(status.st_dev, status.st_ino)}


def _btrfs(scope: _Scope, stack: Stack) -> Iterator[Use]:
    for number, label in stack.btrfs_members.items():
        if stack.beneath({number}) & scope.nodes:
            yield Use(
                UseReason.BTRFS_MEMBER,
                f"it is a member of the mounted btrfs file system {label}",
                "Unmount that file system.",
            )


def _stacked(scope: _Scope, stack: Stack, host: Host) -> Iterator[Use]:
    """Devices that the kernel makes out of the drive, and loop devices that show it or the same file."""
    start: set[Node] = set(scope.nodes)
    if scope.backing is not None:
        start.add(scope.backing)
    for node in sorted(stack.above(start) - start, key=str):
        device = stack.device(node) if isinstance(node, BlockNumber) else None
        if device is None or device.is_partition or node in scope.own:
            continue
        path = host.node(device)
        if loops.is_bound(device):
            yield Use(UseReason.LOOP, f"the loop device {path} lies on it", f"Detach that: losetup --detach {path}")
        else:
            yield Use(UseReason.HOLDER, f"{kind_of(device)} {path} is made of it", f"Take {path} apart first.")


def kind_of(device: BlockDevice) -> str:
    """How people call a device that is made of others."""
    name, uuid = device.text("dm/name"), device.text("dm/uuid")
    kinds = {"LVM-": "the LVM volume", "CRYPT-": "the opened encrypted volume", "mpath-": "the multipath device"}
    for prefix, kind in kinds.items():
        if uuid.startswith(prefix):
            return f"{kind} {name}"
    if name:
        return f"the mapped device {name}"
    return "the RAID" if device.name.startswith("md") else "the device"


def _openers(scope: _Scope, picture: Picture, host: Host, ignoring: Collection[int]) -> Openers:
    stack = picture.stack
    blocks = frozenset(node for node in stack.above(scope.nodes) if isinstance(node, BlockNumber))
    targets = Targets(
        blocks=blocks | frozenset(node for node in scope.nodes if isinstance(node, BlockNumber)),
        files=frozenset(() if scope.file is None else (scope.file,)),
        written_files=frozenset((scope.backing,) if isinstance(scope.backing, FileNumber) else ()),
        mappings=frozenset(_device_files(scope.nodes, stack, host)),
    )
    return openers(targets, picture.processes, host, ignoring=ignoring)


def _device_files(nodes: Iterable[Node], stack: Stack, host: Host) -> Iterator[FileNumber]:
    """The device nodes as files: a mapping of a device is listed under its node's inode."""
    for node in nodes:
        device = stack.device(node) if isinstance(node, BlockNumber) else None
        if device is not None and Path(host.node(device)).exists():
            status = Path(host.node(device)).stat()
            yield FileNumber(status.st_dev, status.st_ino)


def _opened(others: Openers) -> list[Use]:
    found = []
    for opener in others.seen:
        who = f"{opener.command} (process {opener.pid})"
        if opener.killed:
            found.append(_unfinished(f"it is held by an unfinished I/O of {who}, which was killed"))
        else:
            what = f"it is {'mapped' if opener.mapped else 'opened'} by {who}"
            found.append(Use(UseReason.OPEN, what, f"End that process, or wait for it: ps {opener.pid}"))
    return found


def _unfinished(what: str) -> Use:
    return Use(
        UseReason.HELD_BY_UNFINISHED_IO,
        what,
        "The drive has not answered a request of a process that is gone: power-cycle the drive (or its bay).",
    )


def _exclusively_held(drive: Drive, host: Host) -> list[Use]:
    """Asks the kernel whether it would grant the claim: it knows holders that /proc does not show."""
    if drive.transport is Transport.IMAGE:
        return []
    for path in (drive.path, *drive.other_paths):
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as error:
            if error.errno == errno.EBUSY:
                return [unseen_holder(host)]
            if error.errno in (errno.EACCES, errno.EPERM):
                return [
                    Use(
                        UseReason.UNKNOWN_USE,
                        "whether it is in use cannot be known: it may not be opened",
                        "Run it as root.",
                    )
                ]
    return []


def unseen_holder(host: Host) -> Use:
    """Who refuses the claim when nobody is to be seen: a ZFS pool where there is ZFS, else an I/O that never ended."""
    if any((host.proc / "spl" / "kstat" / "zfs").glob("*/state")):
        return Use(
            UseReason.HELD_BY_KERNEL, "the kernel holds it, perhaps for a ZFS pool", "Export the pool: zpool export"
        )
    return _unfinished("it is held by an unfinished I/O")


def _unknown(scope: _Scope, stack: Stack, unreadable: int) -> list[Use]:
    found = []
    if unreadable:
        found.append(f"{unreadable} processes may not be looked into")
    found += [f"what {name} shows may not be asked" for name in stack.unknown_loops if not _is_own(name, scope, stack)]
    if not found:
        return []
    return [Use(UseReason.UNKNOWN_USE, f"whether it is in use cannot be known: {', '.join(found)}", "Run it as root.")]


def _is_own(name: str, scope: _Scope, stack: Stack) -> bool:
    return any(device.name == name for number in scope.own if (device := stack.device(number)) is not None)


def _unseen_opener() -> Use:
    return Use(
        UseReason.UNKNOWN_USE,
        "somebody has the file open who cannot be seen from here",
        "Close it there, or run as root to see who it is.",
    )
