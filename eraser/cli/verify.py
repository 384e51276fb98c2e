"""`eraser verify`: reads a drive again and holds it against its certificate."""

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eraser.cli.quantities import human_seconds, human_size
from eraser.cli.trust import keys_option, read_document, trusted_keys
from eraser.domain.printable import printable
from eraser.errors import EraserError, ExitStatus, Refused

if TYPE_CHECKING:  # cryptography and the engine are loaded by the command
    from eraser.domain.certificate import Certificate
    from eraser.domain.drive import Drive
    from eraser.domain.evidence import TransferReport
    from eraser.rack.rereading import Rereading

MAX_SHOWN_PLACES = 16


@click.command("verify", short_help="Read a drive back against its certificate.")
@click.argument("device")
@click.option("--certificate", "path", type=click.Path(path_type=Path), required=True, help="The drive's certificate.")
@click.option(
    "--verify",
    "kind",
    type=click.Choice(["full", "sampled"]),
    default="full",
    show_default=True,
    help="Read all of it, or places drawn anew (NIST SP 800-88 Rev. 1 §4.7).",
)
@keys_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def verify_command(device: str, path: Path, kind: str, key_paths: tuple[Path, ...], as_json: bool) -> None:
    """Read a drive again and compare it with what its certificate says was written last. Never writes to it.

    Exit status: 0 the certificate is genuine, says passed, and the drive holds what it says; 1 interrupted; 2 wrong
    usage; 3 refused: another drive, or it may not be read; 4 it does not hold, or the certificate is not to be
    believed or says failed; 5 the certificate is signed with a key that is not trusted here.
    """
    try:
        certificate = _believed(path, key_paths)
        began = time.monotonic()
        drive, found = _read(device, certificate, kind)
        seconds = time.monotonic() - began
    except EraserError as error:
        if not as_json:
            raise
        click.echo(json.dumps(_error_form(device, path, error)))
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        form = {"device": device, "certificate": str(path), "result": "interrupted", "message": "interrupted"}
        click.echo(json.dumps(form) if as_json else f"INTERRUPTED  {device}: nothing was proved")
        sys.exit(ExitStatus.INTERRUPTED)
    if as_json:
        click.echo(json.dumps(_form(device, path, certificate, drive, found, seconds)))
    else:
        click.echo("\n".join(printable(line) for line in _lines(device, certificate, drive, found, seconds)))
    sys.exit(_status(found))


def _believed(path: Path, key_paths: tuple[Path, ...]) -> "Certificate":
    from eraser.certificates.verifying import verify

    trusted = trusted_keys(key_paths)
    try:
        return verify(read_document(path), trusted).certificate
    except EraserError as error:
        error.subject = error.subject or str(path)
        raise


def _read(device: str, certificate: "Certificate", kind: str) -> tuple["Drive", "Rereading"]:
    from eraser.cli.station import now_utc
    from eraser.domain.program import Verification
    from eraser.rack.rereading import last_pattern, reread_now

    last_pattern(certificate)  # before the drive is touched
    progress = _Progress()
    try:
        return reread_now(
            device,
            certificate,
            Verification(kind),
            random_bytes=os.urandom,
            now_utc=now_utc,
            on_progress=progress.show,
        )
    finally:
        progress.clear()


