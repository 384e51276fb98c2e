"""The peers, each run as its own users run it: OpenSSL, fio, nwipe. A peer that is not installed is None or skipped."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks import meters

MIB = 1 << 20
CHACHA20_GB_PER_SECOND = 0.49
"""nwipe 0.42's ChaCha20 on one core, its plain C, as it was measured once (10^9 bytes/s). Older ones have no ChaCha20."""
FIO_SHAPES = (("1M", 8), ("512k", 2), ("256k", 4))
"""Block size and queue depth: the best of these counts."""


def need(program: str) -> None:
    """Skips the benchmark where a peer is missing."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed: make bench-peers")


# ---- OpenSSL


def openssl_gb_per_cpu_second(cipher: str, *, seconds: int = 1) -> float:
    """10^9 bytes per second of processor time, in blocks of 1 MiB, by its own count."""
    options = ["-mr", "-seconds", str(seconds), "-bytes", str(MIB), "-evp", cipher]
    done = subprocess.run(["openssl", "speed", *options], capture_output=True, text=True, check=True)
    found = re.search(r"^\+F:\d+:[^:]+:([\d.]+)$", done.stdout, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"openssl speed said nothing to go by: {done.stdout}")
    return float(found[1]) / 1e9


def openssl_name() -> str:
    """Such as `OpenSSL 3.0.15`."""
    said = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout
    return " ".join(said.split()[:2])


# ---- fio


@dataclass(frozen=True, slots=True)
class FioRun:
    """Every drive written whole, then read whole: the longest of its own runtimes each, and processor time of both."""

    shape: str
    seconds: float
    process_cpu: float
    machine_cpu: float
    others: float


def fio(drives: Sequence[Path], size_bytes: int, block: str, depth: int) -> FioRun:
    """fio with io_uring and O_DIRECT, a thread a drive. Its content is zeros: what it costs to move bytes, and no more."""
    written, of_write = _fio_pass("write", drives, size_bytes, block, depth)
    read, of_read = _fio_pass("read", drives, size_bytes, block, depth)
    return FioRun(
        f"{block}, {depth} in flight",
        written + read,
        of_write.process_cpu + of_read.process_cpu,
        of_write.machine_cpu + of_read.machine_cpu,
        max(of_write.others, of_read.others),
    )


def best_fio(drives: Sequence[Path], size_bytes: int) -> FioRun:
    """The fastest of three block sizes."""
    return min((fio(drives, size_bytes, *shape) for shape in FIO_SHAPES), key=lambda run: run.seconds)


def _fio_pass(
    direction: str, drives: Sequence[Path], size_bytes: int, block: str, depth: int
) -> tuple[float, meters.Usage]:
    shared = [
        "--thread", "--output-format=json", "--ioengine=io_uring", "--direct=1", "--zero_buffers",
        f"--rw={direction}", f"--bs={block}", f"--iodepth={depth}", f"--size={size_bytes}",
    ]  # fmt: skip
    jobs = [word for drive in drives for word in (f"--name={drive.name}", f"--filename={drive}")]
    output, usage = meters.run(["fio", *shared, *jobs])
    runtimes = [job[direction]["runtime"] for job in json.loads(output[output.index("{") :])["jobs"]]
    assert len(runtimes) == len(drives)
    return max(runtimes) / 1000, usage


# ---- nwipe


def nwipe_has_chacha20() -> bool:
    """Whether the nwipe that is installed, if one is, knows ChaCha20."""
    return shutil.which("nwipe") is not None and "chacha20" in _nwipe_says("--help").lower()


def nwipe_name() -> str:
    """Such as `nwipe 0.42`."""
    return _nwipe_says("--version").strip().replace(" version", "")


def _nwipe_says(option: str) -> str:
    return subprocess.run(["nwipe", option], capture_output=True, text=True, check=False).stdout


# nwipe wipes whatever it finds when it believes that no drive was named. So it gets a /dev in which there is nothing else.
_ONLY_THESE = """
set -e
log=$1; shift; count=$1; shift
devices=$(mktemp -d)
mount -t tmpfs -o mode=755 tmpfs "$devices"
for name in null zero random urandom; do cp -a "/dev/$name" "$devices/"; done
named=
while [ "$count" -gt 0 ]; do cp -a "$1" "$devices/"; named="$named $1"; shift; count=$((count - 1)); done
mount --move "$devices" /dev
[ -n "$named" ]
exec nwipe --autonuke --nogui --nowait --noblank --verify=last --logfile="$log" "$@" $named
"""


def nwipe(drives: Sequence[Path], *options: str) -> meters.Usage:
    """nwipe writes and verifies the drives at once. Its time is that of the whole process, some of it spent in sleeps."""
    assert drives and all(re.fullmatch(r"/dev/loop\d+", str(drive)) for drive in drives)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        words = [str(log), str(len(drives)), *map(str, drives), *options]
        _, usage = meters.run(["unshare", "--mount", "sh", "-c", _ONLY_THESE, "nwipe", *words])
        assert log.read_text().count("| Erased |") == len(drives), "nwipe did not erase all of them"
    return usage
