from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.cli.command import Command, assert_one_clear_sentence
from tests.lab import MARKER, LoopDrive, count_marker, loop_drive

SIZE_BYTES = 4 << 20


def a_map(folder: Path, **bays: str) -> Path:
    """A configuration with these bays by their paths."""
    path = folder / "eraser.toml"
    path.write_text("".join(f'[[bays]]\nname = "{name}"\npath = "{place}"\n' for name, place in bays.items()))
    return path


def test_a_bay_is_listed_with_the_drive_that_is_in_it(eraser: Command, tmp_path: Path) -> None:
    with loop_drive(SIZE_BYTES) as drive:
        path = str(drive.device)
        config = a_map(tmp_path, A1=f"lab-{drive.name}", A2="pci-0000:00:17.0-ata-63")
        listed = eraser("bays", "list", "--json", "--config", config).lines
        shown = eraser("bays", "list", "--config", config).stdout
    assert [(bay["name"], [item["path"] for item in bay["drives"]]) for bay in listed] == [
        ("A1", [path]),
        ("A2", []),
    ]
    assert "A2           empty" in shown


def test_a_map_with_errors_lists_nothing_and_says_the_first(eraser: Command, tmp_path: Path) -> None:
    config = a_map(tmp_path, A1="pci-0-ata-1", A2="pci-0-ata-*")
    done = eraser("bays", "list", "--config", config)
    assert_one_clear_sentence(done)
    assert "A1 and A2 match one slot" in done.stderr


def test_rules_name_every_bay(eraser: Command, tmp_path: Path) -> None:
    done = eraser("bays", "rules", "--config", a_map(tmp_path, A1="pci-0-ata-1", A2="lab-loop77"))
    assert done.status == 0
    assert 'ENV{ID_PATH}=="pci-0-ata-1.0", ENV{ERASER_BAY}="A1"' in done.stdout
    assert 'KERNEL=="loop77", ENV{ERASER_BAY}="A2"' in done.stdout


def test_a_bay_is_shown_by_reading_its_drive_which_keeps_its_content(eraser: Command, tmp_path: Path) -> None:
    with loop_drive(SIZE_BYTES) as drive:
        done = eraser("bays", "locate", "A1", "--seconds", "0.5", "--config", a_map(tmp_path, A1=f"lab-{drive.name}"))
        assert done.status == 0, done.stderr
        assert done.stdout == "A1: the slot has no light: the drive's own blinks for 0.5 s\n"
        assert count_marker(drive.medium) == SIZE_BYTES // len(MARKER)


def test_an_empty_or_unknown_bay_cannot_be_shown(eraser: Command, tmp_path: Path) -> None:
    config = a_map(tmp_path, A1="pci-0-ata-1")
    empty = eraser("bays", "locate", "A1", "--config", config)
    assert_one_clear_sentence(empty)
    assert "no drive is in it" in empty.stderr
    assert_one_clear_sentence(eraser("bays", "locate", "Z1", "--config", config))


@pytest.mark.parametrize("arguments", [(), ("a b",)])
def test_learning_needs_names_that_bays_can_have(eraser: Command, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert_one_clear_sentence(eraser("bays", "learn", *arguments, "--config", tmp_path / "f.toml"))


def test_bays_are_learned_by_plugging_and_the_rest_of_the_file_stays(tmp_path: Path) -> None:
    config = tmp_path / "eraser.toml"
    config.write_text('# our station\ndata = "/srv/eraser"  # the big disk\n')
    command = [Path(sys.executable).with_name("eraser"), "bays", "learn", "--shelf", "A", "--columns", "1"]
    with loop_drive(SIZE_BYTES) as drive:
        drive.unplug()
        learning = subprocess.Popen(
            [*map(str, command), "--config", str(config)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        try:
            assert learning.stdout is not None
            for line in learning.stdout:
                if line == "A1: plug a drive in.\n":
                    break
            name = plug_in(drive)
            assert learning.stdout.readline() == f"  A1 is at path lab-{name} (/dev/{name}); written to {config}\n"
            assert learning.wait(10) == 0
        finally:
            learning.kill()
            learning.communicate()
    text = config.read_text()
    assert text.startswith('# our station\ndata = "/srv/eraser"  # the big disk\n')
    assert tomllib.loads(text)["bays"] == [
        {"name": "A1", "path": f"lab-{name}", "position": {"shelf": "A", "row": 1, "column": 1}}
    ]


def plug_in(drive: LoopDrive) -> str:
    drive.plug_in()
    return drive.name
