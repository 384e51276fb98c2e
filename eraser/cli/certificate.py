"""`eraser certificate`: show, verify, and the station's public key."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eraser.cli.trust import keys_option, read_document, trusted_keys
from eraser.errors import CertificateError, EraserError, ExitStatus, UsageError

if TYPE_CHECKING:  # cryptography is loaded by the commands that need it
    from eraser.certificates.bundle import Bundle, Standing
    from eraser.certificates.keys import TrustedKeys
    from eraser.domain.certificate import Certificate, CertifiedPass, Reading

GENUINE = "genuine"
MAX_MESSAGE_CHARACTERS = 600

_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a file.")


@click.group("certificate", short_help="Show and verify certificates.")
def certificate_group() -> None:
    """Show and verify certificates.

    Exit status: 0 genuine; 4 not to be believed; 5 signed with a key that is not trusted here; 2 wrong usage or
    unreadable file.
    """


@certificate_group.command("verify")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@keys_option
@click.option("--log-key", multiple=True, metavar="KEY", help="The log's public key, or a file with it: for bundles.")
@click.option("--witness-key", multiple=True, metavar="KEY", help="A witness's public key, or a file with it.")
@_json_option
def verify_command(
    files: tuple[Path, ...],
    key_paths: tuple[Path, ...],
    log_key: tuple[str, ...],
    witness_key: tuple[str, ...],
    as_json: bool,
) -> None:
    """Check that certificates are genuine, unaltered and free of contradiction; of bundles also that the log has them.

    Genuine does not mean passed: a certificate that says "failed" is just as genuine. Both are printed. What no witness
    signed, the plant alone says: a log that shows each of us another history looks the same.
    """
    trusted = trusted_keys(key_paths)
    keys = _LogKeys(log_key, witness_key)
    checks = [_check(path, trusted, keys) for path in files]
    for check in checks:
        click.echo(json.dumps(check.summary()) if as_json else check.sentence())
    sys.exit(max(check.exit_status for check in checks))


@certificate_group.command("show")
@click.argument("file", type=click.Path(path_type=Path))
@keys_option
@_json_option
def show_command(file: Path, key_paths: tuple[Path, ...], as_json: bool) -> None:
    """Show what a certificate says, and whether it may be believed (exit status as for verify)."""
    check = _check(file, trusted_keys(key_paths), _LogKeys((), ()))
    if as_json:
        click.echo(json.dumps({**check.summary(), "certificate": check.form}))
    else:
        click.echo(check.sentence())
        if check.certificate is not None:
            click.echo("\n" + _described(check.certificate))
    sys.exit(check.exit_status)


@certificate_group.command("key")
def key_command() -> None:
    """Print this station's public key (PEM) for those who verify; made on first use."""
    from eraser.certificates.keys import open_signer
    from eraser.settings import keys_dir

    signer = open_signer(keys_dir(os.environ))
    click.echo(f"key id {signer.key_id}", err=True)
    click.echo(signer.public.pem(), nl=False)


