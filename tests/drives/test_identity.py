"""Who a drive is, from captured trees and scripted answers."""

from contextlib import contextmanager
from pathlib import Path

import pytest

from eraser.domain.conditions import refuse_unfit
from eraser.domain.drive import Condition, Media, SerialSource, Transport, is_recognisable, same_drive
from eraser.drives import ata, scsi
from eraser.drives.commands import Reply
from eraser.drives.discovery import describe, list_drives
from eraser.errors import Refused
from tests.drives.trees import (
    ScriptedDrive,
    SilentDrive,
    add_disk,
    ata_identify,
    designator,
    host_in,
    inquiry,
    nvme_controller,
    nvme_namespace,
    read_capacity_16,
    registers_sense,
    vpd,
)

SATA_PLACE = "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0"
USB_PLACE = "pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0"
SAS_PLACE = "pci0000:00/0000:01:00.0/host1/port-1:{0}/end_device-1:{0}/target1:0:{0}/1:0:{0}:0"
SECTORS = 7_814_037_168
SATA = {
    "device/vendor": "ATA",
    "device/model": "ST4000NM0035-1V4",
    "device/rev": "TNC3",
    "device/type": "0",
    "device/vpd_pg80": vpd(0x80, b"ZC1A2B3C"),
    "device/vpd_pg83": vpd(0x83, designator(3, bytes.fromhex("5000c500a1b2c3d4"))),
}


def courier(drive):
    @contextmanager
    def opened(path: str):
        yield drive

    return opened


def sata(folder: Path, drive, sectors: int = SECTORS, **attributes):
    host = host_in(folder)
    device = add_disk(host, "sda", SATA_PLACE, {**SATA, **attributes}, sectors=sectors)
    return describe(device, host, courier(drive))


def test_a_sata_drive_is_named_by_its_own_identify(tmp_path):
    drive = sata(tmp_path, ScriptedDrive({ata.identify_cdb(): ata_identify()}))
    assert (drive.transport, drive.media) == (Transport.SATA, Media.MAGNETIC)
    assert drive.identity.model == "ST4000NM0035-1V4107"
    assert (drive.identity.serial, drive.identity.serial_source) == ("ZC1A2B3C", SerialSource.DRIVE)
    assert drive.identity.wwn == "5000c500a1b2c3d4"
    assert drive.geometry.native_capacity_bytes == drive.geometry.capacity_bytes == 4_000_787_030_016
    assert drive.write_cache == "write back"
    assert drive.conditions == ()


def test_a_drive_that_does_not_answer_is_known_by_the_kernels_word_and_its_own_size_is_unknown(tmp_path):
    drive = sata(tmp_path, SilentDrive())
    assert (drive.identity.serial, drive.identity.wwn) == ("ZC1A2B3C", "5000c500a1b2c3d4")
    assert drive.geometry.native_capacity_bytes is None


def test_the_translation_layers_copy_of_identify_gives_the_whole_model_without_asking(tmp_path):
    drive = sata(tmp_path, SilentDrive(), **{"device/vpd_pg89": vpd(0x89, bytes(56) + ata_identify())})
    assert drive.identity.model == "ST4000NM0035-1V4107"


@pytest.mark.parametrize(
    ("area", "words", "command"),
    [
        ("hpa", {82: 0x0400}, ata.read_native_max_cdb(has_lba48=True)),
        ("ama", {119: 0x4100}, ata.ama_native_max_cdb()),
    ],
)
def test_a_hidden_area_is_seen_and_counted(tmp_path, area, words, command):
    visible = SECTORS - 1_000_000
    answers = {
        ata.identify_cdb(): ata_identify(sectors=visible, words=words),
        command: Reply(2, registers_sense(SECTORS - 1), b""),
    }
    drive = sata(tmp_path, ScriptedDrive(answers), sectors=visible)
    assert drive.geometry.hidden_areas == (area,)
    assert drive.geometry.hidden_bytes == 512_000_000


def test_a_configuration_overlay_is_seen_below_a_native_maximum(tmp_path):
    configuration = bytearray(512)
    configuration[6:14] = (SECTORS - 1).to_bytes(8, "little")
    answers = {
        ata.identify_cdb(): ata_identify(sectors=1000, words={82: 0x0400, 83: 0x4C00}),
        ata.read_native_max_cdb(has_lba48=True): Reply(2, registers_sense(1999), b""),
        ata.dco_identify_cdb(): bytes(configuration),
    }
    drive = sata(tmp_path, ScriptedDrive(answers), sectors=1000)
    assert drive.geometry.hidden_areas == ("hpa", "dco")
    assert drive.geometry.native_capacity_bytes == SECTORS * 512


