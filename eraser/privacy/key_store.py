"""The keys of lots and records, in a folder of their own outside the ledger, so that no backup of the ledger has them.

    vault/                     0700
      master.key               wraps the lots' keys; nothing else in this folder is secret without it
      next.key, old.key        while it is changed
      store.id                 tells this store from others; stands with each record
      lots/<SHA-256 of the lot's name>/
        lot.key                the lot's key, wrapped by the master key; without it the records' keys are noise
        <record id>.key        a record's key, wrapped by the lot's key
      gone/<same names>        of what was destroyed: no key is ever put there again

Each record has a key of its own so that one customer's record can be destroyed while the lot's others stay. It can't lie in
the ledger, wrapped by the lot's key: there nothing is ever removed, and backups of it would give it back. What is gone is on
record here too, not in the ledger's log alone: a ledger that is restored from an older backup does not know of it.
"""

import fcntl
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from eraser.certificates.errors import KeyFileError
from eraser.certificates.keys import make_key_folder
from eraser.domain.pattern import RandomBytes
from eraser.durable import sync_directory, write_new
from eraser.errors import UsageError
from eraser.privacy.errors import VaultAlteredError, VaultDestroyedError, VaultKeyError
from eraser.privacy.sealing import KEY_BYTES, Context, context, new_key, seal, unseal

MAX_FILE_BYTES = 1 << 16
_RECORD_ID = re.compile(r"[0-9a-f]{32}")


class MasterKey(Protocol):
    """Wraps keys so that they may lie in files. It never leaves the implementer, which may be a hardware token.

    `unwrap` raises VaultAlteredError for what this key did not wrap for this context. Between `begin_change` and `end_change`
    a new key wraps and both unwrap; `end_change` destroys the old one. After a crash both may be called again.
    """

    def wrap(self, key: bytes, bound_to: Context) -> bytes: ...

    def unwrap(self, wrapped: bytes, bound_to: Context, subject: str) -> bytes: ...

    def begin_change(self) -> None: ...

    def is_by_newest(self, wrapped: bytes, bound_to: Context) -> bool: ...

    def end_change(self) -> None: ...


class KeyStore(Protocol):
    """Keeps the keys of lots and of their records. A key that is put is durable once the call returns. A key that is destroyed
    is gone for good, also from the medium as far as that can be had, and stays gone after a crash; destroying again what is
    gone or half gone completes it. All of it may block, and raises VaultKeyError where the store cannot be used.
    """

    @property
    def store_id(self) -> str:
        """Random, of this store and of what is restored from its backups."""
        ...

    def exclusively(self) -> Any:
        """A context in which no other process puts or destroys keys."""
        ...

    def lot_ids(self) -> tuple[str, ...]:
        """Lots whose key is here, by name."""
        ...

    def record_ids(self, lot_id: str) -> tuple[str, ...]:
        """Records of the lot whose keys are here."""
        ...

    def has_anything_of(self, lot_id: str, record_id: str = "") -> bool:
        """Whether a trace of the record's key is left; of any key of the lot where no record is given."""
        ...

    def is_destroyed(self, lot_id: str, record_id: str = "") -> bool:
        """Whether the destruction of the record's key has begun here, by itself or with its lot; or of the lot's."""
        ...

    def put_lot(self, lot_id: str, key: bytes | None = None) -> None:
        """Makes the lot's key, or takes the one given; one that is there stays. Raises VaultDestroyedError for one that was
        destroyed, as `put_record` does.
        """
        ...

    def put_record(self, lot_id: str, record_id: str, key: bytes | None = None) -> bytes:
        """Makes the record's key, or takes the one given; one that is there stays, and is what this gives."""
        ...

    def lot_key(self, lot_id: str) -> bytes:
        """Raises VaultKeyError where there is none, VaultAlteredError where it is not what was put."""
        ...

    def record_key(self, lot_id: str, record_id: str) -> bytes:
        """Raises as `lot_key` does."""
        ...

    def change_master(self) -> int:
        """Wraps the keys of all lots, whose number it gives, by a new master key; the old one is gone once this returns. After
        a crash the same call goes on, and nothing is lost meanwhile. Only within `exclusively`.
        """
        ...

    def destroy_record(self, lot_id: str, record_id: str) -> None:
        """The record's key is gone once this returns."""
        ...

    def destroy_lot(self, lot_id: str) -> None:
        """The lot's key and those of all its records are gone once this returns; the lot's first."""
        ...


