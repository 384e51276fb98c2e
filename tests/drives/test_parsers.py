"""What drives answer, parsed: known answers, and any bytes at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraser.drives import ata, nvme, scsi, tcg
from eraser.errors import DriveError
from tests.drives.trees import (
    ata_identify,
    designator,
    inquiry,
    nvme_controller,
    nvme_namespace,
    read_capacity_16,
    registers_sense,
    vpd,
)


def test_identify_device_gives_the_drives_own_words():
    found = ata.parse_identify(ata_identify())
    assert (found.model, found.serial, found.firmware) == ("ST4000NM0035-1V4107", "ZC1A2B3C", "TNC3")
    assert found.wwn == "5000c500a1b2c3d4"
    assert found.capacity_bytes == 4_000_787_030_016
    assert (found.logical_sector_bytes, found.physical_sector_bytes) == (512, 4096)
    assert found.rotation_rpm == 7200


@pytest.mark.parametrize(
    ("word", "value", "attribute"),
    [
        (128, 0x0001, "security_supported"),
        (128, 0x0002, "security_enabled"),
        (128, 0x0004, "security_locked"),
        (128, 0x0008, "security_frozen"),
        (82, 0x0400, "has_hpa"),
        (83, 0x4C00, "has_dco"),
        (119, 0x4100, "has_ama"),
    ],
)
def test_identify_device_tells_each_feature_by_its_bit(word: int, value: int, attribute: str):
    assert not getattr(ata.parse_identify(ata_identify()), attribute)
    assert getattr(ata.parse_identify(ata_identify(words={word: value})), attribute)


def test_a_drive_with_sectors_of_4096_bytes_counts_its_capacity_in_them():
    found = ata.parse_identify(ata_identify(sectors=1000, words={106: 0x5000, 117: 2048, 118: 0}))
    assert (found.logical_sector_bytes, found.capacity_bytes) == (4096, 4_096_000)


def test_a_drive_without_48_bit_addresses_has_its_28_bit_capacity():
    found = ata.parse_identify(ata_identify(sectors=80_000_000, words={83: 0x4000, 100: 0, 101: 0}))
    assert found.user_sectors == 80_000_000
    assert ata.read_native_max_cdb(has_lba48=found.has_lba48)[14] == 0xF8


@pytest.mark.parametrize("rotation", [0, 2, 0x0400, 0xFFFF])
def test_a_rotation_rate_that_means_nothing_is_not_said(rotation: int):
    assert ata.parse_identify(ata_identify(words={217: rotation})).rotation_rpm == 0


def test_a_damaged_identify_is_refused():
    data = bytearray(ata_identify())
    data[100] ^= 1
    with pytest.raises(DriveError, match="checksum"):
        ata.parse_identify(bytes(data))


def test_an_identify_of_zeros_is_refused():
    with pytest.raises(DriveError, match="model"):
        ata.parse_identify(bytes(512))


@given(st.integers(1, 2**48 - 2))
def test_the_native_maximum_is_read_from_the_registers(last: int):
    assert ata.native_sectors(registers_sense(last)) == last + 1


def test_an_aborted_native_maximum_is_unknown():
    assert ata.native_sectors(registers_sense(1000, status=0x51)) is None
    assert ata.native_sectors(bytes((0x70, 0, 5)) + bytes(20)) is None


def test_a_28_bit_native_maximum_has_its_high_bits_in_the_device_register():
    sense = bytearray(registers_sense(0x123456))
    sense[8 + 12] = 0x4A
    assert ata.native_sectors(bytes(sense), has_lba48=False) == 0xA123456 + 1


def test_the_ata_commands_are_the_standards():
    assert ata.identify_cdb().hex() == "85080e000000010000000000000" + "0ec00"
    assert ata.read_native_max_cdb(has_lba48=True).hex() == "85072000000000000000000000402700"
    assert ata.ama_native_max_cdb().hex() == "85072000000000000000000000407800"
    assert ata.dco_identify_cdb().hex() == "85080e00c200010000000000000" + "0b100"


def test_the_capacity_that_a_drive_was_made_with_is_in_its_configuration():
    data = bytearray(512)
    data[6:14] = (999).to_bytes(8, "little")
    data[510] = 0xA5
    data[511] = -sum(data) & 0xFF
    assert ata.dco_sectors(bytes(data)) == 1000
    data[7] ^= 1
    assert ata.dco_sectors(bytes(data)) is None


def test_inquiry_gives_vendor_product_and_revision():
    found = scsi.parse_inquiry(inquiry("HGST", "HUS726060ALS640", "A907"))
    assert (found.vendor, found.product, found.revision) == ("HGST", "HUS726060ALS640", "A907")


def test_only_the_logical_units_names_count():
    naa, port = bytes.fromhex("5000cca2530a1b2c"), bytes.fromhex("5000cca2530a1b2d")
    page = vpd(0x83, designator(3, port, association=1) + designator(1, b"HGST  x", code_set=2) + designator(3, naa))
    assert scsi.parse_names(page) == scsi.Names(naa="5000cca2530a1b2c")


def test_a_serial_page_is_trimmed():
    assert scsi.parse_serial(vpd(0x80, b"  1EHJ2K7N        ")) == "1EHJ2K7N"


def test_another_page_than_asked_is_refused():
    with pytest.raises(DriveError):
        scsi.parse_serial(vpd(0x83, b"x"))


def test_the_rotation_rate_is_read_from_page_b1():
    assert scsi.parse_rotation_rpm(vpd(0xB1, (1).to_bytes(2, "big") + bytes(58))) == 1
    assert scsi.parse_rotation_rpm(vpd(0xB1, (10_500).to_bytes(2, "big") + bytes(58))) == 10_500


def test_the_ata_page_holds_the_identify_data():
    identify = ata_identify()
    assert scsi.parse_ata_information(vpd(0x89, bytes(56) + identify)) == identify


def test_read_capacity_counts_in_the_drives_sectors():
    found = scsi.parse_read_capacity_16(read_capacity_16(11_721_045_168, 512, 3))
    assert (found.capacity_bytes, found.physical_sector_bytes) == (6_001_175_126_016, 4096)
    with pytest.raises(DriveError):
        scsi.parse_read_capacity_16(bytes(32))


def test_the_scsi_commands_are_the_standards():
    assert scsi.inquiry_cdb().hex() == "120000006000"
    assert scsi.vpd_cdb(0x83).hex() == "12018300fc00"
    assert scsi.read_capacity_16_cdb().hex() == "9e10" + "00" * 8 + "00000020" + "0000"
    assert tcg.security_protocol_in_cdb().hex() == "a20100010000" + "00000800" + "0000"


def test_identify_controller_gives_serial_model_and_firmware():
    found = nvme.parse_controller(nvme_controller())
    assert (found.serial, found.model, found.firmware) == ("S4EWNX0R", "SAMSUNG MZVLB512", "EXA7301Q")


@pytest.mark.parametrize("flbas", [0, 5, 0x20 | 3])
def test_identify_namespace_gives_size_and_names_in_the_format_in_use(flbas: int):
    eui, nguid = bytes.fromhex("0025388b71b2c3d4"), bytes(range(16))
    found = nvme.parse_namespace(nvme_namespace(1000, flbas=flbas, shift=12, eui64=eui, nguid=nguid))
    assert found.capacity_bytes == 4_096_000
    assert (found.eui64, found.nguid) == (eui.hex(), nguid.hex())


def test_a_name_of_zeros_is_none():
    assert nvme.parse_namespace(nvme_namespace(1)).eui64 == ""


def test_an_inactive_namespace_is_refused():
    with pytest.raises(DriveError):
        nvme.parse_namespace(bytes(4096))


@pytest.mark.parametrize(("flags", "locked"), [(0x01, False), (0x03, False), (0x07, True), (0x04, True)])
def test_level_0_discovery_tells_whether_a_range_is_locked(flags: int, locked: bool):
    other = bytes.fromhex("0001100c") + bytes(12)
    locking = bytes.fromhex("0002100c") + bytes((flags,)) + bytes(11)
    body = bytes(44) + other + locking
    assert tcg.is_locked(len(body).to_bytes(4, "big") + body + bytes(400)) is locked


PARSERS = [
    ata.parse_identify,
    ata.native_sectors,
    ata.dco_sectors,
    scsi.parse_inquiry,
    scsi.parse_serial,
    scsi.parse_names,
    scsi.parse_rotation_rpm,
    scsi.parse_ata_information,
    scsi.parse_read_capacity_16,
    nvme.parse_controller,
    nvme.parse_namespace,
    tcg.is_locked,
]


@pytest.mark.parametrize("parse", PARSERS)
@given(data=st.one_of(st.binary(max_size=700), st.binary(min_size=512, max_size=512), st.just(b"\xff" * 4096)))
def test_any_bytes_are_parsed_or_refused_by_name(parse, data: bytes):
    for head in (b"", bytes((0, 0x80)), bytes((0, 0x83)), bytes((0, 0xB1)), bytes((0x72,))):
        try:
            parse(head + data[len(head) :])
        except DriveError as error:
            assert error.what
