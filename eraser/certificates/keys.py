"""Keys for certificates: the station's own Ed25519 key, made on first use, and the public keys that are trusted.

In the station's key folder (mode 0700): `certificate.key`, the private half (PEM, PKCS #8, mode 0600), and `<key
id>.pub`, public halves in PEM, with the time in which each signs (`validity`); every `*.pub` there is trusted on this
station. A key id is the first 16 hex digits of SHA-256 of the 32 raw bytes of the public key.
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from eraser.certificates.errors import KeyFileError
from eraser.certificates.validity import ALWAYS, Validity, validity_of
from eraser.durable import sync_directory, write_new, write_over

PRIVATE_NAME = "certificate.key"
AUDIT_FOLDER = "audit"
"""Of the keys that sign audits: every public key beside the certificates' is trusted to sign certificates."""
MAX_KEY_FILE_BYTES = 1 << 20
_PUBLIC_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----\r?\n.*?-----END PUBLIC KEY-----", re.DOTALL)


class PublicKey:
    """A public key, its id, and in which time it signs."""

    def __init__(self, key: Ed25519PublicKey, validity: Validity = ALWAYS) -> None:
        self._key = key
        self.validity = validity
        self.raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.key_id = hashlib.sha256(self.raw).hexdigest()[:16]

    def is_signature(self, signature: bytes, message: bytes) -> bool:
        """Whether this key made the signature (RFC 8032) of exactly this message."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def pem(self) -> bytes:
        """SubjectPublicKeyInfo in PEM, as OpenSSL reads it, after the lines that say in which time it signs."""
        lines = self.validity.lines().encode()
        return lines + self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def valid(self, validity: Validity) -> "PublicKey":
        """The same key with another time."""
        return PublicKey(self._key, validity)


@dataclass(frozen=True, slots=True)
class CurveKey:
    """A P-256 public key, which signs PDFs, and in which time."""

    key: EllipticCurvePublicKey
    validity: Validity = ALWAYS


PdfKeys = Mapping[str, CurveKey]
"""Trusted public keys for PDFs by their id."""


def curve_key_id(key: EllipticCurvePublicKey) -> str:
    """The first 16 hex digits of SHA-256 of the public point, uncompressed (SEC 1 §2.3.3, 65 bytes)."""
    return hashlib.sha256(key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)).hexdigest()[:16]


class FileSigner:
    """A Signer whose private key is in this process's memory, read from a file."""

    def __init__(self, key: Ed25519PrivateKey, validity: Validity = ALWAYS) -> None:
        self._key = key
        self.public = PublicKey(key.public_key(), validity)

    @property
    def key_id(self) -> str:
        """Of the public half."""
        return self.public.key_id

    @property
    def raw_public_key(self) -> bytes:
        """The public half's 32 bytes (RFC 8032)."""
        return self.public.raw

    def sign(self, message: bytes) -> bytes:
        """Ed25519 of the message."""
        return self._key.sign(message)

    def expect_valid_at(self, moment: str) -> None:
        """Raises KeyFileError where this key does not sign at that moment (RFC 3339, UTC)."""
        if not self.public.validity.covers(moment):
            raise KeyFileError(
                f"it is {moment}, and the key {self.key_id} signs {self.public.validity}",
                remedy="If the clock is right, `eraser certificate key rotate` makes a new one.",
            )


TrustedKeys = Mapping[str, PublicKey]
"""Trusted public keys by their id."""


def open_signer(directory: Path, name: str = PRIVATE_NAME) -> FileSigner:
    """The station's signer, its key (the file `name`) made on first use; its public half is in the folder when this returns.

    Several processes may do this at once: all get the same key. Raises KeyFileError for a folder or a file that others
    could read or change, for symbolic links, and for what is no Ed25519 key.
    """
    make_key_folder(directory)
    private = directory / name
    try:
        if not private.is_symlink() and not private.exists():
            # Whoever comes second keeps the first one's key: write_new never replaces.
            write_new(private, private_pem(Ed25519PrivateKey.generate()), 0o600)
        key = _load_private(private)
        public = _published(directory, PublicKey(key.public_key()))
    except OSError as error:
        raise KeyFileError(f"the signing key cannot be used: {error.strerror}", subject=str(private)) from error
    return FileSigner(key, public.validity)


