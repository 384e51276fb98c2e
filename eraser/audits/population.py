"""What an audit draws from: the log's entries under one checkpoint, and the certificates that are at hand for them.

Whoever audits trusts neither the plant's list nor its files: entries count because they give the checkpoint's root, or because
each has its proof; a certificate counts for the entry that has its digest. What is withheld is not left out.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eraser.certificates.bundle import Bundle, is_bundle, load
from eraser.certificates.checking import read_document
from eraser.certificates.envelope import unseal
from eraser.domain.audit import Member
from eraser.domain.certificate import ID_FORM, UTC_FORM, Certificate
from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.domain.merkle import is_included, root
from eraser.errors import CertificateError, UsageError
from eraser.log.checkpoint import Checkpoint, Withdrawals, parse_checkpoint
from eraser.log.errors import NotLoggedError, RewrittenLogError

MAX_LEAVES_BYTES = 64 << 20
"""Of a drive of 2 PB in extents of 1 GiB."""
_SUFFIXES = (".json", ".bundle")


@dataclass(frozen=True, slots=True)
class Logged:
    """Entries of the log that `head` is over. All, or those whose bundles are at hand: of others nothing is known."""

    head: Checkpoint
    entries: Mapping[int, LogEntry]
    withdrawn: frozenset[str]

    @property
    def is_whole(self) -> bool:
        """Whether every entry is known."""
        return len(self.entries) == self.head.size


@dataclass(frozen=True, slots=True)
class Document:
    """A certificate's file, unverified: what it says is used only where the log has just this."""

    path: Path
    certificate_id: str
    issued_at: str
    digest: bytes
    names: frozenset[str]
    """Serial number and world-wide name of its drive."""
    bundle: Bundle | None


@dataclass(frozen=True, slots=True)
class Documents:
    """The certificates at hand."""

    found: tuple[Document, ...]
    by_digest: Mapping[bytes, Document] = field(init=False)
    by_id: Mapping[str, Document] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_digest", {item.digest: item for item in self.found})
        object.__setattr__(self, "by_id", {item.certificate_id: item for item in self.found})


def read_documents(paths: Iterable[Path]) -> Documents:
    """The certificates and bundles in these files and folders. What is none is none: its entry then lacks its certificate."""
    return Documents(tuple(found for path in _files(paths) if (found := _document(path)) is not None))


def leaves_beside(documents: Documents, certificate: Certificate) -> bytes | None:
    """The hashes of a drive's extents, as the station keeps them beside its certificate; None where they are not at hand."""
    found = documents.by_id.get(certificate.certificate_id)
    if found is None or not ID_FORM.fullmatch(certificate.job_id):
        return None
    try:
        with (found.path.parent / f"{certificate.job_id}.leaves").open("rb") as file:
            return file.read(MAX_LEAVES_BYTES)
    except OSError:
        return None


def whole_log(head: Checkpoint, entries: Sequence[LogEntry]) -> Logged:
    """All entries of the log. Raises RewrittenLogError unless the checkpoint is over just these."""
    own = entries[: head.size]
    if len(own) != head.size or root([item.leaf() for item in own]) != head.root:
        raise RewrittenLogError(f"the {len(own)} entries are not those that the checkpoint of {head.size} is over")
    withdrawn = frozenset(item.subject for item in own if item.kind is EntryKind.WITHDRAWAL)
    if Withdrawals.of(withdrawn) != head.withdrawn:
        raise RewrittenLogError("the checkpoint commits to other withdrawals than the entries have")
    return Logged(head, dict(enumerate(own)), withdrawn)


def bundled_log(head: Checkpoint, documents: Documents) -> Logged:
    """What the bundles prove of it. Raises NotLoggedError for a proof that does not lead to the checkpoint."""
    entries: dict[int, LogEntry] = {}
    withdrawn: frozenset[str] = frozenset()
    for item in documents.found:
        if (bundle := item.bundle) is None or parse_checkpoint(bundle.checkpoint.text) != head:
            continue  # of another time: it proves nothing about this checkpoint
        entry = LogEntry(EntryKind.CERTIFICATE, item.certificate_id, item.digest)
        if not is_included(entry.leaf(), bundle.index, head.size, bundle.inclusion, head.root):
            raise NotLoggedError("its proof does not lead to the checkpoint", subject=str(item.path))
        if Withdrawals.of(bundle.withdrawn) != head.withdrawn:
            raise NotLoggedError(
                "its list of withdrawals is not the one that the checkpoint commits to", subject=str(item.path)
            )
        withdrawn = frozenset(bundle.withdrawn)
        entries[bundle.index] = entry
    if not entries:
        raise UsageError(
            "no bundle at hand is as of this checkpoint",
            remedy="`eraser log bundle --as-of` makes them; or give the log's entries with --entries.",
        )
    return Logged(head, entries, withdrawn)


def parse_entries(content: bytes) -> tuple[LogEntry, ...]:
    """What `eraser log entries` writes: each entry's bytes in a line. Raises UsageError for lines that are none."""
    return tuple(_entry(line, number) for number, line in enumerate(content.splitlines()))


