"""The list of drives that a supplier says are coming, out of a CSV file as spreadsheets write it. Pure.

Encoding, delimiter and the column of the serial numbers are found out, or told; what is wrong is said line by line, so that the
file can be mended. Nothing is left out in silence.
"""

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eraser.domain.lot import MAX_DRIVES, MAX_NAME_CHARACTERS
from eraser.domain.scanning import CodeKind, codes_of, is_like_a_serial
from eraser.errors import UsageError

MAX_BYTES = 8 * 1024 * 1024
MAX_PROBLEMS = 200
"""Problems that are listed; more are counted."""
_DELIMITERS = ",;\t|"
_HEADINGS = re.compile(
    r"^(?:(?:hdd|disk|drive|device|product|硬盘|设备|产品)?\s*(?:s\s*/?\s*n|ser(?:ial)?\.?\s*(?:no\.?|num(?:ber)?|nr\.?|#)?)"
    r"|(?:硬盘|设备|产品|磁盘)?(?:序列号|序號|序列號|串号|产品序号|出厂编号)"
    r"|seriennummer|num[eé]ro de s[eé]rie)(?:\s*[(:].*)?$",
    re.IGNORECASE,
)
_SPOILT_BY_SPREADSHEET = re.compile(r"^\d(?:[.,]\d+)?E\+?\d+$", re.IGNORECASE)
"""What a spreadsheet makes of a serial number of figures alone, or with one E among them: the rest of it is lost."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in a line of the file, counted from 1. `code` is for machines, `subject` what stands there."""

    line: int
    code: str
    subject: str = ""
    other_line: int = 0
    """Where the same stands already."""


@dataclass(frozen=True, slots=True)
class ExpectedList:
    """What was found. With `errors` the list is not to be taken over; `warnings` are to be looked at.

    `column` counts from 1; `has_header`: whether the first line names the columns.
    """

    serials: tuple[str, ...]
    encoding: str
    delimiter: str
    has_header: bool
    column: int
    lines: int
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    problems_omitted: int = 0


def read_expected(file: bytes, *, column: int | None = None, has_header: bool | None = None) -> ExpectedList:
    """The list in the file. What is not told is found out. Raises UsageError for what is no text, empty, or too large."""
    text, encoding = decoded(file)
    delimiter = _delimiter(text)
    rows = list(_rows(text, delimiter))
    if not rows:
        raise UsageError("the file is empty")
    if len(rows) > MAX_DRIVES + 1:
        raise UsageError(f"the file has more than {MAX_DRIVES} lines", remedy="Make several lots of it.")
    header_column = _heading(rows[0][1])
    if has_header is None:
        has_header = header_column is not None or not any(is_like_a_serial(cell) for cell in rows[0][1])
    if column is None:
        column = header_column if has_header and header_column is not None else _likeliest_column(rows[has_header:])
    if not 0 < column <= max(len(cells) for _, cells in rows):
        raise UsageError(f"the file has no column {column}", remedy="Columns are counted from 1.")
    return _read(rows[has_header:], column, encoding, delimiter, has_header)


def decoded(file: bytes) -> tuple[str, str]:
    """The text, and the encoding it was in: what a byte order mark says, else UTF-8, else GB 18030, in which Chinese
    spreadsheets write. Raises UsageError.
    """
    if len(file) > MAX_BYTES:
        raise UsageError(f"the file is larger than {MAX_BYTES} bytes")
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if file.startswith(mark):
            return _decoded_as(file, encoding), encoding
    for encoding in ("utf-8", "gb18030"):
        try:
            return _decoded_as(file, encoding), encoding
        except UsageError:
            continue
    raise UsageError("it is no text in UTF-8 or GB 18030", remedy="Save the sheet as CSV (UTF-8).")


def _decoded_as(file: bytes, encoding: str) -> str:
    try:
        text = file.decode(encoding)
    except UnicodeDecodeError:
        raise UsageError(f"it is no text in {encoding}") from None
    # A workbook or a picture decodes as GB 18030 now and then, but not without control characters.
    if any(unicodedata.category(character) == "Cc" and character not in "\t\r\n\f\v" for character in text[:10_000]):
        raise UsageError("it is no text", remedy="Save the sheet as CSV (UTF-8), not as a workbook.")
    return text


