"""Whose a certificate is, provable by that customer alone: a commitment in the certificate, its key on the receipt. Pure.

The commitment is HMAC-SHA-256 (RFC 2104) under a random 128-bit key, over the job's id and the customer's details, each led by
its length. Without the key nobody can try names against it; with the key and the details anybody can, without the plant.
"""

import binascii
import hmac
import re
import unicodedata
from base64 import b32decode, b32encode
from collections.abc import Iterator
from dataclasses import dataclass, fields

from eraser.domain.printable import is_printable
from eraser.errors import UsageError

SCHEME = "eraser commitment v1"
KEY_BYTES = 16
MAC_BYTES = 32
MAX_DETAIL_CHARACTERS = 1000
_GROUPS = (5, 5, 5, 5, 6)
_LENGTH_BYTES = 8
_BLANKS = re.compile(r"\s+")
_MISREAD = str.maketrans(
    "018", "OIB"
)  # base32 has no 0, 1, 8 and 9: the first three are what people make of O, I and B


@dataclass(frozen=True, slots=True, repr=False)
class CustomerDetails:
    """Who a drive is from. Each is kept in the form that is committed to: NFC, blanks of any kind as one space, none at the
    ends. `__repr__` shows nothing of it, so that no message and no traceback does. Raises UsageError, which does not either.
    """

    name: str
    contact: str = ""
    phone: str = ""
    address: str = ""
    id_note: str = ""
    """How the person was identified, such as "passport seen"."""
    reference: str = ""
    """Free: the customer's own order number, or whatever they want to be bound to it."""

    def __post_init__(self) -> None:
        for item in fields(self):
            object.__setattr__(self, item.name, _as_committed(getattr(self, item.name), item.name))
        if not self.name:
            raise UsageError("a customer's details need a name")

    def __repr__(self) -> str:
        return "CustomerDetails(…)"

    def values(self) -> tuple[str, ...]:
        """In the order in which they are committed to."""
        return tuple(getattr(self, item.name) for item in fields(self))


KEPT_DAYS = 1096
"""Three years: how long China's recycling rules want trades on record with both their parties."""


@dataclass(frozen=True, slots=True)
class DriveCustomer:
    """Whose record a drive's certificate will be committed to, and by which name of the drive its receipt goes."""

    record_id: str
    drive: str


@dataclass(frozen=True, slots=True)
class Commitment:
    """As it stands in a certificate."""

    scheme: str
    mac: bytes

    def __post_init__(self) -> None:
        if self.scheme != SCHEME or len(self.mac) != MAC_BYTES:
            raise UsageError(f"the commitment is none of {SCHEME!r} with {MAC_BYTES} bytes")


def commit(key: bytes, job_id: str, details: CustomerDetails) -> Commitment:
    """To these details, for the certificate of this job and no other. Raises UsageError for a key that is not 16 bytes."""
    if len(key) != KEY_BYTES:
        raise UsageError(f"the key of a commitment has {KEY_BYTES} bytes")
    return Commitment(SCHEME, hmac.digest(key, committed_bytes(job_id, details), "sha256"))


def is_committed(commitment: Commitment, key: bytes, job_id: str, details: CustomerDetails) -> bool:
    """Whether the commitment of this job's certificate was made with this key to these details."""
    return hmac.compare_digest(commit(key, job_id, details).mac, commitment.mac)


def committed_bytes(job_id: str, details: CustomerDetails) -> bytes:
    """What the MAC is over: the scheme, the job's id, and each of the customer's details, in order."""
    return length_prefixed(*(part.encode() for part in (SCHEME, job_id, *details.values())))


def length_prefixed(*parts: bytes) -> bytes:
    """Each part after its length as 8 bytes, big-endian: no two lists of parts give the same bytes."""
    return b"".join(len(part).to_bytes(_LENGTH_BYTES, "big") + part for part in parts)


def receipt_code(key: bytes) -> str:
    """The key for people: 26 characters of RFC 4648 base32, unpadded, in five groups."""
    assert len(key) == KEY_BYTES, len(key)
    return "-".join(_grouped(b32encode(key).decode().rstrip("=")))


def receipt_key(code: str) -> bytes:
    """The key that a receipt's code stands for; what is mistyped and still a code fits no certificate. Raises as `key_of`."""
    return key_of(code, KEY_BYTES)


def key_of(code: str, key_bytes: int) -> bytes:
    """The key that an unpadded base32 code stands for, however it is grouped and in either case; 0, 1 and 8 are read as O, I
    and B. Raises UsageError, which does not repeat it, for what is no code.
    """
    letters = re.sub(r"[\s-]", "", code).upper().translate(_MISREAD)
    if len(letters) != (wanted := -(-key_bytes * 8 // 5)):
        raise UsageError(f"the code has {len(letters)} characters, it should have {wanted}")
    try:
        key = b32decode(letters + "=" * (-len(letters) % 8))
    except (binascii.Error, ValueError):
        raise UsageError("the code holds a character that no code has: it has A to Z and 2 to 7") from None
    # The last character holds bits beyond the key. RFC 4648 §3.5: a code in which they are not zero was mistyped.
    if b32encode(key).decode().rstrip("=") != letters:
        raise UsageError("the last character of the code is mistyped")
    return key


def _grouped(letters: str) -> Iterator[str]:
    place = 0
    for length in _GROUPS:
        yield letters[place : place + length]
        place += length


def _as_committed(text: str, what: str) -> str:
    # Blanks first: a line feed in an address is one, and no other control character may stand in it.
    plain = _BLANKS.sub(" ", unicodedata.normalize("NFC", text)).strip()
    if not is_printable(plain):
        raise UsageError(f"the customer's {what} holds characters that do not show as themselves")
    if len(plain) > MAX_DETAIL_CHARACTERS:
        raise UsageError(f"the customer's {what} is longer than {MAX_DETAIL_CHARACTERS} characters")
    return plain


BEARER = CustomerDetails("bearer")
"""Of a customer who gives no name: whoever holds the receipt."""