OVERLAP_SECONDS = 60
"""So long after a rotation a certificate may still bear the old key: the one that was being signed just then."""


def rotate(directory: Path, now: str, until: str, name: str = PRIVATE_NAME) -> tuple[PublicKey, FileSigner]:
    """A new signing key from `now` on, and the end of the old one at `until`, a little later; RFC 3339 in UTC. The old public
    half stays, for what it signed in its time; its private half is gone. Once that returns all is durable. Use one at a time.

    Raises KeyFileError as `open_signer` does.
    """
    old = open_signer(directory, name)
    key = Ed25519PrivateKey.generate()
    new = FileSigner(key, Validity(since=now))
    # 1. The new key is trusted, and nobody has its private half. 2. The old one ends; after a crash here the station signs
    # nothing more until this is done again. 3. In one step the new private half takes the old one's place.
    try:
        write_new(directory / f"{new.key_id}.pub", new.public.pem(), 0o644)
        ended = old.public.valid(old.public.validity.within(Validity(until=until)))
        write_over(directory / f"{old.key_id}.pub", ended.pem(), 0o644)
        write_over(directory / name, private_pem(key), 0o600)
    except OSError as error:
        raise KeyFileError(f"the key cannot be changed: {error.strerror}", subject=str(directory)) from error
    return ended, new


def _published(directory: Path, public: PublicKey) -> PublicKey:
    """The public half as its file says it, made where there is none."""
    path = directory / f"{public.key_id}.pub"
    if not path.exists():  # else every certificate would wait for two more flushes of the disk
        write_new(path, public.pem(), 0o644)
    found = _by_id(_load_public(path)).get(public.key_id)
    if found is None:
        raise KeyFileError("it holds another key than its name says", subject=str(path))
    return found


def station_keys(directory: Path) -> TrustedKeys:
    """What this station trusts by itself: every `*.pub` in its key folder; nothing when there is no such folder."""
    if not directory.is_dir():
        return {}
    _check_directory(directory)
    return _by_id(key for path in sorted(directory.glob("*.pub")) for key in _load_public(path))


def load_keys(path: Path) -> TrustedKeys:
    """The public keys in a PEM file (one or more), or in the `*.pub` and `*.pem` files of a folder.

    P-256 keys, which sign PDFs, may stand among them. Raises KeyFileError when there is no Ed25519 key, or when anything
    in them is neither.
    """
    keys = _by_id(key for file in _key_files(path) for key in _load_public(file))
    if not keys:
        raise KeyFileError(
            "there is no public key in it", subject=str(path), remedy="Give a PEM file, or a folder of *.pub."
        )
    return keys


def load_pdf_keys(paths: Iterable[Path]) -> PdfKeys:
    """The P-256 public keys in PEM files and folders, beside which Ed25519 keys may stand. Raises KeyFileError."""
    found: dict[str, CurveKey] = {}
    for item in (item for path in paths for item in load_curve_keys(path)):
        before = found.get(curve_key_id(item.key), item)
        found[curve_key_id(item.key)] = CurveKey(item.key, item.validity.within(before.validity))
    return found


def load_curve_keys(path: Path) -> list[CurveKey]:
    """The P-256 public keys in such a file or folder, beside which Ed25519 keys may stand. Raises KeyFileError."""
    found = (key for file in _key_files(path) for key in _public_blocks(file))
    return [key for key in found if isinstance(key, CurveKey)]


def _key_files(path: Path) -> list[Path]:
    return sorted(item for item in path.iterdir() if item.suffix in (".pub", ".pem")) if path.is_dir() else [path]


def load_all(paths: Iterable[Path]) -> TrustedKeys:
    """The keys of several files and folders together. Raises KeyFileError."""
    return _by_id(key for path in paths for key in load_keys(path).values())


