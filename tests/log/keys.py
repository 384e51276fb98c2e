"""Keys in memory."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from eraser.log.note import NoteKey, SignatureType


class KeyInMemory:
    """`eraser.log.note.NoteSigner`; the same key for the same number."""

    def __init__(self, number: int = 1) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)

    @property
    def raw_public_key(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)

    def pem(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def key(self, name: str, kind: SignatureType = SignatureType.ED25519) -> NoteKey:
        return NoteKey(name, kind, self.raw_public_key)
