"""QEMU's monitor, from inside the guest: by it the tests plug drives in and pull them. Source: QEMU Machine Protocol."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.guest.machine import PORT

PORTS = Path("/sys/class/virtio-ports")


class MonitorError(Exception):
    """QEMU refused a command; in its words."""


class Monitor:
    """One conversation with QEMU. Events are kept in `events`."""

    def __init__(self) -> None:
        names = {(port / "name").read_text().strip(): port.name for port in PORTS.iterdir() if (port / "name").exists()}
        self._file = Path("/dev", names[PORT]).open("r+b", buffering=0)  # noqa: SIM115
        self._rest = b""
        self.events: list[dict[str, Any]] = []
        self._answer("QMP")
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: Any) -> Any:
        """What QEMU returns. Raises MonitorError when it refuses. `_` in a name of an argument stands for `-`."""
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        self._file.write(json.dumps({"execute": command, "arguments": named}).encode() + b"\n")
        return self._answer("return")

    def _answer(self, key: str) -> Any:
        while True:
            answer = json.loads(self._line())
            if key in answer:
                return answer[key]
            if "error" in answer:
                raise MonitorError(answer["error"]["desc"])
            self.events.append(answer)

    def _line(self) -> bytes:
        while b"\n" not in self._rest:
            self._rest += self._file.read(65536) or b""
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
