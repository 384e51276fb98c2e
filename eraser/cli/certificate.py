"""`eraser certificate`: show, verify, withdraw, make PDFs, and the station's public keys."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eraser.cli.trust import keys_option, pdf_opener, read_document, trusted_audit_keys, trusted_keys
from eraser.errors import UsageError

if TYPE_CHECKING:  # cryptography is loaded by the commands that need it
    from collections.abc import Callable

    from eraser.domain.certificate import Certificate, CertifiedPass, Reading

MAX_URL_CHARACTERS = 300

_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a file.")
_data = click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="The station's data folder."
)


class _Group(click.Group):
    """Loads what asks a running station only when it is wanted: that takes as long as all else that verifying loads."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "withdraw"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name != "withdraw":
            return super().get_command(ctx, cmd_name)
        from eraser.cli.withdraw import withdraw_command

        return withdraw_command


@click.group("certificate", cls=_Group, short_help="Show and verify certificates.")
def certificate_group() -> None:
    """Show and verify certificates.

    Exit status: 0 genuine; 4 not to be believed; 5 signed with a key that is not trusted here; 2 wrong usage or
    unreadable file.
    """


@certificate_group.command("verify")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@keys_option
@click.option(
    "--audit-keys",
    "audit_key_paths",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="PATH",
    help="PEM file or folder of auditors' public keys: for records of audits.",
)
@click.option("--log-key", multiple=True, metavar="KEY", help="The log's public key, or a file with it: for bundles.")
@click.option("--witness-key", multiple=True, metavar="KEY", help="A witness's public key, or a file with it.")
@click.option("--drive", default="", metavar="SERIAL", help="The drive in the hand: its serial number or WWN.")
@click.option("--checkpoint", type=click.Path(path_type=Path), metavar="FILE", help="One that you hold of the log.")
@click.option(
    "--update", "updates", type=click.Path(path_type=Path), multiple=True, metavar="FILE", help="How the log grew."
)
@click.option(
    "--restart",
    "restarts",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="The bundle of the log's own record.",
)
@click.option("--receipt", type=click.Path(path_type=Path), metavar="FILE", help="A customer's, as JSON: is it theirs?")
@click.option("--code", default="", metavar="CODE", help="The receipt's, where FILE has the customer's details alone.")
@_json_option
def verify_command(
    files: tuple[Path, ...],
    key_paths: tuple[Path, ...],
    audit_key_paths: tuple[Path, ...],
    log_key: tuple[str, ...],
    witness_key: tuple[str, ...],
    drive: str,
    checkpoint: Path | None,
    updates: tuple[Path, ...],
    restarts: tuple[Path, ...],
    receipt: Path | None,
    code: str,
    as_json: bool,
) -> None:
    """Check that certificates and other signed records are genuine, unaltered and free of contradiction; of bundles also that
    the log has them.

    Genuine does not mean passed: a certificate that says "failed" is just as genuine. Both are printed. What no witness
    signed, the plant alone says: a log that shows each of us another history looks the same. --checkpoint takes one
    that you got by another way, older or newer than the bundle's; --update (from `eraser log update`) leads between the two.
    --restart takes the bundle of a log's record that it lost entries. --receipt shows whose it is (docs/privacy.md).
    """
    from eraser.certificates.checking import check_all
    from eraser.certificates.holding import held

    audit_keys = trusted_audit_keys(audit_key_paths, key_paths)
    trusted = trusted_keys(key_paths)
    known = held(trusted, log_key, witness_key, drive, checkpoint, updates, restarts, receipt, code, audit_keys)
    checks = check_all(files, replace(known, open_pdf=pdf_opener(key_paths)))
    for check in checks:
        click.echo(json.dumps(check.summary()) if as_json else check.sentence())
    sys.exit(max(check.exit_status for check in checks))


@certificate_group.command("show")
@click.argument("file", type=click.Path(path_type=Path))
@keys_option
@_json_option
def show_command(file: Path, key_paths: tuple[Path, ...], as_json: bool) -> None:
    """Show what a certificate says, and whether it may be believed (exit status as for verify)."""
    from eraser.certificates.checking import Held
    from eraser.certificates.checking import check as check_one

    check = check_one(file, Held(trusted_keys(key_paths), open_pdf=pdf_opener(key_paths)))
    if as_json:
        click.echo(json.dumps({**check.summary(), "certificate": check.form}))
    else:
        click.echo(check.sentence())
        if check.certificate is not None:
            click.echo("\n" + _described(check.certificate))
    sys.exit(check.exit_status)


