"""Writing bays into the configuration, and leaving every other word of it as it was: comments, order, blanks.

tomlkit is there for this alone (docs/decisions/0004): it keeps what `tomllib` and every writer of plain data lose.
"""

import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT

from eraser.configuration.reading import parse
from eraser.domain.bay import BayName, PlaceKind, PlacePattern, Position
from eraser.durable import sync_directory
from eraser.errors import UsageError


def exists(path: Path) -> bool:
    """Whether there is a configuration at this path."""
    return path.exists()


def write_bay(
    path: Path, name: BayName, place: PlacePattern, position: Position | None, environ: Mapping[str, str]
) -> None:
    """Puts a bay into the file, which is made where there is none. Raises as `with_bay` and `write_checked`."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        text = ""
    write_checked(path, with_bay(text, name, place, position), environ)


def with_bay(text: str, name: BayName, place: PlacePattern, position: Position | None = None) -> str:
    """The file's text with this bay at this place: an entry of that name is changed, else one is added at the end.

    Raises UsageError where the bays are written in a form that cannot be added to.
    """
    # A last line without an end would be run into what is added.
    document = _parsed(text if text.endswith("\n") or not text else f"{text}\n")
    bays = document.get("bays")
    if bays is None:
        bays = tomlkit.aot()
        document.append("bays", bays)
    if not isinstance(bays, AoT):
        raise UsageError(
            "the bays are not written as [[bays]] tables one after the other, so none can be added",
            remedy="Write each as [[bays]], all of them together.",
        )
    entry: Any = next((bay for bay in bays if bay.get("name") == name), None)
    if entry is None:
        entry = tomlkit.table()
        entry.add("name", str(name))
        bays.append(entry)
    for kind in PlaceKind:
        if kind is not place.kind:
            entry.pop(kind.value, None)
    entry[place.kind.value] = place.pattern
    if position is not None:
        entry["position"] = _inline(position)
    return tomlkit.dumps(document)


def _parsed(text: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except TOMLKitError as error:
        raise UsageError(f"it cannot be added to ({error})", remedy="`eraser config check` tells the line.") from error


def _inline(position: Position) -> Any:
    table = tomlkit.inline_table()
    table.update({"shelf": position.shelf, "row": position.row, "column": position.column})
    return table


def write_checked(path: Path, text: str, environ: Mapping[str, str]) -> None:
    """Puts the text in the place of the file, whole or not at all, with the same owner and mode.

    Raises ConfigurationError, and leaves the file, when the text would not be read again; UsageError when it cannot be
    written.
    """
    parse(text, str(path), environ)
    target = path.resolve()
    try:
        _replace(target, text.encode())
    except OSError as error:
        raise UsageError(
            f"it cannot be written ({error.strerror})", subject=str(path), remedy="Run as root."
        ) from error


def _replace(target: Path, content: bytes) -> None:
    fd, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with open(fd, "wb") as file:  # noqa: PTH123
            os.fchmod(fd, 0o644)
            with contextlib.suppress(FileNotFoundError):
                before = target.stat()
                os.fchown(fd, before.st_uid, before.st_gid)
                os.fchmod(fd, before.st_mode & 0o7777)
            file.write(content)
            file.flush()
            os.fsync(fd)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_directory(target.parent)
