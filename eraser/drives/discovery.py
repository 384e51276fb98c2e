"""Finding drives, and saying of one path which drive it is."""

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from eraser.domain.drive import Condition, Drive, Geometry, Media, Transport
from eraser.drives import identity, udev
from eraser.drives.commands import Courier, KernelCourier
from eraser.drives.conditions import conditions_of
from eraser.drives.identity import SCSI_DISK_TYPES, Findings
from eraser.drives.numbers import BlockNumber, FileNumber
from eraser.drives.sysfs import SYSFS_SECTOR_BYTES, BlockDevice, Host
from eraser.errors import DriveError, Refused, UsageError

IMAGE_SECTOR_BYTES = 512
IMAGE_BLOCK_BYTES = 4096
"""Files have no sectors: the smallest unit that any drive would have, and the page that file systems write."""

SYSTEM_FOLDERS = (
    *("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr", "/nix", "/gnu"),  # programs and libraries
    *("/boot", "/efi", "/etc", "/proc", "/sys"),  # what starts it, its settings, its kernel's own files
)
"""Where only the running system's files are and never an image. Not /var, /home, /root, /srv, /run, /opt or /tmp: images
of virtual machines and mounted sticks are had there."""

LIVE = Host()

OpenCourier = Callable[[str], AbstractContextManager[Courier]]
"""Opens the way for commands to the device at a path."""


def list_drives(host: Host = LIVE, courier: OpenCourier | None = KernelCourier) -> list[Drive]:
    """Every drive of the machine, by name: whole disks that something can be written to, each physical drive once.

    With `courier` None no drive is asked anything: identity and size are then by the kernel's word.
    """
    links = udev.links_by_id(host)
    found: list[Drive] = []
    for device in drives_of(host):
        if any(host.node(device) in drive.other_paths for drive in found):
            continue
        # A drive that is pulled while it is looked at is not here.
        with contextlib.suppress(DriveError):
            found.append(describe(device, host, courier, links=links))
    return found


def identify(path: str | os.PathLike[str], host: Host = LIVE, courier: OpenCourier | None = KernelCourier) -> Drive:
    """The drive at `path`: a whole disk's device node, any link to it, or a regular file as a disk image.

    Raises UsageError where nothing there could be a drive, Refused for a partition, an assembled device or an empty
    file, DriveError when it goes away meanwhile.
    """
    given = os.fspath(path)
    try:
        status = Path(given).stat()
    except OSError as error:
        raise UsageError(
            f"cannot be looked at ({error.strerror})", subject=given, remedy="See `eraser drives` for what is here."
        ) from error
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFREG:
        return _image(os.path.realpath(given), status, host)
    if kind != stat.S_IFBLK:
        raise UsageError(
            f"is {_KINDS.get(kind, 'no file')}, not a drive", subject=given, remedy="Name a whole disk or a disk image."
        )
    device = host.device(BlockNumber(os.major(status.st_rdev), os.minor(status.st_rdev)))
    if device is None:
        raise DriveError("the kernel has no such device (any more)", subject=given, remedy="Plug it in again.")
    _refuse_parts(device, host, given)
    return describe(device, host, courier, path=_node_path(given, device, host))


_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a character device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def drives_of(host: Host) -> Iterator[BlockDevice]:
    """Whole disks that are drives: no assembled devices, no optical or unbound virtual ones."""
    for device in host.disks():
        if is_drive(device):
            yield device


def is_drive(device: BlockDevice) -> bool:
    """Whether a whole disk is a drive, if only one without a medium: an unbound loop device is none."""
    return _may_be_drive(device) and bool(device.integer("size") or _has_hardware(device))


def describe(
    device: BlockDevice,
    host: Host = LIVE,
    courier: OpenCourier | None = KernelCourier,
    *,
    path: str = "",
    links: Mapping[str, tuple[str, ...]] | None = None,
) -> Drive:
    """What is known of one whole disk. Raises DriveError when it goes away meanwhile."""
    node = path or host.node(device)
    found = identity.from_sysfs(device, host)
    if courier is not None and identity.may_answer(device, found.transport) and device.integer("size"):
        with courier(node) as way:
            found = identity.from_drive(found, way, device)
    other_paths, namesakes = _bearers(device, found, host)
    by_id = udev.links_by_id(host) if links is None else links
    found = identity.from_udev(found, by_id.get(device.name, ()), udev.properties(device, host))
    if not device.text("dev"):
        raise DriveError("it went away while it was identified", subject=node, remedy="Plug it in again.")
    return Drive(
        path=node,
        transport=found.transport,
        media=found.media,
        identity=found.identity,
        geometry=_geometry(device, found),
        bridge=found.bridge,
        conditions=conditions_of(device, found, has_namesakes=bool(namesakes)),
        write_cache=device.text("queue/write_cache"),
        other_paths=other_paths,
        namesakes=namesakes,
        disk_sequence=device.integer("diskseq"),
    )


