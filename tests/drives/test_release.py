"""Stacks as the kernel shows them, and taking real ones apart. This kernel has loop devices, and no md or dm."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from eraser.domain.release import Layer, LayerKind, Step, plan_release
from eraser.drives import release
from eraser.drives.release import layers_of, plan, take_apart
from eraser.drives.stack import Stack
from eraser.drives.sysfs import BlockDevice, Host
from eraser.errors import EraserError, Refused
from tests.drives import devices
from tests.drives.trees import add_disk, add_partition, host_in
from tests.lab.loop import detach, loop_over

lab = pytest.mark.lab("root", "loop")


def lies_on(upper: BlockDevice, *lowers: BlockDevice) -> None:
    """As the kernel links them, both ways."""
    for lower in lowers:
        for folder, name, target in (
            (upper.directory / "slaves", lower.name, lower),
            (lower.directory / "holders", upper.name, upper),
        ):
            folder.mkdir(exist_ok=True)
            (folder / name).symlink_to(target.directory)


def a_server(folder: Path) -> tuple[Host, dict[str, str]]:
    """Two bays' drives in a firmware RAID under LVM, a third in a multipath device, and the system's own disk."""
    host = host_in(folder)
    sda, sdb, sdc, _ = (
        add_disk(host, f"sd{letter}", f"pci/ata{index}/host{index}/0:0:0:0", {}, number=f"8:{16 * index}")
        for index, letter in enumerate("abcz")
    )
    part = add_partition(host, sda, "sda1", "8:1")
    container = add_disk(host, "md127", "virtual/md127", {"md/metadata_version": "external:imsm"}, number="9:127")
    volume = add_disk(host, "md126", "virtual/md126", {"md/metadata_version": "external:/md127/0"}, number="9:126")
    lies_on(container, part, sdb)
    lies_on(volume, part, sdb)
    lvm = add_disk(host, "dm-0", "virtual/dm-0", {"dm/name": "vg-lv", "dm/uuid": "LVM-abc"}, number="253:0")
    lies_on(lvm, volume)
    paths = add_disk(host, "dm-1", "virtual/dm-1", {"dm/name": "mpatha", "dm/uuid": "mpath-36"}, number="253:1")
    lies_on(paths, sdc)
    return host, {str(host.dev / f"sd{letter}"): f"A{letter}" for letter in "abc"}


def test_the_kernels_picture_becomes_layers_and_a_volume_ends_before_its_container(tmp_path: Path) -> None:
    host, in_bays = a_server(tmp_path)
    layers = list(layers_of(Stack(host), host))
    assert {(Path(layer.node).name, layer.kind) for layer in layers} == {
        ("sda1", LayerKind.PARTITION),
        ("md126", LayerKind.RAID),
        ("md127", LayerKind.RAID),
        ("dm-0", LayerKind.MAPPED),
        ("dm-1", LayerKind.MULTIPATH),
    }
    dev = host.dev
    steps = plan_release([str(dev / "sdb")], layers, in_bays)
    assert [step.command for step in steps] == [
        ("dmsetup", "remove", "vg-lv"),
        ("mdadm", "--stop", str(dev / "md126")),
        ("mdadm", "--stop", str(dev / "md127")),
    ]
    assert steps[0].layer.title == f"the LVM volume vg-lv ({dev / 'dm-0'})"
    (step,) = plan_release([str(dev / "sdc")], layers, in_bays)
    assert step.command == ("multipath", "-f", "mpatha")
    assert plan_release([str(dev / "sdz")], layers, in_bays) == ()


def test_a_bcache_on_a_drive_is_named(tmp_path: Path) -> None:
    host, in_bays = a_server(tmp_path)
    cached = add_disk(host, "bcache0", "virtual/bcache0", {}, number="252:0")
    lies_on(cached, BlockDevice((host.sys / "block/sdc").resolve()))
    with pytest.raises(Refused, match="bcache0"):
        plan_release([str(host.dev / "sdc")], layers_of(Stack(host), host), in_bays)


# ---- real ones


@contextlib.contextmanager
def a_tower(folder: Path) -> Iterator[tuple[Path, Path, Path]]:
    """A drive, a loop device on it, and one on that. What a test took apart is not detached again."""
    image = devices.image(folder)
    with loop_over(image) as drive, loop_over(drive) as middle, loop_over(middle) as top:
        yield drive, middle, top


@lab
def test_a_tower_of_loop_devices_is_taken_apart_from_the_top(tmp_path: Path) -> None:
    with a_tower(tmp_path) as (drive, middle, top):
        in_bays = {str(drive): "A1"}
        found = plan([str(drive)], in_bays)
        assert [step.layer.node for step in found.steps] == [str(top), str(middle)]
        done: list[str] = []
        take_apart(found, in_bays, tell=lambda step: done.append(step.layer.node))
        assert done == [str(top), str(middle)]
        assert plan([str(drive)], in_bays).steps == ()


@lab
def test_a_tower_with_something_mounted_or_open_is_left_as_it_is(tmp_path: Path) -> None:
    with a_tower(tmp_path) as (drive, middle, top):
        with devices.mounted(top, tmp_path / "mount"), pytest.raises(Refused) as caught:
            plan([str(drive)], {str(drive): "A1"})
        assert caught.value.reason == "mounted"
        with devices.opened_by_another(middle), pytest.raises(Refused) as caught:
            plan([str(drive)], {str(drive): "A1"})
        assert caught.value.reason == "open"
        assert len(plan([str(drive)], {str(drive): "A1"}).steps) == 2


@lab
def test_what_has_changed_since_it_was_shown_is_not_taken_apart(tmp_path: Path) -> None:
    with a_tower(tmp_path) as (drive, middle, top):
        in_bays = {str(drive): "A1"}
        shown = plan([str(drive)], in_bays)
        detach(top, middle)
        with pytest.raises(Refused, match="changed meanwhile"):
            take_apart(shown, in_bays)
        assert [step.layer.node for step in plan([str(drive)], in_bays).steps] == [str(middle)]


@lab
def test_another_loop_device_over_the_same_file_is_named_and_not_taken_apart(tmp_path: Path) -> None:
    image = devices.image(tmp_path)
    with loop_over(image) as drive, loop_over(image) as other, pytest.raises(Refused, match=other.name):
        plan([str(drive)], {str(drive): "A1"})


# ---- tools that fail


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (None, "mdadm is not installed here"),
        ("echo 'md0 is still in use' >&2; exit 1", "mdadm --stop /dev/md0 failed (md0 is still in use)"),
        ("exit 3", "status 3"),
        ("exec sleep 60", "has not ended"),
    ],
)
def test_a_tool_that_is_missing_or_fails_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, told: str
) -> None:
    if script is not None:
        tool = tmp_path / "mdadm"
        tool.write_text(f"#!/bin/sh\nPATH=/bin:/usr/bin\n{script}\n")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(release, "TOOL_SECONDS", 0.5)
    layer = Layer("/dev/md0", LayerKind.RAID, "the RAID /dev/md0", frozenset({"/dev/sda"}))
    with pytest.raises(EraserError) as caught:
        release._run(Step(layer, ("mdadm", "--stop", "/dev/md0")))
    assert told in str(caught.value)
