"""AES-256-GCM (NIST SP 800-38D): a fresh 96-bit nonce, the ciphertext, a 128-bit tag; bound to what it is and where it belongs.

A key seals few things: a record's key its versions and receipts, a lot's key its records' keys. Random nonces are far from the
2^32 uses that SP 800-38D §8.3 allows.
"""

import os
from typing import TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from eraser.domain.commitment import length_prefixed
from eraser.domain.pattern import RandomBytes
from eraser.privacy.errors import VaultAlteredError

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16

Context: TypeAlias = bytes
_FORMAT = b"eraser vault v1"


def context(kind: str, *parts: str) -> Context:
    """What sealed bytes are bound to: a kind and the names of their place, each led by its length."""
    return length_prefixed(_FORMAT, kind.encode(), *(part.encode() for part in parts))


def new_key(random_bytes: RandomBytes = os.urandom) -> bytes:
    """256 random bits."""
    key = random_bytes(KEY_BYTES)
    assert len(key) == KEY_BYTES
    return key


def seal(key: bytes, plaintext: bytes, bound_to: Context, random_bytes: RandomBytes = os.urandom) -> bytes:
    """Nonce, ciphertext and tag."""
    nonce = random_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, bound_to)


def unseal(key: bytes, sealed: bytes, bound_to: Context, subject: str) -> bytes:
    """What was sealed with this key for this place. Raises VaultAlteredError, naming the subject, for anything else."""
    if len(sealed) >= NONCE_BYTES + TAG_BYTES:
        try:
            return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to)
        except InvalidTag:
            pass
    raise VaultAlteredError(
        "it was altered, or moved here from another place, or its key is another one's",
        subject=subject,
        remedy="Keep the ledger: it is evidence. Restore the row from a backup of the ledger.",
    )
