"""What simulated drives are made of: image files full of marker data, with a note beside each of whom it stands for."""

import json
import random
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from eraser.domain.drive import Media

MARKER = b"SIMULATED CUSTOMER RECORD "
"""What every drive is full of before it is erased. An independent reader looks for it afterwards."""
MANUFACTURER = "Simulated"
"""Stands in the certificate, beside the transport `image`: nobody may take one of these for a drive."""

MIB = 1 << 20
_RECORD_BYTES = 64
_CHUNK = b"".join(
    MARKER + f"{number:0{_RECORD_BYTES - len(MARKER)}d}".encode() for number in range(MIB // _RECORD_BYTES)
)


class Nature(StrEnum):
    """How a drive behaves."""

    SOUND = "sound"
    DROPS_WRITES = "drops-writes"
    """Takes every write and keeps not all of them."""
    BAD_SECTORS = "bad-sectors"
    HANGS = "hangs"
    """Stops answering in the middle of a write."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A product that there could be."""

    model: str
    media: Media
    bytes_per_second: int


KINDS = (
    Kind("SIM-ST3 Spinner", Media.MAGNETIC, 24_000_000),
    Kind("SIM-WX7 Spinner Pro", Media.MAGNETIC, 32_000_000),
    Kind("SIM-850 Flash", Media.FLASH, 60_000_000),
    Kind("SIM-PM9 Flash NVM", Media.FLASH, 80_000_000),
    Kind("SIM-U32 Stick", Media.FLASH, 16_000_000),
)


@dataclass(frozen=True, slots=True)
class Note:
    """Whom an image stands for."""

    serial: str
    model: str
    media: Media
    size_bytes: int
    bytes_per_second: int
    nature: Nature


class Stock(Protocol):
    """What simulated drives are made of. All methods may block."""

    def path(self, note: Note) -> Path:
        """Where the drive is: a file or a device node. Raises DriveError when there is none."""
        ...

    def left_over(self) -> list[Note]:
        """The drives of an earlier run."""
        ...

    def make(self, note: Note) -> None:
        """A drive full of marker data."""
        ...

    def remember_markers(self, note: Note, offset: int, length: int) -> None:
        """Puts back what was there before anything was written: a drive that did not keep it."""
        ...

    def remove(self, note: Note) -> None:
        """The drive is sold or shredded."""
        ...


class Images:
    """The image files in one folder: a `Stock`. All methods block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, note: Note) -> Path:
        """Where the drive's image is."""
        return self._folder / f"{note.serial}.img"

    def left_over(self) -> list[Note]:
        """The drives of an earlier run."""
        notes = []
        for path in sorted(self._folder.glob("*.json")):
            note = note_from(json.loads(path.read_text()))
            if self.path(note).is_file():
                notes.append(note)
        return notes

    def make(self, note: Note) -> None:
        """A drive full of marker data."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self.path(note).open("wb") as file:
            for start in range(0, note.size_bytes, len(_CHUNK)):
                file.write(_CHUNK[: note.size_bytes - start])
        self._note_path(note).write_text(json.dumps(asdict(note)))

    def remember_markers(self, note: Note, offset: int, length: int) -> None:
        """Puts back what was there before anything was written: a drive that did not keep it."""
        with self.path(note).open("r+b") as file:
            file.seek(offset)
            while length > 0:
                inside = offset % len(_CHUNK)
                part = _CHUNK[inside : inside + length]
                file.write(part)
                offset += len(part)
                length -= len(part)

    def remove(self, note: Note) -> None:
        """The drive is sold or shredded."""
        self._note_path(note).unlink(missing_ok=True)
        self.path(note).unlink(missing_ok=True)

    def _note_path(self, note: Note) -> Path:
        return self._folder / f"{note.serial}.json"


def note_from(form: dict[str, Any]) -> Note:
    """A note from what `asdict` made of it."""
    return Note(**{**form, "media": Media(form["media"]), "nature": Nature(form["nature"])})


def marker_data() -> bytes:
    """What a drive is full of, over and over from its first byte on."""
    return _CHUNK


def draw_note(chance: random.Random, nature: Nature, sizes_mib: tuple[int, int], speed: float) -> Note:
    """A drive of some kind and size; `speed` multiplies what its kind does."""
    kind = chance.choice(KINDS)
    size = chance.randrange(sizes_mib[0], sizes_mib[1] + 1) * MIB
    serial = f"SIM{chance.getrandbits(40):010X}"
    return Note(serial, kind.model, kind.media, size, int(kind.bytes_per_second * speed), nature)
