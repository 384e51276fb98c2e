"""What an ATA drive answers, parsed. Pure: bytes in, values out; `DriveError` for what cannot be an answer.

Source: ACS-4 (INCITS 529) clause 9.11 for IDENTIFY DEVICE, ATA8-ACS for HPA and DCO, SAT-4 (INCITS 557) clause 12.2 for
the CDB that carries a command through SCSI.
"""

import struct
from dataclasses import dataclass

from eraser.drives.text import printable
from eraser.errors import DriveError

IDENTIFY_BYTES = 512
ATA_PASS_THROUGH_16 = 0x85

_PROTOCOL_NON_DATA = 3
_PROTOCOL_PIO_IN = 4
_CHECK_CONDITION = 0x20  # asks for the registers afterwards, in the sense data
_ONE_SECTOR_IN = 0x0E  # T_DIR from the drive, BYT_BLOK, T_LENGTH in the count field
_USE_LBA = 0x40

_FIRST_ATTRIBUTE, _ATTRIBUTES, _ATTRIBUTE_BYTES = 2, 30, 12
_REALLOCATED = 5

_ATA_STATUS_RETURN = 0x09  # SAT-4 table 209: the descriptor that holds the registers
_STATUS_ERROR_BITS = 0x21  # ERR and DF


@dataclass(frozen=True, slots=True)
class Identify:
    """IDENTIFY DEVICE: the drive's own words. `rotation_rpm` is 1 for "does not rotate", 0 for "not said"."""

    model: str
    serial: str
    firmware: str
    wwn: str
    has_lba48: bool
    user_sectors: int
    logical_sector_bytes: int
    physical_sector_bytes: int
    rotation_rpm: int
    security_supported: bool
    security_enabled: bool
    security_locked: bool
    security_frozen: bool
    has_hpa: bool
    has_dco: bool
    has_ama: bool

    @property
    def capacity_bytes(self) -> int:
        """User-addressable bytes, without hidden areas."""
        return self.user_sectors * self.logical_sector_bytes


def identify_cdb() -> bytes:
    """IDENTIFY DEVICE (ECh)."""
    return _pio_in_cdb(command=0xEC)


def dco_identify_cdb() -> bytes:
    """DEVICE CONFIGURATION IDENTIFY (B1h/C2h). Reads only."""
    return _pio_in_cdb(command=0xB1, feature=0xC2)


def read_native_max_cdb(*, has_lba48: bool) -> bytes:
    """READ NATIVE MAX ADDRESS EXT (27h), or without 48-bit addresses READ NATIVE MAX ADDRESS (F8h). Reads only."""
    return _non_data_cdb(command=0x27 if has_lba48 else 0xF8, extend=has_lba48)


def ama_native_max_cdb() -> bytes:
    """GET NATIVE MAX ADDRESS EXT (78h/0000h), its successor in ACS-3. Reads only."""
    return _non_data_cdb(command=0x78, extend=True)


def smart_read_data_cdb() -> bytes:
    """SMART READ DATA (B0h/D0h), with the signature that SMART commands bear in their address. Reads only."""
    cdb = bytearray(_pio_in_cdb(command=0xB0, feature=0xD0))
    cdb[10], cdb[12] = 0x4F, 0xC2
    return bytes(cdb)


def _pio_in_cdb(command: int, feature: int = 0) -> bytes:
    cdb = bytearray(16)
    cdb[0], cdb[1], cdb[2] = ATA_PASS_THROUGH_16, _PROTOCOL_PIO_IN << 1, _ONE_SECTOR_IN
    cdb[4], cdb[6], cdb[14] = feature, 1, command
    return bytes(cdb)


def _non_data_cdb(command: int, *, extend: bool) -> bytes:
    cdb = bytearray(16)
    cdb[0], cdb[1], cdb[2] = ATA_PASS_THROUGH_16, _PROTOCOL_NON_DATA << 1 | extend, _CHECK_CONDITION
    cdb[13], cdb[14] = _USE_LBA, command
    return bytes(cdb)


