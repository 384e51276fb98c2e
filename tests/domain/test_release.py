"""Taking stacks apart, on made-up pictures: what comes first, and what is left alone."""

import itertools

import pytest

from eraser.domain.release import Layer, LayerKind, plan_release
from eraser.errors import Refused

BAYS = {"/dev/sda": "A1", "/dev/sdb": "A2", "/dev/sdc": "A3"}
"""/dev/sdz is the system's, and in no bay."""


def a_layer(node: str, kind: LayerKind, *below: str, name: str = "") -> Layer:
    return Layer(node, kind, f"the thing {node}", frozenset(below), name)


PARTS = [a_layer(f"{disk}1", LayerKind.PARTITION, disk) for disk in (*BAYS, "/dev/sdz")]
RAID = a_layer("/dev/md0", LayerKind.RAID, "/dev/sda1", "/dev/sdb1")


def commands(*layers: Layer, disks: tuple[str, ...] = ("/dev/sda",)) -> list[tuple[str, ...]]:
    return [step.command for step in plan_release(disks, [*PARTS, *layers], BAYS)]


def refusal(*layers: Layer, disks: tuple[str, ...] = ("/dev/sda",)) -> Refused:
    with pytest.raises(Refused) as caught:
        plan_release(disks, [*PARTS, *layers], BAYS)
    return caught.value


def test_a_drive_with_partitions_alone_needs_nothing() -> None:
    assert commands() == []


@pytest.mark.parametrize(
    ("layer", "command"),
    [
        (RAID, ("mdadm", "--stop", "/dev/md0")),
        (a_layer("/dev/dm-0", LayerKind.MAPPED, "/dev/sda", name="vg-lv"), ("dmsetup", "remove", "vg-lv")),
        (a_layer("/dev/dm-1", LayerKind.MULTIPATH, "/dev/sda", name="mpatha"), ("multipath", "-f", "mpatha")),
        (a_layer("/dev/loop9", LayerKind.LOOP, "/dev/sda1"), ("losetup", "--detach", "/dev/loop9")),
    ],
)
def test_each_kind_is_taken_apart_by_its_own_tool(layer: Layer, command: tuple[str, ...]) -> None:
    assert commands(layer) == [command]


def test_what_lies_on_top_goes_first_in_whatever_order_the_picture_is_told() -> None:
    top = a_layer("/dev/dm-1", LayerKind.MAPPED, "/dev/dm-0", name="crypt")
    middle = a_layer("/dev/dm-0", LayerKind.MAPPED, "/dev/md0p1", "/dev/sdc", name="vg-lv")
    part = a_layer("/dev/md0p1", LayerKind.PARTITION, "/dev/md0")
    for layers in itertools.permutations([RAID, part, middle, top]):
        assert commands(*layers) == [
            ("dmsetup", "remove", "crypt"),
            ("dmsetup", "remove", "vg-lv"),
            ("mdadm", "--stop", "/dev/md0"),
        ]


def test_a_stack_over_several_bays_is_taken_apart_by_any_of_them() -> None:
    for disk in ("/dev/sda", "/dev/sdb"):
        assert commands(RAID, disks=(disk,)) == [("mdadm", "--stop", "/dev/md0")]
    assert commands(RAID, disks=("/dev/sda", "/dev/sdb")) == [("mdadm", "--stop", "/dev/md0")]


def test_what_lies_on_other_drives_is_left_alone() -> None:
    other = a_layer("/dev/md1", LayerKind.RAID, "/dev/sdc1")
    system = a_layer("/dev/md2", LayerKind.RAID, "/dev/sdz1")
    assert commands(RAID, other, system) == [("mdadm", "--stop", "/dev/md0")]
    assert commands(other, system) == []


@pytest.mark.parametrize("disks", [("/dev/sda",), ("/dev/sda", "/dev/sdc")])
def test_a_stack_that_reaches_a_disk_outside_the_bays_is_never_touched(disks: tuple[str, ...]) -> None:
    mirror = a_layer("/dev/md0", LayerKind.RAID, "/dev/sda1", "/dev/sdz1")
    volume = a_layer("/dev/dm-0", LayerKind.MAPPED, "/dev/md0", name="root")
    harmless = a_layer("/dev/loop9", LayerKind.LOOP, "/dev/sda1")
    refused = refusal(mirror, volume, harmless, disks=disks)
    assert refused.reason == "outside-bays" and "/dev/sdz" in refused.what and "bay A1" in refused.subject


def test_a_layer_far_above_that_reaches_outside_keeps_everything_below_it() -> None:
    volume = a_layer("/dev/dm-0", LayerKind.MAPPED, "/dev/md0", name="vg-lv")
    span = a_layer("/dev/dm-1", LayerKind.MAPPED, "/dev/dm-0", "/dev/sdz1", name="span")
    assert "/dev/sdz" in refusal(RAID, volume, span).what


def test_a_layer_that_nobody_here_can_take_apart_is_named_and_keeps_the_rest() -> None:
    cached = a_layer("/dev/bcache0", LayerKind.BCACHE, "/dev/md0", "/dev/sdc")
    refused = refusal(RAID, cached)
    assert refused.reason == "by-hand" and "/dev/bcache0" in refused.what and "bcache/stop" in refused.remedy
    assert refusal(a_layer("/dev/drbd0", LayerKind.OTHER, "/dev/sda")).reason == "by-hand"


def test_a_drive_of_a_bay_that_itself_lies_on_something_is_where_looking_ends() -> None:
    """Drives of the lab are loop devices over files on the system's disk."""
    drive = a_layer("/dev/sda", LayerKind.LOOP, "/dev/sdz1")
    assert commands(drive, RAID) == [("mdadm", "--stop", "/dev/md0")]


def test_a_file_that_may_not_be_asked_is_outside() -> None:
    striped = a_layer("/dev/dm-0", LayerKind.MAPPED, "/dev/sda1", "/dev/loop9", name="x")
    loop = a_layer("/dev/loop9", LayerKind.LOOP, "/mnt/server/file")
    assert "/mnt/server/file" in refusal(striped, loop).what


def test_a_circle_comes_to_an_end() -> None:
    one = a_layer("/dev/dm-0", LayerKind.MAPPED, "/dev/dm-1", "/dev/sda", name="one")
    other = a_layer("/dev/dm-1", LayerKind.MAPPED, "/dev/dm-0", name="other")
    assert len(commands(one, other)) == 2
