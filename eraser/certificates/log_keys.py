"""The station's keys of its log, and their change.

In `keys/log/` (mode 0700): `log.key`, the private half that signs (PEM, PKCS #8, mode 0600); while it is changed also
`next.key`, which signs beside it; and `keys`, the public halves of all that ever signed, oldest first, with their times in
entries. Without that file the one key signs always.
"""

from dataclasses import replace
from pathlib import Path

from eraser.certificates.errors import KeyFileError
from eraser.certificates.keys import FileSigner, open_signer
from eraser.durable import sync_directory, write_over
from eraser.errors import Refused
from eraser.log.checkpoint import confirm
from eraser.log.errors import NoteError
from eraser.log.note import Note, NoteKey, NoteSigner, SignatureType, keys_of

NAME = "log.key"
NEXT_NAME = "next.key"
PUBLIC_NAME = "keys"


class StationLogKeys:
    """`eraser.log.publishing.LogKeys` in a folder, made on first use."""

    def __init__(self, folder: Path, origin: str) -> None:
        self._folder = folder
        self._origin = origin

    def known(self) -> tuple[NoteKey, ...]:
        """All that ever signed, with their times."""
        current = self._key(open_signer(self._folder, NAME))
        path = self._folder / PUBLIC_NAME
        try:
            found = keys_of(path.read_text()) if path.exists() else (current,)
        except (OSError, NoteError, UnicodeDecodeError) as error:
            raise KeyFileError(f"the log's keys cannot be read: {error}", subject=str(path)) from error
        if any(key.name != self._origin for key in found) or current not in found:
            raise KeyFileError("they are not the keys of this log", subject=str(path))
        return found

    def signers(self, size: int) -> tuple[NoteSigner, ...]:
        """Those whose private half is here and whose time it is."""
        times = {key: key for key in self.known()}
        signers = [open_signer(self._folder, NAME)]
        if (self._folder / NEXT_NAME).exists():
            signers.append(open_signer(self._folder, NEXT_NAME))
        valid = tuple(item for item in signers if (key := times.get(self._key(item))) and key.signs_at(size))
        if not valid:
            raise KeyFileError(
                f"no key of the log signs at {size} entries",
                subject=str(self._folder),
                remedy="If a change of keys was begun, end it: eraser log key retire.",
            )
        return valid

    def reopen(self, size: int) -> None:
        """The key that signs now signs from so many entries on, if it did not; what others signed in their time stays valid.

        Whoever verifies needs the keys anew. A stolen old key gains nothing by it: its own time stays what it was.
        """
        known = self.known()
        current = self._key(open_signer(self._folder, NAME))
        if any(key == current and key.since > size for key in known):
            self._keep(tuple(replace(key, since=size) if key == current else key for key in known))

    def begin_change(self, size: int) -> tuple[NoteKey, NoteKey]:
        """From the checkpoint of `size` entries on a new key signs beside the old one: both are given. After a crash it may be
        called again. Raises Refused while a change is under way, KeyFileError.
        """
        known = self.known()
        is_begun = (self._folder / NEXT_NAME).exists()
        # 1. The new private half is there, and nothing is signed with it. 2. It is among the keys of this log, and signs.
        new = replace(self._key(open_signer(self._folder, NEXT_NAME)), since=size)
        if is_begun and new in known:
            raise Refused(
                "under-way", "the log's key is being changed already", remedy="End it: eraser log key retire."
            )
        self._keep((*known, new))
        return known[-1], new

    def end_change(self, newest: Note) -> tuple[NoteKey, NoteKey]:
        """The old key signs nothing longer than the newest checkpoint, which both must have signed, and its private half is
        gone. After a crash it may be called again. Raises Refused where there is no change to end, or nobody could have
        learned of it yet, KeyFileError.
        """
        known = self.known()
        if not (self._folder / NEXT_NAME).exists() or len(known) < 2:
            raise Refused("no-change", "the log's key is not being changed", remedy="Begin: eraser log key rotate.")
        *earlier, old, new = known
        checkpoint, signers = confirm(newest, known)
        if old.until is None:
            if new not in signers or old not in signers:
                raise Refused(
                    "not-published",
                    "no checkpoint was signed with both keys yet",
                    remedy="The running station signs one within the hour, and after the next certificate.",
                )
            old = replace(old, until=checkpoint.size)
            # 1. The old key's time ends. 2. Its private half makes place for the new one's, in one step.
            self._keep((*earlier, old, new))
        (self._folder / NEXT_NAME).replace(self._folder / NAME)
        sync_directory(self._folder)
        return old, new

    def _key(self, signer: FileSigner) -> NoteKey:
        return NoteKey(self._origin, SignatureType.ED25519, signer.raw_public_key)

    def _keep(self, keys: tuple[NoteKey, ...]) -> None:
        path = self._folder / PUBLIC_NAME
        try:
            write_over(path, "".join(key.lines() for key in keys).encode(), 0o644)
        except OSError as error:
            raise KeyFileError(f"the log's keys cannot be written: {error.strerror}", subject=str(path)) from error
