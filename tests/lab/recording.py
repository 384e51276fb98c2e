"""A drive that remembers: every request in order, and the whole medium as it was at each flush.

The drive's process writes the log, the test reads it. `passes` makes the passes of an erasure out of it by coverage
alone, knowing nothing of the engine or of its plan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tests.lab.behaviours import Behaviour


class Kind(Enum):
    READ = "read"
    WRITE = "write"
    FLUSH = "flush"


@dataclass(frozen=True)
class Request:
    """One request, in the order of completion. `sha256` is that of a write's data; `snapshot` the medium at a flush."""

    kind: Kind
    offset: int = 0
    size: int = 0
    sha256: str = ""
    snapshot: Path | None = None


@dataclass
class Recording(Behaviour):
    """Honest, and writes down what it was asked; `folder` gets `log` and, at each flush after a write, a snapshot.

    With `hashes` each write's data is hashed too, at about a third of the speed.
    """

    folder: Path
    snapshots: bool = True
    hashes: bool = False

    def start(self) -> None:
        # The drive may have changed its behaviour in the middle: go on where the log ends.
        before = read_log(self.folder)
        self.dirty = _ends_unflushed(before)
        self.kept = sum(request.snapshot is not None for request in before)
        self.log = (self.folder / "log").open("a", buffering=1)

    def read(self, offset: int, size: int) -> bytes:
        data = self.below.read(offset, size)
        self.note(f"read {offset} {size}")
        return data

    def write(self, offset: int, data: bytes) -> int:
        digest = hashlib.sha256(data).hexdigest() if self.hashes else ""
        with self.lock:
            taken = self.below.write(offset, data)
            self.dirty = True
            self.log.write(f"write {offset} {taken} {digest}\n")
        return taken

    def flush(self) -> None:
        with self.lock:
            self.below.flush()
            self.log.write(f"flush {self.snapshot()}\n")

    def note(self, line: str) -> None:
        with self.lock:
            self.log.write(line + "\n")

    def snapshot(self) -> str:
        """Keep the medium as it is now, if anything was written since the last time; the file's name."""
        if not (self.snapshots and self.dirty):
            return ""
        self.dirty = False
        self.kept += 1
        path = self.folder / f"flush-{self.kept}"
        path.write_bytes(self.below.read(0, self.size_bytes))
        return str(path)


def read_log(folder: Path) -> list[Request]:
    """The requests that a `Recording` in `folder` has written down so far."""
    log = folder / "log"
    return [_parse(line) for line in log.read_text().splitlines()] if log.exists() else []


def _ends_unflushed(requests: list[Request]) -> bool:
    kinds = [request.kind for request in requests if request.kind is not Kind.READ]
    return bool(kinds) and kinds[-1] is Kind.WRITE


def _parse(line: str) -> Request:
    kind, *rest = line.split(" ")
    if kind == "flush":
        return Request(Kind.FLUSH, snapshot=Path(rest[0]) if rest[0] else None)
    offset, size, *digest = rest
    return Request(Kind(kind), int(offset), int(size), sha256=digest[0] if digest else "")


@dataclass(frozen=True)
class Pass:
    """The writes that covered the drive once, each byte exactly once, the flush that came before the next write, and
    the bytes read between that flush and the next write."""

    writes: tuple[Request, ...]
    flushed: bool
    snapshot: Path | None
    bytes_read_after: int

    def content(self) -> bytes:
        """The whole drive as this pass left it. Raises ValueError when no flush with a snapshot ended the pass."""
        if self.snapshot is None:
            raise ValueError("no snapshot was taken at the end of this pass")
        return self.snapshot.read_bytes()


class NotWhole(AssertionError):
    """The writes do not fall into whole passes."""


def passes(requests: Iterable[Request], size_bytes: int) -> list[Pass]:
    """The requests as passes over a drive of `size_bytes`.

    Raises NotWhole when a byte is written a second time before all were written once, or when bytes are left over.
    """
    done: list[Pass] = []
    for writes, after in _covers(requests, size_bytes):
        flushes = [at for at, request in enumerate(after) if request.kind is Kind.FLUSH]
        snapshots = [request.snapshot for request in after if request.snapshot]
        read = sum(request.size for request in after[flushes[0] :] if request.kind is Kind.READ) if flushes else 0
        done.append(Pass(tuple(writes), bool(flushes), snapshots[0] if snapshots else None, read))
    return done


def _covers(requests: Iterable[Request], size_bytes: int) -> list[tuple[list[Request], list[Request]]]:
    """Pairs of the writes that cover the drive once, and the other requests up to the next write."""
    pairs: list[tuple[list[Request], list[Request]]] = []
    left = 0
    for request in requests:
        if request.kind is Kind.WRITE:
            if left == 0:
                pairs.append(([], []))
                left = size_bytes
            pairs[-1][0].append(request)
            left -= request.size
            if left == 0:
                _assert_each_byte_once(pairs[-1][0], size_bytes)
            elif left < 0:
                raise NotWhole(f"pass {len(pairs)} writes more than the drive's {size_bytes} bytes")
        elif pairs and left == 0:
            pairs[-1][1].append(request)
    if left:
        raise NotWhole(f"pass {len(pairs)} leaves {left} of {size_bytes} bytes unwritten")
    return pairs


def _assert_each_byte_once(writes: list[Request], size_bytes: int) -> None:
    at = 0
    for write in sorted(writes, key=lambda request: request.offset):
        if write.offset != at:
            what = "twice before the pass was whole" if write.offset < at else "not at all"
            raise NotWhole(f"byte {min(at, write.offset)} of {size_bytes} was written {what}")
        at += write.size
