"""Reading a sampled drive again for an audit: with our own reader, and a few places with one that is not ours."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from hashlib import shake_256

from eraser.certificates.errors import AlteredError
from eraser.domain.audit import DriveReading, DriveResult
from eraser.domain.certificate import Certificate
from eraser.domain.chosen_extents import ChosenExtents, choose, leaves_of
from eraser.domain.drive import Drive, is_recognisable
from eraser.domain.evidence import TransferReport
from eraser.domain.pattern import SEED_BYTES
from eraser.domain.program import Verification
from eraser.drives.discovery import identify
from eraser.engine.tuning import tuning_for
from eraser.errors import Refused
from eraser.rack.independent_reading import Compared, drawn_places, read_independently
from eraser.rack.rereading import Finding, are_hashable, last_pattern, listed_bad, refuse_another, reread_now

_PURPOSE = b"eraser audit reading v1"
_RESULTS = {
    Finding.HOLDS: DriveResult.HOLDS,
    Finding.DIFFERS: DriveResult.DIFFERS,
    Finding.HASH_DIFFERS: DriveResult.HASH_DIFFERS,
    Finding.UNREADABLE: DriveResult.UNREADABLE,
    Finding.INCOMPLETE: DriveResult.INCOMPLETE,
    Finding.WRITTEN_MEANWHILE: DriveResult.WRITTEN_MEANWHILE,
    Finding.CERTIFICATE_FAILED: DriveResult.AS_FAILED,
}


def certificate_of(path: str, certificates: Iterable[Certificate]) -> Certificate | None:
    """The newest of these certificates that is of the drive at this path; None where none is, by a name of the drive's own.

    Raises UsageError or DriveError for a path that leads to no drive.
    """
    drive = identify(path)
    own = [item for item in certificates if is_recognisable(item.drive) and _is_of(item, drive)]
    return max(own, key=lambda item: item.issued_at, default=None)


def _is_of(certificate: Certificate, drive: Drive) -> bool:
    try:
        refuse_another(certificate.drive, drive)
    except Refused:
        return False
    return True


def read_drive(
    path: str,
    certificate: Certificate,
    kind: Verification,
    audit_seed: bytes,
    *,
    leaves: bytes | None = None,
    now_utc: Callable[[], str],
    on_progress: Callable[[int, int], None],
) -> DriveReading:
    """Reads it: with the file of its leaves, single extents that the audit's seed draws for this certificate; else in full, or
    at places that the seed draws. Never writes. Blocks.

    Raises as `rereading.reread_now` does, AlteredError for leaves that are not the certificate's, and UsageError where a
    program of the independent reader is missing.
    """
    seed = shake_256(_PURPOSE + b"\x00" + audit_seed + certificate.certificate_id.encode()).digest(SEED_BYTES)
    chosen: list[ChosenExtents] = []

    def choose_extents(drive: Drive) -> ChosenExtents | None:
        found = _chosen(certificate, drive, leaves, seed)
        chosen.extend([found] if found is not None else [])
        return found

    drive, found = reread_now(
        path,
        certificate,
        kind,
        random_bytes=lambda count: seed[:count],
        now_utc=now_utc,
        on_progress=on_progress,
        choose=choose_extents,
    )
    result = _RESULTS[found.finding]
    number, pattern = last_pattern(certificate)
    assert number == found.pass_number
    reading = DriveReading(result, _bytes_read(found.report), found.sampling, "", 0, 0, found.extents)
    if result is not DriveResult.HOLDS:
        # What is wrong already need not be found twice; of a failed drive bad places are expected to differ.
        return reading
    within = chosen[0].places(drive.geometry.capacity_bytes) if chosen else ()
    other = read_independently(drive, pattern, drawn_places(drive, seed, within=within))
    match other.result:
        case Compared.DIFFERS:
            result = DriveResult.READER_DIFFERS
        case Compared.UNREADABLE:
            result = DriveResult.UNREADABLE
        case Compared.EQUAL:
            pass
    return replace(
        reading,
        result=result,
        independent_reader=other.programs,
        independent_places=other.places,
        independent_bytes=other.bytes_read,
    )


def _chosen(certificate: Certificate, drive: Drive, leaves: bytes | None, seed: bytes) -> ChosenExtents | None:
    """None where there are no leaves, or none that this host could make again. Raises AlteredError for others' leaves."""
    final = certificate.final_verification
    number, _ = last_pattern(certificate)
    if leaves is None or final is None or final.hash_tree is None or final.pass_number != number:
        return None
    tree, capacity = final.hash_tree, certificate.drive.geometry.capacity_bytes
    own = leaves_of(leaves, tree, capacity)
    if own is None:
        raise AlteredError(
            "the hashes of its extents are not those whose root it has",
            subject=certificate.certificate_id,
            remedy=f"Ask the plant for {certificate.job_id}.leaves again, or read with --read sampled.",
        )
    if not are_hashable(tree.extent_bytes, tuning_for(drive)):
        return None
    found = choose(tree, own, capacity, listed_bad(certificate, drive), seed)
    return found if found.numbers else None


def _bytes_read(report: TransferReport | None) -> int:
    return report.bytes_done if report is not None else 0
