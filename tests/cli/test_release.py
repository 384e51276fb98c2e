"""`eraser release`: it says what it takes apart, asks, and leaves alone what is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import Command, assert_one_clear_sentence
from tests.cli.test_bays import a_map
from tests.drives import devices
from tests.drives.test_release import a_tower

pytestmark = pytest.mark.lab("root", "loop", "mkfs.ext4")


def test_a_stack_is_named_and_taken_apart_only_after_a_yes(eraser: Command, tmp_path: Path) -> None:
    with a_tower(tmp_path) as (drive, middle, top):
        config = a_map(tmp_path, A1=f"lab-{drive.name}")
        asked = eraser("release", "A1", "--config", config)
        assert asked.status == 2
        assert asked.stdout.splitlines()[:2] == [
            f"the loop device {top}: losetup --detach {top}",
            f"the loop device {middle}: losetup --detach {middle}",
        ]
        done = eraser("release", "A1", "--config", config, "--yes", "--json")
        assert done.status == 0, done.stderr
        assert [(line["device"], line["done"]) for line in done.lines] == [(str(top), True), (str(middle), True)]
        again = eraser("release", "A1", "--config", config)
        assert (again.status, again.stdout) == (0, "Nothing lies on the drives there.\n")


def test_what_is_mounted_stays(eraser: Command, tmp_path: Path) -> None:
    with a_tower(tmp_path) as (drive, _, top), devices.mounted(top, tmp_path / "mount"):
        done = eraser("release", "A1", "--yes", "--config", a_map(tmp_path, A1=f"lab-{drive.name}"))
        assert_one_clear_sentence(done, 3)
        assert "mounted" in done.stderr


def test_an_empty_or_unknown_bay_has_nothing_to_release(eraser: Command, tmp_path: Path) -> None:
    config = a_map(tmp_path, A1="pci-0-ata-1")
    for bay in ("A1", "Z9"):
        assert_one_clear_sentence(eraser("release", bay, "--yes", "--config", config))
