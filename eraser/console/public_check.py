"""The public check: whether a certificate is genuine and what it says, for whoever holds one, without an account.

A file is looked at and forgotten. What is answered stands on the certificate, but for who worked and where the drive came
from: nobody's personal data. An id alone is enough to ask: it is on the paper, and nobody guesses it.
"""

import asyncio
import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path

from eraser.certificates.checking import Check, Held, OpenedPdf, check_document
from eraser.certificates.errors import (
    AlteredError,
    ContradictoryError,
    KeyNotValidThenError,
    MalformedError,
    NoCommitmentError,
    NotTheirsError,
    PdfDiffersError,
    UnknownKeyError,
    UnsupportedError,
    WithdrawnError,
)
from eraser.certificates.filed import FiledCertificates
from eraser.certificates.keys import station_keys
from eraser.certificates.pdf_opening import open_apart
from eraser.certificates.receipt import HeldReceipt, details_of, expect_theirs
from eraser.console.problems import TooMany
from eraser.domain.certificate import Certificate
from eraser.domain.commitment import BEARER, CustomerDetails, receipt_key
from eraser.domain.events import Outcome
from eraser.errors import CertificateError
from eraser.ledger.certificate_index import Indexed
from eraser.ledger.withdrawals import UnknownCertificate
from eraser.log.errors import ForgedNoteError, NoteError, NotLoggedError, RewrittenLogError, UnknownLogError
from eraser.log.note import NoteKey, given_keys

AT_ONCE = 2
"""Files that are looked at together; a PDF takes a second of one core."""
FILES_PER_MINUTE = 20
LOOKS_PER_MINUTE = 120
MAX_ADDRESSES = 4096
_PDF = b"%PDF-"


class Answer(StrEnum):
    """What is said, in a word. Only PASSED is good."""

    PASSED = "passed"
    FAILED = "failed"
    """Genuine: the erasure failed."""
    WITHDRAWN = "withdrawn"
    ALTERED = "altered"
    UNKNOWN_KEY = "unknown-key"
    """Perhaps another plant's: this station does not know who signed it."""
    NOT_ON_RECORD = "not-on-record"
    """Well signed, and not in this station's log."""
    ANOTHER_DOCUMENT = "another-document"
    """The code on the paper is of another document than the one on record."""
    NO_CERTIFICATE = "no-certificate"
    NO_SUCH = "no-such"
    """No certificate of this id or code is known here."""
    WITHDRAWAL = "withdrawal"
    """The file is itself a withdrawal."""
    OTHER_RECORD = "other-record"
    """The file is another record of this station: of a destruction, or of a control."""
    UNREADABLE_HERE = "unreadable-here"
    """On record, but its file can't be read just now."""


class Theirs(StrEnum):
    """Whose a certificate is, by the receipt that somebody typed."""

    YES = "yes"
    NO = "no"
    NOBODYS = "nobodys"
    """It is committed to no customer."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The answer, and what the certificate says where it may be believed. `item`: the ledger's word of it.

    `newer`: a later certificate of the same drive, which counts for what the drive holds now.
    """

    answer: Answer
    certificate: Certificate | None = None
    item: Indexed | None = None
    newer: Indexed | None = None
    is_page: bool = False
    """Whether it was a PDF whose page was checked too."""
    is_page_redrawn: bool = False
    theirs: Theirs | None = None
    """What a receipt showed; None where none was typed."""

    @property
    def is_good(self) -> bool:
        """Genuine, passed, and nothing newer speaks of another outcome."""
        is_undone = self.newer is not None and self.newer.outcome != Outcome.PASSED
        return self.answer is Answer.PASSED and not is_undone


_ANSWERS: tuple[tuple[type[CertificateError], Answer], ...] = (
    (WithdrawnError, Answer.WITHDRAWN),
    (UnknownKeyError, Answer.UNKNOWN_KEY),
    (UnknownLogError, Answer.UNKNOWN_KEY),
    (AlteredError, Answer.ALTERED),
    (ContradictoryError, Answer.ALTERED),
    (PdfDiffersError, Answer.ALTERED),
    (ForgedNoteError, Answer.ALTERED),
    (RewrittenLogError, Answer.ALTERED),
    (NotLoggedError, Answer.ALTERED),
    (KeyNotValidThenError, Answer.UNKNOWN_KEY),
    (MalformedError, Answer.NO_CERTIFICATE),
    (UnsupportedError, Answer.NO_CERTIFICATE),
    (NoteError, Answer.NO_CERTIFICATE),
)
"""The first that fits counts."""

_CODE = re.compile(r"^(?:eraser:)?([A-Za-z0-9-]{8,64})(?:[.:]([0-9a-f]{16}|[0-9a-f]{64}))?$")
"""An id, alone or with its digest: as an address has it, and as a QR code without an address does."""


