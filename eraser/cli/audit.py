"""`eraser audit`: draw a sample of a log's certificates, check it, and sign what was found."""

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eraser.cli.audit_routine import routine_group
from eraser.cli.audit_sources import Sources, read_file, read_option, role_option, source_options, station_options
from eraser.cli.desk import json_option
from eraser.cli.trust import keys_option
from eraser.errors import ExitStatus, Refused, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from eraser.audits.population import Documents, Logged, Population
    from eraser.audits.records import Verified
    from eraser.audits.running import Checked
    from eraser.domain.audit import DriveReading, Plan, Record
    from eraser.log.checkpoint import Checkpoint

_PATH = click.Path(path_type=Path)


@click.group("audit", short_help="Draw, check and sign a sample of the log's certificates.")
def audit_group() -> None:
    """Audit a plant: at its station, or anywhere with the bundles and keys that it gave you.

    Exit status: 0 accepted, nothing overdue; 2 usage; 3 refused; 4 rejected, overdue, or not to be believed; 5 signed with a
    key that is not trusted.
    """


audit_group.add_command(routine_group)


@audit_group.command("plan")
@click.option("--from", "first", required=True, metavar="DAY", help="First day of issue, such as 2026-11-01 (UTC).")
@click.option("--to", "last", required=True, metavar="DAY", help="Last day of issue.")
@click.option("--aql", metavar="PERCENT", help="Acceptance quality limit of ISO 2859-1, such as 0.65.")
@click.option(
    "--inspection-level",
    type=click.Choice(["I", "II", "III", "S-1", "S-2", "S-3", "S-4"]),
    default="II",
    show_default=True,
)
@click.option("--severity", type=click.Choice(["normal", "tightened", "reduced"]), default="normal", show_default=True)
@click.option("--defect-rate", metavar="PERCENT", help="Instead of an AQL: the share that must not go unnoticed.")
@click.option("--accept", type=click.IntRange(min=0), default=0, help="With --defect-rate: so many are still accepted.")
@click.option("--confidence", default="95", metavar="PERCENT", show_default=True, help="Of what is said in the end.")
@click.option("--nonce", required=True, metavar="HEX", help="Drawn by the auditor AFTER the checkpoint: 32 hex digits.")
@click.option("--checkpoint", type=_PATH, metavar="FILE", help="The log's checkpoint; else the station's newest.")
@click.option("--out", type=_PATH, metavar="FILE", help="Where to; else standard output.")
@source_options
def plan_command(
    first: str,
    last: str,
    aql: str | None,
    inspection_level: str,
    severity: str,
    defect_rate: str | None,
    accept: int,
    confidence: str,
    nonce: str,
    checkpoint: Path | None,
    out: Path | None,
    **where: Any,
) -> None:
    """Draw the sample: the same one for everybody with this log, this nonce and these options.

    Take the checkpoint first and draw the nonce afterwards (`openssl rand -hex 16`): then neither you nor the plant can have
    chosen.
    """
    from eraser.audits.ordering import criterion_of, days_of, nonce_of, ppm
    from eraser.audits.planning import confirmed, draw_plan, dump

    sources = Sources(**where)
    criterion = criterion_of(aql or "", inspection_level, severity, defect_rate or "", accept)
    drawn_nonce, days, confidence_ppm = nonce_of(nonce), days_of(first, last), ppm(confidence)
    signed = sources.signed_checkpoint(checkpoint)
    head = confirmed(signed, sources.log_keys())

    def draw(found: "Population") -> "Plan":
        return draw_plan(head, found, signed, drawn_nonce, days, criterion, confidence_ppm)

    plan = _drawn(sources, head, days, draw)
    if out is None:
        click.echo(dump(plan).decode(), nl=False)
    else:
        _write_new(out, dump(plan))
    click.echo(_plan_sentence(plan), err=True)


