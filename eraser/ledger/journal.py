"""The journal of jobs: append-only, one file a job, one line an event, on disk before `append` returns.

A line is its SHA-256 (first 16 hex digits) and the JSON form of the entry. A crash can leave the last line torn: it announced
something that was not begun, so it is dropped when the job is taken up again. Anything else that does not read is corruption.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from eraser.domain.drive import Drive, same_drive
from eraser.domain.events import Entry, JobEvent, JobQueued
from eraser.domain.job import JobState, apply, fold
from eraser.domain.json_form import from_json, to_json
from eraser.durable import sync_directory
from eraser.errors import EraserError, JournalError

FINISHED = "finished"
"""Folder of the jobs that nobody has to look at again: only open ones are read at a start."""
_SUFFIX = ".journal"
_DIGEST_DIGITS = 16
_KEEP_IT = "Move the file away to erase the drive anew, and keep it: it is evidence."
_JOB_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}", re.ASCII)
"""What may become the name of a file: nothing that leads out of the directory."""
# Whatever lies there under a job's name, only a plain file is a journal: no link is followed, no pipe waited for.
_PLAIN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class JobLog(Protocol):
    """One job's events. Whoever holds it is the only writer.

    `append` returns only once the event is durable; when it raises, the event may or may not be there and the job must stop.
    `state` is the fold of all that was appended.
    """

    @property
    def state(self) -> JobState: ...

    async def append(self, event: JobEvent) -> None: ...

    async def close(self) -> None: ...


class Journal(Protocol):
    """All jobs of a station: files or a database. `place` is where custody records say that it happened."""

    async def begin(self, request: JobQueued, *, place: str = "") -> JobLog:
        """A new job; its first event is durable when this returns. Raises JournalError, and then there is no such job."""
        ...

    async def take_up(self, job_id: str, *, place: str = "") -> JobLog:
        """An earlier job, to go on with. Raises JournalError when somebody else has it, or it can't be believed."""
        ...

    async def open_states(self, drive: Drive | None = None) -> list[JobState]:
        """The jobs with something left to do; where a drive is given, at least those on it. Raises JournalError naming one that
        can't be believed.
        """
        ...


class FileJobLog:
    """A job's file, open and locked for this process. Not for use by two threads at once."""

    def __init__(
        self, fd: int, path: Path, entries: tuple[Entry, ...], state: JobState, now_utc: Callable[[], str]
    ) -> None:
        self._fd = fd
        self._path = path
        self._sequence = len(entries)
        self._state = state
        self._now_utc = now_utc
        self._is_broken = False

    @property
    def state(self) -> JobState:
        """The fold of all events so far."""
        return self._state

    def append(self, event: JobEvent) -> None:
        """Durable when it returns. Raises JournalError when the event can't follow, or the disk does not take it; after that
        nothing more can be appended here, for nobody knows what the disk has.
        """
        if self._is_broken:
            raise JournalError("an earlier event could not be written, so none can follow", subject=str(self._path))
        entry = Entry(self._sequence, self._now_utc(), event)
        state = apply(self._state, event, entry.at)
        self._is_broken = True
        _write_durably(self._fd, _line(entry), self._path)
        self._is_broken = False
        self._sequence += 1
        self._state = state

    def close(self) -> None:
        """Gives up the lock; a job with nothing left to do is put with the finished ones."""
        try:
            if not self._state.is_open:
                finished = self._path.parent / FINISHED
                finished.mkdir(exist_ok=True, mode=0o700)
                self._path.rename(finished / self._path.name)
        except OSError as error:
            raise _unusable(self._path, error) from error
        finally:
            os.close(self._fd)