@pytest.mark.parametrize(("area", "words"), [("hpa", {82: 0x0400}), ("ama", {119: 0x4100}), ("dco", {83: 0x4C00})])
def test_a_hidden_area_that_cannot_be_asked_for_is_unknown_and_not_absent(tmp_path, area, words):
    drive = sata(tmp_path, ScriptedDrive({ata.identify_cdb(): ata_identify(words=words)}))
    assert drive.geometry.hidden_areas == ()
    assert drive.geometry.hidden_areas_unknown == (area,)
    assert drive.geometry.native_capacity_bytes == SECTORS * 512


def test_a_damaged_answer_about_the_overlay_leaves_it_unknown(tmp_path):
    answers = {ata.identify_cdb(): ata_identify(words={83: 0x4C00}), ata.dco_identify_cdb(): bytes(512)}
    assert sata(tmp_path, ScriptedDrive(answers)).geometry.hidden_areas_unknown == ("dco",)


def test_of_a_drive_that_does_not_answer_every_hidden_area_is_unknown(tmp_path):
    assert sata(tmp_path / "a", SilentDrive()).geometry.hidden_areas_unknown == ("hpa", "ama", "dco")
    assert usb(tmp_path / "b", SilentDrive(), SECTORS).geometry.hidden_areas_unknown == ("hpa", "ama", "dco")
    asked = sata(tmp_path / "c", ScriptedDrive({ata.identify_cdb(): ata_identify()}))
    assert asked.geometry.hidden_areas_unknown == ()


def test_the_kernels_copy_of_identify_tells_which_hidden_areas_there_may_be(tmp_path):
    page = vpd(0x89, bytes(56) + ata_identify(words={82: 0x0400}))
    assert sata(tmp_path, SilentDrive(), **{"device/vpd_pg89": page}).geometry.hidden_areas_unknown == ("hpa",)


def test_nothing_is_sent_that_the_drive_does_not_say_it_has(tmp_path):
    drive = ScriptedDrive({ata.identify_cdb(): ata_identify()})
    sata(tmp_path, drive)
    assert ata.dco_identify_cdb() not in drive.asked
    assert ata.read_native_max_cdb(has_lba48=True) not in drive.asked


def usb(folder: Path, drive, sectors: int):
    host = host_in(folder)
    attributes = {
        "device/vendor": "JMicron",
        "device/model": "Tech",
        "device/rev": "0209",
        "device/type": "0",
        "device/vpd_pg83": vpd(0x83, designator(3, bytes.fromhex("3044564198838180"))),
        "device/../../../../idVendor": "152d",
        "device/../../../../manufacturer": "JMicron",
        "device/../../../../product": "USB to SATA bridge",
        "device/../../../../serial": "DD56419883818",
    }
    device = add_disk(host, "sdb", USB_PLACE, attributes, sectors=sectors)
    return describe(device, host, courier(drive))


def test_a_bridge_that_lets_nothing_through_has_only_an_enclosures_serial(tmp_path):
    answers = {scsi.inquiry_cdb(): inquiry("JMicron", "Tech", "0209")}
    drive = usb(tmp_path, ScriptedDrive(answers), SECTORS)
    assert (drive.transport, drive.bridge) == (Transport.USB, "JMicron USB to SATA bridge")
    assert (drive.identity.serial, drive.identity.serial_source) == ("DD56419883818", SerialSource.ENCLOSURE)
    assert drive.identity.wwn == ""
    assert drive.media is Media.UNKNOWN
    assert not is_recognisable(drive)


def test_the_drive_behind_a_bridge_is_named_by_its_own_identify(tmp_path):
    drive = usb(tmp_path, ScriptedDrive({ata.identify_cdb(): ata_identify()}), SECTORS)
    assert (drive.identity.serial, drive.identity.serial_source) == ("ZC1A2B3C", SerialSource.DRIVE)
    assert (drive.identity.wwn, drive.identity.manufacturer) == ("5000c500a1b2c3d4", "")
    assert drive.media is Media.MAGNETIC
    assert is_recognisable(drive)


def test_an_old_bridge_that_shows_less_than_the_drive_has_is_found_out(tmp_path):
    shown = 2**32 - 1
    answers = {
        scsi.read_capacity_16_cdb(): read_capacity_16(shown),
        ata.identify_cdb(): ata_identify(),
    }
    drive = usb(tmp_path, ScriptedDrive(answers), shown)
    assert drive.geometry.native_capacity_bytes == SECTORS * 512
    assert drive.geometry.hidden_bytes == (SECTORS - shown) * 512


