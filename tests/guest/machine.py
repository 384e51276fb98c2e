"""The emulated hardware: a PC with PCIe slots, SATA, SAS, SCSI and USB, most of it empty until a test plugs something in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

MIB = 1 << 20
IMAGES = 200
"""Files with holes, one for each drive that any test plugs in: udev assembles what an earlier test left on one."""
IMAGE_BYTES = 64 * MIB
"""Small: a byte takes long here. Large enough for the headers of LUKS 2 (16 MiB) and for a btrfs."""

PORT = "eraser.monitor"
"""The serial port by which the guest speaks to the machine that it runs on."""

SATA_DRIVES = (
    {"serial": "SATA0001", "model": "EMULATED DISK", "wwn": "0x5000c500a0000001", "physical_block_size": "4096"},
    {"serial": "SATA0002", "model": "EMULATED DISK", "wwn": "0x5000c500a0000002"},
    {"serial": "SATA0003", "model": "EMULATED SSD", "wwn": "0x5000c500a0000003", "rotation_rate": "1"},
)
"""SATA drives stay: QEMU plugs nothing into a running AHCI. They have the last images, the first ones are the tests'."""


def image(number: int) -> str:
    """The file of an image, relative to where the machine runs."""
    return f"image-{number:03}"


def make_images(folder: Path) -> None:
    """Fresh, all zero."""
    for number in range(IMAGES):
        path = folder / image(number)
        path.unlink(missing_ok=True)
        with path.open("wb") as file:
            file.truncate(IMAGE_BYTES)


def command(kernel: Path, initramfs: Path, shares: dict[str, tuple[Path, bool]]) -> list[str]:
    """QEMU's command line, to be run where the images are. `shares`: folders by tag, and whether they may be written."""
    words = ["qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none"]
    words += ["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1", "-m", "2048"]
    words += [
        "-kernel",
        str(kernel),
        "-initrd",
        str(initramfs),
        "-append",
        "console=ttyS0 loglevel=3 panic=-1 mitigations=off",
    ]
    words += ["-serial", "stdio"]
    for tag, (folder, writable) in shares.items():
        mode = "on" if not writable else "off"
        share = f"local,path={folder},mount_tag={tag},security_model=none,readonly={mode},multidevs=remap"
        words += ["-virtfs", share]
    return [*words, *_devices(_monitor()), *_devices(_buses()), *_sata()]


def _devices(devices: Sequence[str]) -> Iterator[str]:
    for device in devices:
        yield from device.split(" ", 1)


def _monitor() -> list[str]:
    """QEMU's monitor, wired to a serial port of the guest: a socket that QEMU itself opens at its other end."""
    return [
        "-chardev socket,id=monitor,path=monitor,server=on,wait=off",
        "-mon chardev=monitor,mode=control",
        "-chardev socket,id=port,path=monitor",
        "-device virtio-serial-pci",
        f"-device virtserialport,chardev=port,name={PORT}",
    ]


def _buses() -> list[str]:
    return [
        *(
            f"-device pcie-root-port,id=slot{slot},slot={slot},chassis={slot},addr=0x{0x10 + slot:x}"
            for slot in (1, 2, 3)
        ),
        "-device qemu-xhci,id=usb,addr=0x8,p2=8,p3=8",
        "-device pvscsi,id=scsi0,addr=0x9",
        "-device pvscsi,id=scsi1,addr=0xa",
        "-device virtio-scsi-pci,id=vscsi,addr=0xb",
        "-device mptsas1068,id=sas,addr=0xc",
    ]


def _sata() -> Iterator[str]:
    for port, properties in enumerate(SATA_DRIVES):
        node = f"sata{port}"
        yield from ("-blockdev", f"driver=file,node-name={node},filename={image(IMAGES - 1 - port)},cache.direct=off")
        settings = ",".join(f"{name}={value}" for name, value in properties.items())
        yield from ("-device", f"ide-hd,bus=ide.{port},drive={node},{settings}")
