"""The inside of a played drive: its medium, the behaviours in force, and the commands of its owner."""

from __future__ import annotations

import mmap
import threading
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.behaviours import Behaviour, On, stack

FILE_NAME = "drive"


@dataclass(frozen=True)
class Setup:
    """What a new drive is made of. Sizes in bytes."""

    medium: Path
    mountpoint: Path
    size_bytes: int
    sector_bytes: int
    behaviours: tuple[Behaviour, ...]


@dataclass(frozen=True)
class Become:
    """Behave like this from the next request on; requests held back by the old behaviours are let go."""

    behaviours: tuple[Behaviour, ...]


@dataclass(frozen=True)
class Release:
    """Let go of every request that is held back."""


@dataclass(frozen=True)
class Replug:
    """The drive was pulled and is about to be put back."""


@dataclass(frozen=True)
class Ask:
    """Answer with Counts."""


Command = Become | Release | Replug | Ask


@dataclass
class Counts:
    """Requests that have reached the drive since it was made, and how many are held back at this moment."""

    reads: int = 0
    writes: int = 0
    flushes: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    held: int = 0


@dataclass
class Medium:
    """What is really on the drive: a file in memory that an independent reader can open."""

    path: Path
    size_bytes: int
    sector_bytes: int
    content: mmap.mmap = field(init=False)

    def __post_init__(self) -> None:
        with self.path.open("r+b") as file:
            self.content = mmap.mmap(file.fileno(), self.size_bytes)

    def read(self, offset: int, size: int) -> bytes:
        return self.content[offset : offset + size]

    def write(self, offset: int, data: bytes) -> int:
        self.content[offset : offset + len(data)] = data
        return len(data)

    def flush(self) -> None:
        """Shared memory is there at once."""

    def replug(self) -> None:
        """Nothing here is volatile."""


class Controller:
    """The behaviours in force and the count of what passed through them."""

    def __init__(self, setup: Setup) -> None:
        self.medium = Medium(setup.medium, setup.size_bytes, setup.sector_bytes)
        self.counts = Counts()
        self.lock = threading.Lock()
        self.behaviours: tuple[Behaviour, ...] = ()
        self.become(setup.behaviours)

    def become(self, behaviours: tuple[Behaviour, ...]) -> None:
        self.drive, before, self.behaviours = stack(self.medium, behaviours), self.behaviours, behaviours
        for behaviour in before:
            behaviour.release()

    def count(self, kind: On, size: int = 0) -> None:
        with self.lock:
            match kind:
                case On.READ:
                    self.counts.reads += 1
                    self.counts.bytes_read += size
                case On.WRITE:
                    self.counts.writes += 1
                    self.counts.bytes_written += size
                case On.FLUSH:
                    self.counts.flushes += 1

    def obey(self, command: Command) -> Counts:
        match command:
            case Become(behaviours):
                self.become(behaviours)
            case Release():
                for behaviour in self.behaviours:
                    behaviour.release()
            case Replug():
                self.drive.replug()
            case Ask():
                pass
        self.counts.held = sum(behaviour.held() for behaviour in self.behaviours)
        return self.counts
