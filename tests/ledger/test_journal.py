"""The journal keeps what it said it keeps: whatever breaks, an event is there once `append` has returned, or it is refused.

`JOURNALS` lists the implementations; what is asked of all of them comes first, what only files can suffer afterwards.
"""

import errno
import fcntl
import hashlib
import json
import multiprocessing
import os
import stat
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eraser.domain.events import (
    CertificateIssued,
    DriveIdentified,
    JobFinished,
    JobPlanned,
    JobQueued,
    JobRefused,
    Outcome,
    PassStarted,
    Reason,
    SightBegan,
)
from eraser.domain.job import Phase, fold
from eraser.errors import JournalError
from eraser.ledger.journal import FINISHED, FileJobLog, FileJournal
from tests.domain.jobs import DRIVE, a_plan, honest

Make = Callable[[Path], FileJournal]


def now_utc() -> str:
    return "2026-11-24T06:00:00Z"


def file_journal(directory: Path) -> FileJournal:
    return FileJournal(directory / "jobs", now_utc)


JOURNALS: dict[str, Make] = {"files": file_journal}


@pytest.fixture(params=JOURNALS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], FileJournal]:
    """Opens the same journal anew at each call, as another process would."""
    return lambda: JOURNALS[request.param](tmp_path)


def queued(job_id: str = "job-1") -> JobQueued:
    return JobQueued(job_id, "/dev/sdz", "random", "somebody")


def begun(journal: FileJournal, job_id: str = "job-1") -> FileJobLog:
    """A job as far as its plan."""
    log = journal.begin(queued(job_id))
    log.append(DriveIdentified(DRIVE))
    log.append(JobPlanned(a_plan()))
    return log


# ---- of any journal


def test_what_was_appended_is_read_again(make):
    log = make().begin(queued())
    events = honest(a_plan())
    for event in events[1:]:
        log.append(event)
    log.append(CertificateIssued("c", bytes(32)))
    log.close()
    entries = make().entries("job-1")
    assert [entry.event for entry in entries[1:-1]] == list(events[1:])
    assert [entry.sequence for entry in entries] == list(range(len(entries)))
    assert fold(entries) == log.state


def test_the_state_is_the_fold_of_what_was_appended(make):
    log = begun(make())
    assert log.state == fold(make().entries("job-1"))
    assert log.state.phase is Phase.PLANNED


def test_an_event_that_cant_follow_is_refused_and_leaves_no_trace(make):
    log = begun(make())
    before = make().entries("job-1")
    with pytest.raises(JournalError):
        log.append(PassStarted(1, 0))
    assert make().entries("job-1") == before
    log.append(SightBegan("boot"))
    assert len(make().entries("job-1")) == len(before) + 1


def test_a_job_is_taken_up_where_it_was_left(make):
    begun(make()).close()
    log = make().take_up("job-1")
    log.append(SightBegan("boot"))
    assert [entry.event.kind for entry in make().entries("job-1")] == ["queued", "identified", "planned", "sight-began"]


def test_a_job_has_one_holder(make):
    log = begun(make())
    with pytest.raises(JournalError, match="another process"):
        make().take_up("job-1")
    log.close()
    make().take_up("job-1").close()


def _try_to_take(make: Make, directory: Path, answers: Any) -> None:
    try:
        make(directory).take_up("job-1")
    except JournalError as error:
        answers.put(error.what)
    else:
        answers.put("taken")


@pytest.mark.parametrize("name", JOURNALS)
def test_two_processes_cant_hold_one_job(name, tmp_path):
    log = begun(JOURNALS[name](tmp_path))
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    for close, expected in ((False, "another process is working on this job"), (True, "taken")):
        if close:
            log.close()
        child = context.Process(target=_try_to_take, args=(JOURNALS[name], tmp_path, answers))
        child.start()
        assert answers.get(timeout=30) == expected
        child.join()


def test_a_name_is_given_once(make):
    make().begin(queued()).close()
    with pytest.raises(JournalError):
        make().begin(queued())


def test_only_jobs_with_something_left_to_do_are_open(make):
    journal = make()
    begun(journal, "open").close()
    refused = journal.begin(queued("refused"))
    refused.append(JobRefused("mounted", "it is mounted"))
    failed = begun(journal, "failed")
    failed.append(JobFinished(Outcome.FAILED, (Reason("x", "y"),)))
    done = begun(journal, "done")
    done.append(JobFinished(Outcome.FAILED, (Reason("x", "y"),)))
    done.append(CertificateIssued("c", bytes(32)))
    # Also while they are held: a process that died here closed nothing.
    assert {state.job_id for state in make().open_states()} == {"open", "failed"}
    for log in (refused, failed, done):
        log.close()
    assert {state.job_id for state in make().open_states()} == {"open", "failed"}
    assert [entry.event.kind for entry in make().entries("done")][-1] == "certificate-issued"