def test_a_drive_says_the_same_of_itself_behind_a_bridge(tmp_path):
    inside = ScriptedDrive({ata.identify_cdb(): ata_identify()})
    behind = usb(tmp_path / "b", inside, SECTORS)
    assert behind.identity == sata(tmp_path / "a", inside).identity


def sas_attributes(serial: str, name: str) -> dict[str, str | bytes]:
    return {
        "device/vendor": "HGST",
        "device/model": "HUS726060ALS640",
        "device/rev": "A907",
        "device/type": "0",
        "device/vpd_pg80": vpd(0x80, serial.encode()),
        "device/vpd_pg83": vpd(0x83, designator(3, bytes.fromhex(name))),
        "device/vpd_pgb1": vpd(0xB1, (7200).to_bytes(2, "big") + bytes(58)),
    }


def test_two_paths_with_one_name_are_one_drive(tmp_path):
    host = host_in(tmp_path)
    for index, (disk, serial, name) in enumerate(
        [
            ("sda", "1EHJ2K7N", "5000cca2530a1b2c"),
            ("sdb", "1EHXXXXX", "5000cca2530affff"),
            ("sdc", "1EHJ2K7N", "5000cca2530a1b2c"),
        ]
    ):
        add_disk(host, disk, SAS_PLACE.format(index), sas_attributes(serial, name), number=f"8:{16 * index}")
    first, second = list_drives(host, courier(SilentDrive()))
    assert (first.path, first.other_paths) == (str(host.dev / "sda"), (str(host.dev / "sdc"),))
    assert (second.path, second.other_paths) == (str(host.dev / "sdb"), ())
    assert (first.transport, first.media) == (Transport.SAS, Media.MAGNETIC)


def test_two_paths_through_virtual_adapters_are_one_drive_that_is_asked(tmp_path):
    """As a virtual machine shows a SCSI drive that is handed on to it twice."""
    host = host_in(tmp_path)
    for index, disk in enumerate(("sda", "sdb")):
        place = f"pci0000:00/0000:00:0{index + 2}.0/virtio{index}/host{index}/target{index}:0:1/{index}:0:1:0"
        add_disk(host, disk, place, sas_attributes("1EHJ2K7N", "5000cca2530a1b2c"), number=f"8:{16 * index}")
    drive = ScriptedDrive({bytes((0x9E, 0x10)) + bytes(11) + b"\x20" + bytes(2): read_capacity_16(2000)})
    (only,) = list_drives(host, courier(drive))
    assert only.transport is Transport.VIRTIO
    assert only.other_paths == (str(host.dev / "sdb"),)
    assert only.geometry.native_capacity_bytes == 2000 * 512


def test_two_drives_with_one_name_and_two_serials_are_two_and_neither_is_erased(tmp_path):
    host = host_in(tmp_path)
    for index, (disk, serial) in enumerate([("sda", "1EHJ2K7N"), ("sdb", "1EHXXXXX"), ("sdc", "1EHJ2K7N")]):
        attributes = sas_attributes(serial, "5000cca2530a1b2c")
        add_disk(host, disk, SAS_PLACE.format(index), attributes, number=f"8:{16 * index}")
    first, second = list_drives(host, courier(SilentDrive()))
    assert (first.identity.serial, first.other_paths) == ("1EHJ2K7N", (str(host.dev / "sdc"),))
    assert (second.identity.serial, second.other_paths) == ("1EHXXXXX", ())
    for drive, other in ((first, "sdb"), (second, "sda")):
        with pytest.raises(Refused, match=str(host.dev / other)) as refusal:
            refuse_unfit(drive)
        assert refusal.value.reason == "ambiguous-identity"


def test_a_path_that_does_not_tell_its_serial_is_a_path_to_the_drive_with_its_name(tmp_path):
    host = host_in(tmp_path)
    for index, (disk, serial) in enumerate([("sda", "1EHJ2K7N"), ("sdb", "")]):
        attributes = sas_attributes(serial, "5000cca2530a1b2c")
        add_disk(host, disk, SAS_PLACE.format(index), attributes, number=f"8:{16 * index}")
    (only,) = list_drives(host, courier(SilentDrive()))
    assert only.other_paths == (str(host.dev / "sdb"),)


def test_a_sas_drive_gives_its_size_by_its_own_word(tmp_path):
    host = host_in(tmp_path)
    device = add_disk(host, "sda", SAS_PLACE.format(0), sas_attributes("1EHJ2K7N", "5000cca2530a1b2c"))
    answers = {scsi.read_capacity_16_cdb(): read_capacity_16(2000)}
    assert describe(device, host, courier(ScriptedDrive(answers))).geometry.native_capacity_bytes == 1_024_000


