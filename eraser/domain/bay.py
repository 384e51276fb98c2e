"""Bays: the slots of a rack, known by where they are and not by what the kernel calls the drive in them today.

A drive's `Place` is what the machine says of where it sits (`eraser.drives.place` finds it out); a bay names patterns
of places; the map says which bay a place is. Domains are what bays share: a hub's or an adapter's bandwidth, the current
that spinning up takes.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations
from typing import NewType

from eraser.errors import UsageError

BayName = NewType("BayName", str)
"""1 to 32 letters, digits, `.`, `_` and `-`: it is spoken, printed on labels and stands in metrics."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")

Where = tuple[str | int, ...]
"""A place in the configuration, such as `("bays", 3, "usb_port")`: the fourth bay's key."""


def bay_name(text: str) -> BayName:
    """A bay's name. Raises ValueError with what is asked of one."""
    if not _NAME.fullmatch(text):
        raise ValueError("a name has 1 to 32 letters, digits, '.', '_' or '-' and begins with a letter or digit")
    return BayName(text)


class PlaceKind(StrEnum):
    """What a slot is told by; each is also the key of a bay in the configuration."""

    PATH = "path"
    """The path of buses as udev's /dev/disk/by-path names it: `pci-0000:00:17.0-ata-3.0`, or `-ata-3` for short."""
    PHY = "phy"
    """A SAS phy, by whose it is: `0x500056b37789abff:4` of an expander, `pci-0000:01:00.0:4` of an adapter."""
    PCI_SLOT = "pci_slot"
    """The number that the machine's maker gave a PCIe slot (/sys/bus/pci/slots): an NVMe bay's."""
    USB_PORT = "usb_port"
    """A chain of hub ports behind a controller: `0000:00:14.0/1.4`. The same for USB 2 and 3 where ports are paired."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a drive sits, as far as the machine says; empty where it has nothing of that kind."""

    path: str = ""
    phy: str = ""
    pci_slot: str = ""
    usb_port: str = ""

    def of(self, kind: PlaceKind) -> str:
        """What it is by this kind."""
        return str(getattr(self, kind.value))

    @property
    def steadiest(self) -> tuple[PlaceKind, str] | None:
        """What to know the slot by: what keeps its value when a card is added or a drive answers otherwise.

        The path has the logical unit or namespace at its end, which the slot is not: it is the last choice.
        """
        for kind in (PlaceKind.PHY, PlaceKind.PCI_SLOT, PlaceKind.USB_PORT, PlaceKind.PATH):
            if value := self.of(kind):
                return kind, value
        return None


_PATTERN = {
    PlaceKind.PATH: re.compile(r"[A-Za-z0-9:._*?-]+"),
    PlaceKind.PHY: re.compile(r"(0x[0-9a-f*?]+|pci-[0-9a-f:.*?]+):[0-9*?]+"),
    PlaceKind.PCI_SLOT: re.compile(r"[A-Za-z0-9._*?-]+"),
    PlaceKind.USB_PORT: re.compile(r"[0-9a-f:.*?]+/[0-9.*?]+"),
}
_SHORT_ATA = re.compile(r"-ata-[0-9]+$")
_EXAMPLE = {
    PlaceKind.PATH: "pci-0000:00:17.0-ata-3",
    PlaceKind.PHY: "0x500056b37789abff:4",
    PlaceKind.PCI_SLOT: "7",
    PlaceKind.USB_PORT: "0000:00:14.0/1.4",
}


@dataclass(frozen=True, slots=True)
class PlacePattern:
    """Places by one kind: the text itself, `*` for any run of characters, `?` for any one."""

    kind: PlaceKind
    pattern: str

    def __post_init__(self) -> None:
        """Raises ValueError with an example when no place of the kind could match."""
        if not _PATTERN[self.kind].fullmatch(self.pattern):
            raise ValueError(f"{self.pattern!r} is no {self.kind.value}; one looks like {_EXAMPLE[self.kind]!r}")

    def matches(self, place: Place) -> bool:
        """Whether the place is one of these."""
        value = place.of(self.kind)
        return bool(value) and _overlap(self._in_full, value)

    def overlaps(self, other: "PlacePattern") -> bool:
        """Whether some place could be one of both. Compared as paths where only one of them is a path."""
        if self.kind is other.kind:
            return _overlap(self._in_full, other._in_full)
        if PlaceKind.PATH not in (self.kind, other.kind):
            return False  # no drive is at a SAS phy and a USB port
        return any(_overlap(mine, theirs) for mine in self.paths() for theirs in other.paths())

    def paths(self) -> tuple[str, ...]:
        """The same as patterns of paths; none where that depends on the machine (a PCIe slot's address).

        Source: systemd 252, udev-builtin-path_id.c, gives the forms of SAS and USB paths; on some boards the name of a
        platform device goes before the adapter's. Wildcards are as narrow as can be, so that no two slots seem one.
        """
        match self.kind:
            case PlaceKind.PATH:
                return (self._in_full,)
            case PlaceKind.PHY:
                owner, _, phy = self.pattern.rpartition(":")
                if owner.startswith("pci-"):
                    return _on_any_board(f"{owner}-sas-phy{phy}-lun-*")
                return _on_any_board(f"pci-????:??:??.?-sas-exp{owner}-phy{phy}-lun-*")
            case PlaceKind.USB_PORT:
                controller, _, ports = self.pattern.partition("/")
                return _on_any_board(f"pci-{controller}-usb-0:{ports}:*")
            case PlaceKind.PCI_SLOT:
                return ()

    @property
    def _in_full(self) -> str:
        # udev gives a SATA drive two links, with and without the number of the device at its port.
        return f"{self.pattern}.0" if self.kind is PlaceKind.PATH and _SHORT_ATA.search(self.pattern) else self.pattern

    def __str__(self) -> str:
        return f"{self.kind.value} {self.pattern}"