def _delimiter(text: str) -> str:
    """The one that gives most lines the same number of columns, more than one; a comma where there is one column."""
    lines = [line for line in text.splitlines()[:200] if line.strip()]
    best, most = ",", 0
    for delimiter in _DELIMITERS:
        counts = Counter(line.count(delimiter) for line in lines)
        columns, alike = max(counts.items(), key=lambda item: (item[0] > 0, item[1]), default=(0, 0))
        if columns and alike > most:
            best, most = delimiter, alike
    return best


def _rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Lines with something in them, by their number in the file. Raises UsageError for quotes that nobody closed."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=False)
    line = 1
    try:
        for cells in reader:
            cleaned = [_cleaned(cell) for cell in cells]
            if any(cleaned):
                yield line, cleaned
            line = reader.line_num + 1
    except csv.Error as error:
        raise UsageError(f"it can't be read as CSV: {error}", subject=f"line {line}") from None


def _cleaned(cell: str) -> str:
    """Without what spreadsheets put around a text to keep it one: `="…"`, an apostrophe; without blanks of any width."""
    text = cell.replace("\u00a0", " ").replace("\u3000", " ").replace("\ufeff", "").strip()
    if (quoted := re.fullmatch(r'="(.*)"', text)) is not None:
        text = quoted[1].strip()
    return text.removeprefix("'").strip()


def _heading(cells: Sequence[str]) -> int | None:
    return next((place for place, cell in enumerate(cells, 1) if _HEADINGS.match(cell)), None)


def _likeliest_column(rows: Sequence[tuple[int, list[str]]]) -> int:
    """Where most cells look like serial numbers and differ from each other: a model looks like one, too, but repeats itself."""
    width = max((len(cells) for _, cells in rows), default=1)
    columns = [[cells[place] for _, cells in rows[:500] if place < len(cells)] for place in range(width)]
    scores = [len({cell for cell in column if _is_serial(cell)}) for column in columns]
    return scores.index(max(scores)) + 1 if any(scores) else 1


def _is_serial(cell: str) -> bool:
    return [code.kind for code in codes_of(cell)] == [CodeKind.SERIAL]


def _read(
    rows: Sequence[tuple[int, list[str]]], column: int, encoding: str, delimiter: str, has_header: bool
) -> ExpectedList:
    seen: dict[str, int] = {}
    errors: list[Problem] = []
    warnings: list[Problem] = []
    for line, cells in rows:
        serial = cells[column - 1] if column <= len(cells) else ""
        if (problem := _error(line, serial, seen)) is not None:
            errors.append(problem)
            continue
        seen[serial] = line
        warnings += _warnings(line, serial)
    if not seen and not errors:
        errors.append(Problem(1, "no-serials"))
    omitted = max(0, len(errors) - MAX_PROBLEMS) + max(0, len(warnings) - MAX_PROBLEMS)
    return ExpectedList(
        tuple(seen),
        encoding,
        delimiter,
        has_header,
        column,
        len(rows),
        tuple(errors[:MAX_PROBLEMS]),
        tuple(warnings[:MAX_PROBLEMS]),
        omitted,
    )


def _error(line: int, serial: str, seen: dict[str, int]) -> Problem | None:
    if not serial:
        return Problem(line, "empty")
    shown = serial[:60]
    if len(serial) > MAX_NAME_CHARACTERS:
        return Problem(line, "too-long", shown)
    if not serial.isprintable():
        return Problem(line, "not-printable", ascii(shown))
    if _SPOILT_BY_SPREADSHEET.match(serial):
        return Problem(line, "spoilt-by-spreadsheet", shown)
    if serial in seen:
        return Problem(line, "duplicate", shown, seen[serial])
    return None


def _warnings(line: int, serial: str) -> Iterator[Problem]:
    kinds = {code.kind for code in codes_of(serial)}
    for kind in (CodeKind.WORLD_WIDE_NAME, CodeKind.PART_NUMBER, CodeKind.MAC, CodeKind.PSID, CodeKind.ARTICLE):
        if kind in kinds:
            yield Problem(line, f"looks-like-{kind.value}", "" if kind is CodeKind.PSID else serial[:60])
    if not kinds & {CodeKind.SERIAL} and not kinds - {CodeKind.UNKNOWN, CodeKind.DATE, CodeKind.COUNT, CodeKind.BATCH}:
        yield Problem(line, "unlikely", serial[:60])
