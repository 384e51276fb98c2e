"""Who a drive is, from everything that can be asked: sysfs first, then the drive itself, then what udev noted.

The drive's own word goes before its bridge's. What cannot be asked stays empty or None, never guessed.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from eraser.domain.drive import Identity, Media, SerialSource, Transport
from eraser.drives import ata, nvme, scsi, tcg
from eraser.drives.commands import Courier, NoAnswer, Reply
from eraser.drives.loops import backing, image_identity
from eraser.drives.mounts import hanging_places
from eraser.drives.numbers import FileNumber
from eraser.drives.sysfs import BlockDevice, Host
from eraser.errors import DriveError

T = TypeVar("T")

ASKED = frozenset({Transport.SATA, Transport.SAS, Transport.USB, Transport.NVME, Transport.UNKNOWN})
"""Transports behind which something may answer commands. For the others nothing is asked and no process is started."""

SCSI_DISK_TYPES = frozenset({"0", "14", "20"})
"""`device/type` of what the kernel drives as a disk: direct access, simplified direct access, zoned."""


HIDDEN_AREAS = ("hpa", "ama", "dco")
"""Features of an ATA drive that can hide sectors from whoever does not ask for them."""

MAYBE_ATA = frozenset({Transport.SATA, Transport.USB, Transport.UNKNOWN})
"""Transports behind which an ATA drive may be."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found out so far. `native_capacity_bytes` includes hidden areas, None where nobody said."""

    transport: Transport
    identity: Identity = field(default_factory=Identity)
    media: Media = Media.UNKNOWN
    bridge: str = ""
    native_capacity_bytes: int | None = None
    hidden_areas: tuple[str, ...] = ()
    hidden_areas_unknown: tuple[str, ...] = ()
    """Those that could not be asked for: while there are any, the native size is a lower bound."""
    security_locked: bool = False
    opal_locked: bool = False


def transport_of(device: BlockDevice) -> Transport:
    """By the kernel's name for the device and the path of buses that leads to it."""
    name, path = device.name, f"{device.directory}/"
    for prefix, transport in _BY_NAME.items():
        if name.startswith(prefix):
            return transport
    if "/usb" in path:
        return Transport.USB
    if "/ata" in path or device.text("device/vendor") == "ATA":
        return Transport.SATA
    if "/end_device-" in path or (device.directory / "device" / "sas_address").exists():
        return Transport.SAS
    return Transport.VIRTIO if "/virtio" in path else Transport.UNKNOWN


_BY_NAME = {
    "nvme": Transport.NVME,
    "mmcblk": Transport.MMC,
    "vd": Transport.VIRTIO,
    "loop": Transport.LOOP,
    "zram": Transport.ZRAM,
}


def may_answer(device: BlockDevice, transport: Transport) -> bool:
    """Whether it is worth asking. Behind a virtual SCSI adapter may be a real drive that the machine below hands on."""
    return transport in ASKED or (transport is Transport.VIRTIO and not device.name.startswith("vd"))


def from_sysfs(device: BlockDevice, host: Host) -> Findings:
    """What the kernel knows by itself. Never waits for the drive."""
    transport = transport_of(device)
    unknown = HIDDEN_AREAS if transport in MAYBE_ATA else ()
    return _SYSFS_READERS.get(transport, _scsi_from_sysfs)(
        device, host, Findings(transport, hidden_areas_unknown=unknown)
    )


def of_image(number: FileNumber, path: str, host: Host) -> Identity:
    """A regular file as a drive."""
    return image_identity(None if path in hanging_places(host) else number, path)


def from_drive(found: Findings, courier: Courier, device: BlockDevice) -> Findings:
    """`found` with what the drive itself answers. What it does not answer stays as it was."""
    if found.transport is Transport.NVME:
        return _ask_nvme(found, courier, device.integer("nsid", 1))
    if found.transport is not Transport.SATA:
        found = _ask_scsi(found, courier)
    found = _ask_ata(found, courier)
    locked = False
    with contextlib.suppress(NoAnswer, DriveError):
        locked = tcg.is_locked(_data(courier.scsi(tcg.security_protocol_in_cdb(), tcg.DISCOVERY_BYTES)))
    return replace(found, opal_locked=locked)


