"""Parts of a drive: which bytes a fault or a lie is about. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Piece(NamedTuple):
    """A run of bytes, [start, stop), that lies wholly inside a region or wholly outside it."""

    start: int
    stop: int
    inside: bool


class Geometry(Protocol):
    """The sizes of a drive, in bytes."""

    size_bytes: int
    sector_bytes: int


class Region(Protocol):
    """A set of bytes of a drive."""

    def spans(self, drive: Geometry, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """The region's non-empty runs within [start, stop), ascending, not overlapping."""
        ...


def split(region: Region, drive: Geometry, start: int, stop: int) -> Iterator[Piece]:
    """[start, stop) cut where `region` begins and ends: together the pieces are the whole, in order."""
    at = start
    for first, last in region.spans(drive, start, stop):
        if at < first:
            yield Piece(at, first, inside=False)
        yield Piece(first, last, inside=True)
        at = last
    if at < stop:
        yield Piece(at, stop, inside=False)


def touches(region: Region, drive: Geometry, start: int, stop: int) -> bool:
    """Whether any byte of [start, stop) is in the region."""
    return next(region.spans(drive, start, stop), None) is not None


@dataclass(frozen=True)
class Everywhere:
    """The whole drive."""

    def spans(self, drive: Geometry, start: int, stop: int) -> Iterator[tuple[int, int]]:
        if start < stop:
            yield start, stop


@dataclass(frozen=True)
class Span:
    """The bytes [start_byte, stop_byte)."""

    start_byte: int
    stop_byte: int

    def spans(self, drive: Geometry, start: int, stop: int) -> Iterator[tuple[int, int]]:
        first, last = max(start, self.start_byte), min(stop, self.stop_byte)
        if first < last:
            yield first, last


@dataclass(frozen=True)
class LastSector:
    """The drive's last logical sector."""

    def spans(self, drive: Geometry, start: int, stop: int) -> Iterator[tuple[int, int]]:
        yield from Span(drive.size_bytes - drive.sector_bytes, drive.size_bytes).spans(drive, start, stop)


@dataclass(frozen=True)
class Sectors:
    """Single sectors by their address; `sector_bytes` as the medium has them (default: the drive's logical ones)."""

    addresses: tuple[int, ...]
    sector_bytes: int = 0

    def spans(self, drive: Geometry, start: int, stop: int) -> Iterator[tuple[int, int]]:
        size = self.sector_bytes or drive.sector_bytes
        for address in sorted(self.addresses):
            yield from Span(address * size, (address + 1) * size).spans(drive, start, stop)


@dataclass(frozen=True)
class OneSectorPer:
    """One logical sector in every `every_bytes` (a multiple of the sector), the `nth` of each such part."""

    every_bytes: int
    nth: int = 0

    def spans(self, drive: Geometry, start: int, stop: int) -> Iterator[tuple[int, int]]:
        part = start // self.every_bytes * self.every_bytes
        while part < stop:
            first = part + self.nth * drive.sector_bytes
            yield from Span(first, first + drive.sector_bytes).spans(drive, start, stop)
            part += self.every_bytes


EVERYWHERE = Everywhere()
LAST_SECTOR = LastSector()