def _on_any_board(path: str) -> tuple[str, ...]:
    return (path, f"platform-*-{path}")


def _overlap(left: str, right: str) -> bool:
    """Whether some text fits both patterns. A text without wildcards is the pattern of itself."""
    if _differ_before_wildcards(left, right) or _differ_before_wildcards(left[::-1], right[::-1]):
        return False  # nearly always: it spares the table below
    # reach[j]: the rest of `left` seen so far and right[j:] can still spell the same text.
    columns = len(right)
    reach = [False] * columns + [True]
    for j in range(columns - 1, -1, -1):
        reach[j] = right[j] == "*" and reach[j + 1]
    for mine in reversed(left):
        row = [False] * columns + [mine == "*" and reach[columns]]
        for j in range(columns - 1, -1, -1):
            theirs = right[j]
            if mine == "*" or theirs == "*":
                row[j] = (mine == "*" and (reach[j] or row[j + 1])) or (theirs == "*" and (row[j + 1] or reach[j]))
            else:
                row[j] = (mine == theirs or "?" in (mine, theirs)) and reach[j + 1]
        reach = row
    return reach[0]


def _differ_before_wildcards(left: str, right: str) -> bool:
    for mine, theirs in zip(left, right, strict=False):
        if mine == "*" or theirs == "*":
            return False
        if mine != theirs and "?" not in (mine, theirs):
            return True
    return "*" not in left and "*" not in right and len(left) != len(right)


@dataclass(frozen=True, slots=True)
class Position:
    """Where the picture of the rack shows a bay: row and column count from 1, from the top left of its shelf."""

    shelf: str
    row: int
    column: int

    def __str__(self) -> str:
        return f"shelf {self.shelf}, row {self.row}, column {self.column}"


class DomainKind(StrEnum):
    """What bays share."""

    USB_HUB = "usb-hub"
    HBA = "hba"
    EXPANDER = "expander"
    PCIE_LINK = "pcie-link"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class BandwidthDomain:
    """Something that several drives' bytes go through. None is no limit; `within` names the next one further out."""

    name: str
    kind: DomainKind = DomainKind.MANUAL
    max_active_drives: int | None = None
    max_bytes_per_second: int | None = None
    within: str = ""


@dataclass(frozen=True, slots=True)
class PowerDomain:
    """Drives on one supply: at most `max_spinning_up` of them start within each `stagger_seconds`."""

    name: str
    stagger_seconds: float = 0.0
    max_spinning_up: int = 1


@dataclass(frozen=True, slots=True)
class Bay:
    """One slot. It is where any of its places is."""

    name: BayName
    places: tuple[PlacePattern, ...]
    position: Position | None = None
    bandwidth_domains: tuple[str, ...] = ()
    power_domain: str = ""