@dataclass(frozen=True, slots=True)
class _Check:
    """What became of one file; `form` and `certificate` are None when they cannot be read at all."""

    path: Path
    error: EraserError | None
    key_ids: tuple[str, ...] = ()
    certificate: "Certificate | None" = None
    form: Any = None
    log: "Standing | None" = None

    @property
    def result(self) -> str:
        return GENUINE if self.error is None else self.error.code

    @property
    def exit_status(self) -> int:
        return int(ExitStatus.PASSED if self.error is None else self.error.exit_status)

    def summary(self) -> dict[str, Any]:
        """For machines; what the certificate says is given only when it is genuine."""
        genuine = self.certificate if self.error is None else None
        return {
            "file": str(self.path),
            "result": self.result,
            "message": "" if self.error is None else _short(self.error),
            "key_ids": list(self.key_ids),
            "outcome": genuine.outcome.value if genuine else None,
            "certificate_id": genuine.certificate_id if genuine else None,
            "job_id": genuine.job_id if genuine else None,
            "serial": genuine.drive.identity.serial if genuine else None,
            "log": self._log_form(),
        }

    def _log_form(self) -> dict[str, Any] | None:
        if self.log is None:
            return None
        checkpoint = self.log.checkpoint
        witnesses = [{"name": item.key.name, "at": item.at} for item in self.log.witnesses]
        return {"origin": checkpoint.origin, "size": checkpoint.size, "witnesses": witnesses}

    def _log_sentence(self) -> str:
        if self.log is None:
            return ""
        names = ", ".join(item.key.name for item in self.log.witnesses)
        seen = f"witnessed by {names}" if names else "log not witnessed: the plant alone says so"
        return f"; in the log {self.log.checkpoint.origin} as of entry {self.log.checkpoint.size} ({seen})"

    def sentence(self) -> str:
        """For people."""
        if self.error is not None:
            return f"{self.path}: NOT VERIFIED ({self.result}): {_short(self.error)}"
        assert self.certificate is not None
        outcome = self.certificate.outcome.value.upper()
        keys = ", ".join(self.key_ids)
        return f"{self.path}: genuine, signed by key {keys}: {self.certificate.drive.label}: {outcome}{self._log_sentence()}"


@dataclass(frozen=True, slots=True)
class _LogKeys:
    """As given: keys themselves, or files that hold them."""

    logs: tuple[str, ...]
    witnesses: tuple[str, ...]


def _check(path: Path, trusted: "TrustedKeys", keys: _LogKeys) -> _Check:
    from eraser.certificates.bundle import is_bundle, load
    from eraser.certificates.verifying import verify
    from eraser.domain.json_form import to_json

    document = b""
    standing: Standing | None = None
    try:
        document = read_document(path)
        if is_bundle(document):
            bundle = load(document)
            document = bundle.document
            standing = _in_log(bundle, keys)
        verified = verify(document, trusted)
    except UsageError as error:
        return _Check(path, error)
    except CertificateError as error:
        certificate = _unproved(document)
        return _Check(path, error, (), certificate, certificate and to_json(certificate))
    return _Check(path, None, verified.key_ids, verified.certificate, to_json(verified.certificate), standing)


def _in_log(bundle: "Bundle", keys: _LogKeys) -> "Standing":
    from eraser.certificates.bundle import standing
    from eraser.cli.log import one_key

    return standing(bundle, [one_key(text) for text in keys.logs], [one_key(text) for text in keys.witnesses])


def _unproved(document: bytes) -> "Certificate | None":
    """What a document that is not proved says, if it can be read; shown only under the sentence that says so."""
    from eraser.certificates.envelope import unseal
    from eraser.certificates.verifying import content

    try:
        return content(unseal(document))
    except CertificateError:
        return None


def _short(error: EraserError) -> str:
    text = str(error)
    return text if len(text) <= MAX_MESSAGE_CHARACTERS else text[:MAX_MESSAGE_CHARACTERS] + "…"


def _described(certificate: "Certificate") -> str:
    sections = (
        _outcome_rows(certificate),
        _drive_rows(certificate),
        _sanitization_rows(certificate),
        [row for item in certificate.passes for row in _pass_rows(item)],
        [row for item in certificate.pass_verifications for row in _reading_rows(item)],
        _reading_rows(certificate.final_verification) if certificate.final_verification else [("Verification", "none")],
        _exception_rows(certificate),
        _origin_rows(certificate),
    )
    paragraphs = ("\n".join(f"{name:<16}{text}".rstrip() for name, text in rows if text) for rows in sections if rows)
    return "\n\n".join(paragraphs)


def _outcome_rows(certificate: "Certificate") -> list[tuple[str, str]]:
    return [
        ("Outcome", certificate.outcome.value.upper()),
        *(("  because", f"{reason.what} ({reason.code})") for reason in certificate.reasons),
        ("Certificate", certificate.certificate_id),
        ("Job", certificate.job_id),
        ("Issued", certificate.issued_at),
    ]