class FileJournal:
    """All jobs of a station, in one directory that only its owner can read: seeds stand in it."""

    def __init__(self, directory: Path, now_utc: Callable[[], str]) -> None:
        self._directory = directory
        self._now_utc = now_utc

    def begin(self, request: JobQueued) -> FileJobLog:
        """A new job; its first event is durable when this returns. Raises JournalError, and then there is no such job."""
        path = self._path(request.job_id)
        try:
            _make_durably(self._directory)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | _PLAIN, 0o600)
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            entry = Entry(0, self._now_utc(), request)
            _write_durably(fd, _line(entry), path)
            sync_directory(self._directory)
            return FileJobLog(fd, path, (entry,), fold((entry,)), self._now_utc)
        except BaseException as error:
            path.unlink(missing_ok=True)
            os.close(fd)
            if isinstance(error, OSError):
                raise _unusable(path, error) from error
            raise

    def take_up(self, job_id: str) -> FileJobLog:
        """An earlier job, to go on with. Raises JournalError when somebody else has it, or its journal can't be believed."""
        path = self._path(job_id)
        try:
            fd = _open_plain(path, os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _expect_still(fd, path)
            entries, believed_bytes = _entries(_content(fd), path)
            state = fold(entries)
            os.ftruncate(fd, believed_bytes)
            os.fsync(fd)
            return FileJobLog(fd, path, entries, state, self._now_utc)
        except BaseException as error:
            os.close(fd)
            if isinstance(error, BlockingIOError):
                raise JournalError("another process is working on this job", subject=job_id) from None
            if isinstance(error, OSError):
                raise _unusable(path, error) from error
            raise

    def open_states(self, drive: Drive | None = None, *, passes_over_doubtful: bool = False) -> Iterator[JobState]:
        """The jobs with something left to do, however many are finished.

        A journal that can't be believed raises JournalError naming the file, unless such are passed over. Where a drive is
        given it does not either, if what reads of it before its fault tells that it is of another drive.
        """
        if not self._directory.is_dir():
            return
        for path in sorted(self._directory.glob(f"*{_SUFFIX}")):
            try:
                # One that is gone was finished meanwhile; one without an event was not begun.
                state = _folded(entries, path) if (entries := _read(path)) else None
            except JournalError:
                if not passes_over_doubtful and not _is_of_another(drive, path):
                    raise
                continue
            if state is not None and state.is_open:
                yield state

    def entries(self, job_id: str) -> tuple[Entry, ...]:
        """All events of one job, finished or not. Raises JournalError where there is no such job."""
        path = self._path(job_id)
        finished = self._directory / FINISHED / path.name
        if entries := _read(path) or _read(finished):
            return entries
        raise JournalError("there is no such job", subject=job_id)

    def _path(self, job_id: str) -> Path:
        if not _JOB_ID.fullmatch(job_id):
            raise JournalError("this is no job's name", subject=repr(job_id))
        return self._directory / f"{job_id}{_SUFFIX}"


def _line(entry: Entry) -> bytes:
    body = json.dumps(to_json(entry), separators=(",", ":"), ensure_ascii=True).encode()
    return _digest(body) + b" " + body + b"\n"


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest()[:_DIGEST_DIGITS].encode()


def _open_plain(path: Path, flags: int) -> int:
    fd = os.open(path, flags | _PLAIN)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is no plain file")
    return fd


def _expect_still(fd: int, path: Path) -> None:
    """Raises JournalError where the file was finished and put away between its opening and its locking."""
    held = os.fstat(fd)
    try:
        there = path.lstat()
    except FileNotFoundError:
        there = None
    if there is None or (held.st_dev, held.st_ino) != (there.st_dev, there.st_ino):
        raise JournalError("another process has finished this job", subject=str(path))


def _read(path: Path) -> tuple[Entry, ...]:
    """The entries; none where there is no such file."""
    try:
        fd = _open_plain(path, os.O_RDONLY)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        return _entries(_content(fd), path)[0]
    except OSError as error:
        raise _unusable(path, error) from error
    finally:
        os.close(fd)


def _folded(entries: tuple[Entry, ...], path: Path) -> JobState:
    try:
        return fold(entries)
    except JournalError as error:
        raise JournalError(
            f"the journal can't be believed: {error.what}", subject=str(path), remedy=_KEEP_IT
        ) from error


def _is_of_another(drive: Drive | None, path: Path) -> bool:
    """Whether a journal that can't be believed is known to be of another drive than the one given."""
    known = _drive_before_the_fault(path) if drive is not None else None
    return drive is not None and known is not None and bool(same_drive(known, drive))


def _drive_before_the_fault(path: Path) -> Drive | None:
    """The drive of a journal that can't be believed: by the lines before the first that doesn't read or can't follow, each
    of which bears its digest. None where these name no drive.
    """
    try:
        fd = _open_plain(path, os.O_RDONLY)
        try:
            content = _content(fd)
        finally:
            os.close(fd)
    except OSError:
        return None
    state: JobState | None = None
    with contextlib.suppress(JournalError):
        for number, line in enumerate(content.split(b"\n")):
            entry = _entry(line, path, number + 1)
            if entry.sequence != number:
                break
            state = apply(state, entry.event, entry.at)
    return state.drive if state is not None else None


def _content(fd: int) -> bytes:
    with os.fdopen(os.dup(fd), "rb") as file:
        return file.read()


def _entries(content: bytes, path: Path) -> tuple[tuple[Entry, ...], int]:
    """The entries, and how many bytes of the content they take."""
    entries: list[Entry] = []
    start = 0
    while start < len(content):
        end = content.find(b"\n", start)
        if end < 0:
            break  # torn by a crash: what it announces was not begun
        entries.append(_entry(content[start:end], path, len(entries) + 1))
        start = end + 1
    return tuple(entries), start


def _entry(line: bytes, path: Path, number: int) -> Entry:
    digest, _, body = line.partition(b" ")
    if digest != _digest(body):
        raise _corrupt(path, number, "its digest does not match")
    try:
        return from_json(Entry, json.loads(body))
    except (ValueError, RecursionError, EraserError) as error:
        raise _corrupt(path, number, str(error)) from error


def _corrupt(path: Path, number: int, why: str) -> JournalError:
    return JournalError(
        f"line {number} of the journal can't be believed: {why}",
        subject=str(path),
        remedy=_KEEP_IT,
    )


def _unusable(path: Path, error: OSError) -> JournalError:
    return JournalError(
        f"the journal can't be used ({error.strerror})",
        subject=str(path),
        remedy="Check that the data directory exists, is yours, and has room.",
    )


def _write_durably(fd: int, line: bytes, path: Path) -> None:
    size = os.fstat(fd).st_size
    try:
        written = 0
        while written < len(line):
            written += os.write(fd, line[written:])
        os.fdatasync(fd)
    except OSError as error:
        # A part of a line is dropped when the job is taken up; a whole one that may not be on disk must not be believed.
        with contextlib.suppress(OSError):
            os.ftruncate(fd, size)
        raise _unusable(path, error) from error


def _make_durably(directory: Path) -> None:
    """The directory, and those above it, in a way that a power cut does not take them away with what is in them."""
    if directory.is_dir():
        return
    _make_durably(directory.parent)
    directory.mkdir(exist_ok=True, mode=0o700)
    sync_directory(directory.parent)