@dataclass(frozen=True, slots=True)
class MapProblem:
    """What is wrong with a map, where in the configuration, and what to do about it."""

    where: Where
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class BayMap:
    """All bays of a station, with what they share. `problems` must be none before the rest is used."""

    bays: tuple[Bay, ...] = ()
    bandwidth_domains: tuple[BandwidthDomain, ...] = ()
    power_domains: tuple[PowerDomain, ...] = ()

    def bay_at(self, place: Place) -> Bay | None:
        """The bay that is at this place, None where none is. Raises UsageError naming both when two are.

        Patterns of different kinds may turn out to be one slot only when a drive is in it.
        """
        found = [bay for bay in self.bays if any(pattern.matches(place) for pattern in bay.places)]
        if len(found) > 1:
            raise UsageError(
                f"bays {found[0].name} and {found[1].name} are both at {place.path or place}",
                subject=f"bay {found[0].name}",
                remedy="Narrow the place of one of them; `eraser bays learn` measures it.",
            )
        return found[0] if found else None

    def bay(self, name: str) -> Bay:
        """The bay of that name. Raises UsageError when there is none."""
        for bay in self.bays:
            if bay.name == name:
                return bay
        raise UsageError(f"there is no bay {name!r}", remedy="`eraser bays list` shows them all.")

    def domains_of(self, bay: Bay, found: Sequence[BandwidthDomain] = ()) -> tuple[BandwidthDomain, ...]:
        """Every bandwidth domain that the bay's drive is in, each once: those set by hand, then those the machine shows.

        What is set by hand for a domain that the machine shows (the same name) goes before what the machine says.
        """
        by_hand = {domain.name: domain for domain in self.bandwidth_domains}
        result: dict[str, BandwidthDomain] = {}
        for name in bay.bandwidth_domains:
            for domain in _outwards(name, by_hand):
                result.setdefault(domain.name, domain)
        for shown in found:
            merged = _set_by_hand(shown, by_hand[shown.name]) if shown.name in by_hand else shown
            result[shown.name] = merged
            for domain in _outwards(merged.within, by_hand):
                result.setdefault(domain.name, domain)
        return tuple(result.values())

    def power_domain_of(self, bay: Bay) -> PowerDomain | None:
        """The bay's power domain, None where it has none."""
        return next((domain for domain in self.power_domains if domain.name == bay.power_domain), None)

    def problems(self) -> Iterator[MapProblem]:
        """Everything that is wrong with the map, each with its place."""
        yield from _repeated_names("bays", [bay.name for bay in self.bays])
        yield from _repeated_names("bandwidth_domains", [domain.name for domain in self.bandwidth_domains])
        yield from _repeated_names("power_domains", [domain.name for domain in self.power_domains])
        yield from self._shared_slots()
        yield from self._shared_positions()
        yield from self._unknown_domains()
        yield from self._cycles()

    def _shared_slots(self) -> Iterator[MapProblem]:
        for (_, first), (later, second) in combinations(enumerate(self.bays), 2):
            pairs = ((one, other) for one in first.places for other in second.places if one.overlaps(other))
            for one, other in pairs:
                yield MapProblem(
                    ("bays", later, other.kind.value),
                    f"bays {first.name} and {second.name} match one slot ({one}; {other})",
                    "Narrow one of the two patterns, or remove one of the bays.",
                )
                break

    def _shared_positions(self) -> Iterator[MapProblem]:
        seen: dict[Position, Bay] = {}
        for index, bay in enumerate(self.bays):
            if bay.position is None:
                continue
            other = seen.setdefault(bay.position, bay)
            if other is not bay:
                yield MapProblem(
                    ("bays", index, "position"),
                    f"bays {other.name} and {bay.name} are both shown at {bay.position}",
                    "Give one of them another row or column.",
                )

    def _unknown_domains(self) -> Iterator[MapProblem]:
        power = {domain.name for domain in self.power_domains}
        bandwidth = {domain.name for domain in self.bandwidth_domains}
        for index, bay in enumerate(self.bays):
            for name in bay.bandwidth_domains:
                if name not in bandwidth:
                    where = ("bays", index, "bandwidth_domains")
                    yield MapProblem(where, *_unknown("bandwidth domain", name, bandwidth))
            if bay.power_domain and bay.power_domain not in power:
                where = ("bays", index, "power_domain")
                yield MapProblem(where, *_unknown("power domain", bay.power_domain, power))
        for index, domain in enumerate(self.bandwidth_domains):
            if domain.within and domain.within not in bandwidth:
                where = ("bandwidth_domains", index, "within")
                yield MapProblem(where, *_unknown("bandwidth domain", domain.within, bandwidth))

    def _cycles(self) -> Iterator[MapProblem]:
        by_name = {domain.name: domain for domain in self.bandwidth_domains}
        reported: set[str] = set()
        for index, domain in enumerate(self.bandwidth_domains):
            chain = [item.name for item in _outwards(domain.name, by_name)]
            last = by_name[chain[-1]]
            if last.within == domain.name and not reported.intersection(chain):
                reported.update(chain)
                yield MapProblem(
                    ("bandwidth_domains", index, "within"),
                    f"the domains {' within '.join([*chain, domain.name])}: none of them is the outermost",
                    "Take `within` away from the one that encloses the others.",
                )


def _outwards(name: str, by_name: Mapping[str, BandwidthDomain]) -> Iterator[BandwidthDomain]:
    """The domain of that name and those around it, from inside out; each once, also in a circle."""
    seen: set[str] = set()
    while name in by_name and name not in seen:
        seen.add(name)
        yield by_name[name]
        name = by_name[name].within


def _set_by_hand(shown: BandwidthDomain, by_hand: BandwidthDomain) -> BandwidthDomain:
    return replace(
        shown,
        max_active_drives=by_hand.max_active_drives or shown.max_active_drives,
        max_bytes_per_second=by_hand.max_bytes_per_second or shown.max_bytes_per_second,
        within=by_hand.within or shown.within,
    )


def _repeated_names(table: str, names: Sequence[str]) -> Iterator[MapProblem]:
    for index, name in enumerate(names):
        if name in names[:index]:
            where = (table, index, "name")
            yield MapProblem(where, f"the name {name!r} is given twice", "Give each its own name.")


def _unknown(kind: str, name: str, known: set[str]) -> tuple[str, str]:
    listed = f"Known are: {', '.join(sorted(known))}." if known else f"No {kind} is defined."
    return f"there is no {kind} {name!r}", f"{listed} Define it, or name another."