class FileMasterKey:
    """A master key in a 0600 file, made on first use. The file is read anew each time: another process may change the key.

    A change, after a crash at any step: 1. `next.key` lies beside `master.key`; from here on it wraps, and both unwrap. 2. The
    store wraps all anew. 3. `master.key` is called `old.key`. 4. `next.key` is called `master.key`. 5. `old.key` is destroyed.
    """

    def __init__(self, path: Path, random_bytes: RandomBytes = os.urandom) -> None:
        self._path = path
        self._next = path.with_name("next.key")
        self._old = path.with_name("old.key")
        self._random_bytes = random_bytes
        self._settle()
        if not path.exists():
            write_if_missing(path, self._fresh)
        self._read(path)

    def wrap(self, key: bytes, bound_to: Context) -> bytes:
        """Sealed under the key in the file, while it is changed under the new one."""
        return seal(self._keys()[-1], key, bound_to, self._random_bytes)

    def unwrap(self, wrapped: bytes, bound_to: Context, subject: str) -> bytes:
        """Raises VaultAlteredError."""
        *others, last = self._keys()
        for key in others:
            with suppress(VaultAlteredError):
                return unseal(key, wrapped, bound_to, subject)
        return unseal(last, wrapped, bound_to, subject)

    def begin_change(self) -> None:
        """From now on a new key wraps. Called again it is the same new key."""
        write_if_missing(self._next, self._fresh)

    def is_by_newest(self, wrapped: bytes, bound_to: Context) -> bool:
        """Whether the key that wraps now has wrapped it."""
        try:
            unseal(self._keys()[-1], wrapped, bound_to, "")
        except VaultAlteredError:
            return False
        return True

    def end_change(self) -> None:
        """The old key is gone when this returns; nothing may be wrapped by it any more."""
        if self._next.exists():
            self._path.replace(self._old)
            sync_directory(self._path.parent)
        self._settle()

    def _settle(self) -> None:
        """Steps 4 and 5, where another process has not taken them."""
        if not self._path.exists():
            with suppress(FileNotFoundError):
                self._next.replace(self._path)
                sync_directory(self._path.parent)
        if self._path.exists():
            destroy_file(self._old)

    def _keys(self) -> list[bytes]:
        """Those that unwrap; the last one wraps."""
        found = []
        for path in (self._path, self._next):
            with suppress(FileNotFoundError):
                found.append(self._read(path))
        return found or [self._read(self._path)]  # the new one was just renamed

    def _fresh(self) -> bytes:
        return f"eraser vault master key v1\n{new_key(self._random_bytes).hex()}\n".encode()

    @staticmethod
    def _read(path: Path) -> bytes:
        found = re.fullmatch(rb"eraser vault master key v1\n([0-9a-f]{64})\n", read_private(path))
        if found is None:
            raise VaultKeyError("it holds no master key of a vault", subject=str(path))
        return bytes.fromhex(found[1].decode())


