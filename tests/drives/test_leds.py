from __future__ import annotations

from pathlib import Path

import pytest

from eraser.drives.leds import SlotLight, light_of
from eraser.errors import DriveError
from tests.drives.racks import link, rack
from tests.drives.trees import write


def test_a_drive_in_a_scsi_enclosure_has_its_slots_light(tmp_path: Path) -> None:
    machine, drives = rack(tmp_path)
    enclosure = machine.host.sys / "class/enclosure/0:0:20:0"
    for slot, name in (("Slot 01", "sas"), ("Slot 02", "expander")):
        write(enclosure / slot, {"locate": "0"})
        link(enclosure / slot / "device", (drives[name].directory / "device").resolve())
    write(enclosure / "Slot 03", {"locate": "0"})
    light = light_of(drives["expander"], machine.host)
    assert light is not None
    light.switch(on=True)
    assert [(enclosure / f"Slot 0{n}" / "locate").read_text().strip() for n in (1, 2, 3)] == ["0", "1", "0"]
    light.switch(on=False)
    assert (enclosure / "Slot 02/locate").read_text() == "0"


def test_an_nvme_drive_has_the_light_of_the_port_that_it_is_behind(tmp_path: Path) -> None:
    machine, drives = rack(tmp_path)
    leds = machine.host.sys / "class/leds"
    write(leds / "0000:18:01.0:enclosure:locate", {"brightness": "0"})
    write(leds / "0000:00:1d.0:enclosure:locate", {"brightness": "0"})
    light = light_of(drives["switched"], machine.host)
    assert light == SlotLight("NPEM", leds / "0000:18:01.0:enclosure:locate/brightness", "1", "0")


def test_a_hot_plug_slot_has_an_attention_indicator(tmp_path: Path) -> None:
    machine, drives = rack(tmp_path)
    write(machine.host.sys / "bus/pci/slots/7", {"attention": "0"})
    light = light_of(drives["switched"], machine.host)
    assert light is not None
    assert light.file == machine.host.sys / "bus/pci/slots/7/attention"


def test_a_drive_without_a_light_has_none(tmp_path: Path) -> None:
    machine, drives = rack(tmp_path)
    assert [name for name, drive in drives.items() if light_of(drive, machine.host)] == []


def test_a_light_that_refuses_says_so(tmp_path: Path) -> None:
    with pytest.raises(DriveError, match="cannot be switched"):
        SlotLight("SES", tmp_path / "gone" / "locate", "1", "0").switch(on=True)