class PublicCheck:
    """Answers for one station's certificates."""

    def __init__(self, filed: FiledCertificates) -> None:
        self._filed = filed
        self._room = asyncio.Semaphore(AT_ONCE)

    async def file(self, content: bytes) -> Checked:
        """What becomes of a file that somebody handed in: a certificate, a bundle, a withdrawal or a PDF. Nothing is kept."""
        async with self._room:
            keys_folder = self._filed.folders.keys
            held = Held(await asyncio.to_thread(station_keys, keys_folder), await asyncio.to_thread(self._log_keys))
            pdf: OpenedPdf | None = None
            if content.startswith(_PDF):
                try:
                    pdf = await open_apart(content, keys_folder)
                except CertificateError as error:
                    return Checked(_answer_to(error), is_page=True)
            document = pdf.document if pdf is not None else content
            check = await asyncio.to_thread(check_document, Path("handed-in"), document, held)
        found = await self._of(check)
        return found if pdf is None else replace(found, is_page=True, is_page_redrawn=pdf.is_redrawn)

    async def code(self, text: str) -> Checked:
        """What is known of a certificate by its id, or by the code on its paper."""
        if (found := _CODE.match(text.strip())) is None:
            return Checked(Answer.NO_SUCH)
        certificate_id, digest = found[1], found[2] or ""
        try:
            item = await self._filed.known(certificate_id)
        except UnknownCertificate:
            return Checked(Answer.NO_SUCH)
        if not item.digest.hex().startswith(digest):
            return Checked(Answer.ANOTHER_DOCUMENT)
        try:
            document = await self._filed.document(certificate_id)
        except CertificateError:
            return Checked(Answer.UNREADABLE_HERE, item=item)
        keys = await asyncio.to_thread(station_keys, self._filed.folders.keys)
        return await self._of(await asyncio.to_thread(check_document, Path(certificate_id), document, Held(keys)))

    async def receipt(self, code: str, said: Mapping[str, str]) -> Checked:
        """The same, and whether whoever holds a receipt's code, and was on record with these details, is its customer. What
        they typed is kept nowhere. Raises UsageError for what is no code.
        """
        details = {item.name: said.get(item.name, "") for item in fields(CustomerDetails)}
        held = HeldReceipt(
            receipt_key(said.get("receipt", "")), BEARER if not any(details.values()) else details_of(details)
        )
        checked = await self.code(code)
        if checked.certificate is None:
            return checked
        try:
            expect_theirs(checked.certificate, held)
        except NotTheirsError:
            return replace(checked, theirs=Theirs.NO)
        except NoCommitmentError:
            return replace(checked, theirs=Theirs.NOBODYS)
        return replace(checked, theirs=Theirs.YES)

    async def _of(self, check: Check) -> Checked:
        if check.error is not None:
            return Checked(_answer_to(check.error))
        if check.withdrawal is not None:
            return Checked(Answer.WITHDRAWAL)
        if check.record is not None:
            return Checked(Answer.OTHER_RECORD)
        assert check.certificate is not None
        certificate = check.certificate
        try:
            item = await self._filed.known(certificate.certificate_id)
        except UnknownCertificate:
            return Checked(Answer.NOT_ON_RECORD)
        if hashlib.sha256(check.signed).digest() != item.digest:
            return Checked(Answer.NOT_ON_RECORD)
        newer = await self._filed.index.newer(item)
        if item.withdrawn is not None:
            return Checked(Answer.WITHDRAWN, certificate, item, newer)
        passed = certificate.outcome is Outcome.PASSED
        return Checked(Answer.PASSED if passed else Answer.FAILED, certificate, item, newer)

    def _log_keys(self) -> tuple[NoteKey, ...]:
        path = self._filed.folders.log / "key"
        return given_keys(str(path)) if path.exists() else ()


def _answer_to(error: Exception) -> Answer:
    return next((answer for kind, answer in _ANSWERS if isinstance(error, kind)), Answer.NO_CERTIFICATE)


class Allowance:
    """How often an address may ask: so many a minute, saved up to as many at once. Forgets whoever has asked longest ago."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> None:
        """Raises TooMany for whoever has none left."""
        now = self._clock()
        left, at = self._left.pop(address, (float(self._per_minute), now))
        left = min(float(self._per_minute), left + (now - at) * self._per_minute / 60)
        self._left[address] = (left - 1 if left >= 1 else left, now)
        while len(self._left) > MAX_ADDRESSES:
            self._left.popitem(last=False)
        if left < 1:
            raise TooMany("too-many", "too many certificates were checked from there", remedy="Wait a minute.")