@audit_group.command("run")
@click.argument("plan_path", metavar="PLAN", type=_PATH)
@click.option("--auditor", required=True, metavar="NAME", help="Who audits: a role or an organisation; not who erased.")
@click.option("--nonce", metavar="HEX", help="The one that you drew: another plan is refused.")
@click.option("--drive", "drives", multiple=True, metavar="DEVICE", help="A sampled drive at hand: it is read again.")
@read_option
@click.option("--checkpoint", type=_PATH, metavar="FILE", help="The newest that you hold: what was withdrawn since.")
@click.option("--out", type=_PATH, metavar="FILE", help="The record; else audits/ID.audit in the data folder.")
@keys_option
@json_option
@source_options
def run_command(
    plan_path: Path,
    auditor: str,
    nonce: str | None,
    drives: tuple[str, ...],
    read: str,
    checkpoint: Path | None,
    out: Path | None,
    key_paths: tuple[Path, ...],
    as_json: bool,
    **where: Any,
) -> None:
    """Check the sample of a plan, and sign what was found; at a station the record is entered into its log.

    Every certificate: signature, key, content, place in the log, withdrawal. Every drive at hand: read again at places that the
    plan's seed draws, some of them by dd, OpenSSL and cmp. It is never written to. Where the hashes of a drive's extents lie
    beside its certificate (JOB.leaves), up to 59 extents are read and hashed; else NIST's samples.
    """
    from eraser.audits.planning import head_of, load
    from eraser.audits.records import open_audit_signer, sign
    from eraser.audits.running import check_documents, record, refuse_own_work
    from eraser.certificates.checking import Held
    from eraser.certificates.issuer import tool
    from eraser.cli.station import new_id, now_utc

    sources, auditor = Sources(**where), role_option("--auditor", auditor)
    plan = load(read_file(plan_path, ""))
    _expect_nonce(plan, nonce)
    documents, now = _looked_at(plan, sources, checkpoint, with_later=bool(drives))
    held = Held(sources.trusted(key_paths), sources.log_keys())
    checked = check_documents(plan, documents, now, held)
    refuse_own_work(auditor, checked)
    readings = _read_drives(drives, plan, checked, documents, now, read)
    audit_id = new_id()
    done = record(
        plan,
        checked,
        readings,
        audit_id=audit_id,
        done_at=now_utc(),
        auditor=auditor,
        as_of=head_of(now.head),
        tool=tool(),
    )
    document = sign(done, open_audit_signer(sources.folder / "keys"))
    target = out or sources.folder / "audits" / f"{audit_id}.audit"
    _write_new(target, document)
    if sources.is_station:
        _enter(sources, document)
    _show(done, target, as_json)
    sys.exit(ExitStatus.PASSED if done.verdict.is_accepted else ExitStatus.FAILED)


@audit_group.command("enter")
@click.argument("path", metavar="RECORD", type=_PATH)
@keys_option
@station_options
def enter_command(path: Path, key_paths: tuple[Path, ...], **where: Any) -> None:
    """Enter an auditor's signed record into this station's log. --keys: the auditor's public key."""
    document = read_file(path, "")
    sources = Sources(**where)
    _verified(document, sources, key_paths)
    _enter(sources, document)
    click.echo(f"{path}: entered; the log's next checkpoint has it")


@audit_group.command("show")
@click.argument("record", metavar="RECORD", required=False)
@click.option("--nonce", metavar="HEX", help="The one that you drew: a record of another draw is refused.")
@click.option("--entries", type=_PATH, metavar="FILE", help="The log's entries: a record that is not in it is refused.")
@click.option("--checkpoint", type=_PATH, metavar="FILE", help="With --entries: the one that they are of.")
@click.option("--log-key", multiple=True, metavar="KEY", help="With --entries: the log's public key.")
@keys_option
@json_option
@station_options
def show_command(
    record: str | None,
    nonce: str | None,
    entries: Path | None,
    checkpoint: Path | None,
    log_key: tuple[str, ...],
    key_paths: tuple[Path, ...],
    as_json: bool,
    **where: Any,
) -> None:
    """Show an audit's record, if it may be believed: a file, or the id of one in the station's ledger. Without one: list."""
    sources = Sources(**where, entries=entries, log_key=log_key)
    if record is None:
        _list(sources, key_paths, as_json)
        return
    found = _verified(_document(record, sources), sources, key_paths)
    _expect_nonce(found.record.plan, nonce)
    if entries is not None:
        _expect_logged(found, sources, checkpoint)
    _show(found.record, Path(record), as_json)


