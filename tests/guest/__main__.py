"""`python -m tests.guest [--build FOLDER] [PYTEST ARGUMENT]...`: boots the machine and ends as pytest does in it."""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.guest import machine

ROOT = Path(__file__).resolve().parent.parent.parent
BOOT = Path(__file__).with_name("boot")

MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
"""Without these the guest does not get at its files; all others udev loads."""

LIMIT_S = 3600.0


def main() -> int:
    """The exit status of pytest in the guest; 1 when the guest did not get so far."""
    parser = argparse.ArgumentParser(prog="python -m tests.guest", description=__doc__)
    parser.add_argument(
        "--build", type=Path, default=ROOT / "build" / "guest", help="where ops/guest-packages.sh put its root"
    )
    options, arguments = parser.parse_known_args()
    built = options.build.resolve()
    kernel = next(iter(sorted((built / "root/boot").glob("vmlinuz-*"))), None)
    if kernel is None:
        parser.error(f"{built} has no kernel: run ops/guest-packages.sh {built}")
    with tempfile.TemporaryDirectory(prefix="eraser-guest-") as name:
        folder = Path(name)
        results = folder / "results"
        results.mkdir()
        (results / "arguments").write_text(shlex.join(arguments or ["tests/guest"]))
        (results / "checkout").write_text(str(ROOT))
        (results / "environment").write_text(sys.prefix)
        initramfs = make_initramfs(folder, built / "root", kernel.name.removeprefix("vmlinuz-"))
        machine.make_images(folder)
        shares = {"host": (Path("/"), False), "tools": (built / "root", False), "results": (results, True)}
        status = run(machine.command(kernel, initramfs, shares), folder)
        for kept in ("dmesg", "report.xml"):
            if (results / kept).exists():
                shutil.copy(results / kept, built / kept)
        verdict = results / "status"
        if not verdict.exists():
            print(f"guest: it ended (QEMU: {status}) before pytest did; {built}/dmesg may tell", file=sys.stderr)
            return 1
        return int(verdict.read_text())


def make_initramfs(folder: Path, root: Path, version: str) -> Path:
    """busybox, the modules in the order in which they are needed, and `boot/init`."""
    inside = folder / "initramfs"
    for name in ("bin", "modules", "proc", "sys", "dev", "host", "tools", "upper", "new"):
        (inside / name).mkdir(parents=True)
    busybox = shutil.which("busybox") or "/bin/busybox"
    shutil.copy(busybox, inside / "bin/busybox")
    shutil.copy(BOOT / "init", inside / "init")
    (inside / "init").chmod(0o755)
    for number, module in enumerate(_modules(root, version)):
        shutil.copy(module, inside / "modules" / f"{number:03}-{module.name}")
    made = folder / "initramfs.cpio"
    names = "\n".join(str(path.relative_to(inside)) for path in sorted(inside.rglob("*")))
    with made.open("wb") as file:
        subprocess.run(
            ["cpio", "--quiet", "-o", "-H", "newc"], cwd=inside, input=names.encode(), stdout=file, check=True
        )
    return made


def _modules(root: Path, version: str) -> list[Path]:
    modprobe = shutil.which("modprobe", path="/usr/sbin:/sbin:/usr/bin:/bin") or "modprobe"
    found: dict[Path, None] = {}
    for module in MODULES:
        command = [modprobe, "--show-depends", "-d", str(root), "-S", version, module]
        shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        for line in shown.splitlines():
            word, _, path = line.partition(" ")
            if word == "insmod":
                found[Path(path.strip())] = None
    return list(found)


def run(command: list[str], folder: Path) -> int:
    """QEMU's exit status. What the guest says goes to our output as it comes."""
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL) as process:
        try:
            return process.wait(LIMIT_S)
        except BaseException:
            process.kill()
            raise


if __name__ == "__main__":
    sys.exit(main())