def from_udev(found: Findings, links: tuple[str, ...], properties: dict[str, str]) -> Findings:
    """`found` with what udev noted where nothing better is known: its properties, the names in /dev/disk/by-id."""
    identity = found.identity
    own = found.transport not in (Transport.USB, Transport.LOOP, Transport.ZRAM)
    serial = properties.get("ID_SERIAL_SHORT", "")
    if not identity.serial and serial:
        source = SerialSource.DRIVE if own else SerialSource.ENCLOSURE
        identity = replace(identity, serial=serial, serial_source=source)
    if not own:
        return replace(found, identity=identity)
    for link in links:
        if link.startswith("wwn-0x") and not identity.wwn:
            identity = replace(identity, wwn=link.removeprefix("wwn-0x").lower())
        elif link.startswith("ata-") and not identity.serial and "_" in link:
            model, _, serial = link.removeprefix("ata-").rpartition("_")
            identity = replace(identity, serial=serial, serial_source=SerialSource.DRIVE)
            identity = replace(identity, model=identity.model or model.replace("_", " "))
    return replace(found, identity=identity)


def world_wide_names(identity: Identity) -> frozenset[str]:
    """All names of a drive, each with its kind."""
    pairs = (("wwn", identity.wwn), ("eui64", identity.eui64), ("nguid", identity.nguid))
    return frozenset(f"{kind}:{name}" for kind, name in pairs if name)


# What sysfs has, per transport.


def _scsi_from_sysfs(device: BlockDevice, host: Host, found: Findings) -> Findings:
    vendor, model = device.text("device/vendor"), device.text("device/model")
    identity = Identity(
        manufacturer="" if vendor == "ATA" else vendor,
        model=model,
        serial=_parsed(scsi.parse_serial, device.data("device/vpd_pg80"), ""),
        firmware=device.text("device/rev"),
    )
    names = _parsed(scsi.parse_names, device.data("device/vpd_pg83"), scsi.Names())
    rotation = _parsed(scsi.parse_rotation_rpm, device.data("device/vpd_pgb1"), 0)
    found = replace(found, media=_media(rotation))
    if found.transport is Transport.USB:
        return _usb_from_sysfs(device, replace(found, identity=identity))
    identity = replace(identity, wwn=names.naa, eui64=names.eui64, serial_source=_own(identity.serial))
    if rotation == 0 and found.transport in (Transport.SATA, Transport.SAS):
        found = replace(found, media=Media.MAGNETIC if device.text("queue/rotational") == "1" else Media.FLASH)
    found = replace(found, identity=identity)
    page = _parsed(scsi.parse_ata_information, device.data("device/vpd_pg89"), b"")
    return _with_identify(found, _parsed(ata.parse_identify, page, None))


def _usb_from_sysfs(device: BlockDevice, found: Findings) -> Findings:
    """A bridge's serial and names are not the drive's: no name is taken over, the serial is marked."""
    usb = device.ancestor_with("idVendor")
    bridge = serial = ""
    if usb is not None:
        bridge = " ".join(part for part in (usb.text("manufacturer"), usb.text("product")) if part)
        serial = usb.text("serial")
    identity = replace(found.identity, serial=found.identity.serial or serial)
    source = SerialSource.ENCLOSURE if identity.serial else SerialSource.NONE
    return replace(found, bridge=bridge, identity=replace(identity, serial_source=source))


def _nvme_from_sysfs(device: BlockDevice, host: Host, found: Findings) -> Findings:
    serial = device.text("device/serial")
    identity = Identity(
        model=device.text("device/model"),
        serial=serial,
        serial_source=_own(serial),
        firmware=device.text("device/firmware_rev"),
        eui64=_name(device.text("eui")),
        nguid=_name(device.text("nguid")),
    )
    return replace(found, identity=identity, media=Media.FLASH)


def _mmc_from_sysfs(device: BlockDevice, host: Host, found: Findings) -> Findings:
    # A boot partition is a disk of its own below its card's disk and has the card only as ancestor.
    card = device if device.text("device/cid") else BlockDevice(device.directory.parent)
    serial = card.text("device/serial").removeprefix("0x")
    identity = Identity(
        manufacturer=card.text("device/manfid"),
        model=card.text("device/name"),
        serial=serial,
        serial_source=_own(serial),
        firmware=card.text("device/fwrev"),
    )
    return replace(found, identity=identity, media=Media.FLASH)


