from __future__ import annotations

import itertools
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraser.domain.bay import (
    BandwidthDomain,
    Bay,
    BayMap,
    DomainKind,
    Place,
    PlaceKind,
    PlacePattern,
    Position,
    PowerDomain,
    bay_name,
)
from eraser.errors import UsageError


def at(path: str) -> PlacePattern:
    return PlacePattern(PlaceKind.PATH, path)


def bay(name: str, *places: PlacePattern, **more: object) -> Bay:
    return Bay(bay_name(name), places, **more)  # type: ignore[arg-type]


def problems(*bays: Bay, domains: tuple[BandwidthDomain, ...] = (), power: tuple[PowerDomain, ...] = ()) -> list[str]:
    return [f"{'.'.join(map(str, item.where))}: {item.what}" for item in BayMap(bays, domains, power).problems()]


SHORT_TEXTS = ["".join(text) for length in range(7) for text in itertools.product("-0", repeat=length)]


def fits(pattern: str, text: str) -> bool:
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch("".join(parts), text) is not None


@given(st.text("-0*?", min_size=1, max_size=4), st.text("-0*?", min_size=1, max_size=4))
def test_two_patterns_overlap_exactly_when_some_text_fits_both(left: str, right: str) -> None:
    # Two patterns of so few characters that share any text share one of these.
    shared = any(fits(left, text) and fits(right, text) for text in SHORT_TEXTS)
    assert at(left).overlaps(at(right)) == shared
    assert at(right).overlaps(at(left)) == shared


@given(st.text("-0*?", min_size=1, max_size=5), st.text("-0", min_size=1, max_size=6))
def test_a_pattern_matches_what_it_says(pattern: str, text: str) -> None:
    assert at(pattern).matches(Place(path=text)) == fits(pattern, text)


def test_a_place_that_is_not_known_is_matched_by_nothing() -> None:
    for kind, pattern in (
        (PlaceKind.PATH, "*"),
        (PlaceKind.PHY, "0x*:*"),
        (PlaceKind.PCI_SLOT, "*"),
        (PlaceKind.USB_PORT, "*/*"),
    ):
        assert not PlacePattern(kind, pattern).matches(Place())


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        (PlaceKind.PATH, "/dev/disk/by-path/pci-0000:00:17.0-ata-1"),
        (PlaceKind.PATH, 'x", RUN+="reboot'),
        (PlaceKind.PATH, "a|b"),
        (PlaceKind.PATH, "a[0-9]"),
        (PlaceKind.PATH, ""),
        (PlaceKind.PHY, "4"),
        (PlaceKind.PHY, "500056b37789abff:4"),
        (PlaceKind.USB_PORT, "1-1.4"),
        (PlaceKind.PCI_SLOT, "slot 7"),
    ],
)
def test_a_pattern_that_no_place_could_have_is_refused_with_an_example(kind: PlaceKind, pattern: str) -> None:
    with pytest.raises(ValueError, match="one looks like"):
        PlacePattern(kind, pattern)


def test_a_sata_port_goes_by_both_names_that_udev_gives_it() -> None:
    place = Place(path="pci-0000:00:17.0-ata-3.0")
    assert at("pci-0000:00:17.0-ata-3").matches(place)
    assert at("pci-0000:00:17.0-ata-3.0").matches(place)
    assert not at("pci-0000:00:17.0-ata-3").matches(Place(path="pci-0000:00:17.0-ata-33.0"))


def test_two_bays_for_one_slot_are_named_both() -> None:
    one = bay("A1", at("pci-0000:00:17.0-ata-3"))
    two = bay("A2", at("pci-0000:00:17.0-ata-1"), at("pci-0000:00:17.0-ata-*"))
    (problem,) = problems(one, two)
    assert problem.startswith("bays.1.path: bays A1 and A2 match one slot")


@pytest.mark.parametrize(
    ("kind", "pattern", "path", "is_same"),
    [
        (PlaceKind.USB_PORT, "0000:00:14.0/1.4", "pci-0000:00:14.0-usb-0:1.4:1.0-scsi-0:0:0:0", True),
        (PlaceKind.USB_PORT, "0000:00:14.0/1.4", "pci-0000:00:14.0-usb-0:1.5:1.0-*", False),
        (PlaceKind.USB_PORT, "0000:00:14.0/1.4", "platform-soc-pci-0000:00:14.0-usb-0:1.4:1.0-*", True),
        (PlaceKind.USB_PORT, "0000:00:14.0/1.4", "pci-0000:04:00.0-nvme-*", False),
        (PlaceKind.PHY, "0x500056b37789abff:4", "pci-0000:01:00.0-sas-exp0x500056b37789abff-phy4-lun-0", True),
        (PlaceKind.PHY, "0x500056b37789abff:4", "pci-0000:01:00.0-sas-phy6-lun-*", False),
        (PlaceKind.PHY, "pci-0000:01:00.0:6", "pci-0000:01:00.0-sas-phy6-lun-*", True),
        (PlaceKind.PCI_SLOT, "7", "pci-0000:1a:00.0-nvme-1", False),
    ],
)
def test_a_slot_is_recognised_under_another_kind_of_name(
    kind: PlaceKind, pattern: str, path: str, is_same: bool
) -> None:
    assert PlacePattern(kind, pattern).overlaps(at(path)) is is_same
    assert at(path).overlaps(PlacePattern(kind, pattern)) is is_same


