"""A witness: whoever has seen one history of a log and signs nothing but what continues it.

Source: C2SP, tlog-witness: what is handed over is `old <size>`, the consistency proof in Base64 a line each, a blank line, and
the checkpoint.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from eraser.domain.merkle import HASH_BYTES, is_consistent
from eraser.log import note
from eraser.log.checkpoint import Checkpoint, confirm, expect_growth
from eraser.log.errors import NoteError, RewrittenLogError
from eraser.log.note import Note, NoteKey, NoteSigner
from eraser.log.restart import Restart

MAX_PROOF_HASHES = 63
_OLD = re.compile(r"old (0|[1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True)
class Update:
    """How a log grew since it had `earlier` entries."""

    earlier: int
    proof: tuple[bytes, ...]
    note: Note

    def __str__(self) -> str:
        lines = [f"old {self.earlier}", *(base64.b64encode(item).decode() for item in self.proof)]
        return "\n".join(lines) + f"\n\n{self.note}"


def parse_update(content: bytes) -> Update:
    """Raises NoteError."""
    head, separator, rest = content.partition(b"\n\n")
    try:
        first, *proof = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise NoteError("it is no update of a log") from error
    found = _OLD.fullmatch(first)
    if found is None or not separator or len(proof) > MAX_PROOF_HASHES:
        raise NoteError("it is no update of a log", remedy="`eraser log update` writes one.")
    return Update(int(found[1]), tuple(_hash(line) for line in proof), note.parse(rest))


def witness(
    update: Update,
    seen: Note | None,
    log_keys: Sequence[NoteKey],
    name: str,
    signer: NoteSigner,
    at: int,
    restart: Restart | None = None,
) -> tuple[Note, Checkpoint]:
    """The checkpoint with the witness's signature, which is what the witness knows from now on: keep that durably before it is
    given away. `seen` is the newest checkpoint of this log that the witness has signed.

    With a `restart`, which the log has signed, what was seen may be of the part that is lost.

    Raises what `eraser.log.checkpoint.confirm` does for a note that is not the log's, RewrittenLogError for what does not
    continue what is known, or begins elsewhere, or is signed by a key alone that no key known before has signed beside.
    """
    new, signers = confirm(update.note, log_keys)
    if seen is not None:
        known, before = confirm(seen, log_keys)
        if not set(before) & set(signers):
            raise RewrittenLogError(
                "the log's key is another one than before, and no checkpoint signed by both has been witnessed",
                remedy="Ask for an update of while the key was changed: both keys sign it.",
            )
        if restart is not None:
            _expect_resumed(update, known, restart, new)
        else:
            _expect_continued(update, known, new)
    ids = {key.key_id for key in signers}
    own = Note(update.note.text, tuple(item for item in update.note.signatures if item.key_id in ids))
    return note.cosign(own, name, signer, at), new


def _expect_continued(update: Update, known: Checkpoint, new: Checkpoint) -> None:
    if update.earlier != known.size:
        raise RewrittenLogError(
            f"the proof begins at {update.earlier} entries, known are {known.size}",
            remedy=f"Ask for one from there: eraser log update --from {known.size}",
        )
    expect_growth(known, new, update.proof)


def _expect_resumed(update: Update, known: Checkpoint, restart: Restart, new: Checkpoint) -> None:
    """Raises RewrittenLogError unless the record tells of what is known, and the new log goes on from where it says."""
    if not restart.has_lost(known):
        raise RewrittenLogError(f"the record of a restart does not tell of the {known.size} entries that are known")
    if update.earlier != restart.resumed_size:
        raise RewrittenLogError(
            f"the proof begins at {update.earlier} entries, the log was restarted at {restart.resumed_size}",
            remedy=f"Ask for one from there: eraser log update --from {restart.resumed_size}",
        )
    if new.size <= restart.resumed_size or not is_consistent(
        restart.resumed_size, restart.resumed_root, new.size, new.root, update.proof
    ):
        raise RewrittenLogError("the checkpoint does not continue the log from where the record says it was restarted")


def shown(earlier: int, proof: Sequence[bytes], signed: str) -> Update:
    """An update from its parts; `signed` is the checkpoint's note."""
    return Update(earlier, tuple(proof), note.parse(signed.encode()))


def _hash(line: str) -> bytes:
    try:
        content = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if len(content) != HASH_BYTES:
        raise NoteError("a line of its proof is no hash")
    return content