@dataclass(frozen=True, slots=True)
class Population:
    """Numbers of the entries, in the log's order. Of `undated` members the certificate is not at hand."""

    indexes: Sequence[int]
    member: Callable[[int], Member]
    undated: int


def population(logged: Logged, documents: Documents, days: tuple[str, str]) -> Population:
    """The certificates issued from the first of these moments on and before the second that are not withdrawn.

    The log has no dates, so a certificate's own counts. One that is not at hand is taken for one of these days unless between
    it and them stands one that is at hand and is of another day: so withholding a certificate, or showing an altered one, keeps
    nobody from drawing it. Raises UsageError where entries are not known that could be such.
    """
    dates = dated(logged, documents)
    found = [index for index in span(logged, dates, days) if is_member(index, logged, dates, days)]

    def member(index: int) -> Member:
        return Member(index, logged.entries[index].subject, logged.entries[index].digest)

    return Population(found, member, sum(1 for index in found if index not in dates))


def span(logged: Logged, dates: Mapping[int, str], days: tuple[str, str]) -> range:
    """The entries among which the certificates of these days are: from the first to the last that is dated so, and beside them
    as far as nothing is dated. Raises UsageError where one of them is not known.
    """
    own = [index for index, at in dates.items() if is_within(at, days)]
    if not own:
        return range(0)
    first = max((index for index in dates if index < min(own)), default=-1) + 1
    behind = min((index for index in dates if index > max(own)), default=logged.head.size)
    if missing := [index for index in range(first, behind) if index not in logged.entries]:
        raise UsageError(
            f"{len(missing)} entries of the log that may be of these days are not known, number {missing[0]} first",
            remedy="Ask the plant for `eraser log entries`, and give it with --entries.",
        )
    return range(first, behind)


def is_member(index: int, logged: Logged, dates: Mapping[int, str], days: tuple[str, str]) -> bool:
    """Whether an entry of the span is a certificate that is not withdrawn, and nothing shows that it is of another day."""
    entry = logged.entries[index]
    if entry.kind is not EntryKind.CERTIFICATE or entry.subject in logged.withdrawn:
        return False
    return index not in dates or is_within(dates[index], days)


def dated(logged: Logged, documents: Documents) -> dict[int, str]:
    """When the certificates at hand were issued, by their own word, by their entries."""
    return {index: document.issued_at for index, document in _at_hand(logged, documents)}


def is_within(moment: str, days: tuple[str, str]) -> bool:
    """RFC 3339 in UTC, seconds with or without a fraction."""
    return _comparable(days[0]) <= _comparable(moment) < _comparable(days[1])


def erased_again(certificate: Certificate, documents: Documents, logged: Logged) -> Document | None:
    """A later certificate in the log of a drive with a name of this one's drive: what it holds now is what that one says."""
    identity = certificate.drive.identity
    names = {identity.serial, identity.wwn, identity.eui64, identity.nguid} - {""}
    digests = {entry.digest for entry in logged.entries.values() if entry.kind is EntryKind.CERTIFICATE}
    later = (
        item
        for item in documents.found
        if names & item.names and item.certificate_id != certificate.certificate_id and item.digest in digests
    )
    return next((item for item in later if _comparable(item.issued_at) > _comparable(certificate.issued_at)), None)


def _comparable(moment: str) -> str:
    seconds, _, fraction = moment.removesuffix("Z").removesuffix("+00:00").partition(".")
    return f"{seconds}.{fraction:0<9}"


def _at_hand(logged: Logged, documents: Documents) -> Iterator[tuple[int, Document]]:
    for index, entry in logged.entries.items():
        document = documents.by_digest.get(entry.digest)
        if entry.kind is EntryKind.CERTIFICATE and document is not None:
            yield index, document


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(item for item in path.iterdir() if item.suffix in _SUFFIXES)
        else:
            yield path


def _document(path: Path) -> Document | None:
    try:
        content = read_document(path)
        bundle = load(content) if is_bundle(content) else None
        envelope = unseal(bundle.document if bundle is not None else content)
    except (CertificateError, UsageError):
        return None
    certificate_id, issued_at = envelope.form.get("certificate_id"), envelope.form.get("issued_at")
    if not isinstance(certificate_id, str) or not isinstance(issued_at, str) or not UTC_FORM.fullmatch(issued_at):
        return None
    if not certificate_id.isascii() or not certificate_id.isprintable():
        return None
    digest = hashlib.sha256(envelope.signed_bytes).digest()
    return Document(path, certificate_id, issued_at, digest, _names(envelope.form), bundle)


def _names(form: Mapping[str, Any]) -> frozenset[str]:
    try:
        identity = form["drive"]["identity"]
        return frozenset(str(identity[name]) for name in ("serial", "wwn", "eui64", "nguid")) - {""}
    except (KeyError, TypeError):
        return frozenset()


def _entry(line: bytes, number: int) -> LogEntry:
    try:
        form = json.loads(line)
        entry = LogEntry(EntryKind(form["kind"]), form["subject"], bytes.fromhex(form["digest"]))
        if entry.leaf() == line:
            return entry
    except (ValueError, KeyError, TypeError, AttributeError, UsageError):
        pass
    raise UsageError(f"line {number + 1} is no entry of a log, as `eraser log entries` writes it")
