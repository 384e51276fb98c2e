"""Meters: rate of a call in processor time, processor time of a command with its children, and of the whole machine."""

import os
import platform
import selectors
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
CPUS = len(os.sched_getaffinity(0))
QUIET_SHARE = 0.05
"""Of all processors' time: with more than this taken by others the figures say little, those of the whole machine nothing."""
_STAT_BUSY = (0, 1, 2, 5, 6)
"""user, nice, system, irq, softirq of `/proc/stat` (proc(5)): what worked. Idle, iowait, steal and guest are not ours."""


class Sweep:
    """A fixed amount of one kind of work, some tenths of a second: the same each time it is called."""

    def __init__(self, call: Callable[[], object], call_bytes: int, *, seconds: float = 0.3) -> None:
        self._call = call
        call()
        self._calls = 1
        while (taken := self._taken()) < seconds / 8:
            self._calls *= 2
        self._calls = max(1, round(self._calls * seconds / taken))
        self.total_bytes = self._calls * call_bytes

    def __call__(self) -> None:
        for _ in range(self._calls):
            self._call()

    def gb_per_cpu_second(self) -> float:
        """10^9 bytes per second of this thread's processor time, so that other processes count as little as they can."""
        return self.total_bytes / self._taken() / 1e9

    def _taken(self) -> float:
        began = time.thread_time()
        self()
        return time.thread_time() - began


@dataclass(frozen=True, slots=True)
class Usage:
    """What a command took, in seconds. `machine_cpu` has the kernel's threads too, less what others took before: a share of
    `others` of all processors' time."""

    wall: float
    process_cpu: float
    machine_cpu: float
    others: float


def run(
    command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, idle_seconds: float = 1.0
) -> tuple[str, Usage]:
    """Runs a command to its end: its output and what it took. Raises RuntimeError when it fails.

    The machine is looked at for `idle_seconds` first: what others take then is taken to go on at that rate.
    """
    share = busy_share(idle_seconds)
    machine = _machine_cpu()
    began = time.monotonic()
    with subprocess.Popen(
        command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        output, complaints = _drain(process)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    if process.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: {complaints[-2000:] or output[-2000:]}")
    machine_cpu = _machine_cpu() - machine - share * CPUS * wall
    return output, Usage(wall, usage.ru_utime + usage.ru_stime, machine_cpu, share)


def _drain(process: subprocess.Popen[bytes]) -> tuple[str, str]:
    """Both outputs, to their ends. `communicate` would wait for the process too, and so lose what it used."""
    assert process.stdout is not None and process.stderr is not None
    parts: dict[int, bytes] = {process.stdout.fileno(): b"", process.stderr.fileno(): b""}
    with selectors.DefaultSelector() as selector:
        for fd in parts:
            selector.register(fd, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                chunk = os.read(key.fd, 1 << 16)
                parts[key.fd] += chunk
                if not chunk:
                    selector.unregister(key.fd)
    output, complaints = parts.values()
    return output.decode(), complaints.decode()


def busy_share(seconds: float) -> float:
    """Share of all processors' time that is taken, looked at for so long."""
    machine, began = _machine_cpu(), time.monotonic()
    time.sleep(seconds)
    return max(0.0, (_machine_cpu() - machine) / ((time.monotonic() - began) * CPUS))


def _machine_cpu() -> float:
    """Seconds that all processors have worked since the start, kernel threads included; 10 ms is the finest step."""
    first = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return sum(int(first[field]) for field in _STAT_BUSY) / TICKS_PER_SECOND


def available_bytes() -> int:
    """Memory that can be taken without swapping: `MemAvailable` of `/proc/meminfo`."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    raise RuntimeError("/proc/meminfo names no MemAvailable")


def machine() -> str:
    """The processor and the kernel, for the table's heading."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return f"{models[0] if models else platform.machine()}, {CPUS} processors, Linux {platform.release()}"
