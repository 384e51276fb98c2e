"""Builders: small real devices and the ways to use them; each takes itself down again."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE_BYTES = 16 << 20


def run(*command: str | Path) -> str:
    """A command's output. Raises CalledProcessError when it fails."""
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout.strip()


def image(folder: Path, name: str = "drive.img", size_bytes: int = SIZE_BYTES) -> Path:
    """A disk image full of zeros."""
    path = folder / name
    with path.open("wb") as file:
        file.truncate(size_bytes)
    return path


@contextmanager
def partitioned(device: Path) -> Iterator[Path]:
    """One partition of a loop device, made known to the kernel without any table."""
    run("addpart", device, "1", "2048", str(SIZE_BYTES // 512 - 2048))
    try:
        yield device.with_name(f"{device.name}p1")
    finally:
        run("delpart", device, "1")


@contextmanager
def mounted(device: Path, folder: Path) -> Iterator[Path]:
    """A fresh ext4 on the device, mounted read-only."""
    run("mkfs.ext4", "-q", "-F", device)
    folder.mkdir(exist_ok=True)
    run("mount", "-o", "ro", device, folder)
    try:
        yield folder
    finally:
        run("umount", folder)


@contextmanager
def swapped_on(device: Path) -> Iterator[None]:
    """Swap on the device."""
    run("mkswap", device)
    run("swapon", device)
    try:
        yield
    finally:
        run("swapoff", device)


@contextmanager
def another_process(
    code: str, *arguments: str | Path, before: tuple[str, ...] = (), pass_fds: tuple[int, ...] = ()
) -> Iterator[subprocess.Popen[str]]:
    """A Python process that has run `code` and now waits; what it printed is read up to its first line."""
    script = f"import os, sys\n{code}\nprint('ready', flush=True)\nsys.stdin.read()\n"
    process = subprocess.Popen(
        [*before, sys.executable, "-I", "-S", "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=pass_fds,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.communicate()


def opened_by_another(path: Path, flags: int = os.O_RDONLY):
    """Another process that holds `path` open."""
    return another_process(f"fd = os.open(sys.argv[1], {flags})", path)
