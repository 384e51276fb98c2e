"""What lies on the drives of bays, as the kernel shows it, and taking it apart with the usual tools.

The plan is `domain/release.py`'s. It is made twice: once to be shown, once right before it is carried out.
"""

import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from eraser.domain.drive import Drive
from eraser.domain.release import Layer, LayerKind, Step, disks_beneath, plan_release
from eraser.drives import guard, loops
from eraser.drives.discovery import LIVE, identify
from eraser.drives.guard import UseReason
from eraser.drives.numbers import BlockNumber
from eraser.drives.stack import Node, Stack
from eraser.drives.sysfs import BlockDevice, Host
from eraser.errors import DriveError, EraserError, Refused

TOOL_SECONDS = 60.0
GONE_SECONDS = 5.0
"""What was taken apart is gone by then; a loop device that udev looks into is detached when udev is done."""

LAYERS = frozenset({UseReason.HOLDER, UseReason.LOOP})
"""Uses that are layers; every other use is somebody's, and only they can end it."""

_PACKAGES = {"mdadm": "mdadm", "dmsetup": "dmsetup", "multipath": "multipath-tools", "losetup": "mount"}


@dataclass(frozen=True, slots=True)
class Release:
    """What is to be taken apart for these disks, and all disks that it lies on."""

    disks: frozenset[str]
    steps: tuple[Step, ...]
    beneath: tuple[Drive, ...]


def plan(disks: Iterable[str], in_bays: Mapping[str, str], host: Host = LIVE) -> Release:
    """The steps that free these disks. Changes nothing.

    `in_bays` has the bay of each node of a disk in one. Raises Refused where the stack reaches out of the bays, where anything
    of it is mounted or used, and where the system lies on it; DriveError for a drive that is gone.
    """
    wanted = frozenset(disks)
    layers = {layer.node: layer for layer in layers_of(Stack(host), host) if layer.node not in in_bays}
    steps = plan_release(wanted, layers.values(), in_bays)
    touched = wanted.union(*(disks_beneath(step.layer.node, layers) for step in steps))
    drives = tuple(identify(node, host) for node in sorted(touched))
    look = _others if steps else guard.uses
    for drive in drives:
        guard.refuse(drive, guard.settled(partial(look, drive, host), guard.SETTLE_SECONDS))
    return Release(wanted, steps, drives)


def take_apart(
    shown: Release, in_bays: Mapping[str, str], host: Host = LIVE, *, tell: Callable[[Step], None] = lambda step: None
) -> None:
    """Carries out what was shown, or raises Refused when that is not what would be done now.

    Raises EraserError where a tool is missing or fails, and Refused where something still uses a drive afterwards; what was
    taken apart before that stays so.
    """
    now = plan(shown.disks, in_bays, host)
    if now.steps != shown.steps:
        raise Refused("changed", "what lies on the drives has changed meanwhile", remedy="Look at it again.")
    for step in now.steps:
        _run(step)
        _await_end(step, host)
        tell(step)
    for drive in now.beneath:
        guard.refuse_if_used(drive, host)


def layers_of(stack: Stack, host: Host) -> Iterator[Layer]:
    """Every device of the picture that lies on something."""
    for device in stack.devices():
        below = frozenset(_nodes(stack.directly_beneath(device.number), stack, host))
        below |= _container(device, host)
        if below:
            kind = _kind(device)
            yield Layer(host.node(device), kind, _title(device, kind, host), below, device.text("dm/name"))


def _nodes(lowers: Iterable[Node], stack: Stack, host: Host) -> Iterator[str]:
    """Of what a device lies on; of a file what that lies on, or where nobody may ask, its path."""
    for lower in lowers:
        device = stack.device(lower) if isinstance(lower, BlockNumber) else None
        if device is not None:
            yield host.node(device)
        elif isinstance(lower, BlockNumber | str):
            yield str(lower)
        else:
            yield from list(_nodes(stack.directly_beneath(lower), stack, host)) or [lower.name]


def _container(device: BlockDevice, host: Host) -> frozenset[str]:
    """A RAID of the firmware's lies in a container, which ends after it. Source: Documentation/admin-guide/md.rst."""
    version = device.text("md/metadata_version")
    if not version.startswith("external:/"):
        return frozenset()
    name = version.removeprefix("external:/").partition("/")[0]
    return frozenset((str(host.dev / name),))


def _kind(device: BlockDevice) -> LayerKind:
    if device.is_partition:
        return LayerKind.PARTITION
    if device.name.startswith("dm-"):
        is_path = device.text("dm/uuid").startswith("mpath-")
        return LayerKind.MULTIPATH if is_path else LayerKind.MAPPED
    if device.name.startswith("md"):
        return LayerKind.RAID
    if device.name.startswith("bcache"):
        return LayerKind.BCACHE
    return LayerKind.LOOP if loops.is_bound(device) else LayerKind.OTHER


def _title(device: BlockDevice, kind: LayerKind, host: Host) -> str:
    node = host.node(device)
    match kind:
        case LayerKind.PARTITION:
            return f"the partition {node}"
        case LayerKind.LOOP:
            return f"the loop device {node}"
        case LayerKind.BCACHE:
            return f"the cached device {node}"
        case LayerKind.OTHER:
            return f"the device {node}"
    return f"{guard.kind_of(device)} ({node})" if device.text("dm/name") else f"the RAID {node}"


def _others(drive: Drive, host: Host) -> tuple[guard.Use, ...]:
    return tuple(use for use in guard.uses(drive, host) if use.reason not in LAYERS)


def _run(step: Step) -> None:
    tool = step.command[0]
    subject = step.layer.node
    try:
        done = subprocess.run(
            step.command, check=False, capture_output=True, text=True, timeout=TOOL_SECONDS, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise EraserError(
            f"{tool} is not installed here, which takes {step.layer.title} apart",
            subject=subject,
            remedy=f"Install it (apt install {_PACKAGES[tool]}) and release the bay again.",
        ) from None
    except subprocess.TimeoutExpired:
        raise DriveError(
            f"{tool} has not ended within {TOOL_SECONDS:.0f} s", subject=subject, remedy="Power-cycle the bay."
        ) from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise EraserError(
            f"{' '.join(step.command)} failed ({said[-1] if said else f'status {done.returncode}'})",
            subject=subject,
            remedy="Find out who uses it: `lsblk`, `fuser`.",
        )


def _await_end(step: Step, host: Host) -> None:
    """Raises EraserError when the layer is still there after a while."""
    deadline = time.monotonic() + GONE_SECONDS
    while any(layer == step.layer for layer in layers_of(Stack(host), host)):
        if time.monotonic() >= deadline:
            raise EraserError(
                f"{step.layer.title} is still there after {' '.join(step.command)}",
                subject=step.layer.node,
                remedy="Somebody has it open: `fuser` names them.",
            )
        time.sleep(guard.SETTLE_STEP_SECONDS)
