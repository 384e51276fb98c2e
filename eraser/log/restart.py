"""A log that begins anew where a backup ends: said aloud, by the log itself, for ever.

The record is a signed note: its text names the checkpoint that is lost and the one that the log goes on from. Its SHA-256
is the log's next entry. Nothing else makes a log that lost entries sign again.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.domain.merkle import HASH_BYTES
from eraser.domain.naming import expect_nobody
from eraser.log import note
from eraser.log.checkpoint import Checkpoint
from eraser.log.errors import NoteError, RewrittenLogError
from eraser.log.note import Note, NoteKey

FORMAT = "eraser log restart v1"
MAX_SAID_CHARACTERS = 500
_HEAD = re.compile(r"(lost|resumed) (0|[1-9][0-9]{0,17}) (\S+)")


class RestartedLogError(RewrittenLogError):
    """The log was restarted in between, which it says itself: what was in the part that is lost is there no more."""

    code = "log-restarted"


@dataclass(frozen=True, slots=True)
class Restart:
    """`lost_*`: the checkpoint that is continued by nothing; `resumed_*`: the log that went on, whose next entry this is."""

    origin: str
    lost_size: int
    lost_root: bytes
    resumed_size: int
    resumed_root: bytes
    at: str
    operator: str
    reason: str

    def text(self) -> str:
        """The text of its note."""
        lost = f"lost {self.lost_size} {_encoded(self.lost_root)}"
        resumed = f"resumed {self.resumed_size} {_encoded(self.resumed_root)}"
        said = (f"at {self.at}", f"operator {self.operator}", f"reason {self.reason}")
        return "\n".join((FORMAT, self.origin, lost, resumed, *said)) + "\n"

    def entry(self) -> LogEntry:
        """Its place in the log."""
        return LogEntry(EntryKind.RESTART, self.name, hashlib.sha256(self.text().encode()).digest())

    @property
    def name(self) -> str:
        """One for each checkpoint that was lost."""
        return f"restart-{self.lost_size}-{self.lost_root.hex()[:16]}"

    def has_lost(self, checkpoint: Checkpoint) -> bool:
        """Whether the checkpoint is of the part that is there no more, as far as its size and root tell."""
        if checkpoint.origin != self.origin:
            return False
        if checkpoint.size == self.lost_size:
            return checkpoint.root == self.lost_root
        return self.resumed_size < checkpoint.size < self.lost_size

    def sentence(self) -> str:
        """For people."""
        gone = f"entries {self.resumed_size} to {self.lost_size - 1} were lost"
        if self.lost_size <= self.resumed_size:
            gone = f"and does not show that it continues what it had signed when it had {self.lost_size} entries"
        return f"the log was restarted at {self.at}, {gone} (by {self.operator}: {self.reason})"


def parse_restart(content: bytes) -> tuple[Restart, Note]:
    """The record and its note, whose signature is not looked at yet. Raises NoteError."""
    found = note.parse(content)
    lines = found.text.split("\n")
    if len(lines) != 8 or lines[0] != FORMAT or lines[7]:
        raise NoteError("it is no record of a log's restart")
    lost, resumed = _head(lines[2], "lost"), _head(lines[3], "resumed")
    at, operator, reason = (
        _after(line, word) for line, word in zip(lines[4:7], ("at", "operator", "reason"), strict=True)
    )
    return Restart(lines[1], *lost, *resumed, at, operator, reason), found


def confirmed(content: bytes, keys: Sequence[NoteKey]) -> Restart:
    """A record that one of these logs signed of itself. Raises NoteError, UnknownLogError, ForgedNoteError."""
    record, signed = parse_restart(content)
    if all(item.key.name != record.origin for item in note.confirm(signed, keys)):
        raise NoteError(f"it tells of the log {record.origin}, which did not sign it")
    return record


def one_line(text: str) -> str:
    """What may stand in a record. Raises NoteError, and UsageError for what names a person."""
    line = expect_nobody(" ".join(text.split()), "record")
    if not line or len(line) > MAX_SAID_CHARACTERS:
        raise NoteError(f"a restart says who did it and why, in 1 to {MAX_SAID_CHARACTERS} characters each")
    return line


def _head(line: str, word: str) -> tuple[int, bytes]:
    match = _HEAD.fullmatch(line)
    if match is None or match[1] != word:
        raise NoteError(f"it does not say what was {word}")
    try:
        root = base64.b64decode(match[3], validate=True)
    except (binascii.Error, ValueError):
        root = b""
    if len(root) != HASH_BYTES or _encoded(root) != match[3]:
        raise NoteError("a hash in it is not the one Base64 form of 32 bytes")
    return int(match[2]), root


def _after(line: str, word: str) -> str:
    head, _, said = line.partition(" ")
    if head != word or not said:
        raise NoteError(f"it does not say {word}")
    return said


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
