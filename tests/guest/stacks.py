"""What a kernel makes of drives, by the usual tools; each a context manager that takes down what a test has left of it."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.guest.drives import settle, wait_until
from tests.lab.loop import run

PASSPHRASE = b"no secret at all"


@contextmanager
def raid(*devices: Path) -> Iterator[Path]:
    """A mirror."""
    node = Path("/dev/md0")
    words = ["--run", "--metadata=1.2", "--level=1", f"--raid-devices={len(devices)}", "--assume-clean"]
    run("mdadm", "--create", node, *words, *devices)
    settle()
    try:
        yield node
    finally:
        if Path("/sys/block/md0/md").exists():
            run("mdadm", "--stop", node)


@contextmanager
def volume(group: str, *devices: Path) -> Iterator[Path]:
    """A volume group over the drives with one active volume over all of them."""
    for device in devices:
        run("pvcreate", "-ff", "--yes", device)
    run("vgcreate", "--yes", group, *devices)
    run(
        "lvcreate",
        "--yes",
        "--wipesignatures",
        "n",
        "--stripes",
        str(len(devices)),
        "-l",
        "100%FREE",
        "-n",
        "data",
        group,
    )
    settle()
    node = Path("/dev/mapper", f"{group}-data")
    try:
        yield node
    finally:
        if node.exists():
            run("vgchange", "--activate", "n", group)


@contextmanager
def opened_luks(device: Path) -> Iterator[Path]:
    """An opened encrypted volume, of LUKS 2."""
    _cryptsetup("luksFormat", "--batch-mode", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", device)
    _cryptsetup("open", device, "opened")
    settle()
    node = Path("/dev/mapper/opened")
    try:
        yield node
    finally:
        if node.exists():
            run("cryptsetup", "close", "opened")


def _cryptsetup(verb: str, *words: object) -> None:
    command = ["cryptsetup", verb, "--key-file=-", *map(str, words)]
    subprocess.run(command, input=PASSPHRASE, check=True, capture_output=True)


@contextmanager
def multipathd(folder: Path) -> Iterator[None]:
    """The daemon, which makes a map of every drive that it finds twice."""
    settings = Path("/etc/multipath.conf")
    settings.write_text("defaults {\n  find_multipaths yes\n}\n")
    run("modprobe", "dm-multipath")
    with (
        (folder / "multipathd.log").open("wb") as log,
        subprocess.Popen(["multipathd", "-d"], stdout=log, stderr=log) as daemon,
    ):
        try:
            yield
        finally:
            subprocess.run(["multipath", "-F"], capture_output=True, check=False)
            daemon.terminate()
            daemon.wait(30)
            settings.unlink()


def await_map(*devices: Path) -> Path:
    """The multipath map over these paths, once it is there."""

    def found() -> Path | None:
        for slaves in Path("/sys/block").glob("dm-*/slaves"):
            if {entry.name for entry in slaves.iterdir()} == {device.name for device in devices}:
                return Path("/dev", slaves.parent.name)
        return None

    node: Path = wait_until(found, "a multipath map")
    settle()
    return node


@contextmanager
def mounted(device: Path, folder: Path) -> Iterator[Path]:
    """Whatever file system is on it."""
    folder.mkdir()
    run("mount", device, folder)
    try:
        yield folder
    finally:
        run("umount", folder)


def one_partition(device: Path) -> Path:
    """A table with one partition, which the kernel then has; its node."""
    subprocess.run(["sfdisk", "--quiet", device], input=b"start=2048, type=L\n", check=True, capture_output=True)
    settle()
    name = f"{device.name}p1" if device.name[-1].isdigit() else f"{device.name}1"
    part = device.with_name(name)
    wait_until(part.exists, f"the partition {part}")
    return part


def forget(*devices: Path) -> None:
    """No signature of any format is left on them."""
    for device in devices:
        with contextlib.suppress(OSError):
            run("wipefs", "--all", "--force", device)
    settle()