@audit_group.command("report")
@click.argument("record", metavar="RECORD")
@click.option("--format", "form", type=click.Choice(["json", "csv", "pdf"]), default="json", show_default=True)
@click.option("--lang", "language", type=click.Choice(["zh-CN", "en"]), default="zh-CN", help="Of the PDF.")
@click.option("--out", type=_PATH, metavar="FILE", help="Where to; else standard output.")
@keys_option
@station_options
def report_command(
    record: str, form: str, language: str, out: Path | None, key_paths: tuple[Path, ...], **where: Any
) -> None:
    """Write an audit's report, from a record that may be believed."""
    from eraser.audits.reporting import csv_report, json_report

    sources = Sources(**where)
    document = _document(record, sources)
    found = _verified(document, sources, key_paths)
    if form == "pdf":
        from eraser.audits.page import signed_report
        from eraser.certificates.pdf.words import Language
        from eraser.cli.station import now_utc

        content = signed_report(found, document, Language(language), sources.folder / "keys", now_utc())
    else:
        content = json_report(found) if form == "json" else csv_report(found.record)
    if out is not None:
        _write_new(out, content)
    else:
        click.echo(content, nl=False)


@audit_group.command("key")
@click.option(
    "--pdf", "of_pdf", is_flag=True, help="The key that signs reports as PDF (P-256), instead of that of records."
)
@station_options
def key_command(of_pdf: bool, **where: Any) -> None:
    """Print the public key (PEM) that signs audits here; made on first use."""
    from eraser.audits.records import audit_keys_folder, open_audit_signer

    if of_pdf:
        from eraser.certificates.pdf.signing import open_pdf_signer, public_pem

        pdf_signer = open_pdf_signer(audit_keys_folder(Sources(**where).folder / "keys"))
        click.echo(f"key id {pdf_signer.key_id}", err=True)
        click.echo(public_pem(pdf_signer.public, pdf_signer.trusted.validity), nl=False)
        return
    signer = open_audit_signer(Sources(**where).folder / "keys")
    click.echo(f"key id {signer.key_id}", err=True)
    click.echo(signer.public.pem(), nl=False)


def _drawn(sources: Sources, head: "Checkpoint", days: tuple[str, str], draw: "Callable[[Population], Plan]") -> "Plan":
    from eraser.audits.at_station import drawn_here
    from eraser.audits.population import population

    if sources.is_station:
        sources.bring_up_index()
        return sources.read(partial(drawn_here, head, sources.folder / "certificates", days, draw))
    documents = sources.certificates()
    return draw(population(sources.log_under(head, documents), documents, days))


def _looked_at(
    plan: "Plan", sources: Sources, checkpoint: Path | None, *, with_later: bool
) -> "tuple[Documents, Logged]":
    """The certificates, and the log under the newest checkpoint, for a plan that is fair. `with_later`: with certificates of
    the sampled drives that came afterwards.
    """
    from eraser.audits.at_station import looked_at_here
    from eraser.audits.planning import confirmed, expect_fair

    drawn_from = confirmed(plan.checkpoint, sources.log_keys())
    newest = drawn_from
    if checkpoint is not None or sources.is_station:
        newest = confirmed(sources.signed_checkpoint(checkpoint), sources.log_keys())
    if newest.origin != drawn_from.origin or newest.size < drawn_from.size:
        raise UsageError("the checkpoint is older than the plan's, or of another log", remedy="Give a newer one.")
    if sources.is_station:
        sources.bring_up_index()
        folder = sources.folder / "certificates"
        return sources.read(partial(looked_at_here, plan, drawn_from, newest, folder, with_later))
    documents = sources.certificates()
    logged = sources.log_under(drawn_from, documents)
    expect_fair(plan, logged, documents)
    return documents, logged if newest == drawn_from else sources.log_under(newest, documents)


def _read_drives(
    paths: tuple[str, ...],
    plan: "Plan",
    checked: "tuple[Checked, ...]",
    documents: "Documents",
    now: "Logged",
    kind: str,
) -> "Mapping[str, DriveReading]":
    if not paths:
        return {}  # whoever has no drive at hand needs no engine either
    from eraser.audits.population import erased_again, leaves_beside
    from eraser.cli.station import now_utc
    from eraser.domain.program import Verification
    from eraser.rack.audit_reading import certificate_of, read_drive

    believed = [item.certificate for item in checked if item.certificate is not None]
    readings: dict[str, DriveReading] = {}
    for path in paths:
        certificate = certificate_of(path, believed)
        if certificate is None:
            raise Refused(
                "not-sampled",
                "no conforming certificate of the sample is of this drive by its serial number or world-wide name",
                subject=path,
                remedy="Leave it out; the plan names the sample.",
            )
        if (later := erased_again(certificate, documents, now)) is not None:
            raise Refused(
                "erased-again",
                f"it was erased again since, by certificate {later.certificate_id}",
                subject=path,
                remedy="`eraser verify` reads it against that one.",
            )
        readings[certificate.certificate_id] = read_drive(
            path,
            certificate,
            Verification.FULL if kind == "full" else Verification.SAMPLED,
            plan.seed,
            leaves=leaves_beside(documents, certificate) if kind == "extents" else None,
            now_utc=now_utc,
            on_progress=lambda done, total: None,
        )
    return readings


