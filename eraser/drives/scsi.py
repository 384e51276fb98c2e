"""What a SCSI drive, or a bridge that speaks SCSI, answers, parsed. Pure: bytes in, values out.

Source: SPC-5 (INCITS 502) clauses 6.6 and 7.7, SBC-4 (INCITS 506) clauses 5.19, 6.6 and READ DEFECT DATA(12).
"""

from dataclasses import dataclass

from eraser.drives.text import printable
from eraser.errors import DriveError

INQUIRY_BYTES = 96
VPD_BYTES = 252
READ_CAPACITY_16_BYTES = 32
DEFECT_HEADER_BYTES = 8

UNIT_SERIAL_NUMBER = 0x80
DEVICE_IDENTIFICATION = 0x83
ATA_INFORMATION = 0x89
BLOCK_DEVICE_CHARACTERISTICS = 0xB1

_GROWN_LIST, _PHYSICAL_SECTORS = 0x08, 0x05
_DESCRIPTOR_BYTES = {0: 4, 3: 8, 4: 8, 5: 8}
"""Of an address in the defect list, by its format: short and long block, bytes from index, physical sector."""

_DESIGNATOR_EUI64 = 2
_DESIGNATOR_NAA = 3


@dataclass(frozen=True, slots=True)
class Inquiry:
    """Standard INQUIRY data: who made it, or which bridge stands before it."""

    peripheral_type: int
    vendor: str
    product: str
    revision: str


@dataclass(frozen=True, slots=True)
class Names:
    """The logical unit's world-wide names from VPD page 83h, hex, empty where there is none."""

    naa: str = ""
    eui64: str = ""


@dataclass(frozen=True, slots=True)
class Capacity:
    """READ CAPACITY(16). Sizes in bytes."""

    sectors: int
    logical_sector_bytes: int
    physical_sector_bytes: int
    protection_type: int
    """0 for none, else 1 to 3: sectors carry protection information."""

    @property
    def capacity_bytes(self) -> int:
        """By the drive's own word."""
        return self.sectors * self.logical_sector_bytes


def inquiry_cdb() -> bytes:
    """Standard INQUIRY."""
    return bytes((0x12, 0, 0, 0, INQUIRY_BYTES, 0))


def vpd_cdb(page: int) -> bytes:
    """INQUIRY for one page of vital product data."""
    return bytes((0x12, 1, page, 0, VPD_BYTES, 0))


def read_capacity_16_cdb() -> bytes:
    """SERVICE ACTION IN(16) / READ CAPACITY(16)."""
    return bytes((0x9E, 0x10)) + bytes(8) + READ_CAPACITY_16_BYTES.to_bytes(4, "big") + bytes(2)


def read_grown_defects_cdb() -> bytes:
    """READ DEFECT DATA(12) for the header of the grown list, in the physical sector format. Reads only."""
    cdb = bytearray(12)
    cdb[0], cdb[1] = 0xB7, _GROWN_LIST | _PHYSICAL_SECTORS
    cdb[6:10] = DEFECT_HEADER_BYTES.to_bytes(4, "big")
    return bytes(cdb)


def parse_grown_defects(data: bytes) -> int | None:
    """How many defects the header says there are; None where the list is not the one asked for, or of a form unknown here."""
    if len(data) < DEFECT_HEADER_BYTES or not data[1] & _GROWN_LIST:
        return None
    size = _DESCRIPTOR_BYTES.get(data[1] & 0x07)
    return int.from_bytes(data[4:8], "big") // size if size is not None else None


def parse_inquiry(data: bytes) -> Inquiry:
    """At least 36 bytes. Raises DriveError when shorter."""
    if len(data) < 36:
        raise DriveError(f"INQUIRY answered {len(data)} bytes, a standard answer has 36")
    return Inquiry(
        peripheral_type=data[0] & 0x1F,
        vendor=printable(data[8:16]),
        product=printable(data[16:32]),
        revision=printable(data[32:36]),
    )


def vpd_payload(data: bytes, page: int) -> bytes:
    """A page without its header, cut to the length that it names. Raises DriveError when it is another page."""
    if len(data) < 4 or data[1] != page:
        raise DriveError(f"the answer is not VPD page {page:02X}h")
    return data[4 : 4 + int.from_bytes(data[2:4], "big")]


def parse_serial(data: bytes) -> str:
    """VPD page 80h: the unit's serial number."""
    return printable(vpd_payload(data, UNIT_SERIAL_NUMBER))


def parse_names(data: bytes) -> Names:
    """VPD page 83h. Only the logical unit's names count: a port's differs per path, a target's is the enclosure's."""
    payload = vpd_payload(data, DEVICE_IDENTIFICATION)
    naa = eui64 = ""
    at = 0
    while at + 4 <= len(payload):
        kind, association = payload[at + 1] & 0x0F, payload[at + 1] >> 4 & 0x03
        designator = payload[at + 4 : at + 4 + payload[at + 3]]
        at += 4 + payload[at + 3]
        if association != 0 or not any(designator):
            continue
        if kind == _DESIGNATOR_NAA and len(designator) in (8, 16):
            naa = naa or designator.hex()
        elif kind == _DESIGNATOR_EUI64 and len(designator) == 8:
            eui64 = eui64 or designator.hex()
    return Names(naa, eui64)


def parse_rotation_rpm(data: bytes) -> int:
    """VPD page B1h: revolutions a minute, 1 for "does not rotate", 0 for "not said"."""
    payload = vpd_payload(data, BLOCK_DEVICE_CHARACTERISTICS)
    rate = int.from_bytes(payload[0:2], "big") if len(payload) >= 2 else 0
    return rate if rate == 1 or 0x0401 <= rate <= 0xFFFE else 0


def parse_ata_information(data: bytes) -> bytes:
    """VPD page 89h: the IDENTIFY data that the translation layer keeps. Raises DriveError when it has none."""
    payload = vpd_payload(data, ATA_INFORMATION)
    if len(payload) < 568:
        raise DriveError("VPD page 89h is cut short")
    return payload[56:568]


def parse_read_capacity_16(data: bytes) -> Capacity:
    """At least 14 bytes. Raises DriveError for impossible sizes."""
    if len(data) < 14:
        raise DriveError(f"READ CAPACITY(16) answered {len(data)} bytes")
    last, block = int.from_bytes(data[0:8], "big"), int.from_bytes(data[8:12], "big")
    if block == 0 or last == 2**64 - 1:
        raise DriveError(f"READ CAPACITY(16) answered {block} bytes a sector, last sector {last}")
    return Capacity(
        sectors=last + 1,
        logical_sector_bytes=block,
        physical_sector_bytes=block << (data[13] & 0x0F),
        protection_type=(data[12] >> 1 & 0x07) + 1 if data[12] & 0x01 else 0,
    )