def _virtio_from_sysfs(device: BlockDevice, host: Host, found: Findings) -> Findings:
    if not device.name.startswith("vd"):
        return _scsi_from_sysfs(device, host, found)
    serial = device.text("serial")
    return replace(found, identity=Identity(serial=serial, serial_source=_own(serial)))


def _loop_from_sysfs(device: BlockDevice, host: Host, found: Findings) -> Findings:
    """A loop device has no name of its own: it is the image that it shows."""
    shown = backing(device, host) if device.text("loop/backing_file") else None
    return found if shown is None else replace(found, identity=shown.identity)


def _zram_from_sysfs(device: BlockDevice, host: Host, found: Findings) -> Findings:
    return found


_SYSFS_READERS: dict[Transport, Callable[[BlockDevice, Host, Findings], Findings]] = {
    Transport.NVME: _nvme_from_sysfs,
    Transport.MMC: _mmc_from_sysfs,
    Transport.VIRTIO: _virtio_from_sysfs,
    Transport.LOOP: _loop_from_sysfs,
    Transport.ZRAM: _zram_from_sysfs,
}


# What the drive answers.


def _ask_scsi(found: Findings, courier: Courier) -> Findings:
    identity = found.identity
    with contextlib.suppress(NoAnswer, DriveError):
        inquiry = scsi.parse_inquiry(_data(courier.scsi(scsi.inquiry_cdb(), scsi.INQUIRY_BYTES)))
        vendor = "" if inquiry.vendor == "ATA" else inquiry.vendor
        identity = replace(identity, manufacturer=vendor, model=inquiry.product, firmware=inquiry.revision)
    with contextlib.suppress(NoAnswer, DriveError):
        serial = scsi.parse_serial(_page(courier, scsi.UNIT_SERIAL_NUMBER))
        if serial:
            source = SerialSource.ENCLOSURE if found.transport is Transport.USB else SerialSource.DRIVE
            identity = replace(identity, serial=serial, serial_source=source)
    if found.transport is not Transport.USB:
        with contextlib.suppress(NoAnswer, DriveError):
            names = scsi.parse_names(_page(courier, scsi.DEVICE_IDENTIFICATION))
            identity = replace(identity, wwn=names.naa or identity.wwn, eui64=names.eui64 or identity.eui64)
    found = replace(found, identity=identity)
    with contextlib.suppress(NoAnswer, DriveError):
        rotation = scsi.parse_rotation_rpm(_page(courier, scsi.BLOCK_DEVICE_CHARACTERISTICS))
        found = replace(found, media=_media(rotation) if rotation else found.media)
    with contextlib.suppress(NoAnswer, DriveError):
        answer = courier.scsi(scsi.read_capacity_16_cdb(), scsi.READ_CAPACITY_16_BYTES)
        found = replace(found, native_capacity_bytes=scsi.parse_read_capacity_16(_data(answer)).capacity_bytes)
    return found


def _ask_ata(found: Findings, courier: Courier) -> Findings:
    """IDENTIFY DEVICE and, where the drive has the features, its native sizes: also through a USB bridge."""
    try:
        identify = ata.parse_identify(_data(courier.scsi(ata.identify_cdb(), ata.IDENTIFY_BYTES)))
    except (NoAnswer, DriveError):
        return found
    hidden, unknown, largest = [], [], identify.user_sectors
    for area, sectors in _native_sectors(courier, identify):
        if sectors is None:
            unknown.append(area)
        elif sectors > largest:
            hidden.append(area)
            largest = sectors
    return replace(
        _with_identify(found, identify),
        native_capacity_bytes=max(found.native_capacity_bytes or 0, largest * identify.logical_sector_bytes),
        hidden_areas=tuple(hidden),
        hidden_areas_unknown=tuple(unknown),
    )


def _native_sectors(courier: Courier, identify: ata.Identify) -> list[tuple[str, int | None]]:
    """Per feature that can hide sectors: how many the drive has without it, None where it does not say.

    Outer ones first: a DCO hides sectors from a native maximum, which hides them from the user.
    """

    def registers(cdb: bytes, has_lba48: bool) -> int | None:
        try:
            return ata.native_sectors(courier.scsi(cdb, 0).sense, has_lba48=has_lba48)
        except NoAnswer:
            return None

    def configuration() -> int | None:
        try:
            return ata.dco_sectors(_data(courier.scsi(ata.dco_identify_cdb(), ata.IDENTIFY_BYTES)))
        except NoAnswer:
            return None

    native: list[tuple[str, int | None]] = []
    if identify.has_hpa:
        native.append(("hpa", registers(ata.read_native_max_cdb(has_lba48=identify.has_lba48), identify.has_lba48)))
    if identify.has_ama:
        native.append(("ama", registers(ata.ama_native_max_cdb(), True)))
    if identify.has_dco:
        native.append(("dco", configuration()))
    return native


