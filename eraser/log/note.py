"""Signed notes: a text, a blank line, and a line for each signature.

Source: C2SP, signed-note (c2sp.org/signed-note) and, for a witness's, tlog-cosignature v1. Known from Go's checksum
database, so that tools of others read them.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from eraser.errors import UsageError
from eraser.log.errors import ForgedNoteError, NoteError, UnknownLogError

MAX_NOTE_BYTES = 1 << 20
MAX_SIGNATURES = 100
_SIGNATURE_BYTES = 64
_TIME_BYTES = 8
_DASH = "\u2014 "
_LIMIT = re.compile(r"Signs-(From|Until): (0|[1-9][0-9]{0,17})")
_NAME = re.compile(r"[^\s+]{1,200}")
_CONTROL = re.compile("[\0-\x09\x0b-\x1f]")


class SignatureType(IntEnum):
    """The byte that goes before a public key (C2SP signed-note §"Signatures")."""

    ED25519 = 0x01
    COSIGNATURE_V1 = 0x04


class NoteSigner(Protocol):
    """Whoever holds a private Ed25519 key: a file today, a hardware token later. `raw_public_key` is its 32 bytes."""

    @property
    def raw_public_key(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A public key under a name that says whose it is, such as `plant.example/eraser/hall-2`.

    A log's key signs checkpoints from `since` entries on and up to `until`, both included; None: without an end. Its time is
    counted in entries, since whoever steals an old key can say any hour, but no length that a later checkpoint contradicts.
    """

    name: str
    kind: SignatureType
    raw: bytes
    since: int = field(default=0, compare=False)
    until: int | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise NoteError("a key's name has 1 to 200 characters, none of them a space or '+'", subject=self.name)

    @property
    def key_id(self) -> bytes:
        """Four bytes, which only say which key to try."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.raw).digest()[:4]

    def signs_at(self, size: int) -> bool:
        """Whether a checkpoint of so many entries lies in its time."""
        return self.since <= size and (self.until is None or size <= self.until)

    def lines(self) -> str:
        """The key in a line, after those that say in which time it signs."""
        since = f"Signs-From: {self.since}\n" if self.since else ""
        until = f"Signs-Until: {self.until}\n" if self.until is not None else ""
        return f"{since}{until}{self}\n"

    def __str__(self) -> str:
        """As others' tools take it: `<name>+<key id in hex>+<Base64 of type and key>`."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([self.kind]) + self.raw).decode()}"


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One line, not believed yet. `content` is what follows the key id."""

    name: str
    key_id: bytes
    content: bytes

    def line(self) -> str:
        """As it stands in the note."""
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.content).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text, which ends in a line feed, and its signatures."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def __str__(self) -> str:
        return self.text + "\n" + "".join(item.line() for item in self.signatures)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A signature that a trusted key made; `at` is a witness's own time in seconds since 1970, else None."""

    key: NoteKey
    at: int | None = None


def key_of(text: str) -> NoteKey:
    """From its printed form. Raises NoteError."""
    name, _, rest = text.strip().partition("+")
    shown, _, encoded = rest.partition("+")
    content = _decoded(encoded)
    if content is None or len(content) != 1 + 32 or content[0] not in list(SignatureType):
        raise NoteError("it is no public key of a log", subject=text, remedy="One looks like name+c74f20a3+ARpc2Q…")
    key = NoteKey(name, SignatureType(content[0]), content[1:])
    if key.key_id.hex() != shown:
        raise NoteError("the key does not belong to its name and id", subject=text)
    return key


def keys_of(text: str) -> tuple[NoteKey, ...]:
    """Keys, one or more, each a line after those that say in which time it signs; other lines are errors, lest a slip of the
    pen lifts a limit. Raises NoteError.
    """
    found: list[NoteKey] = []
    limits: dict[str, int] = {}
    for line in filter(None, (item.strip() for item in text.splitlines())):
        if (limit := _LIMIT.fullmatch(line)) is not None and limit[1] not in limits:
            limits[limit[1]] = int(limit[2])
            continue
        found.append(replace(key_of(line), since=limits.get("From", 0), until=limits.get("Until")))
        limits = {}
    if limits or not found:
        raise NoteError("there is no public key of a log at its end")
    return tuple(found)