def test_a_phy_and_a_port_are_never_one_slot() -> None:
    assert not PlacePattern(PlaceKind.PHY, "0x*:*").overlaps(PlacePattern(PlaceKind.USB_PORT, "*/*"))


def test_a_drive_is_in_the_bay_that_is_there_and_in_no_other() -> None:
    bays = BayMap((bay("A1", at("pci-1-ata-1")), bay("A2", at("pci-1-ata-2"))))
    found = bays.bay_at(Place(path="pci-1-ata-2.0"))
    assert found is not None
    assert found.name == "A2"
    assert bays.bay_at(Place(path="pci-1-ata-3.0")) is None


def test_two_bays_that_turn_out_to_be_one_slot_are_an_error_naming_both() -> None:
    bays = BayMap((bay("A1", at("pci-0000:1a:00.0-nvme-*")), bay("N7", PlacePattern(PlaceKind.PCI_SLOT, "7"))))
    assert list(bays.problems()) == []
    with pytest.raises(UsageError, match="A1 and N7"):
        bays.bay_at(Place(path="pci-0000:1a:00.0-nvme-1", pci_slot="7"))


def test_an_unknown_bay_says_where_to_look() -> None:
    with pytest.raises(UsageError, match="bays list"):
        BayMap().bay("Z9")


def test_two_bays_at_one_position_of_the_picture_are_named_both() -> None:
    here = Position("A", 1, 2)
    (problem,) = problems(bay("A1", at("x"), position=here), bay("A2", at("y"), position=here))
    assert problem == "bays.1.position: bays A1 and A2 are both shown at shelf A, row 1, column 2"


def test_names_are_given_once() -> None:
    assert problems(bay("A1", at("x")), bay("A1", at("y"))) == ["bays.1.name: the name 'A1' is given twice"]
    twice = (BandwidthDomain("d"), BandwidthDomain("d"))
    assert problems(domains=twice) == ["bandwidth_domains.1.name: the name 'd' is given twice"]


def test_a_domain_that_is_not_defined_is_an_error_where_it_is_named() -> None:
    found = problems(bay("A1", at("x"), bandwidth_domains=("hub",), power_domain="psu"))
    assert found == [
        "bays.0.bandwidth_domains: there is no bandwidth domain 'hub'",
        "bays.0.power_domain: there is no power domain 'psu'",
    ]
    assert problems(domains=(BandwidthDomain("d", within="e"),)) == [
        "bandwidth_domains.0.within: there is no bandwidth domain 'e'"
    ]


def test_domains_in_a_circle_are_reported_once_with_the_whole_circle() -> None:
    circle = tuple(BandwidthDomain(name, within=around) for name, around in ("ab", "bc", "ca", "da"))
    (problem,) = problems(domains=circle)
    assert problem.startswith("bandwidth_domains.0.within: the domains a within b within c within a")
    (alone,) = problems(domains=(BandwidthDomain("a", within="a"),))
    assert "a within a" in alone


def test_a_drive_is_in_every_domain_around_its_own() -> None:
    outer = BandwidthDomain("outer", max_bytes_per_second=900)
    inner = BandwidthDomain("inner", max_active_drives=2, within="outer")
    one = bay("A1", at("x"), bandwidth_domains=("inner",), power_domain="psu")
    bays = BayMap((one,), (inner, outer), (PowerDomain("psu", 8.0, 2),))
    shown = BandwidthDomain("usb3-1", DomainKind.USB_HUB, None, 500)
    assert bays.domains_of(one, (shown,)) == (inner, outer, shown)
    assert bays.power_domain_of(one) == PowerDomain("psu", 8.0, 2)


def test_what_is_set_by_hand_goes_before_what_the_machine_says_and_keeps_the_rest() -> None:
    one = bay("A1", at("x"))
    shown = BandwidthDomain("usb3-1", DomainKind.USB_HUB, None, 500, "usb3")
    bays = BayMap((one,), (BandwidthDomain("usb3-1", max_active_drives=4),))
    assert bays.domains_of(one, (shown,)) == (BandwidthDomain("usb3-1", DomainKind.USB_HUB, 4, 500, "usb3"),)


def test_domains_in_a_circle_do_not_hang_whoever_asks() -> None:
    one = bay("A1", at("x"), bandwidth_domains=("a",))
    circle = (BandwidthDomain("a", within="b"), BandwidthDomain("b", within="a"))
    assert BayMap((one,), circle).domains_of(one) == circle


@pytest.mark.parametrize("name", ["", "-a", "a b", "a" * 33, "Bucht-ä", "a\n", "a/b", 'a"'])
def test_a_bays_name_can_be_spoken_and_stand_in_a_metric(name: str) -> None:
    with pytest.raises(ValueError, match="letters"):
        bay_name(name)


@pytest.mark.serial
def test_a_rack_of_96_bays_is_checked_in_no_time() -> None:
    bays = [bay(f"A{n}", at(f"pci-0000:00:17.0-ata-{n}*")) for n in range(1, 10)]
    bays += [bay(f"P{n}", PlacePattern(PlaceKind.PHY, f"0x500056b37789abff:{n}")) for n in range(48)]
    bays += [bay(f"U{n}", PlacePattern(PlaceKind.USB_PORT, f"0000:00:14.0/1.{n}")) for n in range(39)]
    began = time.perf_counter()
    assert problems(*bays) == []
    assert time.perf_counter() - began < 0.5