class FileKeyStore:
    """`KeyStore` in a folder. Belongs to one user; several processes may use it at once."""

    def __init__(
        self, folder: Path, master: MasterKey | None = None, random_bytes: RandomBytes = os.urandom, store_id: str = ""
    ) -> None:
        """Made on first use, with this id where a backup is restored into it. Raises VaultKeyError."""
        self._lots = folder / "lots"
        self._gone = folder / "gone"
        self._lock = folder / "lock"
        self._random_bytes = random_bytes
        try:
            make_key_folder(folder)
            make_key_folder(self._lots)
            make_key_folder(self._gone)
        except KeyFileError as error:
            raise VaultKeyError(error.what, subject=error.subject, remedy=error.remedy) from error
        self._master = master or FileMasterKey(folder / "master.key", random_bytes)
        write_if_missing(folder / "store.id", lambda: f"{store_id or random_bytes(16).hex()}\n".encode())
        self._store_id = read_private(folder / "store.id").decode("ascii", "replace").strip()

    @property
    def store_id(self) -> str:
        """32 hex digits."""
        return self._store_id

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """By flock(2), which a process that dies gives back."""
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def lot_ids(self) -> tuple[str, ...]:
        """Of lots whose destruction has not begun."""
        found = (self._read(path) for path in self._lots.glob("*/lot.key"))
        return tuple(sorted(str(form["lot_id"]) for form in found if form is not None))

    def record_ids(self, lot_id: str) -> tuple[str, ...]:
        """By id."""
        names = (path.stem for path in self._folder(lot_id).glob("*.key"))
        return tuple(sorted(name for name in names if _RECORD_ID.fullmatch(name)))

    def has_anything_of(self, lot_id: str, record_id: str = "") -> bool:
        """Also of a file that a crash left half written."""
        folder = self._folder(lot_id)
        return bool(self._files_of(folder, record_id)) if record_id else folder.exists()

    def is_destroyed(self, lot_id: str, record_id: str = "") -> bool:
        """By what lies in `gone/`."""
        names = [self._folder(lot_id).name, *([self._record_path(lot_id, record_id).name] if record_id else [])]
        return any((self._gone / name).exists() for name in names)

    def put_lot(self, lot_id: str, key: bytes | None = None) -> None:
        """The folder of the lot with its key."""
        self._expect_not_destroyed(lot_id)
        folder = self._folder(lot_id)
        if not folder.exists():
            folder.mkdir(mode=0o700)
            sync_directory(self._lots)
        path = folder / "lot.key"
        form = {"format": "eraser lot key v1", "lot_id": lot_id}
        bound = context("lot key", lot_id)
        self._put(path, form, lambda: self._master.wrap(key or new_key(self._random_bytes), bound))

    def put_record(self, lot_id: str, record_id: str, key: bytes | None = None) -> bytes:
        """Under the lot's key."""
        self._expect_not_destroyed(lot_id, record_id)
        lot_key = self.lot_key(lot_id)
        form = {"format": "eraser record key v1", "lot_id": lot_id, "record_id": record_id}
        bound = context("record key", lot_id, record_id)
        fresh = key or new_key(self._random_bytes)
        self._put(self._record_path(lot_id, record_id), form, lambda: seal(lot_key, fresh, bound, self._random_bytes))
        return self.record_key(lot_id, record_id)

    def lot_key(self, lot_id: str) -> bytes:
        """Unwrapped by the master key."""
        path, bound = self._folder(lot_id) / "lot.key", context("lot key", lot_id)
        with suppress(VaultAlteredError):  # another process may just be wrapping it by another master key
            return _whole(self._master.unwrap(self._wrapped(path, f"lot {lot_id}"), bound, ""), path)
        wrapped = self._wrapped(path, f"lot {lot_id}")
        return _whole(self._master.unwrap(wrapped, bound, f"the key of lot {lot_id}"), path)

    def record_key(self, lot_id: str, record_id: str) -> bytes:
        """Unwrapped by the lot's key."""
        path = self._record_path(lot_id, record_id)
        wrapped = self._wrapped(path, f"record {record_id}")
        bound = context("record key", lot_id, record_id)
        return _whole(unseal(self.lot_key(lot_id), wrapped, bound, f"the key of record {record_id}"), path)

    def change_master(self) -> int:
        """Each lot's file is replaced whole: at any moment it holds its key under the old master key or the new one."""
        self._master.begin_change()
        lots = self.lot_ids()
        for lot_id in lots:
            path, bound = self._folder(lot_id) / "lot.key", context("lot key", lot_id)
            if not self._master.is_by_newest(self._wrapped(path, f"lot {lot_id}"), bound):
                wrapped = self._master.wrap(self.lot_key(lot_id), bound)
                replace_private(path, _dumped({"format": "eraser lot key v1", "lot_id": lot_id}, wrapped))
        # Read again before the old key goes: what it alone can open would be lost for good.
        for lot_id in lots:
            path = self._folder(lot_id) / "lot.key"
            if not self._master.is_by_newest(self._wrapped(path, f"lot {lot_id}"), context("lot key", lot_id)):
                raise VaultKeyError("it was wrapped by the new master key and is not", subject=str(path))
        self._master.end_change()
        return len(lots)

    def destroy_record(self, lot_id: str, record_id: str) -> None:
        """Its file, and what a crash left of it under other names."""
        folder = self._folder(lot_id)
        write_if_missing(self._gone / self._record_path(lot_id, record_id).name, lambda: b"\n")
        for path in self._files_of(folder, record_id):
            destroy_file(path)

    def destroy_lot(self, lot_id: str) -> None:
        """All files of its folder, and the folder."""
        folder = self._folder(lot_id)
        write_if_missing(self._gone / folder.name, lambda: b"\n")
        if not folder.exists():
            return
        # The lot's key first: once it is gone all others are noise, wherever the power fails.
        for path in (*self._files_of(folder, "lot"), *sorted(folder.iterdir())):
            destroy_file(path)
        folder.rmdir()
        sync_directory(self._lots)

    def _expect_not_destroyed(self, lot_id: str, record_id: str = "") -> None:
        if self.is_destroyed(lot_id, record_id):
            raise VaultDestroyedError(
                "its keys were destroyed, and none is put in their place",
                subject=f"record {record_id}" if record_id else f"lot {lot_id}",
            )

    def _folder(self, lot_id: str) -> Path:
        # A lot's name may hold what no file name may.
        return self._lots / hashlib.sha256(lot_id.encode()).hexdigest()

    def _record_path(self, lot_id: str, record_id: str) -> Path:
        if not _RECORD_ID.fullmatch(record_id):
            raise UsageError("it is no record's id: 32 hex digits", subject=record_id[:64])
        return self._folder(lot_id) / f"{record_id}.key"

    def _files_of(self, folder: Path, stem: str) -> tuple[Path, ...]:
        """The key's file, and temporary ones that `write_new` left when the power failed."""
        if not folder.exists():
            return ()
        own = (f"{stem}.key", f".{stem}.key.")
        return tuple(sorted(path for path in folder.iterdir() if path.name == own[0] or path.name.startswith(own[1])))

    def _put(self, path: Path, form: dict[str, str], wrap: Any) -> None:
        write_if_missing(path, lambda: _dumped(form, wrap()))

    def _wrapped(self, path: Path, subject: str) -> bytes:
        form = self._read(path)
        if form is None:
            raise VaultKeyError(
                f"there is no key of {subject} in this station's vault",
                subject=str(self._lots.parent),
                remedy="If it was lost and not destroyed: `eraser vault keys restore` takes it from a backup of the keys.",
            )
        return bytes.fromhex(form["wrapped"])

    def _read(self, path: Path) -> dict[str, str] | None:
        """None where there is no such file. A lot whose key a crash left overwritten with zeros has none."""
        try:
            content = read_private(path)
        except FileNotFoundError:
            return None
        if not content.strip(b"\0"):
            return None
        try:
            form = json.loads(content)
            bytes.fromhex(form["wrapped"])
        except (ValueError, KeyError, TypeError):
            raise VaultAlteredError("it is no file of a key", subject=str(path)) from None
        return dict(form)


