"""Commands to a drive through the kernel (SG_IO, NVMe admin), with a deadline that holds whatever the drive does.

They run in a process of their own (`_messenger.py`), since an ioctl that a drive never answers cannot be interrupted.
"""

import contextlib
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

DEADLINE_SECONDS = 4.0
"""For all questions to one drive together; one command may take 3 s."""

KILL_SECONDS = 0.2
"""How long a killed messenger is waited for; one that takes longer is in the kernel's hands."""

_MESSENGER = Path(__file__).with_name("_messenger.py")
_ANSWER_LIMIT_BYTES = 1 << 16
_left_to_the_kernel: list[subprocess.Popen[bytes]] = []


class NoAnswer(Exception):
    """The drive, its bridge or the kernel did not take the question, or not in time. Handled where it is asked."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: the transport's status (0 for good), sense data and data, each as far as it was sent."""

    status: int
    sense: bytes
    data: bytes

    @property
    def good(self) -> bool:
        """Whether the drive says that the command did what it was to do."""
        return self.status == 0


class Courier(Protocol):
    """Brings one command at a time to one drive. Real drives, emulated firmware and tests implement it.

    Every method returns within the implementer's deadline or raises NoAnswer; after that each further one raises too.
    """

    def scsi(self, cdb: bytes, length: int) -> Reply:
        """Sends a SCSI command that reads up to `length` bytes (0: none)."""

    def nvme_admin(self, opcode: int, nsid: int, cdw10: int, cdw11: int, length: int) -> Reply:
        """Sends an NVMe admin command that reads `length` bytes."""


class KernelCourier:
    """The courier to a device node. A context manager; a messenger that hangs in the kernel is left to it."""

    def __init__(self, path: str, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        _left_to_the_kernel[:] = [process for process in _left_to_the_kernel if process.poll() is None]
        self._deadline = time.monotonic() + deadline_seconds
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_MESSENGER), path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={},
        )
        self._lost = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the messenger, without waiting for one that the kernel holds."""
        self._lost = True
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=KILL_SECONDS)
            return
        _left_to_the_kernel.append(self._process)

    def scsi(self, cdb: bytes, length: int) -> Reply:
        return self._ask(f"scsi {cdb.hex()} {length}\n")

    def nvme_admin(self, opcode: int, nsid: int, cdw10: int, cdw11: int, length: int) -> Reply:
        return self._ask(f"nvme {opcode} {nsid} {cdw10} {cdw11} {length}\n")

    def _ask(self, line: str) -> Reply:
        if self._lost:
            raise NoAnswer("the drive did not answer an earlier question")
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(line.encode())
        except OSError as error:
            self._lost = True
            raise NoAnswer("the device could not be opened") from error
        status, *rest = self._line().split()
        if status == "error":
            raise NoAnswer(os.strerror(int(rest[0])))
        host_status, sense, data = rest
        # A host status means that the drive itself was not reached, whatever `status` says.
        return Reply(int(status) or int(host_status) << 8, _bytes(sense), _bytes(data))

    def _line(self) -> str:
        assert self._process.stdout is not None
        stdout, text = self._process.stdout.fileno(), b""
        waiting = select.poll()  # select.select ends at fd 1,024
        waiting.register(stdout, select.POLLIN)
        while not text.endswith(b"\n"):
            left = self._deadline - time.monotonic()
            if left <= 0 or not waiting.poll(left * 1000):
                self._lost = True
                raise NoAnswer("the drive did not answer in time")
            more = os.read(stdout, _ANSWER_LIMIT_BYTES)
            if not more:
                self._lost = True
                raise NoAnswer("the messenger ended")
            text += more
        return text.decode("ascii")


def _bytes(text: str) -> bytes:
    return b"" if text == "-" else bytes.fromhex(text)
