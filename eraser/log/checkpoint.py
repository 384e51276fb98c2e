"""A checkpoint: how long the log was and what was its root, in a note that the log has signed.

Source: C2SP, tlog-checkpoint: origin, size, root, then lines of one's own. Ours has one, which commits to everything that was
withdrawn: whoever holds a checkpoint can be shown the whole list and knows that nothing is missing from it.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from eraser.domain.merkle import HASH_BYTES, is_consistent
from eraser.log import note
from eraser.log.errors import LogKeyNotValidThenError, NoteError, NotLoggedError, RewrittenLogError
from eraser.log.note import Note, NoteKey

_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")
_WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Withdrawals:
    """How many certificates are withdrawn, and the hash over the sorted list of their ids."""

    count: int
    digest: bytes

    @classmethod
    def of(cls, certificate_ids: Iterable[str]) -> "Withdrawals":
        """SHA-256 over the ids, each once, sorted by their bytes, each followed by a line feed."""
        ids = sorted({item.encode() for item in certificate_ids})
        return cls(len(ids), hashlib.sha256(b"".join(item + b"\n" for item in ids)).digest())


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`origin` names the log and never changes; `size` counts its entries; `root` is the tree's over them."""

    origin: str
    size: int
    root: bytes
    withdrawn: Withdrawals

    def text(self) -> str:
        """The text of its note."""
        withdrawn = f"{_WITHDRAWN} {self.withdrawn.count} {_encoded(self.withdrawn.digest)}"
        return f"{self.origin}\n{self.size}\n{_encoded(self.root)}\n{withdrawn}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """From the text of a note whose signature is confirmed. Raises NoteError."""
    lines = text.split("\n")
    if len(lines) != 5 or lines[4] or not lines[0] or not _SIZE.fullmatch(lines[1]):
        raise NoteError("it is no checkpoint of a log: origin, size, root, and what is withdrawn")
    word, count, digest = (*lines[3].split(" "), "", "")[:3]
    if word != _WITHDRAWN or not _SIZE.fullmatch(count) or lines[3].count(" ") != 2:
        raise NoteError("its fourth line does not say what is withdrawn")
    return Checkpoint(lines[0], int(lines[1]), _decoded(lines[2]), Withdrawals(int(count), _decoded(digest)))


def confirm(signed: Note, keys: Iterable[NoteKey]) -> tuple[Checkpoint, tuple[NoteKey, ...]]:
    """The checkpoint in a note, and which of these keys of its log signed it in their time.

    Raises UnknownLogError or ForgedNoteError as `note.confirm` does, NotLoggedError when the keys that signed it are not of the
    log that it names, LogKeyNotValidThenError when it lies in the time of none of them, NoteError.
    """
    signers = [item.key for item in note.confirm(signed, keys)]
    checkpoint = parse_checkpoint(signed.text)
    own = [key for key in signers if key.name == checkpoint.origin]
    if not own:
        raise NotLoggedError(f"its checkpoint is of the log {checkpoint.origin}, which did not sign it")
    valid = tuple(key for key in own if key.signs_at(checkpoint.size))
    if not valid:
        raise LogKeyNotValidThenError(
            f"it is of {checkpoint.size} entries, and no key that signed it signs at that length",
            subject=checkpoint.origin,
            remedy="Ask the plant for all keys of its log: `eraser log key`.",
        )
    return checkpoint, valid


def expect_growth(earlier: Checkpoint, later: Checkpoint, proof: tuple[bytes, ...]) -> None:
    """Raises RewrittenLogError unless the later log is the earlier one with entries added: same origin, proved by `proof`
    (RFC 9162 §2.1.4), and nothing withdrawn that is so no more.
    """
    if earlier.origin != later.origin:
        raise RewrittenLogError(f"they are of two logs, {earlier.origin} and {later.origin}")
    if later.size < earlier.size:
        raise RewrittenLogError(f"the later one has {later.size} entries, the earlier one had {earlier.size}")
    if not is_consistent(earlier.size, earlier.root, later.size, later.root, proof):
        raise RewrittenLogError(f"its first {earlier.size} entries are not those that the earlier checkpoint is over")
    if later.withdrawn.count < earlier.withdrawn.count:
        raise RewrittenLogError("what was withdrawn once is so no more")
    if earlier.size == later.size and earlier.withdrawn != later.withdrawn:
        raise RewrittenLogError("two checkpoints of one size say that different certificates are withdrawn")


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _decoded(text: str) -> bytes:
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if len(content) != HASH_BYTES or _encoded(content) != text:
        raise NoteError("a hash in it is not the one Base64 form of 32 bytes")
    return content