def test_an_nvme_drive_is_named_by_controller_and_namespace(tmp_path):
    host = host_in(tmp_path)
    attributes = {"device/serial": "S4EWNX0R", "device/model": "SAMSUNG MZVLB512", "device/firmware_rev": "EXA7301Q"}
    names = {"eui": "00 25 38 8b 71 b2 c3 d4", "nguid": "00000000-0000-0000-0000-000000000000", "nsid": "1"}
    device = add_disk(host, "nvme0n1", "pci0000:00/0000:02:00.0/nvme/nvme0", {**attributes, **names}, number="259:0")
    silent = describe(device, host, courier(SilentDrive()))
    assert (silent.transport, silent.media) == (Transport.NVME, Media.FLASH)
    assert (silent.identity.serial, silent.identity.eui64, silent.identity.nguid) == (
        "S4EWNX0R",
        "0025388b71b2c3d4",
        "",
    )
    answers = {
        (6, 1): nvme_controller(firmware="EXA7401Q"),
        (6, 0): nvme_namespace(1000, eui64=bytes.fromhex("0025388b71b2c3d4")),
    }
    asked = describe(device, host, courier(ScriptedDrive(answers)))
    assert asked.identity.firmware == "EXA7401Q"
    assert asked.geometry.native_capacity_bytes == 512_000
    assert same_drive(silent, asked) == ""


def test_an_emmc_is_named_by_its_card_and_its_boot_area_is_refused(tmp_path):
    host = host_in(tmp_path)
    card = {"device/cid": "1501", "device/name": "BJTD4R", "device/serial": "0x1a2b3c4d", "device/manfid": "0x000015"}
    device = add_disk(host, "mmcblk0", "platform/mmc0/mmc0:0001", card, number="179:0")
    drive = describe(device, host, courier(SilentDrive()))
    assert (drive.transport, drive.identity.model, drive.identity.serial) == (Transport.MMC, "BJTD4R", "1a2b3c4d")
    boot = add_disk(host, "mmcblk0boot0", "platform/mmc0/mmc0:0001/block/mmcblk0", {}, number="179:8")
    with pytest.raises(Refused) as refusal:
        refuse_unfit(describe(boot, host, None))
    assert refusal.value.reason == "mmc-boot-partition"
    assert refusal.value.remedy


@pytest.mark.parametrize(
    ("attributes", "sectors", "condition"),
    [
        ({"ro": "1"}, 1000, Condition.READ_ONLY),
        ({}, 0, Condition.ZERO_CAPACITY),
        ({"removable": "1"}, 0, Condition.NO_MEDIUM),
        ({"queue/zoned": "host-managed"}, 1000, Condition.ZONED),
        ({"queue/zoned": "host-aware"}, 1000, Condition.ZONED),
    ],
)
def test_each_condition_is_refused_by_its_own_name_and_remedy(tmp_path, attributes, sectors, condition):
    drive = sata(tmp_path, SilentDrive(), sectors=sectors, **attributes)
    assert drive.conditions == (condition,)
    with pytest.raises(Refused) as refusal:
        refuse_unfit(drive)
    assert refusal.value.reason == condition.value
    assert refusal.value.remedy


def test_a_drive_locked_by_a_password_is_refused(tmp_path):
    drive = sata(tmp_path, ScriptedDrive({ata.identify_cdb(): ata_identify(words={128: 0x0007})}))
    assert drive.conditions == (Condition.SECURITY_LOCKED,)


def test_a_locked_self_encrypting_drive_is_refused(tmp_path):
    from eraser.drives import tcg

    body = bytes(44) + bytes.fromhex("0002100c07") + bytes(11)
    discovery = len(body).to_bytes(4, "big") + body
    answers = {ata.identify_cdb(): ata_identify(), tcg.security_protocol_in_cdb(): discovery}
    assert sata(tmp_path, ScriptedDrive(answers)).conditions == (Condition.OPAL_LOCKED,)


def test_optical_drives_and_assembled_devices_are_no_drives(tmp_path):
    host = host_in(tmp_path)
    add_disk(host, "sr0", "pci0000:00/ata2/host1/target1:0:0/1:0:0:0", {"device/type": "5"}, number="11:0")
    add_disk(host, "sdx", "pci0000:00/ata3/host2/target2:0:0/2:0:0:0", {"device/type": "5"}, number="8:80")
    directory = host.sys / "devices/virtual/block/dm-0"
    directory.mkdir(parents=True)
    (directory / "dev").write_text("252:0\n")
    (directory / "size").write_text("1000\n")
    (host.sys / "block/dm-0").symlink_to(directory)
    assert list_drives(host, None) == []
