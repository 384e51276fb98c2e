"""A document together with the proof that it is in the plant's log: one file that an auditor checks without network.

`{"bundle": "eraser certificate bundle v1", "document": {the file}, "log": {"checkpoint", "index", "inclusion",
"withdrawn"}}`: the checkpoint's note, the entry's number from 0, the proof's hashes (Base64, RFC 9162 §2.1.3), and the ids of
all certificates that were withdrawn by then, to which the checkpoint commits. The document of whatever the log has an entry of:
a certificate or a sealed record as the object that it is, a record that the log itself signed (a note) as a text.
"""

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from eraser.certificates.canonical import parse
from eraser.certificates.envelope import laid_out
from eraser.certificates.errors import MalformedError, WithdrawnError
from eraser.certificates.verifying import Opened, OpenedNote, is_note, opened_form, opened_note, verify_note
from eraser.domain.log_entry import EntryKind
from eraser.domain.merkle import HASH_BYTES, is_included
from eraser.log import note
from eraser.log.checkpoint import Checkpoint, Withdrawals, confirm
from eraser.log.errors import NoteError, NotLoggedError
from eraser.log.note import Confirmed, Note, NoteKey
from eraser.log.restart import Restart

FORMAT = "eraser certificate bundle v1"
MAX_PROOF_HASHES = 63


@dataclass(frozen=True)
class Bundle:
    """Nothing of it is believed yet. `content` is the document as JSON has it: an object, or the text of a note."""

    content: Any
    index: int
    inclusion: tuple[bytes, ...]
    checkpoint: Note
    withdrawn: tuple[str, ...]

    @cached_property
    def document(self) -> bytes:
        """As a file of its own."""
        return (self.content if isinstance(self.content, str) else json.dumps(self.content)).encode()

    def opened(self) -> Opened | OpenedNote:
        """Its document. Raises MalformedError, or NoteError."""
        return opened_note(self.document) if isinstance(self.content, str) else opened_form(self.content)

    def dump(self) -> bytes:
        """The file."""
        form = {
            "bundle": FORMAT,
            "document": self.content,
            "log": {
                "checkpoint": str(self.checkpoint),
                "index": self.index,
                "inclusion": [base64.b64encode(item).decode() for item in self.inclusion],
                "withdrawn": list(self.withdrawn),
            },
        }
        return laid_out(form).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Standing:
    """A document that is in the log and not withdrawn as of `checkpoint`; which witnesses saw that checkpoint."""

    checkpoint: Checkpoint
    witnesses: tuple[Confirmed, ...]


def bundle(
    document: bytes, index: int, inclusion: tuple[bytes, ...], checkpoint: Note, withdrawn: tuple[str, ...]
) -> Bundle:
    """Of a document's file, which somebody has verified."""
    content = document.decode() if is_note(document) else json.loads(document)
    return Bundle(content, index, inclusion, checkpoint, withdrawn)


def is_bundle(file: bytes) -> bool:
    """Whether a file is to be read as a bundle; it may be a broken one."""
    return file.lstrip()[:200].replace(b" ", b"").replace(b"\n", b"").startswith(b'{"bundle":')


def load(file: bytes) -> Bundle:
    """Raises MalformedError, or NoteError for its checkpoint."""
    value = _members(parse(file), {"bundle", "document", "log"})
    if value["bundle"] != FORMAT:
        raise MalformedError(f"it is no {FORMAT!r}")
    log = _members(value["log"], {"checkpoint", "index", "inclusion", "withdrawn"})
    index, inclusion, withdrawn = log["index"], log["inclusion"], log["withdrawn"]
    if not isinstance(index, int) or isinstance(index, bool) or not isinstance(log["checkpoint"], str):
        raise MalformedError("its log says no number or no checkpoint")
    if not isinstance(inclusion, list) or len(inclusion) > MAX_PROOF_HASHES:
        raise MalformedError("its proof is no array of hashes")
    if not isinstance(withdrawn, list) or not all(isinstance(item, str) for item in withdrawn):
        raise MalformedError("what is withdrawn is no array of ids")
    proof = tuple(_hash(item) for item in inclusion)
    return Bundle(value["document"], index, proof, note.parse(log["checkpoint"].encode()), tuple(withdrawn))


def standing(
    bundle: Bundle, opened: Opened | OpenedNote, log_keys: Iterable[NoteKey], witness_keys: Iterable[NoteKey] = ()
) -> Standing:
    """What the log says of the bundle's document, which is `opened`; its own signature is verified elsewhere.

    Raises what `eraser.log.checkpoint.confirm` does for a checkpoint that none of these logs signed, NotLoggedError when the
    proof does not lead to it, MalformedError when the list of withdrawals is another one, WithdrawnError when it is on it.
    """
    logs, witnesses = list(log_keys), list(witness_keys)
    checkpoint, _ = confirm(bundle.checkpoint, logs)
    entry = opened.entry
    if not is_included(entry.leaf(), bundle.index, checkpoint.size, bundle.inclusion, checkpoint.root):
        raise NotLoggedError(f"the log of {checkpoint.size} entries does not have it as entry {bundle.index}")
    if Withdrawals.of(bundle.withdrawn) != checkpoint.withdrawn:
        raise MalformedError("its list of withdrawals is not the one that the checkpoint commits to")
    if entry.kind is EntryKind.CERTIFICATE and entry.subject in bundle.withdrawn:
        raise WithdrawnError("it was withdrawn", subject=entry.subject)
    seen = note.confirm(bundle.checkpoint, [*logs, *witnesses]) if witnesses else ()
    # The log's own key is no witness, whoever gives it as one.
    return Standing(checkpoint, tuple(item for item in seen if item.key in witnesses and item.at is not None))


def logged_restart(file: bytes, log_keys: Iterable[NoteKey]) -> tuple[Restart, Checkpoint]:
    """The record of a restart in a bundle, and the checkpoint under which it is the entry that it says: the one that the log
    went on with. A record that nobody sees in the log could be shown to some and hidden from others.

    Raises what `standing` does, NoteError for what is no such record or is not by its log, MalformedError, NotLoggedError.
    """
    logs, found = list(log_keys), load(file)
    opened = found.opened()
    if not isinstance(opened, OpenedNote) or not isinstance(opened.record, Restart):
        raise NoteError("it is no bundle of a log's restart", remedy="`eraser log bundle` of the record makes one.")
    verify_note(opened, logs)
    seen = standing(found, opened, logs)
    if found.index != opened.record.resumed_size:
        raise NotLoggedError(
            f"the log was restarted at {opened.record.resumed_size} entries, and has it as {found.index}"
        )
    return opened.record, seen.checkpoint


def _members(value: Any, names: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != names:
        raise MalformedError(f"it does not have exactly the members {', '.join(sorted(names))}")
    return value


def _hash(text: Any) -> bytes:
    try:
        found = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != HASH_BYTES:
        raise MalformedError("a hash of its proof is not the Base64 of 32 bytes")
    return found
