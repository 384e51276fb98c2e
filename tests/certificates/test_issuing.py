from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eraser import durable
from eraser.certificates.errors import ContradictoryError, DuplicateError
from eraser.certificates.issuing import file_name, issue
from eraser.certificates.verifying import verify
from eraser.domain.drive import Identity, SerialSource
from tests.certificates.builders import (
    CERTIFICATE_ID,
    JOB_ID,
    a_certificate,
    a_drive,
    a_failed_job,
    a_job,
    a_signer,
    an_issuance,
    trusting,
)

SIGNER = a_signer()
CERTIFICATE = a_certificate()


def certificates_in(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.json"))


def test_the_issued_certificate_verifies_and_is_alone_in_its_folder(tmp_path: Path) -> None:
    path = issue(CERTIFICATE, SIGNER, tmp_path / "new" / "certificates")
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644
    assert verify(path.read_bytes(), trusting(SIGNER)).certificate == CERTIFICATE


def test_a_job_gets_its_one_certificate_however_often_it_is_asked_for(tmp_path: Path) -> None:
    first = issue(CERTIFICATE, SIGNER, tmp_path)
    content = first.read_bytes()
    again = replace(CERTIFICATE, certificate_id="f" * 32, issued_at="2026-11-25T00:00:00Z")
    assert issue(again, SIGNER, tmp_path) == first
    assert certificates_in(tmp_path) == [first]
    assert first.read_bytes() == content


def test_a_second_certificate_that_says_something_else_is_refused(tmp_path: Path) -> None:
    path = issue(a_certificate(a_failed_job()), SIGNER, tmp_path)
    content = path.read_bytes()
    with pytest.raises(DuplicateError):
        issue(CERTIFICATE, SIGNER, tmp_path)
    assert path.read_bytes() == content


def test_another_job_whose_id_begins_alike_gets_its_own(tmp_path: Path) -> None:
    other = replace(CERTIFICATE, job_id=JOB_ID[:-1] + "b")
    first, second = issue(CERTIFICATE, SIGNER, tmp_path), issue(other, SIGNER, tmp_path)
    assert first != second
    assert issue(CERTIFICATE, SIGNER, tmp_path) == first
    assert issue(other, SIGNER, tmp_path) == second


def test_a_file_in_its_place_that_is_no_certificate_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / file_name(CERTIFICATE)
    path.write_text("{}")
    with pytest.raises(DuplicateError, match="no certificate"):
        issue(CERTIFICATE, SIGNER, tmp_path)
    assert path.read_text() == "{}"


def test_a_certificate_that_contradicts_itself_is_never_signed(tmp_path: Path) -> None:
    with pytest.raises(ContradictoryError):
        issue(a_certificate(passes=()), SIGNER, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("serial", "path", "name"),
    [
        ("ZX00 1B8/2", "/dev/sdx", "ZX00_1B8_2"),
        ("../../etc/passwd", "/dev/sdx", "etc_passwd"),
        ("", "/dev/sdx", "sdx"),
        ("\n\x00", "/tmp/a drive.img", "drive"),
        ("", "/tmp/a drive.img", "a_drive_img"),
        ("x" * 500, "/dev/sdx", "x" * 64),
        ("资产", "/dev/sdx", "drive"),
    ],
)
def test_the_file_is_named_after_the_drive_and_safe_everywhere(
    tmp_path: Path, serial: str, path: str, name: str
) -> None:
    drive = a_drive(path=path, identity=Identity(serial=serial, serial_source=SerialSource.DRIVE))
    issued = issue(a_certificate(a_job(drive=drive)), SIGNER, tmp_path)
    assert issued == tmp_path / f"{name}-{JOB_ID[:12]}.json"


class Crash(BaseException):
    """Like a kill at this instruction: no handler of ours catches it on purpose."""


STEPS = ("open", "fchmod", "write", "fsync", "close", "link", "unlink")


@contextmanager
def crashing(monkeypatch: pytest.MonkeyPatch, at: int, error: BaseException, after: bool) -> Iterator[list[str]]:
    """Each call of `os` that issuing makes is counted; call number `at` raises, before or after it did its work.

    After a crash no call does anything any more: a dead process cleans nothing up.
    """
    calls: list[str] = []
    dead = False

    def wrapped(name: str, real: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal dead
            if dead and isinstance(error, Crash):
                raise Crash
            calls.append(name)
            if len(calls) - 1 != at:
                return real(*arguments, **options)
            dead = True
            if after:
                real(*arguments, **options)
            raise error

        return call

    with monkeypatch.context() as patch:
        for name in STEPS:
            patch.setattr(durable.os, name, wrapped(name, getattr(os, name)))
        yield calls


def count_of_calls(monkeypatch: pytest.MonkeyPatch, directory: Path) -> int:
    with crashing(monkeypatch, -1, Crash(), False) as calls:
        issue(CERTIFICATE, SIGNER, directory)
    assert {"open", "write", "fsync", "link"} <= set(calls)
    return len(calls)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("error", [Crash(), OSError(errno.EIO, "planted")])
def test_a_crash_or_fault_at_any_step_leaves_no_certificate_or_the_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, after: bool
) -> None:
    total = count_of_calls(monkeypatch, tmp_path / "whole")
    assert total >= 8
    left = set()
    for at in range(total):
        directory = tmp_path / str(at)
        directory.mkdir()
        with crashing(monkeypatch, at, error, after), pytest.raises((Crash, OSError)):
            issue(CERTIFICATE, SIGNER, directory)
        found = certificates_in(directory)
        assert len(found) <= 1
        for path in found:
            assert verify(path.read_bytes(), trusting(SIGNER)).certificate.job_id == JOB_ID
        left.add(len(found))
        again = replace(CERTIFICATE, certificate_id="e" * 32)
        issued = issue(again, SIGNER, directory)
        assert certificates_in(directory) == [issued]
        kept = verify(issued.read_bytes(), trusting(SIGNER)).certificate.certificate_id
        assert kept == (CERTIFICATE_ID if found else "e" * 32)
    assert left == {0, 1}


def test_writes_that_are_cut_short_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(durable.os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:100]))
    assert verify(issue(CERTIFICATE, SIGNER, tmp_path).read_bytes(), trusting(SIGNER))


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_where_there_are_no_hard_links_it_is_renamed_and_still_replaces_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def no_links(*arguments: Any, **options: Any) -> None:
        raise OSError(number, "no hard links here")

    monkeypatch.setattr(durable.os, "link", no_links)
    path = issue(CERTIFICATE, SIGNER, tmp_path)
    assert list(tmp_path.iterdir()) == [path]
    assert not durable.write_new(path, b"another", 0o644)
    assert list(tmp_path.iterdir()) == [path]
    assert verify(path.read_bytes(), trusting(SIGNER))


