"""How many sectors a drive says that it has replaced; and that whatever does not say is unknown, never 0."""

from contextlib import nullcontext

import pytest

from eraser.domain.drive import Transport
from eraser.drives import ata, scsi
from eraser.drives.commands import Courier, Reply
from eraser.drives.health import reallocated_sectors
from tests.domain.builders import a_drive
from tests.drives.trees import ScriptedDrive, SilentDrive

SMART = ata.smart_read_data_cdb()
DEFECTS = scsi.read_grown_defects_cdb()
NO_SENSE = b""


def smart_data(attributes: dict[int, int]) -> bytes:
    """SMART READ DATA with these raw values, and a right checksum."""
    data = bytearray(512)
    data[0] = 16
    for index, (number, raw) in enumerate(attributes.items()):
        at = 2 + 12 * index
        data[at], data[at + 3], data[at + 4] = number, 100, 100
        data[at + 5 : at + 11] = raw.to_bytes(6, "little")
    data[511] = -sum(data) & 0xFF
    return bytes(data)


def defects(count: int, form: int = 5, size: int = 8, flags: int = 0x08) -> bytes:
    return bytes((0, flags | form, 0, 0)) + (count * size).to_bytes(4, "big")


def asked(transport: Transport, courier: Courier) -> int | None:
    return reallocated_sectors(a_drive(transport=transport), lambda path: nullcontext(courier))


def test_the_commands_are_as_the_standards_write_them() -> None:
    assert SMART.hex() == "85080e00d00001000000" + "4f00c200b000"
    assert DEFECTS.hex() == "b70d00000000000000080000"


@pytest.mark.parametrize("transport", [Transport.SATA, Transport.USB, Transport.UNKNOWN])
@pytest.mark.parametrize("count", [0, 1, 40_000])
def test_an_ata_drive_counts_them_in_attribute_5(transport: Transport, count: int) -> None:
    drive = ScriptedDrive({SMART: smart_data({1: 77, 5: count, 9: 5000})})
    assert asked(transport, drive) == count


def test_what_some_keep_above_the_count_is_left_out() -> None:
    assert asked(Transport.SATA, ScriptedDrive({SMART: smart_data({5: 3 << 32 | 12})})) == 12


@pytest.mark.parametrize(("form", "size"), [(0, 4), (3, 8), (4, 8), (5, 8)])
def test_a_sas_drive_counts_its_grown_defects(form: int, size: int) -> None:
    assert asked(Transport.SAS, ScriptedDrive({DEFECTS: defects(17, form, size)})) == 17


def test_a_list_longer_than_was_asked_for_is_a_recovered_error_to_some() -> None:
    answer = Reply(2, bytes((0x70, 0, 1)), defects(17))
    assert asked(Transport.SAS, ScriptedDrive({DEFECTS: answer})) == 17


@pytest.mark.parametrize(
    ("transport", "drive"),
    [
        (Transport.SATA, ScriptedDrive({})),
        (Transport.SATA, ScriptedDrive({SMART: smart_data({1: 77})})),
        (Transport.SATA, ScriptedDrive({SMART: smart_data({5: 0})[:-1] + b"\x01"})),
        (Transport.SATA, ScriptedDrive({SMART: b""})),
        (Transport.SATA, ScriptedDrive({SMART: Reply(2, NO_SENSE, smart_data({5: 0}))})),
        (Transport.SATA, SilentDrive()),
        (Transport.SAS, ScriptedDrive({})),
        (Transport.SAS, ScriptedDrive({DEFECTS: defects(0, flags=0x10)})),
        (Transport.SAS, ScriptedDrive({DEFECTS: defects(0, form=7)})),
        (Transport.SAS, ScriptedDrive({DEFECTS: defects(0)[:4]})),
        (Transport.SAS, SilentDrive()),
        (Transport.USB, ScriptedDrive({DEFECTS: defects(0)})),
        (Transport.UNKNOWN, SilentDrive()),
    ],
)
def test_what_is_not_said_is_unknown(transport: Transport, drive: Courier) -> None:
    assert asked(transport, drive) is None


@pytest.mark.parametrize(
    "transport", [Transport.NVME, Transport.LOOP, Transport.ZRAM, Transport.IMAGE, Transport.VIRTIO, Transport.MMC]
)
def test_whoever_has_no_such_count_is_not_asked(transport: Transport) -> None:
    drive = ScriptedDrive({SMART: smart_data({5: 0}), DEFECTS: defects(0)})
    assert asked(transport, drive) is None
    assert drive.asked == []