@certificate_group.command("pdf")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
@click.option("--lot", "lot_id", default="", metavar="LOT", help="The summary of a lot instead, as the ledger has it.")
@click.option("--lang", "language", type=click.Choice(["zh-CN", "en"]), default="zh-CN", help="The page's language.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Where to, else beside FILE; of several FILEs a folder.",
)
@click.option("--check-url", default="", metavar="URL", help="What the QR code leads to; else it holds id and digest.")
@_data
@click.option("--database", metavar="URL", help="The station's ledger, where that is not in the data folder.")
def pdf_command(
    files: tuple[Path, ...],
    lot_id: str,
    language: str,
    out: Path | None,
    check_url: str,
    data: Path | None,
    database: str | None,
) -> None:
    """Make certificates' PDFs: one page each, signed by this station, with the certificate itself (or bundle) attached.

    Only of certificates that this station trusts: what it signs, it has checked. A file that is there is not replaced.
    --lot lists all certificates of a lot with their outcome, method, id and log entry, on as many pages as it takes.
    """
    if bool(files) == bool(lot_id):
        raise UsageError("it takes either certificates or --lot")
    if len(check_url) > MAX_URL_CHARACTERS or not check_url.isprintable():
        raise UsageError(
            f"the address is longer than {MAX_URL_CHARACTERS} characters, or they do not show as themselves"
        )
    if lot_id:
        from eraser.cli.lot_pdf import lot_pdf, lot_pdf_name

        _put(out or Path(lot_pdf_name(lot_id)), lot_pdf(lot_id, language, data, database))
        return
    if len(files) > 1 and out is not None:
        out.mkdir(parents=True, exist_ok=True)
    is_folder = out is not None and out.is_dir()
    draw = _drawing(language, check_url, _keys(data))
    for file in files:
        beside = file.with_suffix(".pdf")
        _put(beside if out is None else out / beside.name if is_folder else out, draw(file))


def _drawing(language: str, check_url: str, keys: Path) -> "Callable[[Path], bytes]":
    from eraser.certificates.bundle import is_bundle, load
    from eraser.certificates.keys import station_keys
    from eraser.certificates.verifying import verify

    trusted = station_keys(keys)

    def checked(file: Path) -> bytes:
        document = read_document(file)
        verify(load(document).document if is_bundle(document) else document, trusted)
        return document

    tools: list[Any] = []

    def draw(file: Path) -> bytes:
        document = checked(file)  # before Typst and pyHanko are loaded
        if not tools:
            from eraser.certificates.pdf.rendering import Renderer
            from eraser.certificates.pdf.signing import open_pdf_signer
            from eraser.certificates.pdf.words import Language
            from eraser.cli.station import now_utc

            signer = open_pdf_signer(keys)
            tools.extend((Renderer(), signer, Language(language), now_utc))
        render, sign, chosen, now = tools
        pdf: bytes = sign(render(document, chosen, check_url), now())
        return pdf

    return draw


def _put(target: Path, pdf: bytes) -> None:
    from eraser.durable import write_new

    try:
        made = write_new(target, pdf, 0o644)
    except OSError as error:
        raise UsageError(f"the PDF cannot be written: {error.strerror}", subject=str(target)) from error
    if not made:
        raise UsageError("there is a file already", subject=str(target), remedy="Give another name with --out.")
    click.echo(target)


@certificate_group.command("schema")
@click.option(
    "--of",
    "member",
    type=click.Choice(["certificate", "withdrawal", "destruction", "control", "audit"]),
    default="certificate",
    help="Which document.",
)
def schema_command(member: str) -> None:
    """Print the JSON Schema (2020-12) of a certificate's file, or of another signed record's."""
    from eraser.certificates.schema import document_schema

    click.echo(json.dumps(document_schema(member), indent=1, ensure_ascii=False))


