"""What becomes of a file that somebody checks: one answer, whichever program gives it (`eraser certificate verify`, or the
verifier in one file).
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from eraser.certificates.attached import attached_document, is_summary
from eraser.certificates.bundle import Bundle, is_bundle, load, logged_restart, standing
from eraser.certificates.bundle import Standing as StandingInLog
from eraser.certificates.canonical import MAX_DOCUMENT_BYTES
from eraser.certificates.content import content
from eraser.certificates.describing import LOT, drive_names, form_of, sentence_of
from eraser.certificates.envelope import AUDIT, CERTIFICATE, unseal
from eraser.certificates.errors import (
    AnotherDriveError,
    DuplicateError,
    LotDiffersError,
    MalformedError,
    PageNotCheckedError,
    WithdrawnError,
)
from eraser.certificates.keys import PdfKeys, TrustedKeys
from eraser.certificates.lot_summary import Listed, LotSummary, Standing, read_summary
from eraser.certificates.pdf_signature import signer_of
from eraser.certificates.receipt import HeldReceipt, expect_theirs
from eraser.certificates.validity import ordered
from eraser.certificates.verifying import (
    Opened,
    OpenedNote,
    Verified,
    verify_note,
    verify_opened,
    verify_record,
)
from eraser.certificates.verifying import opened as open_document
from eraser.domain.certificate import Certificate
from eraser.domain.custody import own_serial
from eraser.domain.json_form import to_json
from eraser.domain.log_entry import EntryKind
from eraser.domain.withdrawal import Withdrawal
from eraser.errors import CertificateError, EraserError, ExitStatus, UsageError
from eraser.log.checkpoint import Checkpoint, Withdrawals, confirm
from eraser.log.errors import NotLoggedError, RewrittenLogError
from eraser.log.history import Growth, is_one_history
from eraser.log.note import Note, NoteKey
from eraser.log.restart import Restart, RestartedLogError
from eraser.log.witnessing import Update

GENUINE = "genuine"
MAX_MESSAGE_CHARACTERS = 600


@dataclass(frozen=True, slots=True)
class OpenedPdf:
    """A PDF that may be believed as far as the document in it may.

    `is_redrawn`: its page was made once more, and is the same.
    """

    document: bytes
    key_id: str
    is_redrawn: bool
    is_checked: bool = True
    """Whether its page was looked at at all; the signature over it always is."""
    is_lot: bool = False
    """Whether the document is a lot's summary, which is signed by nothing but the PDF."""


@dataclass(frozen=True, slots=True)
class Held:
    """What whoever checks has got by other ways than the files: keys, a drive, a checkpoint, and how the log grew."""

    keys: TrustedKeys
    """Those that sign certificates, and the plant's other records."""
    logs: tuple[NoteKey, ...] = ()
    witnesses: tuple[NoteKey, ...] = ()
    drive: str = ""
    """Serial number or world-wide name, as its label or the system says it."""
    checkpoint: Note | None = None
    updates: tuple[Update, ...] = ()
    restarts: tuple[bytes, ...] = ()
    """Bundles of records of restarts (`eraser.log.restart`), not believed yet."""
    audit_keys: TrustedKeys = field(default_factory=dict)
    """Those that sign audits, and nothing else."""
    receipt: HeldReceipt | None = None
    """A customer's, whose the certificate should be."""
    open_pdf: Callable[[bytes], OpenedPdf] | None = None
    """Opens a PDF under the keys that are trusted to sign pages; None where pyHanko and Typst are not, as in the
    verifier in one file.
    """
    pdf_keys: PdfKeys = field(default_factory=dict)
    """Those that sign pages, where there is no `open_pdf`."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The checkpoint that was held, and what holding it against a bundle's has shown."""

    checkpoint: Checkpoint
    is_shown: bool
    """Whether both are of one history; if not, nothing is known."""
    not_withdrawn_as_of: int
    """The size of the newest log of which it is known that the certificate is not withdrawn in it."""