def _by_id(keys: Iterable[PublicKey]) -> TrustedKeys:
    """Of a key that is there twice the narrower time counts."""
    found: dict[str, PublicKey] = {}
    for key in keys:
        before = found.get(key.key_id, key)
        found[key.key_id] = key.valid(key.validity.within(before.validity))
    return found


def private_pem(key: Ed25519PrivateKey | EllipticCurvePrivateKey) -> bytes:
    """As it lies in a key file (RFC 5958, without a password: the file's mode guards it)."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def make_key_folder(directory: Path) -> None:
    """The folder is there, ours and closed to others, or KeyFileError."""
    try:
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            directory.mkdir(mode=0o700)
            sync_directory(directory.parent)
        except FileExistsError:
            pass
    except OSError as error:
        raise KeyFileError(f"the key folder cannot be made: {error.strerror}", subject=str(directory)) from error
    _check_directory(directory)


def _check_directory(directory: Path) -> None:
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise KeyFileError("the key folder is no folder, or a symbolic link to one", subject=str(directory))
    _check_owner(status, directory, 0o700)


def _check_owner(status: os.stat_result, path: Path, mode: int) -> None:
    if status.st_uid != os.geteuid():
        raise KeyFileError(f"it belongs to user {status.st_uid} and not to the one who runs this", subject=str(path))
    if status.st_mode & 0o077:
        raise KeyFileError(
            f"others can get at it: its mode is {stat.S_IMODE(status.st_mode):04o}",
            subject=str(path),
            remedy=f"If nobody can have read it meanwhile: chmod {mode:o} {path}. Else make a new key.",
        )


def _load_private(path: Path) -> Ed25519PrivateKey:
    key = read_private_key(path)
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError("its key is not an Ed25519 key", subject=str(path))
    return key


def read_private_key(path: Path) -> PrivateKeyTypes:
    """The private key in a regular file that only we can read. Raises KeyFileError; never waits for what is no file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        why = "it is a symbolic link" if path.is_symlink() else f"it cannot be opened: {error.strerror}"
        raise KeyFileError(why, subject=str(path), remedy="The key itself must be in the key folder.") from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileError("it is no regular file", subject=str(path))
        _check_owner(status, path, 0o600)
        content = file.read(MAX_KEY_FILE_BYTES)
    try:
        return load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError("it holds no private key in PEM without a password", subject=str(path)) from error


def _load_public(path: Path) -> list[PublicKey]:
    return [key for key in _public_blocks(path) if isinstance(key, PublicKey)]


def _public_blocks(path: Path) -> list[PublicKey | CurveKey]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_KEY_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"the key file cannot be read: {error.strerror}", subject=str(path)) from error
    if len(content) > MAX_KEY_FILE_BYTES:
        raise KeyFileError("it is too long for a file of keys", subject=str(path))
    if b"PRIVATE KEY-----" in content:
        raise KeyFileError(
            "it holds a private key, which must not leave its station",
            subject=str(path),
            remedy="Give the public half: `eraser certificate key` on the station prints it.",
        )
    keys: list[PublicKey | CurveKey] = []
    before = 0
    for block in _PUBLIC_PEM.finditer(content):
        keys.append(_public_key(block[0], content[before : block.start()], path))
        before = block.end()
    if not keys:
        raise KeyFileError("there is no public key in PEM in it", subject=str(path))
    return keys


def _public_key(block: bytes, preamble: bytes, path: Path) -> PublicKey | CurveKey:
    try:
        validity = validity_of(preamble.decode("utf-8", "replace"))
    except ValueError as error:
        raise KeyFileError(
            f"a line before its key does not say in which time it signs: {str(error)!a}", subject=str(path)
        ) from error
    try:
        key = load_pem_public_key(block + b"\n")
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError("its public key cannot be read", subject=str(path)) from error
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return CurveKey(key, validity)
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError("its public key is neither an Ed25519 nor a P-256 key", subject=str(path))
    return PublicKey(key, validity)