def test_no_job_is_open_where_there_never_was_one(make):
    assert list(make().open_states()) == []
    for ask in (make().entries, make().take_up):
        with pytest.raises(JournalError):
            ask("job-1")


@pytest.mark.parametrize("name", ["", ".", "..", "../job", "a/b", "/etc/passwd", "a\0b", "-a", "a\n", "a" * 101])
def test_a_name_that_leads_elsewhere_is_refused(make, name, tmp_path):
    for ask in (make().entries, make().take_up, lambda job_id: make().begin(queued(job_id))):
        with pytest.raises(JournalError, match="no job's name"):
            ask(name)


# ---- of files


@pytest.fixture
def journal(tmp_path: Path) -> FileJournal:
    return file_journal(tmp_path)


def file_of(tmp_path: Path, job_id: str = "job-1") -> Path:
    return tmp_path / "jobs" / f"{job_id}.journal"


def test_only_the_owner_can_read_it(journal, tmp_path):
    old = os.umask(0)
    try:
        log = begun(journal)
        log.append(JobRefused("mounted", "it is mounted"))
        path = file_of(tmp_path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        log.close()
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE((path.parent / FINISHED).stat().st_mode) == 0o700


class Calls:
    """Records what is asked of the disk, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[str] = []
        for name in ("write", "fdatasync", "fsync", "ftruncate"):
            monkeypatch.setattr(os, name, self._recorded(name, getattr(os, name)))

    def _recorded(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(fd: int, *arguments: Any) -> Any:
            is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)
            result = real(fd, *arguments)
            self.made.append(f"{name} of directory" if is_directory else name)
            return result

        return call


def test_an_event_is_on_disk_before_append_returns(journal, monkeypatch):
    calls = Calls(monkeypatch)
    log = journal.begin(queued())
    # The directory's own name, the line, and the file's name in the directory.
    assert calls.made == ["fsync of directory", "write", "fdatasync", "fsync of directory"]
    calls.made.clear()
    log.append(DriveIdentified(DRIVE))
    assert calls.made == ["write", "fdatasync"]


def test_a_short_write_is_gone_on_with(journal, monkeypatch):
    real = os.write
    log = journal.begin(queued())
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:7]))
    log.append(DriveIdentified(DRIVE))
    assert len(journal.entries("job-1")) == 2


def full_disk_after(monkeypatch: pytest.MonkeyPatch, good_bytes: int) -> None:
    real, left = os.write, [good_bytes]

    def write(fd: int, data: bytes) -> int:
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real(fd, data[: left[0]])
        left[0] -= written
        return written

    monkeypatch.setattr(os, "write", write)


@pytest.mark.parametrize("good_bytes", [0, 1, 20])
@pytest.mark.parametrize("can_truncate", [True, False])
def test_a_full_disk_leaves_the_journal_readable(journal, monkeypatch, good_bytes, can_truncate):
    log = begun(journal)
    with monkeypatch.context() as broken:
        full_disk_after(broken, good_bytes)
        if not can_truncate:
            broken.setattr(os, "ftruncate", fail_with(errno.EIO))
        with pytest.raises(JournalError, match="No space left"):
            log.append(SightBegan("boot"))
    with pytest.raises(JournalError, match="none can follow"):
        log.append(SightBegan("boot"))
    assert log.state.phase is Phase.PLANNED
    log.close()
    again = journal.take_up("job-1")
    again.append(SightBegan("boot"))
    assert [entry.event.kind for entry in journal.entries("job-1")][-1] == "sight-began"


def fail_with(number: int) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


def test_an_event_that_was_not_flushed_is_not_believed(journal, monkeypatch):
    log = begun(journal)
    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", fail_with(errno.EIO))
        with pytest.raises(JournalError):
            log.append(SightBegan("boot"))
    log.close()
    assert [entry.event.kind for entry in journal.entries("job-1")][-1] == "planned"


@pytest.mark.parametrize("call", ["write", "fdatasync", "fsync"])
def test_a_job_whose_first_event_cant_be_written_is_none(journal, monkeypatch, tmp_path, call):
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    (tmp_path / "jobs").mkdir()
    with monkeypatch.context() as broken:
        broken.setattr(os, call, fail_with(errno.ENOSPC))
        with pytest.raises(JournalError):
            journal.begin(queued())
    assert list((tmp_path / "jobs").iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    journal.begin(queued()).close()


def test_a_line_torn_anywhere_is_dropped_and_the_job_goes_on(journal, tmp_path):
    log = begun(journal)
    whole = file_of(tmp_path).read_bytes()
    log.append(SightBegan("boot"))
    log.close()
    content = file_of(tmp_path).read_bytes()
    for size in range(len(whole), len(content)):
        file_of(tmp_path).write_bytes(content[:size])
        assert [state.phase for state in journal.open_states()] == [Phase.PLANNED]
        again = journal.take_up("job-1")
        again.append(SightBegan("boot"))
        again.close()
        assert file_of(tmp_path).read_bytes() == content


def test_a_first_line_torn_anywhere_is_no_job(journal, tmp_path):
    journal.begin(queued()).close()
    content = file_of(tmp_path).read_bytes()
    for size in range(len(content)):
        file_of(tmp_path).write_bytes(content[:size])
        assert list(journal.open_states()) == []
        with pytest.raises(JournalError):
            journal.take_up("job-1")


def test_every_byte_that_is_changed_is_noticed(journal, tmp_path):
    """All but the last newline: without it the last line counts as torn. That is harmless: what an event announces and what
    was begun after it is done again, or found on the drive where the job does not expect it.
    """
    log = begun(journal)
    log.append(SightBegan("boot"))
    log.close()
    path = file_of(tmp_path)
    content = path.read_bytes()
    for place in range(len(content) - 1):
        for flip in (0x01, 0x20, 0x80):
            path.write_bytes(content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :])
            with pytest.raises(JournalError) as caught:
                list(journal.open_states())
            assert str(path) in str(caught.value)
    path.write_bytes(content[:-1] + b"\x0b")
    assert [state.phase for state in journal.open_states()] == [Phase.PLANNED]


def test_lines_that_are_missing_doubled_or_swapped_are_noticed(journal, tmp_path):
    begun(journal).close()
    path = file_of(tmp_path)
    first, second, third = path.read_bytes().splitlines(keepends=True)
    for lines in ((second, third), (first, third), (first, first, second), (first, third, second), (b"\n", first)):
        path.write_bytes(b"".join(lines))
        with pytest.raises(JournalError):
            list(journal.open_states())
        with pytest.raises(JournalError):
            journal.take_up("job-1")
        assert path.read_bytes() == b"".join(lines), "evidence is not touched"


def signed(form: Any) -> bytes:
    body = json.dumps(form).encode()
    return hashlib.sha256(body).hexdigest()[:16].encode() + b" " + body + b"\n"


@pytest.mark.parametrize(
    "bend",
    [
        lambda form: form | {"added": 1},
        lambda form: {"sequence": 0, "at": ""},
        lambda form: form | {"event": form["event"] | {"added": 1}},
        lambda form: form | {"event": form["event"] | {"kind": "invented-later"}},
        lambda form: form | {"event": {"kind": "queued"}},
        lambda form: form | {"sequence": "0"},
        lambda form: form | {"sequence": 1},
        lambda form: form | {"sequence": True},
        lambda form: [],
        lambda form: None,
    ],
)
def test_what_this_version_does_not_know_is_refused_even_if_well_signed(journal, tmp_path, bend):
    journal.begin(queued()).close()
    path = file_of(tmp_path)
    form = json.loads(path.read_bytes().partition(b" ")[2])
    assert fold(journal.entries("job-1")).job_id == "job-1"
    path.write_bytes(signed(bend(form)))
    with pytest.raises(JournalError):
        list(journal.open_states())


def test_json_too_deep_to_read_is_refused(journal, tmp_path):
    journal.begin(queued()).close()
    body = b"[" * 100_000
    file_of(tmp_path).write_bytes(hashlib.sha256(body).hexdigest()[:16].encode() + b" " + body + b"\n")
    with pytest.raises(JournalError):
        list(journal.open_states())


@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "directory"])
def test_what_is_no_plain_file_is_neither_followed_nor_waited_for(journal, tmp_path, kind):
    begun(journal, "other").close()
    path, elsewhere = file_of(tmp_path), tmp_path / "elsewhere"
    match kind:
        case "link":
            elsewhere.write_bytes(file_of(tmp_path, "other").read_bytes())
            path.symlink_to(elsewhere)
        case "dangling link":
            path.symlink_to(elsewhere)
        case "pipe":
            os.mkfifo(path)
        case _:
            path.mkdir()
    for ask in (lambda: list(journal.open_states()), lambda: journal.take_up("job-1"), lambda: journal.begin(queued())):
        with pytest.raises(JournalError) as caught:
            ask()
        assert str(path) in str(caught.value)
    assert elsewhere.exists() == (kind == "link")


def test_a_job_that_is_finished_while_the_others_are_listed_is_passed_over(journal, tmp_path):
    begun(journal, "a").close()
    begun(journal, "b").close()
    states = journal.open_states()
    assert next(states).job_id == "a"
    log = journal.take_up("b")
    log.append(JobRefused("mounted", "it is mounted"))
    log.close()
    assert list(states) == []


def test_a_job_that_was_finished_between_opening_and_locking_is_not_taken(journal, monkeypatch):
    log = begun(journal)
    log.append(JobRefused("mounted", "it is mounted"))
    real = fcntl.flock

    def finish_first(fd: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        log.close()
        real(fd, how)

    monkeypatch.setattr(fcntl, "flock", finish_first)
    with pytest.raises(JournalError, match="finished"):
        journal.take_up("job-1")


def test_a_finished_job_is_put_away_and_lets_go_of_its_file(journal, tmp_path):
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    log = begun(journal)
    log.append(JobRefused("mounted", "it is mounted"))
    log.close()
    assert not file_of(tmp_path).exists()
    assert (tmp_path / "jobs" / FINISHED / "job-1.journal").exists()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def _begin(directory: Path, name: str, answers: Any) -> None:
    try:
        file_journal(directory).begin(queued(name))
    except JournalError:
        answers.put("refused")
    else:
        answers.put("begun")


def test_of_many_that_begin_one_job_at_once_one_does(tmp_path):
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    children = [context.Process(target=_begin, args=(tmp_path, "job-1", answers)) for _ in range(8)]
    for child in children:
        child.start()
    found = sorted(answers.get(timeout=30) for _ in children)
    for child in children:
        child.join()
    assert found == ["begun", *["refused"] * 7]
    assert len(file_journal(tmp_path).entries("job-1")) == 1


@pytest.mark.serial
def test_ten_thousand_finished_jobs_do_not_slow_the_list_of_open_ones(journal, tmp_path):
    begun(journal, "open").close()
    content = file_of(tmp_path, "open").read_bytes()
    (tmp_path / "jobs" / FINISHED).mkdir()
    for number in range(10_000):
        (tmp_path / "jobs" / FINISHED / f"{number}.journal").write_bytes(content)
    began = time.perf_counter()
    assert [state.job_id for state in journal.open_states()] == ["open"]
    assert time.perf_counter() - began < 0.1


# ---- a journal that can't be believed, and the drives that are no part of it


OTHER_DRIVE = replace(DRIVE, identity=replace(DRIVE.identity, serial="another"))
FAULTS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "a later line does not read": lambda lines: [*lines[:2], b"x" + lines[2][1:]],
    "a later line is missing": lambda lines: [*lines[:2], lines[3]],
    "a later line comes twice": lambda lines: [*lines[:2], lines[1], *lines[2:]],
}


def spoilt(journal: FileJournal, folder: Path, fault: Callable[[list[bytes]], list[bytes]]) -> Path:
    log = begun(journal)
    log.append(SightBegan("boot"))
    log.close()
    path = file_of(folder)
    path.write_bytes(b"".join(fault(path.read_bytes().splitlines(keepends=True))))
    return path


@pytest.mark.parametrize("fault", FAULTS)
def test_a_journal_whose_drive_still_reads_stands_in_the_way_of_that_drive_alone(journal, tmp_path, fault):
    path = spoilt(journal, tmp_path, FAULTS[fault])
    assert list(journal.open_states(OTHER_DRIVE)) == []
    for drive in (DRIVE, None):
        with pytest.raises(JournalError) as caught:
            list(journal.open_states(drive))
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("line", [0, 1])
def test_a_journal_of_which_no_drive_reads_stands_in_the_way_of_every_drive(journal, tmp_path, line):
    path = spoilt(journal, tmp_path, lambda lines: [*lines[:line], b"x" + lines[line][1:], *lines[line + 1 :]])
    with pytest.raises(JournalError) as caught:
        list(journal.open_states(OTHER_DRIVE))
    assert str(path) in str(caught.value)


def test_the_jobs_of_others_are_still_told_beside_a_spoilt_journal(journal, tmp_path):
    spoilt(journal, tmp_path, FAULTS["a later line does not read"])
    log = journal.begin(queued("job-2"))
    log.append(DriveIdentified(OTHER_DRIVE))
    log.close()
    assert [state.job_id for state in journal.open_states(OTHER_DRIVE)] == ["job-2"]
