"""The page's fonts, from a package, and which characters they can draw."""

import struct
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import chain
from pathlib import Path
from unicodedata import category

PACKAGE = "justmytype-intl-cjk"
_FOLDERS = ("notosanssc", "notosanstc", "notosansjp", "notosanskr")
"""Simplified Chinese with all of GBK, Latin, Greek, Cyrillic and kana; rarer characters of names elsewhere; Hangul."""
_CMAP_WINDOWS_FULL_UNICODE = (3, 10)


def font_folders() -> list[Path]:
    """Where the fonts lie: OFL-1.1, each beside its licence."""
    fonts = Path(str(files("justmytype_intl_cjk"))) / "fonts" / "ofl"
    return [fonts / name for name in _FOLDERS]


def shown(text: str) -> str:
    """The text with each character that no font draws, or that shows nothing, written as its number: `[U+1F600]`."""
    known = drawable()
    return "".join(
        character if ord(character) in known and not _is_invisible(character) else f"[U+{ord(character):04X}]"
        for character in text
    )


def _is_invisible(character: str) -> bool:
    """Format characters and variation selectors: two names that look alike and are not the same would hide behind them."""
    return category(character) == "Cf" or "\ufe00" <= character <= "\ufe0f" or character >= "\U000e0000"


@cache
def drawable() -> frozenset[int]:
    """Code points that one of the fonts has a glyph for."""
    found = chain.from_iterable(
        _code_points(path) for folder in font_folders() for path in sorted(folder.glob("*.ttf"))
    )
    return frozenset(found)


def _code_points(path: Path) -> Iterator[int]:
    """From the font's own table `cmap`, subtable format 12 (OpenType 1.9, "cmap — Character to Glyph Index Mapping")."""
    with path.open("rb") as file:
        (tables,) = struct.unpack(">4xH6x", file.read(12))
        directory = {tag: place for tag, *place in struct.iter_unpack(">4s4xII", file.read(16 * tables))}
        offset, length = directory[b"cmap"]
        file.seek(offset)
        cmap = file.read(length)
    (subtables,) = struct.unpack_from(">2xH", cmap)
    for platform, encoding, start in struct.iter_unpack(">HHI", cmap[4 : 4 + 8 * subtables]):
        if (platform, encoding) == _CMAP_WINDOWS_FULL_UNICODE:
            (groups,) = struct.unpack_from(">12xI", cmap, start)
            for first, last, _glyph in struct.iter_unpack(">III", cmap[start + 16 : start + 16 + 12 * groups]):
                yield from range(first, last + 1)
