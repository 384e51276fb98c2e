"""The station as issuer: makes the certificate of a finished job from its state, signs it, and keeps the hashes beside it."""

import hashlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from eraser.certificates.envelope import unseal
from eraser.certificates.files import write_new
from eraser.certificates.issuing import issue
from eraser.certificates.keys import open_signer
from eraser.certificates.verifying import content
from eraser.domain.certificate import Issuance, Station, Times, Tool, from_job
from eraser.domain.evidence import TransferReport
from eraser.domain.job import JobState
from eraser.domain.json_form import Nanoseconds

PACKAGE = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate as it lies on disk."""

    certificate_id: str
    path: Path
    digest: bytes
    """SHA-256 of the file."""


class StationIssuer:
    """Issues for this host. Nothing is read or made before the first call: the key, too, comes into being then."""

    def __init__(
        self, certificates: Path, keys: Path, *, now_utc: Callable[[], str], new_id: Callable[[], str]
    ) -> None:
        self._certificates = certificates
        self._keys = keys
        self._now_utc = now_utc
        self._new_id = new_id

    def __call__(self, state: JobState, duration_ns: int, leaves: tuple[bytes, ...]) -> Issued:
        """The job's one certificate, durable; the same one however often it is asked for. May block.

        Beside it, `<name>.leaves` holds the BLAKE3-256 hashes of the extents as read back, 32 bytes each, in order.
        Raises CertificateError, KeyFileError or OSError.
        """
        now = self._now_utc()
        started = min((report.started_at for report in _reports(state)), default=now)
        certificate = from_job(
            state,
            Issuance(
                certificate_id=self._new_id(),
                issued_at=now,
                station=Station(id=socket.gethostname()),
                tool=tool(),
                times=Times(started, now, Nanoseconds(duration_ns)),
            ),
        )
        path = issue(certificate, open_signer(self._keys), self._certificates)
        if leaves:
            write_new(path.with_suffix(".leaves"), b"".join(leaves), 0o644)
        document = path.read_bytes()
        return Issued(content(unseal(document)).certificate_id, path, hashlib.sha256(document).digest())


def _reports(state: JobState) -> Iterator[TransferReport]:
    for item in state.passes:
        yield from item.runs
    if state.markers is not None:
        yield state.markers.written
    if state.final_verification is not None:
        yield state.final_verification.report


@cache
def tool() -> Tool:
    """This program: name, version, and SHA-256 over its installed files, native code included, which tells builds apart.

    Read once a process: hashing the files costs as much as the rest of a certificate.
    """
    from importlib.metadata import version

    build = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            content_digest = hashlib.sha256(path.read_bytes()).hexdigest()
            build.update(f"{content_digest}  {path.relative_to(PACKAGE).as_posix()}\n".encode())
    return Tool("Eraser", version("eraser"), build.hexdigest())
