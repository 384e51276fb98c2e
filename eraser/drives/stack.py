"""What lies on what: partitions on disks, dm, md and bcache on their parts, loop devices on files, files on disks.

One picture of the machine at one moment, walked both ways: up from a drive to all that uses it, down from a mounted
file system to all the disks under it.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from eraser.drives import loops
from eraser.drives.mounts import hanging_places
from eraser.drives.numbers import BlockNumber, FileNumber
from eraser.drives.sysfs import BlockDevice, Host

Node = BlockNumber | FileNumber | str
"""A device, a file, or by its path a file whose file system must not be asked, since its server may hang."""


class Stack:
    """The picture. `unknown_loops` are loop devices of which it could not be found out what they show."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._below: dict[Node, set[Node]] = defaultdict(set)
        self._above: dict[Node, set[Node]] = defaultdict(set)
        self._devices: dict[BlockNumber, BlockDevice] = {}
        self._hanging = hanging_places(host)
        self._btrfs = _btrfs_members(host)
        self.unknown_loops: list[str] = []
        for device in host.disks():
            try:
                self._add(device)
            except (ValueError, OSError):
                continue  # it went away while we read; what holds it went with it

    @property
    def btrfs_members(self) -> dict[BlockNumber, str]:
        """Members of mounted btrfs file systems, each with the file system's id."""
        return {number: label for label, numbers in self._btrfs.items() for number in numbers}

    def device(self, number: BlockNumber) -> BlockDevice | None:
        """The device of that number, where this picture has it."""
        return self._devices.get(number)

    def devices(self) -> Iterator[BlockDevice]:
        """All devices of the picture."""
        yield from self._devices.values()

    def directly_beneath(self, node: Node) -> frozenset[Node]:
        """What it lies on, and not what that lies on."""
        return frozenset(self._below.get(node, ()))

    def above(self, nodes: Iterable[Node]) -> set[Node]:
        """The nodes, and everything that lies on them."""
        return _closure(nodes, self._above)

    def beneath(self, nodes: Iterable[Node]) -> set[Node]:
        """The nodes, and everything that they lie on."""
        return _closure(nodes, self._below)

    def files_below(self, nodes: Iterable[Node]) -> set[Node]:
        """The files that loop devices among the nodes show; not what these files lie on."""
        return {lower for node in nodes for lower in self._below.get(node, ()) if not isinstance(lower, BlockNumber)}

    def beneath_as_devices(self, nodes: Iterable[Node]) -> set[Node]:
        """The same, but not through files: a device under a file system has other contents than the file."""
        devices: dict[Node, set[Node]] = {
            upper: {lower for lower in lowers if isinstance(lower, BlockNumber)}
            for upper, lowers in self._below.items()
            if isinstance(upper, BlockNumber)
        }
        return _closure(nodes, devices)

    def under_file_system(self, number: BlockNumber, source: str) -> set[Node]:
        """What a mounted file system lies on. One of several devices has a number of no device: then by its source.

        Source: `fs/btrfs` gives each file system an anonymous number (major 0); the mount names one member.
        """
        if number in self._devices:
            return {number}
        direct = {found for path in source.split(":") if (found := block_number(path)) is not None}
        members = [numbers for numbers in self._btrfs.values() if direct & numbers]
        return {*direct, *(number for numbers in members for number in numbers)}

    def _add(self, device: BlockDevice) -> None:
        number = device.number
        self._devices[number] = device
        is_bound = loops.is_bound(device)
        if device.name.startswith("loop") and not is_bound:
            return  # nothing lies on what shows nothing, and hosts have dozens of these
        for slave in device.slaves():
            self._lie(number, slave.number)
        for part in device.partitions():
            self._devices[part.number] = part
            self._lie(part.number, number)
            for holder in part.holders():
                self._lie(holder.number, part.number)
        for holder in device.holders():
            self._lie(holder.number, number)
        if is_bound:
            self._add_loop(device, number)

    def _add_loop(self, device: BlockDevice, number: BlockNumber) -> None:
        backing = loops.backing_without_opening(device, self._host, self._hanging)
        if backing is None:
            if loops.is_bound(device):
                self.unknown_loops.append(device.name)
        elif backing.block is not None:
            self._lie(number, backing.block)
        elif backing.file is None:
            self._lie(number, backing.path)
        else:
            self._lie(number, backing.file)
            holder = BlockNumber(os.major(backing.file.device), os.minor(backing.file.device))
            if holder.major:
                self._lie(backing.file, holder)

    def _lie(self, upper: Node, lower: Node) -> None:
        self._below[upper].add(lower)
        self._above[lower].add(upper)


def block_number(path: str) -> BlockNumber | None:
    """The number of the block device at a path; None for anything else. Looks below /dev only: a path in a mount's
    options may lead anywhere, also to a server that hangs."""
    if not path.startswith("/dev/"):
        return None
    try:
        number = Path(path).stat().st_rdev
    except OSError:
        return None
    return BlockNumber(os.major(number), os.minor(number)) if number else None


def _btrfs_members(host: Host) -> dict[str, set[BlockNumber]]:
    members: dict[str, set[BlockNumber]] = {}
    for folder in (host.sys / "fs" / "btrfs").glob("*/devices"):
        numbers = (BlockDevice(entry.resolve()).text("dev") for entry in folder.iterdir())
        members[folder.parent.name] = {BlockNumber.parse(text) for text in numbers if text}
    return members


def _closure(start: Iterable[Node], edges: dict[Node, set[Node]]) -> set[Node]:
    found: set[Node] = set()
    waiting = list(start)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting.extend(edges.get(node, ()))
    return found