def _with_identify(found: Findings, identify: ata.Identify | None) -> Findings:
    """`found` with the ATA drive's own word in the place of its bridge's or its translation layer's."""
    if identify is None:
        return found
    identity = Identity(
        model=identify.model,
        serial=identify.serial or found.identity.serial,
        serial_source=SerialSource.DRIVE if identify.serial else found.identity.serial_source,
        wwn=identify.wwn or found.identity.wwn,
        firmware=identify.firmware,
    )
    return replace(
        found,
        identity=identity,
        media=_media(identify.rotation_rpm) if identify.rotation_rpm else found.media,
        hidden_areas_unknown=_areas_of(identify),
        security_locked=identify.security_locked,
    )


def _areas_of(identify: ata.Identify) -> tuple[str, ...]:
    """The features of HIDDEN_AREAS that the drive says it has."""
    has = {"hpa": identify.has_hpa, "ama": identify.has_ama, "dco": identify.has_dco}
    return tuple(area for area in HIDDEN_AREAS if has[area])


def _ask_nvme(found: Findings, courier: Courier, nsid: int) -> Findings:
    identity = found.identity
    security = False
    with contextlib.suppress(NoAnswer, DriveError):
        controller = nvme.parse_controller(_nvme_page(courier, 0, nvme.CNS_CONTROLLER))
        security = controller.security_commands
        identity = replace(
            identity,
            model=controller.model,
            serial=controller.serial,
            serial_source=_own(controller.serial),
            firmware=controller.firmware,
        )
    found = replace(found, identity=identity)
    with contextlib.suppress(NoAnswer, DriveError):
        namespace = nvme.parse_namespace(_nvme_page(courier, nsid, nvme.CNS_NAMESPACE))
        found = replace(
            found,
            identity=replace(identity, eui64=namespace.eui64, nguid=namespace.nguid),
            native_capacity_bytes=namespace.capacity_bytes,
        )
    if security:
        with contextlib.suppress(NoAnswer, DriveError):
            # Security Receive: protocol in bits 31:24, the ComID in 23:8 of dword 10, the length in dword 11.
            dword = tcg.SECURITY_PROTOCOL << 24 | tcg.DISCOVERY_COM_ID << 8
            reply = courier.nvme_admin(nvme.SECURITY_RECEIVE_OPCODE, 0, dword, tcg.DISCOVERY_BYTES, tcg.DISCOVERY_BYTES)
            found = replace(found, opal_locked=tcg.is_locked(_data(reply)))
    return found


def _nvme_page(courier: Courier, nsid: int, cns: int) -> bytes:
    return _data(courier.nvme_admin(nvme.IDENTIFY_OPCODE, nsid, cns, 0, nvme.IDENTIFY_BYTES))


def _page(courier: Courier, page: int) -> bytes:
    return _data(courier.scsi(scsi.vpd_cdb(page), scsi.VPD_BYTES))


def _data(reply: Reply) -> bytes:
    if not reply.good:
        raise NoAnswer("the drive refused the command")
    return reply.data


def _parsed(parse: Callable[[bytes], T], data: bytes, default: T) -> T:
    """What an attribute of sysfs says; `default` where it is not there or makes no sense."""
    if not data:
        return default
    try:
        return parse(data)
    except DriveError:
        return default


def _media(rotation_rpm: int) -> Media:
    if rotation_rpm == 0:
        return Media.UNKNOWN
    return Media.FLASH if rotation_rpm == 1 else Media.MAGNETIC


def _own(serial: str) -> SerialSource:
    return SerialSource.DRIVE if serial else SerialSource.NONE


def _name(text: str) -> str:
    """An NVMe name as sysfs writes it (blanks or dashes between), as plain hex; empty when it is all zero."""
    digits = text.replace(" ", "").replace("-", "").lower()
    return digits if digits.strip("0") else ""
