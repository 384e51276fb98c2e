"""The journal of jobs: append-only, one file a job, one line an event, on disk before `append` returns.

A line is its SHA-256 (first 16 hex digits) and the JSON form of the entry. A crash can leave the last line torn: it announced
something that was not begun, so it is dropped when the job is taken up again. Anything else that does not read is corruption.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from eraser.domain.events import Entry, JobEvent, JobQueued
from eraser.domain.job import JobState, apply, fold
from eraser.domain.json_form import from_json, to_json
from eraser.errors import EraserError, JournalError

FINISHED = "finished"
"""Folder of the jobs that nobody has to look at again: only open ones are read at a start."""
_SUFFIX = ".journal"
_DIGEST_DIGITS = 16


class JobLog(Protocol):
    """One job's events. Whoever holds it is the only writer.

    `append` returns only once the event is durable; when it raises, the event may or may not be there and the job must stop.
    `state` is the fold of all that was appended.
    """

    @property
    def state(self) -> JobState: ...

    def append(self, event: JobEvent) -> None: ...

    def close(self) -> None: ...


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

    @property
    def state(self) -> JobState:
        """The fold of all events so far."""
        return self._state

    def append(self, event: JobEvent) -> None:
        """Durable when it returns. Raises JournalError when the event can't follow, or the disk does not take it."""
        state = apply(self._state, event)
        entry = Entry(self._sequence, self._now_utc(), event)
        _write_durably(self._fd, _line(entry), self._path)
        self._sequence += 1
        self._state = state

    def close(self) -> None:
        """Gives up the lock; a job with nothing left to do is put with the finished ones."""
        if not self._state.is_open:
            finished = self._path.parent / FINISHED
            finished.mkdir(exist_ok=True, mode=0o700)
            self._path.rename(finished / self._path.name)
        os.close(self._fd)


class FileJournal:
    """All jobs of a station, in one directory that only its owner can read: seeds stand in it."""

    def __init__(self, directory: Path, now_utc: Callable[[], str]) -> None:
        self._directory = directory
        self._now_utc = now_utc

    def begin(self, request: JobQueued) -> FileJobLog:
        """A new job; its first event is durable when this returns."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(request.job_id)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(path, error) from error
        fcntl.flock(fd, fcntl.LOCK_EX)
        entry = Entry(0, self._now_utc(), request)
        _write_durably(fd, _line(entry), path)
        _sync_directory(self._directory)
        return FileJobLog(fd, path, (entry,), fold((entry,)), self._now_utc)

    def take_up(self, job_id: str) -> FileJobLog:
        """An earlier job, to go on with. Raises JournalError when somebody else has it, or its journal can't be believed."""
        path = self._path(job_id)
        try:
            fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            entries, believed_bytes = _read(path)
            os.ftruncate(fd, believed_bytes)
            os.fsync(fd)
            return FileJobLog(fd, path, entries, fold(entries), self._now_utc)
        except BlockingIOError:
            os.close(fd)
            raise JournalError("another process is working on this job", subject=job_id) from None
        except BaseException:
            os.close(fd)
            raise

    def open_states(self) -> Iterator[JobState]:
        """The jobs with something left to do, however many are finished. A journal that can't be read raises JournalError
        naming the file.
        """
        if not self._directory.is_dir():
            return
        for path in sorted(self._directory.glob(f"*{_SUFFIX}")):
            entries, _ = _read(path)
            if entries:
                yield fold(entries)

    def entries(self, job_id: str) -> tuple[Entry, ...]:
        """All events of one job, finished or not."""
        path = self._path(job_id)
        return _read(path if path.exists() else self._directory / FINISHED / path.name)[0]

    def _path(self, job_id: str) -> Path:
        return self._directory / f"{job_id}{_SUFFIX}"


def _line(entry: Entry) -> bytes:
    body = json.dumps(to_json(entry), separators=(",", ":"), ensure_ascii=True).encode()
    return _digest(body) + b" " + body + b"\n"


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest()[:_DIGEST_DIGITS].encode()


def _read(path: Path) -> tuple[tuple[Entry, ...], int]:
    """The entries, and how many bytes of the file they take."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unusable(path, error) from error
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
    except (ValueError, EraserError) as error:
        raise _corrupt(path, number, str(error)) from error


def _corrupt(path: Path, number: int, why: str) -> JournalError:
    return JournalError(
        f"line {number} of the journal can't be believed: {why}",
        subject=str(path),
        remedy="Move the file away to erase the drive anew, and keep it: it is evidence.",
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
        # A part of a line would make the next one unreadable.
        os.ftruncate(fd, size)
        raise _unusable(path, error) from error


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
