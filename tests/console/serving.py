"""Raw questions over TCP and over a Unix socket, asked from the loop that answers them."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LINE_BYTES = 64 * 1024 * 1024
"""An event is one line."""


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes
    exact: dict[str, str] = field(default_factory=dict)
    """Headers with their values as they were sent."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def connect(place: int | Path, address: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """To a port of this host, or to a Unix socket."""
    if isinstance(place, Path):
        return await asyncio.open_unix_connection(place, limit=LINE_BYTES)
    return await asyncio.open_connection(address, place, limit=LINE_BYTES)


async def ask(
    place: int | Path, method: str, target: str, body: Any = None, *, address: str = "127.0.0.1", **headers: str
) -> Answer:
    """One request, one connection, within 20 s."""
    async with asyncio.timeout(20):
        reader, writer = await connect(place, address)
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        head = {"host": "localhost", "connection": "close", "content-length": str(len(content)), **headers}
        if body is not None:
            head.setdefault("content-type", "application/json")
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in head.items())
        writer.write(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + content)
        answer = await reader.read()
        writer.close()
    return parse(answer)


def parse(answer: bytes) -> Answer:
    """The answer as it came over the wire."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    exact = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    headers = {name: value.lower() for name, value in exact.items()}
    return Answer(int(first.split()[1]), headers, body, exact)