@dataclass(frozen=True, slots=True)
class Check:
    """What became of one file; `form` and `certificate` are None when they cannot be read at all, and of other records."""

    path: Path
    error: EraserError | None
    key_ids: tuple[str, ...] = ()
    certificate: Certificate | None = None
    record: Any = None
    """A document that is no certificate: of which kind it is, is `kind`."""
    kind: str = EntryKind.CERTIFICATE.value
    form: Any = None
    signed: bytes = b""
    """The bytes under the signatures, of a genuine one."""
    log: StandingInLog | None = None
    compared: Compared | None = None
    holds_checkpoint: bool = False
    pdf: OpenedPdf | None = None
    holds_receipt: bool = False
    """Whether a receipt was held against it, which it fits if it is genuine."""

    @property
    def is_genuine_but_for_its_page(self) -> bool:
        """Whether what the document says may be believed; a page around it may say anything."""
        return self.error is None or isinstance(self.error, PageNotCheckedError)

    @property
    def withdrawal(self) -> Withdrawal | None:
        """If it is one."""
        return self.record if isinstance(self.record, Withdrawal) else None

    @property
    def result(self) -> str:
        """`genuine`, or the code of what is wrong."""
        return GENUINE if self.error is None else self.error.code

    @property
    def exit_status(self) -> int:
        """0 for genuine."""
        return int(ExitStatus.PASSED if self.error is None else self.error.exit_status)

    def summary(self) -> dict[str, Any]:
        """For machines; what the certificate says is given only when it is genuine."""
        genuine = self.certificate if self.error is None else None
        form: dict[str, Any] = {
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
        if self.record is not None and self.error is None:
            form |= form_of(self.kind, self.record)
        if self.pdf is not None:
            seen = {"key_id": self.pdf.key_id, "redrawn": self.pdf.is_redrawn}
            form["pdf"] = seen if self.pdf.is_checked else seen | {"checked": False}
        return form | ({"held": self._held_form()} if self.holds_checkpoint else {})

    def sentence(self) -> str:
        """For people."""
        if self.error is not None:
            return f"{self.path}: NOT VERIFIED ({self.result}): {_short(self.error)}"
        if self.record is not None:
            said = f"{self.path}: genuine {sentence_of(self.kind, self.record)}"
            return said + self._pdf_sentence() + self._log_sentence() + self._held_sentence()
        assert self.certificate is not None
        outcome = self.certificate.outcome.value.upper()
        keys = ", ".join(self.key_ids)
        said = f"{self.path}: genuine, signed by key {keys}: {self.certificate.drive.label}: {outcome}"
        said += "; it is bound to this receipt's customer" if self.holds_receipt else ""
        return said + self._pdf_sentence() + self._log_sentence() + self._held_sentence()

    def _pdf_sentence(self) -> str:
        if self.pdf is None:
            return ""
        if self.pdf.is_redrawn:
            return f"; its page, signed by key {self.pdf.key_id}, says the same"
        return f"; its page is as key {self.pdf.key_id} signed it (drawn by another version, so not drawn again here)"

    def _log_form(self) -> dict[str, Any] | None:
        if self.log is None:
            return None
        checkpoint = self.log.checkpoint
        witnesses = [{"name": item.key.name, "at": item.at} for item in self.log.witnesses]
        return {"origin": checkpoint.origin, "size": checkpoint.size, "witnesses": witnesses}

    def _held_form(self) -> dict[str, Any] | None:
        if self.compared is None:
            return None
        history = "consistent" if self.compared.is_shown else "not-shown"
        as_of = self.compared.not_withdrawn_as_of
        return {"size": self.compared.checkpoint.size, "history": history, "not_withdrawn_as_of": as_of}

    def _log_sentence(self) -> str:
        if self.log is None:
            return ""
        names = ", ".join(item.key.name for item in self.log.witnesses)
        seen = f"witnessed by {names}" if names else "log not witnessed: the plant alone says so"
        return f"; in the log {self.log.checkpoint.origin} as of entry {self.log.checkpoint.size} ({seen})"

    def _held_sentence(self) -> str:
        if not self.holds_checkpoint:
            return ""
        if self.compared is None:
            return "; it is no bundle: nothing is known of the log"
        size = self.compared.checkpoint.size
        said = (
            f"; of one history with the checkpoint held, of {size} entries"
            if self.compared.is_shown
            else f"; NOT SHOWN that the checkpoint held, of {size} entries, is of the same history: "
            "ask for `eraser log update --from` the smaller size"
        )
        if self.compared.not_withdrawn_as_of < size:
            said += f"; whether it was withdrawn after entry {self.compared.not_withdrawn_as_of} is not known"
        return said


def read_document(path: Path) -> bytes:
    """The file's bytes, one more at the most than a certificate may have. Raises UsageError."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"the file cannot be read: {error.strerror}") from error


def check_all(paths: Sequence[Path], held: Held) -> list[Check]:
    """Each file by itself, and all against one another: of genuine ones that bear one id or are of one job, and differ, none
    is believed; nor is one whose withdrawal is among them, nor the summary of a lot that says something else of one of them.
    """
    checks = _without_withdrawn(_without_duplicates([check(path, held) for path in paths]))
    return [_not_another_lot(item, checks) for item in checks]


def check(path: Path, held: Held) -> Check:
    """One file. Nothing is raised."""
    try:
        document = read_document(path)
    except UsageError as error:
        return Check(path, error)
    return check_document(path, document, held)


def check_document(path: Path, document: bytes, held: Held) -> Check:
    """The content of a file, which need not lie anywhere: `path` only names it. Nothing is raised."""
    bundle = None
    try:
        pdf = _opened(document, held) if document.startswith(b"%PDF-") else None
        if pdf is not None:
            document = pdf.document
            if pdf.is_lot:
                return _lot(path, pdf, held)
        bundle = load(document) if is_bundle(document) else None
        opened = bundle.opened() if bundle is not None else open_document(document)
        seen = standing(bundle, opened, held.logs, held.witnesses) if bundle is not None else None
        if isinstance(opened, OpenedNote) or opened.kind is not CERTIFICATE:
            if pdf is not None:
                raise MalformedError("what is attached to it is no certificate")
            return _record(path, opened, held, bundle, seen)
        verified = verify_opened(opened, held.keys)
        if bundle is not None and seen is not None:
            _expect_kept(bundle, seen, verified.certificate, held)
        expect_drive(verified.certificate, held.drive)
        if held.receipt is not None:
            expect_theirs(verified.certificate, held.receipt)
        about = verified.certificate.certificate_id
        compared = _compared(bundle, seen, about, held) if bundle is not None and seen else None
    except UsageError as error:
        return Check(path, error)
    except CertificateError as error:
        certificate = _unproved(bundle.document if bundle is not None else document)
        return Check(path, error, (), certificate, form=certificate and to_json(certificate))
    holds = held.checkpoint is not None
    return Check(
        path,
        _page_not_checked(pdf, _is_genuine(verified)) if pdf is not None and not pdf.is_checked else None,
        verified.key_ids,
        verified.certificate,
        form=opened.envelope.form,
        signed=opened.signed_bytes,
        log=seen,
        compared=compared,
        holds_checkpoint=holds,
        pdf=pdf,
        holds_receipt=held.receipt is not None,
    )


def _lot(path: Path, pdf: OpenedPdf, held: Held) -> Check:
    """The summary of a lot, in its PDF. Raises CertificateError."""
    summary, holds = read_summary(pdf.document), held.checkpoint is not None
    error = None if pdf.is_checked else _page_not_checked(pdf, f"the summary of lot {summary.lot_id} is attached")
    return Check(path, error, (pdf.key_id,), record=summary, kind=LOT, pdf=pdf, holds_checkpoint=holds)


def _record(
    path: Path, opened: Opened | OpenedNote, held: Held, bundle: Bundle | None, seen: StandingInLog | None
) -> Check:
    """A document that is no certificate. Raises CertificateError."""
    if isinstance(opened, OpenedNote):
        record, key_ids = verify_note(opened, held.logs)
    else:
        record, key_ids = verify_record(opened, held.audit_keys if opened.kind is AUDIT else held.keys)
    kind = opened.entry.kind.value
    if (names := drive_names(kind, record)) is not None:
        expect_name(names, held.drive)
    # Its own id is on no list of withdrawals: what is said of that is only how far the log is known.
    compared = _compared(bundle, seen, "", held) if bundle is not None and seen else None
    holds = held.checkpoint is not None
    return Check(path, None, key_ids, record=record, kind=kind, log=seen, compared=compared, holds_checkpoint=holds)


def _opened(file: bytes, held: Held) -> OpenedPdf:
    if held.open_pdf is not None:
        return held.open_pdf(file)
    document = attached_document(file)
    signer = signer_of(file, held.pdf_keys)
    return OpenedPdf(document, signer, is_redrawn=False, is_checked=False, is_lot=is_summary(document))


def _page_not_checked(pdf: OpenedPdf, attached: str) -> PageNotCheckedError:
    return PageNotCheckedError(
        f"{attached}, and the PDF is as key {pdf.key_id} signed it; whether its page says the same was not looked at here",
        remedy="Believe what is attached alone (`pdfdetach -saveall` gives it), or check the page with `eraser certificate "
        "verify` of the whole program.",
    )


def _is_genuine(verified: Verified) -> str:
    certificate = verified.certificate
    return f"the certificate that is attached is genuine ({certificate.drive.label}: {certificate.outcome.value})"


def expect_drive(certificate: Certificate, drive: str) -> None:
    """Raises AnotherDriveError unless it is of the drive of this serial number or world-wide name; an empty name is any."""
    identity = certificate.drive.identity
    expect_name({own_serial(identity), identity.wwn, identity.eui64, identity.nguid}, drive)


def expect_name(names: set[str], drive: str) -> None:
    """The same for what is known of a drive."""
    if not drive or drive.strip() in names - {""}:
        return
    said = ", ".join(sorted(names - {""})) or "none: nothing in it tells its drive from others"
    raise AnotherDriveError(
        f"it is not of the drive {drive[:100]!a}; the names of its drive are {said}",
        remedy="Compare the label: 8 is easily taken for B.",
    )


def _compared(bundle: Bundle, seen: StandingInLog, certificate_id: str, held: Held) -> Compared | None:
    """Raises RewrittenLogError, WithdrawnError, NotLoggedError, and what a note raises that no trusted log signed."""
    if held.checkpoint is None:
        return None
    ours, theirs = _confirmed(held.checkpoint, held), seen.checkpoint
    if ours.origin != theirs.origin:
        raise NotLoggedError(f"it is in the log {theirs.origin}, the checkpoint held is of {ours.origin}")
    growths = [_growth(item, held) for item in held.updates]
    is_shown = _is_one_history(ours, theirs, [item for item in growths if item[2].origin == ours.origin], held)
    as_of = theirs.size
    if ours.size > theirs.size:
        if ours.withdrawn == Withdrawals.of([*bundle.withdrawn, certificate_id]):
            raise WithdrawnError(
                f"it was withdrawn after this bundle was made, as of entry {ours.size} at the latest",
                subject=certificate_id,
            )
        if ours.withdrawn == Withdrawals.of(bundle.withdrawn):
            as_of = ours.size
    return Compared(ours, is_shown, as_of)


def _is_one_history(ours: Checkpoint, theirs: Checkpoint, growths: list[Growth], held: Held) -> bool:
    """Raises RestartedLogError where a record says why it is not, RewrittenLogError where none does."""
    restart = next((item for item in _restarts(held) if item.has_lost(ours) != item.has_lost(theirs)), None)
    if restart is not None:
        raise RestartedLogError(f"{restart.sentence()}: the checkpoint held and this one are of before and after")
    try:
        return is_one_history(ours, theirs, growths)
    except RewrittenLogError as error:
        error.remedy = error.remedy or "If the plant says that it restarted its log, give its record: --restart."
        raise


def _expect_kept(bundle: Bundle, seen: StandingInLog, certificate: Certificate, held: Held) -> None:
    """Raises RestartedLogError for a certificate whose place in the log was lost since, as the log itself says."""
    for restart in _restarts(held):
        if restart.has_lost(seen.checkpoint) and bundle.index >= restart.resumed_size:
            raise RestartedLogError(
                f"it stood in the log as entry {bundle.index}, and {restart.sentence()}",
                subject=certificate.certificate_id,
                remedy="The plant signed it, and its log no longer says so: ask the plant for a new one.",
            )


def _restarts(held: Held) -> list[Restart]:
    return [logged_restart(item, held.logs)[0] for item in held.restarts]


def _growth(update: Update, held: Held) -> Growth:
    return update.earlier, update.proof, _confirmed(update.note, held)


def _confirmed(signed: Note, held: Held) -> Checkpoint:
    return confirm(signed, held.logs)[0]


def _without_duplicates(checks: list[Check]) -> list[Check]:
    by_id: dict[tuple[str, str], set[bytes]] = defaultdict(set)
    for item in checks:
        for key in _ids(item):
            by_id[key].add(item.signed)
    return [_not_duplicate(item, [key for key in _ids(item) if len(by_id[key]) > 1]) for item in checks]


def _without_withdrawn(checks: list[Check]) -> list[Check]:
    taken = {
        (item.withdrawal.certificate_id, item.withdrawal.certificate_digest): item.withdrawal
        for item in checks
        if item.withdrawal is not None
    }
    return [_not_withdrawn(item, taken) for item in checks]


def _not_withdrawn(item: Check, taken: Mapping[tuple[str, bytes], Withdrawal]) -> Check:
    if not item.is_genuine_but_for_its_page or item.certificate is None:
        return item
    found = taken.get((item.certificate.certificate_id, sha256(item.signed).digest()))
    if found is None:
        return item
    said = f"it was withdrawn at {found.withdrawn_at}: {found.reason}"
    return replace(item, error=WithdrawnError(said, subject=found.certificate_id))


def _not_another_lot(item: Check, checks: list[Check]) -> Check:
    if item.kind != LOT or item.error is not None:
        return item
    listed = {entry.certificate_id: entry for entry in item.record.certificates}
    for other in checks:
        if (said := _against_lot(item.record, listed, other)) is not None:
            return replace(item, error=LotDiffersError(said))
    return item


def _against_lot(lot: LotSummary, listed: Mapping[str, Listed], other: Check) -> str | None:
    """What another file, if it is genuine, contradicts."""
    if (taken := other.withdrawal) is not None and (entry := listed.get(taken.certificate_id)) is not None:
        is_told = entry.standing is Standing.WITHDRAWN or ordered(taken.withdrawn_at) >= ordered(lot.made_at)
        return None if is_told else f"it does not say that {taken.certificate_id} was withdrawn at {taken.withdrawn_at}"
    certificate = other.certificate
    is_proved = other.is_genuine_but_for_its_page or isinstance(other.error, WithdrawnError)
    if certificate is None or not is_proved or (entry := listed.get(certificate.certificate_id)) is None:
        return None
    drive = certificate.drive
    says = (sha256(other.signed).digest(), certificate.outcome, drive.identity.serial, drive.geometry.capacity_bytes)
    if says == (entry.digest, entry.outcome, entry.serial, entry.capacity_bytes):
        return None
    return f"it lists certificate {entry.certificate_id} of {entry.serial!a} as {entry.standing.value}: that one is another"


def _ids(item: Check) -> list[tuple[str, str]]:
    if not item.is_genuine_but_for_its_page or item.certificate is None:
        return []
    return [("certificate", item.certificate.certificate_id), ("job", item.certificate.job_id)]


def _not_duplicate(item: Check, twice: list[tuple[str, str]]) -> Check:
    if not twice:
        return item
    kind, name = twice[0]
    error = DuplicateError(
        f"another one of these files is of the same {kind} {name} and says something else",
        remedy="Neither is to be believed before the plant has said which one it withdraws.",
    )
    return replace(item, error=error)


def _unproved(document: bytes) -> Certificate | None:
    """What a document that is not proved says, if it can be read; shown only under the sentence that says so."""
    try:
        return content(unseal(document))
    except CertificateError:
        return None


def _short(error: EraserError) -> str:
    text = str(error)
    return text if len(text) <= MAX_MESSAGE_CHARACTERS else text[:MAX_MESSAGE_CHARACTERS] + "…"