def _drive_rows(certificate: "Certificate") -> list[tuple[str, str]]:
    drive = certificate.drive
    identity, geometry = drive.identity, drive.geometry
    serial = f"{identity.serial} (the {identity.serial_source.value}'s own word)" if identity.serial else ""
    sectors = f"{geometry.logical_sector_bytes}/{geometry.physical_sector_bytes}-byte sectors"
    return [
        ("Drive", " ".join(part for part in (identity.manufacturer, identity.model) if part) or drive.path),
        ("Serial", serial),
        ("WWN", identity.wwn),
        ("EUI-64", identity.eui64),
        ("NGUID", identity.nguid),
        ("Firmware", identity.firmware),
        ("Kind", f"{drive.transport.value}, {drive.media.value}, {geometry.capacity_bytes:,} bytes, {sectors}"),
        ("Bridge", drive.bridge),
        ("Path", drive.path),
        ("Property tag", certificate.provenance.property_tag),
        ("Source", certificate.provenance.source),
        ("Destination", certificate.provenance.destination),
    ]


def _sanitization_rows(certificate: "Certificate") -> list[tuple[str, str]]:
    done = certificate.sanitization
    reached = done.level_reached.value if done.level_reached else "none"
    return [
        ("Sanitization", f"{done.technique.value}: {done.title}"),
        ("  asked", f"{done.standard}, level {done.level_asked.value}, verification {done.verification_asked.value}"),
        ("  reached", f"level {reached}"),
        ("  claim", done.claim),
        ("  source", f"{done.source} ({done.standing.value})"),
        *(("  note", note) for note in done.notes),
    ]


def _pass_rows(item: "CertifiedPass") -> list[tuple[str, str]]:
    from eraser.domain.pattern import Constant

    pattern = item.pattern
    named = pattern.data.hex() if isinstance(pattern, Constant) else pattern.seed.hex()
    state = "complete" if item.is_complete else "NOT COMPLETE"
    rows = [(f"Pass {item.number}", f"{state}, {item.direction.value}, {item.bytes_written:,} bytes written")]
    rows.append(("  pattern", f"{pattern.kind} {named[:64]}{'…' if len(named) > 64 else ''}"))
    rows += [("  run", f"{run.started_at}, {run.access.value}, ended: {run.end.value}") for run in item.runs]
    if item.bad.bytes_total:
        rows.append(("  bad", f"{item.bad.bytes_total:,} bytes could not be written"))
    return rows


def _reading_rows(item: "Reading") -> list[tuple[str, str]]:
    read = f"{item.run.bytes_done:,} bytes read back, ended: {item.run.end.value}"
    rows = [("Verification", f"{item.verification.value}, pass {item.pass_number}: {read}")]
    rows.append(("  differing", f"{item.run.mismatched_sectors:,} sectors"))
    if item.sampling is not None:
        bound = f"at most {item.sampling.bound_ppb / 1e7:.4f} % not erased, with 95 % confidence"
        rows.append(("  sampled", f"{item.sampling.places:,} places, seed {item.sampling.seed.hex()}: {bound}"))
    if item.hash_tree is not None:
        rows.append(("  Merkle root", item.hash_tree.root.hex()))
    if item.bad.bytes_total:
        rows.append(("  bad", f"{item.bad.bytes_total:,} bytes could not be read"))
    return rows


def _exception_rows(certificate: "Certificate") -> list[tuple[str, str]]:
    left = certificate.exceptions
    parts = (
        (left.not_written.bytes_total, "not written: old content may still be there"),
        (left.not_read.bytes_total, "not readable: not checked"),
        (left.hidden_bytes, "hidden from the host: not erased"),
    )
    return [("Left", f"{count:,} bytes {what}") for count, what in parts if count] or [("Left", "nothing")]


def _origin_rows(certificate: "Certificate") -> list[tuple[str, str]]:
    times, tool = certificate.times, certificate.tool
    return [
        ("Began", times.started_at),
        ("Ended", f"{times.finished_at} (after {times.duration / 1e9:,.1f} s)"),
        ("Station", " ".join(part for part in (certificate.station.id, certificate.station.location) if part)),
        ("Operator", certificate.operator),
        ("Witness", certificate.witness),
        ("Tool", f"{tool.name} {tool.version} ({tool.build})"),
    ]
