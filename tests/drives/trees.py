"""Builders: small trees that look like a machine's sysfs, and the answers that drives give."""

import struct
from collections.abc import Mapping
from pathlib import Path

from eraser.drives.commands import NoAnswer, Reply
from eraser.drives.sysfs import BlockDevice, Host


def host_in(folder: Path) -> Host:
    """A machine without anything in it."""
    for name in ("sys/block", "sys/dev/block", "proc", "dev", "udev"):
        (folder / name).mkdir(parents=True)
    return Host(folder / "sys", folder / "proc", folder / "dev", folder / "udev")


def add_disk(
    host: Host,
    name: str,
    place: str,
    attributes: Mapping[str, str | bytes],
    *,
    number: str = "8:0",
    sectors: int = 1000,
) -> BlockDevice:
    """A whole disk at `place` below sys/devices. Attributes below `device/` are the hardware's; `..` reaches above."""
    directory = host.sys / "devices" / place / "block" / name
    hardware = host.sys / "devices" / place
    directory.mkdir(parents=True)
    write(directory, {"dev": number, "size": str(sectors), "ro": "0", "removable": "0", "hidden": "0"})
    write(directory, {"queue/logical_block_size": "512", "queue/physical_block_size": "4096", "queue/zoned": "none"})
    write(directory, {"queue/rotational": "1", "queue/write_cache": "write back"})
    (directory / "device").symlink_to(hardware)
    write(directory, attributes)
    (host.sys / "block" / name).symlink_to(directory)
    (host.sys / "dev/block" / number).symlink_to(directory)
    return BlockDevice(directory.resolve())


def add_partition(host: Host, disk: BlockDevice, name: str, number: str) -> BlockDevice:
    """A partition of a disk."""
    write(disk.directory / name, {"dev": number, "partition": "1", "size": "10"})
    (host.sys / "dev/block" / number).symlink_to(disk.directory / name)
    return BlockDevice(disk.directory / name)


def write(directory: Path, attributes: Mapping[str, str | bytes]) -> None:
    """Files with these contents; text as the kernel ends it."""
    for name, content in attributes.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else f"{content}\n".encode())


def ata_string(text: str, words: int) -> list[int]:
    """Two characters a word, the first in the high byte, padded with blanks."""
    data = text.encode().ljust(2 * words)
    return list(struct.unpack(f">{words}H", data))


def ata_identify(
    *,
    model: str = "ST4000NM0035-1V4107",
    serial: str = "ZC1A2B3C",
    firmware: str = "TNC3",
    sectors: int = 7_814_037_168,
    wwn: int = 0x5000C500A1B2C3D4,
    words: Mapping[int, int] | None = None,
) -> bytes:
    """IDENTIFY DEVICE of a hard disk with 512-byte logical and 4,096-byte physical sectors, with a right checksum."""
    image = [0] * 256
    image[0] = 0x0C5A
    image[10:20] = ata_string(serial, 10)
    image[23:27] = ata_string(firmware, 4)
    image[27:47] = ata_string(model, 20)
    image[60:62] = struct.unpack("<2H", min(sectors, 0x0FFFFFFF).to_bytes(4, "little"))
    image[83], image[87] = 0x4400, 0x4100
    image[100:104] = struct.unpack("<4H", sectors.to_bytes(8, "little"))
    image[106] = 0x6003
    image[108:112] = struct.unpack(">4H", wwn.to_bytes(8, "big"))
    image[217] = 7200
    for place, word in (words or {}).items():
        image[place] = word
    image[255] = 0xA5
    data = struct.pack("<256H", *image)
    return data[:511] + bytes(((-sum(data)) & 0xFF,))


def registers_sense(last_lba: int, *, status: int = 0x50) -> bytes:
    """Descriptor-format sense data with the ATA registers of a 48-bit command."""
    lba = last_lba.to_bytes(6, "little")
    descriptor = bytes((0x09, 0x0C, 1, 0, 0, 0, lba[3], lba[0], lba[4], lba[1], lba[5], lba[2], 0x40, status))
    return bytes((0x72, 0x01, 0x00, 0x1D, 0, 0, 0, 14)) + descriptor


def inquiry(vendor: str, product: str, revision: str, kind: int = 0) -> bytes:
    """Standard INQUIRY data."""
    head = bytes((kind, 0, 6, 2, 91, 0, 0, 2))
    return (head + vendor.encode().ljust(8) + product.encode().ljust(16) + revision.encode().ljust(4)).ljust(96, b"\0")


def vpd(page: int, payload: bytes) -> bytes:
    """A page of vital product data."""
    return bytes((0, page)) + len(payload).to_bytes(2, "big") + payload


def designator(kind: int, data: bytes, *, association: int = 0, code_set: int = 1) -> bytes:
    """One entry of VPD page 83h."""
    return bytes((code_set, association << 4 | kind, 0, len(data))) + data


def read_capacity_16(sectors: int, sector_bytes: int = 512, exponent: int = 3) -> bytes:
    """READ CAPACITY(16) data."""
    return (sectors - 1).to_bytes(8, "big") + sector_bytes.to_bytes(4, "big") + bytes((0, exponent)) + bytes(18)


def nvme_controller(serial: str = "S4EWNX0R", model: str = "SAMSUNG MZVLB512", firmware: str = "EXA7301Q") -> bytes:
    """Identify Controller."""
    head = bytes(4) + serial.encode().ljust(20) + model.encode().ljust(40) + firmware.encode().ljust(8)
    return head.ljust(4096, b"\0")


def nvme_namespace(sectors: int, *, flbas: int = 0, shift: int = 9, eui64: bytes = b"", nguid: bytes = b"") -> bytes:
    """Identify Namespace with one format in use."""
    page = bytearray(4096)
    page[0:8] = sectors.to_bytes(8, "little")
    page[26] = flbas
    page[104:120] = nguid.ljust(16, b"\0")
    page[120:128] = eui64.ljust(8, b"\0")
    chosen = flbas & 0x0F | (flbas & 0x60) >> 1
    page[128 + 4 * chosen + 2] = shift
    return bytes(page)


class ScriptedDrive:
    """A courier to a drive that answers what it was given: by CDB for SCSI, by (opcode, cdw10) for NVMe."""

    def __init__(self, answers: Mapping[bytes | tuple[int, int], Reply | bytes]) -> None:
        self._answers = answers
        self.asked: list[bytes | tuple[int, int]] = []

    def scsi(self, cdb: bytes, length: int) -> Reply:
        return self._answer(cdb)

    def nvme_admin(self, opcode: int, nsid: int, cdw10: int, cdw11: int, length: int) -> Reply:
        return self._answer((opcode, cdw10))

    def _answer(self, key: bytes | tuple[int, int]) -> Reply:
        self.asked.append(key)
        answer = self._answers.get(key)
        if answer is None:
            return Reply(2, bytes((0x70, 0, 5)), b"")
        return Reply(0, b"", answer) if isinstance(answer, bytes) else answer


class SilentDrive:
    """A courier to a drive that answers nothing in time."""

    def scsi(self, cdb: bytes, length: int) -> Reply:
        raise NoAnswer("the drive did not answer in time")

    def nvme_admin(self, opcode: int, nsid: int, cdw10: int, cdw11: int, length: int) -> Reply:
        raise NoAnswer("the drive did not answer in time")