def test_processes_that_issue_for_one_job_at_once_make_one_certificate(tmp_path: Path) -> None:
    pem = tmp_path / "keys"
    program = (
        "import sys, pathlib; from tests.certificates.builders import *;"
        "from eraser.certificates.keys import open_signer; from eraser.certificates.issuing import issue;"
        "root = pathlib.Path(sys.argv[1]); signer = open_signer(root / 'keys'); sys.stdin.read(1);"
        "print(issue(a_certificate(certificate_id=sys.argv[2] * 32), signer, root / 'certificates'))"
    )
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{Path(durable.__file__).parents[1]}{os.pathsep}{root}"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, tmp_path, digit],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        for digit in "abcd"
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"g")
        process.stdin.flush()
    answers = {process.communicate(timeout=60)[0] for process in processes}
    assert len(answers) == 1
    assert [str(path) for path in certificates_in(tmp_path / "certificates")] == [answers.pop().decode().strip()]
    assert pem.is_dir()


def test_text_that_does_not_show_as_itself_is_replaced_before_signing(tmp_path: Path) -> None:
    certificate = a_certificate(operator="op\x7ferator\u202e")
    path = issue(certificate, SIGNER, tmp_path)
    assert verify(path.read_bytes(), trusting(SIGNER)).certificate.operator == "op\ufffderator\ufffd"


def test_a_later_tool_and_time_do_not_make_another_certificate(tmp_path: Path) -> None:
    first = issue(CERTIFICATE, SIGNER, tmp_path)
    issuance = an_issuance()
    later = replace(CERTIFICATE, tool=replace(issuance.tool, version="0.2.0"))
    assert issue(later, SIGNER, tmp_path) == first


def test_issuing_loads_nothing_that_an_erasure_does_not_need() -> None:
    # Each erasure ends here: the records that only verifying reads, and the mail parser behind importlib.metadata, cost as much
    # processor time as moving two gigabytes.
    program = (
        "import sys, eraser.cli.erase, eraser.certificates.issuer as issuer; issuer.tool();"
        "print(*sorted({'eraser.certificates.verifying', 'eraser.domain.custody', 'eraser.domain.destruction', 'email', "
        "'eraser.domain.control', 'importlib.metadata', 'rich', 'numpy', 'tomllib', 'difflib'} & set(sys.modules)))"
    )
    # -P: the installed package, not the sources in the working directory, which have no extension.
    run = subprocess.run([sys.executable, "-P", "-c", program], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == ""
