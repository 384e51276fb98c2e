"""The rules as udev reads them: a strict reader of its grammar, and its semantics run over drives.

udev 252 itself (`udevadm test`, over the trees of racks.py and Debian's rules of mdadm, LVM, multipath, bcache and btrfs)
gave the same: in a bay neither multipath -u nor blkid nor probe-bcache is run, outside all three are.
"""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

import pytest

from eraser.domain.bay import Bay, BayMap, PlaceKind, PlacePattern, bay_name
from eraser.drives.place import pci_slots, place_of
from eraser.drives.udev_rules import rules
from tests.drives.racks import rack

_TERM = re.compile(r'([A-Z]+)(?:\{([^}"]+)\})?(==|!=|\+=|:=|-=|=)"([^"]*)"')
_MATCHES = {"ACTION", "SUBSYSTEM", "SUBSYSTEMS", "KERNEL", "DEVPATH", "ENV"}
_ASSIGNS = {"ENV", "IMPORT", "OPTIONS", "GOTO", "LABEL"}
Term = tuple[str, str, str, str]


def parse(text: str) -> list[list[Term]]:
    """The rules as terms. Raises AssertionError for whatever udev would refuse or silently ignore."""
    found = []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        terms: list[Term] = []
        rest = line
        while rest:
            term = _TERM.match(rest)
            assert term, f"no rule: {line}"
            key, attribute, operator, value = term[1], term[2] or "", term[3], term[4]
            assert key in (_MATCHES if operator in ("==", "!=") else _ASSIGNS), line
            terms.append((key, attribute, operator, value))
            rest = rest[term.end() :]
            if rest:
                assert rest.startswith(", "), f"no comma: {line}"
                rest = rest[2:]
        found.append(terms)
    labels = [value for terms in found for key, _, _, value in terms if key == "LABEL"]
    jumps = [value for terms in found for key, _, _, value in terms if key == "GOTO"]
    assert sorted(set(labels)) == sorted(set(jumps))
    assert len(labels) == len(set(labels))
    return found


def run(text: str, device: dict[str, str], parent: dict[str, str] | None = None) -> dict[str, str]:
    """The properties that the rules give a device: `device` has KERNEL, ACTION, DEVTYPE, DEVPATH and what path_id says."""
    environment = {"DEVTYPE": device["DEVTYPE"]}
    fixed = {"SUBSYSTEM": "block", "SUBSYSTEMS": "pci", **device}
    skip_to = ""
    for terms in parse(text):
        if skip_to:
            skip_to = "" if ("LABEL", "", "=", skip_to) in terms else skip_to
            continue
        for key, attribute, operator, value in terms:
            if operator in ("==", "!="):
                actual = environment.get(attribute, "") if key == "ENV" else fixed.get(key, "")
                if any(fnmatch.fnmatchcase(actual, one) for one in value.split("|")) != (operator == "=="):
                    break
            elif key == "GOTO":
                skip_to = value
            elif key == "IMPORT" and (attribute, value) == ("builtin", "path_id"):
                environment |= {"ID_PATH": device["ID_PATH"]} if "ID_PATH" in device else {}
            elif key == "IMPORT":
                assert attribute == "parent"
                environment |= {name: text for name, text in (parent or {}).items() if name == value}
            elif key == "ENV":
                environment[attribute] = value
            elif key == "OPTIONS":
                environment["OPTIONS"] = value
    return environment


KEPT_OFF = {
    "UDISKS_IGNORE": "1",
    "UDISKS_AUTO": "0",
    "SYSTEMD_READY": "0",
    "UDEV_DISABLE_PERSISTENT_STORAGE_BLKID_FLAG": "1",
    "DM_UDEV_DISABLE_OTHER_RULES_FLAG": "1",
    "nompath": "1",
    "OPTIONS": "nowatch",
}


@pytest.fixture
def learned(tmp_path: Path) -> tuple[str, dict[str, dict[str, str]]]:
    """Rules for a bay at every place of the rack but one, and what udev would know of the drives in them."""
    machine, drives = rack(tmp_path)
    bays, devices = [], {}
    for name, drive in drives.items():
        place = place_of(drive, machine.host)
        assert place.steadiest
        if name != "raid":
            bays.append(Bay(bay_name(name.replace(" ", "-")), (PlacePattern(*place.steadiest),)))
        path = "/devices/" + str(drive.directory).partition("/sys/devices/")[2]
        device = {"KERNEL": drive.name, "ACTION": "add", "DEVTYPE": "disk", "DEVPATH": path}
        if "nvme-subsystem" in path:
            device["SUBSYSTEMS"] = "nvme-subsystem"
        devices[name] = device if place.path.startswith("lab-") else {**device, "ID_PATH": place.path}
    return rules(BayMap(tuple(bays)), pci_slots(machine.host)), devices


def test_every_drive_in_a_bay_is_kept_off_and_knows_its_bay(
    learned: tuple[str, dict[str, dict[str, str]]],
) -> None:
    text, devices = learned
    # udev names a wide SAS port by the drive in it: no rule can tell the slot by that.
    for name, device in devices.items():
        found = run(text, device)
        if name in ("raid", "wide"):
            assert "ERASER_BAY" not in found
            assert not KEPT_OFF.keys() & found.keys()
        else:
            assert found["ERASER_BAY"] == name.replace(" ", "-")
            assert KEPT_OFF.items() <= found.items()


def test_a_partition_is_kept_off_with_its_drive(learned: tuple[str, dict[str, dict[str, str]]]) -> None:
    text, devices = learned
    part = {**devices["sata"], "KERNEL": "sda1", "DEVTYPE": "partition"}
    assert KEPT_OFF.items() <= run(text, part, {"ERASER_BAY": "sata"}).items()
    assert "SYSTEMD_READY" not in run(text, part, {"ID_SERIAL": "x"})


def test_other_devices_and_removals_are_left_alone(learned: tuple[str, dict[str, dict[str, str]]]) -> None:
    text, devices = learned
    assert run(text, {**devices["sata"], "ACTION": "remove"}) == {"DEVTYPE": "disk"}
    assert run(text, {**devices["sata"], "SUBSYSTEM": "net"}) == {"DEVTYPE": "disk"}


def test_a_slot_that_this_machine_lacks_is_said_and_breaks_nothing() -> None:
    text = rules(BayMap((Bay(bay_name("C1"), (PlacePattern(PlaceKind.PCI_SLOT, "7"),)),)), {})
    parse(text)
    assert "# C1: there is no PCIe slot 7 on this machine" in text


def test_a_slots_whole_number_is_meant() -> None:
    bays = BayMap((Bay(bay_name("C1"), (PlacePattern(PlaceKind.PCI_SLOT, "7"),)),))
    text = rules(bays, {"7": "0000:1a:00", "17": "0000:2a:00"})
    assert '"pci-0000:1a:00.*-nvme-*"' in text
    assert "2a" not in text


def test_the_reader_of_this_test_refuses_what_udev_would() -> None:
    for wrong in ('ENV{X}=="1" ENV{Y}="2"', 'KERNEL="sda"', 'GOTO="nowhere"', 'ENV{X}=="1', "x"):
        with pytest.raises(AssertionError):
            parse(wrong)
