"""Issuing: exactly one certificate for each job, whole and durable before anybody hears of it."""

import re
from dataclasses import replace
from pathlib import Path

from eraser.certificates.content import content
from eraser.certificates.envelope import Signer, seal, unseal
from eraser.certificates.errors import ContradictoryError, DuplicateError, UnfoundedClaimError
from eraser.domain.certificate import Certificate, cleaned, read
from eraser.domain.certified import contradictions, unfounded
from eraser.domain.json_form import to_json
from eraser.domain.printable import printable
from eraser.durable import sync_directory, write_new
from eraser.errors import CertificateError

SHORT_ID_CHARACTERS = 12
MAX_NAME_CHARACTERS = 64
_UNSAFE = re.compile(r"[^A-Za-z0-9_+]+")


def issue(certificate: Certificate, signer: Signer, directory: Path) -> Path:
    """Signs the certificate and puts it into the folder (made when missing); the path of the job's one certificate.

    Whole and durable when it returns. After a crash at any step the folder holds no `*.json` of this job or the whole
    one; calling it again, also with a new certificate id and time, gives the one that is there. Raises
    ContradictoryError for a certificate that contradicts itself, UnfoundedClaimError for one that claims another rulebook than
    its evidence bears, DuplicateError when another one is in its place,
    KeyFileError for a key that does not sign at the certificate's time, OSError for the folder's faults.
    """
    certificate = cleaned(certificate)
    if against := contradictions(certificate):
        raise ContradictoryError(
            f"a certificate that says {certificate.outcome.value} was not signed: {'; '.join(against)}"
        )
    if without_evidence := unfounded(certificate):
        raise UnfoundedClaimError(f"a certificate was not signed: {'; '.join(without_evidence)}")
    directory.mkdir(parents=True, exist_ok=True)
    for name in _names(certificate):
        path = directory / name
        if (existing := _existing(path)) is not None:
            if existing.job_id != certificate.job_id:
                continue  # another job of the same drive whose id begins alike
            return _same(existing, certificate, path)
        signer.expect_valid_at(certificate.issued_at)
        document = seal(to_json(certificate), signer)
        # Read again before it is kept: what cannot be verified must not be given away.
        if read(unseal(document).form) != certificate:
            raise CertificateError("the certificate does not read back as it was written", subject=str(path))
        if write_new(path, document, 0o644):
            return path
        return issue(certificate, signer, directory)
    raise DuplicateError("other jobs' certificates are in its place", subject=str(directory))


def file_name(certificate: Certificate) -> str:
    """`<serial or device>-<beginning of the job's id>.json`, safe on every file system; equal for equal jobs."""
    return _names(certificate)[0]


def document_names(serial: str, device: str, job_id: str) -> tuple[str, str]:
    """The names under one of which the certificate of a job lies, whose drive said this serial number and was at this path."""
    safe = safe_label(printable(serial) or Path(printable(device)).name)
    job = _UNSAFE.sub("", printable(job_id)) or "job"
    return f"{safe}-{job[:SHORT_ID_CHARACTERS]}.json", f"{safe}-{job[: 2 * MAX_NAME_CHARACTERS]}.json"


def safe_label(label: str) -> str:
    """A drive's name as part of a file's, safe on every file system."""
    return _UNSAFE.sub("_", label).strip("_")[:MAX_NAME_CHARACTERS] or "drive"


def _names(certificate: Certificate) -> tuple[str, str]:
    drive = certificate.drive
    return document_names(drive.identity.serial, drive.path, certificate.job_id)


def _existing(path: Path) -> Certificate | None:
    try:
        document = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return content(unseal(document))
    except CertificateError as error:
        raise DuplicateError(
            f"a file is in the certificate's place and is no certificate: {error.what}",
            subject=str(path),
            remedy="Move it away; nothing is overwritten.",
        ) from error


def _same(existing: Certificate, certificate: Certificate, path: Path) -> Path:
    """The path, if what is there differs in nothing but what each issuing draws or learns anew."""
    anew = replace(
        certificate,
        certificate_id=existing.certificate_id,
        issued_at=existing.issued_at,
        tool=existing.tool,
        times=existing.times,
        station=existing.station,
        commitment=existing.commitment,
    )
    if anew != existing:
        raise DuplicateError("this job has a certificate already, and it says something else", subject=str(path))
    sync_directory(path.parent)  # the process that made it may have died before it was durable
    return path