def given_keys(text: str) -> tuple[NoteKey, ...]:
    """Keys as somebody gives them: one itself, or a file that holds some. Raises UsageError."""
    path = Path(text)
    try:
        return keys_of(path.read_text("utf-8", "replace") if "+" not in text or path.exists() else text)
    except OSError as error:
        raise UsageError(f"the key file cannot be read: {error.strerror}", subject=text) from error
    except NoteError as error:
        raise UsageError(error.what, subject=text, remedy=error.remedy) from error


def sign(text: str, name: str, signer: NoteSigner) -> Note:
    """A note with this one signature. Raises NoteError for a text that none can have."""
    _expect_text(text)
    key = NoteKey(name, SignatureType.ED25519, signer.raw_public_key)
    return Note(text, (NoteSignature(name, key.key_id, signer.sign(text.encode())),))


def sign_too(note: Note, name: str, signer: NoteSigner) -> Note:
    """The note with one more signature of its own name: of the key that takes over."""
    return Note(note.text, (*note.signatures, *sign(note.text, name, signer).signatures))


def cosign(note: Note, name: str, signer: NoteSigner, at: int) -> Note:
    """The note with a witness's signature more: that it saw this, at a time in seconds since 1970, and nothing that
    contradicts it.
    """
    key = NoteKey(name, SignatureType.COSIGNATURE_V1, signer.raw_public_key)
    content = at.to_bytes(_TIME_BYTES, "big") + signer.sign(_cosigned(note.text, at))
    return Note(note.text, (*note.signatures, NoteSignature(name, key.key_id, content)))


def parse(content: bytes) -> Note:
    """The note, of which nothing is believed yet. Raises NoteError."""
    if len(content) > MAX_NOTE_BYTES:
        raise NoteError(f"it is longer than {MAX_NOTE_BYTES} bytes")
    try:
        whole = content.decode()
    except UnicodeDecodeError as error:
        raise NoteError("it is not UTF-8") from error
    text, separator, lines = whole.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise NoteError("it has no signatures after a blank line")
    _expect_text(text + "\n")
    signatures = tuple(_signature(line) for line in lines[:-1].split("\n"))
    if len(signatures) > MAX_SIGNATURES:
        raise NoteError(f"it has more than {MAX_SIGNATURES} signatures")
    return Note(text + "\n", signatures)


def confirm(note: Note, trusted: Iterable[NoteKey]) -> tuple[Confirmed, ...]:
    """What trusted keys say of it; signatures by others are passed over.

    Raises UnknownLogError when no trusted key signed it, ForgedNoteError when a signature bears a trusted key's name and is
    not by it.
    """
    keys: Mapping[tuple[str, bytes], NoteKey] = {(key.name, key.key_id): key for key in trusted}
    found: dict[NoteKey, Confirmed] = {}
    for signature in note.signatures:
        if (key := keys.get((signature.name, signature.key_id))) is not None:
            found.setdefault(key, _confirmed(note, signature, key))
    if not found:
        raise UnknownLogError("no trusted key signed it", remedy="Give the log's public key.")
    return tuple(found.values())


def _confirmed(note: Note, signature: NoteSignature, key: NoteKey) -> Confirmed:
    at: int | None = None
    message, content = note.text.encode(), signature.content
    if key.kind is SignatureType.COSIGNATURE_V1:
        at, content = int.from_bytes(content[:_TIME_BYTES], "big"), content[_TIME_BYTES:]
        message = _cosigned(note.text, at)
    if not _is_signature(key.raw, content, message):
        raise ForgedNoteError(f"the signature that bears the name {key.name} is not by its key")
    return Confirmed(key, at)


@lru_cache(maxsize=16)  # a thousand bundles of one plant bear the same checkpoint
def _is_signature(raw_public_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(raw_public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _cosigned(text: str, at: int) -> bytes:
    """C2SP tlog-cosignature v1: what a witness signs."""
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def _expect_text(text: str) -> None:
    if not text.endswith("\n") or len(text) < 2:
        raise NoteError("a note's text is at least one line")
    if _CONTROL.search(text):
        raise NoteError("a note's text has no control characters")


def _signature(line: str) -> NoteSignature:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    content = _decoded(encoded)
    if not line.startswith(_DASH) or not _NAME.fullmatch(name) or content is None or len(content) <= 4:
        raise NoteError("a line after the blank one is no signature", subject=line[:80])
    return NoteSignature(name, content[:4], content[4:])


def _decoded(text: str) -> bytes | None:
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    # Encoded again: unused bits would give one signature several spellings.
    return content if base64.b64encode(content).decode() == text else None
