from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from eraser.cli.config import example_text
from eraser.configuration.reading import ConfigurationError, parse
from eraser.configuration.writing import with_bay, write_bay, write_checked
from eraser.domain.bay import PlaceKind, PlacePattern, Position, bay_name
from eraser.errors import UsageError

PORT = PlacePattern(PlaceKind.USB_PORT, "0000:00:14.0/9")


def test_a_new_bay_is_added_and_no_other_line_changes() -> None:
    before = example_text()
    after = with_bay(before, bay_name("E1"), PORT, Position("E", 1, 2))
    old, new = before.splitlines(), after.splitlines()
    assert [line for line in old if line not in new] == []
    assert [line for line in new if line not in old] == [
        'name = "E1"',
        'usb_port = "0000:00:14.0/9"',
        'position = {shelf = "E", row = 1, column = 2}',
    ]
    assert parse(after, "f", {}).bays[-1].name == "E1"


def test_a_known_bay_moves_and_keeps_what_else_was_said_of_it() -> None:
    after = with_bay(example_text(), bay_name("A2"), PORT)
    bays = {bay["name"]: bay for bay in tomllib.loads(after)["bays"]}
    assert bays["A2"] == {
        "name": "A2",
        "usb_port": PORT.pattern,
        "position": {"shelf": "A", "row": 1, "column": 2},
        "power_domain": "shelf-A",
    }
    assert list(bays) == ["A1", "A2", "B1", "C1", "D1"]


def test_an_empty_file_gets_its_first_bays() -> None:
    text = with_bay("", bay_name("A1"), PORT)
    text = with_bay(text, bay_name("A2"), PlacePattern(PlaceKind.PCI_SLOT, "7"))
    assert [(bay.name, bay.usb_port, bay.pci_slot) for bay in parse(text, "f", {}).bays] == [
        ("A1", (PORT.pattern,), ()),
        ("A2", (), ("7",)),
    ]


def test_bays_are_added_behind_those_that_are_there_wherever_these_stand() -> None:
    first = '[[bays]]\nname = "A1"\npci_slot = "1"\n'
    second = '[[bays]]\nname = "A2"\npci_slot = "2"'
    for text in (first + second, first + '[lots]\nstart = "ask"\n' + second + "\n[http]"):
        added = with_bay(text, bay_name("A3"), PORT)
        assert [bay.name for bay in parse(added, "f", {}).bays] == ["A1", "A2", "A3"]
        assert parse(added, "f", {}).lots.start == "ask"


def test_a_text_that_is_no_toml_is_refused_in_words() -> None:
    with pytest.raises(UsageError, match="config check"):
        with_bay("[[bays", bay_name("A1"), PORT)


def test_bays_written_as_one_array_are_left_alone() -> None:
    with pytest.raises(UsageError, match=r"\[\[bays\]\]"):
        with_bay('bays = [{name = "A1", pci_slot = "1"}]\n', bay_name("A2"), PORT)


def test_the_file_keeps_its_owner_its_mode_and_the_link_that_leads_to_it(tmp_path: Path) -> None:
    real = tmp_path / "real.toml"
    real.write_text("# ours\n")
    real.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(real, 1234, 2345)
    link = tmp_path / "link.toml"
    link.symlink_to(real)
    before = real.stat()
    write_bay(link, bay_name("A1"), PORT, None, {})
    after = real.stat()
    assert link.is_symlink()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert real.read_text().startswith("# ours\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.toml", "real.toml"]


def test_a_text_that_would_not_be_read_again_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text("# good\n")
    with pytest.raises(ConfigurationError):
        write_checked(path, "data = 3\n", {})
    assert path.read_text() == "# good\n"
    assert [item.name for item in tmp_path.iterdir()] == ["f.toml"]


def test_a_folder_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        write_bay(tmp_path / "no" / "f.toml", bay_name("A1"), PORT, None, {})