def _enter(sources: Sources, document: bytes) -> None:
    from eraser.certificates.verifying import entry_of
    from eraser.cli.station import now_utc
    from eraser.ledger import audits

    sources.write(partial(audits.enter, entry_of(document), now_utc(), document))


def _verified(document: bytes, sources: Sources, key_paths: tuple[Path, ...]) -> "Verified":
    from eraser.audits.records import trusted_audit_keys, verify
    from eraser.certificates.keys import load_all

    return verify(document, load_all(key_paths) if key_paths else trusted_audit_keys(sources.folder / "keys"))


def _document(name: str, sources: Sources) -> bytes:
    """A file's bytes, or the ledger's record of this id."""
    from eraser.domain.certificate import ID_FORM
    from eraser.ledger import audits

    if Path(name).exists() or not ID_FORM.fullmatch(name):
        return read_file(Path(name), "Give a record's file, or the id of one in the ledger.")
    found = sources.read(partial(audits.document, name))
    if found is None:
        raise UsageError("the ledger has no such audit", subject=name)
    return found


def _list(sources: Sources, key_paths: tuple[Path, ...], as_json: bool) -> None:
    from eraser.audits.records import readable
    from eraser.audits.reporting import lines_of, summary
    from eraser.certificates.errors import UnknownKeyError
    from eraser.domain.audit import next_severities
    from eraser.ledger import audits

    records = []
    for kept in sources.read(audits.entered):
        try:
            records.append(_verified(kept.document, sources, key_paths).record)
        except UnknownKeyError:
            # Whoever entered it held the auditor's key.
            click.echo(f"{kept.audit_id} is signed with a key that is not known here: --keys gives it", err=True)
            records.append(readable(kept.document))
    for item in records:
        click.echo(json.dumps(summary(item)) if as_json else next(lines_of(item, item.done_at)))
    for (aql, level), severity in next_severities(records).items():
        then = f"{severity.value} inspection" if severity is not None else "no inspection before something was done"
        click.echo(f"After these, for AQL {aql} at level {level.value}: {then} (ISO 2859-1 §9)", err=True)


def _expect_logged(found: "Verified", sources: Sources, checkpoint: Path | None) -> None:
    """Raises NotLoggedError unless the log under the checkpoint has just this record."""
    from eraser.audits.planning import confirmed
    from eraser.audits.population import Documents
    from eraser.log.errors import NotLoggedError

    head = confirmed(sources.signed_checkpoint(checkpoint), sources.log_keys())
    if found.entry not in sources.log_under(head, Documents(())).entries.values():
        raise NotLoggedError(
            f"the log of {head.size} entries does not have it",
            subject=found.record.audit_id,
            remedy="`eraser audit enter` puts it there; the next checkpoint has it.",
        )


def _show(record: "Record", path: Path, as_json: bool) -> None:
    from eraser.audits.reporting import lines_of, summary

    if as_json:
        click.echo(json.dumps({"record": str(path), **summary(record)}))
        return
    for line in lines_of(record, str(path)):
        click.echo(line)


def _expect_nonce(plan: "Plan", given: str | None) -> None:
    from eraser.audits.errors import PlanNotFairError
    from eraser.audits.ordering import nonce_of

    if given is not None and nonce_of(given) != plan.nonce:
        raise PlanNotFairError("it was drawn with another nonce than the auditor's", remedy="Draw a plan of your own.")


def _write_new(path: Path, content: bytes) -> None:
    from eraser.durable import write_new

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        made = write_new(path, content, 0o644)
    except OSError as error:
        raise UsageError(f"it cannot be written: {error.strerror}", subject=str(path)) from error
    if not made:
        raise UsageError("there is a file already", subject=str(path), remedy="Give another name with --out.")


def _plan_sentence(plan: "Plan") -> str:
    said = (
        f"{plan.sample_size} of {plan.population} certificates are drawn; accepted with at most {plan.accepts} "
        f"nonconforming, and none that is critical"
    )
    if plan.undated_members:
        said += f"; {plan.undated_members} of those drawn from are NOT AT HAND, and count as of these days"
    return said
