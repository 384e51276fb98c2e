"""What a drive is: who it is, how it is attached, how large it says it is. Values only; `eraser.drives` finds them out."""

from dataclasses import dataclass, field
from enum import StrEnum

from eraser.domain.json_form import MOMENTARY


class Transport(StrEnum):
    """The interface that the drive itself speaks, as far as its path lets it be seen."""

    SATA = "sata"
    SAS = "sas"
    NVME = "nvme"
    USB = "usb"
    MMC = "mmc"
    VIRTIO = "virtio"
    LOOP = "loop"
    ZRAM = "zram"
    IMAGE = "image"
    UNKNOWN = "unknown"


class Media(StrEnum):
    """What the bits lie on; decides which techniques exist and what overwriting can reach."""

    MAGNETIC = "magnetic"
    FLASH = "flash"
    UNKNOWN = "unknown"


class SerialSource(StrEnum):
    """Whose serial number it is. A bridge's or an enclosure's says nothing about the drive inside; one that is nobody's
    (an image that cannot be told from a later one) nothing at all."""

    DRIVE = "drive"
    ENCLOSURE = "enclosure"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the drive is, in its own words: trimmed printable ASCII, empty where it does not say.

    `wwn` is the NAA name (16 or 32 hex digits), `eui64` and `nguid` NVMe's (16 and 32 hex digits), without prefix.
    """

    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    serial_source: SerialSource = SerialSource.NONE
    wwn: str = ""
    eui64: str = ""
    nguid: str = ""
    firmware: str = ""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Sizes in bytes. `native_capacity_bytes` is by the drive's own word (IDENTIFY, READ CAPACITY, Identify Namespace)
    including hidden areas, None where it could not be asked; `hidden_areas` names those seen: `hpa`, `dco`, `ama`.
    `hidden_areas_unknown` names those that may be there and could not be asked for: the native size is then the least.
    """

    capacity_bytes: int
    logical_sector_bytes: int
    physical_sector_bytes: int
    native_capacity_bytes: int | None = None
    hidden_areas: tuple[str, ...] = ()
    hidden_areas_unknown: tuple[str, ...] = ()

    @property
    def hidden_bytes(self) -> int:
        """Bytes that the drive has and the kernel does not show; 0 where nothing is known to be hidden."""
        return max(0, (self.native_capacity_bytes or 0) - self.capacity_bytes)


class Condition(StrEnum):
    """States in which a drive cannot be erased by overwriting; each is refused with its own remedy."""

    READ_ONLY = "read-only"
    ZERO_CAPACITY = "zero-capacity"
    NO_MEDIUM = "no-medium"
    SECURITY_LOCKED = "security-locked"
    OPAL_LOCKED = "opal-locked"
    ZONED = "zoned"
    BOOT_PARTITION = "mmc-boot-partition"
    AMBIGUOUS_IDENTITY = "ambiguous-identity"


@dataclass(frozen=True, slots=True)
class Drive:
    """One drive as it was identified through one path. What holds for the moment only is no part of any record."""

    path: str
    transport: Transport
    media: Media
    identity: Identity
    geometry: Geometry
    bridge: str = ""
    """Model of the USB bridge or enclosure in between, empty where there is none."""
    conditions: tuple[Condition, ...] = ()
    write_cache: str = ""
    """The kernel's `queue/write_cache`: `write back`, `write through`, or empty for files."""
    other_paths: tuple[str, ...] = ()
    """Further device nodes that lead to the same drive (one WWN, EUI or NGUID)."""
    namesakes: tuple[str, ...] = field(default=(), compare=False, metadata=MOMENTARY)
    """Device nodes of other drives, by their serial numbers, that bear one of this drive's world-wide names."""
    disk_sequence: int = field(default=0, compare=False, metadata=MOMENTARY)
    """The kernel's running number of the disk: another after each plugging in and change of medium, 0 where it has none
    (images, kernels before 5.15). It tells two drives apart that say nothing of themselves."""

    @property
    def label(self) -> str:
        """How people call it: model and serial where known, else the path."""
        name = " ".join(part for part in (self.identity.model, self.identity.serial) if part)
        return name or self.path

    @property
    def is_virtual(self) -> bool:
        """Whether it is a file or memory: only what can be addressed in it now is overwritten, not what lies beneath."""
        return self.transport in (Transport.VIRTIO, Transport.LOOP, Transport.ZRAM, Transport.IMAGE)


def same_drive(planned: Drive, found: Drive) -> str:
    """Why `found` is not the drive that was `planned`, or an empty string when nothing contradicts it.

    Model, serial, WWN, EUI, NGUID and sizes must all be equal: a difference in any one means another drive, an altered one,
    or a bridge that translates differently, and none of these may go on with the job of the first. The transport may
    differ: a drive that says the same of itself through another bay or bridge is the same drive.
    """
    checks = (
        ("model", planned.identity.model, found.identity.model),
        ("serial", planned.identity.serial, found.identity.serial),
        ("WWN", planned.identity.wwn, found.identity.wwn),
        ("EUI-64", planned.identity.eui64, found.identity.eui64),
        ("NGUID", planned.identity.nguid, found.identity.nguid),
        ("capacity", planned.geometry.capacity_bytes, found.geometry.capacity_bytes),
        ("logical sector size", planned.geometry.logical_sector_bytes, found.geometry.logical_sector_bytes),
    )
    for name, wanted, seen in checks:
        if wanted != seen:
            return f"{name} is {seen!r}, planned was {wanted!r}"
    return ""


def is_recognisable(drive: Drive) -> bool:
    """Whether the drive can be told from others when it comes back: by a serial or world-wide name of its own."""
    identity = drive.identity
    own_serial = identity.serial and identity.serial_source is SerialSource.DRIVE
    return bool(own_serial or identity.wwn or identity.eui64 or identity.nguid)
