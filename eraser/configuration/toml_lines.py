"""Which line of a TOML text a value stands on: `tomllib` does not say, and a person looks for it with an editor.

A reader of lines, not of TOML: it is used on texts that `tomllib` has read. What stands inside an inline table or array
has the line of the key that holds it.
"""

import re
from collections.abc import Iterator, Mapping

from eraser.domain.bay import Where

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(
    r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=(.*)$"""
)
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_STRINGS = re.compile(r"""\"(?:\\.|[^"\\])*"|'[^']*'""")


def line_of(lines: Mapping[Where, int], where: Where) -> int | None:
    """The line of the value at `where`, or of the nearest thing around it; None where only the whole file is around."""
    for length in range(len(where), 0, -1):
        if (line := lines.get(where[:length])) is not None:
            return line
    return None


def lines_of(text: str) -> dict[Where, int]:
    """The line, from 1, of every table header and key; tables of an array are numbered from 0."""
    found: dict[Where, int] = {}
    counts: dict[Where, int] = {}
    table: Where = ()
    for number, line in _statements(text):
        if header := _HEADER.match(line):
            table = _enter(_parts(header[2]), header[1] == "[[", counts)
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            path = table
            for part in _parts(key[1]):
                path = (*path, part)
                found.setdefault(path, number)
    return found


def _enter(parts: list[str], is_array: bool, counts: dict[Where, int]) -> Where:
    """The path of a table that begins here. Inside an array of tables it belongs to the last one so far."""
    path: Where = ()
    for depth, part in enumerate(parts, 1):
        path = (*path, part)
        if is_array and depth == len(parts):
            counts[path] = counts.get(path, 0) + 1
        if path in counts:
            path = (*path, counts[path] - 1)
    return path


def _parts(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in _PART.findall(dotted)]


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Lines on which a statement begins: not those inside arrays and strings of several lines."""
    depth, string = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if not depth and not string:
            yield number, line
        rest = line
        while True:
            if string:
                _, end, rest = rest.partition(string)
                if not end:
                    break
                string = ""
            opening = re.search(r'"""|\'\'\'', rest)
            plain = rest[: opening.start()] if opening else rest
            plain = _STRINGS.sub("", plain).partition("#")[0]
            if depth or not _HEADER.match(plain):
                depth += plain.count("[") + plain.count("{") - plain.count("]") - plain.count("}")
            if not opening:
                break
            string, rest = opening[0], rest[opening.end() :]