def _dumped(form: dict[str, str], wrapped: bytes) -> bytes:
    return json.dumps({**form, "wrapped": wrapped.hex()}).encode() + b"\n"


def write_if_missing(path: Path, content: Any) -> None:
    """Puts what `content()` gives at `path`, mode 0600, durably, unless something is there. Raises VaultKeyError."""
    try:
        if not path.is_symlink() and not path.exists():
            write_new(path, content(), 0o600)
    except OSError as error:
        raise VaultKeyError(f"the key cannot be written: {error.strerror}", subject=str(path)) from error


def read_private(path: Path, most_bytes: int = MAX_FILE_BYTES) -> bytes:
    """A regular file that only we can read, or its beginning. Raises VaultKeyError; FileNotFoundError where there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise VaultKeyError(f"the key cannot be read: {error.strerror}", subject=str(path)) from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise VaultKeyError(
                "others can get at it, or it is no file of ours",
                subject=str(path),
                remedy=f"If nobody can have read it meanwhile: chmod 600 {path}",
            )
        return file.read(most_bytes)


def replace_private(path: Path, content: bytes) -> None:
    """Puts the content in the file's place, then overwrites the old file where it lies. A crash in between leaves old blocks
    without a name; never a file that is neither the old nor the new one.
    """
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    write_new(temporary, content, 0o600)
    old = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        temporary.replace(path)
        sync_directory(path.parent)
        length = os.fstat(old).st_size
        for place in range(0, length, 1 << 20):
            os.pwrite(old, bytes(min(1 << 20, length - place)), place)
        os.fsync(old)
    finally:
        os.close(old)


def destroy_file(path: Path) -> None:
    """Overwrites the file where it lies, takes its name away, and makes both durable; nothing where there is none.

    On flash, and on file systems that copy on write, the old blocks may outlive this: docs/privacy.md says what that means.
    Raises VaultKeyError where it can't be done.
    """
    with suppress(FileNotFoundError):
        try:
            _overwrite(path)
            path.unlink()
            sync_directory(path.parent)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise VaultKeyError(f"it cannot be destroyed: {error.strerror}", subject=str(path)) from error
    if path.is_symlink() or path.exists():
        raise VaultKeyError("it was destroyed and is there again", subject=str(path))


def _overwrite(path: Path) -> None:
    # In place: a new file would leave the old blocks as they are.
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        length = os.fstat(descriptor).st_size
        place = 0
        while place < length:
            place += os.pwrite(descriptor, bytes(min(length - place, 1 << 20)), place)
        os.fsync(descriptor)
        if os.pread(descriptor, min(length, 1 << 20), 0).strip(b"\0"):
            raise VaultKeyError("it was overwritten and still reads as before", subject=str(path))
    finally:
        os.close(descriptor)


def _whole(key: bytes, path: Path) -> bytes:
    if len(key) != KEY_BYTES:
        raise VaultAlteredError("its key has another length", subject=str(path))
    return key