class _Progress:
    """One line on a terminal, nothing elsewhere."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._is_shown = sys.stderr.isatty()

    def show(self, done: int, total: int) -> None:
        elapsed = time.monotonic() - self._began
        if not self._is_shown or not total or not elapsed:
            return
        rate = done / elapsed
        left = f", {human_seconds((total - done) / rate)} left" if rate else ""
        click.echo(f"\r\x1b[Kreading {100 * done // total} %  {human_size(int(rate))}/s{left}", nl=False, err=True)

    def clear(self) -> None:
        if self._is_shown:
            click.echo("\r\x1b[K", nl=False, err=True)


def _status(found: "Rereading") -> ExitStatus:
    from eraser.rack.rereading import Finding

    return ExitStatus.PASSED if found.finding is Finding.HOLDS else ExitStatus.FAILED


def _error_form(device: str, path: Path, error: EraserError) -> dict[str, Any]:
    return {
        "device": device,
        "certificate": str(path),
        "result": error.reason if isinstance(error, Refused) else error.code,
        "message": str(error),
    }


def _form(
    device: str, path: Path, certificate: "Certificate", drive: "Drive", found: "Rereading", seconds: float
) -> dict[str, Any]:
    from eraser.domain.json_form import to_json
    from eraser.rack.rereading import cautions

    report = found.report
    return {
        "device": device,
        "certificate": str(path),
        "result": found.finding.value,
        "message": _sentence(found),
        "certificate_id": certificate.certificate_id,
        "job_id": certificate.job_id,
        "certificate_outcome": certificate.outcome.value,
        "serial": drive.identity.serial,
        "verification": found.kind.value,
        "sampling": to_json(found.sampling) if found.sampling is not None else None,
        "pass_number": found.pass_number,
        "bytes_to_read": found.total_bytes,
        "bytes_read": report.bytes_done if report else 0,
        "mismatched_sectors": report.mismatched_sectors if report else 0,
        "first_mismatches": list(report.first_mismatches[:MAX_SHOWN_PLACES]) if report else [],
        "unreadable_bytes": report.bad_bytes if report else 0,
        "end": report.end.value if report else None,
        "hash_tree": _hash_word(found),
        "known_bad": _known_bad_form(found.known_bad),
        "cautions": list(cautions(certificate, drive)),
        "seconds": round(seconds, 3),
    }


def _known_bad_form(report: "TransferReport | None") -> dict[str, Any] | None:
    """What became of the places that the certificate lists as bad."""
    if report is None:
        return None
    return {
        "bytes_read": report.bytes_done,
        "mismatched_sectors": report.mismatched_sectors,
        "first_mismatches": list(report.first_mismatches[:MAX_SHOWN_PLACES]),
        "unreadable_bytes": report.bad_bytes,
    }


def _hash_word(found: "Rereading") -> str:
    if not found.expected_root or found.hash_tree is None:
        return "not compared"
    return "equal" if found.hash_tree.root == found.expected_root else "differs"


def _sentence(found: "Rereading") -> str:
    from eraser.rack.rereading import Finding

    report = found.report
    match found.finding:
        case Finding.HOLDS:
            return f"the drive holds what pass {found.pass_number} wrote, wherever it was read"
        case Finding.DIFFERS:
            count = report.mismatched_sectors if report else 0
            return f"{count:,} sectors do not hold what pass {found.pass_number} wrote"
        case Finding.UNREADABLE:
            return f"{report.bad_bytes if report else 0:,} bytes cannot be read, which the certificate does not list"
        case Finding.INCOMPLETE:
            return f"the reading did not come to its end: {report.end.value if report else 'no place was left to read'}"
        case Finding.HASH_DIFFERS:
            return "every byte is as it was written, and the certificate's tree of hashes is of something else"
        case Finding.WRITTEN_MEANWHILE:
            return "somebody wrote to the drive while it was read, or nobody counted: the reading can't be relied on"
        case Finding.CERTIFICATE_FAILED:
            return "the drive is as its certificate says, and that says that the erasure failed"


def _lines(device: str, certificate: "Certificate", drive: "Drive", found: "Rereading", seconds: float) -> list[str]:
    from eraser.rack.rereading import Finding, cautions

    word = "HOLDS" if found.finding is Finding.HOLDS else "DOES NOT HOLD"
    lines = [
        f"{word}  {device}: {_sentence(found)}",
        f"        {drive.label}; certificate {certificate.certificate_id}: {certificate.outcome.value}",
    ]
    report = found.report
    if report is not None:
        what = "all of it" if found.sampling is None else f"{found.sampling.places:,} places drawn anew"
        lines.append(f"        {report.bytes_done:,} bytes read back ({what}), {seconds:.1f} s")
        lines += _places("differing sectors begin at bytes", report)
        lines += [f"        unreadable: {item.extent.length_bytes:,} bytes from {item.extent.offset_bytes:,}"
                  for item in report.bad_extents[:MAX_SHOWN_PLACES]]  # fmt: skip
    if found.sampling is not None and found.finding is Finding.HOLDS:
        bound = found.sampling.bound_ppb / 10**7
        lines.append(f"        with 95 % confidence at most {bound:.4f} % of the drive is otherwise")
    if found.expected_root:
        lines.append(f"        tree of hashes: {_hash_word(found)}")
    if found.known_bad is not None:
        bad = found.known_bad
        lines.append(
            f"        listed as bad in the certificate: {bad.bad_bytes:,} bytes cannot be read, "
            f"{bad.mismatched_sectors:,} sectors differ"
        )
        lines += _places("of these differ those at bytes", bad)
    return [*lines, *(f"        note: {note}" for note in cautions(certificate, drive))]


def _places(what: str, report: "TransferReport") -> list[str]:
    places = report.first_mismatches[:MAX_SHOWN_PLACES]
    if not places:
        return []
    more = ", …" if report.mismatched_sectors > len(places) else ""
    return [f"        {what} {', '.join(f'{place:,}' for place in places)}{more}"]
