"""The record of what was removed from the ledger because it had expired, as others read it: a signed note of the log's own.

Line by line: the format, the log, `before`, `from` and `to` (UTC, RFC 3339), how many rows of each table, `sha256` over their
ids, `at`, `operator`. Pure; who removes is `removing.py`.
"""

import re
from dataclasses import dataclass
from hashlib import sha256

from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.log import note
from eraser.log.errors import NoteError
from eraser.log.note import Note

FORMAT = "eraser ledger removal v1"
_COUNT = re.compile(r"([a-z_]{1,40}) (0|[1-9][0-9]{0,17})")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class RemovalRecord:
    """Rows from `first_at` to `last_at`, all older than `before`; `digest` is SHA-256 over their ids."""

    origin: str
    before: str
    first_at: str
    last_at: str
    rows: tuple[tuple[str, int], ...]
    """How many of which table."""
    digest: str
    at: str
    operator: str

    def text(self) -> str:
        """The text of its note."""
        head = (FORMAT, self.origin, f"before {self.before}", f"from {self.first_at}", f"to {self.last_at}")
        counts = (f"{name} {count}" for name, count in self.rows)
        said = (f"sha256 {self.digest}", f"at {self.at}", f"operator {self.operator}")
        return "\n".join((*head, *counts, *said)) + "\n"

    @property
    def name(self) -> str:
        """In the log."""
        return f"removal-{self._hash().hex()[:32]}"

    def entry(self) -> LogEntry:
        """Its place in the log."""
        return LogEntry(EntryKind.REMOVAL, self.name, self._hash())

    def sentence(self) -> str:
        """For people."""
        rows = ", ".join(f"{count} {name}" for name, count in self.rows if count)
        return f"what was older than {self.before} was removed at {self.at} (by {self.operator}): {rows}"

    def _hash(self) -> bytes:
        return sha256(self.text().encode()).digest()


def parse_removal(content: bytes) -> tuple[RemovalRecord, Note]:
    """The record and its note, whose signature is not looked at yet. Raises NoteError."""
    found = note.parse(content)
    lines = found.text.split("\n")
    if len(lines) < 9 or lines[0] != FORMAT or lines.pop():
        raise NoteError("it is no record of a removal")
    before, first, last = (_after(line, word) for line, word in zip(lines[2:5], ("before", "from", "to"), strict=True))
    digest, at, operator = (
        _after(line, word) for line, word in zip(lines[-3:], ("sha256", "at", "operator"), strict=True)
    )
    counts = [_COUNT.fullmatch(line) for line in lines[5:-3]]
    if None in counts or not _SHA256.fullmatch(digest):
        raise NoteError("it does not say how many rows of which table were removed, and which")
    rows = tuple((item[1], int(item[2])) for item in counts if item is not None)
    return RemovalRecord(lines[1], before, first, last, rows, digest, at, operator), found


def _after(line: str, word: str) -> str:
    head, _, said = line.partition(" ")
    if head != word:
        raise NoteError(f"it does not say {word}")
    return said
