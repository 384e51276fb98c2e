"""Taking apart what was built on the drives of bays: in which order, or why not. Pure: the picture is passed in.

Most drives that are pulled from servers are members of something, and a kernel that assembles it holds them. Only what lies
wholly in bays is taken apart; nothing here looks at what uses it: the guard does, for each drive beneath.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from eraser.errors import Refused


class LayerKind(StrEnum):
    """What a device that lies on others is."""

    PARTITION = "partition"
    LOOP = "loop"
    RAID = "md"
    MAPPED = "dm"
    """Also LVM's volumes and opened encrypted ones."""
    MULTIPATH = "multipath"
    BCACHE = "bcache"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Layer:
    """A device by its node, and the nodes that it lies on directly. `name` is what its own tool calls it."""

    node: str
    kind: LayerKind
    title: str
    below: frozenset[str]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One layer, and the command that takes it apart. What lies on it is gone by then."""

    layer: Layer
    command: tuple[str, ...]


_BY_HAND = {
    LayerKind.BCACHE: "Stop it by hand: write 1 to its bcache/stop in /sys/block, then to stop in /sys/fs/bcache/…",
    LayerKind.OTHER: "Take it apart by its own tool.",
}


def plan_release(disks: Collection[str], layers: Iterable[Layer], in_bays: Mapping[str, str]) -> tuple[Step, ...]:
    """The steps that free these disks, from the top down; none where nothing lies on them.

    `layers` are the picture: every device that lies on another, whether on these disks or not. `in_bays` has the bay of each
    disk that is in one. Raises Refused for a layer that also lies outside the bays, or that nobody here can take apart.
    """
    picture = {layer.node: layer for layer in layers if layer.node not in in_bays}
    on_them = {node: layer for node, layer in picture.items() if not disks_beneath(node, picture).isdisjoint(disks)}
    for node, layer in sorted(on_them.items()):
        outside = sorted(disks_beneath(node, picture) - in_bays.keys())
        if outside:
            raise Refused(
                "outside-bays",
                f"{layer.title} lies on {', '.join(outside)} as well, which is in no bay",
                subject=_bays(disks, in_bays),
                remedy="What reaches beyond the bays is not taken apart from here: do that by hand, if it is right.",
            )
        if layer.kind in _BY_HAND:
            what = f"{layer.title} lies on it, and is not taken apart from here"
            raise Refused("by-hand", what, subject=_bays(disks, in_bays), remedy=_BY_HAND[layer.kind])
    return tuple(
        Step(layer, _command(layer)) for layer in _from_the_top(on_them) if layer.kind is not LayerKind.PARTITION
    )


def disks_beneath(node: str, picture: Mapping[str, Layer]) -> frozenset[str]:
    """The nodes at the very bottom: those that lie on nothing in the picture."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        layer = picture.get(current)
        if layer is None or not layer.below:
            found.add(current)
        else:
            waiting.extend(layer.below)
    return frozenset(found)


def _from_the_top(layers: Mapping[str, Layer]) -> Iterable[Layer]:
    left = dict(layers)
    while left:
        covered = {node for layer in left.values() for node in layer.below}
        free = sorted(left.keys() - covered) or sorted(left)  # a circle: the tools will say what is wrong with it
        for node in free:
            yield left.pop(node)


def _command(layer: Layer) -> tuple[str, ...]:
    match layer.kind:
        case LayerKind.RAID:
            return ("mdadm", "--stop", layer.node)
        case LayerKind.MAPPED:
            return ("dmsetup", "remove", layer.name)
        case LayerKind.MULTIPATH:
            return ("multipath", "-f", layer.name)
        case LayerKind.LOOP:
            return ("losetup", "--detach", layer.node)
    return ()


def _bays(disks: Collection[str], in_bays: Mapping[str, str]) -> str:
    return ", ".join(f"bay {bay}" for bay in sorted({in_bays[disk] for disk in disks if disk in in_bays}))