def _geometry(device: BlockDevice, found: Findings) -> Geometry:
    capacity = device.integer("size") * SYSFS_SECTOR_BYTES
    logical = device.integer("queue/logical_block_size", 512)
    return Geometry(
        capacity_bytes=capacity,
        logical_sector_bytes=logical,
        physical_sector_bytes=max(logical, device.integer("queue/physical_block_size", logical)),
        native_capacity_bytes=found.native_capacity_bytes,
        hidden_areas=found.hidden_areas,
        hidden_areas_unknown=found.hidden_areas_unknown,
    )


def _bearers(device: BlockDevice, found: Findings, host: Host) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Nodes of other disks that bear one of this drive's world-wide names: first those that lead to the same drive, then
    those of other drives, which have a serial number of their own: makers of cheap drives give all of them one name.

    By sysfs: it is asked of every disk.
    """
    names = identity.world_wide_names(found.identity)
    if not names:
        return (), ()
    serials = {found.identity.serial, identity.from_sysfs(device, host).identity.serial} - {""}
    same: list[str] = []
    others: list[str] = []
    for other in drives_of(host):
        if other.directory == device.directory or not identity.may_answer(other, identity.transport_of(other)):
            continue
        theirs = identity.from_sysfs(other, host).identity
        if names & identity.world_wide_names(theirs):
            is_another = theirs.serial and serials and theirs.serial not in serials
            (others if is_another else same).append(host.node(other))
    return tuple(same), tuple(others)


def _node_path(given: str, device: BlockDevice, host: Host) -> str:
    """The kernel's own name for the node where it leads to this device, else the path that was given."""
    node = host.node(device)
    number = device.number
    try:
        same = Path(node).stat().st_rdev == os.makedev(number.major, number.minor)
    except OSError:
        same = False
    return node if same else os.path.realpath(given)


def _may_be_drive(device: BlockDevice) -> bool:
    kind = device.text("device/type")
    if kind and device.name.startswith("sd"):
        return kind in SCSI_DISK_TYPES
    if device.name.startswith(("loop", "zram")):
        return True
    return _has_hardware(device) and not device.name.startswith(("sr", "fd", "nbd"))


def _has_hardware(device: BlockDevice) -> bool:
    return (device.directory / "device").exists() or device.name.startswith("mmcblk")


def _refuse_parts(device: BlockDevice, host: Host, given: str) -> None:
    """Raises Refused for what is a part of a drive, or made of drives."""
    if device.is_partition:
        raise Refused(
            "partition",
            "it is a partition, and only whole drives are erased",
            subject=given,
            remedy=f"Name the whole disk {host.node(device.whole)}.",
        )
    if not _may_be_drive(device):
        beneath = ", ".join(host.node(slave.whole) for slave in device.slaves())
        raise Refused(
            "not-a-drive",
            "it is made by the kernel out of other devices, or no disk",
            subject=given,
            remedy=f"Take it apart and name the drives below it: {beneath}." if beneath else "Name a whole disk.",
        )


def _image(path: str, status: os.stat_result, host: Host) -> Drive:
    """A regular file as a drive. Raises Refused when it is empty, or there for something else."""
    _refuse_system_file(path, status, host)
    if status.st_size == 0:
        raise Refused("zero-capacity", "it is an empty file", subject=path, remedy="Name a disk image with content.")
    return Drive(
        path=path,
        transport=Transport.IMAGE,
        media=Media.UNKNOWN,
        identity=identity.of_image(FileNumber(status.st_dev, status.st_ino), path, host),
        geometry=Geometry(status.st_size, IMAGE_SECTOR_BYTES, IMAGE_BLOCK_BYTES),
        conditions=() if _may_write(path) else (Condition.READ_ONLY,),
    )


def _refuse_system_file(path: str, status: os.stat_result, host: Host) -> None:
    dev = str(host.dev)
    # Not what is mounted below it, such as /dev/shm: images in memory are had there.
    if path.startswith(f"{dev}/") and status.st_dev == host.dev.stat().st_dev:
        raise Refused(
            "file-in-dev",
            "it is a regular file among the device nodes, as a mistyped name leaves behind, and no drive",
            subject=path,
            remedy="Find the drive's right name with `eraser drives`; the file may be removed.",
        )
    if folder := next((folder for folder in SYSTEM_FOLDERS if path.startswith(f"{folder}/")), None):
        raise Refused(
            "system-file",
            f"it is a file of the running system, by its place in {folder}, and no disk image",
            subject=path,
            remedy="Name a disk image. One that lies there by mistake has to be moved first.",
        )


def _may_write(path: str) -> bool:
    """By permissions and by the file system's state; what else forbids it shows when the file is claimed."""
    return os.access(path, os.W_OK) and not os.statvfs(path).f_flag & os.ST_RDONLY