def parse_identify(data: bytes) -> Identify:
    """IDENTIFY DEVICE's 512 bytes. Raises DriveError when they are not an ATA drive's, or damaged."""
    if len(data) != IDENTIFY_BYTES:
        raise DriveError(f"IDENTIFY DEVICE answered {len(data)} bytes instead of {IDENTIFY_BYTES}")
    words = struct.unpack("<256H", data)
    if words[0] & 0x8000:
        raise DriveError("IDENTIFY DEVICE answered for something that is no ATA drive")
    # Word 255: when its low byte is A5h, all bytes add up to zero.
    if words[255] & 0xFF == 0xA5 and sum(data) & 0xFF:
        raise DriveError("IDENTIFY DEVICE answered with a wrong checksum")
    model = _string(words[27:47])
    if not model:
        raise DriveError("IDENTIFY DEVICE answered without a model")
    logical, physical = _sector_bytes(words)
    features = words[83] if words[83] & 0xC000 == 0x4000 else 0
    names = words[87] if words[87] & 0xC000 == 0x4000 else 0
    wwn = "".join(f"{word:04x}" for word in words[108:112]) if names & 0x0100 else ""
    extensions = words[119] if words[119] & 0xC000 == 0x4000 else 0
    return Identify(
        model=model,
        serial=_string(words[10:20]),
        firmware=_string(words[23:27]),
        wwn=wwn if wwn.strip("0") else "",
        has_lba48=bool(features & 0x0400),
        user_sectors=_user_sectors(words, has_lba48=bool(features & 0x0400)),
        logical_sector_bytes=logical,
        physical_sector_bytes=physical,
        rotation_rpm=words[217] if words[217] == 1 or 0x0401 <= words[217] <= 0xFFFE else 0,
        security_supported=bool(words[128] & 0x01),
        security_enabled=bool(words[128] & 0x02),
        security_locked=bool(words[128] & 0x04),
        security_frozen=bool(words[128] & 0x08),
        has_hpa=words[82] not in (0, 0xFFFF) and bool(words[82] & 0x0400),
        has_dco=bool(features & 0x0800),
        has_ama=bool(extensions & 0x0100),
    )


def reallocated_sectors(data: bytes) -> int | None:
    """The raw value of attribute 5 in SMART READ DATA's answer; None where the drive has no such attribute.

    Raises DriveError for a damaged answer. The standard leaves these bytes to vendors, and all do alike: thirty attributes of
    twelve bytes each from byte 2 on (number, two of flags, value, worst value, six of raw value, one unused), in the raw
    value's upper half sometimes something else than the count.
    """
    if len(data) != IDENTIFY_BYTES or sum(data) & 0xFF:
        raise DriveError("SMART READ DATA answered with a wrong checksum")
    for at in range(_FIRST_ATTRIBUTE, _FIRST_ATTRIBUTE + _ATTRIBUTES * _ATTRIBUTE_BYTES, _ATTRIBUTE_BYTES):
        if data[at] == _REALLOCATED:
            return int.from_bytes(data[at + 5 : at + 9], "little")
    return None


def _string(words: tuple[int, ...]) -> str:
    """ATA strings: two characters a word, the first in the high byte."""
    return printable(struct.pack(f">{len(words)}H", *words))


def _sector_bytes(words: tuple[int, ...]) -> tuple[int, int]:
    """Bytes of a logical and of a physical sector: words 106, 117 and 118."""
    logical, exponent = 512, 0
    if words[106] & 0xC000 == 0x4000:
        if words[106] & 0x1000:
            logical = (words[118] << 16 | words[117]) * 2 or 512
        if words[106] & 0x2000:
            exponent = words[106] & 0xF
    return logical, logical << exponent


def _user_sectors(words: tuple[int, ...], *, has_lba48: bool) -> int:
    if words[69] & 0x0008:  # EXTENDED NUMBER OF USER ADDRESSABLE SECTORS SUPPORTED
        return _little(words[230:234])
    return _little(words[100:104]) if has_lba48 else _little(words[60:62])


def _little(words: tuple[int, ...]) -> int:
    return int.from_bytes(struct.pack(f"<{len(words)}H", *words), "little")


def native_sectors(sense: bytes, *, has_lba48: bool = True) -> int | None:
    """Sectors that the drive has, from the registers that READ (or GET) NATIVE MAX ADDRESS leaves in the sense data.

    None when the drive aborted the command or the bridge does not hand the registers on.
    """
    registers = _status_return(sense)
    if registers is None or registers[13] & _STATUS_ERROR_BITS:
        return None
    # Bytes in the descriptor's own order: LBA 31:24, 7:0, 39:32, 15:8, 47:40, 23:16, then the device register.
    low = (registers[11], registers[9], registers[7])
    high = (registers[10], registers[8], registers[6]) if has_lba48 else (registers[12] & 0x0F,)
    last = int.from_bytes(bytes(high + low), "big")
    return last + 1 if last else None


def _status_return(sense: bytes) -> bytes | None:
    """The ATA status return descriptor (14 bytes) of descriptor-format sense data."""
    if len(sense) < 8 or sense[0] & 0x7F not in (0x72, 0x73):
        return None
    at = 8
    while at + 2 <= len(sense):
        length = sense[at + 1] + 2
        if sense[at] == _ATA_STATUS_RETURN and length == 14 and at + length <= len(sense):
            return sense[at : at + length]
        at += length
    return None


def dco_sectors(data: bytes) -> int | None:
    """Sectors that the drive was made with, from DEVICE CONFIGURATION IDENTIFY; None for a damaged or empty answer."""
    if len(data) != IDENTIFY_BYTES or not any(data):
        return None
    if data[510] == 0xA5 and sum(data) & 0xFF:
        return None
    last = int.from_bytes(data[6:14], "little")  # words 3 to 6
    return last + 1 if 0 < last < 1 << 48 else None