@certificate_group.group("key", invoke_without_command=True)
@click.option(
    "--all", "also_earlier", is_flag=True, help="All keys that are trusted here, also those that were replaced."
)
@click.option("--pdf", "of_pdf", is_flag=True, help="The key that signs PDFs (P-256), instead of that of certificates.")
@_data
@click.pass_context
def key_group(context: click.Context, also_earlier: bool, of_pdf: bool, data: Path | None) -> None:
    """Print this station's public key (PEM) for those who verify; made on first use."""
    from eraser.certificates.keys import open_signer, station_keys

    if context.invoked_subcommand is not None:
        return
    if of_pdf:
        from eraser.certificates.pdf.signing import open_pdf_signer, public_pem, station_pdf_keys

        pdf_signer = open_pdf_signer(_keys(data))
        click.echo(f"key id {pdf_signer.key_id}", err=True)
        for item in station_pdf_keys(_keys(data)).values() if also_earlier else [pdf_signer.trusted]:
            click.echo(public_pem(item.key, item.validity), nl=False)
        return
    signer = open_signer(_keys(data))
    click.echo(f"key id {signer.key_id}", err=True)
    for key in station_keys(_keys(data)).values() if also_earlier else [signer.public]:
        click.echo(key.pem(), nl=False)


@key_group.command("rotate")
@click.option("--pdf", "of_pdf", is_flag=True, help="The key that signs PDFs, instead of that of certificates.")
@_data
def rotate_command(of_pdf: bool, data: Path | None) -> None:
    """Sign with a new key from now on. The old one stays trusted for what it signed until now.

    A running station takes it up with its next certificate, or PDF. Auditors need `eraser certificate key --all` (and
    `--pdf`) afterwards.
    """
    from datetime import UTC, datetime, timedelta

    from eraser.certificates.keys import OVERLAP_SECONDS, rotate

    now = datetime.now(UTC).replace(microsecond=0, tzinfo=None)
    until = now + timedelta(seconds=OVERLAP_SECONDS)
    moments = f"{now.isoformat()}Z", f"{until.isoformat()}Z"
    if of_pdf:
        from eraser.certificates.keys import curve_key_id
        from eraser.certificates.pdf.signing import rotate_pdf_key

        ended, begun = rotate_pdf_key(_keys(data), *moments)
        click.echo(f"{curve_key_id(ended.key)} signs {ended.validity}")
        click.echo(f"{begun.key_id} signs {begun.trusted.validity}")
        return
    old, new = rotate(_keys(data), *moments)
    click.echo(f"{old.key_id} signs {old.validity}")
    click.echo(f"{new.key_id} signs {new.public.validity}")


def _keys(data: Path | None) -> Path:
    from eraser.settings import keys_dir

    return data / "keys" if data is not None else keys_dir(os.environ)


def _described(certificate: "Certificate") -> str:
    sections = (
        _outcome_rows(certificate),
        _drive_rows(certificate),
        _sanitization_rows(certificate),
        _claim_rows(certificate),
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


def _claim_rows(certificate: "Certificate") -> list[tuple[str, str]]:
    rows = [("Rulebooks", "what the evidence shows of each, and what is missing")]
    for claim in certificate.rulebooks.claims:
        rows.append(
            (f"  {'holds' if claim.holds else 'no claim'}", f"{claim.rulebook.value}: {claim.statement}".rstrip(": "))
        )
        rows += [("    missing", item.what) for item in claim.missing]
    return rows


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
    from eraser.domain.evidence import EndReason

    read = f"{item.run.bytes_done:,} bytes read back, ended: {item.run.end.value}"
    rows = [("Verification", f"{item.verification.value}, pass {item.pass_number}: {read}")]
    rows.append(("  differing", f"{item.run.mismatched_sectors:,} sectors"))
    if item.sampling is not None:
        rows.append(("  sampled", f"{item.sampling.places:,} places, seed {item.sampling.seed.hex()}"))
        # Only a reading that found no difference bounds anything.
        if not item.run.mismatched_sectors and not item.bad.bytes_total and item.run.end is EndReason.COMPLETED:
            bound = f"at most {item.sampling.bound_ppb / 1e7:.4f} % not erased, with 95 % confidence"
            rows.append(("  bound", bound))
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
        ("Customer", f"bound to one by {certificate.commitment.mac.hex()}" if certificate.commitment else ""),
        ("Tool", f"{tool.name} {tool.version} ({tool.build})"),
    ]
