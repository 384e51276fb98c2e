"""What an NVMe drive answers, parsed. Pure: bytes in, values out.

Source: NVM Express Base 2.1 figures 312 (Identify Controller), NVM Command Set 1.1 figure 114 (Identify Namespace).
"""

from dataclasses import dataclass

from eraser.drives.text import printable
from eraser.errors import DriveError

IDENTIFY_BYTES = 4096
IDENTIFY_OPCODE = 0x06
SECURITY_RECEIVE_OPCODE = 0x82
CNS_NAMESPACE = 0
CNS_CONTROLLER = 1


@dataclass(frozen=True, slots=True)
class Controller:
    """Identify Controller: the drive as a whole."""

    serial: str
    model: str
    firmware: str
    security_commands: bool


@dataclass(frozen=True, slots=True)
class Namespace:
    """Identify Namespace: the part that is seen as a disk. Sizes in bytes, names hex or empty."""

    sectors: int
    logical_sector_bytes: int
    metadata_bytes: int
    eui64: str
    nguid: str

    @property
    def capacity_bytes(self) -> int:
        """By the drive's own word."""
        return self.sectors * self.logical_sector_bytes


def parse_controller(data: bytes) -> Controller:
    """Identify Controller's 4,096 bytes. Raises DriveError when they are not."""
    _expect_page(data)
    return Controller(
        serial=printable(data[4:24]),
        model=printable(data[24:64]),
        firmware=printable(data[64:72]),
        security_commands=bool(data[256] & 0x01),
    )


def parse_namespace(data: bytes) -> Namespace:
    """Identify Namespace's 4,096 bytes. Raises DriveError for an inactive namespace or an impossible format."""
    _expect_page(data)
    # FLBAS: bits 3:0 and, above them, bits 6:5 choose one of up to 64 formats.
    chosen = data[26] & 0x0F | (data[26] & 0x60) >> 1
    form = data[128 + 4 * chosen : 132 + 4 * chosen]
    shift = form[2]
    sectors = int.from_bytes(data[0:8], "little")
    if sectors == 0 or not 9 <= shift <= 20:
        raise DriveError(f"Identify Namespace answered {sectors} sectors of 2^{shift} bytes")
    return Namespace(
        sectors=sectors,
        logical_sector_bytes=1 << shift,
        metadata_bytes=int.from_bytes(form[0:2], "little"),
        eui64=_name(data[120:128]),
        nguid=_name(data[104:120]),
    )


def _name(data: bytes) -> str:
    return data.hex() if any(data) else ""


def _expect_page(data: bytes) -> None:
    if len(data) != IDENTIFY_BYTES:
        raise DriveError(f"Identify answered {len(data)} bytes instead of {IDENTIFY_BYTES}")
