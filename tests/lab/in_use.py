"""The ways in which a drive can be in use, each a context manager over a device that the test has made."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.lab.loop import LabError, run, scratch_folder
from tests.lab.requirements import Need, require

LINUX_PARTITION = 0x83


@contextmanager
def partitioned(device: Path, *, first_sector: int = 2048, sectors: int | None = None) -> Iterator[Path]:
    """One partition, in a table on the drive and in the kernel (/dev/loopNp1); the table stays when it is over.

    Without `sectors` it reaches to the end of the drive.
    """
    require(Need.LOOP, tools=("partx",))
    size = int((Path("/sys/class/block") / device.name / "size").read_text()) * 512
    sector_bytes = int((Path("/sys/class/block") / device.name / "queue/logical_block_size").read_text())
    _write_partition_table(device, first_sector, sectors or size // sector_bytes - first_sector)
    # partx parses the table itself: not every kernel does.
    run("partx", "--add", device)
    try:
        yield device.with_name(f"{device.name}p1")
    finally:
        run("partx", "--delete", device)


def _write_partition_table(device: Path, first_sector: int, sectors: int) -> None:
    """Write a master boot record with one partition, addressed by sectors only (the old geometry fields are full)."""
    record = bytearray(512)
    no_geometry = b"\xfe\xff\xff"
    record[446:462] = struct.pack("<B3sB3sII", 0, no_geometry, LINUX_PARTITION, no_geometry, first_sector, sectors)
    record[510:512] = b"\x55\xaa"
    with device.open("r+b") as drive:
        drive.write(record)
        drive.flush()
        os.fsync(drive.fileno())


@contextmanager
def mounted(device: Path) -> Iterator[Path]:
    """A fresh ext4 on the drive, mounted read-only (mounted to write it would change by itself); its mount point."""
    require(Need.EXT4)
    make_ext4(device)
    with scratch_folder() as folder:
        run("mount", "-t", "ext4", "-o", "ro", device, folder)
        try:
            yield folder
        finally:
            run("umount", folder)


@contextmanager
def mounted_elsewhere(device: Path) -> Iterator[int]:
    """As `mounted`, but in a mount namespace of its own, where /proc/self/mounts does not show it; a process in it."""
    require(Need.EXT4, tools=("unshare",))
    make_ext4(device)
    with scratch_folder() as folder:
        script = 'mount -t ext4 -o ro "$0" "$1" && echo ready && read end'
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, str(device), str(folder)]
        with _process(command) as pid:
            yield pid


def make_ext4(device: Path) -> None:
    """Make an ext4 that has nothing left to do later."""
    run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", device)


@contextmanager
def swap_on(device: Path) -> Iterator[None]:
    """The drive is swap, of the lowest priority, so that nothing is put there while there is memory."""
    require(Need.SWAP, tools=("mkswap", "swapon", "swapoff"))
    run("mkswap", device)
    run("swapon", "--priority", "0", device)
    try:
        yield
    finally:
        run("swapoff", device)


@contextmanager
def mapped(device: Path) -> Iterator[Path]:
    """The drive under a device-mapper device that passes everything on; its path."""
    require(Need.DEVICE_MAPPER)
    name = Path(tempfile.mktemp(prefix="eraser-lab-")).name
    sectors = int((Path("/sys/class/block") / device.name / "size").read_text())
    run("dmsetup", "create", name, "--table", f"0 {sectors} linear {device} 0")
    try:
        yield Path("/dev/mapper") / name
    finally:
        run("dmsetup", "remove", name)


@contextmanager
def held_open(path: Path, flags: int = os.O_RDONLY) -> Iterator[int]:
    """Another process has `path` open with `flags` (say os.O_RDWR | os.O_EXCL); its number."""
    script = f"import os, sys; os.open(sys.argv[1], {flags}); print('ready', flush=True); sys.stdin.read()"
    with _process([sys.executable, "-S", "-c", script, str(path)]) as pid:
        yield pid


@contextmanager
def _process(command: Sequence[str]) -> Iterator[int]:
    """A process that says "ready" and ends with its standard input; its number."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise LabError(f"{' '.join(command)} ended with {process.wait()}")
        yield process.pid
