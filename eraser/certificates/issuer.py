"""The station as issuer: makes the certificate of a finished job from its state, signs it, and keeps the hashes beside it."""

import hashlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from eraser.certificates.envelope import unseal
from eraser.certificates.issuing import issue
from eraser.certificates.keys import open_signer
from eraser.domain.certificate import Station, Times, Tool
from eraser.domain.certifying import Issuance, from_job
from eraser.domain.commitment import Commitment
from eraser.domain.evidence import TransferReport
from eraser.domain.job import JobState
from eraser.domain.json_form import Nanoseconds
from eraser.durable import write_over
from eraser.engine._native import VERSION

PACKAGE = Path(__file__).parent.parent
_reading_files = threading.Lock()


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate as it lies on disk."""

    certificate_id: str
    path: Path
    digest: bytes
    """SHA-256 of the bytes under its signature: the same however the file is laid out."""


class StationIssuer:
    """Issues for this host. Nothing is read or made before the first call: the key, too, comes into being then."""

    def __init__(
        self,
        certificates: Path,
        keys: Path,
        *,
        now_utc: Callable[[], str],
        new_id: Callable[[], str],
        station: Station | None = None,
        commit: Callable[[JobState], Commitment | None] | None = None,
        expect_open: Callable[[], None] = lambda: None,
    ) -> None:
        """`station` stands in each certificate; without one it is the host's name. `commit` binds one to a customer.
        `expect_open` raises while nothing may be signed (`eraser.log.gate`).
        """
        self._expect_open = expect_open
        self._certificates = certificates
        self._keys = keys
        self._station = station or Station(id=socket.gethostname())
        self._now_utc = now_utc
        self._new_id = new_id
        self._commit = commit

    def keep_hashes(self, state: JobState, leaves: tuple[bytes, ...]) -> None:
        """Keeps the BLAKE3-256 hashes of the extents as read back, 32 bytes each, in order, where the job's certificate will
        lie: `<job id>.leaves`. Durable when it returns; those of an earlier reading are replaced. Raises OSError.
        """
        self._certificates.mkdir(parents=True, exist_ok=True)
        write_over(self._certificates / f"{state.job_id}.leaves", b"".join(leaves), 0o644)

    def __call__(self, state: JobState) -> Issued:
        """The job's one certificate, durable; the same one however often it is asked for. May block.

        Raises CertificateError, KeyFileError or OSError, and what `commit` raises; SigningSuspended while nothing may be
        signed.
        """
        self._expect_open()
        commitment = self._commit(state) if self._commit is not None else None
        signer = open_signer(self._keys)  # before the time is taken: a key that is new by then has begun
        now = self._now_utc()
        finished = state.finished_at or now
        started = min((report.started_at for report in _reports(state)), default=finished)
        certificate = from_job(
            state,
            Issuance(
                certificate_id=self._new_id(),
                issued_at=now,
                station=self._station,
                tool=tool(),
                times=Times(started, finished, Nanoseconds(sum(_duration_ns(report) for report in _reports(state)))),
                commitment=commitment,
            ),
        )
        path = issue(certificate, signer, self._certificates)
        envelope = unseal(path.read_bytes())
        return Issued(str(envelope.form["certificate_id"]), path, hashlib.sha256(envelope.signed_bytes).digest())


def _duration_ns(report: TransferReport) -> int:
    """From its first byte to its last; nothing where it never came to one."""
    return max(0, report.last_byte - report.first_byte) if report.first_byte else 0


def _reports(state: JobState) -> Iterator[TransferReport]:
    for item in state.passes:
        yield from item.runs
    if state.markers is not None:
        yield from (state.markers.written, state.markers.read_back)
    yield from (item.report for item in state.pass_verifications)
    if state.final_verification is not None:
        yield state.final_verification.report


def tool() -> Tool:
    """This program: name, version, and SHA-256 over its installed files, native code included, which tells builds apart.

    Read once a process: hashing the files costs as much as the rest of a certificate.
    """
    with _reading_files:  # drives that end together would all begin to read
        return _tool()


@cache
def _tool() -> Tool:
    build = hashlib.sha256()
    for name in sorted(_files(""), key=lambda name: name.split("/")):
        with open(f"{PACKAGE}/{name}", "rb", buffering=0) as file:  # noqa: PTH123
            content_digest = hashlib.sha256(file.readall()).hexdigest()
        build.update(f"{content_digest}  {name}\n".encode())
    return Tool("Eraser", VERSION, build.hexdigest())


def _files(folder: str) -> Iterator[str]:
    # No Path for each of hundreds of files: that took longer than to hash them.
    with os.scandir(PACKAGE / folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":
                    yield from _files(f"{folder}{entry.name}/")
            elif entry.is_file():
                yield f"{folder}{entry.name}"
