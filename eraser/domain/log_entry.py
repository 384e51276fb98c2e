"""An entry of the transparency log: that a document was signed, and which one. Never what stands in it."""

import json
from dataclasses import dataclass
from enum import StrEnum

from eraser.domain.merkle import HASH_BYTES, leaf_hash
from eraser.errors import UsageError

_VERSION = 1
_PLAIN = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


class EntryKind(StrEnum):
    """What was signed."""

    CERTIFICATE = "certificate"
    WITHDRAWAL = "withdrawal"
    DESTRUCTION = "destruction"
    CONTROL = "control"
    RESTART = "restart"
    """The log lost entries and went on without them."""
    REMOVAL = "removal"
    """What has expired was removed from the ledger."""
    AUDIT = "audit"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """`subject` is the id of the certificate that it is about, or of the record itself; `digest` the SHA-256 of the bytes
    under the document's signature, so that it holds however the file is laid out.
    """

    kind: EntryKind
    subject: str
    digest: bytes

    def __post_init__(self) -> None:
        if len(self.digest) != HASH_BYTES or not self.subject.isascii() or not self.subject.isprintable():
            raise UsageError("an entry of the log has an id in plain characters and a SHA-256", subject=self.subject)

    def leaf(self) -> bytes:
        """The entry's bytes: RFC 8785 of its members, all of which are plain ASCII, so that anybody can write it anew."""
        form = {"digest": self.digest.hex(), "kind": self.kind.value, "subject": self.subject, "version": _VERSION}
        return _PLAIN.encode(form).encode()

    def leaf_hash(self) -> bytes:
        """RFC 9162 §2.1.1 of it."""
        return leaf_hash(self.leaf())
